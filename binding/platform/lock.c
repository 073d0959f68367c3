// The one lock, and NNG's mutexes, condition variables and threads on top of
// it, in place of posix_thread.c.
//
// Waiting on a condition gives the lock up whole, however often it was taken:
// NNG waits only where it holds nothing but the condition's own mutex. What it
// waits for may be a task that only this engine's loop would run; see
// nni_task_wait (taskq.c).

#include "lock.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/nng_impl.h"
#include "engine_impl.h"

engine_lock nng_pair_lock = {
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .condition = PTHREAD_COND_INITIALIZER,
};

// What engine_bind has set for this thread.
static _Thread_local engine *bound_engine;

// How often to look again before going to sleep: most holders are quick.
#define SPINS 64

static bool lock_try(int to) {
  int expected = 0;

  return atomic_compare_exchange_strong_explicit(
      &nng_pair_lock.state, &expected, to, memory_order_acquire,
      memory_order_relaxed);
}

static void lock_sleep(void) {
  engine_lock *l = &nng_pair_lock;

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

void lock_acquire_slow(uintptr_t me) {
  engine_lock *l = &nng_pair_lock;

  if (!lock_try(1)) {
    int spins = SPINS;

    while (spins > 0 && !lock_try(1)) {
      spins--;
    }
    if (spins == 0) {
      lock_sleep();
    }
  }
  atomic_store_explicit(&l->owner, me, memory_order_relaxed);
  l->depth = 1;
  l->current = bound_engine;
}

// With hand_over, a thread that waits has the lock when this returns: a loop
// that takes it again at once would otherwise starve everybody else.
void lock_release_slow(bool hand_over) {
  engine_lock *l = &nng_pair_lock;
  int expected = 1;

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
  const lock_state state = {nng_pair_lock.depth, nng_pair_lock.current};

  lock_release_slow(false);
  return state;
}

void lock_resume(lock_state state) {
  lock_acquire_slow((uintptr_t)pthread_self());
  nng_pair_lock.depth = state.depth;
  nng_pair_lock.current = state.current;
}

void engine_bind(engine *e) { bound_engine = e; }

engine *engine_current(void) {
  return lock_is_mine() ? nng_pair_lock.current : bound_engine;
}

// Mutexes.

_Static_assert(sizeof(nni_plat_mtx) == 1, "deps/patches/0023");

void nni_plat_mtx_init(nni_plat_mtx *mtx) { NNI_ARG_UNUSED(mtx); }

void nni_plat_mtx_fini(nni_plat_mtx *mtx) { NNI_ARG_UNUSED(mtx); }

void nni_plat_mtx_lock(nni_plat_mtx *mtx) {
  NNI_ARG_UNUSED(mtx);
  lock_acquire();
}

void nni_plat_mtx_unlock(nni_plat_mtx *mtx) {
  NNI_ARG_UNUSED(mtx);
  lock_release();
}

// Readers and writers alike take the one lock: the table of transports is
// written once.

void nni_rwlock_init(nni_rwlock *rwl) { NNI_ARG_UNUSED(rwl); }

void nni_rwlock_fini(nni_rwlock *rwl) { NNI_ARG_UNUSED(rwl); }

void nni_rwlock_rdlock(nni_rwlock *rwl) {
  NNI_ARG_UNUSED(rwl);
  lock_acquire();
}

void nni_rwlock_wrlock(nni_rwlock *rwl) {
  NNI_ARG_UNUSED(rwl);
  lock_acquire();
}

void nni_rwlock_unlock(nni_rwlock *rwl) {
  NNI_ARG_UNUSED(rwl);
  lock_release();
}

// Condition variables. The waiting room of all of them has a mutex of its own:
// a waiter enters it before it gives the lock up, and whoever wakes goes
// through it too, so no wake-up falls in between. The field mtx, which is not
// needed, counts a variable's waiters (under the lock): most have none.

static pthread_mutex_t cv_mutex = PTHREAD_MUTEX_INITIALIZER;

static uintptr_t cv_waiters(const nni_plat_cv *cv) {
  uintptr_t n;

  memcpy(&n, &cv->mtx, sizeof(n));
  return n;
}

static void cv_set_waiters(nni_plat_cv *cv, uintptr_t n) {
  memcpy(&cv->mtx, &n, sizeof(n));
}

void nni_plat_cv_init(nni_plat_cv *cv, nni_plat_mtx *mtx) {
  pthread_condattr_t attr;

  NNI_ARG_UNUSED(mtx);
  pthread_condattr_init(&attr);
#if !defined(__APPLE__)
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
#endif
  while (pthread_cond_init(&cv->cv, &attr) != 0) {
    nni_msleep(10);
  }
  pthread_condattr_destroy(&attr);
  cv_set_waiters(cv, 0);
}

void nni_plat_cv_fini(nni_plat_cv *cv) { pthread_cond_destroy(&cv->cv); }

void nni_plat_cv_wake(nni_plat_cv *cv) {
  if (cv_waiters(cv) == 0) {
    return;
  }
  pthread_mutex_lock(&cv_mutex);
  pthread_cond_broadcast(&cv->cv);
  pthread_mutex_unlock(&cv_mutex);
}

void nni_plat_cv_wake1(nni_plat_cv *cv) { nni_plat_cv_wake(cv); }

static int cv_wait(nni_plat_cv *cv, const struct timespec *until) {
  lock_state held;
  int rv;

  cv_set_waiters(cv, cv_waiters(cv) + 1);
  pthread_mutex_lock(&cv_mutex);
  held = lock_suspend();
  if (until == NULL) {
    rv = pthread_cond_wait(&cv->cv, &cv_mutex);
#if defined(__APPLE__)
  } else {
    rv = pthread_cond_timedwait_relative_np(&cv->cv, &cv_mutex, until);
#else
  } else {
    rv = pthread_cond_timedwait(&cv->cv, &cv_mutex, until);
#endif
  }
  pthread_mutex_unlock(&cv_mutex);
  lock_resume(held);
  cv_set_waiters(cv, cv_waiters(cv) - 1);
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
