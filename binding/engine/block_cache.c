// NNG's memory, in place of posix_alloc.c.
//
// Large messages come and go by the hundred, and a fresh page costs more than
// filling it: the system has to find, clear and map it. So large blocks are
// kept when they are freed, most recent first, and given back once they have
// not been needed for a while (engine.c). Small ones are the C library's.
//
// A message's memory may be freed on any thread, under any lock, also by V8
// when it collects the Buffer that the message became. So the blocks are the
// process's, and no engine's. But threads should not wait for each other here
// either: there are several pools, each thread has one of them that it looks at
// first, and only one that finds nothing there looks at those of others. The
// mutex of a pool is a leaf (lock.h), and held for a few instructions.

#include "block_cache.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine_impl.h"

// Sizes that are kept, in powers of two, and how much of them at most: what a
// program that receives large messages leaves V8 to collect at once.
#define MIN_SHIFT 14
#define MAX_SHIFT 22
#define SPARE_LIMIT ((size_t)64 * 1024 * 1024)

// A sanitizer has to see every block come and go.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KEEP 0
#else
#define KEEP 1
#endif

// As many threads do not share one.
#define POOLS 16

typedef struct block {
  struct block *next;
} block;

typedef struct {
  _Alignas(64) os_mutex mutex;
  // Changed under the mutex; without it one may look whether there are any.
  _Atomic(block *) blocks[MAX_SHIFT - MIN_SHIFT + 1];
} pool;

static pool pools[POOLS];
static os_once pools_once = OS_ONCE_INIT;
static atomic_size_t spare;   // bytes in all of them
static atomic_size_t unused;  // the least that it was since the last trim
static atomic_bool watched;   // an engine sees to it that they go back

static void init_pools(void) {
  for (int i = 0; i < POOLS; i++) {
    os_mutex_init(&pools[i].mutex);
  }
}

// The number of this thread's pool.
static unsigned own_pool(void) {
  static _Thread_local unsigned own;  // and one
  static atomic_uint next;

  if (own == 0) {
    os_call_once(&pools_once, init_pools);
    own = atomic_fetch_add(&next, 1) % POOLS + 1;
  }
  return own - 1;
}

// The index of the smallest kept size that holds this many bytes, or -1.
static int size_class(size_t size) {
  int shift = MIN_SHIFT;

  if (!KEEP || size <= ((size_t)1 << (MIN_SHIFT - 1)) ||
      size > ((size_t)1 << MAX_SHIFT)) {
    return -1;
  }
  while (((size_t)1 << shift) < size) {
    shift++;
  }
  return shift - MIN_SHIFT;
}

static size_t class_size(int class) { return (size_t)1 << (class + MIN_SHIFT); }

// From this size on blocks come from the system and go back there. The C
// library would keep them in its heap once it has seen a few, and what is in
// use above them there keeps all of them from going back.
#define MAPPED_MIN ((size_t)256 * 1024)

static void *block_create(int class) {
  const size_t size = class_size(class);

  return size < MAPPED_MIN ? malloc(size) : os_map(size);
}

static void block_destroy(void *b, int class) {
  if (class_size(class) < MAPPED_MIN) {
    free(b);
  } else {
    os_unmap(b, class_size(class));
  }
}

static block *pop(pool *p, int class) {
  block *b;

  if (atomic_load_explicit(&p->blocks[class], memory_order_relaxed) == NULL) {
    return NULL;
  }
  leaf_lock(&p->mutex);
  b = atomic_load_explicit(&p->blocks[class], memory_order_relaxed);
  if (b != NULL) {
    atomic_store_explicit(&p->blocks[class], b->next, memory_order_relaxed);
  }
  leaf_unlock(&p->mutex);
  return b;
}

static void push(pool *p, int class, block *b) {
  leaf_lock(&p->mutex);
  b->next = atomic_load_explicit(&p->blocks[class], memory_order_relaxed);
  atomic_store_explicit(&p->blocks[class], b, memory_order_relaxed);
  leaf_unlock(&p->mutex);
}

static block *take(int class) {
  const unsigned own = own_pool();
  block *b = NULL;
  size_t left;
  size_t least;

  for (unsigned i = 0; i < POOLS && b == NULL; i++) {
    b = pop(&pools[(own + i) % POOLS], class);
  }
  if (b != NULL) {
    left = atomic_fetch_sub(&spare, class_size(class)) - class_size(class);
    least = atomic_load(&unused);
    while (left < least &&
           !atomic_compare_exchange_weak(&unused, &least, left)) {
      // Another thread was there, and perhaps lower.
    }
  }
  return b;
}

void *nni_alloc(size_t size) {
  const int class = size_class(size);
  void *b;

  if (class < 0) {
    return size > 0 ? malloc(size) : NULL;
  }
  b = take(class);
  return b != NULL ? b : block_create(class);
}

void *nni_zalloc(size_t size) {
  void *b;

  if (size_class(size) < 0) {
    return size > 0 ? calloc(1, size) : NULL;
  }
  if ((b = nni_alloc(size)) != NULL) {
    memset(b, 0, size);
  }
  return b;
}

void nni_free(void *ptr, size_t size) {
  const int class = size_class(size);
  size_t bytes;

  if (ptr == NULL) {
    return;
  }
  if (class < 0) {
    free(ptr);
    return;
  }
  bytes = class_size(class);
  if (atomic_fetch_add(&spare, bytes) + bytes > SPARE_LIMIT) {
    atomic_fetch_sub(&spare, bytes);
    block_destroy(ptr, class);
    return;
  }
  push(&pools[own_pool()], class, ptr);
  if (!atomic_load(&watched) && !atomic_exchange(&watched, true)) {
    engine_trim_later();
  }
}

void block_cache_abandon(void) { atomic_store(&watched, false); }

bool block_cache_trim(void) {
  // What nobody needed since the last time, the largest first.
  size_t surplus = atomic_load(&unused);
  block *b;

  for (int class = MAX_SHIFT - MIN_SHIFT; class >= 0; class --) {
    for (int i = 0; i < POOLS; i++) {
      while (surplus > 0 && (b = pop(&pools[i], class)) != NULL) {
        const size_t bytes = class_size(class);

        atomic_fetch_sub(&spare, bytes);
        surplus -= surplus < bytes ? surplus : bytes;
        block_destroy(b, class);
      }
    }
  }
  atomic_store(&unused, atomic_load(&spare));
  if (atomic_load(&spare) > 0) {
    return true;
  }
  // Whoever leaves a block from now on asks for somebody again; one that was
  // left a moment ago may not have.
  atomic_store(&watched, false);
  return atomic_load(&spare) > 0 && !atomic_exchange(&watched, true);
}
