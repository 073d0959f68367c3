// NNG's clock, in place of posix_clock.c, which follows the wall clock: a
// redial or a time-out must not wait for an hour because somebody set it back.

#include <time.h>

#include "core/nng_impl.h"

nni_time nni_clock(void) {
  struct timespec ts;

  (void)clock_gettime(CLOCK_MONOTONIC, &ts);
  return (nni_time)ts.tv_sec * 1000 + (nni_time)ts.tv_nsec / 1000000;
}

void nni_msleep(nni_duration ms) {
  struct timespec ts = {.tv_sec = ms / 1000,
                        .tv_nsec = (long)(ms % 1000) * 1000000};

  while (nanosleep(&ts, &ts) != 0) {
    // Interrupted: ts is what is left.
  }
}
