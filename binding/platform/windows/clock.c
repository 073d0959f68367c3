// NNG's clock, in place of win_clock.c: to the millisecond, where the system's
// tick count moves in steps of sixteen.

#include "core/nng_impl.h"

nni_time nni_clock(void) {
  LARGE_INTEGER frequency;  // a second
  LARGE_INTEGER now;
  uint64_t seconds;
  uint64_t rest;

  // Neither can fail.
  (void)QueryPerformanceFrequency(&frequency);
  (void)QueryPerformanceCounter(&now);
  seconds = (uint64_t)(now.QuadPart / frequency.QuadPart);
  rest = (uint64_t)(now.QuadPart % frequency.QuadPart);
  return seconds * 1000 + rest * 1000 / (uint64_t)frequency.QuadPart;
}

void nni_msleep(nni_duration ms) { Sleep((DWORD)ms); }
