// The connection under NNG's tcp and ipc transports, in place of NNG's
// posix_tcpconn.c and posix_ipcconn.c: one implementation for both.
//
// What it promises, beyond NNG's own:
//
//  - Every operation that is submitted completes, exactly once, with a
//    callback, also when its aio is already closed or stopped (fault A: NNG
//    drops such an operation, and whoever waits for it waits for ever).
//  - The peer's doing is never reported as NNG_ECLOSED, which a listener
//    takes for its own end (fault B).
//  - Bytes that have reached this side's kernel are delivered before the
//    error that followed them, also when it is a send that finds out.
//
// Ownership: the transport's pipe owns the connection and calls close, then
// free, once. free hands it to NNG's reaper thread, the only place where the
// descriptor is closed, since that has to wait for the poller. The mutex
// guards everything in the struct; it is a leaf but for the poller's own and
// for completing aios (which dispatches them, never runs them here).

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/nng_impl.h"
#if defined(__linux__)
#include <linux/sockios.h>
#elif defined(__APPLE__)
#include <sys/ucred.h>
#include <sys/un.h>
#endif

#include "conn.h"
#include "platform/posix/posix_ipc.h"
#include "platform/posix/posix_tcp.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

// Both sides send this much before anything else: the SP header.
#define SP_HEADER_SIZE 8

typedef struct conn {
  // What NNG's dialers and listeners see of us. Of these only stream,
  // dial_aio and dialer are used; the rest of the state is below.
  union {
    nng_stream stream;
    nni_tcp_conn tcp;
    nni_ipc_conn ipc;
  } base;
  bool ipc;
  nni_sockaddr sa;  // ipc: the path, which both ends have in common
  nni_posix_pfd *pfd;
  nni_mtx mtx;
  nni_list readq;
  nni_list writeq;
  uint64_t bytes_read;
  uint64_t bytes_written;
  int read_error;   // the end of the incoming bytes, for good
  int write_error;  // nothing more can be written: the connection broke
  bool finished;    // nothing more will be written: we half-closed it
  bool closed;      // by us
  nni_reap_node reap;
} conn;

static int conn_errno(int err) {
  int rv = nni_plat_errno(err);

  return (rv == NNG_ECLOSED ? NNG_ECONNSHUT : rv);
}

static bool conn_shaken(const conn *c) {
  return ((c->bytes_read >= SP_HEADER_SIZE) &&
          (c->bytes_written >= SP_HEADER_SIZE));
}

// The peer has hung up. In the handshake that is a reset, after which the
// listener goes on at once, without a pause.
static int conn_hangup(const conn *c) {
  return (conn_shaken(c) ? NNG_ECONNSHUT : NNG_ECONNRESET);
}

static void conn_fail_list(nni_list *list, int rv) {
  nni_aio *aio;

  while ((aio = nni_list_first(list)) != NULL) {
    nni_aio_list_remove(aio);
    nni_aio_finish_error(aio, rv);
  }
}

// The incoming bytes have ended: there is nothing left to protect, so sends
// that were held back fail as well.
static void conn_end(conn *c, int rv) {
  c->read_error = rv;
  if (c->write_error == 0) {
    c->write_error = rv;
  }
  conn_fail_list(&c->readq, rv);
  conn_fail_list(&c->writeq, c->write_error);
}

// Copies the non-empty parts of an aio's vector; returns how many, or -1.
static int conn_iov(nni_aio *aio, struct iovec *iov, int max) {
  unsigned count;
  nni_iov *from;
  int n = 0;

  nni_aio_get_iov(aio, &count, &from);
  for (unsigned i = 0; i < count; i++) {
    if (from[i].iov_len == 0) {
      continue;
    }
    if (n == max) {
      return (-1);
    }
    iov[n].iov_base = from[i].iov_buf;
    iov[n].iov_len = from[i].iov_len;
    n++;
  }
  return (n);
}

static void conn_complete(nni_aio *aio, size_t n) {
  nni_aio_bump_count(aio, n);
  nni_aio_list_remove(aio);
  nni_aio_finish(aio, 0, nni_aio_count(aio));
}

