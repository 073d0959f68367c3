// The connection under NNG's tcp and ipc transports, in place of NNG's
// posix_tcpconn.c and posix_ipcconn.c: one implementation for both.
//
// What it promises, beyond NNG's own:
//
//  - Every operation that is submitted completes, exactly once, with a
//    callback, also when its aio is already closed or stopped (fault A: NNG
//    drops such an operation, and whoever waits for it waits for ever).
//  - The peer's doing is never reported as NNG_ECLOSED, which a listener
//    takes for its own end (fault B).
//  - Bytes that have reached this side's kernel are delivered before the
//    error that followed them, also when it is a send that finds out.
//
// Reading. One read takes up to a buffer's worth and serves headers and bodies
// of many messages; a large body is read straight into its message, and only
// little of what follows it is taken along. Writing.
// Small writes gather in a buffer, and are complete with that; the engine
// writes them before its loop sleeps. While the kernel takes no more, nothing
// gathers: a write then waits for its turn, and with it the sender. Both
// buffers are taken when there are bytes and given back when there are none.
//
// Ownership: the transport's pipe owns the connection and calls close, then
// free, once. free hands it to NNG's reaper thread, which closes the
// descriptor. Everything is guarded by the one lock (engine.h).

#include "conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "engine_impl.h"
#if defined(__linux__)
#include <linux/sockios.h>
#elif defined(__APPLE__)
#include <sys/ucred.h>
#include <sys/un.h>
#endif

#include "platform/posix/posix_ipc.h"
#include "platform/posix/posix_tcp.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif
#ifndef POLLRDHUP
#define POLLRDHUP 0
#endif

// Both sides send this much before anything else: the SP header.
#define SP_HEADER_SIZE 8

// Reads and gathered writes go through buffers of this size.
#define BUFFER_SIZE ((size_t)64 * 1024)
// Reads from this size on go straight into the message.
#define DIRECT_MIN ((size_t)16 * 1024)
// Of what has gathered, so much is worth a write before the loop sleeps.
#define WRITE_MIN ((size_t)32 * 1024)
// Behind such a read comes another, most likely: what is read ahead of it, into
// the buffer, has to be copied.
#define LITTLE_AHEAD ((size_t)4 * 1024)

// What the kernel may hold for a peer on this machine; it doubles what is asked
// for, and allows an ordinary user 212992. Over ipc it is more than Linux gives
// without asking: the ends wait for each other less often. Over tcp it is less,
// where Linux goes up to megabytes: what is under way stays in the caches.
#define LOCAL_SEND_BUFFER (256 * 1024)

// As in an aio (deps/patches/0023).
#define MAX_IOV 3

// The SP framing: a length of 64 bits, big endian; over ipc, the byte 1 before.
static size_t sp_head_size(bool ipc) { return ipc ? 9 : 8; }

typedef struct conn {
  // What NNG's dialers and listeners see of us. Of these only stream,
  // dial_aio and dialer are used; the rest of the state is below.
  union {
    nng_stream stream;
    nni_tcp_conn tcp;
    nni_ipc_conn ipc;
  } base;
  nni_sockaddr sa;  // ipc: the path, which both ends have in common
  engine *engine;
  nni_posix_pfd *pfd;
  nni_list readq;
  nni_list writeq;

  uint8_t *rbuf;  // bytes that were read and not asked for yet
  size_t rpos;
  size_t rlen;
  size_t ahead;   // how many to have there at most
  bool readable;  // as far as is known
  bool sure;      // it was seen to be empty since the poller knows it
  bool hung_up;   // there is an end to be read behind the last bytes
  bool held;      // small messages are at the front that the taker left there
  bool pulling;   // they are being copied out: the taker is not asked
  bool resuming;  // reading goes on when others have had their turn
  bool ipc;
  size_t max;  // a longer message is an error; 0: none is
  // How far the reader is in the message that it reads, once the peer's SP
  // header is read: 0 of both between two messages.
  size_t head_len;     // of its head
  uint64_t body_left;  // of its body
  nng_pair_taker_cb taker;
  void *taker_arg;

  uint8_t *wbuf;  // bytes that have gathered
  size_t wpos;
  size_t wlen;
  size_t written;           // of the first write in line, or to come, if large
  size_t wnext;             // in wbuf: the first message not written whole
  unsigned gathered;        // how many messages there are from there on
  uint64_t gathered_bytes;  // the bytes of their bodies
  bool blocked;             // the kernel takes no more until it says so
  nni_list_node due;        // in the engine's list: bytes in wbuf, or resuming
  nng_pair_flushed_cb flushed_cb;
  void *flushed_arg;

  uint64_t bytes_read;
  uint64_t bytes_sent;
  int read_error;   // the end of the incoming bytes, for good
  int write_error;  // nothing more can be written: the connection broke
  bool finished;    // nothing more will be written: we half-closed it
  bool closed;      // by us
  uint8_t head[9];  // what was read of the head that is not whole yet
  nni_reap_node reap;
} conn;

static int conn_errno(int err) {
  int rv = nni_plat_errno(err);

  return (rv == NNG_ECLOSED ? NNG_ECONNSHUT : rv);
}

static bool conn_shaken(const conn *c) {
  return c->bytes_read >= SP_HEADER_SIZE && c->bytes_sent >= SP_HEADER_SIZE;
}

static void conn_write(conn *c);

static void conn_drop_rbuf(conn *c) {
  if (c->rbuf != NULL) {
    nni_free(c->rbuf, BUFFER_SIZE);
    c->rbuf = NULL;
  }
  c->rpos = c->rlen = 0;
}

static void conn_drop_wbuf(conn *c) {
  if (c->wbuf != NULL) {
    nni_free(c->wbuf, BUFFER_SIZE);
    c->wbuf = NULL;
  }
  c->wpos = c->wlen = c->wnext = 0;
  if (!c->resuming) {
    nni_list_node_remove(&c->due);
  }
}

// Something is to be done before the loop sleeps.
static void conn_make_due(conn *c) {
  if (!nni_list_node_active(&c->due)) {
    nni_list_append(&c->engine->due, c);
    engine_wake(c->engine);
  }
}

// The peer has hung up. In the handshake that is a reset, after which the
// listener goes on at once, without a pause.
static int conn_hangup(const conn *c) {
  return (conn_shaken(c) ? NNG_ECONNSHUT : NNG_ECONNRESET);
}

