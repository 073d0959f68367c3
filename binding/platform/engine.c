#include "engine.h"

#include <poll.h>
#include <string.h>

#include "engine_impl.h"

// A turn ends after this many rounds of looking and running, or this many
// tasks in one round, so that the loop's timers and other handles get theirs.
#define TURN_ROUNDS 4
#define TURN_TASKS 512

#define SPARE_BUFFERS 8

engine *engine_create(void) {
  engine *e;

  if (nni_init() != 0 || (e = NNI_ALLOC_STRUCT(e)) == NULL) {
    return NULL;
  }
  if ((e->poller = poller_create()) == NULL) {
    NNI_FREE_STRUCT(e);
    return NULL;
  }
  e->refs = 1;
  e->home = pthread_self();
  e->alive = true;
  NNI_LIST_INIT(&e->tasks, nni_task, task_node);
  engine_unflushed_init(e);
  return e;
}

void engine_hold(engine *e) { e->refs++; }

void engine_drop(engine *e) {
  uint8_t *buffer;

  if (--e->refs > 0) {
    return;
  }
  poller_destroy(e->poller);
  while ((buffer = e->buffers) != NULL) {
    memcpy(&e->buffers, buffer, sizeof(e->buffers));
    nni_free(buffer, ENGINE_BUFFER_SIZE);
  }
  NNI_FREE_STRUCT(e);
}

void engine_release(engine *e) {
  lock_acquire();
  e->alive = false;
  // Nobody looks any more: let go of whoever might wait for a task.
  (void)engine_run_tasks(e, TURN_TASKS);
  engine_drop(e);
  lock_release();
}

void engine_adopt(engine *e) {
  lock_acquire();
  e->home = pthread_self();
  lock_release();
}

int engine_fd(engine *e) { return poller_fd(e->poller); }

void engine_wake(engine *e) {
  // The home thread settles before its loop sleeps.
  if (!e->signalled && e->alive && !e->running &&
      !pthread_equal(e->home, pthread_self())) {
    e->signalled = true;
    poller_signal(e->poller);
  }
}

void engine_signal(engine *e) {
  lock_acquire();
  if (!e->signalled) {
    e->signalled = true;
    poller_signal(e->poller);
  }
  lock_release();
}

// Ends a call or a turn: what could not be done now keeps the loop awake.
static void engine_end(engine *e, bool more, bool hand_over) {
  if (more && !e->signalled) {
    e->signalled = true;
    poller_signal(e->poller);
  }
  if (--nng_pair_lock.depth == 0) {
    lock_release_slow(hand_over);
  }
}

void engine_turn(engine *e) {
  bool more = true;

  lock_acquire();
  nng_pair_lock.current = e;
  e->signalled = false;
  for (int i = 0; i < TURN_ROUNDS && more; i++) {
    poller_look(e->poller);
    more = engine_run_tasks(e, TURN_TASKS);
  }
  engine_flush(e);
  more = more || !nni_list_empty(&e->tasks);
  engine_end(e, more, true);
}

void engine_settle(engine *e) {
  bool more = true;

  lock_acquire();
  nng_pair_lock.current = e;
  for (int i = 0; i < TURN_ROUNDS && more; i++) {
    (void)engine_run_tasks(e, TURN_TASKS);
    engine_flush(e);
    more = !nni_list_empty(&e->tasks);
  }
  engine_end(e, more, true);
}

void engine_wait(engine *e) {
  struct pollfd pfd = {.fd = poller_fd(e->poller), .events = POLLIN};

  (void)poll(&pfd, 1, -1);
}

void engine_enter(engine *e) {
  lock_acquire();
  nng_pair_lock.current = e;
}

void engine_leave(engine *e) {
  // Not from within a task: the outermost runs them all.
  if (!nni_list_empty(&e->tasks) && !e->running) {
    (void)engine_run_tasks(e, TURN_TASKS);
  }
  if (!nni_list_empty(&e->tasks) || !nni_list_empty(&e->unflushed)) {
    engine_wake(e);
  }
  lock_release();
}

uint8_t *engine_buffer_get(engine *e) {
  uint8_t *buffer = e->buffers;

  if (buffer == NULL) {
    return nni_alloc(ENGINE_BUFFER_SIZE);
  }
  memcpy(&e->buffers, buffer, sizeof(e->buffers));
  e->spare--;
  return buffer;
}

void engine_buffer_put(engine *e, uint8_t *buffer) {
  if (e->spare >= SPARE_BUFFERS) {
    nni_free(buffer, ENGINE_BUFFER_SIZE);
    return;
  }
  memcpy(buffer, &e->buffers, sizeof(e->buffers));
  e->buffers = buffer;
  e->spare++;
}
