// NNG through its own blocking API.

#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"

// NNG's default, none, is several times slower with small messages; with large
// ones, a buffer costs more in fresh memory than it saves.
#define BUFFERED_SMALL 128
#define SMALL 16384

static nng_socket sock;

static void check(int rv, const char *what) {
  if (rv != 0) {
    fprintf(stderr, "%s: %s\n", what, nng_strerror(rv));
    _exit(1);
  }
}

static void open_socket(size_t size) {
  int buffered = size <= SMALL ? BUFFERED_SMALL : 0;
  check(nng_pair0_open(&sock), "open");
  check(nng_socket_set_int(sock, NNG_OPT_SENDBUF, buffered), "SENDBUF");
  check(nng_socket_set_int(sock, NNG_OPT_RECVBUF, buffered), "RECVBUF");
}

void peer_listen(const char *url, size_t size) {
  nng_listener listener;
  char bound[256];
  int port;
  open_socket(size);
  check(nng_listener_create(&listener, sock, url), "listen");
  check(nng_listener_start(listener, 0), "listen");
  if (nng_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port) == 0) {
    snprintf(bound, sizeof(bound), "tcp://127.0.0.1:%d", port);
    url = bound;
  }
  tell_listening(url);
}

void peer_dial(const char *url, size_t size) {
  open_socket(size);
  check(nng_dial(sock, url, NULL, 0), "dial");
}

void peer_send(const unsigned char *body, size_t size) {
  nng_msg *msg;
  check(nng_msg_alloc(&msg, size), "alloc");
  memcpy(nng_msg_body(msg), body, size);
  check(nng_sendmsg(sock, msg, 0), "send");
}

void peer_recv(tally *t) {
  nng_msg *msg;
  check(nng_recvmsg(sock, &msg, 0), "recv");
  tally_add(t, nng_msg_body(msg), nng_msg_len(msg));
  nng_msg_free(msg);
}

void peer_echo(void) {
  nng_msg *msg;
  check(nng_recvmsg(sock, &msg, 0), "recv");
  check(nng_sendmsg(sock, msg, 0), "send");
}

void peer_send_all(const unsigned char *body, size_t size, long count) {
  for (long i = 0; i < count; i++) {
    peer_send(body, size);
  }
}
