// A connection that is gone before the listener could send its header
// fails with EPIPE. NNG makes that NNG_ECLOSED, which the listener takes for
// its own end: it never accepts again.

#include "fault.h"

static void leave_at_once(transport tran) {
  nng_socket sock;
  char url[URL_SIZE];
  int fd;

  progress();
  OK(nng_pair0_open(&sock));
  start_listener(sock, tran, url);
  // It has come and gone before it is looked at.
  hold_poller();
  fd = raw_connect(url);
  if (tran == TCP) {
    raw_end_and_reset(fd);
  } else {
    CHECK(close(fd) == 0);
  }
  release_poller();
  expect_next_peer(sock, tran, url);
  OK(nng_close(sock));
}

int main(void) {
  leave_at_once(TCP);
  leave_at_once(IPC);
  return (0);
}
