// deps/patches/0005 and binding/platform/resolver.c: all addresses of a name
// are dialed. NNG itself tries only the first.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "fault.h"

// What test programs say to be skipped.
#define SKIPPED 77

static int listen_at(const char *address, unsigned *port) {
  struct sockaddr_in addr;
  socklen_t len = sizeof(addr);
  int fd = socket(AF_INET, SOCK_STREAM, 0);

  memset(&addr, 0, sizeof(addr));
  addr.sin_family = AF_INET;
  CHECK(inet_pton(AF_INET, address, &addr.sin_addr) == 1);
  if ((fd < 0) || (bind(fd, (struct sockaddr *)&addr, len) != 0)) {
    fprintf(stderr, "this machine has no %s\n", address);
    exit(SKIPPED);
  }
  CHECK(listen(fd, 1) == 0);
  CHECK(getsockname(fd, (struct sockaddr *)&addr, &len) == 0);
  *port = ntohs(addr.sin_port);
  return (fd);
}

int main(void) {
  nng_socket sock;
  char url[URL_SIZE];
  unsigned port;
  int listener = listen_at("127.0.0.13", &port);
  int fd;

  CHECK(setenv("TEST_NAMES", "three.test 127.0.0.11 127.0.0.12 127.0.0.13",
               1) == 0);
  (void)snprintf(url, sizeof(url), "tcp://three.test:%u", port);
  OK(nng_pair0_open(&sock));
  OK(nng_socket_set_ms(sock, NNG_OPT_RECONNMINT, 10));
  OK(nng_dial(sock, url, NULL, NNG_FLAG_NONBLOCK));
  // The first dial, and when it dials again.
  for (int i = 0; i < 2; i++) {
    progress();
    fd = raw_accept(listener);
    CHECK(raw_shake(fd));
    CHECK(close(fd) == 0);
  }
  OK(nng_close(sock));
  return (0);
}
