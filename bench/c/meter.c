#include "meter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

double now_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(struct timeval t) {
  return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static double cpu_seconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

meter meter_start(void) {
  return (meter){.wall = now_seconds(), .cpu = cpu_seconds()};
}

meter meter_stop(meter start) {
  return (meter){.wall = now_seconds() - start.wall,
                 .cpu = cpu_seconds() - start.cpu};
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a;
  double y = *(const double *)b;
  return (x > y) - (x < y);
}

double quantile(double *values, size_t count, double q) {
  qsort(values, count, sizeof(*values), compare);
  double place = (double)(count - 1) * q;
  size_t low = (size_t)floor(place);
  size_t high = (size_t)ceil(place);
  return values[low] + (values[high] - values[low]) * (place - (double)low);
}

void die(const char *what) {
  perror(what);
  _exit(1);
}
