// pair0's source as part of a program, so that it can make a callback of a
// pipe late: as late as the system may, when there is much to do.

#ifndef NNG_PAIR_TEST_LATE_PAIR0_H
#define NNG_PAIR_TEST_LATE_PAIR0_H

#define nng_pair0_open own_pair0_open
#define nng_pair0_open_raw own_pair0_open_raw
#include "sp/protocol/pair0/pair.c"
#undef nng_pair0_open
#undef nng_pair0_open_raw

#include <sched.h>
#include <string.h>

#include "fault.h"

static struct {
  void (*callback)(void *);
  gate begins;
  gate may_run;
  gate has_run;
} late;

static void run_late(void *arg) {
  gate_open(&late.begins);
  gate_wait(&late.may_run);
  late.callback(arg);
  gate_open(&late.has_run);
}

// The next callback of this aio waits; later ones are not affected.
static void make_late(nni_aio *aio) {
  gate_init(&late.begins);
  gate_init(&late.may_run);
  gate_init(&late.has_run);
  late.callback = aio->a_task.task_cb;
  aio->a_task.task_cb = run_late;
}

static pair0_sock *inside(nng_socket sock) {
  nni_sock *ns;

  OK(nni_sock_find(&ns, sock.id));
  nni_sock_rele(ns);
  return (nni_sock_proto_data(ns));
}

// Its pipe, once it has one, or NULL, once it has none.
static pair0_pipe *wait_for_pipe(pair0_sock *s, bool wanted) {
  pair0_pipe *p;

  for (;;) {
    nni_mtx_lock(&s->mtx);
    p = s->p;
    nni_mtx_unlock(&s->mtx);
    if ((p != NULL) == wanted) {
      return (p);
    }
    (void)sched_yield();
  }
}

#endif  // NNG_PAIR_TEST_LATE_PAIR0_H
