// A pipe that is closed while its transport's callback is under way
// leaves an operation that nobody completes. The reaper waits for it for ever,
// and with it every later close. Here: nng_close() under traffic both ways.

#include "traffic.h"

#define ROUNDS 40
#define BYTES 20000

static void close_under_traffic(transport tran) {
  nng_socket socks[2];
  traffic *traffics[2];
  char url[URL_SIZE];

  for (int i = 0; i < 2; i++) {
    OK(nng_pair0_open(&socks[i]));
    traffics[i] = traffic_start(socks[i], 100);
  }
  start_listener(socks[0], tran, url);
  OK(nng_dial(socks[1], url, NULL, 0));
  for (int i = 0; i < 2; i++) {
    traffic_wait(traffics[i], BYTES);
  }
  for (int i = 0; i < 2; i++) {
    traffic_close(traffics[i]);
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