static void conn_fail_list(nni_list *list, int rv) {
  nni_aio *aio;

  while ((aio = nni_list_first(list)) != NULL) {
    nni_aio_list_remove(aio);
    nni_aio_finish_error(aio, rv);
  }
}

// The incoming bytes have ended: there is nothing left to protect, so sends
// that were held back fail as well.
static void conn_end(conn *c, int rv) {
  // Whoever meets a reset first, here a write, is told of it; to the others it
  // looks like a mere end.
  if (rv == NNG_ECONNSHUT && c->write_error != 0) {
    rv = c->write_error;
  }
  c->read_error = rv;
  if (c->write_error == 0) {
    c->write_error = rv;
  }
  conn_fail_list(&c->readq, rv);
  conn_fail_list(&c->writeq, c->write_error);
  conn_drop_wbuf(c);
}

// The non-empty parts of an aio's vector, without the first `skip` bytes;
// returns how many, or -1, and their sum.
static int conn_iov(nni_aio *aio, size_t skip, struct iovec *iov, int max,
                    size_t *sum) {
  unsigned count;
  nni_iov *from;
  int n = 0;

  *sum = 0;
  nni_aio_get_iov(aio, &count, &from);
  for (unsigned i = 0; i < count; i++) {
    if (from[i].iov_len <= skip) {
      skip -= from[i].iov_len;
      continue;
    }
    if (n == max) {
      return -1;
    }
    iov[n].iov_base = (uint8_t *)from[i].iov_buf + skip;
    iov[n].iov_len = from[i].iov_len - skip;
    *sum += iov[n].iov_len;
    skip = 0;
    n++;
  }
  return n;
}

static void conn_complete(nni_aio *aio, size_t n) {
  nni_aio_list_remove(aio);
  nni_aio_finish(aio, 0, n);
}

// Whether the next byte to be read begins a message.
static bool conn_between(const conn *c) {
  return c->taker != NULL && c->head_len == 0 && c->body_left == 0;
}

// The reader has so much: it never asks for the rest of a head and for a body
// in one.
static void conn_follow(conn *c, const struct iovec *iov, int niov, size_t n) {
  const size_t head = sp_head_size(c->ipc);

  if (c->taker == NULL) {
    return;
  }
  if (c->body_left > 0) {
    c->body_left -= n < c->body_left ? n : c->body_left;
    return;
  }
  for (int i = 0; i < niov && n > 0 && c->head_len < head; i++) {
    size_t part = iov[i].iov_len < n ? iov[i].iov_len : n;

    if (part > head - c->head_len) {
      part = head - c->head_len;
    }
    memcpy(c->head + c->head_len, iov[i].iov_base, part);
    c->head_len += part;
    n -= part;
  }
  if (c->head_len == head) {
    NNI_GET64(c->head + head - 8, c->body_left);
    c->head_len = 0;
  }
}

static void conn_complete_read(conn *c, nni_aio *aio, const struct iovec *iov,
                               int niov, size_t n) {
  conn_follow(c, iov, niov, n);
  conn_complete(aio, n);
}

// Reading.

// Copies from the buffer as much as the vector takes.
static size_t conn_serve(conn *c, const struct iovec *iov, int niov) {
  size_t total = 0;

  for (int i = 0; i < niov && c->rpos < c->rlen; i++) {
    size_t n = c->rlen - c->rpos;

    if (n > iov[i].iov_len) {
      n = iov[i].iov_len;
    }
    memcpy(iov[i].iov_base, c->rbuf + c->rpos, n);
    c->rpos += n;
    total += n;
  }
  if (c->rpos == c->rlen) {
    conn_drop_rbuf(c);
  }
  return total;
}

// One read: the vector is filled first if there is one, then the buffer, behind
// what it holds. Returns what went into the vector.
static size_t conn_fill(conn *c, struct iovec *iov, int niov, size_t want) {
  size_t held = c->rlen - c->rpos;
  ssize_t n;

  if (c->rbuf == NULL && (c->rbuf = nni_alloc(BUFFER_SIZE)) == NULL) {
    conn_end(c, NNG_ENOMEM);
    return 0;
  }
  if (c->rpos > 0) {
    memmove(c->rbuf, c->rbuf + c->rpos, held);
    c->rpos = 0;
    c->rlen = held;
  }
  iov[niov].iov_base = c->rbuf + held;
  iov[niov].iov_len = c->ahead - held;
  do {
    n = niov == 0
            ? recv(nni_posix_pfd_fd(c->pfd), iov[0].iov_base, iov[0].iov_len, 0)
            : readv(nni_posix_pfd_fd(c->pfd), iov, niov + 1);
  } while (n < 0 && errno == EINTR);
  if (n > 0) {
    const size_t taken = (size_t)n < want ? (size_t)n : want;

    c->bytes_read += (uint64_t)n;
    c->engine->moved += (size_t)n;
    atomic_store_explicit(&c->engine->heard, true, memory_order_relaxed);
    c->rlen += (size_t)n - taken;
    // A short read proves that nothing is left, unless an end may be.
    if ((size_t)n < want + iov[niov].iov_len && c->sure && !c->hung_up) {
      c->readable = false;
    }
    if (c->rlen == 0) {
      conn_drop_rbuf(c);
    }
    return taken;
  }
  if (held == 0) {
    conn_drop_rbuf(c);
  }
  if (n == 0) {
    // The peer may have closed its sending side only: what has gathered counts
    // as sent, and cannot be sent to anybody else.
    if (c->wlen > 0) {
      conn_write(c);
    }
    if (c->read_error == 0) {
      conn_end(c, conn_hangup(c));
    }
  } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
    c->readable = false;
    c->sure = true;
    // Nothing more can come to a connection that broke.
    if (c->write_error != 0) {
      conn_end(c, c->write_error);
    }
  } else {
    conn_end(c, conn_errno(errno));
  }
  return 0;
}

static void conn_fill_buffer(conn *c) {
  struct iovec iov[1];

  (void)conn_fill(c, iov, 0, 0);
}

// The size of the message whose head is there, if that is what it is.
static bool conn_head(const conn *c, const uint8_t *at, size_t held,
                      uint64_t *size) {
  const size_t head = sp_head_size(c->ipc);

  if (held < head || (c->ipc && *at != 1)) {
    return false;
  }
  NNI_GET64(at + head - 8, *size);
  return true;
}

