#include "fault.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#if defined(NNG_PAIR_OWN_CONN)
#include <pthread.h>

#include "../../binding/engine/engine.h"
#else
#include "platform/posix/posix_pollq.h"
#endif

static const unsigned char header[8] = {0, 'S', 'P', 0, 0, 0x10, 0, 0};

void free_url(transport tran, char url[URL_SIZE]) {
  static int count = 0;

  if (tran == TCP) {
    (void)snprintf(url, URL_SIZE, "tcp://127.0.0.1:0");
  } else {
    (void)snprintf(url, URL_SIZE, "ipc:///tmp/nng-pair-fault-%d-%d.ipc",
                   (int)getpid(), count++);
  }
}

void start_listener(nng_socket sock, transport tran, char url[URL_SIZE]) {
  nng_listener listener;
  char *real;

  free_url(tran, url);
  OK(nng_listen(sock, url, &listener, 0));
  OK(nng_listener_get_string(listener, NNG_OPT_URL, &real));
  (void)snprintf(url, URL_SIZE, "%s", real);
  nng_strfree(real);
}

typedef union {
  struct sockaddr any;
  struct sockaddr_in in;
  struct sockaddr_un un;
} address;

static socklen_t parse(const char *url, address *addr) {
  memset(addr, 0, sizeof(*addr));
  if (strncmp(url, "tcp:", 4) == 0) {
    addr->in.sin_family = AF_INET;
    addr->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    addr->in.sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1));
    return (sizeof(addr->in));
  }
  addr->un.sun_family = AF_UNIX;
  (void)snprintf(addr->un.sun_path, sizeof(addr->un.sun_path), "%s",
                 url + strlen("ipc://"));
  return (sizeof(addr->un));
}

static void set_patience(int fd) {
  struct timeval patience = {.tv_sec = PATIENCE_S, .tv_usec = 0};

  CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ==
        0);
}

int raw_connect(const char *url) {
  address addr;
  socklen_t len = parse(url, &addr);
  int fd = socket(addr.any.sa_family, SOCK_STREAM, 0);

  CHECK(fd >= 0);
  CHECK(connect(fd, &addr.any, len) == 0);
  set_patience(fd);
  return (fd);
}

int raw_listen(transport tran, char url[URL_SIZE]) {
  address addr;
  socklen_t len;
  int fd;

  free_url(tran, url);
  len = parse(url, &addr);
  CHECK((fd = socket(addr.any.sa_family, SOCK_STREAM, 0)) >= 0);
  CHECK(bind(fd, &addr.any, len) == 0);
  CHECK(listen(fd, 128) == 0);
  if (tran == TCP) {
    CHECK(getsockname(fd, &addr.any, &len) == 0);
    (void)snprintf(url, URL_SIZE, "tcp://127.0.0.1:%u",
                   (unsigned)ntohs(addr.in.sin_port));
  }
  return (fd);
}

int raw_accept(int listener) {
  int fd = accept(listener, NULL, NULL);

  CHECK(fd >= 0);
  set_patience(fd);
  return (fd);
}

void raw_reset(int fd) {
  struct linger reset = {.l_onoff = 1, .l_linger = 0};

  CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) == 0);
  CHECK(close(fd) == 0);
}

void raw_end_and_reset(int fd) {
  (void)shutdown(fd, SHUT_WR);
  raw_reset(fd);
}

bool raw_write(int fd, const void *bytes, size_t size) {
  const char *next = bytes;

  while (size > 0) {
    ssize_t n = send(fd, next, size, MSG_NOSIGNAL);
    if (n <= 0) {
      return (false);
    }
    next += n;
    size -= (size_t)n;
  }
  return (true);
}

bool raw_read(int fd, void *bytes, size_t size) {
  char *next = bytes;

  while (size > 0) {
    ssize_t n = recv(fd, next, size, 0);
    if (n <= 0) {
      return (false);
    }
    next += n;
    size -= (size_t)n;
  }
  return (true);
}

bool raw_shake(int fd) {
  unsigned char theirs[sizeof(header)];

  return (raw_write(fd, header, sizeof(header)) &&
          raw_read(fd, theirs, sizeof(theirs)) &&
          (memcmp(theirs, header, sizeof(header)) == 0));
}

