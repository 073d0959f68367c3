// The system's headers for addresses and their names.

#ifndef NNG_PAIR_OS_NET_H
#define NNG_PAIR_OS_NET_H

#if defined(_WIN32)
#include <winsock2.h>
// In this order.
#include <iphlpapi.h>
#include <ws2tcpip.h>
// What IF_NAMESIZE is, in a header that not everybody has.
#ifndef NDIS_IF_MAX_STRING_SIZE
#define NDIS_IF_MAX_STRING_SIZE 256
#endif
#else
#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/socket.h>
#endif

#endif  // NNG_PAIR_OS_NET_H
