// A handle that an engine's completion port serves: a socket or a named pipe,
// with at most one operation each way under way. A completed operation calls
// back in the engine's next turn, under its lock; everything here is called
// under it, too.
//
// Ownership. The system refers to an operation until its completion has been
// taken from the port, also when it was cancelled or its handle was closed. So
// an io is freed when its owner has released it and no operation is under way:
// by whoever comes last, the owner, the poller that takes the completion, or
// the poller's end.

#ifndef NNG_PAIR_WINDOWS_IO_H
#define NNG_PAIR_WINDOWS_IO_H

#include "../../engine/engine_impl.h"

typedef struct io io;

// The operation has ended; error is the system's.
typedef void (*io_done)(void *arg, DWORD error, size_t bytes);

typedef struct io_op {
  OVERLAPPED overlapped;
  io *io;
  bool pending;
  io_done done;
} io_op;

struct io {
  engine *engine;
  HANDLE handle;  // or the SOCKET
  bool is_socket;
  bool quiet;  // what succeeds at once tells nobody else
  bool closed;
  bool released;
  unsigned pending;
  void *arg;
  io_op in;
  io_op out;
  // What `out` writes, and an event for reads that are waited for; or NULL.
  void *copy;
  size_t copied;
  HANDLE event;
  nni_list_node node;  // of those that are released
};

// For a handle of the current engine's, which belongs to the io from then on.
// An NNG error: it does not.
extern int io_create(io **, HANDLE, bool is_socket);
// A tcp socket that does not block, and that no child inherits.
extern SOCKET io_make_socket(int family);
// Whom it calls back, from now on.
extern void io_set(io *, io_done in, io_done out, void *arg);
extern SOCKET io_socket(const io *);
// Memory for what `out` is to write, and the end of that once it is written.
extern void *io_make_copy(io *, size_t);
extern void io_forget_copy(io *);
// Ends what is under way, and closes the handle. Nobody is called back.
extern void io_close(io *);
// The owner is gone; under the lock only if something else holds the engine.
extern void io_release(io *);

// Around the system's call that starts an operation. io_started is told what
// that has returned, and tells whether the operation is under way
// (ERROR_IO_PENDING), done (0), or the error for which it never began.
extern OVERLAPPED *io_start(io_op *);
extern DWORD io_started(io_op *, bool succeeded, DWORD error);

// NNG's error for one of the system's. The peer's doing is never NNG_ECLOSED.
extern int io_error(DWORD);

#endif  // NNG_PAIR_WINDOWS_IO_H
