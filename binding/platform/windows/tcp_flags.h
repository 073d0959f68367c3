// The options that a dialer and a listener over tcp have in common. Each has
// these flags as its first member, so it is what NNG hands to the functions.

#ifndef NNG_PAIR_WINDOWS_TCP_FLAGS_H
#define NNG_PAIR_WINDOWS_TCP_FLAGS_H

#include "core/nng_impl.h"

typedef struct tcp_flags {
  nni_mtx mtx;  // the dialer's, or the listener's
  bool no_delay;
  bool keep_alive;
} tcp_flags;

// As in nni_option. With nobody to be set for (NULL), the value is checked.
extern int tcp_flags_get_no_delay(void *, void *buf, size_t *szp, nni_type);
extern int tcp_flags_set_no_delay(void *, const void *buf, size_t sz, nni_type);
extern int tcp_flags_get_keep_alive(void *, void *buf, size_t *szp, nni_type);
extern int tcp_flags_set_keep_alive(void *, const void *buf, size_t sz,
                                    nni_type);

#endif  // NNG_PAIR_WINDOWS_TCP_FLAGS_H
