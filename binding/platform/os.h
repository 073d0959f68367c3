// What all systems have under different names: mutexes, condition variables,
// threads, pages. Nothing here knows of NNG or of the engine; the locks that
// they are made of know more (engine/lock.h).

#ifndef NNG_PAIR_OS_H
#define NNG_PAIR_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>
#else
#include <pthread.h>
#endif

// The calling thread; never 0.
static inline uintptr_t os_self(void);

// For an os_cond_wait without an end.
#define OS_FOREVER (-1)

#if defined(_WIN32)

typedef SRWLOCK os_mutex;
typedef CONDITION_VARIABLE os_cond;
typedef INIT_ONCE os_once;
#define OS_MUTEX_INIT SRWLOCK_INIT
#define OS_ONCE_INIT INIT_ONCE_STATIC_INIT

static inline uintptr_t os_self(void) { return GetCurrentThreadId(); }

static inline void os_mutex_init(os_mutex *m) { InitializeSRWLock(m); }
static inline void os_mutex_fini(os_mutex *m) { (void)m; }
static inline void os_mutex_lock(os_mutex *m) { AcquireSRWLockExclusive(m); }
static inline void os_mutex_unlock(os_mutex *m) { ReleaseSRWLockExclusive(m); }

static inline void os_cond_init(os_cond *c) { InitializeConditionVariable(c); }
static inline void os_cond_fini(os_cond *c) { (void)c; }
static inline void os_cond_signal(os_cond *c) { WakeConditionVariable(c); }
static inline void os_cond_broadcast(os_cond *c) {
  WakeAllConditionVariable(c);
}

#else

typedef pthread_mutex_t os_mutex;
typedef pthread_cond_t os_cond;
typedef pthread_once_t os_once;
#define OS_MUTEX_INIT PTHREAD_MUTEX_INITIALIZER
#define OS_ONCE_INIT PTHREAD_ONCE_INIT

static inline uintptr_t os_self(void) { return (uintptr_t)pthread_self(); }

static inline void os_mutex_init(os_mutex *m) { pthread_mutex_init(m, NULL); }
static inline void os_mutex_fini(os_mutex *m) { pthread_mutex_destroy(m); }
static inline void os_mutex_lock(os_mutex *m) { pthread_mutex_lock(m); }
static inline void os_mutex_unlock(os_mutex *m) { pthread_mutex_unlock(m); }

static inline void os_cond_fini(os_cond *c) { pthread_cond_destroy(c); }
static inline void os_cond_signal(os_cond *c) { pthread_cond_signal(c); }
static inline void os_cond_broadcast(os_cond *c) { pthread_cond_broadcast(c); }

extern void os_cond_init(os_cond *);

#endif

// Gives the mutex up until the condition is signalled, or so many milliseconds
// have passed; returns false then.
extern bool os_cond_wait(os_cond *, os_mutex *, int64_t ms);

// Calls the function, unless it has been called before.
extern void os_call_once(os_once *, void (*)(void));

// Starts a thread that nobody will wait for, with this much of a stack at
// least. It takes no signals: those are for the program's own threads.
extern bool os_start_detached(void (*)(void *), void *arg, size_t stack);

// Fresh pages, all zero, and the end of them. NULL: there is no memory.
extern void *os_map(size_t);
extern void os_unmap(void *, size_t);

#endif  // NNG_PAIR_OS_H
