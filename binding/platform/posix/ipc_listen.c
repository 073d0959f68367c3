// The ipc listener, in place of NNG's posix_ipclisten.c, which deletes
// whatever file is in its way and, between bind and listen, takes a rival's
// live socket for a dead one. How it takes its path: ipc_bind.c.
//
// The file is removed on close if it is still ours (same device and inode),
// and also when the process exits without closing: process.exit() runs no
// cleanup in Node's main thread.
//
// Ownership: the transport's endpoint owns the listener and calls close, then
// free. The mutex guards the struct; completing an accept dispatches it.

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../engine/lock.h"
#include "core/nng_impl.h"
#include "ipc_bind.h"
#include "platform/posix/posix_ipc.h"

#ifndef SOCK_CLOEXEC
#define SOCK_CLOEXEC 0
#endif

typedef struct ipc_listener ipc_listener;
struct ipc_listener {
  nng_stream_listener sl;
  nni_posix_pfd *pfd;
  nng_sockaddr sa;
  nni_list acceptq;
  bool started;
  bool closed;
  bool abstract;  // Linux: a name without a file
  dev_t dev;      // the file that is ours to remove
  ino_t ino;
  char *file;  // its absolute path; NULL: as in sa
  int mode;
  nni_mtx mtx;
  ipc_listener *next_owner;   // ipc_owners_mtx
  ipc_listener **owner_link;  // what points at us; NULL if we own no file
  pid_t owner_pid;
};

// The listeners that own a file. The mutex is a leaf (lock.h).
static pthread_mutex_t ipc_owners_mtx = PTHREAD_MUTEX_INITIALIZER;
static ipc_listener *ipc_owners;

static void ipc_own_file(ipc_listener *l, const struct stat *st) {
  l->dev = st->st_dev;
  l->ino = st->st_ino;
  // The working directory may be another one by the time it is removed.
  l->file = realpath(l->sa.s_ipc.sa_path, NULL);
  l->owner_pid = getpid();
  leaf_lock(&ipc_owners_mtx);
  if ((l->next_owner = ipc_owners) != NULL) {
    ipc_owners->owner_link = &l->next_owner;
  }
  l->owner_link = &ipc_owners;
  ipc_owners = l;
  leaf_unlock(&ipc_owners_mtx);
}

static void ipc_unlink(const ipc_listener *l) {
  const char *file = l->file != NULL ? l->file : l->sa.s_ipc.sa_path;
  struct stat st;

  if ((lstat(file, &st) == 0) && (st.st_dev == l->dev) &&
      (st.st_ino == l->ino)) {
    (void)unlink(file);
  }
}

static void ipc_remove_own_file(ipc_listener *l) {
  leaf_lock(&ipc_owners_mtx);
  if (l->owner_link != NULL) {
    if ((*l->owner_link = l->next_owner) != NULL) {
      l->next_owner->owner_link = l->owner_link;
    }
    l->owner_link = NULL;
    ipc_unlink(l);
  }
  leaf_unlock(&ipc_owners_mtx);
}

// A forked child that exits must not take its parent's files along.
__attribute__((destructor)) static void ipc_remove_files_at_exit(void) {
  leaf_lock(&ipc_owners_mtx);
  for (const ipc_listener *l = ipc_owners; l != NULL; l = l->next_owner) {
    if (l->owner_pid == getpid()) {
      ipc_unlink(l);
    }
  }
  leaf_unlock(&ipc_owners_mtx);
}

static void ipc_listener_close(void *arg) {
  ipc_listener *l = arg;
  nni_aio *aio;

  nni_mtx_lock(&l->mtx);
  if (!l->closed) {
    l->closed = true;
    while ((aio = nni_list_first(&l->acceptq)) != NULL) {
      nni_aio_list_remove(aio);
      nni_aio_finish_error(aio, NNG_ECLOSED);
    }
    ipc_remove_own_file(l);
    if (l->pfd != NULL) {
      nni_posix_pfd_close(l->pfd);
    }
  }
  nni_mtx_unlock(&l->mtx);
}

static void ipc_listener_free(void *arg) {
  ipc_listener *l = arg;

  ipc_listener_close(l);
  ipc_remove_own_file(l);
  if (l->pfd != NULL) {
    nni_posix_pfd_fini(l->pfd);
  }
  nni_mtx_fini(&l->mtx);
  free(l->file);
  NNI_FREE_STRUCT(l);
}

// Accepting.

