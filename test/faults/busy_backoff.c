// deps/patches/0004: a peer that is busy lets a dialer in and hangs up. The
// back-off must grow all the same, and start anew after a connection that
// lasted for a second.

#include "core/nng_impl.h"
#include "core/sockimpl.h"
#include "fault.h"

#define FIRST_MS 10
#define LAST_MS 80

static void back_off(transport tran) {
  // The longest pause after the one that is under way.
  static const int expected[] = {10, 20, 40, 80, 80, 80};
  nng_socket sock;
  nng_dialer id;
  nni_dialer *dialer;
  char url[URL_SIZE];
  int listener = raw_listen(tran, url);
  int fd;

  progress();
  OK(nng_pair0_open(&sock));
  OK(nng_socket_set_ms(sock, NNG_OPT_RECONNMINT, FIRST_MS));
  OK(nng_socket_set_ms(sock, NNG_OPT_RECONNMAXT, LAST_MS));
  OK(nng_dial(sock, url, &id, NNG_FLAG_NONBLOCK));
  OK(nni_dialer_find(&dialer, (uint32_t)nng_dialer_id(id)));
  for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
    fd = raw_accept(listener);
    CHECK(dialer->d_currtime == expected[i]);
    CHECK(raw_shake(fd));
    CHECK(close(fd) == 0);
  }
  fd = raw_accept(listener);
  CHECK(raw_shake(fd));
  nni_msleep(1200);
  CHECK(close(fd) == 0);
  fd = raw_accept(listener);
  CHECK(dialer->d_currtime == 2 * FIRST_MS);
  CHECK(close(fd) == 0);
  nni_dialer_rele(dialer);
  OK(nng_close(sock));
}

int main(void) {
  back_off(TCP);
  back_off(IPC);
  return (0);
}
