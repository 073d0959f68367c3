#include "traffic.h"

#include <stdatomic.h>

#if defined(NNG_PAIR_OWN_CONN)

#include "../../binding/stream/conn.h"
#include "nng_ext.h"
#include "pair0_observer.h"

#define FRAMES 64
#define AT_ONCE ((size_t)4 * 1024)

// Everything but `received` is guarded by the engine's lock.
struct traffic {
  nng_socket sock;
  pair0_observer observer;
  nng_stream *conn;  // from PAIR0_START to PAIR0_STOP
  unsigned char *frames;
  size_t body;
  size_t size;     // of the frames
  size_t written;  // of them
  atomic_size_t received;
};

// The same frames again and again, so many whenever something has come. Without
// a bound a turn of the engine would last until the kernel takes no more, which
// is megabytes over tcp, and whoever closes waits for many turns.
static void on_writable(void *arg) {
  traffic *t = arg;
  size_t left = AT_ONCE;

  while (left > 0 && nng_pair_conn_writable(t->conn)) {
    const size_t rest = t->size - t->written;
    const size_t size = rest < left ? rest : left;
    struct iovec iov = {.iov_base = t->frames + t->written, .iov_len = size};
    const size_t n = nng_pair_conn_write(t->conn, &iov, 1, size);

    t->written = (t->written + n) % t->size;
    left -= n;
  }
}

// What has come is discarded.
static void on_readable(void *arg) {
  traffic *t = arg;
  char some[16 * 1024];
  const struct iovec iov = {.iov_base = some, .iov_len = sizeof(some)};

  while (nng_pair_conn_readable(t->conn)) {
    if (nng_pair_conn_turn_is_over(t->conn)) {
      nng_pair_conn_read_later(t->conn);
      break;
    }
    atomic_fetch_add(&t->received,
                     nng_pair_conn_read(t->conn, &iov, 1, sizeof(some)));
  }
  on_writable(t);
}

static void begin_frames(traffic *t) {
  const size_t head = nng_pair_conn_is_ipc(t->conn) ? 9 : 8;

  for (size_t n = 0; n < FRAMES; n++) {
    unsigned char *frame = t->frames + n * (head + t->body);
    size_t size = t->body;

    frame[0] = 1;
    for (size_t i = 1; i <= 8; i++) {
      frame[head - i] = (unsigned char)(size & 0xff);
      size >>= 8;
    }
  }
  t->size = FRAMES * (head + t->body);
  t->written = 0;
}

static void observe(void *arg, pair0_event event, uint32_t id, int error) {
  static const nng_pair_conn_user user = {on_readable, on_writable};
  const nng_pipe pipe = {.id = id};
  traffic *t = arg;

  (void)error;
  if (event == PAIR0_START) {
    OK(nng_pair_pipe_conn(pipe, &t->conn));
    begin_frames(t);
    nng_pair_conn_attach(t->conn, &user, t);
    nng_pair_conn_write_later(t->conn);
  } else if (event == PAIR0_STOP) {
    nng_pair_conn_detach(t->conn);
    t->conn = NULL;
  }
}

traffic *traffic_start(nng_socket sock, size_t size) {
  traffic *t = calloc(1, sizeof(*t));

  CHECK(t != NULL);
  // The longest head takes 9 bytes.
  CHECK((t->frames = calloc(FRAMES, 9 + size)) != NULL);
  t->sock = sock;
  t->body = size;
  t->observer = (pair0_observer){observe, t};
  OK(nng_socket_set_ptr(sock, PAIR0_OPT_OBSERVER, &t->observer));
  return (t);
}

void traffic_close(traffic *t) {
  OK(nng_close(t->sock));
  CHECK(t->conn == NULL);
  free(t->frames);
  free(t);
}

#else

#include <pthread.h>
#include <sched.h>

struct traffic {
  nng_socket sock;
  size_t size;
  pthread_t sender;
  pthread_t receiver;
  atomic_size_t received;
};

// No call waits: one that reached pair0 after nng_close() would wait for ever,
// and that is not what the programs are to show.

static void *send_always(void *arg) {
  traffic *t = arg;
  nng_msg *msg;
  int rv;

  do {
    OK(nng_msg_alloc(&msg, t->size));
    if ((rv = nng_sendmsg(t->sock, msg, NNG_FLAG_NONBLOCK)) != 0) {
      nng_msg_free(msg);
      (void)sched_yield();
    }
  } while (rv == 0 || rv == NNG_EAGAIN);
  return (NULL);
}

static void *receive_always(void *arg) {
  traffic *t = arg;
  nng_msg *msg;
  int rv;

  do {
    if ((rv = nng_recvmsg(t->sock, &msg, NNG_FLAG_NONBLOCK)) == 0) {
      atomic_fetch_add(&t->received, nng_msg_len(msg));
      nng_msg_free(msg);
    } else {
      (void)sched_yield();
    }
  } while (rv == 0 || rv == NNG_EAGAIN);
  return (NULL);
}

traffic *traffic_start(nng_socket sock, size_t size) {
  traffic *t = calloc(1, sizeof(*t));

  CHECK(t != NULL);
  t->sock = sock;
  t->size = size;
  OK(nng_socket_set_int(sock, NNG_OPT_SENDBUF, 16));
  OK(nng_socket_set_int(sock, NNG_OPT_RECVBUF, 16));
  CHECK(pthread_create(&t->sender, NULL, send_always, t) == 0);
  CHECK(pthread_create(&t->receiver, NULL, receive_always, t) == 0);
  return (t);
}

void traffic_close(traffic *t) {
  OK(nng_close(t->sock));
  CHECK(pthread_join(t->sender, NULL) == 0);
  CHECK(pthread_join(t->receiver, NULL) == 0);
  free(t);
}

#endif

void traffic_wait(traffic *t, size_t bytes) {
  while (atomic_load(&t->received) < bytes) {
    wait_a_little();
  }
}
