#include "engine.h"

#include "block_cache.h"
#include "engine_impl.h"

// How often a turn looks again for what came meanwhile.
#define TURN_ROUNDS 4

// Memory that nobody needed for this long goes back to the system.
#define TRIM_MS 1000

// The flags of an engine's activity.
#define RECEIVED 1u
#define REQUEST_SENT 2u
#define REPLY_IS_MISSING 4u

// Those that have a loop. The mutex is a leaf.
static struct {
  os_mutex mutex;
  engine *first;
} engines = {.mutex = OS_MUTEX_INIT};

void engine_trim_later(void) {
  bool any;

  leaf_lock(&engines.mutex);
  if ((any = engines.first != NULL)) {
    atomic_store(&engines.first->trims, true);
    poller_signal(engines.first->poller);
  }
  leaf_unlock(&engines.mutex);
  if (!any) {
    block_cache_abandon();
  }
}

static void engine_schedule_trim(engine *e) {
  if (atomic_load_explicit(&e->trims, memory_order_relaxed) && !e->trimming &&
      e->alive) {
    e->trimming = true;
    nni_sleep_aio(TRIM_MS, e->trimmer);
  }
}

// A task of the engine, which may be run outside of its turns. Once
// block_cache_trim has left nothing, it may be this engine's business again at
// any moment.
static void engine_trimmed(void *arg) {
  engine *e = arg;

  e->trimming = false;
  if (atomic_exchange(&e->trims, false) && block_cache_trim()) {
    atomic_store(&e->trims, true);
  }
  engine_schedule_trim(e);
}

// The first of the operations that end at some time.
static void engine_set_alarm(void *arg, nni_time when) {
  engine *e = arg;

  poller_alarm(e->poller, when);
}

static bool engine_prepare(engine *e) {
  nni_plat_mtx mtx;
  bool made;

  if ((e->lock = lock_claim(e)) == NULL ||
      (e->poller = poller_create()) == NULL) {
    return false;
  }
  mtx.lock = lock_index(e->lock);
  nni_plat_cv_init(&e->changed, &mtx);
  engine_bind(e);
  made = nni_aio_expire_q_alloc(&e->expiry, engine_set_alarm, e) == 0 &&
         nni_aio_alloc(&e->trimmer, engine_trimmed, e) == 0;
  engine_bind(NULL);
  return made;
}

engine *engine_create(void) {
  engine *e;

  if (nni_init() != 0 || (e = NNI_ALLOC_STRUCT(e)) == NULL) {
    return NULL;
  }
  atomic_init(&e->refs, 1);
  e->home = os_self();
  NNI_LIST_INIT(&e->tasks, nni_task, task_node);
  engine_pending_init(e);
  if (!engine_prepare(e)) {
    engine_drop(e);
    return NULL;
  }
  e->alive = true;
  leaf_lock(&engines.mutex);
  e->next = engines.first;
  engines.first = e;
  leaf_unlock(&engines.mutex);
  return e;
}

void engine_hold(engine *e) {
  atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
}

void engine_drop(engine *e) {
  if (atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) > 1) {
    return;
  }
  nni_aio_expire_q_free(e->expiry);
  if (e->poller != NULL) {
    nni_plat_cv_fini(&e->changed);
    poller_destroy(e->poller);
  }
  if (e->lock != NULL) {
    lock_disclaim(e->lock);
  }
  NNI_FREE_STRUCT(e);
}

void engine_release(engine *e) {
  engine **link = &engines.first;

  leaf_lock(&engines.mutex);
  while (*link != e) {
    link = &(*link)->next;
  }
  *link = e->next;
  leaf_unlock(&engines.mutex);
  lock_acquire(e->lock);
  e->alive = false;
  if (atomic_exchange(&e->trims, false)) {
    engine_trim_later();  // another's
  }
  nni_aio_stop(e->trimmer);
  nni_aio_free(e->trimmer);
  // Nobody looks any more: let go of whoever might wait for a task.
  e->moved = 0;
  (void)engine_run_tasks(e);
  lock_release(e->lock);
  engine_drop(e);
}

