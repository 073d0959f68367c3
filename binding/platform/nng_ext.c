#include "nng_ext.h"

#include "../stream/conn.h"
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

int nng_pair_pipe_conn(nng_pipe pipe, nng_stream **sp) {
  nni_pipe *p;
  void *ptr;
  size_t size = sizeof(ptr);
  int rv;

  if ((rv = nni_pipe_find(&p, pipe.id)) != 0) {
    return (rv);
  }
  rv = nni_pipe_getopt(p, NNG_PAIR_OPT_CONN, &ptr, &size, NNI_TYPE_POINTER);
  nni_pipe_rele(p);
  *sp = rv == 0 ? ptr : NULL;
  return (rv);
}
