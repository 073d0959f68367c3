import * as fs from 'node:fs'
import * as path from 'node:path'
import { ending } from './childProcess'
import { Run, buildIfStale } from './command'
import { tempFolder } from './tempFolder'

const JEST = path.join(
  path.dirname(require.resolve('jest/package.json')),
  'bin',
  'jest.js'
)

/**
 * Runs jest in a process of its own, on one file of tests in JavaScript, which
 * must pass; returns what it says.
 */
export async function childJest(
  source: string,
  config: object,
  ...flags: string[]
): Promise<string> {
  buildIfStale()
  const folder = tempFolder()
  // Bun installs packages by itself where there is no such folder above.
  fs.mkdirSync(path.join(folder, 'node_modules'))
  fs.writeFileSync(path.join(folder, 'child.test.js'), source)
  const file = path.join(folder, 'jest.config.json')
  const all = { testEnvironment: 'node', transform: {}, ...config }
  fs.writeFileSync(file, JSON.stringify(all))
  const args = [JEST, '--config', file, '--runInBand', ...flags]
  const run = new Run(process.execPath, args, { cwd: folder })
  const exit = await ending(run)
  const report = run.stamped.join('\n')
  if (exit.code !== 0) throw new Error(`jest failed:\n${report}`)
  return report
}
