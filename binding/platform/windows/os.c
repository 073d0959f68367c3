// What os.h declares, by the functions of Windows.

#include "../os.h"

#include <process.h>
#include <stdlib.h>

bool os_cond_wait(os_cond *c, os_mutex *m, int64_t ms) {
  const DWORD limit = ms < 0                   ? INFINITE
                      : ms < (int64_t)INFINITE ? (DWORD)ms
                                               : INFINITE - 1;

  return SleepConditionVariableSRW(c, m, limit, 0) != 0;
}

typedef struct {
  void (*run)(void);
} once_call;

static BOOL CALLBACK run_once(PINIT_ONCE once, PVOID arg, PVOID *context) {
  (void)once;
  (void)context;
  ((const once_call *)arg)->run();
  return TRUE;
}

void os_call_once(os_once *once, void (*run)(void)) {
  once_call call = {run};

  (void)InitOnceExecuteOnce(once, run_once, &call, NULL);
}

typedef struct {
  void (*run)(void *);
  void *arg;
} thread_start;

static unsigned __stdcall thread_main(void *arg) {
  const thread_start start = *(thread_start *)arg;

  free(arg);
  start.run(start.arg);
  return 0;
}

bool os_start_detached(void (*run)(void *), void *arg, size_t stack) {
  thread_start *start = malloc(sizeof(*start));
  uintptr_t thread;

  if (start == NULL) {
    return false;
  }
  start->run = run;
  start->arg = arg;
  thread = _beginthreadex(NULL, (unsigned)stack, thread_main, start,
                          STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
  if (thread == 0) {
    free(start);
    return false;
  }
  (void)CloseHandle((HANDLE)thread);
  return true;
}

void *os_map(size_t size) {
  return VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

void os_unmap(void *ptr, size_t size) {
  (void)size;  // all of what was mapped
  (void)VirtualFree(ptr, 0, MEM_RELEASE);
}
