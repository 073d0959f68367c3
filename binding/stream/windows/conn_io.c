// How a connection reads and writes on Windows, by overlapped operations whose
// completion the engine's port tells (platform/windows/io.h).
//
// Reading. An operation that reads nothing, a read of zero bytes, completes
// when there is something to be read, or the end. Then it is read without
// waiting, straight to where it is wanted, as elsewhere. So an idle connection
// has no buffer of its own.
//
// Writing. A socket takes what it has room for without waiting. Only when it
// takes no more, and always with a pipe, which cannot be asked so, a copy of
// the next bytes is given to an operation, whose completion is the room. Bytes
// count as written when the operation has completed, since one that is under
// way is cancelled when we hang up: until then the writer keeps them, and
// offers them again.

#include <limits.h>
#include <string.h>

#include "../conn_impl.h"
// After the system's others.
#include <mstcpip.h>
#include <winternl.h>

// The most that one operation writes.
#define COPY_MAX ((size_t)256 * 1024)
// The most pieces of memory that a write has (core/send_queue.cc).
#define MAX_PIECES 64

// What the system tells of a pipe: no header of the ordinary ones has it.
#define FILE_PIPE_LOCAL_INFORMATION ((FILE_INFORMATION_CLASS)24)

typedef struct {
  ULONG type;
  ULONG configuration;
  ULONG maximum_instances;
  ULONG current_instances;
  ULONG inbound_quota;
  ULONG read_data_available;
  ULONG outbound_quota;
  ULONG write_quota_available;
  ULONG state;
  ULONG end;
} pipe_information;

static io *conn_io(const conn *c) { return c->system.io; }

// Reading.

void conn_io_readable(void *arg, DWORD error, size_t n) {
  conn *c = arg;

  (void)n;
  // The next read will tell of the end, but not everywhere once more of a
  // reset.
  if (error != 0 && io_error(error) != NNG_ECONNSHUT) {
    c->system.read_error = io_error(error);
  }
  conn_ready(c, true, false);
}

// Asks to be told when there is something to be read; then the connection is
// not readable.
static void ask_for_bytes(conn *c) {
  static char nothing;
  io_op *op = &conn_io(c)->in;
  OVERLAPPED *overlapped;
  bool ok;

  if (!op->pending) {
    overlapped = io_start(op);
    if (c->ipc) {
      ok = ReadFile(conn_io(c)->handle, &nothing, 0, NULL, overlapped) != 0;
    } else {
      WSABUF buffer = {0, &nothing};
      DWORD flags = 0;

      ok = WSARecv(io_socket(conn_io(c)), &buffer, 1, NULL, &flags, overlapped,
                   NULL) == 0;
    }
    if (io_started(op, ok, GetLastError()) != ERROR_IO_PENDING) {
      // There is something, or an error: the next read will tell.
      c->readable = true;
      return;
    }
  }
  c->readable = false;
}

static int read_socket(conn *c, const struct iovec *iov, int count, size_t *n) {
  WSABUF buffers[MAX_PIECES];
  DWORD got = 0;
  DWORD flags = 0;
  DWORD error;

  for (int i = 0; i < count; i++) {
    buffers[i].buf = iov[i].iov_base;
    buffers[i].len = (ULONG)iov[i].iov_len;
  }
  if (WSARecv(io_socket(conn_io(c)), buffers, (DWORD)count, &got, &flags, NULL,
              NULL) == 0) {
    *n = got;
    return 0;
  }
  error = (DWORD)WSAGetLastError();
  return error == WSAEWOULDBLOCK ? NNG_EAGAIN : io_error(error);
}

// Reads what is known to be there, which takes no time.
static DWORD read_present(io *i, void *to, size_t size, DWORD *n) {
  OVERLAPPED overlapped = {0};
  DWORD error = 0;

  if (i->event == NULL &&
      (i->event = CreateEventW(NULL, TRUE, FALSE, NULL)) == NULL) {
    return GetLastError();
  }
  // With the lowest bit of its event set, the port does not hear of it.
  overlapped.hEvent = (HANDLE)((uintptr_t)i->event | 1);
  if (!ReadFile(i->handle, to, (DWORD)size, NULL, &overlapped) &&
      (error = GetLastError()) != ERROR_IO_PENDING) {
    return error;
  }
  return GetOverlappedResult(i->handle, &overlapped, n, TRUE) ? 0
                                                              : GetLastError();
}

