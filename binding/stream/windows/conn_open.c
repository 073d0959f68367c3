// How connections are made: our dialers and listeners (platform/windows) hand
// over what they have connected.

#include "../conn_impl.h"

static void take_over(conn *c, io *i, bool dialed, nng_stream **sp) {
  c->system.io = i;
  c->system.dialed = dialed;
  io_set(i, conn_io_readable, conn_io_written, c);
  *sp = &c->base.stream;
}

// Dialing a port of this machine that nobody listens on can, once in a while,
// connect a TCP socket to itself.
static bool is_connected_to_itself(SOCKET s) {
  SOCKADDR_STORAGE a;
  SOCKADDR_STORAGE b;
  int alen = sizeof(a);
  int blen = sizeof(b);

  return getsockname(s, (struct sockaddr *)&a, &alen) == 0 &&
         getpeername(s, (struct sockaddr *)&b, &blen) == 0 && alen == blen &&
         memcmp(&a, &b, (size_t)alen) == 0;
}

int conn_open_tcp(io *i, bool dialed, bool no_delay, bool keep_alive,
                  nng_stream **sp) {
  const SOCKET s = io_socket(i);
  const BOOL delay = no_delay;
  const BOOL alive = keep_alive;
  conn *c;

  if (dialed && is_connected_to_itself(s)) {
    return NNG_ECONNREFUSED;
  }
  if ((c = conn_alloc(false)) == NULL) {
    return NNG_ENOMEM;
  }
  (void)setsockopt(s, IPPROTO_TCP, TCP_NODELAY, (const char *)&delay,
                   sizeof(delay));
  (void)setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, (const char *)&alive,
                   sizeof(alive));
  take_over(c, i, dialed, sp);
  return 0;
}

int conn_open_pipe(io *i, bool dialed, const nng_sockaddr *path,
                   nng_stream **sp) {
  conn *c;

  if ((c = conn_alloc(true)) == NULL) {
    return NNG_ENOMEM;
  }
  c->sa = *path;
  take_over(c, i, dialed, sp);
  conn_io_begin_pipe(c);
  return 0;
}
