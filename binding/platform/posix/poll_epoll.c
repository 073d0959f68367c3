// Watching by epoll (Linux): one descriptor per engine.

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "pollable.h"

#define LOOK_EVENTS 64

struct poller {
  int epfd;
  int evfd;  // to be woken by; registered with no pollable
  int tmfd;  // the same at a certain time; registered with the poller
  bool rang;
  atomic_bool signalled;  // evfd is readable, or about to be
};

static bool watch(poller *p, int fd, void *ptr) {
  struct epoll_event ev = {.events = EPOLLIN, .data.ptr = ptr};

  return fd >= 0 && epoll_ctl(p->epfd, EPOLL_CTL_ADD, fd, &ev) == 0;
}

poller *poller_create(void) {
  poller *p;

  if ((p = NNI_ALLOC_STRUCT(p)) == NULL) {
    return NULL;
  }
  p->epfd = epoll_create1(EPOLL_CLOEXEC);
  p->evfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  // The clock of nni_clock().
  p->tmfd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (p->epfd < 0 || !watch(p, p->evfd, NULL) || !watch(p, p->tmfd, p)) {
    poller_destroy(p);
    return NULL;
  }
  return p;
}

void poller_destroy(poller *p) {
  const int fds[] = {p->epfd, p->evfd, p->tmfd};

  for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
    if (fds[i] >= 0) {
      (void)close(fds[i]);
    }
  }
  NNI_FREE_STRUCT(p);
}

int poller_fd(poller *p) { return p->epfd; }

void poller_wait(poller *p) { pollable_wait(p->epfd); }

void poller_signal(poller *p) {
  const uint64_t one = 1;

  if (!atomic_exchange(&p->signalled, true)) {
    (void)!write(p->evfd, &one, sizeof(one));
  }
}

void poller_alarm(poller *p, nni_time when) {
  // Zero would mean never.
  struct itimerspec at = {
      .it_value = {.tv_sec = (time_t)(when / 1000),
                   .tv_nsec = (long)(when % 1000) * 1000000 + 1}};

  (void)timerfd_settime(p->tmfd, TFD_TIMER_ABSTIME, &at, NULL);
}

bool poller_rang(poller *p) {
  const bool rang = p->rang;

  p->rang = false;
  return rang;
}

bool poller_look(poller *p) {
  struct epoll_event events[LOOK_EVENTS];
  const int n = epoll_wait(p->epfd, events, LOOK_EVENTS, 0);

  for (int i = 0; i < n; i++) {
    uint64_t count;

    if (events[i].data.ptr == NULL) {
      // In this order: who signals meanwhile has done before what we are about
      // to look at.
      (void)!read(p->evfd, &count, sizeof(count));
      (void)atomic_exchange(&p->signalled, false);
    } else if (events[i].data.ptr == p) {
      (void)!read(p->tmfd, &count, sizeof(count));
      p->rang = true;
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
