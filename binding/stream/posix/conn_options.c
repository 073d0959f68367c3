// What can be asked of a connection, and what can be set: NNG's options, and
// the connection itself.

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "../conn_impl.h"
#if defined(__APPLE__)
#include <sys/ucred.h>
#include <sys/un.h>
#endif

// The descriptor is valid as long as the connection is.

static int conn_get_self(void *arg, void *buf, size_t *szp, nni_type t) {
  return (nni_copyout_ptr(arg, buf, szp, t));
}

static int ipc_get_addr(void *arg, void *buf, size_t *szp, nni_type t) {
  conn *c = arg;

  return (nni_copyout_sockaddr(&c->sa, buf, szp, t));
}

typedef struct {
  uint64_t pid;
  uint64_t uid;
  uint64_t gid;
} credentials;

static int ipc_credentials(conn *c, credentials *cred) {
  int fd = nni_posix_pfd_fd(c->system.pfd);
#if defined(__linux__)
  struct ucred uc;
  socklen_t len = sizeof(uc);

  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &uc, &len) != 0) {
    return (conn_errno(errno));
  }
  cred->pid = (uint64_t)uc.pid;
  cred->uid = uc.uid;
  cred->gid = uc.gid;
  return (0);
#elif defined(__APPLE__)
  struct xucred xu;
  pid_t pid;
  socklen_t len = sizeof(xu);

  if (getsockopt(fd, SOL_LOCAL, LOCAL_PEERCRED, &xu, &len) != 0) {
    return (conn_errno(errno));
  }
  len = sizeof(pid);
  if (getsockopt(fd, SOL_LOCAL, LOCAL_PEERPID, &pid, &len) != 0) {
    return (conn_errno(errno));
  }
  cred->pid = (uint64_t)pid;
  cred->uid = xu.cr_uid;
  cred->gid = xu.cr_gid;
  return (0);
#else
  NNI_ARG_UNUSED(fd);
  NNI_ARG_UNUSED(cred);
  return (NNG_ENOTSUP);
#endif
}

static int ipc_get_pid(void *arg, void *buf, size_t *szp, nni_type t) {
  credentials cred = {0};
  int rv = ipc_credentials(arg, &cred);

  return (rv != 0 ? rv : nni_copyout_u64(cred.pid, buf, szp, t));
}

static int ipc_get_uid(void *arg, void *buf, size_t *szp, nni_type t) {
  credentials cred = {0};
  int rv = ipc_credentials(arg, &cred);

  return (rv != 0 ? rv : nni_copyout_u64(cred.uid, buf, szp, t));
}

static int ipc_get_gid(void *arg, void *buf, size_t *szp, nni_type t) {
  credentials cred = {0};
  int rv = ipc_credentials(arg, &cred);

  return (rv != 0 ? rv : nni_copyout_u64(cred.gid, buf, szp, t));
}

static int tcp_get_addr(conn *c,
                        int (*name)(int, struct sockaddr *, socklen_t *),
                        void *buf, size_t *szp, nni_type t) {
  struct sockaddr_storage ss;
  socklen_t len = sizeof(ss);
  nng_sockaddr sa;
  int rv;

  if (name(nni_posix_pfd_fd(c->system.pfd), (struct sockaddr *)&ss, &len) !=
      0) {
    return (conn_errno(errno));
  }
  if ((rv = nni_posix_sockaddr2nn(&sa, &ss, len)) != 0) {
    return (rv);
  }
  return (nni_copyout_sockaddr(&sa, buf, szp, t));
}

static int tcp_get_remote(void *arg, void *buf, size_t *szp, nni_type t) {
  return (tcp_get_addr(arg, getpeername, buf, szp, t));
}

static int tcp_get_local(void *arg, void *buf, size_t *szp, nni_type t) {
  return (tcp_get_addr(arg, getsockname, buf, szp, t));
}

