// The few functions of libuv that the loop driver needs, found at run time:
// where there is no libuv the addon must load all the same, and its headers
// do not come with Node-API's. These have been stable since libuv 1.0.

#ifndef NNG_PAIR_ADDON_UV_H
#define NNG_PAIR_ADDON_UV_H

#include <node_api.h>

#include <cstddef>
#include <cstdint>

namespace nng_pair {

struct UvHandle;  // uv_handle_t and its kinds, of uv_handle_size() bytes

struct Uv {
  // uv_handle_type and uv_poll_event.
  static constexpr int kIdle = 6;
  static constexpr int kPoll = 8;
  static constexpr int kPrepare = 9;
  static constexpr int kTimer = 13;
  static constexpr int kReadable = 1;

  size_t (*handle_size)(int type);
  void (*handle_set_data)(UvHandle*, void*);
  void (*ref)(UvHandle*);
  void (*unref)(UvHandle*);
  void (*close)(UvHandle*, void (*)(UvHandle*));
  int (*poll_init)(uv_loop_s*, UvHandle*, int fd);
  int (*poll_start)(UvHandle*, int events,
                    void (*)(UvHandle*, int status, int events));
  int (*backend_fd)(const uv_loop_s*);
  int (*backend_timeout)(const uv_loop_s*);
  int (*prepare_init)(uv_loop_s*, UvHandle*);
  int (*prepare_start)(UvHandle*, void (*)(UvHandle*));
  int (*timer_init)(uv_loop_s*, UvHandle*);
  int (*timer_start)(UvHandle*, void (*)(UvHandle*), uint64_t ms,
                     uint64_t repeat);
  int (*idle_init)(uv_loop_s*, UvHandle*);
  int (*idle_start)(UvHandle*, void (*)(UvHandle*));
  int (*idle_stop)(UvHandle*);

  // Null if this runtime has no libuv.
  static const Uv* Find();
};

// A handle's data is its first field, in every version of libuv.
inline void* UvData(UvHandle* handle) {
  return *reinterpret_cast<void**>(handle);
}

}  // namespace nng_pair

#endif  // NNG_PAIR_ADDON_UV_H
