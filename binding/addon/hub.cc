#include "hub.h"

#include <cstdlib>
#include <unordered_set>
#include <utility>

#include "socket_wrap.h"

namespace nng_pair {

namespace {

using Lock = std::lock_guard<std::mutex>;

// The hubs whose environments have not ended. Never freed: exit() may come at
// any time.
struct Living {
  std::mutex mutex;
  std::unordered_set<Hub*> hubs;
};

Living& TheLiving() {
  static auto* living = new Living();
  return *living;
}

}  // namespace

std::shared_ptr<Hub> Hub::Create(napi_env env, Driver::Kind kind, bool uv) {
  std::shared_ptr<Hub> hub(new Hub());
  Hub* self = hub.get();
  std::unique_ptr<Driver> driver = Driver::Create(
      env, kind, [self] { self->outbox_.Commit(); },
      [self] { return self->wake_pending_.load(); },
      [self](napi_env e) { self->Deliver(e); });
  if (!driver) return nullptr;
  hub->driver_ = driver.release();
  if (uv) hub->clock_ = LoopClock::Create(env, [self] { self->WakeForTime(); });
  // The hook holds the hub. Hooks run last come, first served: this one
  // before the driver's own. An asynchronous hook only where it is needed:
  // Deno does not survive one.
  auto* held = new std::shared_ptr<Hub>(hub);
  const napi_status status =
      hub->driver_->StopsLater() || hub->clock_ != nullptr
          ? napi_add_async_cleanup_hook(env, &Hub::OnCleanupBegun, held,
                                        nullptr)
          : napi_add_env_cleanup_hook(env, &Hub::OnCleanup, held);
  if (status != napi_ok) {
    End(held, [] {});
    return nullptr;
  }
  static const int registered = std::atexit(&Hub::OnExit);
  (void)registered;  // without it, less is sent at the very end
  Living& living = TheLiving();
  Lock lock(living.mutex);
  living.hubs.insert(self);
  return hub;
}

napi_value Hub::CreateOutbox(napi_env env) {
  napi_value value = driver_->Commits() ? outbox_.Create(env) : nullptr;
  if (value == nullptr) napi_get_null(env, &value);
  return value;
}

void Hub::Wake(Socket* socket) {
  Lock lock(mutex_);
  if (closed_ || socket->wake_pending) return;
  socket->wake_pending = true;
  woken_.push_back(socket->shared_from_this());
  if (!wake_pending_.exchange(true)) driver_->Wake();
}

// The environment's thread.
void Hub::WakeForTime() {
  Lock lock(mutex_);
  if (!closed_ && !wake_pending_.exchange(true)) driver_->Wake();
}

void Hub::Hold(std::shared_ptr<Socket> socket) {
  Socket* key = socket.get();
  sockets_[key] = std::move(socket);
}

void Hub::Forget(Socket* socket) { sockets_.erase(socket); }

void Hub::KeepAlive() {
  if (keep_alive_++ == 0 && driver_ != nullptr) driver_->KeepAlive(true);
}

void Hub::LetGo() {
  if (--keep_alive_ == 0 && driver_ != nullptr) driver_->KeepAlive(false);
}

void Hub::Deliver(napi_env env) {
  engine_check_unlocked();
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
  // A message that has come is not late.
  if (clock_ != nullptr) clock_->Deliver(env);
}

void Hub::OnCleanupBegun(napi_async_cleanup_hook_handle handle, void* arg) {
  End(arg, [handle] { napi_remove_async_cleanup_hook(handle); });
}

void Hub::OnCleanup(void* arg) {
  End(arg, [] {});
}

void Hub::End(void* arg, const std::function<void()>& done) {
  std::unique_ptr<std::shared_ptr<Hub>> held(
      static_cast<std::shared_ptr<Hub>*>(arg));
  Hub* hub = held->get();
  {
    Living& living = TheLiving();
    Lock lock(living.mutex);
    living.hubs.erase(hub);
  }
  hub->outbox_.Commit();
  // The sockets hold the hub: it must not hold them for ever.
  const auto sockets = std::exchange(hub->sockets_, {});
  for (auto& entry : sockets) entry.second->Close();
  std::vector<std::shared_ptr<Socket>> woken;
  {
    Lock lock(hub->mutex_);
    hub->closed_ = true;
    woken.swap(hub->woken_);
  }
  // The sockets, and with them the last of the hub, may outlive both.
  Driver* driver = std::exchange(hub->driver_, nullptr);
  LoopClock* clock = std::exchange(hub->clock_, nullptr);
  auto left = std::make_shared<int>(clock == nullptr ? 1 : 2);
  const auto stopped = [left, done] {
    if (--*left == 0) done();
  };
  if (clock != nullptr) clock->Stop(stopped);
  driver->Stop(stopped);
}

// On the thread that has called exit(). Other environments' threads may be in
// the middle of anything.
void Hub::OnExit() {
  Living& living = TheLiving();
  Lock lock(living.mutex);
  for (Hub* hub : living.hubs) {
    if (hub->home_ != std::this_thread::get_id()) continue;
    hub->outbox_.Commit();
    engine_flush(hub->driver_->GetEngine());
  }
}

}  // namespace nng_pair
