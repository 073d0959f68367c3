// Polling by epoll, in place of NNG's posix_pollq_epoll.c: one descriptor per
// engine, edge-triggered, no thread.
//
// A descriptor is registered when it is first armed (a socket that is not
// connected yet reports nonsense). From then on readability needs no further
// system call. Writability is asked for only while somebody waits for it:
// on a unix socket every message that the peer reads would report it.
//
// A pollable may be freed on NNG's reaper thread. The events of one look are
// handed out under the lock, in one go, so none of them outlives its pollable.

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine_impl.h"
#include "platform/posix/posix_aio.h"
#include "platform/posix/posix_pollq.h"

#define LOOK_EVENTS 64

struct poller {
  int epfd;
  int evfd;  // to be woken by; registered with no pollable
};

struct nni_posix_pfd {
  engine *engine;
  int fd;
  uint32_t asked;  // what epoll was asked for; 0: not registered
  bool closed;
  nni_posix_pfd_cb cb;
  void *arg;
};

poller *poller_create(void) {
  poller *p;
  struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};

  if ((p = NNI_ALLOC_STRUCT(p)) == NULL) {
    return NULL;
  }
  p->epfd = epoll_create1(EPOLL_CLOEXEC);
  p->evfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (p->epfd < 0 || p->evfd < 0 ||
      epoll_ctl(p->epfd, EPOLL_CTL_ADD, p->evfd, &ev) != 0) {
    poller_destroy(p);
    return NULL;
  }
  return p;
}

void poller_destroy(poller *p) {
  if (p->epfd >= 0) {
    (void)close(p->epfd);
  }
  if (p->evfd >= 0) {
    (void)close(p->evfd);
  }
  NNI_FREE_STRUCT(p);
}

int poller_fd(poller *p) { return p->epfd; }

void poller_signal(poller *p) {
  const uint64_t one = 1;

  (void)!write(p->evfd, &one, sizeof(one));
}

void poller_look(poller *p) {
  struct epoll_event events[LOOK_EVENTS];
  int n;

  do {
    n = epoll_wait(p->epfd, events, LOOK_EVENTS, 0);
    for (int i = 0; i < n; i++) {
      nni_posix_pfd *pfd = events[i].data.ptr;

      if (pfd == NULL) {
        uint64_t count;

        (void)!read(p->evfd, &count, sizeof(count));
      } else if (!pfd->closed && pfd->cb != NULL) {
        // The flags of poll() and epoll are the same, RDHUP too.
        pfd->cb(pfd, events[i].events, pfd->arg);
      }
    }
  } while (n == LOOK_EVENTS);
}

int nni_posix_pfd_init(nni_posix_pfd **pfdp, int fd) {
  nni_posix_pfd *pfd;
  engine *e = engine_current();

  if (e == NULL) {
    nni_panic("a descriptor was made outside of an engine");
  }
  (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
  (void)fcntl(fd, F_SETFL, O_NONBLOCK);
  if ((pfd = NNI_ALLOC_STRUCT(pfd)) == NULL) {
    return NNG_ENOMEM;
  }
  pfd->fd = fd;
  pfd->engine = e;
  lock_acquire();
  engine_hold(e);
  lock_release();
  *pfdp = pfd;
  return 0;
}

static int pfd_ask(nni_posix_pfd *pfd, uint32_t events) {
  struct epoll_event ev;

  if (pfd->asked == events) {
    return 0;
  }
  memset(&ev, 0, sizeof(ev));
  ev.events = events;
  ev.data.ptr = pfd;
  if (epoll_ctl(pfd->engine->poller->epfd,
                pfd->asked == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, pfd->fd,
                &ev) != 0) {
    return nni_plat_errno(errno);
  }
  pfd->asked = events;
  return 0;
}

int nni_posix_pfd_arm(nni_posix_pfd *pfd, unsigned events) {
  uint32_t ask = EPOLLIN | EPOLLRDHUP | EPOLLET;
  int rv;

  lock_acquire();
  if ((events & NNI_POLL_OUT) != 0) {
    ask |= EPOLLOUT;
  }
  rv = pfd->closed ? 0 : pfd_ask(pfd, ask);
  lock_release();
  return rv;
}

int nni_posix_pfd_fd(nni_posix_pfd *pfd) { return pfd->fd; }

void nni_posix_pfd_set_cb(nni_posix_pfd *pfd, nni_posix_pfd_cb cb, void *arg) {
  lock_acquire();
  pfd->cb = cb;
  pfd->arg = arg;
  lock_release();
}

void nni_posix_pfd_close(nni_posix_pfd *pfd) {
  lock_acquire();
  if (!pfd->closed) {
    struct epoll_event ev;

    pfd->closed = true;
    (void)shutdown(pfd->fd, SHUT_RDWR);
    if (pfd->asked != 0) {
      memset(&ev, 0, sizeof(ev));
      (void)epoll_ctl(pfd->engine->poller->epfd, EPOLL_CTL_DEL, pfd->fd, &ev);
    }
  }
  lock_release();
}

void nni_posix_pfd_fini(nni_posix_pfd *pfd) {
  nni_posix_pfd_close(pfd);
  (void)close(pfd->fd);
  lock_acquire();
  engine_drop(pfd->engine);
  lock_release();
  NNI_FREE_STRUCT(pfd);
}
