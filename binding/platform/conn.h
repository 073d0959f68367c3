// What our connections can do beyond NNG's nng_stream. The stream comes from
// the option NNG_PAIR_OPT_CONN of a pipe, which must be held meanwhile.

#ifndef NNG_PAIR_CONN_H
#define NNG_PAIR_CONN_H

#include <nng/nng.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NNG_PAIR_OPT_CONN "nng-pair:conn"

// How many messages have gathered that the kernel does not have whole, and the
// bytes of their bodies; and who is to hear that it has more of them; on the
// engine's thread, under the lock.
typedef void (*nng_pair_flushed_cb)(void *arg);
extern unsigned nng_pair_conn_gathered(nng_stream *, uint64_t *bytes);
extern void nng_pair_conn_on_flushed(nng_stream *, nng_pair_flushed_cb,
                                     void *arg);
// Writes it now, as far as the kernel takes it, for somebody who waits for a
// message (engine_asked); under the lock, on the loop's thread.
extern void nng_pair_conn_flush(nng_stream *);

// For the transports (deps/patches/0020): a whole message that has arrived, or
// NULL, and then the head of the next one is read next; and whether a small
// message was put into what gathers. Both leave everything unusual to the
// ordinary way.
extern nng_msg *nng_pair_conn_take(nng_stream *, size_t max);
extern bool nng_pair_conn_put(nng_stream *, nng_msg *);

// The same for a socket, past NNG, under the lock. Whether a small message was
// put into what gathers; only when everything before it is sent. With its head
// it has at most NNG_PAIR_GATHER_MAX bytes; others are refused.
#define NNG_PAIR_GATHER_MAX ((size_t)16 * 1024)
extern bool nng_pair_conn_gather(nng_stream *, const void *data, size_t size);
// For how many bytes there is room without a write, and how many of them each
// message takes for its head: the length of its body as 64 bits, big endian,
// and with 9 bytes a 1 before that.
extern size_t nng_pair_conn_room(nng_stream *, size_t *head);
// Such messages, with their heads, at most as many as there is room for: as if
// each had been given to nng_pair_conn_gather.
extern bool nng_pair_conn_gather_frames(nng_stream *, const void *frames,
                                        size_t size, unsigned count);
// Who gets messages of at most NNG_PAIR_SMALL bytes (SMALL in lib/arena.ts) as
// they arrive, and returns how many of them it takes. If it leaves some, the
// connection holds them, and reads no further. After resume, once the engine's
// turn ends, it offers them again. Larger messages go through NNG.
#define NNG_PAIR_SMALL ((size_t)4096)
typedef struct {
  const uint8_t *data;
  size_t size;
} nng_pair_small;
typedef size_t (*nng_pair_taker_cb)(void *arg, const nng_pair_small *messages,
                                    size_t count);
extern void nng_pair_conn_on_message(nng_stream *, nng_pair_taker_cb,
                                     void *arg);
// The next message, of any size, that was read from a connection which is
// closed, or false. It is valid until the next call, under the lock.
extern bool nng_pair_conn_take_rest(nng_stream *, nng_pair_small *);
extern bool nng_pair_conn_holds(nng_stream *);
extern void nng_pair_conn_resume(nng_stream *);
// Copies up to `max` of the messages that it holds, and of those that can be
// read behind them, to `room`, one behind the other, as long as they fit in.
// `sizes` gets the size of each. Returns how many there are; `room_size` is
// what is left of it.
extern size_t nng_pair_conn_pull(nng_stream *, uint8_t *room, size_t *room_size,
                                 int32_t *sizes, size_t max);

// For the sender of a large message (smaller ones are not touched), under the
// lock, when everything before it is sent: begins to write it from where its
// data is. Returns whether it did, and how much of the data need not be in the
// message any more, which has to be sent next; forsake if it is not after all.
extern bool nng_pair_conn_start(nng_stream *, const void *data, size_t size,
                                size_t *done);
extern void nng_pair_conn_forsake(nng_stream *);

// Tells the peer that no more will be sent (a half close); what it sends
// still arrives. NNG_EBUSY while a send is under way.
extern int nng_pair_conn_finish(nng_stream *);

// How many written bytes the peer's kernel has not confirmed yet (tcp), and
// how many bytes have been read since the connection was made.
extern int nng_pair_conn_progress(nng_stream *, int *unacked,
                                  uint64_t *received);

#ifdef __cplusplus
}
#endif

#endif  // NNG_PAIR_CONN_H