static int read_pipe(conn *c, const struct iovec *iov, int count, size_t *n) {
  DWORD present = 0;
  DWORD error = 0;

  if (!PeekNamedPipe(conn_io(c)->handle, NULL, 0, NULL, &present, NULL)) {
    error = GetLastError();
  } else if (present == 0) {
    return NNG_EAGAIN;
  }
  for (int i = 0; i < count && present > 0 && error == 0; i++) {
    const size_t size = present < iov[i].iov_len ? present : iov[i].iov_len;
    DWORD got = 0;

    error = read_present(conn_io(c), iov[i].iov_base, size, &got);
    *n += got;
    present -= got;
    if (got < size) {
      break;
    }
  }
  if (*n > 0 || error == ERROR_BROKEN_PIPE ||
      error == ERROR_PIPE_NOT_CONNECTED) {
    return 0;
  }
  return error != 0 ? io_error(error) : NNG_EAGAIN;
}

int conn_io_read(conn *c, const struct iovec *iov, int count, size_t total,
                 size_t *n) {
  const int rv =
      c->ipc ? read_pipe(c, iov, count, n) : read_socket(c, iov, count, n);

  if (rv == 0 && *n == 0 && c->system.read_error != 0) {
    return c->system.read_error;
  }
  // Nothing is left, as far as is known: not even the end.
  if (rv == NNG_EAGAIN || (*n > 0 && *n < total)) {
    ask_for_bytes(c);
  }
  if (rv == NNG_EAGAIN && c->readable) {
    // It came in between; this call has to find it.
    return c->ipc ? read_pipe(c, iov, count, n) : read_socket(c, iov, count, n);
  }
  return rv;
}

// Writing.

void conn_io_written(void *arg, DWORD error, size_t n) {
  conn *c = arg;

  (void)n;  // all of it, or there is an error
  if (error != 0) {
    c->system.write_error = io_error(error);
  }
  conn_ready(c, false, true);
}

// Drops what is written from the front of a vector.
static void skip(struct iovec **iov, int *count, size_t n) {
  while (*count > 0 && n >= (*iov)->iov_len) {
    n -= (*iov)->iov_len;
    (*iov)++;
    (*count)--;
  }
  if (n > 0) {
    (*iov)->iov_base = (char *)(*iov)->iov_base + n;
    (*iov)->iov_len -= n;
  }
}

// As much as the socket takes without waiting.
static DWORD write_socket(conn *c, const struct iovec *iov, int count,
                          size_t *n) {
  WSABUF buffers[MAX_PIECES];
  DWORD sent = 0;
  DWORD error;

  for (int i = 0; i < count; i++) {
    buffers[i].buf = iov[i].iov_base;
    buffers[i].len = (ULONG)iov[i].iov_len;
  }
  if (WSASend(io_socket(conn_io(c)), buffers, (DWORD)count, &sent, 0, NULL,
              NULL) == 0) {
    *n = sent;
    return 0;
  }
  error = (DWORD)WSAGetLastError();
  return error == WSAEWOULDBLOCK ? 0 : error;
}

// Gives the next bytes to an operation. ERROR_IO_PENDING: it is under way; 0:
// it is over already.
static DWORD write_copy(conn *c, const struct iovec *iov, int count,
                        size_t total, size_t *n) {
  io *i = conn_io(c);
  const size_t size = total < COPY_MAX ? total : COPY_MAX;
  char *copy = io_make_copy(i, size);
  size_t at = 0;
  OVERLAPPED *overlapped;
  DWORD error;
  bool ok;

  *n = 0;
  if (copy == NULL) {
    return ERROR_NOT_ENOUGH_MEMORY;
  }
  for (int k = 0; k < count && at < size; k++) {
    const size_t part = iov[k].iov_len < size - at ? iov[k].iov_len : size - at;

    memcpy(copy + at, iov[k].iov_base, part);
    at += part;
  }
  overlapped = io_start(&i->out);
  if (c->ipc) {
    ok = WriteFile(i->handle, copy, (DWORD)size, NULL, overlapped) != 0;
  } else {
    WSABUF buffer = {(ULONG)size, copy};

    ok = WSASend(io_socket(i), &buffer, 1, NULL, 0, overlapped, NULL) == 0;
  }
  error = io_started(&i->out, ok, GetLastError());
  if (error != ERROR_IO_PENDING) {
    io_forget_copy(i);
    *n = error == 0 ? size : 0;
  }
  return error;
}