static void conn_drop_front(conn *c, size_t size) {
  c->rpos += size;
  if (c->rpos == c->rlen) {
    conn_drop_rbuf(c);
  }
}

// Whether a message of this size is one for the taker.
static bool conn_takes(const conn *c, uint64_t size) {
  return size <= NNG_PAIR_SMALL && (c->max == 0 || size <= c->max);
}

// Whether there is a whole message for the taker, and the size of its body.
static bool conn_whole_small(const conn *c, const uint8_t *at, size_t held,
                             uint64_t *size) {
  return conn_head(c, at, held, size) && conn_takes(c, *size) &&
         *size <= held - sp_head_size(c->ipc);
}

// The whole small messages at the front of what was read, without the heads.
static size_t conn_small(const conn *c, nng_pair_small *messages, size_t max) {
  const size_t head = sp_head_size(c->ipc);
  const uint8_t *at = c->rbuf + c->rpos;
  size_t left = c->rlen - c->rpos;
  uint64_t size;
  size_t n = 0;

  while (n < max && conn_whole_small(c, at, left, &size)) {
    messages[n].data = at + head;
    messages[n++].size = (size_t)size;
    at += head + (size_t)size;
    left -= head + (size_t)size;
  }
  return n;
}

// Offers the taker the small messages at the front, and holds those it leaves.
static void conn_offer(conn *c) {
  nng_pair_small messages[64];
  size_t n;

  while ((n = conn_small(c, messages, 64)) > 0) {
    const size_t taken = c->taker(c->taker_arg, messages, n);

    c->engine->moved += taken * MESSAGE_COST;
    if (taken > 0) {
      conn_drop_front(
          c, (size_t)(messages[taken - 1].data + messages[taken - 1].size -
                      (c->rbuf + c->rpos)));
    }
    if (taken < n) {
      c->held = true;
      return;
    }
  }
}

// Sees to the small messages at the front. Returns false if there is nothing
// else to be read now.
static bool conn_hand_over(conn *c) {
  nng_pair_small first;
  uint64_t size;

  for (;;) {
    if (c->pulling) {
      c->held = conn_small(c, &first, 1) > 0;
    } else if (!c->held) {
      conn_offer(c);
    }
    if (c->held) {
      return false;
    }
    const size_t held = c->rlen - c->rpos;

    if (held >= sp_head_size(c->ipc)) {
      if (!conn_head(c, c->rbuf + c->rpos, held, &size) ||
          !conn_takes(c, size)) {
        return true;
      }
      c->ahead = BUFFER_SIZE;
    }
    if (c->read_error != 0 || c->ahead == LITTLE_AHEAD) {
      return true;
    }
    if (!c->readable) {
      return held == 0;
    }
    // The rest is read when others have had their turn.
    if (c->engine->moved >= TURN_BYTES && !c->pulling) {
      c->resuming = true;
      conn_make_due(c);
      return false;
    }
    conn_fill_buffer(c);
  }
}

static void conn_read(conn *c) {
  struct iovec iov[MAX_IOV + 1];
  nni_aio *aio;
  size_t want;
  size_t n;
  int niov;

  while ((aio = nni_list_first(&c->readq)) != NULL) {
    if (conn_between(c)) {
      if (!conn_hand_over(c)) {
        return;
      }
      if (nni_list_empty(&c->readq)) {
        return;  // the end was read
      }
    }
    if ((niov = conn_iov(aio, 0, iov, MAX_IOV, &want)) <= 0) {
      nni_aio_list_remove(aio);
      nni_aio_finish_error(aio, NNG_EINVAL);
    } else if (c->rlen > 0) {
      n = conn_serve(c, iov, niov);
      conn_complete_read(c, aio, iov, niov, n);
    } else if (c->read_error != 0) {
      conn_fail_list(&c->readq, c->read_error);
    } else if (!c->readable) {
      return;
    } else if (c->ahead == LITTLE_AHEAD) {
      if ((n = conn_fill(c, iov, niov, want)) > 0) {
        conn_complete_read(c, aio, iov, niov, n);
      }
    } else {
      conn_fill_buffer(c);
    }
  }
}

// Writing.

static void conn_arm(conn *c);

// A write has failed. The peer may have left messages behind, and the protocol
// drops its pipe, with the message that it holds, once it hears of the failure.
// So sends are held back until the protocol asks for another message and there
// is none (conn_fill): then it has passed on all that came before. Not in the
// handshake, where nobody reads before the header is sent.
static void conn_write_failed(conn *c, int rv) {
  c->write_error = rv;
  conn_drop_wbuf(c);
  if (!conn_shaken(c)) {
    conn_end(c, rv);
    return;
  }
  c->readable = true;
  conn_read(c);
}

static void conn_flushed(conn *c) {
  c->gathered = 0;
  c->gathered_bytes = 0;
  conn_drop_wbuf(c);
  if (c->flushed_cb != NULL) {
    c->flushed_cb(c->flushed_arg);
  }
}

