// Traffic on a socket, both ways and as fast as it goes. Where the connections
// are ours it moves as that of the core does, past pair0: an observer attaches
// itself to the connection. Where they are NNG's own, two threads move it
// through pair0.

#ifndef NNG_PAIR_TEST_TRAFFIC_H
#define NNG_PAIR_TEST_TRAFFIC_H

#include "fault.h"

typedef struct traffic traffic;

// Before the first endpoint of the socket. `size`: of each message's body.
traffic *traffic_start(nng_socket, size_t size);
// Until at least so many bytes have been received.
void traffic_wait(traffic *, size_t bytes);
// Closes the socket under traffic, and frees.
void traffic_close(traffic *);

#endif  // NNG_PAIR_TEST_TRAFFIC_H
