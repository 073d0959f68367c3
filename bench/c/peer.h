// What a peer in C must be able to do. The functions end the process when
// something fails.

#ifndef NNG_PAIR_BENCH_PEER_H
#define NNG_PAIR_BENCH_PEER_H

#include <stddef.h>

// Counts messages, and notices when one is lost, cut or shifted.
typedef struct {
  long messages;
  size_t bytes;
  size_t ends;
} tally;

static inline void tally_add(tally *t, const unsigned char *body, size_t size) {
  t->messages++;
  t->bytes += size;
  t->ends += body[0] + body[size - 1];
}

// Binds, tells the URL that a dialer needs, and waits for it if there is need.
// `size` is that of the messages to come.
void peer_listen(const char *url, size_t size);
void peer_dial(const char *url, size_t size);
void tell_listening(const char *url);

// One message, for taking turns.
void peer_send(const unsigned char *body, size_t size);
void peer_recv(tally *t);

// Receives a message and sends it back.
void peer_echo(void);

// A stream, with all the gathering that a stream allows.
void peer_send_all(const unsigned char *body, size_t size, long count);

#endif
