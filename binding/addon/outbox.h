// Where JavaScript leaves small messages that are accepted without a call into
// the addon: memory that both see (lib/outbox.ts). One per environment, in use
// by one socket at a time.
//
// It is open while that socket's connection has room, and nothing that it has
// sent waits in NNG. The messages are there as they go over the wire. Commit
// puts them where a send would have put them, and closes it. That comes first
// whenever the environment's thread is about to do anything with the engine or
// a socket, so that nobody can tell the difference. (Other threads may: a
// connection can end under an open outbox. What cannot be kept then is lost as
// what has gathered is.)
//
// Ownership. The memory belongs to this and to the ArrayBuffer that shows it
// to JavaScript, whichever lives longer.

#ifndef NNG_PAIR_ADDON_OUTBOX_H
#define NNG_PAIR_ADDON_OUTBOX_H

#include <node_api.h>

#include <cstdint>
#include <memory>

#include "../core/socket.h"

namespace nng_pair {

class Outbox {
 public:
  // The ArrayBuffer, or null where the runtime has none of the kind: then it
  // is never open.
  napi_value Create(napi_env env);

  void Commit() {
    if (shared_ != nullptr && shared_->room > 0) CommitAll();
  }
  // For the socket that has just sent: it may go on here. Returns whether there
  // is room for a small message at least.
  bool Open(Socket* socket);

 private:
  static constexpr uint32_t kBytes = 32 * 1024;

  // As lib/outbox.ts has it.
  struct Shared {
    uint32_t count;   // how many messages there are
    uint32_t used;    // their bytes, with their heads
    uint32_t room;    // for how many there is room; closed: 0
    uint32_t head;    // how many of them each head takes
    uint32_t opened;  // how often it was opened: who sees another number in it
                      // than after its own opening has lost it
    uint8_t bytes[kBytes];
  };

  void CommitAll();

  std::shared_ptr<Shared> shared_;
  Socket* socket_ = nullptr;
};

}  // namespace nng_pair

#endif  // NNG_PAIR_ADDON_OUTBOX_H
