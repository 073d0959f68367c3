// What our connections can do beyond NNG's nng_stream: whoever has attached
// itself to one moves its bytes, past NNG (docs/architecture.md).
//
// NNG makes the connection, shakes hands on it, admits it as the socket's peer
// and learns of its end. From then on the core reads and writes it with the
// calls below. NNG's own receive stays submitted all that time, and completes
// when the incoming bytes have ended: that is how NNG hears of the end.
//
// Everything here is called under the engine's lock, and so are the callbacks.
// The stream comes from the option NNG_PAIR_OPT_CONN of a pipe; it is valid
// from PAIR0_START to PAIR0_STOP (pair0_observer.h), also once it is closed.

#ifndef NNG_PAIR_CONN_H
#define NNG_PAIR_CONN_H

#include <nng/nng.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "iovec.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NNG_PAIR_OPT_CONN "nng-pair:conn"

typedef struct nng_pair_conn_user {
  // There may be bytes to be read, or the end of them: read until there are no
  // more, or none are wanted.
  void (*on_readable)(void *arg);
  // The kernel takes more, or the turn ends: write what there is.
  void (*on_writable)(void *arg);
} nng_pair_conn_user;

// At most one user at a time; it detaches itself before the stream goes.
extern void nng_pair_conn_attach(nng_stream *, const nng_pair_conn_user *,
                                 void *arg);
extern void nng_pair_conn_detach(nng_stream *);

// Whether it is ipc, and not tcp: the framing differs (core/sp_frame.h).
extern bool nng_pair_conn_is_ipc(const nng_stream *);

// When the system takes a peer that does not answer for gone (tcp). All but the
// count are in ms, and 0 leaves the system's own.
typedef struct nng_pair_conn_limits {
  int keep_alive_delay;     // how long it is idle before the first probe
  int keep_alive_interval;  // from one probe to the next
  int keep_alive_count;     // how many probes stay without an answer
  int user_timeout;         // how long what was sent stays unconfirmed
} nng_pair_conn_limits;

// Whether it is probed at all is NNG's option for it. What the system cannot do
// is left as it is.
extern void nng_pair_conn_set_limits(nng_stream *,
                                     const nng_pair_conn_limits *);

// Whether a read may find something: bytes, or the end of them.
extern bool nng_pair_conn_readable(const nng_stream *);
// Reads once, as much as is there and fits in; `total` is what the vector has
// room for. Returns 0 if there is nothing now, or never again: then NNG has
// been told.
extern size_t nng_pair_conn_read(nng_stream *, const struct iovec *, int count,
                                 size_t total);
// What has come breaks the rules: nothing more is read, and NNG ends the
// connection for this reason.
extern void nng_pair_conn_fail(nng_stream *, int error);
// Whether the engine's turn has done its share: what is left is read in the
// next one, after read_later.
extern bool nng_pair_conn_turn_is_over(const nng_stream *);
// Counts what a turn does besides moving bytes: so many messages.
extern void nng_pair_conn_count(nng_stream *, size_t messages);
// on_readable will be called when this turn ends, or in the next one.
extern void nng_pair_conn_read_later(nng_stream *);

// Whether the kernel takes more, as far as is known.
extern bool nng_pair_conn_writable(const nng_stream *);
// Writes once, as much as the kernel takes of a vector of `total` bytes.
// Returns how much that is. If it is less, the connection is not writable any
// more: until on_writable is called, or for good.
extern size_t nng_pair_conn_write(nng_stream *, struct iovec *, int count,
                                  size_t total);
// How many of the bytes that were offered and not taken are on their way all
// the same (Windows): the next write must begin with them, and is told that
// they were taken. When the connection ends before, the peer may have them or
// not.
extern size_t nng_pair_conn_in_flight(const nng_stream *);
// on_writable will be called when this turn ends. Not from within on_writable:
// the turn would not end.
extern void nng_pair_conn_write_later(nng_stream *);
// Tells the peer that no more will be sent (a half close); what it sends
// still arrives. A pipe of Windows has no half close: its reader finds out when
// it is closed.
extern int nng_pair_conn_finish(nng_stream *);

// How many written bytes the peer's kernel has not confirmed yet (tcp; of a
// pipe of Windows, how many it has not read), and how many bytes have been read
// since the connection was made, as far as it matters to whoever is about to
// hang up.
extern int nng_pair_conn_progress(nng_stream *, int *unacked,
                                  uint64_t *received);

#ifdef __cplusplus
}
#endif

#endif  // NNG_PAIR_CONN_H