static void conn_read(conn *c) {
  nni_aio *aio;
  struct iovec iov[16];
  ssize_t n;
  int niov;

  while ((aio = nni_list_first(&c->readq)) != NULL) {
    if (c->read_error != 0) {
      conn_fail_list(&c->readq, c->read_error);
      return;
    }
    if ((niov = conn_iov(aio, iov, 16)) <= 0) {
      nni_aio_list_remove(aio);
      nni_aio_finish_error(aio, NNG_EINVAL);
      continue;
    }
    n = readv(nni_posix_pfd_fd(c->pfd), iov, niov);
    if (n > 0) {
      c->bytes_read += (uint64_t)n;
      conn_complete(aio, (size_t)n);
    } else if (n == 0) {
      conn_end(c, conn_hangup(c));
    } else if ((errno == EAGAIN) || (errno == EWOULDBLOCK)) {
      // Nothing more can come to a connection that broke.
      if (c->write_error != 0) {
        conn_end(c, c->write_error);
      }
      return;
    } else if (errno != EINTR) {
      conn_end(c, conn_errno(errno));
    }
  }
}

// A send has failed. The peer may have left messages behind, which the
// protocol loses once it hears of the failure: hold sends back until they
// have been read (conn_end). Not in the handshake, where nobody reads before
// the header is sent.
static void conn_write_failed(conn *c, int rv) {
  char byte;

  c->write_error = rv;
  if (conn_shaken(c)) {
    conn_read(c);
    if ((c->read_error != 0) || (recv(nni_posix_pfd_fd(c->pfd), &byte, 1,
                                      MSG_PEEK | MSG_DONTWAIT) > 0)) {
      return;
    }
  }
  conn_end(c, rv);
}

static void conn_write(conn *c) {
  nni_aio *aio;
  struct iovec iov[16];
  struct msghdr hdr;
  ssize_t n;
  int niov;

  while ((aio = nni_list_first(&c->writeq)) != NULL) {
    if (c->finished || (c->write_error != 0)) {
      if (c->read_error != 0) {
        conn_fail_list(&c->writeq, c->write_error);
      }
      return;
    }
    if ((niov = conn_iov(aio, iov, 16)) <= 0) {
      nni_aio_list_remove(aio);
      nni_aio_finish_error(aio, NNG_EINVAL);
      continue;
    }
    memset(&hdr, 0, sizeof(hdr));
    hdr.msg_iov = iov;
    hdr.msg_iovlen = niov;
    n = sendmsg(nni_posix_pfd_fd(c->pfd), &hdr, MSG_NOSIGNAL);
    if (n >= 0) {
      c->bytes_written += (uint64_t)n;
      conn_complete(aio, (size_t)n);
    } else if ((errno == EAGAIN) || (errno == EWOULDBLOCK)) {
      return;
    } else if (errno != EINTR) {
      conn_write_failed(c, errno == EPIPE ? conn_hangup(c) : conn_errno(errno));
      return;
    }
  }
}

// Asks the poller for what is still wanted. A send that is held back waits
// for the reader, not for the descriptor.
static void conn_arm(conn *c) {
  unsigned events = 0;
  int rv;

  if (c->closed) {
    return;
  }
  if (!nni_list_empty(&c->readq)) {
    events |= NNI_POLL_IN;
  }
  if ((!nni_list_empty(&c->writeq)) && (c->write_error == 0) &&
      (!c->finished)) {
    events |= NNI_POLL_OUT;
  }
  if ((events != 0) && ((rv = nni_posix_pfd_arm(c->pfd, events)) != 0)) {
    conn_end(c, rv);
  }
}

static void conn_cb(nni_posix_pfd *pfd, unsigned events, void *arg) {
  conn *c = arg;

  NNI_ARG_UNUSED(pfd);
  NNI_ARG_UNUSED(events);  // the calls themselves say what is the matter
  nni_mtx_lock(&c->mtx);
  if (!c->closed) {
    conn_read(c);
    conn_write(c);
    conn_arm(c);
  }
  nni_mtx_unlock(&c->mtx);
}

static void conn_cancel(nni_aio *aio, void *arg, int rv) {
  conn *c = arg;

  nni_mtx_lock(&c->mtx);
  if (nni_aio_list_active(aio)) {
    nni_aio_list_remove(aio);
    nni_aio_finish_error(aio, rv);
  }
  nni_mtx_unlock(&c->mtx);
}

