// Taking a path for an ipc listener.
//
// What is promised, whoever else wants the path at the same time:
// - no file is removed or replaced but the socket file of a dead listener;
// - of any number of listeners exactly one has the path in the end;
// - the file's mode is at no time wider than what was asked for;
// - on Linux, the kernel knows the socket by the path as it was asked for.
//
// Among ourselves a lock (ipc_lock.h) sees to that. Without it, what is said
// here of files that are moved aside still holds, but a process that was left
// behind for longer than the pauses below may meet another's. Listeners of
// other implementations know nothing of it. NNG's, nanomsg's and mangos'
// connect to a socket file that is in their way, and delete it if they are
// refused, as they are by a socket that is bound and does not listen yet. So
// whoever may connect must never find one at the path, and there are three
// ways:
//
// - The usual one on Linux binds at the path, in a mode that lets nobody
//   connect. Others are then denied access, rather than refused, until the
//   socket listens and the file gets its mode.
// - Root is denied nothing. So where root listens, a thread of its own goes to
//   a private folder, makes that its root directory, where the path leads to a
//   place that nobody else can see, and binds and listens there. Only then is
//   the file moved. (The kernel keeps the name that was given to bind().)
// - Otherwise the socket is bound under a private name in the same folder, by
//   which the kernel knows it for ever, and is moved when it listens.

#include "ipc_bind.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/nng_impl.h"
#include "ipc_lock.h"

#ifndef SOCK_CLOEXEC
#define SOCK_CLOEXEC 0
#endif

// How long others may take from finding a dead socket to deleting its file,
// (NNG's own listeners) from binding to listening, and (ours, without a lock)
// from moving a file aside to moving it back.
#define RIVAL_PAUSE_MS 20

// The mode of a file whose socket does not listen yet. The bit that means
// nothing tells it from other files that nobody may open: under the folder's
// lock, such a file is that of a process which died in the middle of this.
#define CLOSED_MODE S_ISVTX

// The path is name in the folder, which is locked while the place is open.
typedef struct {
  const char *path;
  const char *name;
  int folder;
  ipc_lock lock;
  struct sockaddr_un sun;
} place;

// Four random bytes and two more: not longer than any file system allows.
typedef char private_name[17];

static void make_private_name(private_name name) {
  (void)snprintf(name, sizeof(private_name), ".nng%08x%04x", nni_random(),
                 nni_random() & 0xffffu);
}

static int fill_sockaddr(struct sockaddr_un *sun, const char *path) {
  memset(sun, 0, sizeof(*sun));
  sun->sun_family = AF_UNIX;
  if (nni_strlcpy(sun->sun_path, path, sizeof(sun->sun_path)) >=
      sizeof(sun->sun_path)) {
    return NNG_EADDRINVAL;
  }
  return 0;
}

static int bind_to(int fd, const struct sockaddr_un *sun) {
  return bind(fd, (const struct sockaddr *)sun, sizeof(*sun)) == 0
             ? 0
             : nni_plat_errno(errno);
}

