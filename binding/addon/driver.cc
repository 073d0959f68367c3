#include "driver.h"

#include "loop_driver.h"
#include "thread_driver.h"

namespace nng_pair {

std::unique_ptr<Driver> Driver::Create(napi_env env, Kind kind,
                                       const Commit& commit,
                                       const Pending& pending,
                                       const Deliver& deliver) {
  if (kind == Kind::kLoop) {
    auto driver = LoopDriver::Create(env, commit, pending, deliver);
    if (driver) return driver;
  }
  return ThreadDriver::Create(env, deliver);
}

}  // namespace nng_pair
