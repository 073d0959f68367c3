// NNG's threads, and how it starts, in place of parts of win_thread.c.

#include <stdatomic.h>

#include "../os.h"
#include "core/nng_impl.h"

static unsigned __stdcall thread_main(void *arg) {
  nni_plat_thr *thr = arg;

  thr->id = GetCurrentThreadId();
  thr->func(thr->arg);
  return 0;
}

int nni_plat_thr_init(nni_plat_thr *thr, void (*fn)(void *), void *arg) {
  thr->func = fn;
  thr->arg = arg;
  thr->handle = (HANDLE)_beginthreadex(NULL, 0, thread_main, thr, 0, NULL);
  return thr->handle != NULL ? 0 : NNG_ENOMEM;
}

void nni_plat_thr_fini(nni_plat_thr *thr) {
  (void)WaitForSingleObject(thr->handle, INFINITE);
  (void)CloseHandle(thr->handle);
}

bool nni_plat_thr_is_self(nni_plat_thr *thr) {
  return GetCurrentThreadId() == thr->id;
}

// Nothing shows names of threads but a debugger.
void nni_plat_thr_set_name(nni_plat_thr *thr, const char *name) {
  (void)thr;
  (void)name;
}

// Start-up.

static os_mutex init_mutex = OS_MUTEX_INIT;
static atomic_bool inited;

static bool start_system(void) {
  WSADATA data;
  HMODULE self;

  // NNG's threads live on when the last environment that has loaded the addon
  // ends: their code must not be unloaded.
  (void)GetModuleHandleExW(
      GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
      (LPCWSTR)(void *)&start_system, &self);
  return WSAStartup(MAKEWORD(2, 2), &data) == 0;
}

int nni_plat_init(int (*helper)(void)) {
  int rv = 0;

  if (atomic_load(&inited)) {
    return 0;
  }
  os_mutex_lock(&init_mutex);
  if (!atomic_load(&inited)) {
    if (!start_system()) {
      rv = NNG_ENOMEM;
    } else if ((rv = helper()) == 0) {
      atomic_store(&inited, true);
    }
  }
  os_mutex_unlock(&init_mutex);
  return rv;
}

void nni_plat_fini(void) {
  os_mutex_lock(&init_mutex);
  if (atomic_exchange(&inited, false)) {
    (void)WSACleanup();
  }
  os_mutex_unlock(&init_mutex);
}

int nni_plat_ncpu(void) {
  SYSTEM_INFO info;

  GetSystemInfo(&info);
  return (int)info.dwNumberOfProcessors;
}
