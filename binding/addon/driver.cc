#include "driver.h"

#include "thread_driver.h"
#if !defined(_WIN32)
#include "loop_driver.h"
#endif

namespace nng_pair {

std::unique_ptr<Driver> Driver::Create(napi_env env, Kind kind,
                                       const Commit& commit,
                                       const Pending& pending,
                                       const Deliver& deliver) {
#if defined(_WIN32)
  // There is no descriptor that libuv's loop could watch for the engine.
  (void)kind;
  (void)commit;
  (void)pending;
#else
  if (kind == Kind::kLoop) {
    auto driver = LoopDriver::Create(env, commit, pending, deliver);
    if (driver) return driver;
  }
#endif
  return ThreadDriver::Create(env, deliver);
}

}  // namespace nng_pair
