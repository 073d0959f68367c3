// Dialing over tcp, in place of NNG's win_tcpdial.c.
//
// Ownership. An attempt is the dialer's, in its list, until it has ended, was
// cancelled, or the dialer is closed; whoever takes it out of the list then
// completes its operation. Its io is the connection's if it succeeds. All of it
// is guarded by the engine's lock, which is the dialer's mutex.

#include <stdbool.h>

#include "../../stream/conn_impl.h"
#include "io.h"
#include "tcp_flags.h"
// After the system's others.
#include <mstcpip.h>

struct nni_tcp_dialer {
  tcp_flags flags;  // first
  nni_list attempts;
  SOCKADDR_STORAGE source;
  int source_size;
  bool closed;
};

typedef struct attempt {
  nni_list_node node;
  nni_tcp_dialer *dialer;
  nni_aio *aio;
  io *io;
} attempt;

int nni_tcp_dialer_init(nni_tcp_dialer **dp) {
  nni_tcp_dialer *d;

  if ((d = NNI_ALLOC_STRUCT(d)) == NULL) {
    return NNG_ENOMEM;
  }
  nni_mtx_init(&d->flags.mtx);
  NNI_LIST_INIT(&d->attempts, attempt, node);
  *dp = d;
  return 0;
}

// Under the mutex. Returns the operation, which is to be completed, and the io,
// which is to be released.
static nni_aio *take_out(attempt *a, io **ip) {
  nni_aio *aio = a->aio;

  nni_list_node_remove(&a->node);
  nni_aio_set_prov_extra(aio, 0, NULL);
  *ip = a->io;
  io_set(a->io, NULL, NULL, NULL);
  NNI_FREE_STRUCT(a);
  return aio;
}

void nni_tcp_dialer_close(nni_tcp_dialer *d) {
  attempt *a;

  nni_mtx_lock(&d->flags.mtx);
  d->closed = true;
  while ((a = nni_list_first(&d->attempts)) != NULL) {
    io *i;
    nni_aio *aio = take_out(a, &i);

    io_release(i);
    nni_aio_finish_error(aio, NNG_ECLOSED);
  }
  nni_mtx_unlock(&d->flags.mtx);
}

void nni_tcp_dialer_fini(nni_tcp_dialer *d) {
  nni_tcp_dialer_close(d);
  nni_mtx_fini(&d->flags.mtx);
  NNI_FREE_STRUCT(d);
}

static void cancel(nni_aio *aio, void *arg, int rv) {
  nni_tcp_dialer *d = arg;
  attempt *a;
  io *i;

  nni_mtx_lock(&d->flags.mtx);
  if ((a = nni_aio_get_prov_extra(aio, 0)) != NULL) {
    (void)take_out(a, &i);
    io_release(i);
    nni_aio_finish_error(aio, rv);
  }
  nni_mtx_unlock(&d->flags.mtx);
}

// Under the lock, on the engine's thread.
static void connected(void *arg, DWORD error, size_t n) {
  attempt *a = arg;
  const nni_tcp_dialer *d = a->dialer;
  nng_stream *stream = NULL;
  io *i;
  nni_aio *aio = take_out(a, &i);
  int rv = error == 0 ? 0 : io_error(error);

  NNI_ARG_UNUSED(n);
  // Until then the socket does not know that it is connected.
  if (rv == 0 && setsockopt(io_socket(i), SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT,
                            NULL, 0) != 0) {
    rv = io_error((DWORD)WSAGetLastError());
  }
  if (rv == 0) {
    rv =
        conn_open_tcp(i, true, d->flags.no_delay, d->flags.keep_alive, &stream);
  }
  if (rv != 0) {
    io_release(i);
    nni_aio_finish_error(aio, rv);
    return;
  }
  nni_aio_set_output(aio, 0, stream);
  nni_aio_finish(aio, 0, 0);
}

static bool is_loopback(const SOCKADDR_STORAGE *ss) {
  const SOCKADDR_IN *in = (const SOCKADDR_IN *)ss;
  const SOCKADDR_IN6 *in6 = (const SOCKADDR_IN6 *)ss;

  return ss->ss_family == AF_INET ? (ntohl(in->sin_addr.s_addr) >> 24) == 127
                                  : IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr) != 0;
}

// Windows asks a port of this machine again and again, for two seconds, before
// it says that nobody listens there. Where it cannot be told not to, it takes
// that long.
static void refuse_at_once(SOCKET s) {
#if defined(SIO_TCP_INITIAL_RTO)
  TCP_INITIAL_RTO_PARAMETERS once = {0};
  DWORD n;

  once.MaxSynRetransmissions = TCP_INITIAL_RTO_NO_SYN_RETRANSMISSIONS;
  (void)WSAIoctl(s, SIO_TCP_INITIAL_RTO, &once, sizeof(once), NULL, 0, &n, NULL,
                 NULL);
#else
  (void)s;
#endif
}

