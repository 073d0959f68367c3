// A descriptor that an engine watches: NNG's nni_posix_pfd (pollable.c), and
// how it is watched (poll_epoll.c, poll_kqueue.c).

#ifndef NNG_PAIR_POLLABLE_H
#define NNG_PAIR_POLLABLE_H

#include "../../engine/engine_impl.h"
#include "platform/posix/posix_aio.h"
#include "platform/posix/posix_pollq.h"

struct nni_posix_pfd {
  engine *engine;
  int fd;
  unsigned asked;  // what the kernel was asked for; 0: it does not know of it
  bool closed;
  nni_posix_pfd_cb cb;
  void *arg;
};

// Asks for NNI_POLL_IN, and NNI_POLL_OUT or not, instead of what was asked
// for; 0 ends it. Returns an NNG error.
extern int poller_ask(poller *, nni_posix_pfd *, unsigned events);

// Waits until this descriptor, a poller's, is readable.
extern void pollable_wait(int fd);

// There is an event for this pollable.
static inline void pollable_ready(nni_posix_pfd *pfd, unsigned events) {
  if (!pfd->closed && pfd->cb != NULL) {
    pfd->cb(pfd, events, pfd->arg);
  }
}

#endif  // NNG_PAIR_POLLABLE_H
