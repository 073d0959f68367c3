// The locks of the engines, and NNG's mutexes, condition variables and threads
// on top of them, in place of posix_thread.c. lock.h says in which order they
// are taken.
//
// A mutex that is made while an engine is current, or bound, is that engine's
// lock; any other is one of the process's own. Waiting on a condition gives an
// engine's lock up whole, however often it was taken: NNG waits only where it
// holds nothing but the condition's own mutex. What it waits for may be a task
// that only this engine's loop would run; see nni_task_wait (taskq.c).

#include "lock.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/nng_impl.h"
#include "engine_impl.h"

// How many engines there may be at a time: an environment has one, which ends
// when the last thing has that belongs to it.
#define MAX_ENGINES 4096

// A mutex's number says what it is: 0 none, since it was not made; up to
// MAX_ENGINES an engine's; the rest the process's.
#define FIRST_LEAF (MAX_ENGINES + 1)
#define MAX_LEAVES 32

// Those that were never used cost no memory.
static struct {
  pthread_mutex_t mutex;
  unsigned next;  // where to look first: the one that was left longest ago
  engine_lock locks[MAX_ENGINES];
} table = {.mutex = PTHREAD_MUTEX_INITIALIZER};

// The process's: a dozen, which NNG makes when it starts.
static struct {
  pthread_mutex_t mutex;
  bool used[MAX_LEAVES];
  pthread_mutex_t leaves[MAX_LEAVES];
} process = {.mutex = PTHREAD_MUTEX_INITIALIZER};

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

static void check_leaf(void) {
  if (process_leaves + own_leaves > 0) {
    breach("a leaf is taken while another is held");
  }
  process_leaves++;
}

static void leave_leaf(void) { process_leaves--; }

// Of a wait on a condition: everything else would be held meanwhile.
static void check_wait(bool engine_too) {
  if (own_leaves > 0 || process_leaves > (engine_too ? 0 : 1) ||
      (!engine_too && held_lock != NULL)) {
    breach("a thread waits on a condition and holds another lock");
  }
}

void leaf_lock(pthread_mutex_t *m) {
  if (own_leaves++ > 0) {
    breach("a leaf of ours is taken while another is held");
  }
  pthread_mutex_lock(m);
}

void leaf_unlock(pthread_mutex_t *m) {
  pthread_mutex_unlock(m);
  own_leaves--;
}

void engine_check_unlocked(void) {
  if (held_lock != NULL || process_leaves + own_leaves > 0) {
    breach("a lock is held while JavaScript runs");
  }
}

#else

static void check_leaf(void) {}
static void leave_leaf(void) {}
static void check_wait(bool engine_too) { (void)engine_too; }

#endif

// The engines' locks.

