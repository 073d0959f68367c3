#include "peer.h"

#include <cstring>

#include "../platform/os_net.h"

namespace nng_pair {

namespace {

double Credential(nng_pipe pipe, const char* option) {
  uint64_t value;
  if (nng_pipe_get_uint64(pipe, option, &value) != 0) return -1;
  return static_cast<double>(value);
}

std::string NumericAddress(int family, const void* address) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(family, address, text, sizeof(text));
  return text;
}

// As Node writes it: the address of a link is of use only with its interface.
std::string NumericAddress(const nng_sockaddr_in6& in6) {
  std::string address = NumericAddress(AF_INET6, in6.sa_addr);
  if (in6.sa_scope == 0) return address;
  char buffer[OS_INTERFACE_NAME];
  const char* name = os_interface_name(in6.sa_scope, buffer);
  if (name != nullptr) return address + '%' + name;
  return address + '%' + std::to_string(in6.sa_scope);
}

}  // namespace

std::string NumericHost(const nng_sockaddr& sa) {
  switch (sa.s_family) {
    case NNG_AF_INET:
      return NumericAddress(AF_INET, &sa.s_in.sa_addr);
    case NNG_AF_INET6:
      return NumericAddress(sa.s_in6);
    default:
      return "";
  }
}

Peer DescribePeer(nng_pipe pipe) {
  Peer peer;
  nng_sockaddr sa;
  if (nng_pipe_get_addr(pipe, NNG_OPT_REMADDR, &sa) == 0) {
    switch (sa.s_family) {
      case NNG_AF_INET:
        peer.address = NumericHost(sa);
        peer.port = ntohs(sa.s_in.sa_port);
        break;
      case NNG_AF_INET6:
        peer.address = NumericHost(sa);
        peer.port = ntohs(sa.s_in6.sa_port);
        break;
      case NNG_AF_IPC:
        peer.ipc = true;
        peer.address = sa.s_ipc.sa_path;
        peer.pid = Credential(pipe, NNG_OPT_IPC_PEER_PID);
        peer.uid = Credential(pipe, NNG_OPT_IPC_PEER_UID);
        peer.gid = Credential(pipe, NNG_OPT_IPC_PEER_GID);
        break;
      default:
        break;
    }
  }
  int id = nng_dialer_id(nng_pipe_dialer(pipe));
  peer.dialed = id > 0;
  if (!peer.dialed) id = nng_listener_id(nng_pipe_listener(pipe));
  peer.endpoint = id > 0 ? static_cast<uint32_t>(id) : 0;
  return peer;
}

}  // namespace nng_pair
