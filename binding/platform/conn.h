// What our connections can do beyond NNG's nng_stream. The stream comes from
// the option NNG_PAIR_OPT_CONN of a pipe, which must be held meanwhile.

#ifndef NNG_PAIR_CONN_H
#define NNG_PAIR_CONN_H

#include <nng/nng.h>

#define NNG_PAIR_OPT_CONN "nng-pair:conn"

// Tells the peer that no more will be sent (a half close); what it sends
// still arrives. NNG_EBUSY while a send is under way.
extern int nng_pair_conn_finish(nng_stream *);

// How many written bytes the peer's kernel has not confirmed yet (tcp), and
// how many bytes have been read since the connection was made.
extern int nng_pair_conn_progress(nng_stream *, int *unacked,
                                  uint64_t *received);

#endif  // NNG_PAIR_CONN_H
