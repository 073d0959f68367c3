// The connection under NNG's tcp and ipc transports, in place of NNG's own
// ones: one implementation for both, and for all systems but for what
// conn_impl.h lists.
//
// What it promises, beyond NNG's own:
//
//  - Every operation that is submitted completes, exactly once, with a
//    callback, also when its aio is already closed or stopped (NNG drops such
//    an operation, and whoever waits for it waits for ever).
//  - The peer's doing is never reported as NNG_ECLOSED, which a listener
//    takes for its own end.
//  - Bytes that have reached this side's kernel are delivered before the
//    error that followed them, also when it is a write that finds out.
//
// It is used in two ways. NNG submits operations, as to any stream: for the
// handshake. Once somebody has attached himself (conn.h), he moves the bytes,
// and the receive that NNG has submitted waits for the end.
//
// Ownership: the transport's pipe owns the connection and calls close, then
// free, once. free hands it to NNG's reaper thread, which closes the
// descriptor. Everything is guarded by the engine's lock (lock.h).

#include "conn.h"

#include <stdbool.h>
#include <string.h>

#include "conn_impl.h"

// Both sides send this much before anything else: the SP header.
#define SP_HEADER_SIZE 8

// As in an aio (deps/patches/0023).
#define MAX_IOV 3

static bool conn_shaken(const conn *c) {
  return c->bytes_read >= SP_HEADER_SIZE && c->bytes_sent >= SP_HEADER_SIZE;
}

// The peer has hung up. In the handshake that is a reset, after which the
// listener goes on at once, without a pause.
static int conn_hangup(const conn *c) {
  return (conn_shaken(c) ? NNG_ECONNSHUT : NNG_ECONNRESET);
}

// Something is to be done before the loop sleeps.
static void conn_make_pending(conn *c) {
  if (!c->closed && !nni_list_node_active(&c->pending)) {
    nni_list_append(&c->engine->pending, c);
    engine_wake(c->engine);
  }
}

static void conn_fail_list(nni_list *list, int rv) {
  nni_aio *aio;

  while ((aio = nni_list_first(list)) != NULL) {
    nni_aio_list_remove(aio);
    nni_aio_finish_error(aio, rv);
  }
}

// The incoming bytes have ended, and with them the connection, as far as NNG
// is concerned. The first reason is the reason.
static void conn_end(conn *c, int rv) {
  // Whoever meets a reset first, here a write, is told of it; to the others it
  // looks like a mere end.
  if (rv == NNG_ECONNSHUT && c->write_error != 0) {
    rv = c->write_error;
  }
  if (c->read_error == 0) {
    c->read_error = rv;
  }
  if (c->write_error == 0) {
    c->write_error = rv;
  }
  conn_fail_list(&c->readq, c->read_error);
  conn_fail_list(&c->writeq, c->write_error);
}

// A write has failed. The peer may have left messages behind, so the end comes
// when they have been read: by the user, or by one that is still to come, once
// the handshake is over.
static void conn_write_failed(conn *c, int rv) {
  c->write_error = rv;
  c->readable = true;
  if (c->user != NULL) {
    c->read_later = true;
    conn_make_pending(c);
  } else if (conn_shaken(c)) {
    conn_end(c, rv);
  }
}

// The bytes.

size_t nng_pair_conn_read(nng_stream *s, const struct iovec *iov, int count,
                          size_t total) {
  conn *c = (conn *)s;
  size_t n = 0;
  int rv;

  if (!nng_pair_conn_readable(s)) {
    return 0;
  }
  rv = conn_io_read(c, iov, count, total, &n);
  if (n > 0) {
    c->bytes_read += n;
    c->engine->moved += n;
    engine_received(c->engine);
  } else if (rv == 0) {
    // The peer may have closed its sending side only, and still reads.
    if (c->user != NULL) {
      c->user->on_writable(c->user_arg);
    }
    conn_end(c, conn_hangup(c));
  } else if (rv != NNG_EAGAIN) {
    conn_end(c, rv);
  } else if (c->write_error != 0) {
    // Nothing more can come to a connection that broke.
    conn_end(c, c->write_error);
  }
  return n;
}

