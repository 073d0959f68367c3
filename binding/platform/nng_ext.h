// The few things that we need of NNG and that its public interface lacks.

#ifndef NNG_PAIR_NNG_EXT_H
#define NNG_PAIR_NNG_EXT_H

#include <nng/nng.h>

#ifdef __cplusplus
extern "C" {
#endif

// nng_dialer_start() that neither blocks nor hides the outcome: the aio
// completes when the peer has completed the handshake (by then the pipe has
// been announced), or with the error of the first attempt, after which the
// dialer can be started again. Closing the dialer completes it too.
// NNG_ESTATE: already started; then, and on any other error that is
// returned, the aio does not complete.
extern int nng_pair_dialer_start(nng_dialer, nng_aio *);

// Looks a host up without blocking: the aio completes when the first of its
// addresses is in *sa, which must last until then. For listening: a dialer
// resolves by itself, and tries all addresses.
extern void nng_pair_resolve(const char *host, nng_sockaddr *sa, nng_aio *);

// The connection under a pipe, for conn.h; as long as the pipe is pair0's.
extern int nng_pair_pipe_conn(nng_pipe, nng_stream **);

// Endpoint option (bool, write only, the value does not matter): no further
// connection is made or accepted, and the present one stays.
#define NNG_PAIR_OPT_STOP "nng-pair:stop"

// Dialer option (ms, write only; tcp): how long the last address of a name may
// take to answer. Unlimited unless set: then the system's own limit holds.
#define NNG_PAIR_OPT_CONNECT_LIMIT "nng-pair:connect-limit"

#ifdef __cplusplus
}
#endif

#endif  // NNG_PAIR_NNG_EXT_H
