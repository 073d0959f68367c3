// Preloaded: calls of the C library that fail, or come back short, as the test
// says that wants to know what the addon makes of it. Calls of others, Node's
// among them, are left alone: the return address tells whose a call is.
//
// The test and this share the file in the environment's FAILING_CALLS, which
// has a `control` in it.

#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

// In the order of CALLS in the test.
enum call {
  ACCEPT,
  ACCEPT4,
  BIND,
  CALLOC,
  CONNECT,
  EPOLL_CREATE1,
  EPOLL_CTL,
  EVENTFD,
  LISTEN,
  MALLOC,
  MMAP,
  PTHREAD_CREATE,
  READV,
  RECV,
  SEND,
  SENDMSG,
  SOCKET,
  TIMERFD_CREATE,
  CALLS
};

typedef struct {
  int32_t call;       // which call is to fail; -1: none
  int32_t countdown;  // 1: the next one
  int32_t error;      // an errno; 0: it comes back short
  int32_t fired;      // it has failed
  // Whose calls count: those of code between the first two, but for code
  // between the others.
  uint64_t from, to;
  uint64_t spared_from, spared_to;
  int32_t counts[CALLS];
} control;

static control *shared;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("FAILING_CALLS");
  const int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);

  if (fd < 0) {
    return;
  }
  shared =
      mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (shared == MAP_FAILED) {
    shared = NULL;
  }
  (void)close(fd);
}

// Whether this call is the one. If so errno says why, unless it is to come back
// short.
static bool fails(enum call call, void *caller) {
  const uint64_t at = (uintptr_t)caller;

  if (shared == NULL || at < shared->from || at >= shared->to ||
      (at >= shared->spared_from && at < shared->spared_to)) {
    return false;
  }
  (void)__atomic_add_fetch(&shared->counts[call], 1, __ATOMIC_RELAXED);
  if (__atomic_load_n(&shared->call, __ATOMIC_ACQUIRE) != (int32_t)call ||
      __atomic_sub_fetch(&shared->countdown, 1, __ATOMIC_RELAXED) != 0) {
    return false;
  }
  __atomic_store_n(&shared->fired, 1, __ATOMIC_RELEASE);
  errno = shared->error;
  return true;
}

static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }

// A function that has this result when it fails.
#define FAILING(result, call, type, name, parameters, arguments) \
  type name parameters {                                         \
    static type(*of_system) parameters;                          \
    if (fails(call, __builtin_return_address(0))) {              \
      return result;                                             \
    }                                                            \
    if (of_system == NULL) {                                     \
      of_system = (type(*) parameters)next(#name);               \
    }                                                            \
    return of_system arguments;                                  \
  }

FAILING(-1, ACCEPT, int, accept, (int fd, struct sockaddr *sa, socklen_t *n),
        (fd, sa, n))
FAILING(-1, ACCEPT4, int, accept4,
        (int fd, struct sockaddr *sa, socklen_t *n, int flags),
        (fd, sa, n, flags))
FAILING(-1, BIND, int, bind, (int fd, const struct sockaddr *sa, socklen_t n),
        (fd, sa, n))
FAILING(-1, CONNECT, int, connect,
        (int fd, const struct sockaddr *sa, socklen_t n), (fd, sa, n))
FAILING(-1, EPOLL_CREATE1, int, epoll_create1, (int flags), (flags))
FAILING(-1, EPOLL_CTL, int, epoll_ctl,
        (int epfd, int op, int fd, struct epoll_event *event),
        (epfd, op, fd, event))
FAILING(-1, EVENTFD, int, eventfd, (unsigned value, int flags), (value, flags))
FAILING(-1, LISTEN, int, listen, (int fd, int backlog), (fd, backlog))
FAILING(MAP_FAILED, MMAP, void *, mmap,
        (void *at, size_t n, int prot, int flags, int fd, off_t off),
        (at, n, prot, flags, fd, off))
FAILING(-1, SOCKET, int, socket, (int domain, int type, int protocol),
        (domain, type, protocol))
FAILING(-1, TIMERFD_CREATE, int, timerfd_create, (int clock, int flags),
        (clock, flags))
// Its result is the error.
FAILING(errno, PTHREAD_CREATE, int, pthread_create,
        (pthread_t * thread, const pthread_attr_t *attr, void *(*run)(void *),
         void *arg),
        (thread, attr, run, arg))

// dlsym() itself allocates; these are glibc's under other names.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);

void *malloc(size_t size) {
  return fails(MALLOC, __builtin_return_address(0)) ? NULL
                                                    : __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  return fails(CALLOC, __builtin_return_address(0))
             ? NULL
             : __libc_calloc(count, size);
}

FAILING(-1, READV, ssize_t, readv, (int fd, const struct iovec *iov, int count),
        (fd, iov, count))
FAILING(-1, RECV, ssize_t, recv, (int fd, void *data, size_t size, int flags),
        (fd, data, size, flags))

// What can come back short: with half of what it was given. (A read cannot, as
// epoll(7) has it, unless nothing is left.)

static size_t half(size_t size) { return size > 1 ? size / 2 : size; }

ssize_t send(int fd, const void *data, size_t size, int flags) {
  static ssize_t (*of_system)(int, const void *, size_t, int);

  if (of_system == NULL) {
    of_system = (ssize_t(*)(int, const void *, size_t, int))next("send");
  }
  if (fails(SEND, __builtin_return_address(0))) {
    if (shared->error != 0) {
      return -1;
    }
    size = half(size);
  }
  return of_system(fd, data, size, flags);
}

#define PIECES 64

// The first half of a vector.
static int cut(struct iovec *to, const struct iovec *from, int count) {
  size_t left = 0;
  int n = 0;

  for (int i = 0; i < count; i++) {
    left += from[i].iov_len;
  }
  left = half(left);
  for (; n < count && n < PIECES && left > 0; n++) {
    to[n] = from[n];
    if (to[n].iov_len > left) {
      to[n].iov_len = left;
    }
    left -= to[n].iov_len;
  }
  return n;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  static ssize_t (*of_system)(int, const struct msghdr *, int);
  struct iovec some[PIECES];
  struct msghdr part = *message;

  if (of_system == NULL) {
    of_system = (ssize_t(*)(int, const struct msghdr *, int))next("sendmsg");
  }
  if (fails(SENDMSG, __builtin_return_address(0))) {
    if (shared->error != 0) {
      return -1;
    }
    part.msg_iovlen =
        (size_t)cut(some, message->msg_iov, (int)message->msg_iovlen);
    part.msg_iov = some;
  }
  return of_system(fd, &part, flags);
}
