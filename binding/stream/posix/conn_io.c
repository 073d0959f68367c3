// How a connection reads and writes on Linux and macOS: without blocking, and
// told by the poller, which watches its descriptor edge-triggered (pollable.c).

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../conn_impl.h"
#if defined(__linux__)
#include <linux/sockios.h>
#endif

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif
#ifndef POLLRDHUP
#define POLLRDHUP 0
#endif

static int conn_fd(const conn *c) { return nni_posix_pfd_fd(c->system.pfd); }

static bool would_block(void) {
  return errno == EAGAIN || errno == EWOULDBLOCK;
}

int conn_io_read(conn *c, const struct iovec *iov, int count, size_t total,
                 size_t *np) {
  const int fd = conn_fd(c);
  ssize_t n;

  do {
    n = count == 1 ? recv(fd, iov[0].iov_base, iov[0].iov_len, 0)
                   : readv(fd, iov, count);
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    if (!would_block()) {
      return conn_errno(errno);
    }
    c->readable = false;
    c->system.drained = true;
    return NNG_EAGAIN;
  }
  // A short read proves that nothing is left, unless an end may be.
  if (n > 0 && (size_t)n < total && c->system.drained && !c->system.hung_up) {
    c->readable = false;
  }
  *np = (size_t)n;
  return 0;
}

int conn_io_write(conn *c, struct iovec *iov, int count, size_t total,
                  size_t *np) {
  const int fd = conn_fd(c);
  struct msghdr hdr;
  ssize_t n;

  memset(&hdr, 0, sizeof(hdr));
  hdr.msg_iov = iov;
  hdr.msg_iovlen = (__typeof__(hdr.msg_iovlen))count;
  do {
    n = count == 1 ? send(fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL)
                   : sendmsg(fd, &hdr, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && !would_block()) {
    return errno == EPIPE ? NNG_ECLOSED : conn_errno(errno);
  }
  *np = n < 0 ? 0 : (size_t)n;
  // The poller is asked to say when there is room (conn_io_arm).
  c->blocked = *np < total;
  return 0;
}

size_t conn_io_in_flight(const conn *c) {
  (void)c;
  return 0;
}

int conn_io_finish(conn *c) {
  return shutdown(conn_fd(c), SHUT_WR) == 0 ? 0 : conn_errno(errno);
}

int conn_io_progress(conn *c, int *unacked, uint64_t *received) {
  (void)received;
  // Over ipc, what is written is in the peer's queue.
  if (c->ipc) {
    return 0;
  }
#if defined(SIOCOUTQ)
  return ioctl(conn_fd(c), SIOCOUTQ, unacked) == 0 ? 0 : conn_errno(errno);
#elif defined(SO_NWRITE)
  socklen_t len = sizeof(*unacked);

  return getsockopt(conn_fd(c), SOL_SOCKET, SO_NWRITE, unacked, &len) == 0
             ? 0
             : conn_errno(errno);
#else
  (void)c;
  (void)unacked;
  return NNG_ENOTSUP;
#endif
}

int conn_io_arm(conn *c) {
  const bool wants_room = c->blocked && !c->finished && c->write_error == 0;

  return nni_posix_pfd_arm(c->system.pfd,
                           NNI_POLL_IN | (wants_room ? NNI_POLL_OUT : 0));
}

void conn_io_close(conn *c) { nni_posix_pfd_close(c->system.pfd); }

void conn_io_free(conn *c) {
  if (c->system.pfd != NULL) {
    nni_posix_pfd_fini(c->system.pfd);
  }
  if (c->ipc) {
    if (c->base.ipc.dialer != NULL) {
      nni_posix_ipc_dialer_rele(c->base.ipc.dialer);
    }
  } else if (c->base.tcp.dialer != NULL) {
    nni_posix_tcp_dialer_rele(c->base.tcp.dialer);
  }
}

void conn_io_event(nni_posix_pfd *pfd, unsigned events, void *arg) {
  conn *c = arg;

  NNI_ARG_UNUSED(pfd);
  if ((events & (POLLRDHUP | NNI_POLL_HUP | NNI_POLL_ERR)) != 0) {
    c->system.hung_up = true;
  }
  conn_ready(c, true, (events & ~(unsigned)NNI_POLL_IN) != 0);
}
