// What there is once for each JavaScript environment (the main thread, each
// worker): how NNG's threads get its attention, and how its sockets end with
// it.
//
// Ownership and the order of teardown. This belongs to the JavaScript
// environment (it is its instance data) and to every socket of it (as its
// waker), so it outlives everything that may call Wake. When the environment
// ends, its cleanup hook first closes every socket, on the environment's own
// thread, which returns when none of NNG's threads is in a callback of theirs;
// then it marks this closed and stops the driver. Wake takes the same lock, so
// the driver is never called after that.
//
// process.exit() in the main thread runs no cleanup hook, and nothing is closed
// then; but what has been accepted, and waits for the end of the turn to be
// written, is handed to the kernel by a handler of exit() (OnExit).

#ifndef NNG_PAIR_ADDON_ENVIRONMENT_H
#define NNG_PAIR_ADDON_ENVIRONMENT_H

#include <node_api.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "../core/socket.h"
#include "driver.h"
#include "loop_clock.h"
#include "outbox.h"

namespace nng_pair {

class Environment : public Waker {
 public:
  // `uv`: whether there is a libuv loop behind the environment.
  static std::shared_ptr<Environment> Create(napi_env env, Driver::Kind kind,
                                             bool uv);

  // Any thread. A socket that has been woken is delivered once, however
  // often it was woken until then.
  void Wake(Socket* socket) override;
  engine* GetEngine() const override { return driver_->GetEngine(); }

  // The environment's thread. What is held is closed when the environment ends;
  // Forget once a socket has been closed.
  void Hold(std::shared_ptr<Socket> socket);
  void Forget(Socket* socket);
  // It has ended: every socket that was held is closed, and nothing may be
  // asked of the runtime that can call JavaScript.
  bool HasEnded() const { return driver_ == nullptr; }

  // Not 0, and no other socket of the environment has it.
  uint32_t NextSocketId() { return ++last_socket_id_; }

  // Null where the environment has no libuv loop, or is ending.
  LoopClock* clock() const { return clock_; }
  // For calls from JavaScript.
  Outbox& outbox() {
    engine_check_unlocked();
    return outbox_;
  }
  // What JavaScript sees of it; null where there is none.
  napi_value CreateOutbox(napi_env env);

  // The process is about to exit, and may end no environment (Bun), or too late
  // (Windows): hands over what was accepted, as far as the kernel takes it, and
  // closes what is held. The environment's thread; its end may follow all the
  // same.
  void Exiting();

  // Counted: while it is held, the environment's loop stays alive.
  void KeepAlive();
  void LetGo();

 private:
  Environment() = default;

  static void OnCleanupBegun(napi_async_cleanup_hook_handle handle, void* arg);
  static void OnCleanup(void* arg);
  static void End(void* arg, const std::function<void()>& done);
  static void OnExit();
  void WakeForTime();
  void Deliver(napi_env env);

  const std::thread::id home_ = std::this_thread::get_id();
  // Both delete themselves when they have stopped.
  Driver* driver_ = nullptr;
  LoopClock* clock_ = nullptr;
  Outbox outbox_;
  size_t keep_alive_ = 0;
  uint32_t last_socket_id_ = 0;
  std::unordered_map<Socket*, std::shared_ptr<Socket>> sockets_;

  std::mutex mutex_;
  bool closed_ = false;
  std::atomic<bool> wake_pending_{false};
  std::vector<std::shared_ptr<Socket>> woken_;
};

}  // namespace nng_pair

#endif  // NNG_PAIR_ADDON_ENVIRONMENT_H