size_t nng_pair_conn_write(nng_stream *s, struct iovec *iov, int count,
                           size_t total) {
  conn *c = (conn *)s;
  size_t n = 0;
  int rv;

  if (!nng_pair_conn_writable(s)) {
    return 0;
  }
  rv = conn_io_write(c, iov, count, total, &n);
  if (rv != 0) {
    conn_write_failed(c, rv == NNG_ECLOSED ? conn_hangup(c) : rv);
    return 0;
  }
  c->bytes_sent += n;
  c->engine->moved += n;
  if (c->blocked) {
    conn_make_pending(c);
  }
  return n;
}

// What NNG has submitted: the handshake, and then one receive for the end.

// The non-empty parts of an aio's vector; returns how many, and their sum.
static int conn_iov(nni_aio *aio, struct iovec *iov, size_t *sum) {
  unsigned count;
  nni_iov *from;
  int n = 0;

  *sum = 0;
  nni_aio_get_iov(aio, &count, &from);
  for (unsigned i = 0; i < count && n < MAX_IOV; i++) {
    if (from[i].iov_len > 0) {
      iov[n].iov_base = from[i].iov_buf;
      iov[n++].iov_len = from[i].iov_len;
      *sum += from[i].iov_len;
    }
  }
  return n;
}

static void conn_complete(nni_aio *aio, int rv, size_t n) {
  nni_aio_list_remove(aio);
  nni_aio_finish(aio, rv, n);
}

// NNG goes on with what a short read or write has left.

static void conn_read(conn *c) {
  struct iovec iov[MAX_IOV];
  nni_aio *aio;
  size_t want;
  size_t n;

  if (c->user != NULL) {
    c->user->on_readable(c->user_arg);
    return;
  }
  while ((aio = nni_list_first(&c->readq)) != NULL) {
    const int count = conn_iov(aio, iov, &want);

    if (count == 0) {
      conn_complete(aio, NNG_EINVAL, 0);
    } else if (c->read_error != 0) {
      conn_complete(aio, c->read_error, 0);
    } else if (!c->readable) {
      return;
    } else if ((n = nng_pair_conn_read(&c->base.stream, iov, count, want)) >
               0) {
      conn_complete(aio, 0, n);
    }
  }
}

static void conn_write(conn *c) {
  struct iovec iov[MAX_IOV];
  nni_aio *aio;
  size_t sum;
  size_t n;

  if (c->user != NULL) {
    c->user->on_writable(c->user_arg);
    return;
  }
  while ((aio = nni_list_first(&c->writeq)) != NULL) {
    const int count = conn_iov(aio, iov, &sum);

    if (count == 0) {
      conn_complete(aio, NNG_EINVAL, 0);
    } else if (c->write_error != 0 && c->read_error == 0 && !conn_shaken(c)) {
      c->bytes_sent += sum;
      conn_complete(aio, 0, sum);
    } else if (c->write_error != 0 || c->finished) {
      conn_complete(aio, c->write_error != 0 ? c->write_error : NNG_ECONNSHUT,
                    0);
    } else if ((n = nng_pair_conn_write(&c->base.stream, iov, count, sum)) >
               0) {
      conn_complete(aio, 0, n);
    } else if (c->blocked) {
      return;
    }
  }
}

// Asks the system for what is still wanted.
static void conn_arm(conn *c) {
  int rv;

  if (!c->closed && conn_system_is_open(&c->system) &&
      (rv = conn_io_arm(c)) != 0) {
    conn_end(c, rv);
  }
}

void engine_pending_init(engine *e) {
  NNI_LIST_INIT(&e->pending, conn, pending);
}

