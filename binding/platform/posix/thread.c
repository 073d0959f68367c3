// NNG's threads, and how it starts, in place of the second half of
// posix_thread.c.

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/nng_impl.h"

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
    } else if ((rv = helper()) == 0) {
      atomic_store(&inited, true);
    }
  }
  pthread_mutex_unlock(&init_mutex);
  return rv;
}

void nni_plat_fini(void) {
  pthread_mutex_lock(&init_mutex);
  atomic_store(&inited, false);
  pthread_mutex_unlock(&init_mutex);
}

int nni_plat_ncpu(void) { return (int)sysconf(_SC_NPROCESSORS_ONLN); }
