// The system's headers for addresses and their names.

#ifndef NNG_PAIR_OS_NET_H
#define NNG_PAIR_OS_NET_H

#if defined(_WIN32)
#include <winsock2.h>
// After it.
#include <ws2tcpip.h>
#else
#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/socket.h>
#endif

#define OS_INTERFACE_NAME 64

// The name of an interface, as it stands behind the % of an address, or NULL
// where that is its number.
static inline const char *os_interface_name(unsigned index, char *buffer) {
#if defined(_WIN32)
  (void)index;
  (void)buffer;
  return NULL;
#else
  return if_indextoname(index, buffer);
#endif
}

#endif  // NNG_PAIR_OS_NET_H
