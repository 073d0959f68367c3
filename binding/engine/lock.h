// The locks: one for each engine, and small ones of the process (lock.c).
//
// An engine's lock takes the place of every mutex that NNG makes on behalf of
// that engine: a socket's, its endpoints' and pipes', the transports'. Each of
// those is no more than the lock's place in a table. A thread may take it any
// number of times; waiting on a condition gives it up whole.
//
// What NNG has once for the process has a mutex of its own, a leaf: the tables
// of sockets (and how often each is held), dialers, listeners and pipes, the
// list of what is to be reaped, the transports, initialisation, the start of
// the reaper's thread. Ours are leaves, too, inside those: the list of engines
// (engine.c), the table of locks (lock.c), spare memory (block_cache.c),
// lookups of names (resolver.c).
//
// The order, outer before inner:
//
//   1. an engine's lock, one at most
//   2. a leaf of NNG's, one at most
//   3. a leaf of ours, one at most; nothing else is taken while it is held
//
// So nothing of an engine is taken while a leaf is held, no thread ever holds
// the locks of two engines, and no lock is held while JavaScript runs. With
// NNG_PAIR_LOCK_CHECK (the sanitizers' builds) a breach of any of that aborts
// the process, whether or not somebody had to wait this time.
//
// What holds the objects of two engines together:
//
// - NNG's reaper thread ends the pipes, connections and endpoints of all
//   engines, one after the other. What it ends belongs to it alone by then, but
//   for what a socket still lists, for which it takes that socket's engine's
//   lock. It holds none between two of them, so whoever waits for it (a close)
//   waits for no other engine's turn but for those that are being reaped.
// - A thread of libuv's pool that closes a socket, or listens, works for one
//   engine at a time (engine_bind), which the job's socket and its environment
//   hold.
// - An environment that ends closes its sockets on its own thread, in its
//   cleanup hook, while threads of the pool may be closing others of them: they
//   share that engine's lock, and each runs the tasks that it waits for.
// - A thread that looks up a name (resolver.c) belongs to no engine. It takes
//   the lock of the one whose operation it completes, and then nothing more.
// - Spare memory (block_cache.c) is the process's. The engine that was made
//   last of those that have a loop is asked to give it back, by a flag
//   (engine.c).

#ifndef NNG_PAIR_LOCK_H
#define NNG_PAIR_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "../platform/os.h"
#include "engine.h"

// How many engines there may be at a time: an environment has one, which ends
// when the last thing has that belongs to it.
#define MAX_ENGINES 4096

// An engine's. It is never freed: a thread that lets go of it may come by when
// the engine is gone, and meets at worst the lock's next engine.
typedef struct {
  // 0: free; 1: held; 2: held, and somebody may be waiting.
  _Alignas(64) atomic_int state;
  atomic_uintptr_t owner;  // the holder's os_self(), or 0
  unsigned depth;          // how often the holder has locked
  engine *owned_by;        // on whose behalf the holder works
  bool used;               // the rest is guarded by the table's mutex
  bool prepared;
  os_mutex mutex;  // of the waiting room
  os_cond condition;
  unsigned waiters;
  unsigned tickets;        // how many have ever come to wait
  bool handed;             // to one of those who came
  unsigned handed_before;  // with a ticket before this one
  os_mutex cv_mutex;       // of those who wait on a condition
} engine_lock;

// A lock for a new engine; NULL: there are too many. And the end of that.
extern engine_lock *lock_claim(engine *);
extern void lock_disclaim(engine_lock *);
// What NNG's mutexes refer to it by: 1 to MAX_ENGINES.
extern uint16_t lock_index(const engine_lock *);
extern engine_lock *lock_at(uint16_t index);

extern void lock_acquire_slow(engine_lock *, uintptr_t me);
extern void lock_release_slow(engine_lock *, bool hand_over);

// The checks: a thread is about to take an engine's lock; to take a leaf of
// NNG's, and lets go of it; to wait on a condition, which gives up the engine's
// lock that it holds, or else one leaf.
#if defined(NNG_PAIR_LOCK_CHECK)
extern void lock_check_engine(const engine_lock *);
extern void lock_check_leaf(void);
extern void lock_leave_leaf(void);
extern void lock_check_wait(bool engine_too);
#else
static inline void lock_check_engine(const engine_lock *l) { (void)l; }
static inline void lock_check_leaf(void) {}
static inline void lock_leave_leaf(void) {}
static inline void lock_check_wait(bool engine_too) { (void)engine_too; }
#endif

static inline void lock_acquire(engine_lock *l) {
  const uintptr_t me = os_self();

  lock_check_engine(l);
  if (atomic_load_explicit(&l->owner, memory_order_relaxed) == me) {
    l->depth++;
    return;
  }
  lock_acquire_slow(l, me);
}

static inline void lock_release(engine_lock *l) {
  if (--l->depth == 0) {
    lock_release_slow(l, false);
  }
}

// Gives up whole the engine's lock that this thread holds, around something
// that may block, and takes it back as often as it was held.
typedef struct {
  engine_lock *lock;
  unsigned depth;
} lock_state;

extern lock_state lock_suspend(void);
extern void lock_resume(lock_state);

// For the leaves of ours.
#if defined(NNG_PAIR_LOCK_CHECK)
extern void leaf_lock(os_mutex *);
extern void leaf_unlock(os_mutex *);
#else
static inline void leaf_lock(os_mutex *m) { os_mutex_lock(m); }
static inline void leaf_unlock(os_mutex *m) { os_mutex_unlock(m); }
#endif

#endif  // NNG_PAIR_LOCK_H