static size_t message_header(transport tran, size_t length,
                             unsigned char head[9]) {
  size_t size = (tran == IPC) ? 9 : 8;

  head[0] = 1;
  for (size_t i = 1; i <= 8; i++) {
    head[size - i] = (unsigned char)(length & 0xff);
    length >>= 8;
  }
  return (size);
}

bool raw_send(int fd, transport tran, const char *text) {
  unsigned char head[9];

  return (raw_write(fd, head, message_header(tran, strlen(text), head)) &&
          raw_write(fd, text, strlen(text)));
}

bool raw_expect(int fd, transport tran, const char *text) {
  unsigned char head[9];
  unsigned char wanted[9];
  size_t length = strlen(text);
  size_t size = message_header(tran, length, wanted);
  char *body = malloc(length + 1);
  bool same;

  CHECK(body != NULL);
  same = raw_read(fd, head, size) && (memcmp(head, wanted, size) == 0) &&
         raw_read(fd, body, length) && (memcmp(body, text, length) == 0);
  free(body);
  return (same);
}

void expect_next_peer(nng_socket sock, transport tran, const char *url) {
  nng_msg *msg;
  char end;
  int fd;
  int rv;

  OK(nng_socket_set_ms(sock, NNG_OPT_RECVTIMEO, 100));
  for (;;) {
    fd = raw_connect(url);
    // While the one before is still there it is hung up on, at
    // whatever point of this.
    if (raw_shake(fd) && raw_send(fd, tran, "next")) {
      do {
        if ((rv = nng_recvmsg(sock, &msg, 0)) == 0) {
          CHECK(nng_msg_len(msg) == 4);
          CHECK(memcmp(nng_msg_body(msg), "next", 4) == 0);
          nng_msg_free(msg);
          CHECK(close(fd) == 0);
          return;
        }
        CHECK(rv == NNG_ETIMEDOUT);
      } while (recv(fd, &end, 1, MSG_DONTWAIT) < 0);
    }
    CHECK(close(fd) == 0);
    wait_a_little();
  }
}

void gate_init(gate *g) { CHECK(pipe(g->fds) == 0); }

void gate_open(const gate *g) { CHECK(write(g->fds[1], "x", 1) == 1); }

void gate_wait(const gate *g) {
  char byte;

  CHECK(read(g->fds[0], &byte, 1) == 1);
}

static gate poller_stopped;

#if defined(NNG_PAIR_OWN_CONN)

// NNG runs on an engine here: a thread of ours gives it its turns.

static engine *the_engine;
static volatile bool hold;

static void *turn(void *arg) {
  (void)arg;
  engine_adopt(the_engine);
  for (;;) {
    engine_wait(the_engine);
    if (hold) {
      gate_open(&poller_stopped);
      // The tasks go on; they ran on threads of their own.
      while (hold) {
        engine_enter(the_engine);
        engine_leave(the_engine);
        wait_a_little();
      }
    }
    engine_turn(the_engine);
  }
  return (NULL);
}

void use_engine(void) { engine_bind(the_engine); }

// Before main(): whatever the program makes belongs to the engine.
__attribute__((constructor)) static void start_engine(void) {
  pthread_t thread;

  CHECK((the_engine = engine_create()) != NULL);
  CHECK(pthread_create(&thread, NULL, turn, NULL) == 0);
  use_engine();
}

void hold_poller(void) {
  gate_init(&poller_stopped);
  hold = true;
  engine_signal(the_engine);
  gate_wait(&poller_stopped);
}

void release_poller(void) { hold = false; }

#else

void use_engine(void) {}

static gate poller_may_go;

// The poller calls back from its one thread: a callback that does not return
// stops it.

static void stop_poller(nni_posix_pfd *pfd, unsigned events, void *arg) {
  (void)pfd;
  (void)events;
  (void)arg;
  gate_open(&poller_stopped);
  gate_wait(&poller_may_go);
}

void hold_poller(void) {
  nni_posix_pfd *pfd;
  gate ready;

  gate_init(&poller_stopped);
  gate_init(&poller_may_go);
  gate_init(&ready);
  OK(nni_posix_pfd_init(&pfd, ready.fds[0]));
  nni_posix_pfd_set_cb(pfd, stop_poller, NULL);
  OK(nni_posix_pfd_arm(pfd, NNI_POLL_IN));
  gate_open(&ready);
  gate_wait(&poller_stopped);
}

void release_poller(void) { gate_open(&poller_may_go); }

#endif
