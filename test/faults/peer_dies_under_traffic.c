// Peers die, one after the other, under traffic both ways. The
// reaper that waits for ever never gives the dead one up, and no next peer
// gets in.

#include "traffic.h"

#define DEATHS 100

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
  traffic *t;
  char url[URL_SIZE];

  progress();
  OK(nng_pair0_open(&sock));
  t = traffic_start(sock, 1000);
  start_listener(sock, tran, url);
  for (int deaths = 0; deaths < DEATHS;) {
    if (live_and_die(tran, url)) {
      deaths++;
      progress();
    } else {
      wait_a_little();
    }
  }
  // It was traffic both ways.
  traffic_wait(t, 1);
  traffic_close(t);
}

int main(void) {
  die_often(TCP);
  die_often(IPC);
  return (0);
}