// Writes as much as the kernel takes of a vector, all of which is `total`
// bytes. Returns how much that is, or -1 when the connection has failed.
static ssize_t conn_sendmsg(conn *c, struct iovec *iov, int niov,
                            size_t total) {
  const int fd = nni_posix_pfd_fd(c->pfd);
  struct msghdr hdr;
  ssize_t n;

  memset(&hdr, 0, sizeof(hdr));
  hdr.msg_iov = iov;
  hdr.msg_iovlen = niov;
  do {
    n = niov == 1 ? send(fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL)
                  : sendmsg(fd, &hdr, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
    conn_write_failed(c, errno == EPIPE ? conn_hangup(c) : conn_errno(errno));
    return -1;
  }
  if (n < 0) {
    n = 0;
  }
  c->bytes_sent += (uint64_t)n;
  c->engine->moved += (size_t)n;
  c->blocked = (size_t)n < total;
  return n;
}

static void conn_complete_write(conn *c, nni_aio *aio) {
  const size_t size = c->written;

  c->written = 0;
  conn_complete(aio, size);
}

// The kernel has a part of what has gathered: its whole messages are sent.
static void conn_partly_flushed(conn *c) {
  const size_t head = sp_head_size(c->ipc);
  uint64_t size;

  while (c->wnext + head <= c->wpos) {
    NNI_GET64(c->wbuf + c->wnext + head - 8, size);
    if (size > c->wpos - c->wnext - head) {
      break;
    }
    c->wnext += head + (size_t)size;
    c->gathered--;
    c->gathered_bytes -= size;
  }
  if (c->flushed_cb != NULL) {
    c->flushed_cb(c->flushed_arg);
  }
}

// Writes what has gathered and then the first write in line, if there is one,
// with as few calls as the kernel allows.
static void conn_write(conn *c) {
  struct iovec iov[MAX_IOV + 1];
  nni_aio *aio;
  size_t sum;
  size_t total;
  ssize_t n;
  int niov;

  for (;;) {
    aio = nni_list_first(&c->writeq);
    if (c->finished || c->write_error != 0) {
      if (c->read_error != 0) {
        conn_fail_list(&c->writeq, c->write_error);
      }
      return;
    }
    if ((aio == NULL && c->wlen == 0) || c->blocked) {
      return;
    }
    niov = 0;
    total = c->wlen - c->wpos;
    if (total > 0) {
      iov[0].iov_base = c->wbuf + c->wpos;
      iov[0].iov_len = total;
      niov = 1;
    }
    if (aio != NULL) {
      int more = conn_iov(aio, c->written, iov + niov, MAX_IOV, &sum);

      if (more == 0 && c->written > 0) {
        // All of it had been written when it came (nng_pair_conn_start).
        conn_complete_write(c, aio);
        continue;
      }
      if (more <= 0) {
        nni_aio_list_remove(aio);
        nni_aio_finish_error(aio, NNG_EINVAL);
        continue;
      }
      niov += more;
      total += sum;
    }
    if ((n = conn_sendmsg(c, iov, niov, total)) < 0) {
      return;
    }
    if (c->wlen > 0) {
      size_t gone = c->wlen - c->wpos;

      if (gone > (size_t)n) {
        c->wpos += (size_t)n;
        n = 0;
        conn_partly_flushed(c);
      } else {
        n -= (ssize_t)gone;
        conn_flushed(c);
      }
    }
    if (aio != NULL && c->wlen == 0) {
      c->written += (size_t)n;
      if (!c->blocked) {
        conn_complete_write(c, aio);
      }
    }
  }
}

// Whether small writes gather.
static bool conn_gathers(const conn *c) {
  return !c->blocked && !c->finished && !c->closed && c->write_error == 0 &&
         nni_list_empty((nni_list *)&c->writeq);
}

static bool conn_need_wbuf(conn *c) {
  if (c->wbuf == NULL && (c->wbuf = nni_alloc(BUFFER_SIZE)) == NULL) {
    return false;
  }
  conn_make_due(c);
  return true;
}

// Room for a small write in the buffer, if the kernel takes more; else NULL.
static uint8_t *conn_room(conn *c, size_t size) {
  if (!conn_gathers(c) || size > NNG_PAIR_GATHER_MAX) {
    return NULL;
  }
  if (c->wlen + size > BUFFER_SIZE) {
    conn_write(c);
    if (c->blocked || c->write_error != 0) {
      conn_arm(c);
      return NULL;
    }
  }
  if (!conn_need_wbuf(c)) {
    return NULL;
  }
  // The SP header, which goes first, is no message.
  if (c->bytes_sent + c->wlen == 0) {
    c->wnext = size;
  } else {
    c->gathered++;
    c->gathered_bytes += size - sp_head_size(c->ipc);
  }
  c->wlen += size;
  return c->wbuf + c->wlen - size;
}

static bool conn_gather(conn *c, nni_aio *aio) {
  struct iovec iov[MAX_IOV];
  uint8_t *at;
  size_t sum;
  int niov;

  if ((niov = conn_iov(aio, 0, iov, MAX_IOV, &sum)) <= 0 ||
      (at = conn_room(c, sum)) == NULL) {
    return false;
  }
  for (int i = 0; i < niov; i++) {
    memcpy(at, iov[i].iov_base, iov[i].iov_len);
    at += iov[i].iov_len;
  }
  nni_aio_finish(aio, 0, sum);
  return true;
}

// Asks the poller for what is still wanted. A send that is held back waits
// for the reader, not for the descriptor.
static void conn_arm(conn *c) {
  int rv;

  if (!c->closed && c->pfd != NULL &&
      (rv = nni_posix_pfd_arm(
           c->pfd,
           NNI_POLL_IN |
               (c->blocked && !c->finished && c->write_error == 0 ? NNI_POLL_OUT
                                                                  : 0))) != 0) {
    conn_end(c, rv);
  }
}

static void conn_resume(conn *c) {
  c->resuming = false;
  c->held = false;
  conn_read(c);
}

void engine_due_init(engine *e) { NNI_LIST_INIT(&e->due, conn, due); }

void engine_serve_due(engine *e) {
  nni_list later;
  conn *c;

  NNI_LIST_INIT(&later, conn, due);
  while ((c = nni_list_first(&e->due)) != NULL) {
    nni_list_remove(&e->due, c);
    if (c->resuming && e->moved < TURN_BYTES) {
      conn_resume(c);
    }
    conn_write(c);
    conn_arm(c);
    // It has had its share of this turn, and goes on in the next one.
    if (c->resuming && e->moved >= TURN_BYTES) {
      nni_list_node_remove(&c->due);
      nni_list_append(&later, c);
    }
  }
  while ((c = nni_list_first(&later)) != NULL) {
    nni_list_remove(&later, c);
    nni_list_append(&e->due, c);
  }
}

static void conn_cb(nni_posix_pfd *pfd, unsigned events, void *arg) {
  conn *c = arg;

  NNI_ARG_UNUSED(pfd);
  c->engine->recent = c;
  c->readable = true;
  if ((events & (POLLRDHUP | NNI_POLL_HUP | NNI_POLL_ERR)) != 0) {
    c->hung_up = true;
  }
  conn_read(c);
  if (c->blocked && (events & ~(unsigned)NNI_POLL_IN) != 0) {
    c->blocked = false;
    conn_write(c);
  }
  conn_arm(c);
}

void engine_read_recent(engine *e) {
  conn *c = e->recent;
  const size_t moved = e->moved;

  if (c == NULL || c->readable || nni_list_empty(&c->readq)) {
    return;
  }
  c->readable = true;
  conn_read(c);
  conn_arm(c);
  // It was another one: do not look in vain again.
  if (e->moved == moved && e->recent == c) {
    e->recent = NULL;
  }
}

static void conn_break(conn *c) {
  c->written = 0;
  conn_drop_wbuf(c);
  c->write_error = NNG_ECONNSHUT;
}

static void conn_cancel(nni_aio *aio, void *arg, int rv) {
  conn *c = arg;

  lock_acquire();
  if (nni_aio_list_active(aio)) {
    // A write that is half way out cannot be taken back: what follows would
    // be garbage to the peer.
    if (aio == nni_list_first(&c->writeq) && c->written > 0) {
      conn_break(c);
    }
    nni_aio_list_remove(aio);
    nni_aio_finish_error(aio, rv);
  }
  lock_release();
}

static bool conn_begin(conn *c, nni_aio *aio) {
  if (nni_aio_begin(aio) != 0) {
    // The aio is closed and its result says so (NNG_ECANCELED). Its callback
    // runs all the same: the transport has operations of its own that wait
    // for this one.
    nni_task_dispatch(&aio->a_task);
    return false;
  }
  if (c->closed) {
    nni_aio_finish_error(aio, NNG_ECLOSED);
    return false;
  }
  return true;
}

static void conn_send(void *arg, nni_aio *aio) {
  conn *c = arg;
  int rv;

  lock_acquire();
  if (conn_begin(c, aio) && !conn_gather(c, aio)) {
    if ((rv = nni_aio_schedule(aio, conn_cancel, c)) != 0) {
      nni_aio_finish_error(aio, rv);
    } else {
      nni_aio_list_append(&c->writeq, aio);
      conn_write(c);
      conn_arm(c);
    }
  }
  lock_release();
}

static void conn_recv(void *arg, nni_aio *aio) {
  struct iovec iov[MAX_IOV];
  conn *c = arg;
  size_t want;
  int niov;
  int rv;

  lock_acquire();
  if (!conn_begin(c, aio)) {
    lock_release();
    return;
  }
  // The usual case: the bytes are there.
  if (c->rlen > 0 && !conn_between(c) && nni_list_empty(&c->readq) &&
      (niov = conn_iov(aio, 0, iov, MAX_IOV, &want)) > 0) {
    const size_t n = conn_serve(c, iov, niov);

    conn_follow(c, iov, niov, n);
    nni_aio_finish(aio, 0, n);
  } else if ((rv = nni_aio_schedule(aio, conn_cancel, c)) != 0) {
    nni_aio_finish_error(aio, rv);
  } else {
    nni_aio_list_append(&c->readq, aio);
    conn_read(c);
    conn_arm(c);
  }
  lock_release();
}

static void conn_close(void *arg) {
  conn *c = arg;

  lock_acquire();
  if (!c->closed) {
    if (c->pfd != NULL) {
      conn_write(c);
    }
    c->closed = true;
    if (c->engine->recent == c) {
      c->engine->recent = NULL;
    }
    c->held = c->resuming = false;
    conn_fail_list(&c->readq, NNG_ECLOSED);
    conn_fail_list(&c->writeq, NNG_ECLOSED);
    // A taker fetches what was read (nng_pair_conn_take_rest).
    if (c->taker == NULL) {
      conn_drop_rbuf(c);
    }
    conn_drop_wbuf(c);
    if (c->pfd != NULL) {
      nni_posix_pfd_close(c->pfd);
    }
  }
  lock_release();
}

static void conn_reap(void *arg) {
  conn *c = arg;

  conn_close(c);
  lock_acquire();
  conn_drop_rbuf(c);
  lock_release();
  if (c->pfd != NULL) {
    nni_posix_pfd_fini(c->pfd);
  }
  if (c->ipc) {
    if (c->base.ipc.dialer != NULL) {
      nni_posix_ipc_dialer_rele(c->base.ipc.dialer);
    }
  } else if (c->base.tcp.dialer != NULL) {
    nni_posix_tcp_dialer_rele(c->base.tcp.dialer);
  }
  lock_acquire();
  engine_drop(c->engine);
  lock_release();
  NNI_FREE_STRUCT(c);
}

static nni_reap_list conn_reap_list = {
    .rl_offset = offsetof(conn, reap),
    .rl_func = conn_reap,
};

static void conn_free(void *arg) {
  conn *c = arg;

  nni_reap(&conn_reap_list, c);
}

// What conn.h offers beyond nng_stream.

int nng_pair_conn_finish(nng_stream *s) {
  conn *c = (conn *)s;
  int rv = 0;

  lock_acquire();
  if (!c->closed) {
    conn_write(c);
    conn_arm(c);
  }
  if (c->closed) {
    rv = NNG_ECLOSED;
  } else if (!nni_list_empty(&c->writeq) || c->wlen > 0) {
    rv = NNG_EBUSY;
  } else if ((c->write_error == 0) && (!c->finished)) {
    c->finished = true;
    if (shutdown(nni_posix_pfd_fd(c->pfd), SHUT_WR) != 0) {
      rv = conn_errno(errno);
    }
  }
  lock_release();
  return rv;
}

int nng_pair_conn_progress(nng_stream *s, int *unacked, uint64_t *received) {
  conn *c = (conn *)s;
  int rv = 0;

  *unacked = 0;
  lock_acquire();
  *received = c->bytes_read;
  if (c->closed) {
    rv = NNG_ECLOSED;
  } else if (!c->ipc) {  // over ipc, what is written is in the peer's queue
#if defined(SIOCOUTQ)
    if (ioctl(nni_posix_pfd_fd(c->pfd), SIOCOUTQ, unacked) != 0) {
      rv = conn_errno(errno);
    }
#elif defined(SO_NWRITE)
    socklen_t len = sizeof(*unacked);
    if (getsockopt(nni_posix_pfd_fd(c->pfd), SOL_SOCKET, SO_NWRITE, unacked,
                   &len) != 0) {
      rv = conn_errno(errno);
    }
#else
    rv = NNG_ENOTSUP;
#endif
  }
  lock_release();
  return rv;
}

unsigned nng_pair_conn_gathered(nng_stream *s, uint64_t *bytes) {
  const conn *c = (conn *)s;

  *bytes = c->gathered_bytes;
  return c->gathered;
}

void nng_pair_conn_on_flushed(nng_stream *s, nng_pair_flushed_cb cb,
                              void *arg) {
  conn *c = (conn *)s;

  c->flushed_cb = cb;
  c->flushed_arg = arg;
}

void nng_pair_conn_flush(nng_stream *s) {
  conn *c = (conn *)s;

  if (c->wlen > 0 && !c->blocked && !c->closed) {
    conn_write(c);
    conn_arm(c);
    atomic_store_explicit(&c->engine->asked, true, memory_order_relaxed);
  }
}

nng_msg *nng_pair_conn_take(nng_stream *s, size_t max) {
  conn *c = (conn *)s;
  const size_t head = sp_head_size(c->ipc);
  nng_msg *msg;
  uint64_t size;

  if (c->closed || !nni_list_empty(&c->readq)) {
    return NULL;
  }
  c->max = max;
  if (c->taker != NULL && !conn_hand_over(c)) {
    return NULL;
  }
  for (;;) {
    const size_t held = c->rlen - c->rpos;

    if (held >= head) {
      if (!conn_head(c, c->rbuf + c->rpos, held, &size)) {
        return NULL;
      }
      if (size <= held - head) {
        break;
      }
      if (size >= DIRECT_MIN) {
        c->ahead = LITTLE_AHEAD;
        return NULL;
      }
      c->ahead = BUFFER_SIZE;
    }
    // As long as there is something to read, a message may become whole.
    if (!c->readable || c->read_error != 0) {
      return NULL;
    }
    conn_fill_buffer(c);
  }
  if ((max > 0 && size > max) || nng_msg_alloc(&msg, (size_t)size) != 0) {
    return NULL;
  }
  memcpy(nng_msg_body(msg), c->rbuf + c->rpos + head, (size_t)size);
  conn_drop_front(c, head + (size_t)size);
  return msg;
}

void nng_pair_conn_on_message(nng_stream *s, nng_pair_taker_cb cb, void *arg) {
  conn *c = (conn *)s;

  c->taker = cb;
  c->taker_arg = arg;
}

bool nng_pair_conn_take_rest(nng_stream *s, nng_pair_small *message) {
  conn *c = (conn *)s;
  const size_t head = sp_head_size(c->ipc);
  const size_t held = c->rlen - c->rpos;
  uint64_t size;

  if (!conn_between(c) || held == 0 ||
      !conn_head(c, c->rbuf + c->rpos, held, &size) || size > held - head ||
      (c->max > 0 && size > c->max)) {
    return false;
  }
  message->data = c->rbuf + c->rpos + head;
  message->size = (size_t)size;
  c->rpos += head + (size_t)size;
  return true;
}

bool nng_pair_conn_holds(nng_stream *s) { return ((conn *)s)->held; }

void nng_pair_conn_resume(nng_stream *s) {
  conn *c = (conn *)s;

  if (c->held) {
    c->resuming = true;
    conn_make_due(c);
  }
}

size_t nng_pair_conn_pull(nng_stream *s, uint8_t *room, size_t *room_size,
                          int32_t *sizes, size_t max) {
  conn *c = (conn *)s;
  const size_t head = sp_head_size(c->ipc);
  size_t free = *room_size;
  size_t n = 0;

  c->pulling = true;
  while (c->held && n < max) {
    const uint8_t *at = c->rbuf + c->rpos;
    size_t left = c->rlen - c->rpos;
    uint64_t size = 0;
    bool whole;

    while ((whole = conn_whole_small(c, at, left, &size)) && n < max &&
           size <= free) {
      memcpy(room, at + head, (size_t)size);
      sizes[n++] = (int32_t)size;
      room += size;
      free -= (size_t)size;
      at += head + (size_t)size;
      left -= head + (size_t)size;
    }
    conn_drop_front(c, c->rlen - c->rpos - left);
    if (whole) {
      break;
    }
    c->held = false;
    conn_read(c);
  }
  c->pulling = false;
  conn_arm(c);
  *room_size = free;
  return n;
}

bool nng_pair_conn_start(nng_stream *s, const void *data, size_t size,
                         size_t *done) {
  conn *c = (conn *)s;
  uint8_t head[9] = {1};
  const size_t nhead = sp_head_size(c->ipc);
  struct iovec iov[2] = {
      {.iov_base = head, .iov_len = nhead},
      {.iov_base = (void *)data, .iov_len = size},
  };
  ssize_t n;

  if (size <= NNG_PAIR_GATHER_MAX || c->finished || c->closed ||
      !nni_list_empty(&c->writeq)) {
    return false;
  }
  conn_write(c);  // what has gathered
  if (c->blocked || c->write_error != 0) {
    return false;
  }
  NNI_PUT64(head + nhead - 8, (uint64_t)size);
  if ((n = conn_sendmsg(c, iov, 2, nhead + size)) <= 0) {
    return false;
  }
  c->written = (size_t)n;
  *done = (size_t)n > nhead ? (size_t)n - nhead : 0;
  return true;
}

void nng_pair_conn_forsake(nng_stream *s) { conn_break((conn *)s); }

size_t nng_pair_conn_room(nng_stream *s, size_t *head) {
  const conn *c = (conn *)s;

  *head = sp_head_size(c->ipc);
  return conn_gathers(c) ? BUFFER_SIZE - c->wlen : 0;
}

bool nng_pair_conn_gather(nng_stream *s, const void *data, size_t size) {
  conn *c = (conn *)s;
  uint8_t *at;

  if ((at = conn_room(c, sp_head_size(c->ipc) + size)) == NULL) {
    return false;
  }
  if (c->ipc) {
    *at++ = 1;
  }
  NNI_PUT64(at, (uint64_t)size);
  if (size > 0) {
    memcpy(at + 8, data, size);
  }
  return true;
}

bool nng_pair_conn_gather_frames(nng_stream *s, const void *frames, size_t size,
                                 unsigned count) {
  conn *c = (conn *)s;
  ssize_t n = 0;

  if (!conn_gathers(c) || c->wlen + size > BUFFER_SIZE || !conn_need_wbuf(c)) {
    return false;
  }
  // What is written at once need not be copied.
  if (c->wlen + size >= WRITE_MIN) {
    const size_t rest = c->wlen - c->wpos;
    struct iovec iov[2] = {
        {.iov_base = c->wbuf + c->wpos, .iov_len = rest},
        {.iov_base = (void *)frames, .iov_len = size},
    };
    const int skip = rest > 0 ? 0 : 1;

    n = conn_sendmsg(c, iov + skip, 2 - skip, rest + size);
    if (n == (ssize_t)(rest + size)) {
      conn_flushed(c);
      return true;
    }
  }
  c->gathered += count;
  c->gathered_bytes += size - count * sp_head_size(c->ipc);
  if (n < 0) {
    return true;  // they go down with the connection
  }
  memcpy(c->wbuf + c->wlen, frames, size);
  c->wlen += size;
  if (n > 0) {
    c->wpos += (size_t)n;
    conn_partly_flushed(c);
  }
  if (c->blocked) {
    conn_arm(c);
  }
  return true;
}

bool nng_pair_conn_put(nng_stream *s, nng_msg *msg) {
  return nng_msg_header_len(msg) == 0 &&
         nng_pair_conn_gather(s, nng_msg_body(msg), nng_msg_len(msg));
}

// Options. The descriptor is valid as long as the connection is.

static int conn_get_self(void *arg, void *buf, size_t *szp, nni_type t) {
  return (nni_copyout_ptr(arg, buf, szp, t));
}

static int ipc_get_addr(void *arg, void *buf, size_t *szp, nni_type t) {
  conn *c = arg;

  return (nni_copyout_sockaddr(&c->sa, buf, szp, t));
}

typedef struct {
  uint64_t pid;
  uint64_t uid;
  uint64_t gid;
} credentials;

static int ipc_credentials(conn *c, credentials *cred) {
  int fd = nni_posix_pfd_fd(c->pfd);
#if defined(__linux__)
  struct ucred uc;
  socklen_t len = sizeof(uc);

  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &uc, &len) != 0) {
    return (conn_errno(errno));
  }
  cred->pid = (uint64_t)uc.pid;
  cred->uid = uc.uid;
  cred->gid = uc.gid;
  return (0);