static int ipc_accept_one(ipc_listener *l, nni_ipc_conn **cp) {
  nni_posix_pfd *pfd;
  nni_ipc_conn *c;
  int fd;
  int rv;

#if defined(__linux__)
  fd = accept4(nni_posix_pfd_fd(l->pfd), NULL, NULL, SOCK_CLOEXEC);
#else
  fd = accept(nni_posix_pfd_fd(l->pfd), NULL, NULL);
#endif
  if (fd < 0) {
    return ((errno == EAGAIN) || (errno == EWOULDBLOCK)
                ? NNG_EAGAIN
                : nni_plat_errno(errno));
  }
  if ((rv = nni_posix_ipc_alloc(&c, &l->sa, NULL)) != 0) {
    (void)close(fd);
    return (rv);
  }
  if ((rv = nni_posix_pfd_init(&pfd, fd)) != 0) {
    (void)close(fd);
    nng_stream_free(&c->stream);
    return (rv);
  }
  nni_posix_ipc_init(c, pfd);
  nni_posix_ipc_start(c);
  *cp = c;
  return (0);
}

static void ipc_listener_doaccept(ipc_listener *l) {
  nni_aio *aio;
  nni_ipc_conn *c = NULL;
  int rv;

  while ((aio = nni_list_first(&l->acceptq)) != NULL) {
    rv = ipc_accept_one(l, &c);
    if ((rv == NNG_EAGAIN) &&
        ((rv = nni_posix_pfd_arm(l->pfd, NNI_POLL_IN)) == 0)) {
      return;
    }
    if ((rv == NNG_ECONNABORTED) || (rv == NNG_ECONNRESET) ||
        (rv == NNG_EINTR)) {
      continue;  // that client is gone, the next may not be
    }
    nni_aio_list_remove(aio);
    if (rv != 0) {
      nni_aio_finish_error(aio, rv);
    } else {
      nni_aio_set_output(aio, 0, c);
      nni_aio_finish(aio, 0, 0);
    }
  }
}

static void ipc_listener_cb(nni_posix_pfd *pfd, unsigned events, void *arg) {
  ipc_listener *l = arg;

  NNI_ARG_UNUSED(pfd);
  NNI_ARG_UNUSED(events);  // accept itself says what is the matter
  nni_mtx_lock(&l->mtx);
  if (!l->closed) {
    ipc_listener_doaccept(l);
  }
  nni_mtx_unlock(&l->mtx);
}

static void ipc_listener_cancel(nni_aio *aio, void *arg, int rv) {
  ipc_listener *l = arg;

  nni_mtx_lock(&l->mtx);
  if (nni_aio_list_active(aio)) {
    nni_aio_list_remove(aio);
    nni_aio_finish_error(aio, rv);
  }
  nni_mtx_unlock(&l->mtx);
}

static void ipc_listener_accept(void *arg, nni_aio *aio) {
  ipc_listener *l = arg;
  int rv;

  if (nni_aio_begin(aio) != 0) {
    nni_task_dispatch(&aio->a_task);  // as in conn.c
    return;
  }
  nni_mtx_lock(&l->mtx);
  if (l->closed || (!l->started)) {
    rv = l->closed ? NNG_ECLOSED : NNG_ESTATE;
  } else {
    rv = nni_aio_schedule(aio, ipc_listener_cancel, l);
  }
  if (rv != 0) {
    nni_mtx_unlock(&l->mtx);
    nni_aio_finish_error(aio, rv);
    return;
  }
  nni_aio_list_append(&l->acceptq, aio);
  if (nni_list_first(&l->acceptq) == aio) {
    ipc_listener_doaccept(l);
  }
  nni_mtx_unlock(&l->mtx);
}

// Listening.

static int ipc_bind_path(ipc_listener *l, int fd) {
  struct stat st;
  int rv;

  rv = ipc_bind(fd, l->sa.s_ipc.sa_path, l->mode, &st);
  if (rv == 0) {
    ipc_own_file(l, &st);
  }
  return (rv);
}

static int ipc_bind_abstract(ipc_listener *l, int fd) {
  struct sockaddr_storage ss;
  socklen_t len;

  len = (socklen_t)nni_posix_nn2sockaddr(&ss, &l->sa);
  if (len < sizeof(sa_family_t)) {
    return (NNG_EADDRINVAL);
  }
  if ((bind(fd, (struct sockaddr *)&ss, len) != 0) ||
      (listen(fd, IPC_BACKLOG) != 0)) {
    return (nni_plat_errno(errno));
  }
  return (0);
}

