// The engine on a thread of its own, and delivery by thread-safe functions:
// where the environment's loop cannot be had.
//
// There are two of these functions, which take turns: after a few calls, what
// happens while JavaScript is being told is for the other one. Node calls one
// and the same up to a thousand times before its loop goes on, as long as there
// is something new, so that with one alone a slow listener of events would keep
// timers and everything else waiting.
//
// Ownership. The driver owns the thread, the functions and the engine. Stop
// joins the one, and the destructor, on the environment's thread, gives up the
// others.

#ifndef NNG_PAIR_ADDON_THREAD_DRIVER_H
#define NNG_PAIR_ADDON_THREAD_DRIVER_H

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include "driver.h"

namespace nng_pair {

class ThreadDriver : public Driver {
 public:
  static std::unique_ptr<Driver> Create(napi_env env, Deliver deliver);
  ~ThreadDriver() override;

  engine* GetEngine() const override { return engine_; }
  void Wake() override;
  void KeepAlive(bool keep) override;
  bool Commits() const override { return false; }
  bool StopsLater() const override { return false; }
  void Stop(std::function<void()> done) override;

 private:
  ThreadDriver(napi_env env, Deliver deliver)
      : env_(env), deliver_(std::move(deliver)) {}

  void Run();
  static void OnWake(napi_env env, napi_value, void* context, void*);

  const napi_env env_;
  const Deliver deliver_;
  engine* engine_ = nullptr;
  std::array<napi_threadsafe_function, 2> functions_ = {};
  // How often any was called, which says which of them is the next.
  std::atomic<unsigned> calls_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace nng_pair

#endif  // NNG_PAIR_ADDON_THREAD_DRIVER_H