void engine_serve_pending(engine *e) {
  nni_list later;
  conn *c;

  NNI_LIST_INIT(&later, conn, pending);
  while ((c = nni_list_first(&e->pending)) != NULL) {
    nni_list_remove(&e->pending, c);
    if (c->read_later && e->moved < TURN_BYTES) {
      c->read_later = false;
      conn_read(c);
    }
    conn_write(c);
    conn_arm(c);
    // It has had its share of this turn, and goes on in the next one.
    if (c->read_later && e->moved >= TURN_BYTES) {
      nni_list_node_remove(&c->pending);
      nni_list_append(&later, c);
    }
  }
  while ((c = nni_list_first(&later)) != NULL) {
    nni_list_remove(&later, c);
    nni_list_append(&e->pending, c);
  }
}

void conn_ready(conn *c, bool readable, bool writable) {
  if (readable) {
    c->engine->recent = c;
    c->readable = true;
    conn_read(c);
  }
  if (writable && c->blocked) {
    c->blocked = false;
    conn_write(c);
  }
  conn_arm(c);
}

void engine_read_recent(engine *e) {
  conn *c = e->recent;
  const size_t moved = e->moved;

  if (c == NULL || c->readable || nni_list_empty(&c->readq)) {
    return;
  }
  c->readable = true;
  conn_read(c);
  conn_arm(c);
  // It was another one: do not look in vain again.
  if (e->moved == moved && e->recent == c) {
    e->recent = NULL;
  }
}

static void conn_cancel(nni_aio *aio, void *arg, int rv) {
  conn *c = arg;

  lock_acquire(c->engine->lock);
  if (nni_aio_list_active(aio)) {
    conn_complete(aio, rv, 0);
  }
  lock_release(c->engine->lock);
}

// Submits an operation of NNG's to one of the two lists.
static bool conn_submit(conn *c, nni_list *list, nni_aio *aio) {
  int rv;

  if (nni_aio_begin(aio) != 0) {
    // The aio is closed and its result says so (NNG_ECANCELED). Its callback
    // runs all the same: the transport has operations of its own that wait
    // for this one.
    nni_task_dispatch(&aio->a_task);
    return false;
  }
  if (c->closed) {
    nni_aio_finish_error(aio, NNG_ECLOSED);
    return false;
  }
  if ((rv = nni_aio_schedule(aio, conn_cancel, c)) != 0) {
    nni_aio_finish_error(aio, rv);
    return false;
  }
  nni_aio_list_append(list, aio);
  return true;
}

static void conn_send(void *arg, nni_aio *aio) {
  conn *c = arg;

  lock_acquire(c->engine->lock);
  if (conn_submit(c, &c->writeq, aio)) {
    if (!conn_shaken(c)) {
      // Where both ends are of this engine, each has the other's header in the
      // same turn, so neither is connected before the other knows of it.
      conn_make_pending(c);
    } else if (!c->blocked) {
      conn_write(c);
      conn_arm(c);
    }
  }
  lock_release(c->engine->lock);
}

static void conn_recv(void *arg, nni_aio *aio) {
  conn *c = arg;

  lock_acquire(c->engine->lock);
  if (conn_submit(c, &c->readq, aio)) {
    if (c->read_error != 0) {
      conn_fail_list(&c->readq, c->read_error);
    } else {
      conn_read(c);
      conn_arm(c);
    }
  }
  lock_release(c->engine->lock);
}

static void conn_close(void *arg) {
  conn *c = arg;

  lock_acquire(c->engine->lock);
  if (!c->closed) {
    if (conn_system_is_open(&c->system)) {
      conn_write(c);
    }
    c->closed = true;
    c->read_later = false;
    nni_list_node_remove(&c->pending);
    if (c->engine->recent == c) {
      c->engine->recent = NULL;
    }
    conn_fail_list(&c->readq, NNG_ECLOSED);
    conn_fail_list(&c->writeq, NNG_ECLOSED);
    if (conn_system_is_open(&c->system)) {
      conn_io_close(c);
    }
  }
  lock_release(c->engine->lock);
}

