#include "blocking_call.h"

#include <memory>
#include <utility>

namespace nng_pair {

namespace {

// Owned by the work: freed in its completion, which always comes.
struct Call {
  std::function<void()> execute;
  std::function<napi_value(napi_env)> complete;
  napi_async_work work = nullptr;
  napi_deferred deferred = nullptr;
};

void OnExecute(napi_env, void* data) { static_cast<Call*>(data)->execute(); }

void OnComplete(napi_env env, napi_status status, void* data) {
  std::unique_ptr<Call> call(static_cast<Call*>(data));
  // Every status is checked: the environment may be ending, and then a value
  // that could not be made must not be used.
  if (status == napi_ok) {
    napi_value value = call->complete(env);
    if (value != nullptr) napi_resolve_deferred(env, call->deferred, value);
  }
  napi_delete_async_work(env, call->work);
}

}  // namespace

napi_value RunBlocking(napi_env env, std::function<void()> execute,
                       std::function<napi_value(napi_env)> complete) {
  auto call = std::make_unique<Call>();
  call->execute = std::move(execute);
  call->complete = std::move(complete);
  napi_value name;
  napi_value promise;
  if (napi_create_string_utf8(env, "nng-pair", NAPI_AUTO_LENGTH, &name) !=
          napi_ok ||
      napi_create_async_work(env, nullptr, name, &OnExecute, &OnComplete,
                             call.get(), &call->work) != napi_ok) {
    return nullptr;
  }
  if (napi_create_promise(env, &call->deferred, &promise) != napi_ok ||
      napi_queue_async_work(env, call->work) != napi_ok) {
    napi_delete_async_work(env, call->work);
    return nullptr;
  }
  (void)call.release();
  return promise;
}

}  // namespace nng_pair
