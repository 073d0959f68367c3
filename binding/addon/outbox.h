// Where JavaScript leaves small messages that are accepted without a call into
// the addon: memory that both see (lib/outbox.ts). One per environment, in use
// by one socket at a time.
//
// It is open while there is room in that socket's send queue. The messages are
// there as they go over the wire. Commit hands them to the queue, and closes
// it. That comes first whenever the environment's thread is about to do
// anything with the engine or a socket, so that nobody can tell the difference.
// Other threads may, and a connection can end under an open outbox: then the
// queue keeps what is here for the next one.
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
    if (shared_ != nullptr && shared_->owner != 0) CommitAll();
  }
  // For the socket that has just sent: it may go on here. Returns whether there
  // is room for a small message at least.
  bool Open(Socket* socket, uint32_t id);

 private:
  static constexpr uint32_t kBytes = 32 * 1024;

  // As lib/outbox.ts has it.
  struct Shared {
    uint32_t count;  // how many messages there are
    uint32_t used;   // their bytes, with their heads
    uint32_t room;   // for how many there is room
    uint32_t head;   // how many of them each head takes
    uint32_t owner;  // the id of the socket that it is open for; 0: closed
    uint8_t bytes[kBytes];
  };

  void CommitAll();

  std::shared_ptr<Shared> shared_;
  Socket* socket_ = nullptr;
};

}  // namespace nng_pair

#endif  // NNG_PAIR_ADDON_OUTBOX_H
