// Preloaded: what a process meets on its way to listen over ipc, as the
// environment says.
//
//   TEST_LISTEN=stop     it stops, before a socket of this kind listens
//   TEST_UNSHARE=refuse  nothing is unshared, as in many a container
//   TEST_CONNECT=replace  when it has asked a socket file whether it is dead,
//                         another listener has taken its place
//   TEST_CONNECT=late     when it has asked, it says so, and goes on as soon as
//                         another listener has taken the place; a file that it
//                         has moved aside it moves back a moment later

#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool is_set(const char *name, const char *value) {
  const char *set = getenv(name);

  return set != NULL && strcmp(set, value) == 0;
}

// The process keeps the socket, as another one would.
static void replace(const struct sockaddr_un *sun) {
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

  if (fd < 0 || unlink(sun->sun_path) != 0 ||
      bind(fd, (const struct sockaddr *)sun, sizeof(*sun)) != 0 ||
      listen(fd, 8) != 0) {
    abort();
  }
}

// Looks again and again, so as not to lose a moment.
static void be_late(const struct sockaddr_un *sun) {
  static const char said[] = "asked\n";
  struct stat before;
  struct stat now;

  if (stat(sun->sun_path, &before) != 0 ||
      write(STDERR_FILENO, said, sizeof(said) - 1) < 0) {
    abort();
  }
  while (stat(sun->sun_path, &now) != 0 || now.st_ino == before.st_ino) {
  }
}

int connect(int fd, const struct sockaddr *addr, socklen_t size) {
  int type = 0;
  socklen_t type_size = sizeof(type);
  int (*next)(int, const struct sockaddr *, socklen_t);
  int rv;
  int error;

  *(void **)&next = dlsym(RTLD_NEXT, "connect");
  rv = next(fd, addr, size);
  error = errno;
  if (addr->sa_family == AF_UNIX &&
      getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) == 0 &&
      type == SOCK_DGRAM) {
    if (is_set("TEST_CONNECT", "replace")) {
      replace((const struct sockaddr_un *)addr);
    } else if (is_set("TEST_CONNECT", "late")) {
      be_late((const struct sockaddr_un *)addr);
    }
  }
  errno = error;
  return rv;
}

int listen(int fd, int backlog) {
  struct sockaddr_storage ss;
  socklen_t size = sizeof(ss);
  int (*next)(int, int);

  if (is_set("TEST_LISTEN", "stop") &&
      getsockname(fd, (struct sockaddr *)&ss, &size) == 0 &&
      ss.ss_family == AF_UNIX) {
    (void)raise(SIGSTOP);  // to this thread, which goes no further
  }
  *(void **)&next = dlsym(RTLD_NEXT, "listen");
  return next(fd, backlog);
}

int linkat(int from, const char *name, int to, const char *path, int flags) {
  int (*next)(int, const char *, int, const char *, int);

  if (is_set("TEST_CONNECT", "late")) {
    (void)usleep(10 * 1000);
  }
  *(void **)&next = dlsym(RTLD_NEXT, "linkat");
  return next(from, name, to, path, flags);
}

int unshare(int flags) {
  int (*next)(int);

  if (is_set("TEST_UNSHARE", "refuse")) {
    errno = EPERM;
    return -1;
  }
  *(void **)&next = dlsym(RTLD_NEXT, "unshare");
  return next(flags);
}
