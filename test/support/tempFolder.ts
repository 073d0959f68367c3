import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'

const folders: string[] = []

afterEach(() => {
  for (const folder of folders.splice(0)) {
    fs.rmSync(folder, { recursive: true, force: true })
  }
})

/** A folder that is gone, with what is in it, after the test. */
export function tempFolder(): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'nng-pair-'))
  folders.push(folder)
  return folder
}
