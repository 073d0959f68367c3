// The engine: NNG's platform layer on an event loop.
//
// NNG expects threads of its own: some that run its callbacks ("tasks"), one
// that polls descriptors, one that ends what takes too long, and dozens of
// small locks between them. Here all of that is one engine per event loop,
// under one lock for each engine. Whoever holds an engine's lock may run its
// tasks; usually that is the thread of its loop, which calls engine_turn when
// engine_fd is readable.
//
// An engine's lock (lock.h) takes the place of every mutex that NNG makes on
// its behalf: the outermost lock of a thread takes it, inner ones only count,
// and waiting on a condition gives it up whole. It is held for a turn, or for a
// call into NNG, and never while JavaScript runs. Engines do not wait for each
// other.
//
// Ownership. An engine is counted: its driver holds it, and so does every task
// and pollable that was made on its behalf, so it outlives them, whichever
// thread ends the last one. NNG's objects have tasks as long as they live, so
// they need not hold it themselves. A task, a pollable, or a mutex belongs to
// the engine that was current on the thread that made it: the one whose lock
// the thread holds (engine_enter, or a task that is being run), or that of
// engine_bind.

#ifndef NNG_PAIR_ENGINE_H
#define NNG_PAIR_ENGINE_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct engine engine;

// Makes an engine whose loop runs on this thread. NULL: no descriptor or
// memory.
extern engine *engine_create(void);
// The loop is gone. What still belongs to the engine is then served by the
// threads that wait for it.
extern void engine_release(engine *);
// Moves the loop to the calling thread (a driver's own).
extern void engine_adopt(engine *);

// Readable when there is something for engine_turn to do; -1 on Windows, where
// only engine_wait tells.
extern int engine_fd(engine *);

// Reads from the connection that was ready last without asking the poller
// first: most of the time it is the one, when engine_fd has become readable. An
// engine_turn follows, which looks at all of them.
extern void engine_read_speculatively(engine *);
// Looks at the descriptors and runs tasks, a bounded amount of both; what is
// left then keeps engine_fd readable. Writes what has gathered.
extern void engine_turn(engine *);
// Runs what is left without looking at the descriptors, and writes what has
// gathered: before the loop sleeps.
extern void engine_settle(engine *);
// The same, as far as the kernel takes it without waiting, for a process that
// is about to exit.
extern void engine_flush(engine *);

// What a driver that polls busily wants to know. "Request" and "reply" are
// guesses: a request is what was sent by a socket whose owner waits for a
// message, and any bytes that are read may be the reply.
typedef struct engine_activity {
  bool received;          // bytes were read
  bool request_sent;      // after which nothing was read
  bool reply_is_missing;  // somebody has begun to wait for a further message
                          // since, and not every request is answered
} engine_activity;

// What has happened since engine_take_activity was called last. The loop's
// thread.
extern engine_activity engine_take_activity(engine *);
extern bool engine_has_received(engine *);
// Called by a socket, under the lock, on the engine's thread.
extern void engine_request_sent(engine *);
extern void engine_reply_is_missing(engine *);

// Blocks until there is something for engine_turn to do. The loop's thread.
extern void engine_wait(engine *);
// Ends that, and makes engine_fd readable. Any thread.
extern void engine_signal(engine *);

// Around every call into NNG on behalf of an engine. leave runs the tasks that
// the call has queued. Never within those of another engine.
extern void engine_enter(engine *);
extern void engine_leave(engine *);
// For a thread that makes calls into NNG which may block: what they make
// belongs to the engine, but the lock is not held. NULL ends it.
extern void engine_bind(engine *);

// JavaScript is about to run, or has called: the thread holds no lock.
#if defined(NNG_PAIR_LOCK_CHECK)
extern void engine_check_unlocked(void);
#else
static inline void engine_check_unlocked(void) {}
#endif

#ifdef __cplusplus
}
#endif

#endif  // NNG_PAIR_ENGINE_H
