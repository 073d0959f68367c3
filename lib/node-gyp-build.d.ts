// The package has no types of its own.
declare module 'node-gyp-build' {
  /** The file of the addon of the package in this folder. */
  export function resolve(packageFolder: string): string
}