#elif defined(__APPLE__)
  struct xucred xu;
  pid_t pid;
  socklen_t len = sizeof(xu);

  if (getsockopt(fd, SOL_LOCAL, LOCAL_PEERCRED, &xu, &len) != 0) {
    return (conn_errno(errno));
  }
  len = sizeof(pid);
  if (getsockopt(fd, SOL_LOCAL, LOCAL_PEERPID, &pid, &len) != 0) {
    return (conn_errno(errno));
  }
  cred->pid = (uint64_t)pid;
  cred->uid = xu.cr_uid;
  cred->gid = xu.cr_gid;
  return (0);
#else
  NNI_ARG_UNUSED(fd);
  NNI_ARG_UNUSED(cred);
  return (NNG_ENOTSUP);
#endif
}

static int ipc_get_pid(void *arg, void *buf, size_t *szp, nni_type t) {
  credentials cred = {0};
  int rv = ipc_credentials(arg, &cred);

  return (rv != 0 ? rv : nni_copyout_u64(cred.pid, buf, szp, t));
}

static int ipc_get_uid(void *arg, void *buf, size_t *szp, nni_type t) {
  credentials cred = {0};
  int rv = ipc_credentials(arg, &cred);

  return (rv != 0 ? rv : nni_copyout_u64(cred.uid, buf, szp, t));
}

