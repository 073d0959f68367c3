// Watching by epoll (Linux): one descriptor per engine.

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "pollable.h"

#define LOOK_EVENTS 64

struct poller {
  int epfd;
  int evfd;        // to be woken by; registered with no pollable
  bool signalled;  // evfd is readable
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

  if (!p->signalled) {
    p->signalled = true;
    (void)!write(p->evfd, &one, sizeof(one));
  }
}

bool poller_look(poller *p) {
  struct epoll_event events[LOOK_EVENTS];
  const int n = epoll_wait(p->epfd, events, LOOK_EVENTS, 0);

  for (int i = 0; i < n; i++) {
    if (events[i].data.ptr == NULL) {
      uint64_t count;

      p->signalled = false;
      (void)!read(p->evfd, &count, sizeof(count));
    } else {
      // The flags of poll() and epoll are the same, RDHUP too.
      pollable_ready(events[i].data.ptr, events[i].events);
    }
  }
  return n == LOOK_EVENTS;
}

int poller_ask(poller *p, nni_posix_pfd *pfd, unsigned events) {
  struct epoll_event ev;
  int op = EPOLL_CTL_MOD;

  if (pfd->asked == events) {
    return 0;
  }
  if (events == 0) {
    op = EPOLL_CTL_DEL;
  } else if (pfd->asked == 0) {
    op = EPOLL_CTL_ADD;
  }
  memset(&ev, 0, sizeof(ev));
  ev.events = EPOLLRDHUP | EPOLLET | events;
  ev.data.ptr = pfd;
  if (epoll_ctl(p->epfd, op, pfd->fd, &ev) != 0) {
    return nni_plat_errno(errno);
  }
  pfd->asked = events;
  return 0;
}
