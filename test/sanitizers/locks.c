// Breaches of the order of locks (binding/engine/lock.h), for the check in
// the sanitizers' builds to find: one is named on the command line, and must
// abort the program. "none" is what keeps to the order, and must not.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../binding/engine/engine.h"
#include "../../binding/engine/lock.h"
#include "core/nng_impl.h"

static engine *one;
static engine *other;
static nni_mtx leaf;  // as NNG's tables have
static nni_mtx second_leaf;
static nni_cv leaf_cv;
static pthread_mutex_t own_leaf = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t second_own_leaf = PTHREAD_MUTEX_INITIALIZER;
static bool done;

static void *end_wait(void *arg) {
  (void)arg;
  nni_mtx_lock(&leaf);
  done = true;
  nni_cv_wake(&leaf_cv);
  nni_mtx_unlock(&leaf);
  return NULL;
}

static void on_slept(void *slept) { *(bool *)slept = true; }

static void none(void) {
  bool slept = false;
  nni_aio *aio;
  nni_mtx mtx;
  nni_cv cv;
  pthread_t thread;

  // Each engine by itself, any number of times, with leaves inside.
  for (int i = 0; i < 2; i++) {
    engine *e = i == 0 ? one : other;

    engine_enter(e);
    engine_enter(e);
    nni_mtx_init(&mtx);
    nni_cv_init(&cv, &mtx);
    nni_mtx_lock(&mtx);
    (void)nni_cv_until(&cv, nni_clock() + 1);
    nni_mtx_lock(&leaf);
    leaf_lock(&own_leaf);
    leaf_unlock(&own_leaf);
    nni_mtx_unlock(&leaf);
    nni_mtx_unlock(&mtx);
    nni_cv_fini(&cv);
    nni_mtx_fini(&mtx);
    engine_leave(e);
    engine_leave(e);
    engine_check_unlocked();
  }
  // A wait on a leaf.
  if (pthread_create(&thread, NULL, end_wait, NULL) != 0) {
    exit(2);
  }
  nni_mtx_lock(&leaf);
  while (!done) {
    nni_cv_wait(&leaf_cv);
  }
  nni_mtx_unlock(&leaf);
  pthread_join(thread, NULL);
  // An operation that ends by time, on its engine.
  engine_bind(one);
  if (nni_aio_alloc(&aio, on_slept, &slept) != 0) {
    exit(2);
  }
  nni_sleep_aio(10, aio);
  while (!slept) {
    engine_wait(one);
    engine_turn(one);
  }
  if (nni_aio_result(aio) != 0) {
    exit(2);
  }
  nni_aio_free(aio);
  engine_bind(NULL);
  engine_release(other);
  engine_release(one);
}

static void engine_under_leaf(void) {
  nni_mtx_lock(&leaf);
  engine_enter(one);
}

static void engine_under_own_leaf(void) {
  leaf_lock(&own_leaf);
  engine_enter(one);
}

// It would not have to wait, today.
static void engine_again_under_leaf(void) {
  engine_enter(one);
  nni_mtx_lock(&leaf);
  engine_enter(one);
}

static void two_engines(void) {
  engine_enter(one);
  engine_enter(other);
}

static void two_leaves(void) {
  nni_mtx_lock(&leaf);
  nni_mtx_lock(&second_leaf);
}

static void two_own_leaves(void) {
  leaf_lock(&own_leaf);
  leaf_lock(&second_own_leaf);
}

static void wait_under_engine(void) {
  engine_enter(one);
  nni_mtx_lock(&leaf);
  (void)nni_cv_until(&leaf_cv, nni_clock() + 1);
}

static void javascript_under_engine(void) {
  engine_enter(one);
  engine_check_unlocked();
}

static void javascript_under_leaf(void) {
  nni_mtx_lock(&leaf);
  engine_check_unlocked();
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*commit)(void);
  } breaches[] = {
      {"none", none},
      {"engineUnderLeaf", engine_under_leaf},
      {"engineUnderOwnLeaf", engine_under_own_leaf},
      {"engineAgainUnderLeaf", engine_again_under_leaf},
      {"twoEngines", two_engines},
      {"twoLeaves", two_leaves},
      {"twoOwnLeaves", two_own_leaves},
      {"waitUnderEngine", wait_under_engine},
      {"javascriptUnderEngine", javascript_under_engine},
      {"javascriptUnderLeaf", javascript_under_leaf},
  };

  one = engine_create();
  other = engine_create();
  if (argc != 2 || one == NULL || other == NULL) {
    return 2;
  }
  nni_mtx_init(&leaf);
  nni_mtx_init(&second_leaf);
  nni_cv_init(&leaf_cv, &leaf);
  for (size_t i = 0; i < sizeof(breaches) / sizeof(breaches[0]); i++) {
    if (strcmp(argv[1], breaches[i].name) == 0) {
      breaches[i].commit();
      return 0;
    }
  }
  return 2;
}
