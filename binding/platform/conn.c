// The connection under NNG's tcp and ipc transports, in place of NNG's
// posix_tcpconn.c and posix_ipcconn.c: one implementation for both.
//
// What it promises, beyond NNG's own:
//
//  - Every operation that is submitted completes, exactly once, with a
//    callback, also when its aio is already closed or stopped (NNG drops such
//    an operation, and whoever waits for it waits for ever).
//  - The peer's doing is never reported as NNG_ECLOSED, which a listener
//    takes for its own end.
//  - Bytes that have reached this side's kernel are delivered before the
//    error that followed them, also when it is a write that finds out.
//
// It is used in two ways. NNG submits operations, as to any stream: for the
// handshake. Once somebody has attached himself (conn.h), he moves the bytes,
// and the receive that NNG has submitted waits for the end.
//
// Ownership: the transport's pipe owns the connection and calls close, then
// free, once. free hands it to NNG's reaper thread, which closes the
// descriptor. Everything is guarded by the engine's lock (lock.h).

#include "conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include "engine_impl.h"
#if defined(__linux__)
#include <linux/sockios.h>
#elif defined(__APPLE__)
#include <sys/ucred.h>
#include <sys/un.h>
#endif

#include "platform/posix/posix_ipc.h"
#include "platform/posix/posix_tcp.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif
#ifndef POLLRDHUP
#define POLLRDHUP 0
#endif

// Both sides send this much before anything else: the SP header.
#define SP_HEADER_SIZE 8

// What the kernel may hold for a peer on this machine; it doubles what is asked
// for, and allows an ordinary user 212992. Over ipc it is more than Linux gives
// without asking: the ends wait for each other less often. Over tcp it is less,
// where Linux goes up to megabytes: what is under way stays in the caches.
#define LOCAL_SEND_BUFFER (256 * 1024)

// As in an aio (deps/patches/0023).
#define MAX_IOV 3

typedef struct conn {
  // What NNG's dialers and listeners see of us. Of these only stream,
  // dial_aio and dialer are used; the rest of the state is below.
  union {
    nng_stream stream;
    nni_tcp_conn tcp;
    nni_ipc_conn ipc;
  } base;
  nni_sockaddr sa;  // ipc: the path, which both ends have in common
  engine *engine;
  nni_posix_pfd *pfd;
  nni_list readq;  // what NNG has submitted
  nni_list writeq;
  const nng_pair_conn_user *user;
  void *user_arg;

  nni_list_node due;  // in the engine's list of those to be seen to
  bool ipc;
  bool readable;    // as far as is known
  bool drained;     // it was seen to be empty since the poller knows it
  bool hung_up;     // there is an end to be read behind the last bytes
  bool read_later;  // the user is called when others have had their turn
  bool blocked;     // the kernel takes no more until it says so
  bool finished;    // nothing more will be written: we half-closed it
  bool closed;      // by us
  int read_error;   // the end of the incoming bytes, for good
  int write_error;  // nothing more can be written: the connection broke
  uint64_t bytes_read;
  uint64_t bytes_sent;
  nni_reap_node reap;
} conn;

static int conn_errno(int err) {
  int rv = nni_plat_errno(err);

  return (rv == NNG_ECLOSED ? NNG_ECONNSHUT : rv);
}

static bool conn_shaken(const conn *c) {
  return c->bytes_read >= SP_HEADER_SIZE && c->bytes_sent >= SP_HEADER_SIZE;
}

// The peer has hung up. In the handshake that is a reset, after which the
// listener goes on at once, without a pause.
static int conn_hangup(const conn *c) {
  return (conn_shaken(c) ? NNG_ECONNSHUT : NNG_ECONNRESET);
}

// Something is to be done before the loop sleeps.
static void conn_make_due(conn *c) {
  if (!c->closed && !nni_list_node_active(&c->due)) {
    nni_list_append(&c->engine->due, c);
    engine_wake(c->engine);
  }
}

static void conn_fail_list(nni_list *list, int rv) {
  nni_aio *aio;

  while ((aio = nni_list_first(list)) != NULL) {
    nni_aio_list_remove(aio);
    nni_aio_finish_error(aio, rv);
  }
}

