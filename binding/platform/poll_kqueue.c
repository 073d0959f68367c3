// Polling by kqueue (macOS), to the same interface and with the same rules as
// poll_epoll.c, which explains them.

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/event.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "engine_impl.h"
#include "platform/posix/posix_aio.h"
#include "platform/posix/posix_pollq.h"

#define LOOK_EVENTS 64

struct poller {
  int kq;
};

struct nni_posix_pfd {
  engine *engine;
  int fd;
  bool reading;  // the kernel was asked for it
  bool writing;
  bool closed;
  nni_posix_pfd_cb cb;
  void *arg;
};

static int kq_change(poller *p, uintptr_t ident, int16_t filter, uint16_t flags,
                     uint32_t fflags, void *udata) {
  struct kevent ev;

  EV_SET(&ev, ident, filter, flags, fflags, 0, udata);
  return kevent(p->kq, &ev, 1, NULL, 0, NULL) == 0 ? 0 : nni_plat_errno(errno);
}

poller *poller_create(void) {
  poller *p;

  if ((p = NNI_ALLOC_STRUCT(p)) == NULL) {
    return NULL;
  }
  // The user event is what the poller is woken by.
  if ((p->kq = kqueue()) < 0 ||
      kq_change(p, 0, EVFILT_USER, EV_ADD | EV_CLEAR, 0, NULL) != 0) {
    poller_destroy(p);
    return NULL;
  }
  (void)fcntl(p->kq, F_SETFD, FD_CLOEXEC);
  return p;
}

void poller_destroy(poller *p) {
  if (p->kq >= 0) {
    (void)close(p->kq);
  }
  NNI_FREE_STRUCT(p);
}

int poller_fd(poller *p) { return p->kq; }

void poller_signal(poller *p) {
  (void)kq_change(p, 0, EVFILT_USER, 0, NOTE_TRIGGER, NULL);
}

void poller_look(poller *p) {
  const struct timespec now = {0, 0};
  struct kevent events[LOOK_EVENTS];
  int n;

  do {
    n = kevent(p->kq, NULL, 0, events, LOOK_EVENTS, &now);
    for (int i = 0; i < n; i++) {
      nni_posix_pfd *pfd = events[i].udata;
      unsigned ready;

      if (pfd == NULL || pfd->closed || pfd->cb == NULL) {
        continue;
      }
      ready = events[i].filter == EVFILT_WRITE ? NNI_POLL_OUT : NNI_POLL_IN;
      if ((events[i].flags & EV_EOF) != 0) {
        ready |= NNI_POLL_HUP;
      }
      pfd->cb(pfd, ready, pfd->arg);
    }
  } while (n == LOOK_EVENTS);
}

int nni_posix_pfd_init(nni_posix_pfd **pfdp, int fd) {
  nni_posix_pfd *pfd;
  engine *e = engine_current();
  const int on = 1;

  if (e == NULL) {
    nni_panic("a descriptor was made outside of an engine");
  }
  (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
  (void)fcntl(fd, F_SETFL, O_NONBLOCK);
  (void)setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on));
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

static int pfd_ask(nni_posix_pfd *pfd, int16_t filter, bool *asked, bool ask) {
  int rv = 0;

  if (*asked != ask) {
    rv = kq_change(pfd->engine->poller, (uintptr_t)pfd->fd, filter,
                   ask ? EV_ADD | EV_CLEAR : EV_DELETE, 0, pfd);
    *asked = ask;
  }
  return rv;
}

int nni_posix_pfd_arm(nni_posix_pfd *pfd, unsigned events) {
  int rv = 0;

  lock_acquire();
  if (!pfd->closed &&
      (rv = pfd_ask(pfd, EVFILT_READ, &pfd->reading, true)) == 0) {
    rv =
        pfd_ask(pfd, EVFILT_WRITE, &pfd->writing, (events & NNI_POLL_OUT) != 0);
  }
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
    (void)pfd_ask(pfd, EVFILT_READ, &pfd->reading, false);
    (void)pfd_ask(pfd, EVFILT_WRITE, &pfd->writing, false);
    pfd->closed = true;
    (void)shutdown(pfd->fd, SHUT_RDWR);
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
