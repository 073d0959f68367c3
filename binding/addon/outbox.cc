#include "outbox.h"

#include <algorithm>
#include <new>

namespace nng_pair {

napi_value Outbox::Create(napi_env env) {
  // Not value-initialised: most of it is never touched.
  std::shared_ptr<Shared> shared(new (std::nothrow) Shared);
  if (!shared) return nullptr;
  shared->count = shared->used = shared->room = shared->head = 0;
  shared->owner = 0;
  auto* held = new std::shared_ptr<Shared>(shared);
  napi_value buffer;
  if (napi_create_external_arraybuffer(
          env, shared.get(), sizeof(Shared),
          [](napi_env, void*, void* hint) {
            delete static_cast<std::shared_ptr<Shared>*>(hint);
          },
          held, &buffer) != napi_ok) {
    delete held;
    return nullptr;
  }
  shared_ = std::move(shared);
  return buffer;
}

bool Outbox::Open(Socket* socket, uint32_t id) {
  if (!shared_) return false;
  size_t head = 0;
  const size_t room = socket->SendRoom(&head);
  if (room < head + ReceiveQueue::kSmall) return false;
  shared_->room = static_cast<uint32_t>(std::min(room, size_t{kBytes}));
  shared_->head = static_cast<uint32_t>(head);
  shared_->owner = id;
  socket_ = socket;
  return true;
}

void Outbox::CommitAll() {
  const size_t count = shared_->count;
  const size_t used = shared_->used;
  shared_->count = shared_->used = shared_->owner = 0;
  if (count > 0) {
    socket_->SendFrames(shared_->bytes, used, count, shared_->head);
  }
  socket_ = nullptr;
}

}  // namespace nng_pair
