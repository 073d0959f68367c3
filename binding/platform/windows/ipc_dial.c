// Dialing a named pipe, in place of NNG's win_ipcdial.c and its thread.
//
// Opening a pipe does not wait: there is an instance of it that nobody has
// connected to, or all are taken for the moment, or there is no such pipe.
// Whoever dials sees to the second case (core/socket.cc), as with a backlog
// that is full.

#include <stdbool.h>
#include <string.h>

#include "../../stream/conn_impl.h"
#include "io.h"
#include "ipc.h"

#define PREFIX L"\\\\.\\pipe\\"
#define PREFIX_SIZE (sizeof(PREFIX) / sizeof(wchar_t) - 1)

typedef struct {
  nng_stream_dialer sd;
  nng_sockaddr sa;
  nni_mtx mtx;
  bool closed;
} ipc_dialer;

wchar_t *ipc_pipe_name(const char *path, size_t *size) {
  const int n =
      MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, NULL, 0);
  wchar_t *name;

  *size = (PREFIX_SIZE + (size_t)n) * sizeof(wchar_t);
  if (n <= 0 || (name = nni_alloc(*size)) == NULL) {
    return NULL;
  }
  memcpy(name, PREFIX, PREFIX_SIZE * sizeof(wchar_t));
  (void)MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1,
                            name + PREFIX_SIZE, n);
  return name;
}

int ipc_address(const nng_url *url, nng_sockaddr *sa) {
  if (strcmp(url->u_scheme, "ipc") != 0 || url->u_path == NULL ||
      url->u_path[0] == '\0' || strlen(url->u_path) >= NNG_MAXADDRLEN) {
    return NNG_EADDRINVAL;
  }
  sa->s_ipc.sa_family = NNG_AF_IPC;
  (void)nni_strlcpy(sa->s_ipc.sa_path, url->u_path, NNG_MAXADDRLEN);
  return 0;
}

static int open_pipe(const ipc_dialer *d, HANDLE *pipe) {
  size_t size;
  wchar_t *name = ipc_pipe_name(d->sa.s_ipc.sa_path, &size);
  DWORD error;

  if (name == NULL) {
    return NNG_EADDRINVAL;
  }
  // The listener may learn who we are, and no more.
  *pipe = CreateFileW(
      name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
      FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION,
      NULL);
  error = GetLastError();
  nni_free(name, size);
  if (*pipe != INVALID_HANDLE_VALUE) {
    return 0;
  }
  return error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND
             ? NNG_ECONNREFUSED
             : io_error(error);
}

static int connect_pipe(const ipc_dialer *d, nng_stream **sp) {
  HANDLE pipe;
  io *i;
  int rv;

  if ((rv = open_pipe(d, &pipe)) != 0) {
    return rv;
  }
  if ((rv = io_create(&i, pipe, false)) != 0) {
    (void)CloseHandle(pipe);
    return rv;
  }
  if ((rv = conn_open_pipe(i, true, &d->sa, sp)) != 0) {
    io_release(i);
  }
  return rv;
}

static void dialer_dial(void *arg, nni_aio *aio) {
  ipc_dialer *d = arg;
  nng_stream *stream = NULL;
  int rv;

  if (nni_aio_begin(aio) != 0) {
    return;
  }
  nni_mtx_lock(&d->mtx);
  rv = d->closed ? NNG_ECLOSED : connect_pipe(d, &stream);
  nni_mtx_unlock(&d->mtx);
  if (rv != 0) {
    nni_aio_finish_error(aio, rv);
    return;
  }
  nni_aio_set_output(aio, 0, stream);
  nni_aio_finish(aio, 0, 0);
}

static void dialer_close(void *arg) {
  ipc_dialer *d = arg;

  nni_mtx_lock(&d->mtx);
  d->closed = true;
  nni_mtx_unlock(&d->mtx);
}

static void dialer_free(void *arg) {
  ipc_dialer *d = arg;

  nni_mtx_fini(&d->mtx);
  NNI_FREE_STRUCT(d);
}

static const nni_option options[] = {{.o_name = NULL}};

static int dialer_get(void *arg, const char *name, void *buf, size_t *szp,
                      nni_type t) {
  return nni_getopt(options, name, arg, buf, szp, t);
}

static int dialer_set(void *arg, const char *name, const void *buf, size_t sz,
                      nni_type t) {
  return nni_setopt(options, name, arg, buf, sz, t);
}

int nni_ipc_dialer_alloc(nng_stream_dialer **dp, const nng_url *url) {
  ipc_dialer *d;
  int rv;

  if ((d = NNI_ALLOC_STRUCT(d)) == NULL) {
    return NNG_ENOMEM;
  }
  if ((rv = ipc_address(url, &d->sa)) != 0) {
    NNI_FREE_STRUCT(d);
    return rv;
  }
  nni_mtx_init(&d->mtx);
  d->sd.sd_free = dialer_free;
  d->sd.sd_close = dialer_close;
  d->sd.sd_dial = dialer_dial;
  d->sd.sd_get = dialer_get;
  d->sd.sd_set = dialer_set;
  *dp = &d->sd;
  return 0;
}
