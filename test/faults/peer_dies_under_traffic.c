// Peers die, one after the other, under traffic both ways. The
// reaper that waits for ever never gives the dead one up, and no next peer
// gets in.

#include <pthread.h>

#include "fault.h"

#define DEATHS 100

static void *send_always(void *arg) {
  nng_socket sock = *(nng_socket *)arg;
  nng_msg *msg;

  use_engine();
  for (;;) {
    OK(nng_msg_alloc(&msg, 1000));
    if (nng_sendmsg(sock, msg, 0) != 0) {
      nng_msg_free(msg);
      return (NULL);
    }
  }
}

static void *receive_always(void *arg) {
  nng_socket sock = *(nng_socket *)arg;
  nng_msg *msg;

  use_engine();
  while (nng_recvmsg(sock, &msg, 0) == 0) {
    nng_msg_free(msg);
  }
  return (NULL);
}

// Returns whether it was let in, which shows by our messages.
static bool live_and_die(transport tran, const char *url) {
  char some[4096];
  bool alive;
  int fd = raw_connect(url);

  alive = raw_shake(fd) && raw_read(fd, some, sizeof(some));
  for (int i = 0; alive && (i < 20); i++) {
    alive = raw_send(fd, tran, "traffic") && raw_read(fd, some, sizeof(some));
  }
  raw_reset(fd);
  return (alive);
}

static void die_often(transport tran) {
  nng_socket sock;
  pthread_t sender;
  pthread_t receiver;
  char url[URL_SIZE];

  progress();
  OK(nng_pair0_open(&sock));
  OK(nng_socket_set_int(sock, NNG_OPT_SENDBUF, 16));
  OK(nng_socket_set_int(sock, NNG_OPT_RECVBUF, 16));
  start_listener(sock, tran, url);
  CHECK(pthread_create(&sender, NULL, send_always, &sock) == 0);
  CHECK(pthread_create(&receiver, NULL, receive_always, &sock) == 0);
  for (int deaths = 0; deaths < DEATHS;) {
    if (live_and_die(tran, url)) {
      deaths++;
      progress();
    } else {
      wait_a_little();
    }
  }
  OK(nng_close(sock));
  CHECK(pthread_join(sender, NULL) == 0);
  CHECK(pthread_join(receiver, NULL) == 0);
}

int main(void) {
  die_often(TCP);
  die_often(IPC);
  return (0);
}
