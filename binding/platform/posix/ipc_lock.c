// The lock under which listeners take their paths in a folder.
//
// Whoever can take a lock can also keep it, and so keep all others waiting. A
// lock on the folder itself is for everybody who may read the folder. So the
// lock is a file in the folder, which goes by who may write to the folder:
//
// - Usually the file can be opened by just those, and by nobody else. Who is
//   among them may disturb: they could as well remove the socket.
// - To a sticky folder, such as /tmp, everybody may write, but only the owner
//   of a file may replace it. So each user has a lock file there, which nobody
//   else can open. Others can put something else at its name, which is not
//   waited for: then there is no lock.
//
// The file is removed when the lock is given up. Whoever has locked a file that
// is not at the name any more begins anew. A process that is killed leaves its
// file behind, but no lock: the next listener takes the file, and removes it.

#include "ipc_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/nng_impl.h"

#define LOCK_TRIES 400
#define LOCK_PAUSE_MS 5

// What a try comes to, if it is not an error of NNG's.
enum { TRY_LOCKED, TRY_AGAIN = -1, TRY_NO_LOCK = -2 };

static bool is_sticky(const struct stat *folder) {
  return (folder->st_mode & S_ISVTX) != 0;
}

// Who may write to the folder may open the file, and reading is enough to lock
// it. If the file cannot be given to them it is the owner's alone: the others
// wait until it is gone.
static void share_file(int file, const struct stat *folder) {
  mode_t mode = S_IRUSR | S_IWUSR;

  if (!is_sticky(folder)) {
    if (geteuid() == 0) {
      (void)!fchown(file, folder->st_uid, (gid_t)-1);
    }
    if ((folder->st_mode & S_IWGRP) != 0 &&
        fchown(file, (uid_t)-1, folder->st_gid) == 0) {
      mode |= S_IRGRP;
    }
    if ((folder->st_mode & S_IWOTH) != 0) {
      mode |= S_IROTH;
    }
  }
  (void)fchmod(file, mode);  // whatever the umask
}

// In a sticky folder: whether what is at the name was put there by others, or
// can be locked by others.
static bool is_of_others(const ipc_lock *l) {
  struct stat st;

  return fstatat(l->folder, l->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
         (!S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
          (st.st_mode & (S_IRWXG | S_IRWXO)) != 0);
}

static int open_file(ipc_lock *l, const struct stat *folder) {
  l->file = openat(l->folder, l->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
                   S_IRUSR | S_IWUSR);
  if (l->file >= 0) {
    share_file(l->file, folder);
    return 0;
  }
  if (errno == EACCES || errno == EPERM || errno == EROFS) {
    return TRY_NO_LOCK;  // nothing in this folder can be changed by us
  }
  if (errno != EEXIST) {
    return nni_plat_errno(errno);
  }
  if (is_sticky(folder) && is_of_others(l)) {
    return TRY_NO_LOCK;
  }
  // No link is followed, and no pipe waited for.
  l->file = openat(l->folder, l->name,
                   O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  return l->file >= 0 ? 0 : TRY_AGAIN;
}

static bool is_at_name(const ipc_lock *l) {
  struct stat named;
  struct stat locked;

  return fstatat(l->folder, l->name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         fstat(l->file, &locked) == 0 && named.st_dev == locked.st_dev &&
         named.st_ino == locked.st_ino;
}

static int try_lock(ipc_lock *l, const struct stat *folder) {
  int rv = open_file(l, folder);

  if (rv != 0) {
    return rv;
  }
  if (flock(l->file, LOCK_EX | LOCK_NB) != 0) {
    rv = errno == EWOULDBLOCK || errno == EINTR ? TRY_AGAIN
                                                : nni_plat_errno(errno);
  } else {
    rv = is_at_name(l) ? TRY_LOCKED : TRY_AGAIN;
  }
  if (rv != TRY_LOCKED) {
    (void)close(l->file);
    l->file = -1;
  }
  return rv;
}

int ipc_lock_folder(ipc_lock *l, int folder) {
  struct stat st;
  int rv;

  l->folder = folder;
  l->file = -1;
  if (fstat(folder, &st) != 0) {
    return nni_plat_errno(errno);
  }
  if (is_sticky(&st)) {
    (void)snprintf(l->name, sizeof(l->name), ".nng-lock-%u",
                   (unsigned)geteuid());
  } else {
    (void)snprintf(l->name, sizeof(l->name), ".nng-lock");
  }
  for (int i = 0; i < LOCK_TRIES; i++) {
    if ((rv = try_lock(l, &st)) != TRY_AGAIN) {
      return rv == TRY_NO_LOCK ? 0 : rv;
    }
    nni_msleep(LOCK_PAUSE_MS);
  }
  return NNG_EBUSY;
}

bool ipc_lock_held(const ipc_lock *l) { return l->file >= 0; }

void ipc_unlock_folder(ipc_lock *l) {
  if (ipc_lock_held(l)) {
    (void)unlinkat(l->folder, l->name, 0);
    (void)close(l->file);
    l->file = -1;
  }
}
