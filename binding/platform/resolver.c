// Name resolution, in place of posix_resolv_gai.c.
//
// A numeric host is parsed on the spot. A name may take as long as the system
// likes, and nothing ends a getaddrinfo that hangs. So each lookup has a thread
// of its own, up to MAX_THREADS of them: it is made on demand and ends when
// there is nothing left to look up, and nobody ever waits for it.
//
// Ownership. A lookup belongs to its thread, with copies of its own of whatever
// getaddrinfo reads. The operation that asked for it is only referred to, until
// it is cancelled or about to be completed: whoever takes it out of the lookup,
// under the mutex, completes it. So a thread whose operation was cancelled
// touches nothing of NNG's when it comes back, however late, and may be in
// getaddrinfo still when the process exits.
//
// The mutex is a leaf (lock.h): nothing of NNG's that takes a lock is called
// under it. A thread belongs to no engine, and holds no engine's lock while it
// looks a name up; it takes that of the operation's engine to complete it,
// which the operation holds until then.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../engine/lock.h"
#include "core/nng_impl.h"
#include "os_net.h"

// The most threads. Beyond that, a name waits for the first of the others. Most
// programs have a handful of names; but one that gives up on a name and tries
// it again leaves a thread behind each time, for as long as getaddrinfo hangs.
#define MAX_THREADS 128

// What a name service may be expected to get by with; the default is less with
// musl and on macOS.
#define MIN_STACK ((size_t)1024 * 1024)

typedef struct lookup {
  struct lookup *next;  // in the queue
  bool queued;
  nni_aio *aio;  // whose it is; NULL: nobody's any more
  nng_sockaddr *first;
  struct addrinfo hints;
  char *host;
  char *service;
} lookup;

// What came of it: the addresses in the order in which they are to be tried.
typedef struct {
  int rv;
  nng_sockaddr *addresses;
  size_t count;
} result;

static struct {
  os_mutex mutex;
  lookup *queue;  // while all threads are busy
  unsigned threads;
} resolver = {.mutex = OS_MUTEX_INIT};

static int to_nng_error(int rv) {
  switch (rv) {
    case 0:
      return 0;
    case EAI_AGAIN:
      return NNG_EAGAIN;
    case EAI_MEMORY:
      return NNG_ENOMEM;
#if defined(EAI_SYSTEM)
    case EAI_SYSTEM:
      return nni_plat_errno(errno);
#endif
    case EAI_BADFLAGS:
      return NNG_EINVAL;
    case EAI_FAMILY:
    case EAI_SOCKTYPE:
      return NNG_ENOTSUP;
    default:
      // There is no such host, or none that this machine could reach.
      return NNG_EADDRINVAL;
  }
}

// Whether getaddrinfo, told to take numbers only, says that it is none.
static bool is_name(int rv) {
#if defined(EAI_NODATA)
  if (rv == EAI_NODATA) {
    return true;
  }
#endif
  return rv == EAI_NONAME;
}

static bool is_usable(const struct addrinfo *a) {
  return a->ai_family == AF_INET || a->ai_family == AF_INET6;
}

// The next address of this family, from `a` on.
static const struct addrinfo *of_family(const struct addrinfo *a, int family) {
  while (a != NULL && a->ai_family != family) {
    a = a->ai_next;
  }
  return a;
}

static const struct addrinfo *add(result *r, const struct addrinfo *a) {
  nng_sockaddr *to = &r->addresses[r->count++];

#if defined(_WIN32)
  (void)nni_win_sockaddr2nn(to, (const SOCKADDR_STORAGE *)a->ai_addr);
#else
  (void)nni_posix_sockaddr2nn(to, a->ai_addr, a->ai_addrlen);
#endif
  return of_family(a->ai_next, a->ai_family);
}

