// What a connection has of the system: a handle that the completion port
// serves.

#ifndef NNG_PAIR_STREAM_WINDOWS_CONN_SYSTEM_H
#define NNG_PAIR_STREAM_WINDOWS_CONN_SYSTEM_H

#include <stdbool.h>

#include "../../platform/windows/io.h"

typedef struct conn_base {
  nng_stream stream;
} conn_base;

typedef struct conn_system {
  io *io;
  bool dialed;
  bool tells_unread;  // the system, how much of a pipe was not read (not wine)
  int read_error;     // of the operation that waits for something to be read
  int write_error;    // of an operation, which the next write is told
} conn_system;

static inline bool conn_system_is_open(const conn_system *s) {
  return s->io != NULL;
}

struct conn;

// conn_open.c: a connection on a handle, which it takes over if it succeeds.
extern int conn_open_tcp(io *, bool dialed, bool no_delay, bool keep_alive,
                         nng_stream **);
extern int conn_open_pipe(io *, bool dialed, const nng_sockaddr *,
                          nng_stream **);
// conn_io.c: what the port calls back.
extern void conn_io_readable(void *conn, DWORD error, size_t n);
extern void conn_io_written(void *conn, DWORD error, size_t n);
// conn_io.c: for a pipe to which nothing was written yet.
extern void conn_io_begin_pipe(struct conn *);

#endif  // NNG_PAIR_STREAM_WINDOWS_CONN_SYSTEM_H