static void conn_submit(conn *c, nni_aio *aio, nni_list *queue,
                        void (*progress)(conn *)) {
  int rv;

  if (nni_aio_begin(aio) != 0) {
    // The aio is closed and its result says so (NNG_ECANCELED).
    // Its callback runs all the same: the transport has
    // operations of its own that wait for this one.
    nni_task_dispatch(&aio->a_task);
    return;
  }
  nni_mtx_lock(&c->mtx);
  if (c->closed) {
    nni_mtx_unlock(&c->mtx);
    nni_aio_finish_error(aio, NNG_ECLOSED);
    return;
  }
  if ((rv = nni_aio_schedule(aio, conn_cancel, c)) != 0) {
    nni_mtx_unlock(&c->mtx);
    nni_aio_finish_error(aio, rv);
    return;
  }
  nni_aio_list_append(queue, aio);
  if (nni_list_first(queue) == aio) {
    progress(c);
    conn_arm(c);
  }
  nni_mtx_unlock(&c->mtx);
}

static void conn_send(void *arg, nni_aio *aio) {
  conn *c = arg;

  conn_submit(c, aio, &c->writeq, conn_write);
}

static void conn_recv(void *arg, nni_aio *aio) {
  conn *c = arg;

  conn_submit(c, aio, &c->readq, conn_read);
}

static void conn_close(void *arg) {
  conn *c = arg;

  nni_mtx_lock(&c->mtx);
  if (!c->closed) {
    c->closed = true;
    conn_fail_list(&c->readq, NNG_ECLOSED);
    conn_fail_list(&c->writeq, NNG_ECLOSED);
    if (c->pfd != NULL) {
      nni_posix_pfd_close(c->pfd);
    }
  }
  nni_mtx_unlock(&c->mtx);
}

static void conn_reap(void *arg) {
  conn *c = arg;

  conn_close(c);
  if (c->pfd != NULL) {
    nni_posix_pfd_fini(c->pfd);
  }
  nni_mtx_fini(&c->mtx);
  if (c->ipc) {
    if (c->base.ipc.dialer != NULL) {
      nni_posix_ipc_dialer_rele(c->base.ipc.dialer);
    }
  } else if (c->base.tcp.dialer != NULL) {
    nni_posix_tcp_dialer_rele(c->base.tcp.dialer);
  }
  NNI_FREE_STRUCT(c);
}

static nni_reap_list conn_reap_list = {
    .rl_offset = offsetof(conn, reap),
    .rl_func = conn_reap,
};

static void conn_free(void *arg) {
  conn *c = arg;

  nni_reap(&conn_reap_list, c);
}

// What conn.h offers beyond nng_stream.

int nng_pair_conn_finish(nng_stream *s) {
  conn *c = (conn *)s;
  int rv = 0;

  nni_mtx_lock(&c->mtx);
  if (c->closed) {
    rv = NNG_ECLOSED;
  } else if (!nni_list_empty(&c->writeq)) {
    rv = NNG_EBUSY;
  } else if ((c->write_error == 0) && (!c->finished)) {
    c->finished = true;
    if (shutdown(nni_posix_pfd_fd(c->pfd), SHUT_WR) != 0) {
      rv = conn_errno(errno);
    }
  }
  nni_mtx_unlock(&c->mtx);
  return (rv);
}

int nng_pair_conn_progress(nng_stream *s, int *unacked, uint64_t *received) {
  conn *c = (conn *)s;
  int rv = 0;

  *unacked = 0;
  nni_mtx_lock(&c->mtx);
  *received = c->bytes_read;
  if (c->closed) {
    rv = NNG_ECLOSED;
  } else if (!c->ipc) {  // over ipc, what is written is in the peer's queue
#if defined(SIOCOUTQ)
    if (ioctl(nni_posix_pfd_fd(c->pfd), SIOCOUTQ, unacked) != 0) {
      rv = conn_errno(errno);
    }
#elif defined(SO_NWRITE)
    socklen_t len = sizeof(*unacked);
    if (getsockopt(nni_posix_pfd_fd(c->pfd), SOL_SOCKET, SO_NWRITE, unacked,
                   &len) != 0) {
      rv = conn_errno(errno);
    }
#else
    rv = NNG_ENOTSUP;
#endif
  }
  nni_mtx_unlock(&c->mtx);
  return (rv);
}