static void conn_reap(void *arg) {
  conn *c = arg;

  conn_close(c);
  conn_io_free(c);
  engine_drop(c->engine);
  NNI_FREE_STRUCT(c);
}

static nni_reap_list conn_reap_list = {
    .rl_offset = offsetof(conn, reap),
    .rl_func = conn_reap,
};

static void conn_free(void *arg) {
  conn *c = arg;

  nni_reap(&conn_reap_list, c);
}

conn *conn_alloc(bool ipc) {
  conn *c;

  if ((c = NNI_ALLOC_STRUCT(c)) == NULL) {
    return NULL;
  }
  c->base.stream.s_free = conn_free;
  c->base.stream.s_close = conn_close;
  c->base.stream.s_send = conn_send;
  c->base.stream.s_recv = conn_recv;
  c->base.stream.s_get = conn_get;
  c->base.stream.s_set = conn_set;
  c->ipc = ipc;
  c->engine = engine_current();
  engine_hold(c->engine);
  c->readable = true;
  NNI_LIST_NODE_INIT(&c->pending);
  nni_aio_list_init(&c->readq);
  nni_aio_list_init(&c->writeq);
  return c;
}

// What conn.h offers beyond nng_stream.

void nng_pair_conn_attach(nng_stream *s, const nng_pair_conn_user *user,
                          void *arg) {
  conn *c = (conn *)s;

  c->user = user;
  c->user_arg = arg;
}

void nng_pair_conn_detach(nng_stream *s) { ((conn *)s)->user = NULL; }

bool nng_pair_conn_is_ipc(const nng_stream *s) {
  return ((const conn *)s)->ipc;
}

bool nng_pair_conn_readable(const nng_stream *s) {
  const conn *c = (const conn *)s;

  return c->readable && !c->closed && c->read_error == 0;
}

void nng_pair_conn_fail(nng_stream *s, int error) {
  conn_end((conn *)s, error);
}

bool nng_pair_conn_turn_is_over(const nng_stream *s) {
  return ((const conn *)s)->engine->moved >= TURN_BYTES;
}

void nng_pair_conn_count(nng_stream *s, size_t messages) {
  ((conn *)s)->engine->moved += messages * MESSAGE_COST;
}

void nng_pair_conn_read_later(nng_stream *s) {
  conn *c = (conn *)s;

  if (!c->closed) {
    c->read_later = true;
    conn_make_pending(c);
  }
}

bool nng_pair_conn_writable(const nng_stream *s) {
  const conn *c = (const conn *)s;

  return !c->blocked && !c->finished && !c->closed && c->write_error == 0;
}

size_t nng_pair_conn_in_flight(const nng_stream *s) {
  return conn_io_in_flight((const conn *)s);
}

void nng_pair_conn_write_later(nng_stream *s) { conn_make_pending((conn *)s); }

void nng_pair_conn_set_limits(nng_stream *s,
                              const nng_pair_conn_limits *limits) {
  conn *c = (conn *)s;

  if (!c->closed && !c->ipc) {
    conn_set_limits(c, limits);
  }
}

int nng_pair_conn_finish(nng_stream *s) {
  conn *c = (conn *)s;

  if (c->closed) {
    return NNG_ECLOSED;
  }
  if (c->write_error == 0 && !c->finished) {
    c->finished = true;
    return conn_io_finish(c);
  }
  return 0;
}

int nng_pair_conn_progress(nng_stream *s, int *unacked, uint64_t *received) {
  conn *c = (conn *)s;

  *unacked = 0;
  *received = c->bytes_read;
  if (c->closed) {
    return NNG_ECLOSED;
  }
  return conn_io_progress(c, unacked, received);
}
