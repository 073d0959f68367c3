// NNG's mutexes and condition variables, in place of the first half of
// posix_thread.c.
//
// A mutex that is made while an engine is current, or bound, is that engine's
// lock (engine/lock.h); any other is one of the process's own. Waiting on a
// condition gives an engine's lock up whole, however often it was taken: NNG
// waits only where it holds nothing but the condition's own mutex. What it
// waits for may be a task that only this engine's loop would run; see
// nni_task_wait (taskq.c).

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "../engine/engine_impl.h"
#include "core/nng_impl.h"

// A mutex's number says what it is: 0 none, since it was not made; up to
// MAX_ENGINES an engine's; the rest the process's.
#define FIRST_LEAF (MAX_ENGINES + 1)
#define MAX_LEAVES 32

// The process's: a dozen, which NNG makes when it starts.
static struct {
  pthread_mutex_t mutex;
  bool used[MAX_LEAVES];
  pthread_mutex_t leaves[MAX_LEAVES];
} process = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static bool is_leaf(uint16_t index) { return index >= FIRST_LEAF; }

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
  lock_check_leaf();
  pthread_mutex_lock(leaf_at(index));
}

static void unlock_leaf(uint16_t index) {
  pthread_mutex_unlock(leaf_at(index));
  lock_leave_leaf();
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
  lock_check_leaf();
  pthread_rwlock_rdlock(&rwl->rwl);
}

void nni_rwlock_wrlock(nni_rwlock *rwl) {
  lock_check_leaf();
  pthread_rwlock_wrlock(&rwl->rwl);
}

void nni_rwlock_unlock(nni_rwlock *rwl) {
  pthread_rwlock_unlock(&rwl->rwl);
  lock_leave_leaf();
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

  lock_check_wait(!is_leaf(cv->lock));
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
