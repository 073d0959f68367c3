// A message that announces 0xFFFFFFFFFFFFFFE0 bytes overflows the
// size computation, and NNG panics. We stay clear of it: NNG_OPT_RECVMAXSZ is
// always set. With the argument `unlimited` it is not.

#include <string.h>

#include "fault.h"

static void announce(transport tran, bool limited) {
  nng_socket sock;
  char url[URL_SIZE];
  char end;
  int fd;

  progress();
  OK(nng_pair0_open(&sock));
  if (limited) {
    OK(nng_socket_set_size(sock, NNG_OPT_RECVMAXSZ, 1024));
  }
  start_listener(sock, tran, url);
  fd = raw_connect(url);
  CHECK(raw_shake(fd));
  CHECK((tran == TCP) || raw_write(fd, "\x01", 1));
  CHECK(raw_write(fd, "\xff\xff\xff\xff\xff\xff\xff\xe0", 8));
  CHECK(!raw_read(fd, &end, 1));
  CHECK(close(fd) == 0);
  expect_next_peer(sock, tran, url);
  OK(nng_close(sock));
}

int main(int argc, char **argv) {
  bool limited = (argc < 2) || (strcmp(argv[1], "unlimited") != 0);

  announce(TCP, limited);
  announce(IPC, limited);
  return (0);
}
