#include "driver.h"

#include "loop_driver.h"
#include "thread_driver.h"

namespace nng_pair {

std::unique_ptr<Driver> Driver::Create(napi_env env, Kind kind,
                                       const Commit& commit,
                                       const Pending& pending,
                                       const Deliver& deliver) {
#if defined(NNG_PAIR_OWN_CONN)
  if (kind == Kind::kLoop) {
    auto driver = LoopDriver::Create(env, commit, pending, deliver);
    if (driver) return driver;
  }
  if (kind != Kind::kNotification) {
    return ThreadDriver::Create(env, true, deliver);
  }
#else
  (void)kind;
  (void)commit;
  (void)pending;
#endif
  return ThreadDriver::Create(env, false, deliver);
}

}  // namespace nng_pair
