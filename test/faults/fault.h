// What the programs that prove a fault have in common: checks, raw peers that
// speak the wire's bytes, and a hand on NNG's poller. A program exits with 0
// when the fault is mended, with 1 when something came out wrong, and ends by
// SIGALRM when something never came.

#ifndef NNG_PAIR_TEST_FAULT_H
#define NNG_PAIR_TEST_FAULT_H

#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// Far longer than anything here takes, also on a busy machine.
#define PATIENCE_S 10

#define CHECK(condition)                                              \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                        \
    }                                                                 \
  } while (0)

// For calls of NNG.
#define OK(call)                                                    \
  do {                                                              \
    int ok_rv_ = (call);                                            \
    if (ok_rv_ != 0) {                                              \
      fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, \
              nng_strerror(ok_rv_));                                \
      exit(1);                                                      \
    }                                                               \
  } while (0)

// Between two attempts: who is turned away must not keep the others busy.
static inline void wait_a_little(void) { (void)usleep(2000); }

// No progress for so long is a fault. Each step begins with it.
static inline void progress(void) { (void)alarm(PATIENCE_S); }

#define URL_SIZE 128

typedef enum { TCP, IPC } transport;

// A free address: of tcp without its port.
void free_url(transport, char url[URL_SIZE]);

// Starts a listener and writes the URL with its real port.
void start_listener(nng_socket, transport, char url[URL_SIZE]);

// A connection to a listener; a listener, and a connection that it accepts.
int raw_connect(const char *url);
int raw_listen(transport, char url[URL_SIZE]);
int raw_accept(int listener);

// Ends the stream and breaks the connection: a FIN, and a reset after it.
void raw_end_and_reset(int fd);
void raw_reset(int fd);

// False: the connection is at its end. A read waits for PATIENCE_S at most.
bool raw_write(int fd, const void *, size_t);
bool raw_read(int fd, void *, size_t);
bool raw_shake(int fd);
bool raw_send(int fd, transport, const char *text);
// The next message must be this one.
bool raw_expect(int fd, transport, const char *text);

// Sends to a socket of NNG through a new peer, which gets in once the one
// before it has been given up.
void expect_next_peer(nng_socket, transport, const char *url);

// One thread waits at it until another opens it, or has already.
typedef struct {
  int fds[2];
} gate;

void gate_init(gate *);
void gate_open(const gate *);
void gate_wait(const gate *);

// For a thread of the program's, before it calls NNG: what its calls make has
// to belong to an engine, where there is one. The main thread has done it.
void use_engine(void);

// Stops NNG's poller thread, and lets it go on.
void hold_poller(void);
void release_poller(void);

#endif  // NNG_PAIR_TEST_FAULT_H
