// The one lock of all engines (engine.h).

#ifndef NNG_PAIR_LOCK_H
#define NNG_PAIR_LOCK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine.h"

// 0: free; 1: held; 2: held, and somebody may be waiting.
typedef struct {
  atomic_int state;
  atomic_uintptr_t owner;  // the holder's pthread_self(), or 0
  unsigned depth;          // how often the holder has locked
  engine *current;         // on whose behalf the holder works
  pthread_mutex_t mutex;   // of the waiting room
  pthread_cond_t condition;
  unsigned waiters;
  bool handed;  // to one of the waiters
} engine_lock;

extern engine_lock nng_pair_lock;

extern void lock_acquire_slow(uintptr_t me);
extern void lock_release_slow(bool hand_over);

static inline bool lock_is_mine(void) {
  return atomic_load_explicit(&nng_pair_lock.owner, memory_order_relaxed) ==
         (uintptr_t)pthread_self();
}

static inline void lock_acquire(void) {
  const uintptr_t me = (uintptr_t)pthread_self();

  if (atomic_load_explicit(&nng_pair_lock.owner, memory_order_relaxed) == me) {
    nng_pair_lock.depth++;
    return;
  }
  lock_acquire_slow(me);
}

static inline void lock_release(void) {
  if (--nng_pair_lock.depth == 0) {
    lock_release_slow(false);
  }
}

// Gives the lock up whole around something that may block, and takes it back
// as often as it was held.
typedef struct {
  unsigned depth;
  engine *current;
} lock_state;

extern lock_state lock_suspend(void);
extern void lock_resume(lock_state);

#endif  // NNG_PAIR_LOCK_H