static void prepare(engine_lock *l) {
  if (!l->prepared) {
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->condition, NULL);
    pthread_mutex_init(&l->cv_mutex, NULL);
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

static engine_lock *lock_at(uint16_t index) { return &table.locks[index - 1]; }

static bool is_leaf(uint16_t index) { return index >= FIRST_LEAF; }

// How often to look again before going to sleep: most holders are quick.
#define SPINS 64

static bool lock_try(engine_lock *l, int to) {
  int expected = 0;

  return atomic_compare_exchange_strong_explicit(
      &l->state, &expected, to, memory_order_acquire, memory_order_relaxed);
}

static void lock_sleep(engine_lock *l) {
  pthread_mutex_lock(&l->mutex);
  l->waiters++;
  for (;;) {
    if (l->handed) {
      l->handed = false;
      break;
    }
    // From here on the holder must come by the waiting room.
    if (atomic_exchange_explicit(&l->state, 2, memory_order_acquire) == 0) {
      break;
    }
    pthread_cond_wait(&l->condition, &l->mutex);
  }
  l->waiters--;
  pthread_mutex_unlock(&l->mutex);
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

// With hand_over, a thread that waits has the lock when this returns: a loop
// that takes it again at once would otherwise starve everybody else.
void lock_release_slow(engine_lock *l, bool hand_over) {
  int expected = 1;

  held_lock = NULL;
  atomic_store_explicit(&l->owner, 0, memory_order_relaxed);
  if (atomic_compare_exchange_strong_explicit(&l->state, &expected, 0,
                                              memory_order_release,
                                              memory_order_relaxed)) {
    return;
  }
  pthread_mutex_lock(&l->mutex);
  if (hand_over && l->waiters > 0) {
    l->handed = true;
  } else {
    atomic_store_explicit(&l->state, 0, memory_order_release);
  }
  if (l->waiters > 0) {
    pthread_cond_signal(&l->condition);
  }
  pthread_mutex_unlock(&l->mutex);
}

lock_state lock_suspend(void) {
  const lock_state state = {held_lock, held_lock->depth};

  lock_release_slow(state.lock, false);
  return state;
}

void lock_resume(lock_state state) {
  lock_acquire_slow(state.lock, (uintptr_t)pthread_self());
  state.lock->depth = state.depth;
}

void engine_bind(engine *e) { bound_engine = e; }

engine *engine_current(void) {
  return held_lock != NULL ? held_lock->owned_by : bound_engine;
}

// Mutexes.

_Static_assert(sizeof(nni_plat_mtx) == 2, "deps/patches/0023");
_Static_assert(FIRST_LEAF + MAX_LEAVES <= UINT16_MAX, "a mutex's number");

static pthread_mutex_t *leaf_at(uint16_t index) {
  return &process.leaves[index - FIRST_LEAF];
}

static uint16_t new_leaf(void) {
  unsigned i = 0;

  leaf_lock(&process.mutex);
  while (i < MAX_LEAVES && process.used[i]) {
    i++;
  }
  if (i == MAX_LEAVES) {
    nni_panic("mutexes are made outside of an engine");
  }
  process.used[i] = true;
  pthread_mutex_init(&process.leaves[i], NULL);
  leaf_unlock(&process.mutex);
  return (uint16_t)(FIRST_LEAF + i);
}

void nni_plat_mtx_init(nni_plat_mtx *mtx) {
  const engine *e = engine_current();

  mtx->lock = e != NULL ? lock_index(e->lock) : new_leaf();
}

void nni_plat_mtx_fini(nni_plat_mtx *mtx) {
  if (is_leaf(mtx->lock)) {
    leaf_lock(&process.mutex);
    pthread_mutex_destroy(leaf_at(mtx->lock));
    process.used[mtx->lock - FIRST_LEAF] = false;
    leaf_unlock(&process.mutex);
  }
  mtx->lock = 0;
}

static void lock_leaf(uint16_t index) {
  check_leaf();
  pthread_mutex_lock(leaf_at(index));
}

static void unlock_leaf(uint16_t index) {
  pthread_mutex_unlock(leaf_at(index));
  leave_leaf();
}

void nni_plat_mtx_lock(nni_plat_mtx *mtx) {
  NNI_ASSERT(mtx->lock != 0);
  if (is_leaf(mtx->lock)) {
    lock_leaf(mtx->lock);
  } else {
    lock_acquire(lock_at(mtx->lock));
  }
}

void nni_plat_mtx_unlock(nni_plat_mtx *mtx) {
  if (is_leaf(mtx->lock)) {
    unlock_leaf(mtx->lock);
  } else {
    lock_release(lock_at(mtx->lock));
  }
}

// Of readers and writers there is one lock, that of the table of transports: a
// leaf.

void nni_rwlock_init(nni_rwlock *rwl) {
  while (pthread_rwlock_init(&rwl->rwl, NULL) != 0) {
    nni_msleep(10);
  }
}

void nni_rwlock_fini(nni_rwlock *rwl) { pthread_rwlock_destroy(&rwl->rwl); }

void nni_rwlock_rdlock(nni_rwlock *rwl) {
  check_leaf();
  pthread_rwlock_rdlock(&rwl->rwl);
}

void nni_rwlock_wrlock(nni_rwlock *rwl) {
  check_leaf();
  pthread_rwlock_wrlock(&rwl->rwl);
}

void nni_rwlock_unlock(nni_rwlock *rwl) {
  pthread_rwlock_unlock(&rwl->rwl);
  leave_leaf();
}

// Condition variables. A leaf's are what they seem. An engine has a waiting
// room with a mutex of its own: a waiter enters it before it gives the lock up,
// and whoever wakes goes through it too, so no wake-up falls in between. Most
// variables have no waiters; their number is guarded by the lock.

void nni_plat_cv_init(nni_plat_cv *cv, nni_plat_mtx *mtx) {
  pthread_condattr_t attr;

  pthread_condattr_init(&attr);
#if !defined(__APPLE__)
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
#endif
  while (pthread_cond_init(&cv->cv, &attr) != 0) {
    nni_msleep(10);
  }
  pthread_condattr_destroy(&attr);
  cv->lock = mtx->lock;
  cv->waiters = 0;
}

void nni_plat_cv_fini(nni_plat_cv *cv) { pthread_cond_destroy(&cv->cv); }

void nni_plat_cv_wake(nni_plat_cv *cv) {
  if (cv->waiters == 0) {
    return;
  }
  if (is_leaf(cv->lock)) {
    pthread_cond_broadcast(&cv->cv);
    return;
  }
  pthread_mutex_lock(&lock_at(cv->lock)->cv_mutex);
  pthread_cond_broadcast(&cv->cv);
  pthread_mutex_unlock(&lock_at(cv->lock)->cv_mutex);
}

void nni_plat_cv_wake1(nni_plat_cv *cv) { nni_plat_cv_wake(cv); }

static int cond_wait(nni_plat_cv *cv, pthread_mutex_t *mutex,
                     const struct timespec *until) {
  if (until == NULL) {
    return pthread_cond_wait(&cv->cv, mutex);
  }
#if defined(__APPLE__)
  return pthread_cond_timedwait_relative_np(&cv->cv, mutex, until);
#else
  return pthread_cond_timedwait(&cv->cv, mutex, until);
#endif
}

static int cv_wait(nni_plat_cv *cv, const struct timespec *until) {
  int rv;

  check_wait(!is_leaf(cv->lock));
  cv->waiters++;
  if (is_leaf(cv->lock)) {
    rv = cond_wait(cv, leaf_at(cv->lock), until);
  } else {
    pthread_mutex_t *const room = &lock_at(cv->lock)->cv_mutex;
    lock_state held;

    pthread_mutex_lock(room);
    held = lock_suspend();
    rv = cond_wait(cv, room, until);
    pthread_mutex_unlock(room);
    lock_resume(held);
  }
  cv->waiters--;
  return rv == ETIMEDOUT ? NNG_ETIMEDOUT : 0;
}

void nni_plat_cv_wait(nni_plat_cv *cv) { (void)cv_wait(cv, NULL); }

int nni_plat_cv_until(nni_plat_cv *cv, nni_time until) {
  struct timespec ts;

#if defined(__APPLE__)
  const nni_time now = nni_clock();

  until = until > now ? until - now : 0;
#endif
  ts.tv_sec = (time_t)(until / 1000);
  ts.tv_nsec = (long)(until % 1000) * 1000000;
  return cv_wait(cv, &ts);
}

// Threads.

static void *thread_main(void *arg) {
  nni_plat_thr *thr = arg;
  sigset_t set;

  // Signals are for the program's own threads.
  sigfillset(&set);
  (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
  thr->func(thr->arg);
  return NULL;
}

int nni_plat_thr_init(nni_plat_thr *thr, void (*fn)(void *), void *arg) {
  thr->func = fn;
  thr->arg = arg;
  return pthread_create(&thr->tid, NULL, thread_main, thr) == 0 ? 0
                                                                : NNG_ENOMEM;
}

void nni_plat_thr_fini(nni_plat_thr *thr) {
  (void)pthread_join(thr->tid, NULL);
}

bool nni_plat_thr_is_self(nni_plat_thr *thr) {
  return pthread_equal(pthread_self(), thr->tid) != 0;
}

void nni_plat_thr_set_name(nni_plat_thr *thr, const char *name) {
#if defined(__APPLE__)
  if (thr == NULL) {
    pthread_setname_np(name);
  }
#else
  pthread_setname_np(thr == NULL ? pthread_self() : thr->tid, name);
#endif
}

// Start-up.

static pthread_mutex_t init_mutex = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool inited;
static atomic_bool forked;

static void on_fork_child(void) { atomic_store(&forked, true); }

int nni_plat_init(int (*helper)(void)) {
  int rv = 0;

  if (atomic_load(&forked)) {
    nni_panic("NNG was started before a fork, and cannot be used after it");
  }
  if (atomic_load(&inited)) {
    return 0;
  }
  pthread_mutex_lock(&init_mutex);
  if (!atomic_load(&inited)) {
    if (pthread_atfork(NULL, NULL, on_fork_child) != 0) {
      rv = NNG_ENOMEM;
    } else if ((rv = nni_posix_resolv_sysinit()) == 0 && (rv = helper()) == 0) {
      atomic_store(&inited, true);
    }
  }
  pthread_mutex_unlock(&init_mutex);
  return rv;
}

void nni_plat_fini(void) {
  pthread_mutex_lock(&init_mutex);
  if (atomic_exchange(&inited, false)) {
    nni_posix_resolv_sysfini();
  }
  pthread_mutex_unlock(&init_mutex);
}

int nni_plat_ncpu(void) { return (int)sysconf(_SC_NPROCESSORS_ONLN); }
