// Watching by kqueue (macOS): one descriptor per engine.

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/event.h>
#include <sys/time.h>
#include <unistd.h>

#include "pollable.h"

#define LOOK_EVENTS 64

struct poller {
  int kq;
  bool rang;
  atomic_bool signalled;  // the user event is pending, or about to be
};

static int kq_change(poller *p, uintptr_t ident, int16_t filter, uint16_t flags,
                     uint32_t fflags, intptr_t data, void *udata) {
  struct kevent ev;

  EV_SET(&ev, ident, filter, flags, fflags, data, udata);
  return kevent(p->kq, &ev, 1, NULL, 0, NULL) == 0 ? 0 : nni_plat_errno(errno);
}

poller *poller_create(void) {
  poller *p;

  if ((p = NNI_ALLOC_STRUCT(p)) == NULL) {
    return NULL;
  }
  // The user event is what the poller is woken by.
  if ((p->kq = kqueue()) < 0 ||
      kq_change(p, 0, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, NULL) != 0) {
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

void poller_wait(poller *p) { pollable_wait(p->kq); }

void poller_signal(poller *p) {
  if (!atomic_exchange(&p->signalled, true)) {
    (void)kq_change(p, 0, EVFILT_USER, 0, NOTE_TRIGGER, 0, NULL);
  }
}

// A timer's unit is the millisecond. One that stands is replaced.
void poller_alarm(poller *p, nni_time when) {
  const nni_time now = nni_clock();

  (void)kq_change(p, 0, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0,
                  when > now ? (intptr_t)(when - now) : 1, NULL);
}

bool poller_rang(poller *p) {
  const bool rang = p->rang;

  p->rang = false;
  return rang;
}

bool poller_look(poller *p) {
  const struct timespec now = {0, 0};
  struct kevent events[LOOK_EVENTS];
  const int n = kevent(p->kq, NULL, 0, events, LOOK_EVENTS, &now);

  for (int i = 0; i < n; i++) {
    unsigned ready =
        events[i].filter == EVFILT_WRITE ? NNI_POLL_OUT : NNI_POLL_IN;

    if ((events[i].flags & EV_EOF) != 0) {
      ready |= NNI_POLL_HUP;
    }
    if (events[i].filter == EVFILT_TIMER) {
      p->rang = true;
    } else if (events[i].udata == NULL) {
      // The event is over: who signals from now on makes a new one.
      (void)atomic_exchange(&p->signalled, false);
    } else {
      pollable_ready(events[i].udata, ready);
    }
  }
  return n == LOOK_EVENTS;
}

// Adds or deletes one filter, if that changes anything.
static int kq_ask(poller *p, nni_posix_pfd *pfd, int16_t filter, unsigned event,
                  unsigned events) {
  int rv;

  if ((pfd->asked & event) == (events & event)) {
    return 0;
  }
  rv = kq_change(p, (uintptr_t)pfd->fd, filter,
                 (events & event) != 0 ? EV_ADD | EV_CLEAR : EV_DELETE, 0, 0,
                 pfd);
  if (rv == 0) {
    pfd->asked ^= event;
  }
  return rv;
}

int poller_ask(poller *p, nni_posix_pfd *pfd, unsigned events) {
  const int rv = kq_ask(p, pfd, EVFILT_READ, NNI_POLL_IN, events);

  return rv != 0 ? rv : kq_ask(p, pfd, EVFILT_WRITE, NNI_POLL_OUT, events);
}
