// Between JavaScript values and ours.

#ifndef NNG_PAIR_ADDON_CONVERT_H
#define NNG_PAIR_ADDON_CONVERT_H

#include <node_api.h>

#include <string>

#include "../core/bytes.h"
#include "../core/send_queue.h"

namespace nng_pair {

// Encodes a string as UTF-8, straight into a message. Returns an NNG error.
int ToMessage(napi_env env, napi_value value, OutgoingMessage* out);

// A Buffer of a message: a large one becomes the Buffer's memory and is freed
// with it; a small one is copied, and so is a large one where the runtime does
// not allow foreign memory. Null if the environment is ending.
napi_value ToBuffer(napi_env env, Bytes message);

// A variable of process.env; false if it is not set.
bool GetEnvironment(napi_env env, const char* name, std::string* out);

// What a call of JavaScript has thrown becomes an uncaught exception.
void ReportUncaught(napi_env env);

}  // namespace nng_pair

#endif  // NNG_PAIR_ADDON_CONVERT_H
