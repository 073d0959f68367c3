// The engine on the environment's own loop: one uv_poll_t on the engine's
// descriptor, and one uv_prepare_t that settles what is left before the loop
// sleeps.
//
// Ownership. The driver owns both handles. Stop closes them, and the driver
// and the handles are freed when libuv has let go of the second one.

#ifndef NNG_PAIR_ADDON_LOOP_DRIVER_H
#define NNG_PAIR_ADDON_LOOP_DRIVER_H

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "busy_poll.h"
#include "driver.h"
#include "uv.h"

namespace nng_pair {

class LoopDriver : public Driver {
 public:
  // Null where the environment has no libuv loop.
  static std::unique_ptr<Driver> Create(napi_env env, Commit commit,
                                        Pending pending, Deliver deliver);
  ~LoopDriver() override;

  engine* GetEngine() const override { return engine_; }
  void Wake() override;
  void KeepAlive(bool keep) override;
  bool Commits() const override { return true; }
  bool StopsLater() const override { return true; }
  void Stop(std::function<void()> done) override;

 private:
  LoopDriver(napi_env env, const Uv* uv, Commit commit, Pending pending,
             Deliver deliver);

  bool Start();
  bool CreateContext();
  UvHandle* NewHandle(int type);
  void Settle();
  void DeliverPending();

  static void OnPoll(UvHandle* handle, int status, int events);
  static void OnPrepare(UvHandle* handle);
  static void OnClosed(UvHandle* handle);

  const napi_env env_;
  const Uv* const uv_;
  const Commit commit_;
  const Pending pending_;
  const Deliver deliver_;
  const std::thread::id home_ = std::this_thread::get_id();
  engine* engine_ = nullptr;
  napi_async_context context_ = nullptr;
  napi_ref resource_ = nullptr;  // its resource, which Node does not hold
  std::vector<std::unique_ptr<char[]>> memory_;
  UvHandle* poll_ = nullptr;
  UvHandle* prepare_ = nullptr;
  std::unique_ptr<BusyPoll> busy_poll_;
  int open_ = 0;
  bool delivering_ = false;
  std::function<void()> done_;
};

}  // namespace nng_pair

#endif  // NNG_PAIR_ADDON_LOOP_DRIVER_H
