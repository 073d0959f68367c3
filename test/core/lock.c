// An engine's lock (binding/engine/lock.h): a thread that takes turns without a
// pause, as the thread driver's does under a flood, does not keep it from the
// others. Prints how many of the others' waits were longer than the turns that
// they have to wait for.

#include "../../binding/engine/lock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define OTHERS 3
#define WAITS 200
// The turn under way, and one between any two of the others.
#define TURNS_TO_WAIT (OTHERS + 1)

static engine_lock *lock;
static atomic_uint turns;
static atomic_bool stop;
static atomic_uint long_waits;

static void spin(unsigned times) {
  for (volatile unsigned i = 0; i < times; i++) {
  }
}

static void *take_turns(void *arg) {
  (void)arg;
  while (!atomic_load(&stop)) {
    lock_acquire(lock);
    atomic_fetch_add(&turns, 1);
    spin(200 * 1000);
    lock->depth = 0;
    lock_release_slow(lock, true);
  }
  return NULL;
}

static void *take_now_and_then(void *arg) {
  (void)arg;
  for (int i = 0; i < WAITS; i++) {
    unsigned before;

    (void)usleep(500);
    before = atomic_load(&turns);
    lock_acquire(lock);
    if (atomic_load(&turns) - before > TURNS_TO_WAIT) {
      atomic_fetch_add(&long_waits, 1);
    }
    lock_release(lock);
  }
  return NULL;
}

int main(void) {
  pthread_t busy;
  pthread_t others[OTHERS];

  if ((lock = lock_claim(NULL)) == NULL ||
      pthread_create(&busy, NULL, take_turns, NULL) != 0) {
    return 2;
  }
  for (int i = 0; i < OTHERS; i++) {
    if (pthread_create(&others[i], NULL, take_now_and_then, NULL) != 0) {
      return 2;
    }
  }
  for (int i = 0; i < OTHERS; i++) {
    pthread_join(others[i], NULL);
  }
  atomic_store(&stop, true);
  pthread_join(busy, NULL);
  printf("%u of %u\n", atomic_load(&long_waits), OTHERS * WAITS);
  return 0;
}
