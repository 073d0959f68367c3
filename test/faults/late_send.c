// deps/patches/0007: a send completes after its pipe was stopped,
// and the next peer is there already. pair0 then begins a send on that peer's
// pipe, whether one is under way there or not: messages are lost, or the list
// of operations is destroyed.

#include "late_pair0.h"

// More than the kernel takes.
#define BIG_SIZE (16u * 1024 * 1024)

static void send_after_stop(transport tran) {
  nng_socket sock;
  pair0_sock *s;
  pair0_pipe *p;
  char *big = malloc(BIG_SIZE + 1);
  char url[URL_SIZE];
  int fds[2];

  progress();
  CHECK(big != NULL);
  memset(big, 'x', BIG_SIZE);
  big[BIG_SIZE] = '\0';
  OK(own_pair0_open(&sock));
  OK(nng_socket_set_int(sock, NNG_OPT_SENDBUF, 4));
  s = inside(sock);
  start_listener(sock, tran, url);
  fds[0] = raw_connect(url);
  CHECK(raw_shake(fds[0]));
  p = wait_for_pipe(s, true);
  make_late(&p->aio_send);
  OK(nng_send(sock, "first", 5, 0));
  CHECK(raw_expect(fds[0], tran, "first"));
  gate_wait(&late.begins);
  OK(nng_send(sock, big, BIG_SIZE, 0));
  OK(nng_send(sock, "last", 4, 0));
  CHECK(close(fds[0]) == 0);
  (void)wait_for_pipe(s, false);

  // The next peer is being sent the big one.
  fds[1] = raw_connect(url);
  CHECK(raw_shake(fds[1]));
  (void)wait_for_pipe(s, true);
  gate_open(&late.may_run);
  gate_wait(&late.has_run);
  CHECK(raw_expect(fds[1], tran, big));
  CHECK(raw_expect(fds[1], tran, "last"));
  CHECK(close(fds[1]) == 0);
  free(big);
  OK(nng_close(sock));
}

int main(void) {
  send_after_stop(TCP);
  send_after_stop(IPC);
  return (0);
}
