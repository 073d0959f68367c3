// What the peers in C measure with, and how they tell it.

#ifndef NNG_PAIR_BENCH_METER_H
#define NNG_PAIR_BENCH_METER_H

#include <stddef.h>

typedef struct {
  double wall;  // seconds
  double cpu;   // seconds of all threads, in user mode and in the kernel
} meter;

double now_seconds(void);
meter meter_start(void);
meter meter_stop(meter start);

// Sorts the values.
double quantile(double *values, size_t count, double q);

_Noreturn void die(const char *what);

#endif
