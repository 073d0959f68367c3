#include "async_resource.h"

#include <utility>

#include "../engine/engine.h"

namespace nng_pair {

namespace {

struct Call {
  std::function<void()> call;
  bool done = false;
};

napi_value OnCall(napi_env env, napi_callback_info info) {
  void* data;
  if (napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data) !=
      napi_ok) {
    return nullptr;
  }
  auto* call = static_cast<Call*>(data);
  call->call();
  call->done = true;
  return nullptr;
}

napi_value HasRef(napi_env env, napi_callback_info) {
  napi_value value;
  return napi_get_boolean(env, false, &value) == napi_ok ? value : nullptr;
}

}  // namespace

bool RunOutside(napi_env env, std::function<void()> call) {
  Call data{std::move(call)};
  napi_value receiver;
  napi_value function;
  napi_value result;
  engine_check_unlocked();
  // A receiver of its own: an AsyncLocalStorage keeps its store there.
  return napi_create_object(env, &receiver) == napi_ok &&
         napi_create_function(env, nullptr, 0, &OnCall, &data, &function) ==
             napi_ok &&
         napi_make_callback(env, nullptr, receiver, function, 0, nullptr,
                            &result) == napi_ok &&
         data.done;
}

napi_value CreateDriverResource(napi_env env) {
  napi_value resource;
  napi_value function;
  if (napi_create_object(env, &resource) != napi_ok ||
      napi_create_function(env, "hasRef", NAPI_AUTO_LENGTH, &HasRef, nullptr,
                           &function) != napi_ok ||
      napi_set_named_property(env, resource, "hasRef", function) != napi_ok) {
    return nullptr;
  }
  return resource;
}

}  // namespace nng_pair
