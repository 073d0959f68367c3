// The locks of the engines, and the checks of the order in which all locks are
// taken (lock.h). NNG's mutexes are made of them in platform/sync.c.

#include "lock.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/nng_impl.h"
#include "engine_impl.h"

// Those that were never used cost no memory.
static struct {
  os_mutex mutex;
  unsigned next;  // where to look first: the one that was left longest ago
  engine_lock locks[MAX_ENGINES];
} table = {.mutex = OS_MUTEX_INIT};

// The engine's lock that this thread holds, and what engine_bind has set.
static _Thread_local engine_lock *held_lock;
static _Thread_local engine *bound_engine;

// Checks.

#if defined(NNG_PAIR_LOCK_CHECK)

// How many of NNG's leaves, and of ours, this thread holds.
static _Thread_local unsigned process_leaves;
static _Thread_local unsigned own_leaves;

static void breach(const char *what) {
  (void)fprintf(stderr, "nng-pair: lock order: %s\n", what);
  abort();
}

void lock_check_engine(const engine_lock *l) {
  if (process_leaves + own_leaves > 0) {
    breach("an engine's lock is taken while a leaf is held");
  }
  if (held_lock != NULL && held_lock != l) {
    breach("the locks of two engines are held at once");
  }
}

void lock_check_leaf(void) {
  if (process_leaves + own_leaves > 0) {
    breach("a leaf is taken while another is held");
  }
  process_leaves++;
}

void lock_leave_leaf(void) { process_leaves--; }

// Of a wait on a condition: everything else would be held meanwhile.
void lock_check_wait(bool engine_too) {
  if (own_leaves > 0 || process_leaves > (engine_too ? 0 : 1) ||
      (!engine_too && held_lock != NULL)) {
    breach("a thread waits on a condition and holds another lock");
  }
}

void leaf_lock(os_mutex *m) {
  if (own_leaves++ > 0) {
    breach("a leaf of ours is taken while another is held");
  }
  os_mutex_lock(m);
}

void leaf_unlock(os_mutex *m) {
  os_mutex_unlock(m);
  own_leaves--;
}

void engine_check_unlocked(void) {
  if (held_lock != NULL || process_leaves + own_leaves > 0) {
    breach("a lock is held while JavaScript runs");
  }
}

#endif

// The engines' locks.

static void prepare(engine_lock *l) {
  if (!l->prepared) {
    os_mutex_init(&l->mutex);
    os_cond_init(&l->condition);
    os_mutex_init(&l->cv_mutex);
    l->prepared = true;
  }
}

engine_lock *lock_claim(engine *e) {
  engine_lock *found = NULL;

  leaf_lock(&table.mutex);
  for (unsigned i = 0; i < MAX_ENGINES && found == NULL; i++) {
    engine_lock *l = &table.locks[(table.next + i) % MAX_ENGINES];

    if (!l->used) {
      table.next = (table.next + i + 1) % MAX_ENGINES;
      found = l;
      prepare(l);
      l->used = true;
    }
  }
  leaf_unlock(&table.mutex);
  if (found != NULL) {
    // Whoever has ended the engine before may be on the way out.
    lock_acquire(found);
    found->owned_by = e;
    lock_release(found);
  }
  return found;
}

void lock_disclaim(engine_lock *l) {
  leaf_lock(&table.mutex);
  l->used = false;
  leaf_unlock(&table.mutex);
}

uint16_t lock_index(const engine_lock *l) {
  return (uint16_t)(l - table.locks + 1);
}

engine_lock *lock_at(uint16_t index) { return &table.locks[index - 1]; }

// How often to look again before going to sleep: most holders are quick.
#define SPINS 64

static bool lock_try(engine_lock *l, int to) {
  int expected = 0;

  return atomic_compare_exchange_strong_explicit(
      &l->state, &expected, to, memory_order_acquire, memory_order_relaxed);
}

static void lock_sleep(engine_lock *l) {
  unsigned ticket;

  os_mutex_lock(&l->mutex);
  l->waiters++;
  ticket = l->tickets++;
  for (;;) {
    // Not to whoever has handed it over, back already and awake, whereas the
    // one who waits has to wake up first. (The tickets may wrap around.)
    if (l->handed && (int)(ticket - l->handed_before) < 0) {
      l->handed = false;
      break;
    }
    // From here on the holder must come by the waiting room.
    if (atomic_exchange_explicit(&l->state, 2, memory_order_acquire) == 0) {
      break;
    }
    (void)os_cond_wait(&l->condition, &l->mutex, OS_FOREVER);
  }
  l->waiters--;
  os_mutex_unlock(&l->mutex);
}

void lock_acquire_slow(engine_lock *l, uintptr_t me) {
  if (!lock_try(l, 1)) {
    int spins = SPINS;

    while (spins > 0 && !lock_try(l, 1)) {
      spins--;
    }
    if (spins == 0) {
      lock_sleep(l);
    }
  }
  atomic_store_explicit(&l->owner, me, memory_order_relaxed);
  l->depth = 1;
  held_lock = l;
}

// With hand_over, a thread that waits has the lock when this returns, and this
// one gets it after that one at the earliest: a loop that takes it again at
// once would otherwise starve everybody else.
void lock_release_slow(engine_lock *l, bool hand_over) {
  int expected = 1;

  held_lock = NULL;
  atomic_store_explicit(&l->owner, 0, memory_order_relaxed);
  if (atomic_compare_exchange_strong_explicit(&l->state, &expected, 0,
                                              memory_order_release,
                                              memory_order_relaxed)) {
    return;
  }
  os_mutex_lock(&l->mutex);
  if (hand_over && l->waiters > 0) {
    l->handed = true;
    l->handed_before = l->tickets;
    // To all, lest it be one who comes later that takes the signal.
    os_cond_broadcast(&l->condition);
  } else {
    atomic_store_explicit(&l->state, 0, memory_order_release);
    if (l->waiters > 0) {
      os_cond_signal(&l->condition);
    }
  }
  os_mutex_unlock(&l->mutex);
}

lock_state lock_suspend(void) {
  const lock_state state = {held_lock, held_lock->depth};

  lock_release_slow(state.lock, false);
  return state;
}

void lock_resume(lock_state state) {
  lock_acquire_slow(state.lock, os_self());
  state.lock->depth = state.depth;
}

void engine_bind(engine *e) { bound_engine = e; }

engine *engine_current(void) {
  return held_lock != NULL ? held_lock->owned_by : bound_engine;
}
