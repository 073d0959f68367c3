// An NNG message with one owner. NNG takes over a message that it accepts:
// release() then; in every other case the destructor frees it.

#ifndef NNG_PAIR_CORE_MESSAGE_H
#define NNG_PAIR_CORE_MESSAGE_H

#include <nng/nng.h>

#include <memory>

namespace nng_pair {

struct MessageDeleter {
  void operator()(nng_msg* msg) const { nng_msg_free(msg); }
};

using Message = std::unique_ptr<nng_msg, MessageDeleter>;

}  // namespace nng_pair

#endif  // NNG_PAIR_CORE_MESSAGE_H
