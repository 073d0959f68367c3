// Plain blocking sockets: the floor. Four bytes of length, then the body, as
// in node/framing.mjs. One write a message when taking turns; a stream of
// small ones gathers in a buffer.

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "meter.h"
#include "peer.h"

#define HEADER 4
#define BUFFER 65536
#define GATHER_LIMIT 16384
// What is read beyond the end of a large body has to be copied.
#define AHEAD_OF_LARGE 4096

static int fd;

typedef union {
  struct sockaddr any;
  struct sockaddr_in in;
  struct sockaddr_un un;
} address;

static socklen_t parse(const char *url, address *a) {
  memset(a, 0, sizeof(*a));
  if (strncmp(url, "ipc://", 6) == 0) {
    a->un.sun_family = AF_UNIX;
    snprintf(a->un.sun_path, sizeof(a->un.sun_path), "%s", url + 6);
    return sizeof(a->un);
  }
  a->in.sin_family = AF_INET;
  a->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  a->in.sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1));
  return sizeof(a->in);
}

static void no_delay(const address *a) {
  int on = 1;
  if (a->any.sa_family == AF_INET &&
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) {
    die("TCP_NODELAY");
  }
}

void peer_listen(const char *url, size_t size) {
  (void)size;
  address a;
  char bound[64];
  socklen_t length = parse(url, &a);
  int listener = socket(a.any.sa_family, SOCK_STREAM, 0);
  if (listener < 0 || bind(listener, &a.any, length) != 0 ||
      listen(listener, 1) != 0) {
    die("listen");
  }
  if (a.any.sa_family == AF_INET) {
    getsockname(listener, &a.any, &length);
    snprintf(bound, sizeof(bound), "tcp://127.0.0.1:%d", ntohs(a.in.sin_port));
    url = bound;
  }
  tell_listening(url);
  if ((fd = accept(listener, NULL, NULL)) < 0) {
    die("accept");
  }
  no_delay(&a);
}

void peer_dial(const char *url, size_t size) {
  (void)size;
  address a;
  socklen_t length = parse(url, &a);
  fd = socket(a.any.sa_family, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, &a.any, length) != 0) {
    die("connect");
  }
  no_delay(&a);
}

static void write_all(struct iovec *iov, int n) {
  while (n > 0) {
    ssize_t wrote = writev(fd, iov, n);
    if (wrote < 0) {
      if (errno == EINTR) {
        continue;
      }
      die("write");
    }
    for (; n > 0 && (size_t)wrote >= iov->iov_len; iov++, n--) {
      wrote -= (ssize_t)iov->iov_len;
    }
    if (n > 0) {
      iov->iov_base = (char *)iov->iov_base + wrote;
      iov->iov_len -= (size_t)wrote;
    }
  }
}

void peer_send(const unsigned char *body, size_t size) {
  uint32_t header = htonl((uint32_t)size);
  struct iovec iov[2] = {{&header, HEADER}, {(void *)body, size}};
  write_all(iov, 2);
}

void peer_send_all(const unsigned char *body, size_t size, long count) {
  static char buffer[BUFFER];
  uint32_t header = htonl((uint32_t)size);
  size_t used = 0;
  if (size > GATHER_LIMIT) {
    for (long i = 0; i < count; i++) {
      peer_send(body, size);
    }
    return;
  }
  for (long i = 0; i < count; i++) {
    if (used + HEADER + size > sizeof(buffer)) {
      write_all(&(struct iovec){buffer, used}, 1);
      used = 0;
    }
    memcpy(buffer + used, &header, HEADER);
    memcpy(buffer + used + HEADER, body, size);
    used += HEADER + size;
  }
  write_all(&(struct iovec){buffer, used}, 1);
}

// What was read and not handed out yet.
static unsigned char ahead[BUFFER];
static size_t begin;
static size_t end;
static size_t limit = sizeof(ahead);

// Reads up to `wanted` bytes to `body` and more of what follows into `ahead`,
// which must be empty; returns how many went to `body`.
static size_t read_some(unsigned char *body, size_t wanted) {
  struct iovec iov[2] = {{body, wanted}, {ahead, limit}};
  ssize_t got;
  do {
    got = readv(fd, iov, 2);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) {
    die("read");
  }
  begin = 0;
  end = (size_t)got > wanted ? (size_t)got - wanted : 0;
  return (size_t)got < wanted ? (size_t)got : wanted;
}

static void read_exactly(unsigned char *to, size_t wanted) {
  size_t taken = end - begin < wanted ? end - begin : wanted;
  memcpy(to, ahead + begin, taken);
  begin += taken;
  while (taken < wanted) {
    taken += read_some(to + taken, wanted - taken);
  }
}

// The next message, valid until the next call: in place when it is all there.
static const unsigned char *next_message(size_t *size) {
  static unsigned char *body;
  static size_t room;
  uint32_t header;
  read_exactly((unsigned char *)&header, HEADER);
  *size = ntohl(header);
  if (end - begin >= *size) {
    const unsigned char *message = ahead + begin;
    begin += *size;
    return message;
  }
  limit = *size > GATHER_LIMIT ? AHEAD_OF_LARGE : sizeof(ahead);
  if (*size > room) {
    room = *size;
    if ((body = realloc(body, room)) == NULL) {
      die("realloc");
    }
  }
  read_exactly(body, *size);
  return body;
}

void peer_recv(tally *t) {
  size_t size;
  const unsigned char *message = next_message(&size);
  tally_add(t, message, size);
}

void peer_echo(void) {
  size_t size;
  const unsigned char *message = next_message(&size);
  peer_send(message, size);
}
