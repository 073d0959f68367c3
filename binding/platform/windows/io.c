// The engine's completion port: it is the poller on Windows (engine_impl.h), in
// place of NNG's win_io.c and its threads.
//
// There is no descriptor that a loop could watch, so on Windows the engine runs
// on a thread of its own, which waits in poller_wait.

#include "io.h"

#include <stdatomic.h>

#define LOOK_ENTRIES 64

struct poller {
  HANDLE port;
  atomic_bool signalled;  // there is an empty entry, or about to be
  atomic_ullong alarm;    // a time of nni_clock(), or NNI_TIME_NEVER
  bool rang;
  // What poller_wait has taken from the port, for the next poller_look.
  OVERLAPPED_ENTRY taken[LOOK_ENTRIES];
  ULONG count;
  nni_list released;  // with operations under way
};

poller *poller_create(void) {
  poller *p;

  if ((p = NNI_ALLOC_STRUCT(p)) == NULL) {
    return NULL;
  }
  atomic_init(&p->alarm, NNI_TIME_NEVER);
  NNI_LIST_INIT(&p->released, io, node);
  // One thread at a time takes from it.
  p->port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
  if (p->port == NULL) {
    NNI_FREE_STRUCT(p);
    return NULL;
  }
  return p;
}

static bool op_is_over(const io_op *op) {
  return !op->pending || HasOverlappedIoCompleted(&op->overlapped);
}

static void io_free(io *i) {
  io_forget_copy(i);
  if (i->event != NULL) {
    (void)CloseHandle(i->event);
  }
  NNI_FREE_STRUCT(i);
}

// Nobody refers to the engine any more.
void poller_destroy(poller *p) {
  io *i;

  // No entry is taken after this.
  (void)CloseHandle(p->port);
  while ((i = nni_list_first(&p->released)) != NULL) {
    // Their handles are closed, so this takes no time.
    while (!op_is_over(&i->in) || !op_is_over(&i->out)) {
      Sleep(1);
    }
    nni_list_remove(&p->released, i);
    io_free(i);
  }
  NNI_FREE_STRUCT(p);
}

int poller_fd(poller *p) {
  (void)p;
  return -1;
}

void poller_signal(poller *p) {
  if (!atomic_exchange(&p->signalled, true)) {
    (void)PostQueuedCompletionStatus(p->port, 0, 0, NULL);
  }
}

void poller_alarm(poller *p, nni_time when) {
  atomic_store(&p->alarm, when);
  poller_signal(p);  // to wait for that
}

bool poller_rang(poller *p) {
  const bool rang = p->rang;

  p->rang = false;
  return rang;
}

void poller_wait(poller *p) {
  const nni_time alarm = atomic_load(&p->alarm);
  const nni_time now = nni_clock();
  DWORD limit = INFINITE;

  if (p->count > 0) {
    return;
  }
  if (alarm != NNI_TIME_NEVER) {
    limit = alarm <= now                       ? 0
            : alarm - now < (nni_time)INFINITE ? (DWORD)(alarm - now)
                                               : INFINITE - 1;
  }
  if (!GetQueuedCompletionStatusEx(p->port, p->taken, LOOK_ENTRIES, &p->count,
                                   limit, FALSE)) {
    p->count = 0;
  }
}

static void op_completed(poller *p, io_op *op) {
  io *i = op->io;
  DWORD error = 0;
  DWORD flags;
  DWORD n = 0;

  op->pending = false;
  i->pending--;
  if (i->released) {
    if (i->pending == 0) {
      nni_list_remove(&p->released, i);
      io_free(i);
    }
    return;
  }
  if (i->closed) {
    return;
  }
  if (i->is_socket) {
    if (!WSAGetOverlappedResult(io_socket(i), &op->overlapped, &n, FALSE,
                                &flags)) {
      error = (DWORD)WSAGetLastError();
    }
  } else if (!GetOverlappedResult(i->handle, &op->overlapped, &n, FALSE)) {
    error = GetLastError();
  }
  op->done(i->arg, error, n);
}

static void complete_taken(poller *p) {
  const ULONG count = p->count;

  p->count = 0;
  for (ULONG k = 0; k < count; k++) {
    OVERLAPPED *overlapped = p->taken[k].lpOverlapped;

    if (overlapped == NULL) {
      atomic_store(&p->signalled, false);
    } else {
      // It is the first of an operation's.
      op_completed(p, (io_op *)overlapped);
    }
  }
}

bool poller_look(poller *p) {
  bool full;

  complete_taken(p);
  if (!GetQueuedCompletionStatusEx(p->port, p->taken, LOOK_ENTRIES, &p->count,
                                   0, FALSE)) {
    p->count = 0;
  }
  full = p->count == LOOK_ENTRIES;
  complete_taken(p);
  if (atomic_load(&p->alarm) <= nni_clock()) {
    atomic_store(&p->alarm, NNI_TIME_NEVER);
    p->rang = true;
  }
  return full;
}

