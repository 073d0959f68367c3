// The addon's entry point: what lib/native.ts declares.

#include <napi.h>
#include <nng/nng.h>

#include <memory>
#include <string>

#include "convert.h"
#include "hub.h"
#include "socket_wrap.h"

namespace nng_pair {

namespace {

Napi::Value ErrorText(const Napi::CallbackInfo& info) {
  return Napi::String::New(
      info.Env(), nng_strerror(info[0].As<Napi::Number>().Int32Value()));
}

// Node runs the engine on its loop. Bun and Deno have Node-API without libuv's
// loop behind it (Bun has its functions, which end the process).
// NNG_PAIR_DRIVER=thread asks for the engine's own thread.
Driver::Kind ChooseDriver(Napi::Env env) {
  std::string wanted;
  if (GetEnvironment(env, "NNG_PAIR_DRIVER", &wanted) && wanted == "thread") {
    return Driver::Kind::kThread;
  }
  const Napi::Object global = env.Global();
  if (global.Has("Bun") || global.Has("Deno")) return Driver::Kind::kThread;
  return Driver::Kind::kLoop;
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  std::shared_ptr<Hub> hub = Hub::Create(env, ChooseDriver(env));
  if (!hub) return exports;
  env.SetInstanceData(new std::shared_ptr<Hub>(hub));
  exports["Socket"] = SocketWrap::Define(env);
  exports["outbox"] = hub->CreateOutbox(env);
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