static bool same_file(const struct stat *a, const struct stat *b) {
  return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static void place_close(place *p) {
  ipc_unlock_folder(&p->lock);
  (void)close(p->folder);
}

static int place_open(place *p, const char *path) {
  char folder[sizeof(p->sun.sun_path)];
  const char *slash = strrchr(path, '/');
  int rv;

  if ((rv = fill_sockaddr(&p->sun, path)) != 0) {
    return rv;
  }
  p->path = path;
  p->name = slash == NULL ? path : slash + 1;
  (void)nni_strlcpy(folder, path, sizeof(folder));
  if (slash == NULL) {
    (void)nni_strlcpy(folder, ".", sizeof(folder));
  } else {
    folder[slash == path ? 1 : slash - path] = '\0';
  }
  if ((p->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
    return nni_plat_errno(errno);
  }
  if ((rv = ipc_lock_folder(&p->lock, p->folder)) != 0) {
    place_close(p);
  }
  return rv;
}

static int place_stat(const place *p, const char *name, struct stat *st) {
  return fstatat(p->folder, name, st, AT_SYMLINK_NOFOLLOW) == 0
             ? 0
             : nni_plat_errno(errno);
}

// Where nothing is, the file may have been moved aside for a moment. Nobody
// does that under the lock.
static int place_look(const place *p, struct stat *st) {
  int rv = place_stat(p, p->name, st);

  if (rv == NNG_ENOENT && !ipc_lock_held(&p->lock)) {
    nni_msleep(RIVAL_PAUSE_MS);
    rv = place_stat(p, p->name, st);
  }
  return rv;
}

static bool place_holds(const place *p, const struct stat *own) {
  struct stat st;

  return place_look(p, &st) == 0 && same_file(&st, own);
}

// Moves a file of ours to the path, unless something is there.
static int place_take(const place *p, int from, const char *name) {
  if (linkat(from, name, p->folder, p->name, 0) == 0) {
    (void)unlinkat(from, name, 0);
    return 0;
  }
  if (errno == EEXIST) {
    return NNG_EADDRINUSE;
  }
  // Not every file system has links to sockets.
  return renameat(from, name, p->folder, p->name) == 0 ? 0
                                                       : nni_plat_errno(errno);
}

// Dead listeners.

// What comes of connecting to the path by a socket of that type.
static int try_connect(const place *p, int type) {
  int error = 0;
  int fd;

  if ((fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0)) < 0) {
    return errno;
  }
  (void)fcntl(fd, F_SETFL, O_NONBLOCK);
  if (connect(fd, (const struct sockaddr *)&p->sun, sizeof(p->sun)) != 0) {
    error = errno;
  }
  (void)close(fd);
  return error;
}

// Whether nobody is behind the socket file. If in doubt it is left alone.
#if defined(__linux__)
static bool is_dead(const place *p, const struct stat *st) {
  // To a socket of the wrong type the kernel says whether there is a socket,
  // also one that does not listen yet, and disturbs nobody. (NNG's own
  // listener does not survive a visitor who leaves at once.)
  switch (try_connect(p, SOCK_DGRAM)) {
    case ECONNREFUSED:
      return true;
    case EACCES:
      return ipc_lock_held(&p->lock) && st->st_uid == geteuid() &&
             (st->st_mode & 07777) == CLOSED_MODE;
    default:
      return false;
  }
}
#else
static bool is_dead(const place *p, const struct stat *st) {
  NNI_ARG_UNUSED(st);
  if (try_connect(p, SOCK_STREAM) != ECONNREFUSED) {
    return false;
  }
  nni_msleep(RIVAL_PAUSE_MS);  // it may be about to listen
  return try_connect(p, SOCK_STREAM) == ECONNREFUSED;
}
#endif

// Removes the dead listener's file that *st tells of. By now the path may lead
// to another one: so it is first moved to where nobody else looks, and back.
static int place_remove(const place *p, const struct stat *st) {
  private_name aside;
  struct stat moved;

  make_private_name(aside);
  if (renameat(p->folder, p->name, p->folder, aside) != 0) {
    if (errno != ENOENT) {
      return nni_plat_errno(errno);
    }
    return place_look(p, &moved) == NNG_ENOENT ? 0 : NNG_EADDRINUSE;
  }
  if (place_stat(p, aside, &moved) == 0 && same_file(&moved, st)) {
    (void)unlinkat(p->folder, aside, 0);
    return 0;
  }
  (void)place_take(p, p->folder, aside);
  return NNG_EADDRINUSE;
}

// What is at the path. On Linux *file keeps it, or is negative: until it is
// closed, no other file gets the same number.
static int place_hold(const place *p, struct stat *st, int *file) {
  int rv = place_look(p, st);

  *file = -1;
#if defined(__linux__)
  if (rv == 0) {
    *file = openat(p->folder, p->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    rv = *file >= 0 && fstat(*file, st) == 0 ? 0 : nni_plat_errno(errno);
  }
#endif
  return rv;
}

// Makes the path free if a dead listener's file is there, and says so in
// *cleared; whatever else is in the way is an error.
static int place_clear(const place *p, bool *cleared) {
  struct stat st = {0};
  int file;
  int rv;

  *cleared = false;
  if ((rv = place_hold(p, &st, &file)) != 0) {
    rv = rv == NNG_ENOENT ? 0 : rv;
  } else if (!S_ISSOCK(st.st_mode) || !is_dead(p, &st)) {
    rv = NNG_EADDRINUSE;
  } else {
    *cleared = true;
    rv = place_remove(p, &st);
  }
  if (file >= 0) {
    (void)close(file);
  }
  return rv;
}

// The ways.

// The private name replaces the last part of the path, and may make it too
// long for a socket's.
static int bind_private(const place *p, int fd, const char *name) {
  char path[NNG_MAXADDRLEN];
  struct sockaddr_un sun;

  if ((size_t)snprintf(path, sizeof(path), "%.*s%s", (int)(p->name - p->path),
                       p->path, name) >= sizeof(path)) {
    return NNG_EADDRINVAL;
  }
  if (fill_sockaddr(&sun, path) != 0) {
#if defined(__linux__)
    (void)snprintf(sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d/%s",
                   p->folder, name);
#else
    return NNG_EADDRINVAL;
#endif
  }
  return bind_to(fd, &sun);
}

static int bind_moved(const place *p, int fd, int mode, struct stat *own) {
  private_name name;
  int rv;

  make_private_name(name);
  if ((rv = bind_private(p, fd, name)) != 0) {
    return rv;
  }
  if ((mode != IPC_ANY_MODE &&
       fchmodat(p->folder, name, (mode_t)mode, 0) != 0) ||
      listen(fd, IPC_BACKLOG) != 0) {
    rv = nni_plat_errno(errno);
  } else if ((rv = place_stat(p, name, own)) == 0) {
    rv = place_take(p, p->folder, name);
  }
  if (rv != 0) {
    (void)unlinkat(p->folder, name, 0);
  }
  return rv;
}

#if defined(__linux__)

// Gives the file its mode if it is still the same one. Its name alone would
// not do: it may mean another file by now.
static int place_chmod(const place *p, const struct stat *own, int mode) {
  char self[sizeof("/proc/self/fd/-2147483648")];
  struct stat st = {0};
  int file;
  int rv;

  if ((rv = place_hold(p, &st, &file)) != 0) {
    rv = rv == NNG_ENOENT ? NNG_EADDRINUSE : rv;
  } else if (!same_file(&st, own)) {
    rv = NNG_EADDRINUSE;
  } else {
    (void)snprintf(self, sizeof(self), "/proc/self/fd/%d", file);
    rv = chmod(self, (mode_t)mode) == 0 ? 0 : nni_plat_errno(errno);
  }
  if (file >= 0) {
    (void)close(file);
  }
  return rv;
}

// The socket was made closed.
static int bind_closed(const place *p, int fd, int mode, struct stat *own) {
  int rv;

  if ((rv = bind_to(fd, &p->sun)) != 0) {
    return rv;
  }
  // Who is denied nothing may have replaced it already.
  if (place_look(p, own) != 0 || !S_ISSOCK(own->st_mode) ||
      own->st_uid != geteuid()) {
    return NNG_EADDRINUSE;
  }
  rv = listen(fd, IPC_BACKLOG) == 0 ? place_chmod(p, own, mode)
                                    : nni_plat_errno(errno);
  if (rv != 0 && place_holds(p, own)) {
    (void)unlinkat(p->folder, p->name, 0);
  }
  return rv;
}

// The thread that binds for root. It ends with what it was asked for; its
// root directory, working directory and umask are of no one else's concern.
typedef struct {
  const place *p;
  int fd;
  int mode;
  int room;  // the private folder
  struct stat *own;
  int rv;
} apart;

// In the private folder. Parents that are there already, such as "..", which
// leads nowhere from here, are as good as new ones.
static int apart_bind(const apart *a) {
  const char *path = a->p->path;
  char folder[sizeof(a->p->sun.sun_path)];
  char *slash;
  int rv;

  (void)nni_strlcpy(folder, path, sizeof(folder));
  for (slash = folder; (slash = strchr(slash, '/')) != NULL; slash++) {
    *slash = '\0';
    (void)mkdir(folder, S_IRWXU);
    *slash = '/';
  }
  if ((rv = bind_to(a->fd, &a->p->sun)) == 0) {
    if (chmod(path, (mode_t)a->mode) != 0 || lstat(path, a->own) != 0 ||
        listen(a->fd, IPC_BACKLOG) != 0) {
      rv = nni_plat_errno(errno);
    } else {
      rv = place_take(a->p, AT_FDCWD, path);
    }
    if (rv != 0) {
      (void)unlink(path);
    }
  }
  while ((slash = strrchr(folder, '/')) != NULL) {
    *slash = '\0';
    (void)rmdir(folder);
  }
  return rv;
}

static void apart_main(void *arg) {
  apart *a = arg;

  // Where this is not allowed nothing has happened yet.
  a->rv = unshare(CLONE_FS) == 0 && fchdir(a->room) == 0 && chroot(".") == 0
              ? apart_bind(a)
              : NNG_ENOTSUP;
}

// The socket was made closed. NNG_ENOTSUP: it can still be bound otherwise.
static int bind_apart(const place *p, int fd, int mode, struct stat *own) {
  apart a = {.p = p, .fd = fd, .mode = mode, .own = own, .rv = NNG_ENOTSUP};
  private_name name;
  nni_plat_thr thread;

  make_private_name(name);
  if (mkdirat(p->folder, name, S_IRWXU) != 0) {
    return nni_plat_errno(errno);
  }
  // No link, whoever else may write to the folder.
  a.room =
      openat(p->folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (a.room >= 0) {
    if (nni_plat_thr_init(&thread, apart_main, &a) == 0) {
      nni_plat_thr_fini(&thread);  // waits for it
    }
    (void)close(a.room);
  }
  (void)unlinkat(p->folder, name, AT_REMOVEDIR);
  return a.rv;
}

static int bind_somehow(const place *p, int fd, int mode, struct stat *own) {
  int rv = NNG_ENOTSUP;

  // The mode of an unbound socket, narrowed by the umask, becomes its file's.
  if (mode != IPC_ANY_MODE && fchmod(fd, CLOSED_MODE) == 0) {
    if (geteuid() == 0) {
      rv = bind_apart(p, fd, mode, own);
    } else if (access("/proc/self/fd", X_OK) == 0) {
      rv = bind_closed(p, fd, mode, own);
    }
  }
  return rv == NNG_ENOTSUP ? bind_moved(p, fd, mode, own) : rv;
}

#else

static int bind_somehow(const place *p, int fd, int mode, struct stat *own) {
  return bind_moved(p, fd, mode, own);
}

#endif

int ipc_bind(int fd, const char *path, int mode, struct stat *own) {
  place p;
  bool cleared;
  int rv;

  if ((rv = place_open(&p, path)) != 0) {
    return rv;
  }
  if ((rv = place_clear(&p, &cleared)) == 0 &&
      (rv = bind_somehow(&p, fd, mode, own)) == 0) {
    if (cleared) {
      // Others may have found the dead socket before us, and delete this one.
      nni_msleep(RIVAL_PAUSE_MS);
    }
    if (!place_holds(&p, own)) {
      rv = NNG_EADDRINUSE;
    }
  }
  place_close(&p);
  return rv;
}
