#include "clock_wrap.h"

#include <utility>

#include "convert.h"

namespace nng_pair {

Napi::Function ClockWrap::Define(Napi::Env env) {
  return DefineClass(env, "Clock",
                     {
                         InstanceMethod<&ClockWrap::Now>("now"),
                         InstanceMethod<&ClockWrap::SetAlarm>("setAlarm"),
                         InstanceMethod<&ClockWrap::WaitForTurn>("waitForTurn"),
                         InstanceMethod<&ClockWrap::KeepAlive>("keepAlive"),
                         InstanceMethod<&ClockWrap::LetGo>("letGo"),
                     });
}

ClockWrap::ClockWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<ClockWrap>(info),
      environment_(
          *info.Env().GetInstanceData<std::shared_ptr<Environment>>()) {
  if (environment_->clock() != nullptr) environment_->clock()->Add(this);
}

ClockWrap::~ClockWrap() {
  if (kept_alive_) environment_->LetGo();
  if (environment_->clock() != nullptr) environment_->clock()->Remove(this);
}

Napi::Value ClockWrap::Now(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), LoopClock::Now());
}

void ClockWrap::SetAlarm(const Napi::CallbackInfo& info) {
  double ms;
  if (napi_get_value_double(info.Env(), info[0], &ms) != napi_ok) return;
  if (environment_->clock() != nullptr)
    environment_->clock()->SetAlarm(this, ms);
}

void ClockWrap::WaitForTurn(const Napi::CallbackInfo&) {
  if (environment_->clock() != nullptr)
    environment_->clock()->WaitForTurn(this);
}

void ClockWrap::KeepAlive(const Napi::CallbackInfo&) {
  if (!std::exchange(kept_alive_, true)) environment_->KeepAlive();
}

void ClockWrap::LetGo(const Napi::CallbackInfo&) {
  if (std::exchange(kept_alive_, false)) environment_->LetGo();
}

void ClockWrap::OnTime(napi_env env, bool alarm, bool turn) {
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value self = Value();
  napi_value callback;
  napi_value args[2];
  napi_value result;
  engine_check_unlocked();
  if (self != nullptr &&
      napi_get_named_property(env, self, "ontime", &callback) == napi_ok &&
      napi_get_boolean(env, alarm, &args[0]) == napi_ok &&
      napi_get_boolean(env, turn, &args[1]) == napi_ok &&
      napi_call_function(env, self, callback, 2, args, &result) ==
          napi_pending_exception) {
    ReportUncaught(env);
  }
  napi_close_handle_scope(env, scope);
}

}  // namespace nng_pair
