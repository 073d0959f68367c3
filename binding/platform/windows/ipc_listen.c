// Listening on a named pipe, in place of NNG's win_ipclisten.c.
//
// A pipe has instances, each for one client. The first one takes the name, or
// finds that another listener has it; as long as there is one, nobody else gets
// it. So there always is one that waits for the next client, also while nobody
// accepts, and the next is made before that one is handed over. With the last
// instance the name is gone: nothing is left behind, whatever happens.
//
// Who may open the pipe is decided by ipcMode as far as Windows knows such
// bits: the owner always, and everybody if the bits of others have one of read
// and write. The group's bits mean nothing.
//
// Ownership. The transport's endpoint owns the listener and calls close, then
// free. The listener owns the waiting instance; one that a client has is its
// connection's. The mutex is the engine's lock.

#include <stdbool.h>
#include <string.h>

#include "../../stream/conn_impl.h"
#include "io.h"
#include "ipc.h"
// After the system's others.
#include <sddl.h>

// What the system keeps for a reader before a writer has to wait.
#define PIPE_BUFFER (512 * 1024)

// Full access: the system, administrators, and the owner. And everybody: to
// read and to write, and so to make further instances, since that is what who
// opens a pipe for writing asks for, too (GENERIC_WRITE, as NNG has it).
#define OWNER_ACCESS L"D:P(A;;GA;;;SY)(A;;GA;;;BA)(A;;GA;;;OW)"
#define OTHERS_ACCESS L"(A;;0x12019f;;;WD)"

typedef struct {
  nng_stream_listener sl;
  nng_sockaddr sa;
  nni_mtx mtx;
  nni_list aios;
  io *io;          // the instance that waits for a client
  bool connected;  // it has one
  bool started;
  bool closed;
  int mode;
} ipc_listener;

// Makes an instance of the pipe; the first one, or a further one.
static int make_instance(const ipc_listener *l, bool first, io **ip) {
  SECURITY_ATTRIBUTES attributes = {sizeof(attributes), NULL, FALSE};
  size_t size;
  wchar_t *name = ipc_pipe_name(l->sa.s_ipc.sa_path, &size);
  HANDLE pipe;
  DWORD error;
  int rv;

  if (name == NULL) {
    return NNG_EADDRINVAL;
  }
  if (!ConvertStringSecurityDescriptorToSecurityDescriptorW(
          (l->mode & 06) != 0 ? OWNER_ACCESS OTHERS_ACCESS : OWNER_ACCESS,
          SDDL_REVISION_1, &attributes.lpSecurityDescriptor, NULL)) {
    nni_free(name, size);
    return io_error(GetLastError());
  }
  pipe = CreateNamedPipeW(name,
                          PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED |
                              (first ? FILE_FLAG_FIRST_PIPE_INSTANCE : 0),
                          PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT |
                              PIPE_REJECT_REMOTE_CLIENTS,
                          PIPE_UNLIMITED_INSTANCES, PIPE_BUFFER, PIPE_BUFFER, 0,
                          &attributes);
  error = GetLastError();
  (void)LocalFree(attributes.lpSecurityDescriptor);
  nni_free(name, size);
  if (pipe == INVALID_HANDLE_VALUE) {
    return first && (error == ERROR_ACCESS_DENIED || error == ERROR_PIPE_BUSY ||
                     error == ERROR_ALREADY_EXISTS)
               ? NNG_EADDRINUSE
               : io_error(error);
  }
  if ((rv = io_create(ip, pipe, false)) != 0) {
    (void)CloseHandle(pipe);
  }
  return rv;
}

// Accepting, under the mutex.

static void accepted(void *arg, DWORD error, size_t n);

static void replace_instance(ipc_listener *l, io *next) {
  l->io = next;
  l->connected = false;
  io_set(next, accepted, NULL, l);
}

// Hands over the instance that has a client.
static int make_connection(ipc_listener *l, nng_stream **sp) {
  io *present = l->io;
  io *next;
  int rv;

  if ((rv = make_instance(l, false, &next)) != 0) {
    // This one has to stay: it is the listener.
    (void)DisconnectNamedPipe(present->handle);
    l->connected = false;
    return rv;
  }
  replace_instance(l, next);
  if ((rv = conn_open_pipe(present, false, &l->sa, sp)) != 0) {
    io_release(present);
  }
  return rv;
}

// Waits for a client. ERROR_IO_PENDING: that is under way.
static DWORD start_accept(ipc_listener *l) {
  const bool ok = ConnectNamedPipe(l->io->handle, io_start(&l->io->in)) != 0;
  const DWORD error = io_started(&l->io->in, ok, GetLastError());

  // It was there already.
  return error == ERROR_PIPE_CONNECTED ? 0 : error;
}

