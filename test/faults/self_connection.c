// A dialer does not take itself for its peer (test/self-connection.test.ts
// says how that comes about). Here the connection is made by hand, for
// machines where the system cannot be made to do it.

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "core/nng_impl.h"
#include "fault.h"
#include "platform/posix/posix_pollq.h"
#include "platform/posix/posix_tcp.h"

// A port of its own that is bound, dialed and answered by one socket.
static int connect_to_self(struct sockaddr_in *addr) {
  socklen_t len = sizeof(*addr);
  int fd = socket(AF_INET, SOCK_STREAM, 0);

  CHECK(fd >= 0);
  memset(addr, 0, sizeof(*addr));
  addr->sin_family = AF_INET;
  addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(fd, (struct sockaddr *)addr, len) == 0);
  CHECK(getsockname(fd, (struct sockaddr *)addr, &len) == 0);
  CHECK(connect(fd, (struct sockaddr *)addr, len) == 0);
  return (fd);
}

int main(void) {
  struct sockaddr_in addr;
  nni_tcp_dialer *dialer;
  nni_tcp_conn *conn;
  nni_posix_pfd *pfd;
  nng_aio *aio;
  nng_iov iov;
  char byte;

  progress();
  OK(nni_init());
  OK(nni_tcp_dialer_init(&dialer));
  OK(nni_posix_tcp_alloc(&conn, dialer));
  OK(nni_posix_pfd_init(&pfd, connect_to_self(&addr)));
  nni_posix_tcp_init(conn, pfd);
  nni_posix_tcp_start(conn, 1, 0);

  OK(nng_aio_alloc(&aio, NULL, NULL));
  iov.iov_buf = &byte;
  iov.iov_len = 1;
  OK(nng_aio_set_iov(aio, 1, &iov));
  nng_aio_set_timeout(aio, 1000);
  nng_stream_recv(&conn->stream, aio);
  nng_aio_wait(aio);
  CHECK(nng_aio_result(aio) == NNG_ECONNREFUSED);
  return (0);
}