static int ipc_get_gid(void *arg, void *buf, size_t *szp, nni_type t) {
  credentials cred = {0};
  int rv = ipc_credentials(arg, &cred);

  return (rv != 0 ? rv : nni_copyout_u64(cred.gid, buf, szp, t));
}

static int tcp_get_addr(conn *c,
                        int (*name)(int, struct sockaddr *, socklen_t *),
                        void *buf, size_t *szp, nni_type t) {
  struct sockaddr_storage ss;
  socklen_t len = sizeof(ss);
  nng_sockaddr sa;
  int rv;

  if (name(nni_posix_pfd_fd(c->pfd), (struct sockaddr *)&ss, &len) != 0) {
    return (conn_errno(errno));
  }
  if ((rv = nni_posix_sockaddr2nn(&sa, &ss, len)) != 0) {
    return (rv);
  }
  return (nni_copyout_sockaddr(&sa, buf, szp, t));
}

static int tcp_get_remote(void *arg, void *buf, size_t *szp, nni_type t) {
  return (tcp_get_addr(arg, getpeername, buf, szp, t));
}

static int tcp_get_local(void *arg, void *buf, size_t *szp, nni_type t) {
  return (tcp_get_addr(arg, getsockname, buf, szp, t));
}

static int tcp_get_flag(conn *c, int level, int opt, void *buf, size_t *szp,
                        nni_type t) {
  int val = 0;
  socklen_t len = sizeof(val);

  if (getsockopt(nni_posix_pfd_fd(c->pfd), level, opt, &val, &len) != 0) {
    return (conn_errno(errno));
  }
  return (nni_copyout_bool(val != 0, buf, szp, t));
}

