// The ipc listener, in place of NNG's posix_ipclisten.c, which deletes
// whatever file is in its way and, between bind and listen, takes a rival's
// live socket for a dead one.
//
// A socket that is bound but does not listen yet never stands at the path:
// it is bound and made to listen under a private name in the same folder,
// then moved to its place. That happens under an advisory lock on the folder
// (it leaves no file behind and goes with the process that held it), so of
// several listeners that find a dead socket exactly one replaces it, and no
// one ever replaces a live one. Any other kind of file is left alone.
//
// The file is removed on close if it is still ours (same device and inode),
// and also when the process exits without closing: process.exit() runs no
// cleanup in Node's main thread.
//
// Ownership: the transport's endpoint owns the listener and calls close, then
// free. The mutex guards the struct; completing an accept dispatches it.

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/nng_impl.h"
#include "lock.h"
#include "platform/posix/posix_ipc.h"

#ifndef SOCK_CLOEXEC
#define SOCK_CLOEXEC 0
#endif

// How long to wait for another process that holds the folder's lock, and
// between two looks at a socket that seems dead (NNG's own listeners bind
// first and listen a moment later).
#define LOCK_TRIES 400
#define LOCK_PAUSE_MS 5
#define PROBE_PAUSE_MS 20

// Over ipc a connection that finds no place here is refused at once: a flood
// should not keep others out. The system has its own limit.
#define BACKLOG 4096

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
  mode_t perms;
  bool has_perms;
  nni_mtx mtx;
  ipc_listener *next_owner;   // ipc_owners_mtx
  ipc_listener **owner_link;  // what points at us; NULL if we own no file
  pid_t owner_pid;
};

// The listeners that own a file. Their mutex is taken after a listener's.
static pthread_mutex_t ipc_owners_mtx = PTHREAD_MUTEX_INITIALIZER;
static ipc_listener *ipc_owners;

static void ipc_own_file(ipc_listener *l, const struct stat *st) {
  l->dev = st->st_dev;
  l->ino = st->st_ino;
  // The working directory may be another one by the time it is removed.
  l->file = realpath(l->sa.s_ipc.sa_path, NULL);
  l->owner_pid = getpid();
  (void)pthread_mutex_lock(&ipc_owners_mtx);
  if ((l->next_owner = ipc_owners) != NULL) {
    ipc_owners->owner_link = &l->next_owner;
  }
  l->owner_link = &ipc_owners;
  ipc_owners = l;
  (void)pthread_mutex_unlock(&ipc_owners_mtx);
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
  (void)pthread_mutex_lock(&ipc_owners_mtx);
  if (l->owner_link != NULL) {
    if ((*l->owner_link = l->next_owner) != NULL) {
      l->next_owner->owner_link = l->owner_link;
    }
    l->owner_link = NULL;
    ipc_unlink(l);
  }
  (void)pthread_mutex_unlock(&ipc_owners_mtx);
}

// A forked child that exits must not take its parent's files along.
__attribute__((destructor)) static void ipc_remove_files_at_exit(void) {
  (void)pthread_mutex_lock(&ipc_owners_mtx);
  for (const ipc_listener *l = ipc_owners; l != NULL; l = l->next_owner) {
    if (l->owner_pid == getpid()) {
      ipc_unlink(l);
    }
  }
  (void)pthread_mutex_unlock(&ipc_owners_mtx);
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

// Taking the path.

static int ipc_fill_sockaddr(struct sockaddr_un *sun, const char *path) {
  memset(sun, 0, sizeof(*sun));
  sun->sun_family = AF_UNIX;
  if (nni_strlcpy(sun->sun_path, path, sizeof(sun->sun_path)) >=
      sizeof(sun->sun_path)) {
    return (NNG_EADDRINVAL);
  }
  return (0);
}

static int ipc_lock_folder(const char *path, int *fdp) {
  char folder[NNG_MAXADDRLEN];
  char *slash;
  int fd;

  (void)nni_strlcpy(folder, path, sizeof(folder));
  if ((slash = strrchr(folder, '/')) == NULL) {
    (void)nni_strlcpy(folder, ".", sizeof(folder));
  } else if (slash == folder) {
    folder[1] = '\0';
  } else {
    *slash = '\0';
  }
  if ((fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
    return (nni_plat_errno(errno));
  }
  for (int i = 0; i < LOCK_TRIES; i++) {
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
      *fdp = fd;
      return (0);
    }
    if ((errno != EWOULDBLOCK) && (errno != EINTR)) {
      break;
    }
    nni_msleep(LOCK_PAUSE_MS);
  }
  (void)close(fd);
  return (NNG_EBUSY);
}

#if defined(__linux__)
// Whether the kernel knows a listening socket by this name. Asking it does
// not disturb the listener, as a connection would (fault B: NNG's own
// listener does not survive a visitor who leaves at once).
static bool ipc_kernel_says_live(const char *path) {
  char line[512];
  unsigned long flags;
  int at;
  bool live = false;
  FILE *f;

  if ((f = fopen("/proc/net/unix", "re")) == NULL) {
    return (false);
  }
  while ((!live) && (fgets(line, sizeof(line), f) != NULL)) {
    line[strcspn(line, "\n")] = '\0';
    at = 0;
    // Num: RefCount Protocol Flags Type St Inode Path
    if ((sscanf(line, "%*x: %*x %*x %lx %*x %*x %*u %n", &flags, &at) == 1) &&
        (at > 0)) {
      live = ((flags & 0x10000ul) != 0) &&  // accepts
             (strcmp(line + at, path) == 0);
    }
  }
  (void)fclose(f);
  return (live);
}
#endif

static bool ipc_answers(const char *path) {
  struct sockaddr_un sun;
  int fd;
  bool live = true;

  if ((ipc_fill_sockaddr(&sun, path) != 0) ||
      ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)) {
    return (true);  // cannot tell: leave it alone
  }
  (void)fcntl(fd, F_SETFL, O_NONBLOCK);
  if ((connect(fd, (struct sockaddr *)&sun, sizeof(sun)) != 0) &&
      (errno == ECONNREFUSED)) {
    live = false;
  }
  (void)close(fd);
  return (live);
}

