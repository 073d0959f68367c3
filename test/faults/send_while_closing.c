// deps/patches/0002: a send is accepted while the pipe is being
// closed, on a pipe that refuses it without a word. The message is lost, and
// its memory.

#include <poll.h>

#include "core/nng_impl.h"
#include "fault.h"

static nng_pipe peer;

static void note_peer(nng_pipe pipe, nng_pipe_ev event, void *arg) {
  (void)event;
  (void)arg;
  peer = pipe;
}

// Waits until nothing stands between a message and the pipe. With a send buffer
// the socket is always ready.
static void wait_for_pipe(nng_socket sock) {
  struct pollfd pfd = {.events = POLLIN};

  OK(nng_socket_get_int(sock, NNG_OPT_SENDFD, &pfd.fd));
  CHECK(poll(&pfd, 1, -1) == 1);
}

static void send_while_closing(transport tran) {
  nng_socket sock;
  nni_pipe *pipe;
  char url[URL_SIZE];
  char some;
  int fd;

  progress();
  OK(nng_pair0_open(&sock));
  OK(nng_socket_set_int(sock, NNG_OPT_SENDBUF, 0));
  OK(nng_pipe_notify(sock, NNG_PIPE_EV_ADD_PRE, note_peer, NULL));
  start_listener(sock, tran, url);
  fd = raw_connect(url);
  CHECK(raw_shake(fd));
  OK(nng_send(sock, "first", 5, 0));
  CHECK(raw_expect(fd, tran, "first"));
  wait_for_pipe(sock);
  OK(nng_socket_set_int(sock, NNG_OPT_SENDBUF, 4));

  // Held, the pipe is closed but stays the socket's.
  OK(nni_pipe_find(&pipe, (uint32_t)nng_pipe_id(peer)));
  OK(nng_pipe_close(peer));
  OK(nng_send(sock, "kept", 4, NNG_FLAG_NONBLOCK));
  nni_pipe_rele(pipe);
  CHECK(!raw_read(fd, &some, 1));
  CHECK(close(fd) == 0);

  for (;;) {
    fd = raw_connect(url);
    // Until the first is gone the second is turned away.
    if (raw_shake(fd) && raw_expect(fd, tran, "kept")) {
      break;
    }
    CHECK(close(fd) == 0);
    wait_a_little();
  }
  CHECK(close(fd) == 0);
  OK(nng_close(sock));
}

int main(void) {
  send_while_closing(TCP);
  send_while_closing(IPC);
  return (0);
}
