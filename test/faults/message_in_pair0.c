// deps/patches/0003: messages in pair0's queues are lost, repeated or leaked,
// and its pointers dangle, when pipes and sockets end under traffic. The core
// moves its messages past them: where it observes pair0, a message cannot get
// in, neither by a call on the socket nor from a peer.

#include <string.h>

#include "core/nng_impl.h"
#include "fault.h"
#include "pair0_observer.h"

typedef struct {
  gate started;
  gate stopped;
  int why;  // once it has stopped
} peer;

static void observe(void *arg, pair0_event event, uint32_t pipe, int error) {
  peer *p = arg;

  (void)pipe;
  if (event == PAIR0_START) {
    gate_open(&p->started);
  } else if (event == PAIR0_STOP) {
    p->why = error;
    gate_open(&p->stopped);
  }
}

static void observe_pair0(nng_socket sock, pair0_observer *observer) {
  const int rv = nng_socket_set_ptr(sock, PAIR0_OPT_OBSERVER, observer);

  // NNG as it is has no observers. The calls are to show the difference.
  CHECK(rv == 0 || rv == NNG_ENOTSUP);
}

static nng_msg *a_message(void) {
  nng_msg *msg;

  OK(nng_msg_alloc(&msg, 0));
  OK(nng_msg_append(msg, "inside", 6));
  return (msg);
}

static void calls_are_refused(nng_socket sock, int flags) {
  nng_msg *msg = a_message();
  char buffer[16] = "inside";
  size_t size = 6;
  void *memory;

  CHECK(nng_sendmsg(sock, msg, flags) == NNG_ENOTSUP);
  CHECK(nng_msg_len(msg) == size);  // it is still the caller's
  nng_msg_free(msg);
  CHECK(nng_send(sock, buffer, size, flags) == NNG_ENOTSUP);
  CHECK((memory = nng_alloc(size)) != NULL);
  CHECK(nng_send(sock, memory, size, flags | NNG_FLAG_ALLOC) == NNG_ENOTSUP);
  nng_free(memory, size);

  CHECK(nng_recvmsg(sock, &msg, flags) == NNG_ENOTSUP);
  size = sizeof(buffer);
  CHECK(nng_recv(sock, buffer, &size, flags) == NNG_ENOTSUP);
  CHECK(nng_recv(sock, &memory, &size, flags | NNG_FLAG_ALLOC) == NNG_ENOTSUP);
}

// As a call does that has found its socket, which may be closed meanwhile.
static void operations_are_refused(nni_sock *found) {
  nng_msg *msg = a_message();
  nng_aio *aio;

  OK(nng_aio_alloc(&aio, NULL, NULL));
  nng_aio_set_msg(aio, msg);
  nni_sock_send(found, aio);
  nng_aio_wait(aio);
  CHECK(nng_aio_result(aio) == NNG_ENOTSUP);
  CHECK(nng_aio_get_msg(aio) == msg);
  nng_msg_free(msg);
  nng_aio_set_msg(aio, NULL);

  nni_sock_recv(found, aio);
  nng_aio_wait(aio);
  CHECK(nng_aio_result(aio) == NNG_ENOTSUP);
  CHECK(nng_aio_get_msg(aio) == NULL);
  nng_aio_free(aio);
}

static void keep_out(transport tran) {
  peer p = {.why = 0};
  pair0_observer observer = {observe, &p};
  nng_socket sock;
  nni_sock *found;
  nng_msg *msg;
  char url[URL_SIZE];
  char some;
  int fd;

  progress();
  gate_init(&p.started);
  gate_init(&p.stopped);
  OK(nng_pair0_open(&sock));
  OK(nng_socket_set_int(sock, NNG_OPT_SENDBUF, 4));
  OK(nng_socket_set_int(sock, NNG_OPT_RECVBUF, 4));
  // Even one that was there before stays where it is.
  OK(nng_send(sock, "early", 5, 0));
  observe_pair0(sock, &observer);
  OK(nni_sock_find(&found, sock.id));
  calls_are_refused(sock, NNG_FLAG_NONBLOCK);
  calls_are_refused(sock, 0);
  operations_are_refused(found);

  start_listener(sock, tran, url);
  fd = raw_connect(url);
  CHECK(raw_shake(fd));
  gate_wait(&p.started);
  calls_are_refused(sock, 0);
  operations_are_refused(found);

  // Nobody has attached himself to the connection, so it gets to pair0.
  CHECK(raw_send(fd, tran, "inside"));
  gate_wait(&p.stopped);
  CHECK(p.why == NNG_EPROTO);
  CHECK(!raw_read(fd, &some, 1));
  CHECK(close(fd) == 0);
  observe_pair0(sock, NULL);
  CHECK(nng_recvmsg(sock, &msg, NNG_FLAG_NONBLOCK) == NNG_EAGAIN);
  observe_pair0(sock, &observer);

  // nng_close() does this, and then waits for those who have found it.
  OK(nni_sock_shutdown(found));
  operations_are_refused(found);
  nni_sock_rele(found);
  OK(nng_close(sock));
}

int main(void) {
  keep_out(TCP);
  keep_out(IPC);
  return (0);
}
