// A call that may block, on a thread of the runtime's pool, as a promise of
// an array. It keeps the process alive until it is done.

#ifndef NNG_PAIR_ADDON_BLOCKING_CALL_H
#define NNG_PAIR_ADDON_BLOCKING_CALL_H

#include <node_api.h>

#include <functional>

namespace nng_pair {

// `execute` runs on the pool's thread, then `complete` on the environment's,
// unless that is ending, and makes the promise's value. Both are destroyed
// afterwards, on the environment's thread. Returns null if the environment
// does not allow it any more.
napi_value RunBlocking(napi_env env, std::function<void()> execute,
                       std::function<napi_value(napi_env)> complete);

}  // namespace nng_pair

#endif  // NNG_PAIR_ADDON_BLOCKING_CALL_H
