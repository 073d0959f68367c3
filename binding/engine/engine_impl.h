// What the parts of the engine know of each other. Everything here is guarded
// by the engine's lock, but for what is atomic.

#ifndef NNG_PAIR_ENGINE_IMPL_H
#define NNG_PAIR_ENGINE_IMPL_H

#include <stdatomic.h>

#include "core/nng_impl.h"
#include "engine.h"
#include "lock.h"

typedef struct poller poller;
struct conn;

struct engine {
  engine_lock *lock;  // its own, until it ends
  atomic_uint refs;
  uintptr_t home;  // the loop's thread
  bool alive;      // it has a loop
  size_t moved;    // bytes read and written since the turn began
  nni_list tasks;
  nni_plat_cv changed;   // a task was added, or is done
  nni_list pending;      // connections with something to write or to resume
  atomic_uint activity;  // flags of engine_take_activity, which has no lock
  struct conn *recent;   // that was ready last, while it is open
  poller *poller;
  nni_aio_expire_q *expiry;  // operations that end at some time
  nni_aio *trimmer;          // sleeps while there is memory to be given back
  atomic_bool trims;         // that is this engine's business
  bool trimming;             // the trimmer sleeps
  engine *next;  // of those that have a loop (guarded by the list's mutex)
};

// With or without the lock; but whoever drops what may be the last one must not
// use the engine afterwards, and so not be in a call on its behalf.
extern void engine_hold(engine *);
extern void engine_drop(engine *);

// The engine that what is made now belongs to; never NULL in a call that
// makes tasks or pollables.
extern engine *engine_current(void);

// There is something to do: wakes the loop unless it is about to look anyway.
extern void engine_wake(engine *);

// taskq.c: whether this thread is in one of the engine's tasks, and will see
// to the others after it. Meanwhile it may wait, and others have the lock.
extern bool engine_is_running(const engine *);

// taskq.c: runs tasks until the turn is over or ROUND_TASKS were run, and tells
// whether there are more.
extern bool engine_run_tasks(engine *);

// So many tasks, and so many bytes in a turn, and the loop's timers and other
// handles get theirs.
#define ROUND_TASKS 512
#define TURN_BYTES ((size_t)2 * 1024 * 1024)
// What a small message counts besides its bytes: empty ones take time, too.
#define MESSAGE_COST ((size_t)64)

// conn.c: sees to the connections with something to be done.
extern void engine_pending_init(engine *);
extern void engine_serve_pending(engine *);
// conn.c: reads from the most recent one, without asking the poller.
extern void engine_read_recent(engine *);

// conn.c has read bytes.
extern void engine_received(engine *);

// There is memory to be given back later: one of the engines sees to that.
// Takes no engine's lock: memory may be freed under any.
extern void engine_trim_later(void);

// poll_*.c
extern poller *poller_create(void);
extern void poller_destroy(poller *);
// Readable when there is something for poller_look; -1 where a descriptor
// cannot tell.
extern int poller_fd(poller *);
// Waits for that, on the loop's thread and without the lock.
extern void poller_wait(poller *);
// Makes the poller's descriptor readable until a poller_look has seen it. Any
// thread, with or without the engine's lock; what was done before is seen by
// whoever looks.
extern void poller_signal(poller *);
// The same at a time of nni_clock(), instead of the time before.
extern void poller_alarm(poller *, nni_time);
// Whether it was that time since the last call.
extern bool poller_rang(poller *);
// Calls back for what is ready, without waiting; returns whether there may be
// more.
extern bool poller_look(poller *);

#endif  // NNG_PAIR_ENGINE_IMPL_H
