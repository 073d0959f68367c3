// A connection, as the files of this folder see it: conn.c moves its bytes,
// conn_open.c makes it, conn_options.c answers for it.

#ifndef NNG_PAIR_STREAM_CONN_IMPL_H
#define NNG_PAIR_STREAM_CONN_IMPL_H

#include <errno.h>

#include "../engine/engine_impl.h"
#include "conn.h"
#include "platform/posix/posix_ipc.h"
#include "platform/posix/posix_tcp.h"

typedef struct conn {
  // What NNG's dialers and listeners see of us. Of these only stream,
  // dial_aio and dialer are used; the rest of the state is below.
  union {
    nng_stream stream;
    nni_tcp_conn tcp;
    nni_ipc_conn ipc;
  } base;
  nni_sockaddr sa;  // ipc: the path, which both ends have in common
  engine *engine;
  nni_posix_pfd *pfd;
  nni_list readq;  // what NNG has submitted
  nni_list writeq;
  const nng_pair_conn_user *user;
  void *user_arg;

  nni_list_node pending;  // in the engine's list of those to be seen to
  bool ipc;
  bool readable;    // as far as is known
  bool drained;     // it was seen to be empty since the poller knows it
  bool hung_up;     // there is an end to be read behind the last bytes
  bool read_later;  // the user is called when others have had their turn
  bool blocked;     // the kernel takes no more until it says so
  bool finished;    // nothing more will be written: we half-closed it
  bool closed;      // by us
  int read_error;   // the end of the incoming bytes, for good
  int write_error;  // nothing more can be written: the connection broke
  uint64_t bytes_read;
  uint64_t bytes_sent;
  nni_reap_node reap;
} conn;

static inline int conn_errno(int err) {
  int rv = nni_plat_errno(err);

  return (rv == NNG_ECLOSED ? NNG_ECONNSHUT : rv);
}

// conn.c: what a stream does, but for its options.
extern void conn_init_stream(conn *);
// conn.c: what the poller calls when the descriptor is ready.
extern void conn_ready(nni_posix_pfd *, unsigned events, void *arg);
// conn_options.c
extern int conn_get(void *, const char *name, void *buf, size_t *szp, nni_type);
extern int conn_set(void *, const char *name, const void *buf, size_t sz,
                    nni_type);

#endif  // NNG_PAIR_STREAM_CONN_IMPL_H
