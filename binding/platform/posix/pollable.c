// The descriptors that an engine watches, in place of NNG's posix_pollq_*.c.
//
// Edge-triggered, and without a thread. A descriptor is registered when it is
// first armed (a socket that is not connected yet reports nonsense). From then
// on readability needs no further system call. Writability is asked for only
// while somebody waits for it: on a unix socket every message that the peer
// reads would report it.
//
// A pollable may be freed on NNG's reaper thread. The events of one look are
// handed out under the engine's lock, in one go, so none of them outlives its
// pollable.

#include "pollable.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

int nni_posix_pfd_init(nni_posix_pfd **pfdp, int fd) {
  nni_posix_pfd *pfd;
  engine *e = engine_current();

  if (e == NULL) {
    nni_panic("a descriptor was made outside of an engine");
  }
  (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
  (void)fcntl(fd, F_SETFL, O_NONBLOCK);
#if defined(SO_NOSIGPIPE)
  const int on = 1;
  (void)setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on));
#endif
  if ((pfd = NNI_ALLOC_STRUCT(pfd)) == NULL) {
    return NNG_ENOMEM;
  }
  pfd->fd = fd;
  pfd->engine = e;
  engine_hold(e);
  *pfdp = pfd;
  return 0;
}

int nni_posix_pfd_arm(nni_posix_pfd *pfd, unsigned events) {
  int rv;

  lock_acquire(pfd->engine->lock);
  rv = pfd->closed ? 0
                   : poller_ask(pfd->engine->poller, pfd,
                                NNI_POLL_IN | (events & NNI_POLL_OUT));
  lock_release(pfd->engine->lock);
  return rv;
}

int nni_posix_pfd_fd(nni_posix_pfd *pfd) { return pfd->fd; }

void nni_posix_pfd_set_cb(nni_posix_pfd *pfd, nni_posix_pfd_cb cb, void *arg) {
  lock_acquire(pfd->engine->lock);
  pfd->cb = cb;
  pfd->arg = arg;
  lock_release(pfd->engine->lock);
}

void nni_posix_pfd_close(nni_posix_pfd *pfd) {
  lock_acquire(pfd->engine->lock);
  if (!pfd->closed) {
    (void)poller_ask(pfd->engine->poller, pfd, 0);
    pfd->closed = true;
    (void)shutdown(pfd->fd, SHUT_RDWR);
  }
  lock_release(pfd->engine->lock);
}

void nni_posix_pfd_fini(nni_posix_pfd *pfd) {
  nni_posix_pfd_close(pfd);
  (void)close(pfd->fd);
  engine_drop(pfd->engine);
  NNI_FREE_STRUCT(pfd);
}

void pollable_wait(int fd) {
  struct pollfd pfd = {.fd = fd, .events = POLLIN};

  (void)poll(&pfd, 1, -1);
}
