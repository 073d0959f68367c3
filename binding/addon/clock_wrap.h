// The addon's class `Clock`: an alarm, and turns of the loop, for one instance
// of the library. Its methods are declared, with their meaning, in
// lib/native.ts.
//
// There may be several instances of the library in an environment, one after
// the other too, as in a test framework that loads modules anew for each file.
// Nobody here holds the JavaScript object.

#ifndef NNG_PAIR_ADDON_CLOCK_WRAP_H
#define NNG_PAIR_ADDON_CLOCK_WRAP_H

#include <napi.h>

#include <memory>

#include "environment.h"
#include "loop_clock.h"

namespace nng_pair {

class ClockWrap : public Napi::ObjectWrap<ClockWrap>, public LoopClock::Waiter {
 public:
  static Napi::Function Define(Napi::Env env);

  explicit ClockWrap(const Napi::CallbackInfo& info);
  ~ClockWrap() override;

  // Calls the object's `ontime`: plain Node-API, as SocketWrap::Deliver.
  void OnTime(napi_env env, bool alarm, bool turn) override;

 private:
  Napi::Value Now(const Napi::CallbackInfo& info);
  void SetAlarm(const Napi::CallbackInfo& info);
  void WaitForTurn(const Napi::CallbackInfo& info);
  void KeepAlive(const Napi::CallbackInfo& info);
  void LetGo(const Napi::CallbackInfo& info);

  std::shared_ptr<Environment> environment_;
  bool kept_alive_ = false;
};

}  // namespace nng_pair

#endif  // NNG_PAIR_ADDON_CLOCK_WRAP_H
