// Listening over tcp, in place of NNG's win_tcplisten.c.
//
// While there is somebody to accept for, one socket waits in the system to be
// connected. If nobody is left when it is, it waits here for the next who asks.
//
// Ownership. The transport's endpoint owns the listener and calls close, then
// fini. The listener owns its io and the socket that waits; an accepted one is
// its connection's. The mutex is the engine's lock.

#include <stdbool.h>

#include "../../stream/conn_impl.h"
#include "io.h"
#include "tcp_flags.h"

#define BACKLOG 128

// Where AcceptEx writes both addresses, each with sixteen bytes to spare, as
// late as it likes: so it is the io's memory.
#define ADDRESS_SIZE (sizeof(SOCKADDR_STORAGE) + 16)

struct nni_tcp_listener {
  tcp_flags flags;  // first
  io *io;
  int family;
  nni_list aios;
  SOCKET socket;   // that waits, or is connected; or INVALID_SOCKET
  bool connected;  // which of both
  bool started;
  bool closed;
  LPFN_ACCEPTEX accept_ex;
};

int nni_tcp_listener_init(nni_tcp_listener **lp) {
  nni_tcp_listener *l;

  if ((l = NNI_ALLOC_STRUCT(l)) == NULL) {
    return NNG_ENOMEM;
  }
  nni_mtx_init(&l->flags.mtx);
  nni_aio_list_init(&l->aios);
  l->socket = INVALID_SOCKET;
  *lp = l;
  return 0;
}

static void drop_socket(nni_tcp_listener *l) {
  if (l->socket != INVALID_SOCKET) {
    (void)closesocket(l->socket);
    l->socket = INVALID_SOCKET;
  }
  l->connected = false;
}

void nni_tcp_listener_close(nni_tcp_listener *l) {
  nni_aio *aio;

  nni_mtx_lock(&l->flags.mtx);
  if (!l->closed) {
    l->closed = true;
    while ((aio = nni_list_first(&l->aios)) != NULL) {
      nni_aio_list_remove(aio);
      nni_aio_finish_error(aio, NNG_ECLOSED);
    }
    if (l->io != NULL) {
      io_close(l->io);
    }
    drop_socket(l);
  }
  nni_mtx_unlock(&l->flags.mtx);
}

void nni_tcp_listener_fini(nni_tcp_listener *l) {
  nni_tcp_listener_close(l);
  if (l->io != NULL) {
    io_release(l->io);
  }
  nni_mtx_fini(&l->flags.mtx);
  NNI_FREE_STRUCT(l);
}

// Accepting, under the mutex.

// Makes a connection of the socket that is connected.
static int make_connection(nni_tcp_listener *l, nng_stream **sp) {
  const SOCKET listening = io_socket(l->io);
  io *i;
  int rv;

  // Until then the socket does not know whom it is connected to.
  if (setsockopt(l->socket, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT,
                 (const char *)&listening, sizeof(listening)) != 0) {
    rv = io_error((DWORD)WSAGetLastError());
    drop_socket(l);
    return rv;
  }
  if ((rv = io_create(&i, (HANDLE)l->socket, true)) != 0) {
    drop_socket(l);
    return rv;
  }
  l->socket = INVALID_SOCKET;
  l->connected = false;
  if ((rv = conn_open_tcp(i, false, l->flags.no_delay, l->flags.keep_alive,
                          sp)) != 0) {
    io_release(i);
  }
  return rv;
}

// Lets the system connect a fresh socket. ERROR_IO_PENDING: that is under way.
static DWORD start_accept(nni_tcp_listener *l) {
  DWORD n;
  bool ok;

  if ((l->socket = io_make_socket(l->family)) == INVALID_SOCKET) {
    return (DWORD)WSAGetLastError();
  }
  ok = l->accept_ex(io_socket(l->io), l->socket, l->io->copy, 0, ADDRESS_SIZE,
                    ADDRESS_SIZE, &n, io_start(&l->io->in)) != 0;
  return io_started(&l->io->in, ok, (DWORD)WSAGetLastError());
}