// A write has failed. Of a reset the one who meets it first is told, which may
// have been the operation that waits for something to be read.
static int write_failed(const conn *c, DWORD error) {
  io *i = conn_io(c);
  const int rv = io_error(error);
  DWORD flags;
  DWORD n;

  if (rv != NNG_ECONNSHUT) {
    return rv;
  }
  if (!c->ipc && i->in.pending && HasOverlappedIoCompleted(&i->in.overlapped) &&
      !WSAGetOverlappedResult(io_socket(i), &i->in.overlapped, &n, FALSE,
                              &flags) &&
      io_error((DWORD)WSAGetLastError()) == NNG_ECONNRESET) {
    return NNG_ECONNRESET;
  }
  return NNG_ECLOSED;
}

int conn_io_write(conn *c, struct iovec *iov, int count, size_t total,
                  size_t *np) {
  conn_system *s = &c->system;
  DWORD error = 0;
  size_t n;

  *np = 0;
  if (s->write_error != 0) {
    return s->write_error == NNG_ECONNSHUT ? NNG_ECLOSED : s->write_error;
  }
  if (s->io->out.pending) {
    c->blocked = true;
    return 0;
  }
  if (s->io->copied > 0) {
    // The system has taken it meanwhile.
    NNI_ASSERT(s->io->copied <= total);
    *np = s->io->copied;
    skip(&iov, &count, *np);
    io_forget_copy(s->io);
  }
  while (*np < total && error == 0) {
    n = 0;
    if (!c->ipc && (error = write_socket(c, iov, count, &n)) != 0) {
      break;
    }
    if (n == 0) {
      error = write_copy(c, iov, count, total - *np, &n);
    }
    *np += n;
    skip(&iov, &count, n);
  }
  if (error == ERROR_IO_PENDING) {
    c->blocked = true;
    error = 0;
  }
  if (error == 0) {
    return 0;
  }
  if (*np > 0) {
    // The next write tells.
    s->write_error = io_error(error);
    return 0;
  }
  return write_failed(c, error);
}

// The rest.

static bool ask_pipe(const conn *c, pipe_information *info) {
  IO_STATUS_BLOCK status;

  return NtQueryInformationFile(conn_io(c)->handle, &status, info,
                                sizeof(*info),
                                FILE_PIPE_LOCAL_INFORMATION) >= 0;
}

void conn_io_begin_pipe(conn *c) {
  pipe_information info;

  c->system.tells_unread =
      ask_pipe(c, &info) && info.write_quota_available == info.outbound_quota;
}

// What the other end of a pipe has not read yet, as far as the system tells.
static size_t unread_in_pipe(const conn *c) {
  pipe_information info;

  return c->system.tells_unread && ask_pipe(c, &info)
             ? info.outbound_quota - info.write_quota_available
             : 0;
}

size_t conn_io_in_flight(const conn *c) { return conn_io(c)->copied; }

int conn_io_finish(conn *c) {
  if (c->ipc) {
    return 0;  // a pipe has no half close: its reader finds out when we hang up
  }
  return shutdown(io_socket(conn_io(c)), SD_SEND) == 0
             ? 0
             : io_error((DWORD)WSAGetLastError());
}

// Of tcp, what is under way, and what waits to be. (The system tells that from
// Windows 10, 1703, on; before, it tells nothing.)
int conn_io_progress(conn *c, int *unacked, uint64_t *received) {
  uint64_t sum = c->ipc ? unread_in_pipe(c) : 0;

  if (c->ipc) {
    // The peer is not told that we are about to hang up, and may go on sending
    // for ever: that does not count, once it has everything.
    *received = 0;
  }
#if defined(SIO_TCP_INFO)
  TCP_INFO_v0 info;
  DWORD version = 0;
  DWORD n;

  if (!c->ipc &&
      WSAIoctl(io_socket(conn_io(c)), SIO_TCP_INFO, &version, sizeof(version),
               &info, sizeof(info), &n, NULL, NULL) == 0) {
    const uint64_t left = info.BytesOut - info.BytesRetrans;

    sum += c->bytes_sent > left ? c->bytes_sent - left : 0;
    sum += info.BytesInFlight;
  }
#endif
  *unacked = sum < INT_MAX ? (int)sum : INT_MAX;
  return 0;
}

int conn_io_arm(conn *c) {
  if (!c->readable) {
    ask_for_bytes(c);
    if (c->readable) {
      nng_pair_conn_read_later(&c->base.stream);
    }
  }
  return 0;
}

void conn_io_close(conn *c) { io_close(conn_io(c)); }

void conn_io_free(conn *c) {
  if (conn_io(c) != NULL) {
    io_release(conn_io(c));
  }
}
