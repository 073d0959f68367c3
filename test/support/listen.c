// Preloaded: what a process meets on its way to listen over ipc, as the
// environment says.
//
//   TEST_LISTEN=stop     it stops, before a socket of this kind listens
//   TEST_UNSHARE=refuse  nothing is unshared, as in many a container

#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static bool is_set(const char *name, const char *value) {
  const char *set = getenv(name);

  return set != NULL && strcmp(set, value) == 0;
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

int unshare(int flags) {
  int (*next)(int);

  if (is_set("TEST_UNSHARE", "refuse")) {
    errno = EPERM;
    return -1;
  }
  *(void **)&next = dlsym(RTLD_NEXT, "unshare");
  return next(flags);
}
