// The package has no types of its own.
declare module 'node-gyp-build' {
  /** Loads the addon of the package in this folder. */
  function load(packageFolder: string): unknown
  export = load
}
