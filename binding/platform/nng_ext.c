#include "nng_ext.h"

#include "conn.h"
#include "core/nng_impl.h"
#include "core/sockimpl.h"

int nng_pair_dialer_start(nng_dialer dialer, nng_aio *aio) {
  nni_dialer *d;
  int rv;

  if ((rv = nni_dialer_find(&d, dialer.id)) != 0) {
    return (rv);
  }
  if (nni_atomic_flag_test_and_set(&d->d_started)) {
    nni_dialer_rele(d);
    return (NNG_ESTATE);
  }
  if ((rv = nni_aio_begin(aio)) != 0) {
    nni_atomic_flag_reset(&d->d_started);
    nni_dialer_rele(d);
    return (rv);
  }
  // As nni_dialer_start() does, but with the caller's aio.
  nni_mtx_lock(&d->d_mtx);
  d->d_user_aio = aio;
  d->d_ops.d_connect(d->d_data, &d->d_con_aio);
  nni_mtx_unlock(&d->d_mtx);
  nni_dialer_rele(d);
  return (0);
}

void nng_pair_resolve(const char *host, nng_sockaddr *sa, nng_aio *aio) {
  nni_resolv_ip(host, "0", NNG_AF_UNSPEC, true, sa, aio);
}

#if defined(NNG_PAIR_OWN_CONN)

// Holding the pipe keeps its connection, since it is freed after the pipe's
// last holder has let go.
static int pipe_conn(nng_pipe pipe, nni_pipe **pp, nng_stream **sp) {
  void *ptr;
  size_t size = sizeof(ptr);
  int rv;

  if ((rv = nni_pipe_find(pp, pipe.id)) != 0) {
    return (rv);
  }
  if ((rv = nni_pipe_getopt(*pp, NNG_PAIR_OPT_CONN, &ptr, &size,
                            NNI_TYPE_POINTER)) != 0) {
    nni_pipe_rele(*pp);
    return (rv);
  }
  *sp = ptr;
  return (0);
}

int nng_pair_pipe_conn(nng_pipe pipe, nng_stream **sp) {
  nni_pipe *p;
  int rv;

  if ((rv = pipe_conn(pipe, &p, sp)) == 0) {
    nni_pipe_rele(p);
  }
  return (rv);
}

int nng_pair_pipe_finish(nng_pipe pipe) {
  nni_pipe *p;
  nng_stream *s;
  int rv;

  if ((rv = pipe_conn(pipe, &p, &s)) == 0) {
    rv = nng_pair_conn_finish(s);
    nni_pipe_rele(p);
  }
  return (rv);
}

int nng_pair_pipe_progress(nng_pipe pipe, int *unacked, uint64_t *received) {
  nni_pipe *p;
  nng_stream *s;
  int rv;

  if ((rv = pipe_conn(pipe, &p, &s)) == 0) {
    rv = nng_pair_conn_progress(s, unacked, received);
    nni_pipe_rele(p);
  }
  return (rv);
}

#else

int nng_pair_pipe_conn(nng_pipe pipe, nng_stream **sp) {
  NNI_ARG_UNUSED(pipe);
  *sp = NULL;
  return (NNG_ENOTSUP);
}

int nng_pair_pipe_finish(nng_pipe pipe) {
  NNI_ARG_UNUSED(pipe);
  return (NNG_ENOTSUP);
}

int nng_pair_pipe_progress(nng_pipe pipe, int *unacked, uint64_t *received) {
  NNI_ARG_UNUSED(pipe);
  *unacked = 0;
  *received = 0;
  return (NNG_ENOTSUP);
}

#endif