// The incoming bytes have ended, and with them the connection, as far as NNG
// is concerned. The first reason is the reason.
static void conn_end(conn *c, int rv) {
  // Whoever meets a reset first, here a write, is told of it; to the others it
  // looks like a mere end.
  if (rv == NNG_ECONNSHUT && c->write_error != 0) {
    rv = c->write_error;
  }
  if (c->read_error == 0) {
    c->read_error = rv;
  }
  if (c->write_error == 0) {
    c->write_error = rv;
  }
  conn_fail_list(&c->readq, c->read_error);
  conn_fail_list(&c->writeq, c->write_error);
}

// A write has failed. The peer may have left messages behind, so the end comes
// when they have been read: by the user, or by one that is still to come, once
// the handshake is over.
static void conn_write_failed(conn *c, int rv) {
  c->write_error = rv;
  c->readable = true;
  if (c->user != NULL) {
    c->read_later = true;
    conn_make_due(c);
  } else if (conn_shaken(c)) {
    conn_end(c, rv);
  }
}

// The bytes.

size_t nng_pair_conn_read(nng_stream *s, const struct iovec *iov, int count,
                          size_t total) {
  conn *c = (conn *)s;
  const int fd = nni_posix_pfd_fd(c->pfd);
  ssize_t n;

  if (!nng_pair_conn_readable(s)) {
    return 0;
  }
  do {
    n = count == 1 ? recv(fd, iov[0].iov_base, iov[0].iov_len, 0)
                   : readv(fd, iov, count);
  } while (n < 0 && errno == EINTR);
  if (n > 0) {
    c->bytes_read += (uint64_t)n;
    c->engine->moved += (size_t)n;
    engine_received(c->engine);
    // A short read proves that nothing is left, unless an end may be.
    if ((size_t)n < total && c->drained && !c->hung_up) {
      c->readable = false;
    }
    return (size_t)n;
  }
  if (n == 0) {
    // The peer may have closed its sending side only, and still reads.
    if (c->user != NULL) {
      c->user->on_writable(c->user_arg);
    }
    conn_end(c, conn_hangup(c));
  } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
    c->readable = false;
    c->drained = true;
    // Nothing more can come to a connection that broke.
    if (c->write_error != 0) {
      conn_end(c, c->write_error);
    }
  } else {
    conn_end(c, conn_errno(errno));
  }
  return 0;
}