void engine_adopt(engine *e) {
  lock_acquire(e->lock);
  e->home = os_self();
  // Nobody was woken for what the thread before has left.
  poller_signal(e->poller);
  lock_release(e->lock);
}

int engine_fd(engine *e) { return poller_fd(e->poller); }

void engine_wake(engine *e) {
  // The home thread settles before its loop sleeps.
  if (e->alive && !engine_is_running(e) && e->home != os_self()) {
    poller_signal(e->poller);
  }
}

void engine_signal(engine *e) { poller_signal(e->poller); }

// Ends a call or a turn: what could not be done now keeps the loop awake.
static void engine_end(engine *e, bool more) {
  engine_schedule_trim(e);
  if (more) {
    poller_signal(e->poller);
  }
  if (--e->lock->depth == 0) {
    lock_release_slow(e->lock, true);
  }
}

static bool engine_has_left(engine *e) {
  return !nni_list_empty(&e->tasks) || !nni_list_empty(&e->pending);
}

void engine_read_speculatively(engine *e) {
  lock_acquire(e->lock);
  e->moved = 0;
  engine_read_recent(e);
  (void)engine_run_tasks(e);
  engine_end(e, false);
}

void engine_turn(engine *e) {
  bool more = true;

  lock_acquire(e->lock);
  e->moved = 0;
  for (int i = 0; i < TURN_ROUNDS && more && e->moved < TURN_BYTES; i++) {
    more = poller_look(e->poller);
    if (poller_rang(e->poller)) {
      nni_aio_expire_q_run(e->expiry);
    }
    more = engine_run_tasks(e) || more;
  }
  engine_serve_pending(e);
  engine_end(e, more || engine_has_left(e));
}

void engine_settle(engine *e) {
  bool more = true;

  lock_acquire(e->lock);
  for (int i = 0; i < TURN_ROUNDS && more; i++) {
    (void)engine_run_tasks(e);
    engine_serve_pending(e);
    more = engine_has_left(e);
  }
  engine_end(e, more);
}

void engine_flush(engine *e) {
  lock_acquire(e->lock);
  for (int i = 0; i < TURN_ROUNDS && engine_has_left(e); i++) {
    e->moved = 0;
    (void)engine_run_tasks(e);
    engine_serve_pending(e);
  }
  lock_release(e->lock);
}

static void engine_note(engine *e, unsigned flag) {
  (void)atomic_fetch_or_explicit(&e->activity, flag, memory_order_relaxed);
}

void engine_request_sent(engine *e) { engine_note(e, REQUEST_SENT); }

void engine_reply_is_missing(engine *e) { engine_note(e, REPLY_IS_MISSING); }

// What was read may be the reply to all that was sent before it.
void engine_received(engine *e) {
  atomic_store_explicit(&e->activity, RECEIVED, memory_order_relaxed);
}

bool engine_has_received(engine *e) {
  return (atomic_load_explicit(&e->activity, memory_order_relaxed) &
          RECEIVED) != 0;
}

engine_activity engine_take_activity(engine *e) {
  const unsigned flags =
      atomic_exchange_explicit(&e->activity, 0, memory_order_relaxed);

  return (engine_activity){
      .received = (flags & RECEIVED) != 0,
      .request_sent = (flags & REQUEST_SENT) != 0,
      .reply_is_missing = (flags & REPLY_IS_MISSING) != 0,
  };
}

void engine_wait(engine *e) { poller_wait(e->poller); }

void engine_enter(engine *e) { lock_acquire(e->lock); }

void engine_leave(engine *e) {
  // Not from within a task: the outermost runs them all.
  if (!nni_list_empty(&e->tasks) && !engine_is_running(e)) {
    (void)engine_run_tasks(e);
  }
  if (engine_has_left(e)) {
    engine_wake(e);
  }
  lock_release(e->lock);
}
