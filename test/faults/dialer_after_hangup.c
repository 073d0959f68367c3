// deps/patches/0006: what listener_after_hangup.c shows, for a dialer. A
// connection that ends and is reset before the poller has looked fails with
// EPIPE, and the dialer never dials again.

#include "fault.h"

int main(void) {
  nng_socket sock;
  char url[URL_SIZE];
  int listener = raw_listen(TCP, url);
  int fd;

  progress();
  OK(nng_pair0_open(&sock));
  OK(nng_socket_set_ms(sock, NNG_OPT_RECONNMINT, 10));
  hold_poller();
  OK(nng_dial(sock, url, NULL, NNG_FLAG_NONBLOCK));
  raw_end_and_reset(raw_accept(listener));
  release_poller();

  fd = raw_accept(listener);
  CHECK(raw_shake(fd));
  OK(nng_send(sock, "hello", 5, 0));
  CHECK(raw_expect(fd, TCP, "hello"));
  OK(nng_close(sock));
  return (0);
}
