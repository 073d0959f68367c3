// What async_hooks sees of us.
//
// Node gives whatever is made the async context of the code that makes it, for
// as long as it lives: an AsyncLocalStorage's store, say, of the request that
// was the first to need this package. What belongs to the environment, and
// lives as long, is therefore made outside of any context.

#ifndef NNG_PAIR_ADDON_ASYNC_RESOURCE_H
#define NNG_PAIR_ADDON_ASYNC_RESOURCE_H

#include <node_api.h>

#include <functional>

namespace nng_pair {

// Runs `call` in no async context. Returns false if that cannot be, and then
// it has not run.
bool RunOutside(napi_env env, std::function<void()> call);

// What stands for the driver. It says of itself that it keeps no process alive,
// and is not to be reported as a handle that was left open: the endpoints have
// resources of their own (lib/endpoint.ts). Null if the environment is ending.
napi_value CreateDriverResource(napi_env env);

}  // namespace nng_pair

#endif  // NNG_PAIR_ADDON_ASYNC_RESOURCE_H