static int tcp_set_flag(conn *c, int level, int opt, const void *buf, size_t sz,
                        nni_type t) {
  bool on;
  int val;
  int rv;

  if (((rv = nni_copyin_bool(&on, buf, sz, t)) != 0) || (c == NULL)) {
    return (rv);
  }
  val = on ? 1 : 0;
  if (setsockopt(nni_posix_pfd_fd(c->pfd), level, opt, &val, sizeof(val)) !=
      0) {
    return (conn_errno(errno));
  }
  return (0);
}

static int tcp_get_nodelay(void *arg, void *buf, size_t *szp, nni_type t) {
  return (tcp_get_flag(arg, IPPROTO_TCP, TCP_NODELAY, buf, szp, t));
}

static int tcp_set_nodelay(void *arg, const void *buf, size_t sz, nni_type t) {
  return (tcp_set_flag(arg, IPPROTO_TCP, TCP_NODELAY, buf, sz, t));
}

static int tcp_get_keepalive(void *arg, void *buf, size_t *szp, nni_type t) {
  return (tcp_get_flag(arg, SOL_SOCKET, SO_KEEPALIVE, buf, szp, t));
}

static int tcp_set_keepalive(void *arg, const void *buf, size_t sz,
                             nni_type t) {
  return (tcp_set_flag(arg, SOL_SOCKET, SO_KEEPALIVE, buf, sz, t));
}

