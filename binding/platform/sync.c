// NNG's mutexes and condition variables, in place of the first half of
// posix_thread.c.
//
// A mutex that is made while an engine is current, or bound, is that engine's
// lock (engine/lock.h); any other is one of the process's own. Waiting on a
// condition gives an engine's lock up whole, however often it was taken: NNG
// waits only where it holds nothing but the condition's own mutex. What it
// waits for may be a task that only this engine's loop would run; see
// nni_task_wait (taskq.c).

#include "../engine/engine_impl.h"
#include "core/nng_impl.h"

// A mutex's number says what it is: 0 none, since it was not made; up to
// MAX_ENGINES an engine's; the rest the process's.
#define FIRST_LEAF (MAX_ENGINES + 1)
#define MAX_LEAVES 32

// The process's: a dozen, which NNG makes when it starts.
static struct {
  os_mutex mutex;
  bool used[MAX_LEAVES];
  os_mutex leaves[MAX_LEAVES];
} process = {.mutex = OS_MUTEX_INIT};

static bool is_leaf(uint16_t index) { return index >= FIRST_LEAF; }

_Static_assert(sizeof(nni_plat_mtx) == 2, "deps/patches/0023");
_Static_assert(FIRST_LEAF + MAX_LEAVES <= UINT16_MAX, "a mutex's number");

static os_mutex *leaf_at(uint16_t index) {
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
  os_mutex_init(&process.leaves[i]);
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
    os_mutex_fini(leaf_at(mtx->lock));
    process.used[mtx->lock - FIRST_LEAF] = false;
    leaf_unlock(&process.mutex);
  }
  mtx->lock = 0;
}

static void lock_leaf(uint16_t index) {
  lock_check_leaf();
  os_mutex_lock(leaf_at(index));
}

static void unlock_leaf(uint16_t index) {
  os_mutex_unlock(leaf_at(index));
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

// Of readers and writers there is one lock, that of the table of transports.
// Readers need not be many at a time.

void nni_rwlock_init(nni_rwlock *rwl) { nni_plat_mtx_init(&rwl->mtx); }

void nni_rwlock_fini(nni_rwlock *rwl) { nni_plat_mtx_fini(&rwl->mtx); }

void nni_rwlock_rdlock(nni_rwlock *rwl) { nni_plat_mtx_lock(&rwl->mtx); }

void nni_rwlock_wrlock(nni_rwlock *rwl) { nni_plat_mtx_lock(&rwl->mtx); }

void nni_rwlock_unlock(nni_rwlock *rwl) { nni_plat_mtx_unlock(&rwl->mtx); }

// Condition variables. A leaf's are what they seem. An engine has a waiting
// room with a mutex of its own: a waiter enters it before it gives the lock up,
// and whoever wakes goes through it too, so no wake-up falls in between. Most
// variables have no waiters; their number is guarded by the lock.

void nni_plat_cv_init(nni_plat_cv *cv, nni_plat_mtx *mtx) {
  os_cond_init(&cv->cv);
  cv->lock = mtx->lock;
  cv->waiters = 0;
}

void nni_plat_cv_fini(nni_plat_cv *cv) { os_cond_fini(&cv->cv); }

void nni_plat_cv_wake(nni_plat_cv *cv) {
  if (cv->waiters == 0) {
    return;
  }
  if (is_leaf(cv->lock)) {
    os_cond_broadcast(&cv->cv);
    return;
  }
  os_mutex_lock(&lock_at(cv->lock)->cv_mutex);
  os_cond_broadcast(&cv->cv);
  os_mutex_unlock(&lock_at(cv->lock)->cv_mutex);
}

void nni_plat_cv_wake1(nni_plat_cv *cv) { nni_plat_cv_wake(cv); }

static bool cv_wait(nni_plat_cv *cv, int64_t ms) {
  bool woken;

  lock_check_wait(!is_leaf(cv->lock));
  cv->waiters++;
  if (is_leaf(cv->lock)) {
    woken = os_cond_wait(&cv->cv, leaf_at(cv->lock), ms);
  } else {
    os_mutex *const room = &lock_at(cv->lock)->cv_mutex;
    lock_state held;

    os_mutex_lock(room);
    held = lock_suspend();
    woken = os_cond_wait(&cv->cv, room, ms);
    os_mutex_unlock(room);
    lock_resume(held);
  }
  cv->waiters--;
  return woken;
}

void nni_plat_cv_wait(nni_plat_cv *cv) { (void)cv_wait(cv, OS_FOREVER); }

int nni_plat_cv_until(nni_plat_cv *cv, nni_time until) {
  const nni_time now = nni_clock();

  return cv_wait(cv, until > now ? (int64_t)(until - now) : 0) ? 0
                                                               : NNG_ETIMEDOUT;
}
