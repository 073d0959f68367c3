// The addon's entry point: what lib/native.ts declares.

#include <napi.h>
#include <nng/nng.h>

#include <memory>
#include <string>

#include "../core/engine_scope.h"
#include "async_resource.h"
#include "clock_wrap.h"
#include "convert.h"
#include "environment.h"
#include "socket_wrap.h"

namespace nng_pair {

namespace {

Napi::Value ErrorText(const Napi::CallbackInfo& info) {
  return Napi::String::New(
      info.Env(), nng_strerror(info[0].As<Napi::Number>().Int32Value()));
}

// An exception that nobody has caught, and that no caller could catch.
Napi::Value Uncaught(const Napi::CallbackInfo& info) {
  napi_fatal_exception(info.Env(), info[0]);
  return info.Env().Undefined();
}

Napi::Value Exiting(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto* environment = env.GetInstanceData<std::shared_ptr<Environment>>();
  (*environment)->Exiting();
  return env.Undefined();
}

// Calls a function in no async context.
Napi::Value Outside(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  napi_value result = env.Undefined();
  RunOutside(env, [&] {
    napi_call_function(env, env.Undefined(), info[0], 0, nullptr, &result);
  });
  return Napi::Value(env, result);
}

#if defined(NNG_PAIR_LOCK_CHECK)
// Calls a function while the engine's lock is held, which must be found out
// (scripts/sanitize.mjs).
Napi::Value CallLocked(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  napi_value result = env.Undefined();
  auto* environment = env.GetInstanceData<std::shared_ptr<Environment>>();
  EngineScope scope((*environment)->GetEngine());
  napi_call_function(env, env.Undefined(), info[0], 0, nullptr, &result);
  return Napi::Value(env, result);
}
#endif

// Bun and Deno have Node-API without libuv's loop behind it (Bun has its
// functions, which end the process).
bool HasLibuvLoop(Napi::Env env) {
  const Napi::Object global = env.Global();
  return !global.Has("Bun") && !global.Has("Deno");
}

// Node runs the engine on its loop; NNG_PAIR_DRIVER=thread asks for the
// engine's own thread.
Driver::Kind ChooseDriver(Napi::Env env, bool uv) {
  std::string wanted;
  if (GetEnvironment(env, "NNG_PAIR_DRIVER", &wanted) && wanted == "thread") {
    return Driver::Kind::kThread;
  }
  return uv ? Driver::Kind::kLoop : Driver::Kind::kThread;
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  const bool uv = HasLibuvLoop(env);
  std::shared_ptr<Environment> environment =
      Environment::Create(env, ChooseDriver(env, uv), uv);
  if (!environment) {
    Napi::Error error = Napi::Error::New(
        env,
        "the system has no descriptor, thread or memory left for nng-pair");
    error.Set("code", Napi::String::New(env, "ERR_NNG_PAIR_NO_ENGINE"));
    error.ThrowAsJavaScriptException();
    return exports;
  }
  env.SetInstanceData(new std::shared_ptr<Environment>(environment));
  exports["Socket"] = SocketWrap::Define(env);
  if (environment->clock() != nullptr)
    exports["Clock"] = ClockWrap::Define(env);
  exports["uncaught"] = Napi::Function::New(env, Uncaught, "uncaught");
  exports["exiting"] = Napi::Function::New(env, Exiting, "exiting");
  exports["outside"] = Napi::Function::New(env, Outside, "outside");
  exports["outbox"] = environment->CreateOutbox(env);
#if defined(NNG_PAIR_LOCK_CHECK)
  exports["callLocked"] = Napi::Function::New(env, CallLocked, "callLocked");
#endif
  exports["errorText"] = Napi::Function::New(env, ErrorText, "errorText");
  exports["nngVersion"] = Napi::String::New(env, nng_version());
  return exports;
}

}  // namespace

}  // namespace nng_pair

static Napi::Object InitAddon(Napi::Env env, Napi::Object exports) {
  return nng_pair::Init(env, exports);
}

NODE_API_MODULE(nng_pair, InitAddon)
