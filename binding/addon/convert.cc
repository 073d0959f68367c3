#include "convert.h"

#include <memory>
#include <utility>

namespace nng_pair {

namespace {

// From here on sharing the memory is cheaper than copying it.
constexpr size_t kExternalSize = size_t{32} * 1024;

// The hint is the memory's owner.
void FreeBytes(napi_env, void*, void* hint) {
  delete static_cast<Bytes*>(hint);
}

}  // namespace

int ToMessage(napi_env env, napi_value value, OutgoingMessage* out) {
  size_t size;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &size) != napi_ok) {
    return NNG_EINVAL;
  }
  // Node-API ends the text with a NUL, which is cut off again.
  *out = OutgoingMessage::Allocate(size + 1);
  if (!*out) return NNG_ENOMEM;
  if (napi_get_value_string_utf8(env, value,
                                 reinterpret_cast<char*>(out->body()), size + 1,
                                 &size) != napi_ok) {
    return NNG_EINVAL;
  }
  out->Shorten(size);
  return 0;
}

napi_value ToBuffer(napi_env env, Bytes message) {
  napi_value buffer;
  if (message.size() >= kExternalSize) {
    auto owner = std::make_unique<Bytes>(std::move(message));
    const napi_status status = napi_create_external_buffer(
        env, owner->size(), owner->data(), &FreeBytes, owner.get(), &buffer);
    if (status == napi_ok) {
      (void)owner.release();
      return buffer;
    }
    if (status != napi_no_external_buffers_allowed) return nullptr;
    message = std::move(*owner);
  }
  if (napi_create_buffer_copy(env, message.size(), message.data(), nullptr,
                              &buffer) != napi_ok) {
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
