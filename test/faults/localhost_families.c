// deps/patches/0005: localhost is 127.0.0.1, then ::1. NNG itself tries only
// the first address that the resolver gives, so that it cannot reach both of
// these listeners, whichever that is.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "fault.h"

// What test programs say to be skipped.
#define SKIPPED 77

static int listen_v6(unsigned *port) {
  struct sockaddr_in6 addr;
  socklen_t len = sizeof(addr);
  int fd = socket(AF_INET6, SOCK_STREAM, 0);

  memset(&addr, 0, sizeof(addr));
  addr.sin6_family = AF_INET6;
  addr.sin6_addr = in6addr_loopback;
  if ((fd < 0) || (bind(fd, (struct sockaddr *)&addr, len) != 0)) {
    fprintf(stderr, "this machine has no ::1\n");
    exit(SKIPPED);
  }
  CHECK(listen(fd, 1) == 0);
  CHECK(getsockname(fd, (struct sockaddr *)&addr, &len) == 0);
  *port = ntohs(addr.sin6_port);
  return (fd);
}

static void dial_localhost(int listener, unsigned port) {
  nng_socket sock;
  char url[URL_SIZE];
  int fd;

  progress();
  (void)snprintf(url, sizeof(url), "tcp://localhost:%u", port);
  OK(nng_pair0_open(&sock));
  OK(nng_socket_set_ms(sock, NNG_OPT_RECONNMINT, 10));
  OK(nng_dial(sock, url, NULL, NNG_FLAG_NONBLOCK));
  fd = raw_accept(listener);
  CHECK(raw_shake(fd));
  CHECK(close(fd) == 0);
  OK(nng_close(sock));
}

int main(void) {
  char url[URL_SIZE];
  unsigned port;
  int v6 = listen_v6(&port);
  int v4;

  dial_localhost(v6, port);
  v4 = raw_listen(TCP, url);
  dial_localhost(v4, (unsigned)atoi(strrchr(url, ':') + 1));
  return (0);
}
