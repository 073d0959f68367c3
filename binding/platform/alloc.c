// NNG's memory, in place of posix_alloc.c.
//
// Large messages come and go by the hundred, and a fresh page costs more than
// filling it: the system has to find, clear and map it. So large blocks are
// kept when they are freed, most recent first, and given back once they have
// not been needed for a while (engine.c). Small ones are the C library's.
//
// A message's memory may be freed on any thread, under any lock, also by V8
// when it collects the Buffer that the message became. So the blocks are the
// process's, and no engine's; the mutex is a leaf (lock.h), and held for a few
// instructions.

#include "alloc.h"

#include <pthread.h>
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

typedef struct block {
  struct block *next;
} block;

static struct {
  pthread_mutex_t mutex;
  block *blocks[MAX_SHIFT - MIN_SHIFT + 1];
  size_t spare;   // bytes in blocks
  size_t unused;  // the least that `spare` was since the last trim
  bool tended;    // an engine sees to it that what is unused goes back
} pool = {.mutex = PTHREAD_MUTEX_INITIALIZER};

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

static block *take(int class) {
  block *b;

  leaf_lock(&pool.mutex);
  if ((b = pool.blocks[class]) != NULL) {
    pool.blocks[class] = b->next;
    pool.spare -= class_size(class);
    if (pool.unused > pool.spare) {
      pool.unused = pool.spare;
    }
  }
  leaf_unlock(&pool.mutex);
  return b;
}

void *nni_alloc(size_t size) {
  const int class = size_class(size);
  void *b;

  if (class < 0) {
    return size > 0 ? malloc(size) : NULL;
  }
  b = take(class);
  return b != NULL ? b : malloc(class_size(class));
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
  block *b = ptr;
  bool first = false;

  if (ptr != NULL && class >= 0) {
    leaf_lock(&pool.mutex);
    first = !pool.tended;
    pool.tended = true;
    if (pool.spare + class_size(class) <= SPARE_LIMIT) {
      b->next = pool.blocks[class];
      pool.blocks[class] = b;
      pool.spare += class_size(class);
      ptr = NULL;
    }
    leaf_unlock(&pool.mutex);
  }
  free(ptr);
  if (first) {
    engine_has_spare();
  }
}

void alloc_untended(void) {
  leaf_lock(&pool.mutex);
  pool.tended = false;
  leaf_unlock(&pool.mutex);
}

bool alloc_trim(void) {
  bool any;

  leaf_lock(&pool.mutex);
  for (int class = MAX_SHIFT - MIN_SHIFT; class >= 0; class --) {
    block *b;

    while (pool.unused > 0 && (b = pool.blocks[class]) != NULL) {
      pool.blocks[class] = b->next;
      pool.spare -= class_size(class);
      pool.unused -=
          pool.unused < class_size(class) ? pool.unused : class_size(class);
      free(b);
    }
  }
  pool.unused = pool.spare;
  pool.tended = any = pool.spare > 0;
  leaf_unlock(&pool.mutex);
  return any;
}
