// A pipe that is closed while its transport's callback is under way
// leaves an operation that nobody completes. The reaper waits for it for ever,
// and with it every later close. Here: nng_close() under traffic both ways.

#include <pthread.h>

#include "fault.h"

#define ROUNDS 40
#define MESSAGES 200

static void *receive(void *arg) {
  nng_socket sock = *(nng_socket *)arg;
  nng_msg *msg;

  use_engine();
  while (nng_recvmsg(sock, &msg, 0) == 0) {
    nng_msg_free(msg);
  }
  return (NULL);
}

static void send_one(nng_socket sock) {
  nng_msg *msg;

  OK(nng_msg_alloc(&msg, 100));
  if (nng_sendmsg(sock, msg, NNG_FLAG_NONBLOCK) != 0) {
    nng_msg_free(msg);
  }
}

static void close_under_traffic(transport tran) {
  nng_socket socks[2];
  pthread_t threads[2];
  char url[URL_SIZE];

  for (int i = 0; i < 2; i++) {
    OK(nng_pair0_open(&socks[i]));
    OK(nng_socket_set_int(socks[i], NNG_OPT_SENDBUF, 16));
    OK(nng_socket_set_int(socks[i], NNG_OPT_RECVBUF, 16));
  }
  start_listener(socks[0], tran, url);
  OK(nng_dial(socks[1], url, NULL, 0));
  for (int i = 0; i < 2; i++) {
    CHECK(pthread_create(&threads[i], NULL, receive, &socks[i]) == 0);
  }
  for (int n = 0; n < MESSAGES; n++) {
    send_one(socks[0]);
    send_one(socks[1]);
  }
  for (int i = 0; i < 2; i++) {
    OK(nng_close(socks[i]));
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
}

int main(void) {
  for (int i = 0; i < ROUNDS; i++) {
    progress();
    close_under_traffic(TCP);
    close_under_traffic(IPC);
  }
  return (0);
}