size_t nng_pair_conn_write(nng_stream *s, struct iovec *iov, int count,
                           size_t total) {
  conn *c = (conn *)s;
  const int fd = nni_posix_pfd_fd(c->pfd);
  struct msghdr hdr;
  ssize_t n;

  if (!nng_pair_conn_writable(s)) {
    return 0;
  }
  memset(&hdr, 0, sizeof(hdr));
  hdr.msg_iov = iov;
  hdr.msg_iovlen = (__typeof__(hdr.msg_iovlen))count;
  do {
    n = count == 1 ? send(fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL)
                   : sendmsg(fd, &hdr, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
    conn_write_failed(c, errno == EPIPE ? conn_hangup(c) : conn_errno(errno));
    return 0;
  }
  if (n < 0) {
    n = 0;
  }
  c->bytes_sent += (uint64_t)n;
  c->engine->moved += (size_t)n;
  if ((size_t)n < total) {
    // The poller is asked to say when there is room (conn_arm).
    c->blocked = true;
    conn_make_due(c);
  }
  return (size_t)n;
}

// What NNG has submitted: the handshake, and then one receive for the end.

// The non-empty parts of an aio's vector; returns how many, and their sum.
static int conn_iov(nni_aio *aio, struct iovec *iov, size_t *sum) {
  unsigned count;
  nni_iov *from;
  int n = 0;

  *sum = 0;
  nni_aio_get_iov(aio, &count, &from);
  for (unsigned i = 0; i < count && n < MAX_IOV; i++) {
    if (from[i].iov_len > 0) {
      iov[n].iov_base = from[i].iov_buf;
      iov[n++].iov_len = from[i].iov_len;
      *sum += from[i].iov_len;
    }
  }
  return n;
}

static void conn_complete(nni_aio *aio, int rv, size_t n) {
  nni_aio_list_remove(aio);
  nni_aio_finish(aio, rv, n);
}

// NNG goes on with what a short read or write has left.

static void conn_read(conn *c) {
  struct iovec iov[MAX_IOV];
  nni_aio *aio;
  size_t want;
  size_t n;

  if (c->user != NULL) {
    c->user->on_readable(c->user_arg);
    return;
  }
  while ((aio = nni_list_first(&c->readq)) != NULL) {
    const int count = conn_iov(aio, iov, &want);

    if (count == 0) {
      conn_complete(aio, NNG_EINVAL, 0);
    } else if (c->read_error != 0) {
      conn_complete(aio, c->read_error, 0);
    } else if (!c->readable) {
      return;
    } else if ((n = nng_pair_conn_read(&c->base.stream, iov, count, want)) >
               0) {
      conn_complete(aio, 0, n);
    }
  }
}

static void conn_write(conn *c) {
  struct iovec iov[MAX_IOV];
  nni_aio *aio;
  size_t sum;
  size_t n;

  if (c->user != NULL) {
    c->user->on_writable(c->user_arg);
    return;
  }
  while ((aio = nni_list_first(&c->writeq)) != NULL) {
    const int count = conn_iov(aio, iov, &sum);

    if (count == 0) {
      conn_complete(aio, NNG_EINVAL, 0);
    } else if (c->write_error != 0 && c->read_error == 0 && !conn_shaken(c)) {
      c->bytes_sent += sum;
      conn_complete(aio, 0, sum);
    } else if (c->write_error != 0 || c->finished) {
      conn_complete(aio, c->write_error != 0 ? c->write_error : NNG_ECONNSHUT,
                    0);
    } else if ((n = nng_pair_conn_write(&c->base.stream, iov, count, sum)) >
               0) {
      conn_complete(aio, 0, n);
    } else if (c->blocked) {
      return;
    }
  }
}

// Asks the poller for what is still wanted.
static void conn_arm(conn *c) {
  int rv;

  if (!c->closed && c->pfd != NULL &&
      (rv = nni_posix_pfd_arm(
           c->pfd,
           NNI_POLL_IN |
               (c->blocked && !c->finished && c->write_error == 0 ? NNI_POLL_OUT
                                                                  : 0))) != 0) {
    conn_end(c, rv);
  }
}

void engine_due_init(engine *e) { NNI_LIST_INIT(&e->due, conn, due); }

void engine_serve_due(engine *e) {
  nni_list later;
  conn *c;

  NNI_LIST_INIT(&later, conn, due);
  while ((c = nni_list_first(&e->due)) != NULL) {
    nni_list_remove(&e->due, c);
    if (c->read_later && e->moved < TURN_BYTES) {
      c->read_later = false;
      conn_read(c);
    }
    conn_write(c);
    conn_arm(c);
    // It has had its share of this turn, and goes on in the next one.
    if (c->read_later && e->moved >= TURN_BYTES) {
      nni_list_node_remove(&c->due);
      nni_list_append(&later, c);
    }
  }
  while ((c = nni_list_first(&later)) != NULL) {
    nni_list_remove(&later, c);
    nni_list_append(&e->due, c);
  }
}

static void conn_cb(nni_posix_pfd *pfd, unsigned events, void *arg) {
  conn *c = arg;

  NNI_ARG_UNUSED(pfd);
  c->engine->recent = c;
  c->readable = true;
  if ((events & (POLLRDHUP | NNI_POLL_HUP | NNI_POLL_ERR)) != 0) {
    c->hung_up = true;
  }
  conn_read(c);
  if (c->blocked && (events & ~(unsigned)NNI_POLL_IN) != 0) {
    c->blocked = false;
    conn_write(c);
  }
  conn_arm(c);
}

void engine_read_recent(engine *e) {
  conn *c = e->recent;
  const size_t moved = e->moved;

  if (c == NULL || c->readable || nni_list_empty(&c->readq)) {
    return;
  }
  c->readable = true;
  conn_read(c);
  conn_arm(c);
  // It was another one: do not look in vain again.
  if (e->moved == moved && e->recent == c) {
    e->recent = NULL;
  }
}

static void conn_cancel(nni_aio *aio, void *arg, int rv) {
  conn *c = arg;

  lock_acquire(c->engine->lock);
  if (nni_aio_list_active(aio)) {
    conn_complete(aio, rv, 0);
  }
  lock_release(c->engine->lock);
}

// Submits an operation of NNG's to one of the two lists.
static bool conn_submit(conn *c, nni_list *list, nni_aio *aio) {
  int rv;

  if (nni_aio_begin(aio) != 0) {
    // The aio is closed and its result says so (NNG_ECANCELED). Its callback
    // runs all the same: the transport has operations of its own that wait
    // for this one.
    nni_task_dispatch(&aio->a_task);
    return false;
  }
  if (c->closed) {
    nni_aio_finish_error(aio, NNG_ECLOSED);
    return false;
  }
  if ((rv = nni_aio_schedule(aio, conn_cancel, c)) != 0) {
    nni_aio_finish_error(aio, rv);
    return false;
  }
  nni_aio_list_append(list, aio);
  return true;
}

static void conn_send(void *arg, nni_aio *aio) {
  conn *c = arg;

  lock_acquire(c->engine->lock);
  if (conn_submit(c, &c->writeq, aio)) {
    if (!conn_shaken(c)) {
      // Where both ends are of this engine, each has the other's header in the
      // same turn, so neither is connected before the other knows of it.
      conn_make_due(c);
    } else if (!c->blocked) {
      conn_write(c);
      conn_arm(c);
    }
  }
  lock_release(c->engine->lock);
}

static void conn_recv(void *arg, nni_aio *aio) {
  conn *c = arg;

  lock_acquire(c->engine->lock);
  if (conn_submit(c, &c->readq, aio)) {
    if (c->read_error != 0) {
      conn_fail_list(&c->readq, c->read_error);
    } else {
      conn_read(c);
      conn_arm(c);
    }
  }
  lock_release(c->engine->lock);
}

static void conn_close(void *arg) {
  conn *c = arg;

  lock_acquire(c->engine->lock);
  if (!c->closed) {
    if (c->pfd != NULL) {
      conn_write(c);
    }
    c->closed = true;
    c->read_later = false;
    nni_list_node_remove(&c->due);
    if (c->engine->recent == c) {
      c->engine->recent = NULL;
    }
    conn_fail_list(&c->readq, NNG_ECLOSED);
    conn_fail_list(&c->writeq, NNG_ECLOSED);
    if (c->pfd != NULL) {
      nni_posix_pfd_close(c->pfd);
    }
  }
  lock_release(c->engine->lock);
}

static void conn_reap(void *arg) {
  conn *c = arg;

  conn_close(c);
  if (c->pfd != NULL) {
    nni_posix_pfd_fini(c->pfd);
  }
  if (c->ipc) {
    if (c->base.ipc.dialer != NULL) {
      nni_posix_ipc_dialer_rele(c->base.ipc.dialer);
    }
  } else if (c->base.tcp.dialer != NULL) {
    nni_posix_tcp_dialer_rele(c->base.tcp.dialer);
  }
  engine_drop(c->engine);
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

void nng_pair_conn_attach(nng_stream *s, const nng_pair_conn_user *user,
                          void *arg) {
  conn *c = (conn *)s;

  c->user = user;
  c->user_arg = arg;
}

void nng_pair_conn_detach(nng_stream *s) { ((conn *)s)->user = NULL; }

size_t nng_pair_conn_head_size(const nng_stream *s) {
  return ((const conn *)s)->ipc ? 9 : 8;
}

bool nng_pair_conn_readable(const nng_stream *s) {
  const conn *c = (const conn *)s;

  return c->readable && !c->closed && c->read_error == 0;
}

void nng_pair_conn_fail(nng_stream *s, int error) {
  conn_end((conn *)s, error);
}

bool nng_pair_conn_turn_is_over(const nng_stream *s) {
  return ((const conn *)s)->engine->moved >= TURN_BYTES;
}

void nng_pair_conn_count(nng_stream *s, size_t messages) {
  ((conn *)s)->engine->moved += messages * MESSAGE_COST;
}

void nng_pair_conn_read_later(nng_stream *s) {
  conn *c = (conn *)s;

  if (!c->closed) {
    c->read_later = true;
    conn_make_due(c);
  }
}

bool nng_pair_conn_writable(const nng_stream *s) {
  const conn *c = (const conn *)s;

  return !c->blocked && !c->finished && !c->closed && c->write_error == 0;
}

void nng_pair_conn_write_later(nng_stream *s) { conn_make_due((conn *)s); }

int nng_pair_conn_finish(nng_stream *s) {
  conn *c = (conn *)s;

  if (c->closed) {
    return NNG_ECLOSED;
  }
  if (c->write_error == 0 && !c->finished) {
    c->finished = true;
    if (shutdown(nni_posix_pfd_fd(c->pfd), SHUT_WR) != 0) {
      return conn_errno(errno);
    }
  }
  return 0;
}

int nng_pair_conn_progress(nng_stream *s, int *unacked, uint64_t *received) {
  conn *c = (conn *)s;

  *unacked = 0;
  *received = c->bytes_read;
  if (c->closed) {
    return NNG_ECLOSED;
  }
  if (!c->ipc) {  // over ipc, what is written is in the peer's queue
#if defined(SIOCOUTQ)
    if (ioctl(nni_posix_pfd_fd(c->pfd), SIOCOUTQ, unacked) != 0) {
      return conn_errno(errno);
    }
#elif defined(SO_NWRITE)
    socklen_t len = sizeof(*unacked);
    if (getsockopt(nni_posix_pfd_fd(c->pfd), SOL_SOCKET, SO_NWRITE, unacked,
                   &len) != 0) {
      return conn_errno(errno);
    }
#else
    return NNG_ENOTSUP;
#endif
  }
  return 0;
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
  c->engine = engine_current();
  engine_hold(c->engine);
  c->readable = true;
  NNI_LIST_NODE_INIT(&c->due);
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

static void set_local_send_buffer(int fd) {
#if defined(__linux__)
  const int size = LOCAL_SEND_BUFFER;

  (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
#else
  (void)fd;
#endif
}

typedef struct tcp_ends {
  bool local;  // both are of this machine
  bool same;   // it is connected to itself
} tcp_ends;

static tcp_ends tcp_get_ends(int fd) {
  union {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
  } a, b;
  socklen_t alen = sizeof(a);
  socklen_t blen = sizeof(b);
  tcp_ends ends = {false, false};

  memset(&a, 0, sizeof(a));
  memset(&b, 0, sizeof(b));
  if ((getsockname(fd, &a.sa, &alen) != 0) ||
      (getpeername(fd, &b.sa, &blen) != 0) ||
      (a.sa.sa_family != b.sa.sa_family)) {
    return (ends);
  }
  if (a.sa.sa_family == AF_INET) {
    ends.local = a.in.sin_addr.s_addr == b.in.sin_addr.s_addr;
    ends.same = ends.local && (a.in.sin_port == b.in.sin_port);
  } else {
    ends.local = memcmp(&a.in6.sin6_addr, &b.in6.sin6_addr,
                        sizeof(a.in6.sin6_addr)) == 0;
    ends.same = ends.local && (a.in6.sin6_port == b.in6.sin6_port);
  }
  return (ends);
}

void nni_posix_tcp_start(nni_tcp_conn *tcp, int nodelay, int keepalive) {
  conn *c = (conn *)tcp;
  int fd = nni_posix_pfd_fd(c->pfd);
  tcp_ends ends = tcp_get_ends(fd);
  struct sockaddr nobody = {.sa_family = AF_UNSPEC};

  // Dialing a port of this machine that nobody listens on can, once in a while,
  // connect a TCP socket to itself.
  if ((c->base.tcp.dialer != NULL) && ends.same) {
    c->read_error = NNG_ECONNREFUSED;
    c->write_error = NNG_ECONNREFUSED;
    // With a reset: TIME_WAIT would keep the listener from its port.
    (void)connect(fd, &nobody, sizeof(nobody));
  }
  if (ends.local) {
    set_local_send_buffer(fd);
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

  set_local_send_buffer(nni_posix_pfd_fd(c->pfd));
  nni_posix_pfd_set_cb(c->pfd, conn_cb, c);
}