static int tcp_get_flag(conn *c, int level, int opt, void *buf, size_t *szp,
                        nni_type t) {
  int val = 0;
  socklen_t len = sizeof(val);

  if (getsockopt(nni_posix_pfd_fd(c->system.pfd), level, opt, &val, &len) !=
      0) {
    return (conn_errno(errno));
  }
  return (nni_copyout_bool(val != 0, buf, szp, t));
}

static int tcp_set_flag(conn *c, int level, int opt, const void *buf, size_t sz,
                        nni_type t) {
  bool on;
  int val;
  int rv;

  if (((rv = nni_copyin_bool(&on, buf, sz, t)) != 0) || (c == NULL)) {
    return (rv);
  }
  val = on ? 1 : 0;
  if (setsockopt(nni_posix_pfd_fd(c->system.pfd), level, opt, &val,
                 sizeof(val)) != 0) {
    return (conn_errno(errno));
  }
  return (0);
}

static int tcp_get_nodelay(void *arg, void *buf, size_t *szp, nni_type t) {
  return (tcp_get_flag(arg, IPPROTO_TCP, TCP_NODELAY, buf, szp, t));
}

static int tcp_set_nodelay(void *arg, const void *buf, size_t sz, nni_type t) {
  return (tcp_set_flag(arg, IPPROTO_TCP, TCP_NODELAY, buf, sz, t));
}

static int tcp_get_keepalive(void *arg, void *buf, size_t *szp, nni_type t) {
  return (tcp_get_flag(arg, SOL_SOCKET, SO_KEEPALIVE, buf, szp, t));
}

static int tcp_set_keepalive(void *arg, const void *buf, size_t sz,
                             nni_type t) {
  return (tcp_set_flag(arg, SOL_SOCKET, SO_KEEPALIVE, buf, sz, t));
}

// macOS has its own names, and counts the user timeout in seconds.
#if defined(__APPLE__)
#define KEEP_ALIVE_DELAY TCP_KEEPALIVE
#else
#define KEEP_ALIVE_DELAY TCP_KEEPIDLE
#endif

static void tcp_set_limit(int fd, int opt, int val) {
  if (val > 0) {
    (void)setsockopt(fd, IPPROTO_TCP, opt, &val, sizeof(val));
  }
}

void conn_set_limits(conn *c, const nng_pair_conn_limits *limits) {
  int fd = nni_posix_pfd_fd(c->system.pfd);

  tcp_set_limit(fd, KEEP_ALIVE_DELAY, conn_seconds(limits->keep_alive_delay));
  tcp_set_limit(fd, TCP_KEEPINTVL, conn_seconds(limits->keep_alive_interval));
  tcp_set_limit(fd, TCP_KEEPCNT, limits->keep_alive_count);
#if defined(TCP_USER_TIMEOUT)
  tcp_set_limit(fd, TCP_USER_TIMEOUT, limits->user_timeout);
#elif defined(__APPLE__)
  tcp_set_limit(fd, TCP_RXT_CONNDROPTIME, conn_seconds(limits->user_timeout));
#endif
}

static const nni_option ipc_options[] = {
    {.o_name = NNG_PAIR_OPT_CONN, .o_get = conn_get_self},
    {.o_name = NNG_OPT_LOCADDR, .o_get = ipc_get_addr},
    {.o_name = NNG_OPT_REMADDR, .o_get = ipc_get_addr},
    {.o_name = NNG_OPT_IPC_PEER_PID, .o_get = ipc_get_pid},
    {.o_name = NNG_OPT_IPC_PEER_UID, .o_get = ipc_get_uid},
    {.o_name = NNG_OPT_IPC_PEER_GID, .o_get = ipc_get_gid},
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

  return (nni_getopt(c->ipc ? ipc_options : tcp_options, name, c, buf, szp, t));
}

int conn_set(void *arg, const char *name, const void *buf, size_t sz,
             nni_type t) {
  conn *c = arg;

  return (nni_setopt(c->ipc ? ipc_options : tcp_options, name, c, buf, sz, t));
}
