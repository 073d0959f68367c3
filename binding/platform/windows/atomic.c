// NNG's atomic variables, in place of parts of win_thread.c. All of them are
// full barriers: none is used where that would count.

#include "core/nng_impl.h"

bool nni_atomic_flag_test_and_set(nni_atomic_flag *f) {
  return InterlockedExchange((volatile LONG *)&f->f, 1) != 0;
}

void nni_atomic_flag_reset(nni_atomic_flag *f) {
  (void)InterlockedExchange((volatile LONG *)&f->f, 0);
}

void nni_atomic_init_bool(nni_atomic_bool *v) {
  (void)InterlockedExchange(&v->v, 0);
}

void nni_atomic_set_bool(nni_atomic_bool *v, bool b) {
  (void)InterlockedExchange(&v->v, b);
}

bool nni_atomic_get_bool(nni_atomic_bool *v) {
  return InterlockedExchangeAdd(&v->v, 0) != 0;
}

bool nni_atomic_swap_bool(nni_atomic_bool *v, bool b) {
  return InterlockedExchange(&v->v, b) != 0;
}

void nni_atomic_init64(nni_atomic_u64 *v) {
  (void)InterlockedExchange64(&v->v, 0);
}

void nni_atomic_add64(nni_atomic_u64 *v, uint64_t bump) {
  (void)InterlockedExchangeAdd64(&v->v, (LONGLONG)bump);
}

void nni_atomic_sub64(nni_atomic_u64 *v, uint64_t bump) {
  (void)InterlockedExchangeAdd64(&v->v, -(LONGLONG)bump);
}

uint64_t nni_atomic_get64(nni_atomic_u64 *v) {
  return (uint64_t)InterlockedExchangeAdd64(&v->v, 0);
}

void nni_atomic_set64(nni_atomic_u64 *v, uint64_t u) {
  (void)InterlockedExchange64(&v->v, (LONGLONG)u);
}

uint64_t nni_atomic_swap64(nni_atomic_u64 *v, uint64_t u) {
  return (uint64_t)InterlockedExchange64(&v->v, (LONGLONG)u);
}

void nni_atomic_inc64(nni_atomic_u64 *v) {
  (void)InterlockedIncrement64(&v->v);
}

uint64_t nni_atomic_dec64_nv(nni_atomic_u64 *v) {
  return (uint64_t)InterlockedDecrement64(&v->v);
}

bool nni_atomic_cas64(nni_atomic_u64 *v, uint64_t comp, uint64_t new) {
  return InterlockedCompareExchange64(&v->v, (LONGLONG) new, (LONGLONG)comp) ==
         (LONGLONG)comp;
}

void nni_atomic_init(nni_atomic_int *v) { (void)InterlockedExchange(&v->v, 0); }

void nni_atomic_add(nni_atomic_int *v, int bump) {
  (void)InterlockedExchangeAdd(&v->v, bump);
}

void nni_atomic_sub(nni_atomic_int *v, int bump) {
  (void)InterlockedExchangeAdd(&v->v, -bump);
}

int nni_atomic_get(nni_atomic_int *v) {
  return InterlockedExchangeAdd(&v->v, 0);
}

void nni_atomic_set(nni_atomic_int *v, int i) {
  (void)InterlockedExchange(&v->v, i);
}

int nni_atomic_swap(nni_atomic_int *v, int i) {
  return InterlockedExchange(&v->v, i);
}

int nni_atomic_dec_nv(nni_atomic_int *v) { return InterlockedDecrement(&v->v); }

void nni_atomic_dec(nni_atomic_int *v) { (void)InterlockedDecrement(&v->v); }

void nni_atomic_inc(nni_atomic_int *v) { (void)InterlockedIncrement(&v->v); }

bool nni_atomic_cas(nni_atomic_int *v, int comp, int new) {
  return InterlockedCompareExchange(&v->v, new, comp) == comp;
}
