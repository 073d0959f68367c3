/**
 * Whether a bundler took this code out of its package, and so away from its
 * binary. Loaded before everything else, and requires nothing until it is known
 * that `require` exists: where a bundler makes an ES module of this, the first
 * call of it would fail with an error that does not name this package.
 */

// They are called late, and by their bare names: bundlers know those.
/* eslint-disable @typescript-eslint/no-require-imports */

/** True: the binary can only be beside the executable, in prebuilds/. */
export const bundled = !isInPackage()

if (bundled && !hasBinariesBesideExecutable()) throw bundledError()

function isInPackage(): boolean {
  // There is none in an ES module.
  if (typeof __dirname === 'undefined') return false
  try {
    const fs = require('node:fs') as typeof import('node:fs')
    // The folder above a bundle is usually a package, too, but another one.
    const manifest = fs.readFileSync(`${__dirname}/../package.json`, 'utf8')
    return (
      (JSON.parse(manifest) as { name?: unknown }).name === 'nng-pair' &&
      // With the source a binary can be built. What copies the files that a
      // program uses finds the folder of the binaries by its name here.
      (fs.existsSync(`${__dirname}/../prebuilds`) ||
        fs.existsSync(`${__dirname}/../CMakeLists.txt`))
    )
  } catch {
    // No such file; or no such function, in a bundle that is for a browser.
    return false
  }
}

function hasBinariesBesideExecutable(): boolean {
  if (typeof __dirname === 'undefined') return false
  try {
    const fs = require('node:fs') as typeof import('node:fs')
    const path = require('node:path') as typeof import('node:path')
    const folder = path.dirname(process.execPath)
    return fs.existsSync(path.join(folder, 'prebuilds'))
  } catch {
    return false
  }
}

export function bundledError(cause?: unknown): Error {
  const error = new Error(
    'nng-pair was bundled, which leaves its binary behind. Keep the package ' +
      'out of the bundle, and in node_modules where the program runs:\n\n' +
      "    webpack     externals: { 'nng-pair': 'node-commonjs nng-pair' }\n" +
      '    esbuild     --external:nng-pair\n' +
      "    rollup      external: ['nng-pair']\n" +
      "    Vite        ssr: { external: ['nng-pair'] }, or for a library\n" +
      "                build: { rollupOptions: { external: ['nng-pair'] } }\n" +
      "    Next        serverExternalPackages: ['nng-pair']\n" +
      "    executable  the package's folder prebuilds beside it\n",
    cause === undefined ? undefined : { cause }
  )
  return Object.assign(error, { code: 'ERR_NNG_PAIR_BUNDLED' })
}
