// A connection, as the files of this folder see it: conn.c is what a connection
// is to NNG and to its user. What differs between systems is in posix/ and
// windows/: conn_io.c moves its bytes, conn_open.c makes it, conn_options.c
// answers for it.

#ifndef NNG_PAIR_STREAM_CONN_IMPL_H
#define NNG_PAIR_STREAM_CONN_IMPL_H

#include "../engine/engine_impl.h"
#include "conn.h"
#if defined(_WIN32)
#include "windows/conn_system.h"
#else
#include "posix/conn_system.h"
#endif

typedef struct conn {
  conn_base base;   // what NNG sees of us; the stream is first
  nni_sockaddr sa;  // ipc: the path, which both ends have in common
  engine *engine;
  conn_system system;
  nni_list readq;  // what NNG has submitted
  nni_list writeq;
  const nng_pair_conn_user *user;
  void *user_arg;

  nni_list_node pending;  // in the engine's list of those to be seen to
  bool ipc;
  bool readable;    // as far as is known
  bool read_later;  // the user is called when others have had their turn
  bool blocked;     // the system takes no more until it says so
  bool finished;    // nothing more will be written: we half-closed it
  bool closed;      // by us
  int read_error;   // the end of the incoming bytes, for good
  int write_error;  // nothing more can be written: the connection broke
  uint64_t bytes_read;
  uint64_t bytes_sent;
  nni_reap_node reap;
} conn;

// conn.c: a new one, which has nothing of the system yet, or NULL. The stream's
// free ends it.
extern conn *conn_alloc(bool ipc);
// conn.c: there may be something to be read, or the system takes more again.
extern void conn_ready(conn *, bool readable, bool writable);

// conn_io.c.

// Reads once; *n is how much, and 0 at the end of what the peer sends.
// NNG_EAGAIN: nothing is there now. Makes the connection not readable if it is
// sure of being told when there is more.
extern int conn_io_read(conn *, const struct iovec *, int count, size_t total,
                        size_t *n);
// Writes once; *n is how much. Makes the connection blocked if that is less,
// and is sure of being told then. NNG_ECLOSED: the peer has hung up.
extern int conn_io_write(conn *, struct iovec *, int count, size_t total,
                         size_t *n);
// How much of what was not written may be all the same (conn.h).
extern size_t conn_io_in_flight(const conn *);
// Half closes, if this kind of connection can.
extern int conn_io_finish(conn *);
// How many bytes that were written the peer does not have yet, as far as is
// known: its system (tcp), or itself (a pipe of Windows).
// `received` has been read: it may be made less where that does not count.
extern int conn_io_progress(conn *, int *unacked, uint64_t *received);
// Asks to be told, by conn_ready, of what is wanted now.
extern int conn_io_arm(conn *);
// Hangs up, and the rest of it, later.
extern void conn_io_close(conn *);
extern void conn_io_free(conn *);
#if !defined(_WIN32)
// What the poller calls when the descriptor is ready.
extern void conn_io_event(nni_posix_pfd *, unsigned events, void *arg);
#endif

// conn_options.c
extern int conn_get(void *, const char *name, void *buf, size_t *szp, nni_type);
extern int conn_set(void *, const char *name, const void *buf, size_t sz,
                    nni_type);
extern void conn_set_limits(conn *, const nng_pair_conn_limits *);

// Where a system counts in whole seconds: never less than what was asked for,
// and 0 stays 0.
static inline int conn_seconds(int ms) {
  return ms / 1000 + (ms % 1000 != 0 ? 1 : 0);
}

#endif  // NNG_PAIR_STREAM_CONN_IMPL_H
