// docs/tutorial.md, as a reader goes through it: each section's files are
// written to a folder and compiled, its commands are run, each terminal's one
// after the other, and must write what the page says.

import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { buildIfStale, Run, unusedUrl } from './support/command'

const ROOT = path.join(__dirname, '..')
const tutorial = fs.readFileSync(path.join(ROOT, 'docs', 'tutorial.md'), 'utf8')

/** A command of a terminal, what it writes, and whether it is interrupted. */
interface Command {
  words: string[]
  lines: string[]
  interrupted: boolean
}

interface Section {
  title: string
  files: Map<string, string>
  terminals: Command[][]
}

const INTERRUPT = '^C'

function commandsOf(block: string): Command[] {
  const commands: Command[] = []
  for (const line of block.trimEnd().split('\n')) {
    if (line.startsWith('$ ')) {
      const words = line.slice(2).split(' ')
      commands.push({ words, lines: [], interrupted: false })
    } else if (line === INTERRUPT) commands.at(-1)!.interrupted = true
    else commands.at(-1)!.lines.push(line)
  }
  return commands
}

function sectionOf(text: string): Section {
  const [title] = text.split('\n') as [string]
  const files = new Map<string, string>()
  const terminals: Command[][] = []
  for (const [, language, block] of text.matchAll(/^```(\w+)\n(.*?)^```$/gms)) {
    const name = /^\/\/ (\S+\.\w+)\n/.exec(block!)?.[1]
    if (name !== undefined) files.set(name, block!)
    else if (language === 'console') terminals.push(commandsOf(block!))
  }
  return { title, files, terminals }
}

const sections = tutorial.split(/^## /m).slice(1).map(sectionOf)
const [beginning, ...steps] = sections.filter(({ files }) => files.size > 0)
const home = fs.mkdtempSync(path.join(os.tmpdir(), 'nng-pair-tutorial-'))
const folderOf = ({ title }: Section) =>
  path.join(home, title.toLowerCase().replaceAll(/[^a-z]+/g, '-'))

beforeAll(async () => {
  buildIfStale()
  const modules = path.join(home, 'node_modules')
  fs.mkdirSync(path.join(modules, '@types'), { recursive: true })
  fs.symlinkSync(ROOT, path.join(modules, 'nng-pair'))
  const types = path.join(ROOT, 'node_modules', '@types', 'node')
  fs.symlinkSync(types, path.join(modules, '@types', 'node'))
  fs.writeFileSync(path.join(home, 'package.json'), '{ "type": "module" }')
  for (const [name, text] of beginning!.files) {
    fs.writeFileSync(path.join(home, name), text)
  }
  for (const step of steps) {
    // Others may use the port of the page.
    const { port } = new URL((await unusedUrl('tcp')).replace('tcp', 'http'))
    const folder = folderOf(step)
    fs.mkdirSync(folder)
    for (const [name, text] of step.files) {
      fs.writeFileSync(path.join(folder, name), text.replaceAll('45454', port))
    }
    for (const { lines } of step.terminals.flat()) {
      lines.forEach((line, i) => (lines[i] = line.replaceAll('45454', port)))
    }
  }
  const tsc = path.join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
  execFileSync(process.execPath, [tsc, '-p', home], { stdio: 'pipe' })
}, 60_000)

afterAll(() => fs.rmSync(home, { recursive: true }))

/** Runs a command; resolves with what it wrote when it has ended. */
async function runCommand(
  folder: string,
  { words: [program, ...args], lines, interrupted }: Command,
  started: () => void
): Promise<string> {
  expect(program).toBe('node')
  const run = new Run(process.execPath, args, { cwd: folder })
  const first = `${lines[0]}\n`
  if (lines.length > 0) await run.until(({ stdout }) => stdout.includes(first))
  started()
  if (interrupted) {
    const last = `${lines.at(-1)}\n`
    const all = () => run.stdout.split(last).length > lastCount(lines)
    await run.until(all)
    run.kill('SIGINT')
  }
  const { code, signal } = await run.exit
  expect(run.stamped).toEqual([])
  expect(interrupted ? signal : code).toBe(interrupted ? 'SIGINT' : 0)
  return run.stdout
}

/** How often the last line is there. */
function lastCount(lines: string[]): number {
  return lines.filter((line) => line === lines.at(-1)).length
}

test.concurrent.each(steps.map((step) => [step.title, step] as const))(
  '%s',
  async (_, step) => {
    expect(step.terminals.length).toBeGreaterThan(0)
    const terminals: Promise<void>[] = []
    for (const commands of step.terminals) {
      // The next terminal when this one has something to show.
      await new Promise<void>((started, failed) => {
        const terminal = (async () => {
          for (const command of commands) {
            const written = await runCommand(folderOf(step), command, started)
            const expected = command.lines.map((line) => `${line}\n`).join('')
            expect(written).toBe(expected)
          }
        })()
        terminal.catch(failed)
        terminals.push(terminal)
      })
    }
    await Promise.all(terminals)
  }
)

test('has its sections', () => {
  expect(beginning!.title).toBe('Before you begin')
  expect(steps.length).toBeGreaterThan(8)
})
