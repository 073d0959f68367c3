// Time and turns of the environment's loop, for the library's own timers.
//
// JavaScript's timers can be replaced under a library: that is what the fake
// timers of test frameworks are for, and what they replace they replace for
// everybody. So the library takes neither setTimeout nor setImmediate nor a
// clock from JavaScript, but this: one uv_timer_t and one uv_idle_t.
//
// Ownership. The environment owns the clock, and the clock both handles. Stop
// closes them, and the clock is freed when libuv has let go of the second one.
// Those who wait (Waiter) add and remove themselves.

#ifndef NNG_PAIR_ADDON_LOOP_CLOCK_H
#define NNG_PAIR_ADDON_LOOP_CLOCK_H

#include <node_api.h>

#include <functional>
#include <memory>
#include <unordered_set>
#include <utility>
#include <vector>

#include "uv.h"

namespace nng_pair {

class LoopClock {
 public:
  // Who has set an alarm, or waits for a turn of the loop.
  class Waiter {
   public:
    virtual ~Waiter() = default;
    // From Deliver: what has come. JavaScript may run in it.
    virtual void OnTime(napi_env env, bool alarm, bool turn) = 0;

   private:
    friend class LoopClock;
    static constexpr double kNever = -1;
    double alarm_ = kNever;  // ms, as Now has it
    bool wants_turn_ = false;
    bool had_turn_ = false;
  };

  // Null where the environment has no libuv loop. `wake`: there is something to
  // be delivered soon.
  static LoopClock* Create(napi_env env, std::function<void()> wake);
  ~LoopClock() = default;

  // Milliseconds, from some moment on; nobody can set it back.
  static double Now();

  // The environment's thread.
  void Add(Waiter* waiter) { waiters_.insert(waiter); }
  void Remove(Waiter* waiter) { waiters_.erase(waiter); }
  // In so many milliseconds at the earliest; it takes the place of the one
  // before. It does not keep the loop alive.
  void SetAlarm(Waiter* waiter, double ms);
  // When everything else had a turn; that keeps the loop alive.
  void WaitForTurn(Waiter* waiter);
  void Deliver(napi_env env);
  // Nothing is called any more but `done`, from the loop; the clock deletes
  // itself before.
  void Stop(std::function<void()> done);

 private:
  LoopClock(const Uv* uv, std::function<void()> wake)
      : uv_(uv), wake_(std::move(wake)) {}

  UvHandle* NewHandle(int type);
  void StartTimer();

  static void OnTimer(UvHandle* handle);
  static void OnIdle(UvHandle* handle);
  static void OnClosed(UvHandle* handle);

  const Uv* const uv_;
  const std::function<void()> wake_;
  std::vector<std::unique_ptr<char[]>> memory_;
  UvHandle* timer_ = nullptr;
  UvHandle* idle_ = nullptr;
  std::unordered_set<Waiter*> waiters_;
  bool due_ = false;  // there is something for Deliver
  int open_ = 2;
  std::function<void()> done_;
};

}  // namespace nng_pair

#endif  // NNG_PAIR_ADDON_LOOP_CLOCK_H
