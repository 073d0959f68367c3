// How connections are made: NNG's dialers and listeners call alloc, then init
// with the descriptor, then start once it is connected.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "../conn_impl.h"

// What the kernel may hold for a peer on this machine; it doubles what is asked
// for, and allows an ordinary user 212992. Over ipc it is more than Linux gives
// without asking: the ends wait for each other less often. Over tcp it is less,
// where Linux goes up to megabytes: what is under way stays in the caches.
#define LOCAL_SEND_BUFFER (256 * 1024)

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

  c->system.pfd = pfd;
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
  int fd = nni_posix_pfd_fd(c->system.pfd);
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
  nni_posix_pfd_set_cb(c->system.pfd, conn_io_event, c);
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

  c->system.pfd = pfd;
}

void nni_posix_ipc_start(nni_ipc_conn *ipc) {
  conn *c = (conn *)ipc;

  set_local_send_buffer(nni_posix_pfd_fd(c->system.pfd));
  nni_posix_pfd_set_cb(c->system.pfd, conn_io_event, c);
}