static int bind_source(const nni_tcp_dialer *d, SOCKET s, int family) {
  SOCKADDR_STORAGE any = {0};
  int rv;

  any.ss_family = (ADDRESS_FAMILY)family;
  if (d->source_size > 0) {
    rv = bind(s, (const struct sockaddr *)&d->source, d->source_size);
  } else {
    rv = bind(s, (const struct sockaddr *)&any,
              family == AF_INET ? sizeof(SOCKADDR_IN) : sizeof(SOCKADDR_IN6));
  }
  return rv == 0 ? 0 : io_error((DWORD)WSAGetLastError());
}

static int make_io(const nni_tcp_dialer *d, int family, bool loopback,
                   io **ip) {
  const SOCKET s = io_make_socket(family);
  const DWORD off = 0;
  int rv;

  if (s == INVALID_SOCKET) {
    return io_error((DWORD)WSAGetLastError());
  }
  if (family == AF_INET6) {
    // An address of IPv4 may be written as one of IPv6.
    (void)setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, (const char *)&off,
                     sizeof(off));
  }
  if ((rv = bind_source(d, s, family)) != 0 ||
      (rv = io_create(ip, (HANDLE)s, true)) != 0) {
    (void)closesocket(s);
    return rv;
  }
  if (loopback) {
    refuse_at_once(s);
  }
  return 0;
}

static DWORD start_connect(io *i, const SOCKADDR_STORAGE *ss, int size) {
  GUID id = WSAID_CONNECTEX;
  LPFN_CONNECTEX connect_ex;
  DWORD n;
  bool ok;

  if (WSAIoctl(io_socket(i), SIO_GET_EXTENSION_FUNCTION_POINTER, &id,
               sizeof(id), &connect_ex, sizeof(connect_ex), &n, NULL,
               NULL) != 0) {
    return (DWORD)WSAGetLastError();
  }
  ok = connect_ex(io_socket(i), (const struct sockaddr *)ss, size, NULL, 0,
                  NULL, io_start(&i->out)) != 0;
  return io_started(&i->out, ok, (DWORD)WSAGetLastError());
}

// Under the mutex.
static int start(nni_tcp_dialer *d, const SOCKADDR_STORAGE *ss, int size,
                 nni_aio *aio) {
  attempt *a;
  DWORD error;
  int rv;

  if (d->closed) {
    return NNG_ECLOSED;
  }
  if ((a = NNI_ALLOC_STRUCT(a)) == NULL) {
    return NNG_ENOMEM;
  }
  NNI_LIST_NODE_INIT(&a->node);
  a->dialer = d;
  a->aio = aio;
  if ((rv = make_io(d, ss->ss_family, is_loopback(ss), &a->io)) != 0) {
    NNI_FREE_STRUCT(a);
    return rv;
  }
  io_set(a->io, NULL, connected, a);
  if ((rv = nni_aio_schedule(aio, cancel, d)) == 0 &&
      (error = start_connect(a->io, ss, size)) != ERROR_IO_PENDING) {
    rv = io_error(error);
  }
  if (rv != 0) {
    io_release(a->io);
    NNI_FREE_STRUCT(a);
    return rv;
  }
  nni_aio_set_prov_extra(aio, 0, a);
  nni_list_append(&d->attempts, a);
  return 0;
}

void nni_tcp_dial(nni_tcp_dialer *d, const nni_sockaddr *sa, nni_aio *aio) {
  SOCKADDR_STORAGE ss;
  int size;
  int rv;

  if (nni_aio_begin(aio) != 0) {
    return;
  }
  if ((size = nni_win_nn2sockaddr(&ss, sa)) <= 0) {
    nni_aio_finish_error(aio, NNG_EADDRINVAL);
    return;
  }
  nni_mtx_lock(&d->flags.mtx);
  nni_aio_set_prov_extra(aio, 0, NULL);
  rv = start(d, &ss, size, aio);
  nni_mtx_unlock(&d->flags.mtx);
  if (rv != 0) {
    nni_aio_finish_error(aio, rv);
  }
}

// Options.

static int set_source(void *arg, const void *buf, size_t sz, nni_type t) {
  nni_tcp_dialer *d = arg;
  SOCKADDR_STORAGE ss;
  nng_sockaddr sa;
  int size;
  int rv;

  if ((rv = nni_copyin_sockaddr(&sa, buf, sz, t)) != 0) {
    return rv;
  }
  if ((size = nni_win_nn2sockaddr(&ss, &sa)) <= 0) {
    return NNG_EADDRINVAL;
  }
  if (d != NULL) {
    nni_mtx_lock(&d->flags.mtx);
    d->source = ss;
    d->source_size = size;
    nni_mtx_unlock(&d->flags.mtx);
  }
  return 0;
}

static const nni_option options[] = {
    {.o_name = NNG_OPT_LOCADDR, .o_set = set_source},
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

int nni_tcp_dialer_get(nni_tcp_dialer *d, const char *name, void *buf,
                       size_t *szp, nni_type t) {
  return nni_getopt(options, name, d, buf, szp, t);
}

int nni_tcp_dialer_set(nni_tcp_dialer *d, const char *name, const void *buf,
                       size_t sz, nni_type t) {
  return nni_setopt(options, name, d, buf, sz, t);
}
