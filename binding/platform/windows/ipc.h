// ipc on Windows: NNG's and mangos' mapping of ipc://NAME to the named pipe
// \\.\pipe\NAME.

#ifndef NNG_PAIR_WINDOWS_IPC_H
#define NNG_PAIR_WINDOWS_IPC_H

#include "core/nng_impl.h"

// The pipe's name for the system, to be freed by nni_free; its size is in
// *size. NULL: there is no memory, or the path is no UTF-8.
extern wchar_t *ipc_pipe_name(const char *path, size_t *size);
// The address of a URL's path. Returns an NNG error.
extern int ipc_address(const nng_url *, nng_sockaddr *);

#endif  // NNG_PAIR_WINDOWS_IPC_H