static const nni_option ipc_options[] = {
    {.o_name = NNG_PAIR_OPT_CONN, .o_get = conn_get_self},
    {.o_name = NNG_OPT_LOCADDR, .o_get = ipc_get_addr},
    {.o_name = NNG_OPT_REMADDR, .o_get = ipc_get_addr},
    {.o_name = NNG_OPT_IPC_PEER_PID, .o_get = ipc_get_pid},
    {.o_name = NNG_OPT_IPC_PEER_UID, .o_get = ipc_get_uid},
    {.o_name = NNG_OPT_IPC_PEER_GID, .o_get = ipc_get_gid},
    {.o_name = NULL},
};

static const nni_option tcp_options[] = {
    {.o_name = NNG_PAIR_OPT_CONN, .o_get = conn_get_self},
    {.o_name = NNG_OPT_REMADDR, .o_get = tcp_get_remote},
    {.o_name = NNG_OPT_LOCADDR, .o_get = tcp_get_local},
    {
        .o_name = NNG_OPT_TCP_NODELAY,
        .o_get = tcp_get_nodelay,
        .o_set = tcp_set_nodelay,
    },
    {
        .o_name = NNG_OPT_TCP_KEEPALIVE,
        .o_get = tcp_get_keepalive,
        .o_set = tcp_set_keepalive,
    },
    {.o_name = NULL},
};

static int conn_get(void *arg, const char *name, void *buf, size_t *szp,
                    nni_type t) {
  conn *c = arg;

  return (nni_getopt(c->ipc ? ipc_options : tcp_options, name, c, buf, szp, t));
}

static int conn_set(void *arg, const char *name, const void *buf, size_t sz,
                    nni_type t) {
  conn *c = arg;

  return (nni_setopt(c->ipc ? ipc_options : tcp_options, name, c, buf, sz, t));
}

// The constructors that NNG's dialers and listeners call: alloc, then init
// with the descriptor, then start once it is connected.

static conn *conn_alloc(bool ipc) {
  conn *c;

  if ((c = NNI_ALLOC_STRUCT(c)) == NULL) {
    return (NULL);
  }
  c->ipc = ipc;
  c->base.stream.s_free = conn_free;
  c->base.stream.s_close = conn_close;
  c->base.stream.s_send = conn_send;
  c->base.stream.s_recv = conn_recv;
  c->base.stream.s_get = conn_get;
  c->base.stream.s_set = conn_set;
  lock_acquire();
  c->engine = engine_current();
  engine_hold(c->engine);
  lock_release();
  c->readable = true;
  c->ahead = BUFFER_SIZE;
  NNI_LIST_NODE_INIT(&c->due);
  nni_aio_list_init(&c->readq);
  nni_aio_list_init(&c->writeq);
  return (c);
}

int nni_posix_tcp_alloc(nni_tcp_conn **cp, nni_tcp_dialer *d) {
  conn *c;

  if ((c = conn_alloc(false)) == NULL) {
    return (NNG_ENOMEM);
  }
  c->base.tcp.dialer = d;
  *cp = &c->base.tcp;
  return (0);
}

void nni_posix_tcp_init(nni_tcp_conn *tcp, nni_posix_pfd *pfd) {
  conn *c = (conn *)tcp;

  c->pfd = pfd;
}

static void set_local_send_buffer(int fd) {
#if defined(__linux__)
  const int size = LOCAL_SEND_BUFFER;

  (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
#else
  (void)fd;
#endif
}

typedef struct tcp_ends {
  bool local;  // both are of this machine
  bool same;   // it is connected to itself
} tcp_ends;

static tcp_ends tcp_get_ends(int fd) {
  union {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
  } a, b;
  socklen_t alen = sizeof(a);
  socklen_t blen = sizeof(b);
  tcp_ends ends = {false, false};

  memset(&a, 0, sizeof(a));
  memset(&b, 0, sizeof(b));
  if ((getsockname(fd, &a.sa, &alen) != 0) ||
      (getpeername(fd, &b.sa, &blen) != 0) ||
      (a.sa.sa_family != b.sa.sa_family)) {
    return (ends);
  }
  if (a.sa.sa_family == AF_INET) {
    ends.local = a.in.sin_addr.s_addr == b.in.sin_addr.s_addr;
    ends.same = ends.local && (a.in.sin_port == b.in.sin_port);
  } else {
    ends.local = memcmp(&a.in6.sin6_addr, &b.in6.sin6_addr,
                        sizeof(a.in6.sin6_addr)) == 0;
    ends.same = ends.local && (a.in6.sin6_port == b.in6.sin6_port);
  }
  return (ends);
}

void nni_posix_tcp_start(nni_tcp_conn *tcp, int nodelay, int keepalive) {
  conn *c = (conn *)tcp;
  int fd = nni_posix_pfd_fd(c->pfd);
  tcp_ends ends = tcp_get_ends(fd);
  struct sockaddr nobody = {.sa_family = AF_UNSPEC};

  // Dialing a port of this machine that nobody listens on can, once in a while,
  // connect a TCP socket to itself.
  if ((c->base.tcp.dialer != NULL) && ends.same) {
    c->read_error = NNG_ECONNREFUSED;
    c->write_error = NNG_ECONNREFUSED;
    // With a reset: TIME_WAIT would keep the listener from its port.
    (void)connect(fd, &nobody, sizeof(nobody));
  }
  if (ends.local) {
    set_local_send_buffer(fd);
  }
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, sizeof(nodelay));
  (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keepalive, sizeof(keepalive));
  nni_posix_pfd_set_cb(c->pfd, conn_cb, c);
}

int nni_posix_ipc_alloc(nni_ipc_conn **cp, nni_sockaddr *sa,
                        nni_ipc_dialer *d) {
  conn *c;

  if ((c = conn_alloc(true)) == NULL) {
    return (NNG_ENOMEM);
  }
  c->sa = *sa;
  c->base.ipc.dialer = d;
  *cp = &c->base.ipc;
  return (0);
}

void nni_posix_ipc_init(nni_ipc_conn *ipc, nni_posix_pfd *pfd) {
  conn *c = (conn *)ipc;

  c->pfd = pfd;
}

void nni_posix_ipc_start(nni_ipc_conn *ipc) {
  conn *c = (conn *)ipc;

  set_local_send_buffer(nni_posix_pfd_fd(c->pfd));
  nni_posix_pfd_set_cb(c->pfd, conn_cb, c);
}
