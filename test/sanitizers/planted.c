// Faults for the sanitizers to find, each committed inside NNG by a misuse of
// its API, so that NNG is seen to be watched; the undefined behaviour is here.
// A module of Node-API that exports a function for each.

#include <limits.h>
#include <nng/nng.h>
#include <node_api.h>
#include <pthread.h>

static napi_value use_after_free(napi_env env, napi_callback_info info) {
  nng_msg *msg;

  (void)env;
  (void)info;
  if (nng_msg_alloc(&msg, 100) == 0) {
    nng_msg_free(msg);
    nng_msg_set_pipe(msg, (nng_pipe)NNG_PIPE_INITIALIZER);
  }
  return NULL;
}

static napi_value overflow(napi_env env, napi_callback_info info) {
  volatile int most = INT_MAX;

  (void)env;
  (void)info;
  most = most + 1;
  return NULL;
}

static void *write_message(void *msg) {
  nng_msg_set_pipe(msg, (nng_pipe)NNG_PIPE_INITIALIZER);
  return NULL;
}

static napi_value race(napi_env env, napi_callback_info info) {
  nng_msg *msg;
  pthread_t thread;

  (void)env;
  (void)info;
  if (nng_msg_alloc(&msg, 100) == 0) {
    if (pthread_create(&thread, NULL, write_message, msg) == 0) {
      // Whichever comes first, nothing orders them.
      write_message(msg);
      pthread_join(thread, NULL);
    }
    nng_msg_free(msg);
  }
  return NULL;
}

static void export_function(napi_env env, napi_value exports, const char *name,
                            napi_callback callback) {
  napi_value function;

  if (napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, NULL,
                           &function) == napi_ok) {
    napi_set_named_property(env, exports, name, function);
  }
}

NAPI_MODULE_INIT() {
  export_function(env, exports, "useAfterFree", use_after_free);
  export_function(env, exports, "overflow", overflow);
  export_function(env, exports, "race", race);
  return exports;
}
