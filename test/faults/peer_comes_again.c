// deps/patches/0031: a peer whose connection has been ended is gone for NNG
// only once the pipe is destroyed, on another thread. If it comes again before
// that, it is turned away.

#include <string.h>

#include "core/nng_impl.h"
#include "fault.h"

// Keeps the thread that destroys pipes waiting.
typedef struct {
  nni_reap_node node;
  gate started;
  gate may_go;
} obstacle;

static void stand_in_the_way(void *arg) {
  obstacle *o = arg;

  gate_open(&o->started);
  gate_wait(&o->may_go);
}

static nni_reap_list obstacles = {
    .rl_offset = offsetof(obstacle, node),
    .rl_func = stand_in_the_way,
};

static void hold_reaper(obstacle *o) {
  gate_init(&o->started);
  gate_init(&o->may_go);
  nni_reap(&obstacles, o);
  gate_wait(&o->started);
}

static void come_again(transport tran) {
  unsigned char absurd[9];
  nng_socket sock;
  char url[URL_SIZE];
  char got[8];
  size_t size = sizeof(got);
  obstacle reaper;
  int fd;

  progress();
  OK(nng_pair0_open(&sock));
  OK(nng_socket_set_size(sock, NNG_OPT_RECVMAXSZ, 1024));
  hold_reaper(&reaper);
  start_listener(sock, tran, url);

  // This one breaks the rules, and sees the end of its connection.
  fd = raw_connect(url);
  CHECK(raw_shake(fd));
  memset(absurd, 0xff, sizeof(absurd));
  (void)raw_write(fd, absurd, sizeof(absurd));
  while (raw_read(fd, got, 1)) {
  }
  CHECK(close(fd) == 0);

  fd = raw_connect(url);
  CHECK(raw_shake(fd) && raw_send(fd, tran, "again"));
  OK(nng_recv(sock, got, &size, 0));
  CHECK(size == 5 && memcmp(got, "again", size) == 0);

  gate_open(&reaper.may_go);
  CHECK(close(fd) == 0);
  OK(nng_close(sock));
}

int main(void) {
  come_again(TCP);
  come_again(IPC);
  return (0);
}