static void go_on(ipc_listener *l) {
  nni_aio *aio;

  while (!l->closed && (aio = nni_list_first(&l->aios)) != NULL) {
    nng_stream *stream = NULL;
    DWORD error = 0;
    int rv;

    if (!l->connected) {
      if (l->io->in.pending || (error = start_accept(l)) == ERROR_IO_PENDING) {
        return;
      }
      if (error == ERROR_NO_DATA) {
        // A client that has left again.
        (void)DisconnectNamedPipe(l->io->handle);
        continue;
      }
      l->connected = error == 0;
    }
    rv = error == 0 ? make_connection(l, &stream) : io_error(error);
    nni_aio_list_remove(aio);
    if (rv != 0) {
      nni_aio_finish_error(aio, rv);
    } else {
      nni_aio_set_output(aio, 0, stream);
      nni_aio_finish(aio, 0, 0);
    }
  }
}

static void accepted(void *arg, DWORD error, size_t n) {
  ipc_listener *l = arg;

  NNI_ARG_UNUSED(n);
  if (error != 0) {
    (void)DisconnectNamedPipe(l->io->handle);
  } else {
    l->connected = true;
  }
  go_on(l);
}

static void cancel(nni_aio *aio, void *arg, int rv) {
  ipc_listener *l = arg;

  nni_mtx_lock(&l->mtx);
  if (nni_aio_list_active(aio)) {
    nni_aio_list_remove(aio);
    nni_aio_finish_error(aio, rv);
  }
  nni_mtx_unlock(&l->mtx);
}

static void listener_accept(void *arg, nni_aio *aio) {
  ipc_listener *l = arg;
  int rv;

  if (nni_aio_begin(aio) != 0) {
    nni_task_dispatch(&aio->a_task);  // as in stream/conn.c
    return;
  }
  nni_mtx_lock(&l->mtx);
  if (l->closed || !l->started) {
    rv = l->closed ? NNG_ECLOSED : NNG_ESTATE;
  } else {
    rv = nni_aio_schedule(aio, cancel, l);
  }
  if (rv != 0) {
    nni_aio_finish_error(aio, rv);
  } else {
    nni_aio_list_append(&l->aios, aio);
    go_on(l);
  }
  nni_mtx_unlock(&l->mtx);
}

// The listener.

static int listener_listen(void *arg) {
  ipc_listener *l = arg;
  io *first;
  int rv;

  nni_mtx_lock(&l->mtx);
  if (l->closed || l->started) {
    rv = l->closed ? NNG_ECLOSED : NNG_ESTATE;
  } else if ((rv = make_instance(l, true, &first)) == 0) {
    replace_instance(l, first);
    l->started = true;
  }
  nni_mtx_unlock(&l->mtx);
  return rv;
}

static void listener_close(void *arg) {
  ipc_listener *l = arg;
  nni_aio *aio;

  nni_mtx_lock(&l->mtx);
  if (!l->closed) {
    l->closed = true;
    while ((aio = nni_list_first(&l->aios)) != NULL) {
      nni_aio_list_remove(aio);
      nni_aio_finish_error(aio, NNG_ECLOSED);
    }
    if (l->io != NULL) {
      io_close(l->io);
    }
  }
  nni_mtx_unlock(&l->mtx);
}

static void listener_free(void *arg) {
  ipc_listener *l = arg;

  listener_close(l);
  if (l->io != NULL) {
    io_release(l->io);
  }
  nni_mtx_fini(&l->mtx);
  NNI_FREE_STRUCT(l);
}

// Options.

static int get_address(void *arg, void *buf, size_t *szp, nni_type t) {
  const ipc_listener *l = arg;

  return nni_copyout_sockaddr(&l->sa, buf, szp, t);
}

static int set_mode(void *arg, const void *buf, size_t sz, nni_type t) {
  ipc_listener *l = arg;
  int mode;
  int rv;

  if ((rv = nni_copyin_int(&mode, buf, sz, 0, 07777, t)) != 0) {
    return rv;
  }
  nni_mtx_lock(&l->mtx);
  if (l->started) {
    rv = NNG_EBUSY;
  } else {
    l->mode = mode;
  }
  nni_mtx_unlock(&l->mtx);
  return rv;
}

static const nni_option options[] = {
    {.o_name = NNG_OPT_LOCADDR, .o_get = get_address},
    {.o_name = NNG_OPT_IPC_PERMISSIONS, .o_set = set_mode},
    {.o_name = NULL},
};

static int listener_get(void *arg, const char *name, void *buf, size_t *szp,
                        nni_type t) {
  return nni_getopt(options, name, arg, buf, szp, t);
}

static int listener_set(void *arg, const char *name, const void *buf, size_t sz,
                        nni_type t) {
  return nni_setopt(options, name, arg, buf, sz, t);
}

int nni_ipc_listener_alloc(nng_stream_listener **lp, const nng_url *url) {
  ipc_listener *l;
  int rv;

  if ((l = NNI_ALLOC_STRUCT(l)) == NULL) {
    return NNG_ENOMEM;
  }
  if ((rv = ipc_address(url, &l->sa)) != 0) {
    NNI_FREE_STRUCT(l);
    return rv;
  }
  nni_mtx_init(&l->mtx);
  nni_aio_list_init(&l->aios);
  l->sl.sl_free = listener_free;
  l->sl.sl_close = listener_close;
  l->sl.sl_listen = listener_listen;
  l->sl.sl_accept = listener_accept;
  l->sl.sl_get = listener_get;
  l->sl.sl_set = listener_set;
  *lp = &l->sl;
  return 0;
}
