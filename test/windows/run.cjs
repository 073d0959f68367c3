// A runner of a page for where jest's own does not run: its test functions and
// matchers, without its resolver (native code that wine cannot load) and its
// registry of modules. One process for each file of tests, as with jest.
//
//   node run.cjs FILE [REPORT]     (FILE.test.ts; the report is JSON)

const fs = require('node:fs')
const path = require('node:path')

const root = path.join(__dirname, '..', '..')
const circus = require('jest-circus')
const { expect } = require('expect')
const { ModuleMocker } = require('jest-mock')
const typescript = require('typescript')

require.extensions['.ts'] = (module, file) => {
  const { outputText } = typescript.transpileModule(
    fs.readFileSync(file, 'utf8'),
    {
      fileName: file,
      compilerOptions: {
        module: typescript.ModuleKind.CommonJS,
        target: typescript.ScriptTarget.ES2022,
        esModuleInterop: true
      }
    }
  )
  module._compile(outputText, file)
}

const { afterAll, afterEach, beforeAll, beforeEach, describe, it, test } =
  circus
const mocker = new ModuleMocker(globalThis)
Object.assign(globalThis, {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  test,
  jest: {
    fn: mocker.fn.bind(mocker),
    spyOn: mocker.spyOn.bind(mocker),
    restoreAllMocks: mocker.restoreAllMocks.bind(mocker)
  }
})

// What nobody has caught is the fault of the test that runs.
const uncaught = []
for (const event of ['uncaughtException', 'unhandledRejection']) {
  process.on(event, (error) => {
    const { currentlyRunningTest } = circus.getState()
    if (currentlyRunningTest) currentlyRunningTest.errors.push(error)
    else uncaught.push(String(error?.stack ?? error))
  })
}

async function main([file, report]) {
  circus.resetState()
  circus.getState().testTimeout = 30_000
  require(path.resolve(root, file))
  const { testResults, unhandledErrors } = await circus.run()
  const tests = testResults.map(({ testPath, status, errors }) => ({
    name: testPath.slice(1).join(' > '),
    status:
      errors.length > 0 ? 'failed' : status === 'done' ? 'passed' : status,
    errors: errors.map(String)
  }))
  fs.writeFileSync(
    report,
    JSON.stringify({ tests, errors: [...uncaught, ...unhandledErrors] })
  )
}

main(process.argv.slice(2)).then(
  () => process.exit(),
  (error) => {
    fs.writeFileSync(
      process.argv[3],
      JSON.stringify({ tests: [], errors: [String(error.stack ?? error)] })
    )
    process.exit(1)
  }
)
