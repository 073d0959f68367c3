// The callback of a send can run with the socket's lock held (a send
// that has waited for a peer completes from within the peer's start), and a
// call of the socket from there locks it again: NNG panics. We stay clear of
// it: a callback takes note, and somebody else calls. With the argument `calls`
// it calls itself.

#include <string.h>

#include "fault.h"

typedef struct {
  nng_socket sock;
  bool calls;
  gate sent;
} node;

static void call(nng_socket sock) {
  nng_duration timeout;

  OK(nng_socket_get_ms(sock, NNG_OPT_RECVTIMEO, &timeout));
}

static void on_sent(void *arg) {
  node *n = arg;

  if (n->calls) {
    call(n->sock);
  }
  gate_open(&n->sent);
}

static void exchange(transport tran, bool calls) {
  node n = {.calls = calls};
  nng_aio *aio;
  nng_msg *msg;
  char url[URL_SIZE];
  int fd;

  progress();
  gate_init(&n.sent);
  OK(nng_pair0_open(&n.sock));
  OK(nng_aio_alloc(&aio, on_sent, &n));
  start_listener(n.sock, tran, url);
  // It waits for a peer.
  OK(nng_msg_alloc(&msg, 0));
  OK(nng_msg_append(msg, "there", 5));
  nng_aio_set_msg(aio, msg);
  nng_send_aio(n.sock, aio);

  fd = raw_connect(url);
  CHECK(raw_shake(fd));
  CHECK(raw_expect(fd, tran, "there"));
  gate_wait(&n.sent);
  if (!calls) {
    call(n.sock);
  }
  CHECK(close(fd) == 0);
  OK(nng_close(n.sock));
  nng_aio_free(aio);
}

int main(int argc, char **argv) {
  const bool calls = (argc > 1) && (strcmp(argv[1], "calls") == 0);

  exchange(TCP, calls);
  exchange(IPC, calls);
  return (0);
}
