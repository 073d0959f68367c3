// What can be asked of a connection, and what can be set: NNG's options, and
// the connection itself.

#include "../conn_impl.h"
// After the system's others.
#include <mstcpip.h>

// Options that the headers of an older SDK lack.
#if !defined(TCP_KEEPIDLE)
#define TCP_KEEPIDLE 3
#endif
#if !defined(TCP_MAXRT)
#define TCP_MAXRT 5
#endif
#if !defined(TCP_MAXRTMS)
#define TCP_MAXRTMS 14
#endif
#if !defined(TCP_KEEPCNT)
#define TCP_KEEPCNT 16
#endif
#if !defined(TCP_KEEPINTVL)
#define TCP_KEEPINTVL 17
#endif

// What Windows has unless it is told otherwise, in ms.
#define DEFAULT_KEEP_ALIVE_DELAY (2 * 60 * 60 * 1000)
#define DEFAULT_KEEP_ALIVE_INTERVAL 1000

static int conn_get_self(void *arg, void *buf, size_t *szp, nni_type t) {
  return nni_copyout_ptr(arg, buf, szp, t);
}

static int ipc_get_addr(void *arg, void *buf, size_t *szp, nni_type t) {
  const conn *c = arg;

  return nni_copyout_sockaddr(&c->sa, buf, szp, t);
}

static int ipc_get_pid(void *arg, void *buf, size_t *szp, nni_type t) {
  const conn *c = arg;
  const HANDLE pipe = c->system.io->handle;
  ULONG pid;

  if (!(c->system.dialed ? GetNamedPipeServerProcessId(pipe, &pid)
                         : GetNamedPipeClientProcessId(pipe, &pid))) {
    return io_error(GetLastError());
  }
  return nni_copyout_u64(pid, buf, szp, t);
}

static int tcp_get_addr(conn *c,
                        int(WSAAPI *name)(SOCKET, struct sockaddr *, int *),
                        void *buf, size_t *szp, nni_type t) {
  SOCKADDR_STORAGE ss;
  int len = sizeof(ss);
  nng_sockaddr sa;

  if (name(io_socket(c->system.io), (struct sockaddr *)&ss, &len) != 0) {
    return io_error((DWORD)WSAGetLastError());
  }
  if (nni_win_sockaddr2nn(&sa, &ss) != 0) {
    return NNG_EADDRINVAL;
  }
  return nni_copyout_sockaddr(&sa, buf, szp, t);
}

static int tcp_get_remote(void *arg, void *buf, size_t *szp, nni_type t) {
  return tcp_get_addr(arg, getpeername, buf, szp, t);
}

static int tcp_get_local(void *arg, void *buf, size_t *szp, nni_type t) {
  return tcp_get_addr(arg, getsockname, buf, szp, t);
}

static int tcp_get_flag(conn *c, int level, int option, void *buf, size_t *szp,
                        nni_type t) {
  BOOL on = FALSE;
  int len = sizeof(on);

  if (getsockopt(io_socket(c->system.io), level, option, (char *)&on, &len) !=
      0) {
    return io_error((DWORD)WSAGetLastError());
  }
  return nni_copyout_bool(on != FALSE, buf, szp, t);
}

static int tcp_set_flag(conn *c, int level, int option, const void *buf,
                        size_t sz, nni_type t) {
  bool on;
  BOOL value;
  int rv;

  if ((rv = nni_copyin_bool(&on, buf, sz, t)) != 0 || c == NULL) {
    return rv;
  }
  value = on;
  if (setsockopt(io_socket(c->system.io), level, option, (const char *)&value,
                 sizeof(value)) != 0) {
    return io_error((DWORD)WSAGetLastError());
  }
  return 0;
}

static int tcp_get_nodelay(void *arg, void *buf, size_t *szp, nni_type t) {
  return tcp_get_flag(arg, IPPROTO_TCP, TCP_NODELAY, buf, szp, t);
}

static int tcp_set_nodelay(void *arg, const void *buf, size_t sz, nni_type t) {
  return tcp_set_flag(arg, IPPROTO_TCP, TCP_NODELAY, buf, sz, t);
}

