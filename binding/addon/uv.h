// The few functions of libuv that the loop driver needs, found at run time:
// where there is no libuv the addon must load all the same, and its headers
// do not come with Node-API's. These have been stable since libuv 1.0.

#ifndef NNG_PAIR_ADDON_UV_H
#define NNG_PAIR_ADDON_UV_H

#include <node_api.h>

#include <cstddef>

namespace nng_pair {

struct UvHandle;  // uv_handle_t and its kinds, of uv_handle_size() bytes

struct Uv {
  // uv_handle_type and uv_poll_event.
  static constexpr int kPoll = 8;
  static constexpr int kPrepare = 9;
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

  // Null if this runtime has no libuv.
  static const Uv* Find();
};

}  // namespace nng_pair

#endif  // NNG_PAIR_ADDON_UV_H
