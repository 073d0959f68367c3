// Before 2.33 glibc has stat() and its kin only in libc's static part, and
// Zig's copy of that part keeps an errno of its own: after a failure the caller
// reads a stale one. These go the way of a real old glibc, through functions
// that every version exports.

#include <fcntl.h>
#include <sys/stat.h>

// The layout of struct stat that is meant; each architecture has one.
#if defined(__x86_64__)
#define STAT_VERSION 1
#elif defined(__aarch64__)
#define STAT_VERSION 0
#else
#error "unknown architecture"
#endif

extern int __xstat(int, const char *, struct stat *);
extern int __fxstat(int, int, struct stat *);
extern int __lxstat(int, const char *, struct stat *);
extern int __fxstatat(int, int, const char *, struct stat *, int);

int stat(const char *path, struct stat *st) {
  return (__xstat(STAT_VERSION, path, st));
}

int fstat(int fd, struct stat *st) { return (__fxstat(STAT_VERSION, fd, st)); }

int lstat(const char *path, struct stat *st) {
  return (__lxstat(STAT_VERSION, path, st));
}

int fstatat(int dir, const char *path, struct stat *st, int flags) {
  return (__fxstatat(STAT_VERSION, dir, path, st, flags));
}
