#include "tcp_flags.h"

static int set_flag(tcp_flags *f, bool *flag, const void *buf, size_t sz,
                    nni_type t) {
  bool on;
  const int rv = nni_copyin_bool(&on, buf, sz, t);

  if (rv == 0 && f != NULL) {
    nni_mtx_lock(&f->mtx);
    *flag = on;
    nni_mtx_unlock(&f->mtx);
  }
  return rv;
}

int tcp_flags_set_no_delay(void *arg, const void *buf, size_t sz, nni_type t) {
  tcp_flags *f = arg;

  return set_flag(f, f != NULL ? &f->no_delay : NULL, buf, sz, t);
}

int tcp_flags_set_keep_alive(void *arg, const void *buf, size_t sz,
                             nni_type t) {
  tcp_flags *f = arg;

  return set_flag(f, f != NULL ? &f->keep_alive : NULL, buf, sz, t);
}

int tcp_flags_get_no_delay(void *arg, void *buf, size_t *szp, nni_type t) {
  const tcp_flags *f = arg;

  return nni_copyout_bool(f->no_delay, buf, szp, t);
}

int tcp_flags_get_keep_alive(void *arg, void *buf, size_t *szp, nni_type t) {
  const tcp_flags *f = arg;

  return nni_copyout_bool(f->keep_alive, buf, szp, t);
}
