// One end of a job, with the arguments and the answers of node/endpoint.mjs,
// and its patterns: see node/patterns.mjs.

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "meter.h"
#include "peer.h"

static bool dialer;
static const char *pattern;
static size_t size;
static long count;
static long warmup;
static unsigned char *payload;

void tell_listening(const char *url) {
  printf("{\"listening\":\"%s\"}\n", url);
  fflush(stdout);
}

static void receive(long messages) {
  tally t = {0};
  while (t.messages < messages) {
    peer_recv(&t);
  }
  if (t.bytes != (size_t)messages * size ||
      t.ends != (size_t)messages * (payload[0] + payload[size - 1])) {
    fprintf(stderr, "not what was sent: %zu bytes\n", t.bytes);
    _exit(1);
  }
}

static void take_turn(void) {
  tally t = {0};
  peer_recv(&t);
}

static void give_turn(void) {
  unsigned char turn = 0;
  peer_send(&turn, 1);
}

static void *send_stream(void *messages) {
  peer_send_all(payload, size, *(long *)messages);
  return NULL;
}

// A blocking API needs a thread for each direction.
static void exchange(long messages) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, send_stream, &messages) != 0) {
    die("pthread_create");
  }
  receive(messages);
  pthread_join(thread, NULL);
}

static void tell(meter m, const char *name, double value) {
  printf("{\"%s\":{\"seconds\":%.9f,\"cpu\":%.6f", dialer ? "dial" : "listen",
         m.wall, m.cpu);
  if (name != NULL) {
    printf(",\"%s\":%.3f", name, value);
  }
}

static void ping_pong(double *times, long trips) {
  tally t = {0};
  for (long i = 0; i < trips; i++) {
    double start = now_seconds();
    peer_send(payload, size);
    peer_recv(&t);
    times[i] = (now_seconds() - start) * 1e6;
  }
}

static void round_trip(void) {
  if (!dialer) {
    for (long i = 0; i < warmup; i++) {
      peer_echo();
    }
    meter m = meter_start();
    for (long i = 0; i < count; i++) {
      peer_echo();
    }
    tell(meter_stop(m), NULL, 0);
    return;
  }
  size_t room = (size_t)(warmup > count ? warmup : count);
  double *times = malloc(room * sizeof(*times));
  ping_pong(times, warmup);
  meter m = meter_start();
  ping_pong(times, count);
  m = meter_stop(m);
  tell(m, "p50", quantile(times, (size_t)count, 0.5));
  printf(",\"p99\":%.3f", quantile(times, (size_t)count, 0.99));
  free(times);
}

static void one_way(void) {
  if (dialer) {
    peer_send_all(payload, size, warmup);
    take_turn();
    meter m = meter_start();
    peer_send_all(payload, size, count);
    m = meter_stop(m);
    take_turn();
    tell(m, NULL, 0);
    return;
  }
  receive(warmup);
  meter m = meter_start();
  give_turn();
  receive(count);
  m = meter_stop(m);
  give_turn();
  tell(m, "rate", (double)count / m.wall);
}

static void duplex(void) {
  exchange(warmup);
  if (dialer) {
    give_turn();
    take_turn();
    meter m = meter_start();
    exchange(count);
    give_turn();
    tell(meter_stop(m), NULL, 0);
    return;
  }
  take_turn();
  meter m = meter_start();
  give_turn();
  exchange(count);
  take_turn();
  m = meter_stop(m);
  tell(m, "rate", 2 * (double)count / m.wall);
}

int main(int argc, char **argv) {
  if (argc != 8) {
    fprintf(stderr,
            "usage: %s listen|dial url pattern style size count warm-up\n",
            argv[0]);
    return 2;
  }
  dialer = strcmp(argv[1], "dial") == 0;
  pattern = argv[3];
  size = strtoul(argv[5], NULL, 10);
  count = atol(argv[6]);
  warmup = atol(argv[7]);
  payload = malloc(size);
  memset(payload, 7, size);

  if (dialer) {
    peer_dial(argv[2], size);
  } else {
    peer_listen(argv[2], size);
  }
  if (strcmp(pattern, "roundtrip") == 0) {
    round_trip();
  } else if (strcmp(pattern, "oneway") == 0) {
    one_way();
  } else if (strcmp(pattern, "duplex") == 0) {
    duplex();
  } else {
    fprintf(stderr, "no pattern %s\n", pattern);
    return 2;
  }
  printf("}}\n");
  fflush(stdout);

  // The peer may still be reading: whoever started both says when it is over.
  char byte;
  while (read(0, &byte, 1) > 0) {
  }
  // Not exit(): stock NNG can hang when it is taken down.
  _exit(0);
}
