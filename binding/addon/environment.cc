#include "environment.h"

#include <cstdlib>
#include <unordered_set>
#include <utility>

#include "socket_wrap.h"

namespace nng_pair {

namespace {

using Lock = std::lock_guard<std::mutex>;

// The environments that have not ended. Never freed: exit() may come at any
// time.
struct Living {
  std::mutex mutex;
  std::unordered_set<Environment*> environments;
};

Living& TheLiving() {
  static auto* living = new Living();
  return *living;
}

}  // namespace

std::shared_ptr<Environment> Environment::Create(napi_env env,
                                                 Driver::Kind kind, bool uv) {
  std::shared_ptr<Environment> environment(new Environment());
  Environment* self = environment.get();
  std::unique_ptr<Driver> driver = Driver::Create(
      env, kind, [self] { self->outbox_.Commit(); },
      [self] { return self->wake_pending_.load(); },
      [self](napi_env e) { self->Deliver(e); });
  if (!driver) return nullptr;
  environment->driver_ = driver.release();
  if (uv) {
    environment->clock_ =
        LoopClock::Create(env, [self] { self->WakeForTime(); });
  }
  // The hook holds this. Hooks run last come, first served: this one
  // before the driver's own. An asynchronous hook only where it is needed:
  // Deno does not survive one.
  auto* held = new std::shared_ptr<Environment>(environment);
  const napi_status status =
      environment->driver_->StopsLater() || environment->clock_ != nullptr
          ? napi_add_async_cleanup_hook(env, &Environment::OnCleanupBegun, held,
                                        nullptr)
          : napi_add_env_cleanup_hook(env, &Environment::OnCleanup, held);
  if (status != napi_ok) {
    End(held, [] {});
    return nullptr;
  }
#if !defined(_WIN32)
  // On Windows a library is told of the exit when the other threads have been
  // ended already, in the middle of anything, with the lock in hand for one.
  static const int registered = std::atexit(&Environment::OnExit);
  (void)registered;  // without it, less is sent at the very end
#endif
  Living& living = TheLiving();
  Lock lock(living.mutex);
  living.environments.insert(self);
  return environment;
}

napi_value Environment::CreateOutbox(napi_env env) {
  napi_value value = driver_->Commits() ? outbox_.Create(env) : nullptr;
  if (value == nullptr) napi_get_null(env, &value);
  return value;
}

void Environment::Wake(Socket* socket) {
  Lock lock(mutex_);
  if (closed_ || socket->wake_pending) return;
  socket->wake_pending = true;
  woken_.push_back(socket->shared_from_this());
  if (!wake_pending_.exchange(true)) driver_->Wake();
}

// The environment's thread.
void Environment::WakeForTime() {
  Lock lock(mutex_);
  if (!closed_ && !wake_pending_.exchange(true)) driver_->Wake();
}

void Environment::Hold(std::shared_ptr<Socket> socket) {
  Socket* key = socket.get();
  sockets_[key] = std::move(socket);
}

void Environment::Forget(Socket* socket) { sockets_.erase(socket); }

void Environment::KeepAlive() {
  if (keep_alive_++ == 0 && driver_ != nullptr) driver_->KeepAlive(true);
}

void Environment::LetGo() {
  if (--keep_alive_ == 0 && driver_ != nullptr) driver_->KeepAlive(false);
}

void Environment::Deliver(napi_env env) {
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

void Environment::OnCleanupBegun(napi_async_cleanup_hook_handle handle,
                                 void* arg) {
  End(arg, [handle] { napi_remove_async_cleanup_hook(handle); });
}

void Environment::OnCleanup(void* arg) {
  End(arg, [] {});
}

void Environment::End(void* arg, const std::function<void()>& done) {
  std::unique_ptr<std::shared_ptr<Environment>> held(
      static_cast<std::shared_ptr<Environment>*>(arg));
  Environment* environment = held->get();
  {
    Living& living = TheLiving();
    Lock lock(living.mutex);
    living.environments.erase(environment);
  }
  environment->outbox_.Commit();
  // The sockets hold this: it must not hold them for ever.
  const auto sockets = std::exchange(environment->sockets_, {});
  for (auto& entry : sockets) entry.second->Close();
  std::vector<std::shared_ptr<Socket>> woken;
  {
    Lock lock(environment->mutex_);
    environment->closed_ = true;
    woken.swap(environment->woken_);
  }
  // The sockets, and with them the last of this, may outlive both.
  Driver* driver = std::exchange(environment->driver_, nullptr);
  LoopClock* clock = std::exchange(environment->clock_, nullptr);
  auto left = std::make_shared<int>(clock == nullptr ? 1 : 2);
  const auto stopped = [left, done] {
    if (--*left == 0) done();
  };
  if (clock != nullptr) clock->Stop(stopped);
  driver->Stop(stopped);
}

void Environment::Exiting() {
  if (driver_ == nullptr) return;
  outbox_.Commit();
  engine_flush(driver_->GetEngine());
  for (auto& entry : sockets_) entry.second->Close();
}

// On the thread that has called exit(). Other environments' threads may be in
// the middle of anything.
void Environment::OnExit() {
  Living& living = TheLiving();
  Lock lock(living.mutex);
  for (Environment* environment : living.environments) {
    if (environment->home_ != std::this_thread::get_id()) continue;
    environment->outbox_.Commit();
    engine_flush(environment->driver_->GetEngine());
  }
}

}  // namespace nng_pair