// The system's order, but the families take turns: where one leads nowhere,
// the other should not have to wait for all of it (RFC 8305, section 4).
static void collect(result *r, const struct addrinfo *found) {
  const struct addrinfo *lead = NULL;
  const struct addrinfo *other;
  size_t count = 0;

  for (const struct addrinfo *a = found; a != NULL; a = a->ai_next) {
    if (is_usable(a)) {
      lead = lead != NULL ? lead : a;
      count++;
    }
  }
  if (lead == NULL) {
    r->rv = NNG_EADDRINVAL;
    return;
  }
  if ((r->addresses = nni_zalloc(count * sizeof(*r->addresses))) == NULL) {
    r->rv = NNG_ENOMEM;
    return;
  }
  other = of_family(found, lead->ai_family == AF_INET ? AF_INET6 : AF_INET);
  while (lead != NULL || other != NULL) {
    if (lead != NULL) {
      lead = add(r, lead);
    }
    if (other != NULL) {
      other = add(r, other);
    }
  }
}

static result look_up(const lookup *l) {
  struct addrinfo *found = NULL;
  result r = {0, NULL, 0};

  r.rv = to_nng_error(getaddrinfo(l->host, l->service, &l->hints, &found));
  if (r.rv == 0) {
    collect(&r, found);
    freeaddrinfo(found);
  }
  return r;
}

// For whoever has taken the operation out of its lookup.
static void complete(nni_aio *aio, nng_sockaddr *first, bool all, result r) {
  if (r.rv == 0) {
    *first = r.addresses[0];
    if (all) {
      nni_aio_set_output(aio, 0, r.addresses);
    } else {
      nni_free(r.addresses, r.count * sizeof(*r.addresses));
      r.count = 1;
    }
  }
  nni_aio_finish(aio, r.rv, r.count);
}

static void free_lookup(lookup *l) {
  nni_strfree(l->host);
  nni_strfree(l->service);
  free(l);
}

static void serve(lookup *l) {
  const result r = look_up(l);
  nni_aio *aio;

  leaf_lock(&resolver.mutex);
  if ((aio = l->aio) != NULL) {
    nni_aio_set_prov_extra(aio, 0, NULL);
  }
  leaf_unlock(&resolver.mutex);
  if (aio != NULL) {
    complete(aio, l->first, (l->hints.ai_flags & AI_PASSIVE) == 0, r);
  } else if (r.addresses != NULL) {
    nni_free(r.addresses, r.count * sizeof(*r.addresses));
  }
  free_lookup(l);
}

static void thread_main(void *arg) {
  lookup *l = arg;

  nni_plat_thr_set_name(NULL, "nng:resolver");
  while (l != NULL) {
    serve(l);
    leaf_lock(&resolver.mutex);
    if ((l = resolver.queue) != NULL) {
      resolver.queue = l->next;
      l->queued = false;
    } else {
      resolver.threads--;
    }
    leaf_unlock(&resolver.mutex);
  }
}

// Where it stands in the queue; of NULL, the end.
static lookup **place_of(const lookup *l) {
  lookup **at = &resolver.queue;

  while (*at != l) {
    at = &(*at)->next;
  }
  return at;
}

static void cancel(nni_aio *aio, void *arg, int rv) {
  lookup *l = arg;

  leaf_lock(&resolver.mutex);
  // Unless it has been completed meanwhile: then there is no lookup any more.
  if (l != nni_aio_get_prov_extra(aio, 0)) {
    leaf_unlock(&resolver.mutex);
    return;
  }
  nni_aio_set_prov_extra(aio, 0, NULL);
  l->aio = NULL;
  if (l->queued) {
    *place_of(l) = l->next;
  } else {
    l = NULL;  // its thread frees it, or whoever is about to submit it
  }
  leaf_unlock(&resolver.mutex);
  if (l != NULL) {
    free_lookup(l);
  }
  nni_aio_finish_error(aio, rv);
}

// Under the mutex: behind all others.
static void enqueue(lookup *l) {
  lookup **end = place_of(NULL);

  *end = l;
  l->next = NULL;
  l->queued = true;
}

