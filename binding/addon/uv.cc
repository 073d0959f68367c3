#include "uv.h"

#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace nng_pair {

namespace {

// In the program itself, which has libuv in it, or not.
void* FindInProgram(const char* name) {
#if defined(_WIN32)
  return reinterpret_cast<void*>(
      GetProcAddress(GetModuleHandleW(nullptr), name));
#else
  return dlsym(RTLD_DEFAULT, name);
#endif
}

struct Table : Uv {
  bool complete = true;

  template <typename Function>
  void Look(Function* function, const char* name) {
    void* symbol = FindInProgram(name);
    complete = complete && symbol != nullptr;
    *function = reinterpret_cast<Function>(symbol);
  }

  Table() : Uv() {
    Look(&handle_size, "uv_handle_size");
    Look(&handle_set_data, "uv_handle_set_data");
    Look(&ref, "uv_ref");
    Look(&unref, "uv_unref");
    Look(&close, "uv_close");
    Look(&poll_init, "uv_poll_init");
    Look(&poll_start, "uv_poll_start");
    Look(&backend_fd, "uv_backend_fd");
    Look(&backend_timeout, "uv_backend_timeout");
    Look(&prepare_init, "uv_prepare_init");
    Look(&prepare_start, "uv_prepare_start");
    Look(&timer_init, "uv_timer_init");
    Look(&timer_start, "uv_timer_start");
    Look(&idle_init, "uv_idle_init");
    Look(&idle_start, "uv_idle_start");
    Look(&idle_stop, "uv_idle_stop");
  }
};

}  // namespace

const Uv* Uv::Find() {
  static const Table table;
  return table.complete ? &table : nullptr;
}

}  // namespace nng_pair
