// What a connection has of the system: a descriptor that the engine watches.

#ifndef NNG_PAIR_STREAM_POSIX_CONN_SYSTEM_H
#define NNG_PAIR_STREAM_POSIX_CONN_SYSTEM_H

#include <errno.h>
#include <stdbool.h>

#include "platform/posix/posix_ipc.h"
#include "platform/posix/posix_tcp.h"

// What NNG's dialers and listeners see of a connection. Of these only stream,
// dial_aio and dialer are used.
typedef union conn_base {
  nng_stream stream;
  nni_tcp_conn tcp;
  nni_ipc_conn ipc;
} conn_base;

typedef struct conn_system {
  nni_posix_pfd *pfd;
  bool drained;  // it was seen to be empty since the poller knows it
  bool hung_up;  // there is an end to be read behind the last bytes
} conn_system;

static inline bool conn_system_is_open(const conn_system *s) {
  return s->pfd != NULL;
}

static inline int conn_errno(int err) {
  const int rv = nni_plat_errno(err);

  return rv == NNG_ECLOSED ? NNG_ECONNSHUT : rv;
}

#endif  // NNG_PAIR_STREAM_POSIX_CONN_SYSTEM_H