static void go_on(nni_tcp_listener *l) {
  nni_aio *aio;

  while (!l->closed && (aio = nni_list_first(&l->aios)) != NULL) {
    nng_stream *stream = NULL;
    DWORD error;
    int rv;

    if (l->connected) {
      rv = make_connection(l, &stream);
      if (rv == NNG_ECONNRESET || rv == NNG_ECONNSHUT) {
        continue;  // that client is gone, the next may not be
      }
    } else if (l->io->in.pending ||
               (error = start_accept(l)) == ERROR_IO_PENDING) {
      return;
    } else {
      drop_socket(l);
      rv = io_error(error);
    }
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
  nni_tcp_listener *l = arg;

  NNI_ARG_UNUSED(n);
  if (error != 0) {
    drop_socket(l);  // a client that has left again
  } else {
    l->connected = true;
  }
  go_on(l);
}

static void cancel(nni_aio *aio, void *arg, int rv) {
  nni_tcp_listener *l = arg;

  nni_mtx_lock(&l->flags.mtx);
  if (nni_aio_list_active(aio)) {
    nni_aio_list_remove(aio);
    nni_aio_finish_error(aio, rv);
  }
  nni_mtx_unlock(&l->flags.mtx);
}

void nni_tcp_listener_accept(nni_tcp_listener *l, nni_aio *aio) {
  int rv;

  if (nni_aio_begin(aio) != 0) {
    return;
  }
  nni_mtx_lock(&l->flags.mtx);
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
  nni_mtx_unlock(&l->flags.mtx);
}

// Listening.

static int find_accept(nni_tcp_listener *l, SOCKET s) {
  GUID id = WSAID_ACCEPTEX;
  DWORD n;

  return WSAIoctl(s, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof(id),
                  &l->accept_ex, sizeof(l->accept_ex), &n, NULL, NULL) == 0
             ? 0
             : io_error((DWORD)WSAGetLastError());
}

static int bind_and_listen(SOCKET s, const SOCKADDR_STORAGE *ss, int size) {
  const DWORD off = 0;

  // All addresses are those of IPv4 as well, as elsewhere.
  if (ss->ss_family == AF_INET6) {
    (void)setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, (const char *)&off,
                     sizeof(off));
  }
  // Neither SO_REUSEADDR, by which any program could take the port as well, nor
  // SO_EXCLUSIVEADDRUSE, which keeps a listener from the port that it has just
  // left: as in node:net.
  if (bind(s, (const struct sockaddr *)ss, size) == 0 &&
      listen(s, BACKLOG) == 0) {
    return 0;
  }
  // What Windows says of a port that is another program's alone.
  return WSAGetLastError() == WSAEACCES ? NNG_EADDRINUSE
                                        : io_error((DWORD)WSAGetLastError());
}

static int start(nni_tcp_listener *l, const SOCKADDR_STORAGE *ss, int size) {
  SOCKET s;
  int rv;

  if (l->closed || l->started) {
    return l->closed ? NNG_ECLOSED : NNG_ESTATE;
  }
  if ((s = io_make_socket(ss->ss_family)) == INVALID_SOCKET) {
    return io_error((DWORD)WSAGetLastError());
  }
  if ((rv = bind_and_listen(s, ss, size)) != 0 ||
      (rv = find_accept(l, s)) != 0 ||
      (rv = io_create(&l->io, (HANDLE)s, true)) != 0) {
    (void)closesocket(s);
    return rv;
  }
  if (io_make_copy(l->io, 2 * ADDRESS_SIZE) == NULL) {
    io_release(l->io);
    l->io = NULL;
    return NNG_ENOMEM;
  }
  io_set(l->io, accepted, NULL, l);
  l->family = ss->ss_family;
  l->started = true;
  return 0;
}

int nni_tcp_listener_listen(nni_tcp_listener *l, const nni_sockaddr *sa) {
  SOCKADDR_STORAGE ss;
  int size;
  int rv;

  if ((size = nni_win_nn2sockaddr(&ss, sa)) <= 0) {
    return NNG_EADDRINVAL;
  }
  nni_mtx_lock(&l->flags.mtx);
  rv = start(l, &ss, size);
  nni_mtx_unlock(&l->flags.mtx);
  return rv;
}

// Options.

static int get_address(void *arg, void *buf, size_t *szp, nni_type t) {
  nni_tcp_listener *l = arg;
  SOCKADDR_STORAGE ss;
  int size = sizeof(ss);
  nng_sockaddr sa;

  sa.s_family = NNG_AF_UNSPEC;
  nni_mtx_lock(&l->flags.mtx);
  if (l->started && !l->closed &&
      getsockname(io_socket(l->io), (struct sockaddr *)&ss, &size) == 0) {
    (void)nni_win_sockaddr2nn(&sa, &ss);
  }
  nni_mtx_unlock(&l->flags.mtx);
  return nni_copyout_sockaddr(&sa, buf, szp, t);
}

static const nni_option options[] = {
    {.o_name = NNG_OPT_LOCADDR, .o_get = get_address},
    {
        .o_name = NNG_OPT_TCP_NODELAY,
        .o_get = tcp_flags_get_no_delay,
        .o_set = tcp_flags_set_no_delay,
    },
    {
        .o_name = NNG_OPT_TCP_KEEPALIVE,
        .o_get = tcp_flags_get_keep_alive,
        .o_set = tcp_flags_set_keep_alive,
    },
    {.o_name = NULL},
};

int nni_tcp_listener_get(nni_tcp_listener *l, const char *name, void *buf,
                         size_t *szp, nni_type t) {
  return nni_getopt(options, name, l, buf, szp, t);
}

int nni_tcp_listener_set(nni_tcp_listener *l, const char *name, const void *buf,
                         size_t sz, nni_type t) {
  return nni_setopt(options, name, l, buf, sz, t);
}
