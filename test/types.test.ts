import * as path from 'node:path'
import * as ts from 'typescript'
import { buildIfStale } from './support/command'

const ROOT = path.join(__dirname, '..')
const FIXTURE = path.join(__dirname, 'types', 'public.ts')

// They are the same for each program.
const parsed = new Map<string, ts.SourceFile | undefined>()

/** Why a program that uses the built package does not compile. */
function complaints(options: ts.CompilerOptions, text?: string): string[] {
  const all: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    // Checked with the package (test/package).
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.Node20,
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
    types: ['node'],
    typeRoots: [path.join(ROOT, 'node_modules', '@types')],
    ...options
  }
  const host = ts.createCompilerHost(all)
  const parse = host.getSourceFile.bind(host)
  host.getSourceFile = (file, languageVersion) => {
    if (text !== undefined && path.resolve(file) === FIXTURE) {
      return ts.createSourceFile(file, text, languageVersion)
    }
    if (!parsed.has(file)) parsed.set(file, parse(file, languageVersion))
    return parsed.get(file)
  }
  // The package finds itself by its name, as others find it.
  const program = ts.createProgram([FIXTURE], all, host)
  const types = program
    .getSourceFiles()
    .map(({ fileName }) => path.relative(ROOT, fileName))
  expect(types).toContain(path.join('dist', 'socket.d.ts'))
  expect(types.filter((file) => file.startsWith('lib'))).toEqual([])
  return ts.getPreEmitDiagnostics(program).map((diagnostic) => {
    const { file, start = 0, messageText } = diagnostic
    const where =
      file === undefined
        ? ''
        : `${path.basename(file.fileName)}:${file.getLineAndCharacterOfPosition(start).line + 1} `
    return where + ts.flattenDiagnosticMessageText(messageText, '\n')
  })
}

beforeAll(buildIfStale)

const consumers: [name: string, options: ts.CompilerOptions][] = [
  ['is strict', {}],
  [
    'tells what is absent from undefined',
    { exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true }
  ]
]

test.each(consumers)('the public API compiles where one %s', (_, options) => {
  expect(complaints(options)).toEqual([])
})

test('what does not compile is noticed', () => {
  const text =
    "import { PairSocket } from 'nng-pair'\n" +
    'const sent: Promise<boolean> = new PairSocket().send(42)\n' +
    '// @ts-expect-error: it compiles\n' +
    'export const sock = new PairSocket({ sendBuffer: 1 })\n'
  const found = complaints({}, text)
  expect(found.map((complaint) => complaint.split(' ')[0]).sort()).toEqual([
    'public.ts:2',
    'public.ts:2',
    'public.ts:3'
  ])
})
