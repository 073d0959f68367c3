// The addon's one class, `Socket`: a core Socket for one environment. Its
// methods are declared, with their meaning, in lib/native.ts.
//
// The wrapper holds the core socket; the environment does so too until it is
// closed. The JavaScript object holds the wrapper and is held by nobody here,
// so a socket that was dropped is collected; its core is then closed in the
// background.

#ifndef NNG_PAIR_ADDON_SOCKET_WRAP_H
#define NNG_PAIR_ADDON_SOCKET_WRAP_H

#include <napi.h>

#include <memory>

#include "../core/socket.h"
#include "environment.h"

namespace nng_pair {

class SocketWrap : public Napi::ObjectWrap<SocketWrap> {
 public:
  static Napi::Function Define(Napi::Env env);

  explicit SocketWrap(const Napi::CallbackInfo& info);
  ~SocketWrap() override;

  // Calls the object's `onready`. Plain Node-API with every status checked,
  // here and in what it leads to: the environment may be ending, and an
  // exception that is made then aborts the process.
  void Deliver(napi_env env);

 private:
  Napi::Value Send(const Napi::CallbackInfo& info);
  Napi::Value SendMany(const Napi::CallbackInfo& info);
  Napi::Value FlushQueue(const Napi::CallbackInfo& info);
  void CancelQueued(const Napi::CallbackInfo& info);
  Napi::Value Accepted(const Napi::CallbackInfo& info);
  Napi::Value Finished(const Napi::CallbackInfo& info);
  Napi::Value Backlog(const Napi::CallbackInfo& info);
  void WakeWhenFinished(const Napi::CallbackInfo& info);
  Napi::Value Take(const Napi::CallbackInfo& info);
  Napi::Value WaitForMessage(const Napi::CallbackInfo& info);
  void Discard(const Napi::CallbackInfo& info);
  void Wake(const Napi::CallbackInfo& info);
  Napi::Value TakeEvents(const Napi::CallbackInfo& info);
  Napi::Value Resolve(const Napi::CallbackInfo& info);
  Napi::Value Listen(const Napi::CallbackInfo& info);
  Napi::Value Dial(const Napi::CallbackInfo& info);
  Napi::Value CloseEndpoint(const Napi::CallbackInfo& info);
  void StopEndpoint(const Napi::CallbackInfo& info);
  Napi::Value FinishPipe(const Napi::CallbackInfo& info);
  Napi::Value PipeProgress(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);
  void KeepAlive(const Napi::CallbackInfo& info);
  void LetGo(const Napi::CallbackInfo& info);
  Napi::Value Stats(const Napi::CallbackInfo& info);

  template <auto method>
  Napi::Value Call(const Napi::CallbackInfo& info);
  int SendValue(napi_env env, napi_value value, bool queue);
  void ReportMemory(napi_env env);

  std::shared_ptr<Environment> environment_;
  const uint32_t id_;
  std::shared_ptr<Socket> socket_;
  bool closing_ = false;
  bool kept_alive_ = false;
  int64_t reported_bytes_ = 0;
};

}  // namespace nng_pair

#endif  // NNG_PAIR_ADDON_SOCKET_WRAP_H
