// Bundles a program, as the documentation of each bundler does it for Node.js.
//
//   node build.mjs <bundler> <entry> <output> [external]
//
// The output is an ES module if its name ends in .mjs. With "external", the
// package stays out, in the way that lib/bundled.ts tells.

import commonjs from '@rollup/plugin-commonjs'
import nodeResolve from '@rollup/plugin-node-resolve'
import * as esbuild from 'esbuild'
import * as path from 'node:path'
import { promisify } from 'node:util'
import { rollup } from 'rollup'
import { build as vite } from 'vite'
import webpack from 'webpack'

const [bundler, entry, output, external] = process.argv.slice(2)
const folder = path.resolve(path.dirname(output))
const file = path.basename(output)
const esm = output.endsWith('.mjs')
const format = esm ? 'es' : 'cjs'
const out = external === 'external'

const bundlers = {
  async webpack() {
    const stats = await promisify(webpack)({
      mode: 'production',
      target: 'node',
      entry: path.resolve(entry),
      experiments: { outputModule: esm },
      output: { path: folder, filename: file, module: esm },
      externals: out ? { 'nng-pair': 'node-commonjs nng-pair' } : {}
    })
    // Also none of our code is anything to warn of.
    if (stats.hasErrors() || stats.hasWarnings())
      throw new Error(stats.toString())
  },

  async esbuild() {
    const { warnings } = await esbuild.build({
      entryPoints: [entry],
      outfile: output,
      bundle: true,
      platform: 'node',
      format: esm ? 'esm' : 'cjs',
      external: out ? ['nng-pair'] : []
    })
    if (warnings.length > 0) throw new Error(JSON.stringify(warnings))
  },

  async rollup() {
    const bundle = await rollup({
      input: entry,
      external: out ? ['nng-pair'] : [],
      plugins: [nodeResolve({ preferBuiltins: true }), commonjs()],
      onwarn: (warning) => {
        throw new Error(warning.message)
      }
    })
    await bundle.write({ file: output, format })
  },

  // For a server; Vite leaves packages out of that unless it is told not to.
  async vite() {
    await vite({
      configFile: false,
      logLevel: 'warn',
      ssr: out ? {} : { noExternal: ['nng-pair'] },
      build: {
        ssr: entry,
        outDir: folder,
        emptyOutDir: false,
        rollupOptions: { output: { format, entryFileNames: file } }
      }
    })
  },

  async 'vite library'() {
    await vite({
      configFile: false,
      logLevel: 'warn',
      build: {
        lib: { entry, formats: [format], fileName: () => file },
        outDir: folder,
        emptyOutDir: false,
        rollupOptions: { external: out ? ['nng-pair'] : [] }
      }
    })
  }
}

await bundlers[bundler]()
