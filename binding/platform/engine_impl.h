// What the parts of the engine know of each other. Everything here is guarded
// by the one lock.

#ifndef NNG_PAIR_ENGINE_IMPL_H
#define NNG_PAIR_ENGINE_IMPL_H

#include "core/nng_impl.h"
#include "engine.h"
#include "lock.h"

// Reads and gathered writes go through buffers of this size.
#define ENGINE_BUFFER_SIZE ((size_t)64 * 1024)

typedef struct poller poller;

struct engine {
  unsigned refs;
  pthread_t home;  // the loop's thread
  bool alive;      // it has a loop
  bool signalled;  // engine_fd was made readable, and not looked at since
  bool running;    // some thread runs its tasks right now
  nni_list tasks;
  nni_list unflushed;  // connections with gathered bytes
  poller *poller;
  uint8_t *buffers;  // spare ones, linked by their first bytes
  unsigned spare;
};

extern void engine_hold(engine *);
extern void engine_drop(engine *);

// The engine that what is made now belongs to; never NULL in a call that
// makes tasks or pollables.
extern engine *engine_current(void);

// There is something to do: wakes the loop unless it is about to look anyway.
extern void engine_wake(engine *);

extern uint8_t *engine_buffer_get(engine *);
extern void engine_buffer_put(engine *, uint8_t *);

// taskq.c: runs tasks, at most `max`, and tells whether there are more.
extern bool engine_run_tasks(engine *, unsigned max);

// conn.c: the connections with gathered bytes; writes those.
extern void engine_unflushed_init(engine *);
extern void engine_flush(engine *);

// poll_*.c
extern poller *poller_create(void);
extern void poller_destroy(poller *);
extern int poller_fd(poller *);
// Makes the poller's descriptor readable until the next poller_look.
extern void poller_signal(poller *);
// Calls back for what is ready, without waiting.
extern void poller_look(poller *);

#endif  // NNG_PAIR_ENGINE_IMPL_H