static int ipc_listener_listen(void *arg) {
  ipc_listener *l = arg;
  nni_posix_pfd *pfd;
  lock_state held;
  int fd;
  int rv;

  nni_mtx_lock(&l->mtx);
  if (l->started || l->closed) {
    nni_mtx_unlock(&l->mtx);
    return (l->closed ? NNG_ECLOSED : NNG_ESTATE);
  }
  if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0) {
    nni_mtx_unlock(&l->mtx);
    return (nni_plat_errno(errno));
  }
  // This waits for other processes; the listener is nobody else's yet.
  held = lock_suspend();
  rv = l->abstract ? ipc_bind_abstract(l, fd) : ipc_bind_path(l, fd);
  lock_resume(held);
  if (rv == 0 && l->closed) {
    rv = NNG_ECLOSED;  // meanwhile
    ipc_remove_own_file(l);
  }
  if (rv != 0) {
    nni_mtx_unlock(&l->mtx);
    (void)close(fd);
    return (rv);
  }
  l->started = true;
  if ((rv = nni_posix_pfd_init(&pfd, fd)) != 0) {
    ipc_remove_own_file(l);
    l->started = false;
    nni_mtx_unlock(&l->mtx);
    (void)close(fd);
    return (rv);
  }
  nni_posix_pfd_set_cb(pfd, ipc_listener_cb, l);
  l->pfd = pfd;
  nni_mtx_unlock(&l->mtx);
  return (0);
}

// Options.

static int ipc_listener_get_addr(void *arg, void *buf, size_t *szp,
                                 nni_type t) {
  ipc_listener *l = arg;

  return (nni_copyout_sockaddr(&l->sa, buf, szp, t));
}

static int ipc_listener_set_perms(void *arg, const void *buf, size_t sz,
                                  nni_type t) {
  ipc_listener *l = arg;
  int mode;
  int rv;

  if ((rv = nni_copyin_int(&mode, buf, sz, 0, 07777, t)) != 0) {
    return (rv);
  }
  nni_mtx_lock(&l->mtx);
  if (l->started) {
    rv = NNG_EBUSY;
  } else {
    l->mode = mode;
  }
  nni_mtx_unlock(&l->mtx);
  return (rv);
}

static const nni_option ipc_listener_options[] = {
    {.o_name = NNG_OPT_LOCADDR, .o_get = ipc_listener_get_addr},
    {.o_name = NNG_OPT_IPC_PERMISSIONS, .o_set = ipc_listener_set_perms},
    {.o_name = NULL},
};

static int ipc_listener_get(void *arg, const char *name, void *buf, size_t *szp,
                            nni_type t) {
  return (nni_getopt(ipc_listener_options, name, arg, buf, szp, t));
}

static int ipc_listener_set(void *arg, const char *name, const void *buf,
                            size_t sz, nni_type t) {
  return (nni_setopt(ipc_listener_options, name, arg, buf, sz, t));
}

static int ipc_listener_set_address(ipc_listener *l, const nng_url *url) {
  size_t len;

  if ((strcmp(url->u_scheme, "ipc") == 0) ||
      (strcmp(url->u_scheme, "unix") == 0)) {
    len = (url->u_path == NULL) ? 0 : strlen(url->u_path);
    if ((len == 0) || (len >= NNG_MAXADDRLEN)) {
      return (NNG_EADDRINVAL);
    }
    l->sa.s_ipc.sa_family = NNG_AF_IPC;
    (void)nni_strlcpy(l->sa.s_ipc.sa_path, url->u_path, NNG_MAXADDRLEN);
    return (0);
  }
#ifdef NNG_HAVE_ABSTRACT_SOCKETS
  if (strcmp(url->u_scheme, "abstract") == 0) {
    len = nni_url_decode(l->sa.s_abstract.sa_name, url->u_path,
                         sizeof(l->sa.s_abstract.sa_name));
    if (len == (size_t)-1) {
      return (NNG_EADDRINVAL);
    }
    l->sa.s_abstract.sa_family = NNG_AF_ABSTRACT;
    l->sa.s_abstract.sa_len = (uint16_t)len;
    l->abstract = true;
    return (0);
  }
#endif
  return (NNG_EADDRINVAL);
}

int nni_ipc_listener_alloc(nng_stream_listener **lp, const nng_url *url) {
  ipc_listener *l;
  int rv;

  if ((l = NNI_ALLOC_STRUCT(l)) == NULL) {
    return (NNG_ENOMEM);
  }
  if ((rv = ipc_listener_set_address(l, url)) != 0) {
    NNI_FREE_STRUCT(l);
    return (rv);
  }
  nni_mtx_init(&l->mtx);
  nni_aio_list_init(&l->acceptq);
  l->mode = IPC_ANY_MODE;
  l->sl.sl_free = ipc_listener_free;
  l->sl.sl_close = ipc_listener_close;
  l->sl.sl_listen = ipc_listener_listen;
  l->sl.sl_accept = ipc_listener_accept;
  l->sl.sl_get = ipc_listener_get;
  l->sl.sl_set = ipc_listener_set;

  *lp = &l->sl;
  return (0);
}
