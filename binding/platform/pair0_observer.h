// What NNG's pair0 tells us (deps/patches/0003-pair0-observer.patch).
//
// The observer is called with the pair0 socket's own lock held, on whatever
// thread made the event happen. It may take note and wake somebody; it must
// not call NNG, and no lock that it takes may be held around a call into NNG.

#ifndef NNG_PAIR_PAIR0_OBSERVER_H
#define NNG_PAIR_PAIR0_OBSERVER_H

#include <nng/nng.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  PAIR0_START,   // the pipe is the socket's peer from now on
  PAIR0_REJECT,  // the pipe is turned away; error: NNG_EBUSY, NNG_EPROTO
  PAIR0_STOP,    // the pipe is no longer the socket's peer; error: why it
                 // ended, NNG_ECLOSED if it was closed on this side
} pair0_event;

// Owned by whoever sets it; it must outlive nng_close() of the socket.
typedef struct pair0_observer {
  void (*fn)(void *arg, pair0_event ev, uint32_t pipe, int error);
  void *arg;
} pair0_observer;

// Socket option (pointer, write only): set it before the first endpoint. From
// then on no message passes pair0: nng_send() and nng_recv() of the socket, and
// all that are like them, fail with NNG_ENOTSUP, and a message that a peer's
// connection hands to pair0 ends it with NNG_EPROTO. Whoever observes attaches
// to the connection when PAIR0_START comes, and moves the messages (conn.h).
#define PAIR0_OPT_OBSERVER "nng-pair:observer"

#ifdef __cplusplus
}
#endif

#endif  // NNG_PAIR_PAIR0_OBSERVER_H
