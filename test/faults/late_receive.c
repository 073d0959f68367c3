// deps/patches/0001: a receive completes after its pipe was stopped,
// while the receive queue is full and nobody waits. pair0 then remembers a
// message that waits in a pipe that it no longer has, and follows a NULL
// pointer at the next receive. With the mend the pipe is not stopped before.

#include "late_pair0.h"

static bool queue_is_full(pair0_sock *s) {
  bool full;

  nni_mtx_lock(&s->mtx);
  full = nni_lmq_full(&s->rmq);
  nni_mtx_unlock(&s->mtx);
  return (full);
}

// Whether the socket lets go of its pipe within a second.
static bool stops_soon(pair0_sock *s) {
  const nni_time end = nni_clock() + 1000;
  bool stopped = false;

  while (!stopped && nni_clock() < end) {
    nni_mtx_lock(&s->mtx);
    stopped = s->p == NULL;
    nni_mtx_unlock(&s->mtx);
    nni_msleep(1);
  }
  return (stopped);
}

static void receive_after_stop(transport tran) {
  nng_socket sock;
  pair0_sock *s;
  pair0_pipe *p;
  nng_msg *msg;
  char url[URL_SIZE];
  int fd;

  progress();
  OK(own_pair0_open(&sock));
  OK(nng_socket_set_int(sock, NNG_OPT_RECVBUF, 1));
  OK(nng_socket_set_ms(sock, NNG_OPT_RECVTIMEO, 100));
  s = inside(sock);
  start_listener(sock, tran, url);
  fd = raw_connect(url);
  CHECK(raw_shake(fd));
  CHECK(raw_send(fd, tran, "queued"));
  while (!queue_is_full(s)) {
    (void)sched_yield();
  }
  p = wait_for_pipe(s, true);
  make_late(&p->aio_recv);
  CHECK(raw_send(fd, tran, "late"));
  gate_wait(&late.begins);
  nni_pipe_close(p->pipe);
  (void)stops_soon(s);
  gate_open(&late.may_run);
  gate_wait(&late.has_run);
  (void)wait_for_pipe(s, false);

  OK(nng_recvmsg(sock, &msg, 0));
  CHECK(nng_msg_len(msg) == strlen("queued"));
  nng_msg_free(msg);
  CHECK(nng_recvmsg(sock, &msg, 0) == NNG_ETIMEDOUT);
  CHECK(close(fd) == 0);
  OK(nng_close(sock));
}

int main(void) {
  receive_after_stop(TCP);
  receive_after_stop(IPC);
  return (0);
}
