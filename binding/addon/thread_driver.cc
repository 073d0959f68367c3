#include "thread_driver.h"

#include <system_error>
#include <utility>

#include "async_resource.h"

namespace nng_pair {

std::unique_ptr<Driver> ThreadDriver::Create(napi_env env, Deliver deliver) {
  std::unique_ptr<ThreadDriver> driver(
      new ThreadDriver(env, std::move(deliver)));
  bool created = false;
  const auto create = [&] {
    napi_value name;
    napi_value resource = CreateDriverResource(env);
    created = resource != nullptr &&
              napi_create_string_utf8(env, "nng-pair", NAPI_AUTO_LENGTH,
                                      &name) == napi_ok;
    for (napi_threadsafe_function& function : driver->functions_) {
      created =
          created && napi_create_threadsafe_function(
                         env, nullptr, resource, name, 0, 1, nullptr, nullptr,
                         driver.get(), &OnWake, &function) == napi_ok;
    }
  };
  if (!RunOutside(env, create) || !created) return nullptr;
  for (napi_threadsafe_function function : driver->functions_) {
    napi_unref_threadsafe_function(env, function);
  }
  ThreadDriver* self = driver.get();
  if ((self->engine_ = engine_create()) == nullptr) return nullptr;
  try {
    self->thread_ = std::thread([self] { self->Run(); });
  } catch (const std::system_error&) {
    return nullptr;  // the system gives no further thread
  }
  return driver;
}

void ThreadDriver::Run() {
  engine_adopt(engine_);
  while (!stopping_) {
    engine_wait(engine_);
    engine_turn(engine_);
  }
}

ThreadDriver::~ThreadDriver() {
  for (napi_threadsafe_function function : functions_) {
    if (function == nullptr) continue;
    napi_release_threadsafe_function(function, napi_tsfn_abort);
  }
  if (engine_ != nullptr) engine_release(engine_);
}

void ThreadDriver::Wake() {
  napi_call_threadsafe_function(
      functions_[calls_ / kRounds % functions_.size()], nullptr,
      napi_tsfn_nonblocking);
}

void ThreadDriver::KeepAlive(bool keep) {
  // Either of them keeps the loop alive, for what the other is called for, too.
  if (functions_[0] == nullptr) return;
  if (keep) {
    napi_ref_threadsafe_function(env_, functions_[0]);
  } else {
    napi_unref_threadsafe_function(env_, functions_[0]);
  }
}

void ThreadDriver::OnWake(napi_env env, napi_value, void* context, void*) {
  // Without an environment it is being torn down, and nobody listens.
  if (env == nullptr) return;
  auto* self = static_cast<ThreadDriver*>(context);
  self->calls_++;
  self->deliver_(env);
}

void ThreadDriver::Stop(std::function<void()> done) {
  stopping_ = true;
  engine_signal(engine_);
  thread_.join();
  delete this;
  done();
}

}  // namespace nng_pair