// Options. The descriptor is valid as long as the connection is.

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
  int fd = nni_posix_pfd_fd(c->pfd);
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

  if (name(nni_posix_pfd_fd(c->pfd), (struct sockaddr *)&ss, &len) != 0) {
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

  if (getsockopt(nni_posix_pfd_fd(c->pfd), level, opt, &val, &len) != 0) {
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
  if (setsockopt(nni_posix_pfd_fd(c->pfd), level, opt, &val, sizeof(val)) !=
      0) {
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

static int conn_get(void *arg, const char *name, void *buf, size_t *szp,
                    nni_type t) {
  conn *c = arg;

  return (nni_getopt(c->ipc ? ipc_options : tcp_options, name, c, buf, szp, t));
}

static int conn_set(void *arg, const char *name, const void *buf, size_t sz,
                    nni_type t) {
  conn *c = arg;

  return (nni_setopt(c->ipc ? ipc_options : tcp_options, name, c, buf, sz, t));
}

// The constructors that NNG's dialers and listeners call: alloc, then init
// with the descriptor, then start once it is connected.

static conn *conn_alloc(bool ipc) {
  conn *c;

  if ((c = NNI_ALLOC_STRUCT(c)) == NULL) {
    return (NULL);
  }
  c->ipc = ipc;
  c->base.stream.s_free = conn_free;
  c->base.stream.s_close = conn_close;
  c->base.stream.s_send = conn_send;
  c->base.stream.s_recv = conn_recv;
  c->base.stream.s_get = conn_get;
  c->base.stream.s_set = conn_set;
  nni_mtx_init(&c->mtx);
  nni_aio_list_init(&c->readq);
  nni_aio_list_init(&c->writeq);
  return (c);
}

int nni_posix_tcp_alloc(nni_tcp_conn **cp, nni_tcp_dialer *d) {
  conn *c;

  if ((c = conn_alloc(false)) == NULL) {
    return (NNG_ENOMEM);
  }
  c->base.tcp.dialer = d;
  *cp = &c->base.tcp;
  return (0);
}

void nni_posix_tcp_init(nni_tcp_conn *tcp, nni_posix_pfd *pfd) {
  conn *c = (conn *)tcp;

  c->pfd = pfd;
}

// Dialing a port of this machine that nobody listens on can, once in a while,
// connect a TCP socket to itself.
static bool tcp_is_self(int fd) {
  struct sockaddr_storage local;
  struct sockaddr_storage remote;
  socklen_t llen = sizeof(local);
  socklen_t rlen = sizeof(remote);

  memset(&local, 0, sizeof(local));
  memset(&remote, 0, sizeof(remote));
  return ((getsockname(fd, (struct sockaddr *)&local, &llen) == 0) &&
          (getpeername(fd, (struct sockaddr *)&remote, &rlen) == 0) &&
          (llen == rlen) && (memcmp(&local, &remote, llen) == 0));
}

void nni_posix_tcp_start(nni_tcp_conn *tcp, int nodelay, int keepalive) {
  conn *c = (conn *)tcp;
  int fd = nni_posix_pfd_fd(c->pfd);
  struct sockaddr nobody = {.sa_family = AF_UNSPEC};

  if ((c->base.tcp.dialer != NULL) && tcp_is_self(fd)) {
    c->read_error = NNG_ECONNREFUSED;
    c->write_error = NNG_ECONNREFUSED;
    // With a reset: TIME_WAIT would keep the listener from its port.
    (void)connect(fd, &nobody, sizeof(nobody));
  }
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, sizeof(nodelay));
  (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keepalive, sizeof(keepalive));
  nni_posix_pfd_set_cb(c->pfd, conn_cb, c);
}

int nni_posix_ipc_alloc(nni_ipc_conn **cp, nni_sockaddr *sa,
                        nni_ipc_dialer *d) {
  conn *c;

  if ((c = conn_alloc(true)) == NULL) {
    return (NNG_ENOMEM);
  }
  c->sa = *sa;
  c->base.ipc.dialer = d;
  *cp = &c->base.ipc;
  return (0);
}

void nni_posix_ipc_init(nni_ipc_conn *ipc, nni_posix_pfd *pfd) {
  conn *c = (conn *)ipc;

  c->pfd = pfd;
}

void nni_posix_ipc_start(nni_ipc_conn *ipc) {
  conn *c = (conn *)ipc;

  nni_posix_pfd_set_cb(c->pfd, conn_cb, c);
}
