/**
 * Whether a bundler took this code out of its package, and so away from its
 * binary. Loaded before everything else, and requires nothing until it is known
 * that `require` exists: where a bundler makes an ES module of this, the first
 * call of it would fail with an error that does not name this package.
 */

// They are called late, and by their bare names: bundlers know those.
/* eslint-disable @typescript-eslint/no-require-imports */

// docs/bundling.md has them, too, and test/bundlers tries them.
const RECIPES = `    webpack     externals: { 'nng-pair': 'node-commonjs nng-pair' }
    esbuild     --external:nng-pair
    rollup      external: ['nng-pair']
    Vite        ssr: { external: ['nng-pair'] }, or for a library
                build: { rollupOptions: { external: ['nng-pair'] } }
    Next        serverExternalPackages: ['nng-pair']
    executable  the package's folder prebuilds beside it
`

/** True: the binary is {@link binaryBesideExecutable}, or nowhere. */
export const bundled = !isInPackage()

export const binaryBesideExecutable = bundled ? findBinary() : undefined

if (bundled && binaryBesideExecutable === undefined) throw bundledError()

function isInPackage(): boolean {
  // There is none in an ES module.
  if (typeof __dirname === 'undefined') return false
  try {
    const fs = require('node:fs') as typeof import('node:fs')
    const path = require('node:path') as typeof import('node:path')
    // The folder above a bundle is usually a package, too, but another one.
    const manifest = fs.readFileSync(`${__dirname}/../package.json`, 'utf8')
    return (
      (JSON.parse(manifest) as { name?: unknown }).name === 'nng-pair' &&
      // What copies the files of a program takes the folder along that is named
      // like this: the binaries, for any platform. It is to leave the source.
      (fs.existsSync(path.join(__dirname, '..', 'prebuilds')) ||
        has(fs, __dirname, 'CMakeLists.txt'))
    )
  } catch {
    // No such file; or no such function, in a bundle that is for a browser.
    return false
  }
}

function has(fs: typeof import('node:fs'), dist: string, name: string) {
  return fs.existsSync(`${dist}/../${name}`)
}

/**
 * Where a single executable has it. Not found by node-gyp-build, which would
 * also take another package's, and looks for a file by the code's own
 * `require`: of that, a single executable warns.
 */
function findBinary(): string | undefined {
  if (typeof __dirname === 'undefined') return undefined
  try {
    const fs = require('node:fs') as typeof import('node:fs')
    const path = require('node:path') as typeof import('node:path')
    const { platform, arch, execPath, env } = process
    // As node-gyp-build decides it, and so what scripts/prebuild.mjs builds.
    const libc =
      env.LIBC ?? (fs.existsSync('/etc/alpine-release') ? 'musl' : 'glibc')
    const file = path.join(
      path.dirname(execPath),
      'prebuilds',
      `${platform}-${arch}`,
      `nng-pair${platform === 'linux' ? `.${libc}` : ''}.node`
    )
    return fs.existsSync(file) ? file : undefined
  } catch {
    return undefined
  }
}

/** `cause`: why the binary that is beside the executable cannot be loaded. */
export function bundledError(cause?: unknown): Error {
  const error =
    cause === undefined
      ? new Error(
          'nng-pair was bundled, which leaves its binary behind. Keep the ' +
            'package out of the bundle, and in node_modules where the ' +
            `program runs:\n\n${RECIPES}`
        )
      : new Error(
          'nng-pair was bundled, and cannot load the binary beside the ' +
            `executable: ${(cause as Error).message.split('\n', 1)[0]}`,
          { cause }
        )
  return Object.assign(error, { code: 'ERR_NNG_PAIR_BUNDLED' })
}
