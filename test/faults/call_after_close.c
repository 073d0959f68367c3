// deps/patches/0008: a call that found its socket open reaches pair0
// after the socket was closed. It waits there for ever, and once the socket is
// freed, whoever cancels it follows a dangling pointer.

#include "core/nng_impl.h"
#include "fault.h"

int main(void) {
  nng_socket sock;
  nni_sock *found;
  nng_msg *msg;
  nng_aio *aio;

  progress();
  OK(nng_pair0_open(&sock));
  OK(nni_sock_find(&found, sock.id));
  // nng_close() does this, and then waits for those who have found it.
  OK(nni_sock_shutdown(found));
  OK(nng_aio_alloc(&aio, NULL, NULL));
  nni_sock_recv(found, aio);
  nng_aio_wait(aio);
  CHECK(nng_aio_result(aio) == NNG_ECLOSED);

  OK(nng_msg_alloc(&msg, 5));
  nng_aio_set_msg(aio, msg);
  nni_sock_send(found, aio);
  nng_aio_wait(aio);
  CHECK(nng_aio_result(aio) == NNG_ECLOSED);
  nng_msg_free(msg);
  nng_aio_free(aio);
  nni_sock_rele(found);
  OK(nng_close(sock));
  return (0);
}
