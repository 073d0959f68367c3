// Writes the C file by which an addon finds Node-API's functions on Windows (node-api.cmake).
//
// A function that is imported from a library is called through a pointer of the name __imp_NAME,
// which the system sets when it loads the addon: from the program that the addon names. Ours is
// loaded by programs of any name, so it has these pointers itself and sets them before anything else
// of it runs.

import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const { symbols } = createRequire(import.meta.url)('node-api-headers')
const { js_native_api_symbols: js, node_api_symbols: node } = symbols.v8
const names = [...new Set([...js, ...node])].sort()

writeFileSync(
  process.argv[2],
  `// Written by deps/node-api-imports.mjs.
#include <windows.h>

// What a function is that the program does not have: it fails (napi_generic_failure).
static int missing(void) { return 9; }

${names.map((name) => `void *__imp_${name};`).join('\n')}

static const struct {
  const char *name;
  void **import;
} imports[] = {
${names.map((name) => `    {"${name}", &__imp_${name}},`).join('\n')}
};

static void set_imports(void) {
  HMODULE program = GetModuleHandleW(NULL);
  HMODULE library = GetModuleHandleW(L"libnode.dll");

  for (size_t i = 0; i < sizeof(imports) / sizeof(imports[0]); i++) {
    FARPROC found = GetProcAddress(program, imports[i].name);

    if (found == NULL && library != NULL) {
      found = GetProcAddress(library, imports[i].name);
    }
    *imports[i].import = found != NULL ? (void *)found : (void *)missing;
  }
}

BOOL WINAPI DllMain(HINSTANCE self, DWORD reason, LPVOID reserved) {
  (void)self;
  (void)reserved;
  if (reason == DLL_PROCESS_ATTACH) set_imports();
  return TRUE;
}
`
)
