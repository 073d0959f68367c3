// Who is at the other end of a pipe.

#ifndef NNG_PAIR_CORE_PEER_H
#define NNG_PAIR_CORE_PEER_H

#include <nng/nng.h>

#include <cstdint>
#include <string>

namespace nng_pair {

struct Peer {
  bool ipc = false;
  std::string address;  // tcp: numeric, without brackets; ipc: the path
  int port = 0;         // tcp
  // ipc; -1 where the system does not tell.
  double pid = -1;
  double uid = -1;
  double gid = -1;
  // The endpoint that made the pipe.
  bool dialed = false;
  uint32_t endpoint = 0;
};

// A numeric address of tcp, without brackets; empty if it is none.
std::string NumericHost(const nng_sockaddr& sa);

// To be called while the pipe is known to exist, without any lock.
Peer DescribePeer(nng_pipe pipe);

}  // namespace nng_pair

#endif  // NNG_PAIR_CORE_PEER_H