// Handles.

int io_create(io **ip, HANDLE handle, bool is_socket) {
  engine *e = engine_current();
  io *i;

  if (e == NULL) {
    nni_panic("a handle was made outside of an engine");
  }
  if ((i = NNI_ALLOC_STRUCT(i)) == NULL) {
    return NNG_ENOMEM;
  }
  if (CreateIoCompletionPort(handle, e->poller->port, 0, 0) == NULL) {
    NNI_FREE_STRUCT(i);
    return io_error(GetLastError());
  }
  i->handle = handle;
  i->is_socket = is_socket;
  // Not with sockets: where others have put themselves in between, the mode
  // does not do what it says.
  i->quiet = !is_socket && SetFileCompletionNotificationModes(
                               handle, FILE_SKIP_COMPLETION_PORT_ON_SUCCESS);
  i->in.io = i;
  i->out.io = i;
  NNI_LIST_NODE_INIT(&i->node);
  i->engine = e;
  engine_hold(e);
  *ip = i;
  return 0;
}

SOCKET io_make_socket(int family) {
  u_long on = 1;
  const SOCKET s = WSASocketW(family, SOCK_STREAM, IPPROTO_TCP, NULL, 0,
                              WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);

  if (s != INVALID_SOCKET && ioctlsocket(s, FIONBIO, &on) != 0) {
    (void)closesocket(s);
    return INVALID_SOCKET;
  }
  return s;
}

void io_set(io *i, io_done in, io_done out, void *arg) {
  i->in.done = in;
  i->out.done = out;
  i->arg = arg;
}

SOCKET io_socket(const io *i) { return (SOCKET)i->handle; }

void io_close(io *i) {
  if (i->closed) {
    return;
  }
  i->closed = true;
  if (i->pending > 0) {
    (void)CancelIoEx(i->handle, NULL);
  }
  if (i->is_socket) {
    (void)closesocket(io_socket(i));
  } else {
    (void)CloseHandle(i->handle);
  }
}

void io_release(io *i) {
  engine *e = i->engine;

  lock_acquire(e->lock);
  io_close(i);
  if (i->pending > 0) {
    i->released = true;
    nni_list_append(&e->poller->released, i);
  } else {
    io_free(i);
  }
  lock_release(e->lock);
  engine_drop(e);
}

void *io_make_copy(io *i, size_t size) {
  if ((i->copy = nni_alloc(size)) != NULL) {
    i->copied = size;
  }
  return i->copy;
}

void io_forget_copy(io *i) {
  if (i->copy != NULL) {
    nni_free(i->copy, i->copied);
    i->copy = NULL;
    i->copied = 0;
  }
}

OVERLAPPED *io_start(io_op *op) {
  NNI_ASSERT(!op->pending);
  ZeroMemory(&op->overlapped, sizeof(op->overlapped));
  op->pending = true;
  op->io->pending++;
  return &op->overlapped;
}

DWORD io_started(io_op *op, bool succeeded, DWORD error) {
  if ((succeeded && !op->io->quiet) ||
      (!succeeded && error == ERROR_IO_PENDING)) {
    return ERROR_IO_PENDING;
  }
  op->pending = false;
  op->io->pending--;
  return succeeded ? 0 : error;
}

int io_error(DWORD error) {
  int rv;

  switch (error) {
    case ERROR_NETNAME_DELETED:  // what a reset looks like to an operation
    case WSAECONNRESET:
    case WSAECONNABORTED:
      return NNG_ECONNRESET;
    case ERROR_BROKEN_PIPE:
    case ERROR_NO_DATA:
    case ERROR_PIPE_NOT_CONNECTED:
    case ERROR_BAD_PIPE:
    case WSAESHUTDOWN:
    case WSAEDISCON:
      return NNG_ECONNSHUT;
    case ERROR_SEM_TIMEOUT:  // what a dead network looks like
      return NNG_ETIMEDOUT;
    case ERROR_PIPE_BUSY:
      return NNG_EAGAIN;
    case ERROR_CONNECTION_ABORTED:
      return NNG_ECONNABORTED;
    case ERROR_NETWORK_UNREACHABLE:
    case ERROR_HOST_UNREACHABLE:
    case ERROR_PORT_UNREACHABLE:
      return NNG_EUNREACHABLE;
    case ERROR_NO_SYSTEM_RESOURCES:
    case ERROR_COMMITMENT_LIMIT:
      return NNG_ENOMEM;
    case WSAEMFILE:
    case ERROR_TOO_MANY_OPEN_FILES:
      return NNG_ENOFILES;
    default:
      rv = nni_win_error((int)error);
      return rv == NNG_ECLOSED ? NNG_ECONNSHUT : rv;
  }
}