// Hands a lookup, which may have been cancelled already, to a thread.
static void submit(lookup *l) {
  nni_aio *aio;
  bool start = false;

  leaf_lock(&resolver.mutex);
  aio = l->aio;
  if (aio != NULL && resolver.threads == MAX_THREADS) {
    enqueue(l);
  } else if (aio != NULL) {
    start = true;
    resolver.threads++;
  }
  leaf_unlock(&resolver.mutex);
  if (aio == NULL) {
    free_lookup(l);
  }
  if (!start || os_start_detached(thread_main, l, MIN_STACK)) {
    return;
  }
  leaf_lock(&resolver.mutex);
  resolver.threads--;
  if ((aio = l->aio) != NULL) {
    nni_aio_set_prov_extra(aio, 0, NULL);
  }
  leaf_unlock(&resolver.mutex);
  free_lookup(l);
  if (aio != NULL) {
    nni_aio_finish_error(aio, NNG_ENOMEM);
  }
}

static lookup *make_lookup(const char *host, const char *service,
                           const struct addrinfo *hints) {
  lookup *l = calloc(1, sizeof(*l));

  if (l == NULL) {
    return NULL;
  }
  l->hints = *hints;
  l->host = nni_strdup(host);
  l->service = service != NULL ? nni_strdup(service) : NULL;
  if (l->host == NULL || (service != NULL && l->service == NULL)) {
    free_lookup(l);
    return NULL;
  }
  return l;
}

static void start(lookup *l, nng_sockaddr *first, nni_aio *aio) {
  int rv;

  l->first = first;
  l->aio = aio;
  leaf_lock(&resolver.mutex);
  nni_aio_set_prov_extra(aio, 0, l);
  leaf_unlock(&resolver.mutex);
  // From here on it may be cancelled; it is freed by submit then.
  if ((rv = nni_aio_schedule(aio, cancel, l)) == 0) {
    submit(l);
    return;
  }
  nni_aio_set_prov_extra(aio, 0, NULL);
  free_lookup(l);
  nni_aio_finish_error(aio, rv);
}

// A number that is none of a port's.
static bool is_out_of_range(const char *service) {
  char *end;
  const long port = strtol(service, &end, 10);

  return *end == '\0' && (port < 0 || port > 0xffff);
}

static bool to_system_family(int family, int *out) {
  switch (family) {
    case NNG_AF_UNSPEC:
      *out = AF_UNSPEC;
      return true;
    case NNG_AF_INET:
      *out = AF_INET;
      return true;
    case NNG_AF_INET6:
      *out = AF_INET6;
      return true;
    default:
      return false;
  }
}

// See core/platform.h. A name that is to be connected to may have any number of
// addresses: the operation's output 0 is the list of them, in the order in
// which they are to be tried, and its count says how many; whoever asked frees
// it (nni_free).
void nni_resolv_ip(const char *host, const char *service, int family,
                   bool passive, nng_sockaddr *first, nni_aio *aio) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                           .ai_flags = passive ? AI_PASSIVE : 0};
  struct addrinfo *found = NULL;
  result r = {0, NULL, 0};
  lookup *l;
  int rv;

  if (nni_aio_begin(aio) != 0) {
    return;
  }
  if (service != NULL && *service == '\0') {
    service = NULL;
  }
  if (!to_system_family(family, &hints.ai_family)) {
    nni_aio_finish_error(aio, NNG_ENOTSUP);
    return;
  }
  if (service != NULL && is_out_of_range(service)) {
    nni_aio_finish_error(aio, NNG_EADDRINVAL);
    return;
  }

  // This asks nobody, and does not block.
  hints.ai_flags |= AI_NUMERICHOST | AI_NUMERICSERV;
  rv = getaddrinfo(host, service, &hints, &found);
  if (rv == 0) {
    collect(&r, found);
    freeaddrinfo(found);
    complete(aio, first, !passive, r);
    return;
  }
  if (host == NULL || !is_name(rv)) {
    nni_aio_finish_error(aio, to_nng_error(rv));
    return;
  }

  // Of no use are addresses of a family that this machine does not have.
  hints.ai_flags = passive ? AI_PASSIVE : AI_ADDRCONFIG;
  if ((l = make_lookup(host, service, &hints)) == NULL) {
    nni_aio_finish_error(aio, NNG_ENOMEM);
    return;
  }
  start(l, first, aio);
}