static int tcp_get_keepalive(void *arg, void *buf, size_t *szp, nni_type t) {
  return tcp_get_flag(arg, SOL_SOCKET, SO_KEEPALIVE, buf, szp, t);
}

static int tcp_set_keepalive(void *arg, const void *buf, size_t sz,
                             nni_type t) {
  return tcp_set_flag(arg, SOL_SOCKET, SO_KEEPALIVE, buf, sz, t);
}

// Whether the system has it now: 0 asks for nothing.
static bool tcp_set_limit(SOCKET s, int option, int limit) {
  const DWORD value = (DWORD)limit;

  return limit == 0 || setsockopt(s, IPPROTO_TCP, option, (const char *)&value,
                                  sizeof(value)) == 0;
}

// Before version 1709 the delay and the interval are one setting, which also
// turns probing on, and the count is always ten.
static void tcp_set_keep_alive_times(SOCKET s,
                                     const nng_pair_conn_limits *limits) {
  struct tcp_keepalive times = {1, DEFAULT_KEEP_ALIVE_DELAY,
                                DEFAULT_KEEP_ALIVE_INTERVAL};
  DWORD n;

  if (limits->keep_alive_delay > 0) {
    times.keepalivetime = (ULONG)limits->keep_alive_delay;
  }
  if (limits->keep_alive_interval > 0) {
    times.keepaliveinterval = (ULONG)limits->keep_alive_interval;
  }
  (void)WSAIoctl(s, SIO_KEEPALIVE_VALS, &times, sizeof(times), NULL, 0, &n,
                 NULL, NULL);
}

void conn_set_limits(conn *c, const nng_pair_conn_limits *limits) {
  const SOCKET s = io_socket(c->system.io);

  if (!tcp_set_limit(s, TCP_KEEPIDLE, conn_seconds(limits->keep_alive_delay)) ||
      !tcp_set_limit(s, TCP_KEEPINTVL,
                     conn_seconds(limits->keep_alive_interval))) {
    tcp_set_keep_alive_times(s, limits);
  }
  (void)tcp_set_limit(s, TCP_KEEPCNT, limits->keep_alive_count);
  // Before version 1607 it is in seconds.
  if (!tcp_set_limit(s, TCP_MAXRTMS, limits->user_timeout)) {
    (void)tcp_set_limit(s, TCP_MAXRT, conn_seconds(limits->user_timeout));
  }
}

static const nni_option ipc_options[] = {
    {.o_name = NNG_PAIR_OPT_CONN, .o_get = conn_get_self},
    {.o_name = NNG_OPT_LOCADDR, .o_get = ipc_get_addr},
    {.o_name = NNG_OPT_REMADDR, .o_get = ipc_get_addr},
    {.o_name = NNG_OPT_IPC_PEER_PID, .o_get = ipc_get_pid},
    {.o_name = NULL},
};

static const nni_option tcp_options[] = {
    {.o_name = NNG_PAIR_OPT_CONN, .o_get = conn_get_self},
    {.o_name = NNG_OPT_REMADDR, .o_get = tcp_get_remote},
    {.o_name = NNG_OPT_LOCADDR, .o_get = tcp_get_local},
    {
        .o_name = NNG_OPT_TCP_NODELAY,
        .o_get = tcp_get_nodelay,
        .o_set = tcp_set_nodelay,
    },
    {
        .o_name = NNG_OPT_TCP_KEEPALIVE,
        .o_get = tcp_get_keepalive,
        .o_set = tcp_set_keepalive,
    },
    {.o_name = NULL},
};

int conn_get(void *arg, const char *name, void *buf, size_t *szp, nni_type t) {
  conn *c = arg;

  return nni_getopt(c->ipc ? ipc_options : tcp_options, name, c, buf, szp, t);
}

int conn_set(void *arg, const char *name, const void *buf, size_t sz,
             nni_type t) {
  conn *c = arg;

  return nni_setopt(c->ipc ? ipc_options : tcp_options, name, c, buf, sz, t);
}
