// A list of pieces of memory, as readv and writev take it. Windows has its own,
// with 32 bits for the length: it is converted there.

#ifndef NNG_PAIR_STREAM_IOVEC_H
#define NNG_PAIR_STREAM_IOVEC_H

#if defined(_WIN32)
#include <stddef.h>

struct iovec {
  void *iov_base;
  size_t iov_len;
};
#else
#include <sys/uio.h>
#endif

#endif  // NNG_PAIR_STREAM_IOVEC_H
