// binding/platform/resolver.c: a name that takes long keeps nobody waiting.
// NNG resolves with a few threads, and has them parse numeric addresses, too.

#include <string.h>

#include "fault.h"

// More than NNG has threads.
#define NAMES 8

int main(void) {
  char names[NAMES * 64] = "";
  char url[URL_SIZE];
  nng_socket waiting;
  nng_socket listening;
  nng_socket dialing;

  for (int i = 0; i < NAMES; i++) {
    (void)snprintf(names + strlen(names), 64, "hang%d.test @600000\n", i);
  }
  CHECK(setenv("TEST_NAMES", names, 1) == 0);
  progress();
  OK(nng_pair0_open(&waiting));
  for (int i = 0; i < NAMES; i++) {
    (void)snprintf(url, sizeof(url), "tcp://hang%d.test:1", i);
    OK(nng_dial(waiting, url, NULL, NNG_FLAG_NONBLOCK));
  }

  progress();
  OK(nng_pair0_open(&listening));
  start_listener(listening, TCP, url);
  OK(nng_pair0_open(&dialing));
  OK(nng_dial(dialing, url, NULL, 0));

  progress();
  OK(nng_close(waiting));
  OK(nng_close(dialing));
  OK(nng_close(listening));
  return (0);
}
