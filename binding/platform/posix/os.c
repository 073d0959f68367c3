// What os.h declares, by pthread and mmap.

#include "../os.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

void os_cond_init(os_cond *c) {
#if defined(__APPLE__)
  (void)pthread_cond_init(c, NULL);
#else
  pthread_condattr_t attr;

  (void)pthread_condattr_init(&attr);
  // Not the wall clock, which somebody may set.
  (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  (void)pthread_cond_init(c, &attr);
  (void)pthread_condattr_destroy(&attr);
#endif
}

bool os_cond_wait(os_cond *c, os_mutex *m, int64_t ms) {
  struct timespec ts = {.tv_sec = (time_t)(ms / 1000),
                        .tv_nsec = (long)(ms % 1000) * 1000000};

  if (ms < 0) {
    return pthread_cond_wait(c, m) == 0;
  }
#if defined(__APPLE__)
  return pthread_cond_timedwait_relative_np(c, m, &ts) != ETIMEDOUT;
#else
  struct timespec now;

  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  ts.tv_sec += now.tv_sec;
  ts.tv_nsec += now.tv_nsec;
  if (ts.tv_nsec >= 1000000000) {
    ts.tv_sec++;
    ts.tv_nsec -= 1000000000;
  }
  return pthread_cond_timedwait(c, m, &ts) != ETIMEDOUT;
#endif
}

void os_call_once(os_once *once, void (*call)(void)) {
  (void)pthread_once(once, call);
}

typedef struct {
  void (*run)(void *);
  void *arg;
} thread_start;

static void *thread_main(void *arg) {
  const thread_start start = *(thread_start *)arg;

  free(arg);
  start.run(start.arg);
  return NULL;
}

bool os_start_detached(void (*run)(void *), void *arg, size_t least) {
  thread_start *start;
  pthread_attr_t attr;
  pthread_t thread;
  sigset_t all;
  sigset_t before;
  size_t stack;
  int rv;

  if ((start = malloc(sizeof(*start))) == NULL) {
    return false;
  }
  start->run = run;
  start->arg = arg;
  if (pthread_attr_init(&attr) != 0) {
    free(start);
    return false;
  }
  (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  if (pthread_attr_getstacksize(&attr, &stack) == 0 && stack < least) {
    (void)pthread_attr_setstacksize(&attr, least);
  }
  sigfillset(&all);
  (void)pthread_sigmask(SIG_BLOCK, &all, &before);
  rv = pthread_create(&thread, &attr, thread_main, start);
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  (void)pthread_attr_destroy(&attr);
  if (rv != 0) {
    free(start);
  }
  return rv == 0;
}

void *os_map(size_t size) {
  void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  return p != MAP_FAILED ? p : NULL;
}

void os_unmap(void *ptr, size_t size) { (void)munmap(ptr, size); }