static bool ipc_is_live(const char *path) {
#if defined(__linux__)
  if (ipc_kernel_says_live(path)) {
    return (true);
  }
#endif
  return (ipc_answers(path));
}

// Whether what stands at the path is the socket file of a dead listener.
static bool ipc_is_stale(const char *path) {
  struct stat st;

  if ((lstat(path, &st) != 0) || (!S_ISSOCK(st.st_mode)) || ipc_is_live(path)) {
    return (false);
  }
  nni_msleep(PROBE_PAUSE_MS);
  return (!ipc_is_live(path));
}

// Moves our listening socket to its place. The folder is locked.
static int ipc_take_path(const char *private_path, const char *path) {
  struct stat st;

  if (lstat(path, &st) == 0) {
    if (!ipc_is_stale(path)) {
      return (NNG_EADDRINUSE);
    }
    if (rename(private_path, path) != 0) {
      return (nni_plat_errno(errno));
    }
    return (0);
  }
  // A link fails if somebody who knows nothing of our lock came first.
  if (link(private_path, path) == 0) {
    (void)unlink(private_path);
    return (0);
  }
  if (errno == EEXIST) {
    return (NNG_EADDRINUSE);
  }
  // Not every file system has links to sockets.
  if (rename(private_path, path) != 0) {
    return (nni_plat_errno(errno));
  }
  return (0);
}

// The private name is made short, since a socket's path is limited: it
// replaces the last part of the path, and is never longer than 17 bytes more
// than the folder.
static int ipc_private_path(const char *path, char *buf, size_t size) {
  const char *slash = strrchr(path, '/');
  int folder = (slash == NULL) ? 0 : (int)(slash - path) + 1;

  if ((size_t)snprintf(buf, size, "%.*s.nng%08x%04x", folder, path,
                       nni_random(), nni_random() & 0xffffu) >= size) {
    return (NNG_EADDRINVAL);
  }
  return (0);
}

static int ipc_bind_private(int fd, int folder, const char *private_path) {
  struct sockaddr_un sun;

  if (ipc_fill_sockaddr(&sun, private_path) != 0) {
#if defined(__linux__)
    // The path fits, the private name does not: go by the folder itself.
    (void)snprintf(sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d/%s",
                   folder, strrchr(private_path, '/') + 1);
#else
    NNI_ARG_UNUSED(folder);
    return (NNG_EADDRINVAL);
#endif
  }
  return (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0
              ? 0
              : nni_plat_errno(errno));
}

static int ipc_bind_path(ipc_listener *l, int fd) {
  const char *path = l->sa.s_ipc.sa_path;
  char private_path[NNG_MAXADDRLEN];
  struct sockaddr_un sun;
  struct stat st = {0};
  int lock = -1;
  int rv;

  if (((rv = ipc_fill_sockaddr(&sun, path)) != 0) ||
      ((rv = ipc_private_path(path, private_path, sizeof(private_path))) !=
       0) ||
      ((rv = ipc_lock_folder(path, &lock)) != 0)) {
    return (rv);
  }
  if ((rv = ipc_bind_private(fd, lock, private_path)) != 0) {
    (void)close(lock);
    return (rv);
  }
  if ((l->has_perms && (chmod(private_path, l->perms) != 0)) ||
      (listen(fd, BACKLOG) != 0) || (lstat(private_path, &st) != 0)) {
    rv = nni_plat_errno(errno);
  } else {
    rv = ipc_take_path(private_path, path);
  }
  if (rv != 0) {
    (void)unlink(private_path);
  } else {
    ipc_own_file(l, &st);
  }
  (void)close(lock);  // gives the lock up
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
      (listen(fd, BACKLOG) != 0)) {
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
    l->perms = (mode_t)mode;
    l->has_perms = true;
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
  l->sl.sl_free = ipc_listener_free;
  l->sl.sl_close = ipc_listener_close;
  l->sl.sl_listen = ipc_listener_listen;
  l->sl.sl_accept = ipc_listener_accept;
  l->sl.sl_get = ipc_listener_get;
  l->sl.sl_set = ipc_listener_set;

  *lp = &l->sl;
  return (0);
}
