#include "convert.h"

namespace nng_pair {

namespace {

// From here on sharing the memory is cheaper than copying it.
constexpr size_t kExternalSize = size_t{32} * 1024;

void FreeMessage(napi_env, void*, void* hint) {
  nng_msg_free(static_cast<nng_msg*>(hint));
}

}  // namespace

int ToMessage(napi_env env, napi_value value, Message* out) {
  size_t size;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &size) != napi_ok) {
    return NNG_EINVAL;
  }
  // Node-API ends the text with a NUL, which is cut off again.
  nng_msg* msg;
  const int rv = nng_msg_alloc(&msg, size + 1);
  if (rv != 0) return rv;
  out->reset(msg);
  if (napi_get_value_string_utf8(env, value,
                                 static_cast<char*>(nng_msg_body(msg)),
                                 size + 1, &size) != napi_ok) {
    return NNG_EINVAL;
  }
  return nng_msg_chop(msg, 1);
}

napi_value ToBuffer(napi_env env, Message message) {
  napi_value buffer;
  const size_t size = nng_msg_len(message.get());
  void* body = nng_msg_body(message.get());
  if (size >= kExternalSize) {
    const napi_status status = napi_create_external_buffer(
        env, size, body, &FreeMessage, message.get(), &buffer);
    if (status == napi_ok) {
      (void)message.release();
      return buffer;
    }
    if (status != napi_no_external_buffers_allowed) return nullptr;
  }
  if (napi_create_buffer_copy(env, size, body, nullptr, &buffer) != napi_ok) {
    return nullptr;
  }
  return buffer;
}

bool GetEnvironment(napi_env env, const char* name, std::string* out) {
  napi_value value;
  if (napi_get_global(env, &value) != napi_ok ||
      napi_get_named_property(env, value, "process", &value) != napi_ok ||
      napi_get_named_property(env, value, "env", &value) != napi_ok ||
      napi_get_named_property(env, value, name, &value) != napi_ok) {
    return false;
  }
  char text[64];
  size_t size;
  if (napi_get_value_string_utf8(env, value, text, sizeof(text), &size) !=
      napi_ok) {
    return false;
  }
  out->assign(text, size);
  return true;
}

void ReportUncaught(napi_env env) {
  napi_value error;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) {
    napi_fatal_exception(env, error);
  }
}

}  // namespace nng_pair
