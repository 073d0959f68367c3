// A peer in C, with NNG (Debian: libnng-dev; compile with -lnng).
//
//   node examples/two-nodes/node.mjs 0 tcp://127.0.0.1:45454
//   ./peer 1 tcp://127.0.0.1:45454

#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <nng/supplemental/util/platform.h>
#include <stdio.h>
#include <string.h>

static int fail(const char *what, int rv) {
  fprintf(stderr, "%s: %s\n", what, nng_strerror(rv));
  return 1;
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: peer NODE URL\n");
    return 2;
  }
  nng_socket sock;
  int rv = nng_pair0_open(&sock);
  if (rv != 0) return fail("open", rv);
  nng_socket_set_ms(sock, NNG_OPT_RECVTIMEO, 10000);
  rv = nng_dial(sock, argv[2], NULL, 0);
  if (rv != 0) return fail("dial", rv);
  for (int i = 0; i < 3; i++) {
    char text[64];
    snprintf(text, sizeof text, "message %d from node %s", i, argv[1]);
    rv = nng_send(sock, text, strlen(text), 0);
    if (rv != 0) return fail("send", rv);
    char *message;
    size_t size;
    rv = nng_recv(sock, &message, &size, NNG_FLAG_ALLOC);
    if (rv != 0) return fail("receive", rv);
    printf("node %s received %.*s\n", argv[1], (int)size, message);
    nng_free(message, size);
    nng_msleep(100);
  }
  nng_close(sock);
  return 0;
}
