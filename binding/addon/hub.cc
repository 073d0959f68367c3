#include "hub.h"

#include <utility>

#include "socket_wrap.h"

namespace nng_pair {

namespace {
using Lock = std::lock_guard<std::mutex>;
}

std::shared_ptr<Hub> Hub::Create(napi_env env) {
  std::shared_ptr<Hub> hub(new Hub(env));
  napi_value name;
  if (napi_create_string_utf8(env, "nng-pair", NAPI_AUTO_LENGTH, &name) !=
          napi_ok ||
      napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1,
                                      nullptr, nullptr, hub.get(), &Hub::OnWake,
                                      &hub->function_) != napi_ok) {
    return nullptr;
  }
  // Only an open endpoint keeps the process alive (KeepAlive).
  napi_unref_threadsafe_function(env, hub->function_);
  // The hook holds the hub. Hooks run last come, first served: this one
  // before the thread-safe function's own.
  auto* held = new std::shared_ptr<Hub>(hub);
  if (napi_add_env_cleanup_hook(env, &Hub::OnCleanup, held) != napi_ok) {
    delete held;
    return nullptr;
  }
  return hub;
}

void Hub::Wake(Socket* socket) {
  Lock lock(mutex_);
  if (closed_ || socket->wake_pending) return;
  socket->wake_pending = true;
  woken_.push_back(socket->shared_from_this());
  if (std::exchange(wake_pending_, true)) return;
  napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking);
}

void Hub::Hold(std::shared_ptr<Socket> socket) {
  Socket* key = socket.get();
  sockets_[key] = std::move(socket);
}

void Hub::Forget(Socket* socket) { sockets_.erase(socket); }

void Hub::KeepAlive() {
  if (keep_alive_++ == 0 && function_ != nullptr) {
    napi_ref_threadsafe_function(env_, function_);
  }
}

void Hub::LetGo() {
  if (--keep_alive_ == 0 && function_ != nullptr) {
    napi_unref_threadsafe_function(env_, function_);
  }
}

void Hub::OnWake(napi_env env, napi_value, void* context, void*) {
  // Without an environment it is being torn down, and nobody listens.
  if (env != nullptr) static_cast<Hub*>(context)->Deliver(env);
}

void Hub::Deliver(napi_env env) {
  std::vector<std::shared_ptr<Socket>> woken;
  {
    Lock lock(mutex_);
    wake_pending_ = false;
    woken.swap(woken_);
    for (auto& socket : woken) socket->wake_pending = false;
  }
  for (auto& socket : woken) {
    if (socket->owner_data == nullptr) continue;
    static_cast<SocketWrap*>(socket->owner_data)->Deliver(env);
  }
}

void Hub::OnCleanup(void* arg) {
  std::unique_ptr<std::shared_ptr<Hub>> held(
      static_cast<std::shared_ptr<Hub>*>(arg));
  Hub* hub = held->get();
  for (auto& entry : hub->sockets_) entry.second->Close();
  std::vector<std::shared_ptr<Socket>> woken;
  napi_threadsafe_function function;
  {
    Lock lock(hub->mutex_);
    hub->closed_ = true;
    function = std::exchange(hub->function_, nullptr);
    woken.swap(hub->woken_);
  }
  napi_release_threadsafe_function(function, napi_tsfn_abort);
}

}  // namespace nng_pair
