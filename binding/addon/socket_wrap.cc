#include "socket_wrap.h"

#include <cmath>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "blocking_call.h"
#include "convert.h"

namespace nng_pair {

namespace {

// Telling V8 of every byte costs more than it is worth.
constexpr int64_t kReportStep = int64_t{64} * 1024;

double ToDouble(uint64_t value) { return static_cast<double>(value); }

Napi::Object PeerObject(Napi::Env env, const Peer& peer) {
  Napi::Object object = Napi::Object::New(env);
  object["ipc"] = peer.ipc;
  object["address"] = peer.address;
  object["port"] = peer.port;
  object["pid"] = peer.pid;
  object["uid"] = peer.uid;
  object["gid"] = peer.gid;
  object["dialed"] = peer.dialed;
  object["endpoint"] = peer.endpoint;
  return object;
}

// In plain Node-API: where a worker is being terminated reading a property
// fails, and the C++ wrapper of what it then has would abort the process.
bool ReadOptions(napi_env env, napi_value object, Options* options) {
  const auto number = [=](const char* name, auto* out) {
    napi_value value;
    double d;
    if (napi_get_named_property(env, object, name, &value) != napi_ok ||
        napi_get_value_double(env, value, &d) != napi_ok) {
      return false;
    }
    *out = static_cast<std::remove_pointer_t<decltype(out)>>(d);
    return true;
  };
  const auto flag = [=](const char* name, bool* out) {
    napi_value value;
    return napi_get_named_property(env, object, name, &value) == napi_ok &&
           napi_get_value_bool(env, value, out) == napi_ok;
  };
  nng_pair_conn_limits* limits = &options->limits;
  return number("sendBuffer", &options->send_buffer) &&
         number("recvBuffer", &options->recv_buffer) &&
         number("maxMessageSize", &options->max_message_size) &&
         number("reconnectMin", &options->reconnect_min) &&
         number("reconnectMax", &options->reconnect_max) &&
         flag("noDelay", &options->no_delay) &&
         flag("keepAlive", &options->keep_alive) &&
         number("keepAliveDelay", &limits->keep_alive_delay) &&
         number("keepAliveInterval", &limits->keep_alive_interval) &&
         number("keepAliveCount", &limits->keep_alive_count) &&
         number("userTimeout", &limits->user_timeout) &&
         number("ipcMode", &options->ipc_mode);
}

// A promise for what the pool is doing; rejected at once if it cannot.
Napi::Value OrUndefined(Napi::Env env, napi_value value) {
  return value == nullptr ? env.Undefined() : Napi::Value(env, value);
}

napi_value NumberArray(napi_env env, std::initializer_list<double> numbers) {
  napi_value array;
  if (napi_create_array(env, &array) != napi_ok) return nullptr;
  uint32_t i = 0;
  for (double number : numbers) {
    napi_value value;
    if (napi_create_double(env, number, &value) != napi_ok ||
        napi_set_element(env, array, i++, value) != napi_ok) {
      return nullptr;
    }
  }
  return array;
}

// As lib/native.ts has it: SEND_ACCEPTED, SEND_FULL, SEND_QUEUED, or an error.
int StatusOf(SendQueue::Result result) {
  switch (result) {
    case SendQueue::Result::kAccepted:
      return 0;
    case SendQueue::Result::kFull:
      return 1;
    case SendQueue::Result::kQueued:
      return 2;
    case SendQueue::Result::kNoMemory:
      break;
  }
  return -NNG_ENOMEM;
}

}  // namespace

Napi::Function SocketWrap::Define(Napi::Env env) {
  return DefineClass(
      env, "Socket",
      {
          InstanceMethod<&SocketWrap::Call<&SocketWrap::Send>>("send"),
          InstanceMethod<&SocketWrap::Call<&SocketWrap::SendMany>>("sendMany"),
          InstanceMethod<&SocketWrap::Call<&SocketWrap::FlushQueue>>(
              "flushQueue"),
          InstanceMethod<&SocketWrap::Call<&SocketWrap::CancelQueued>>(
              "cancelQueued"),
          InstanceMethod<&SocketWrap::Call<&SocketWrap::Accepted>>("accepted"),
          InstanceMethod<&SocketWrap::Call<&SocketWrap::Finished>>("finished"),
          InstanceMethod<&SocketWrap::Call<&SocketWrap::Backlog>>("backlog"),
          InstanceMethod<&SocketWrap::Call<&SocketWrap::WakeWhenFinished>>(
              "wakeWhenFinished"),
          InstanceMethod<&SocketWrap::Call<&SocketWrap::Take>>("take"),
          InstanceMethod<&SocketWrap::Call<&SocketWrap::WaitForMessage>>(
              "waitForMessage"),
          InstanceMethod<&SocketWrap::Call<&SocketWrap::Discard>>("discard"),
          InstanceMethod<&SocketWrap::Call<&SocketWrap::Wake>>("wake"),
          InstanceMethod<&SocketWrap::Call<&SocketWrap::TakeEvents>>(
              "takeEvents"),
          InstanceMethod<&SocketWrap::Call<&SocketWrap::Resolve>>("resolve"),
          InstanceMethod<&SocketWrap::Call<&SocketWrap::Listen>>("listen"),
          InstanceMethod<&SocketWrap::Call<&SocketWrap::Dial>>("dial"),
          InstanceMethod<&SocketWrap::Call<&SocketWrap::CloseEndpoint>>(
              "closeEndpoint"),
          InstanceMethod<&SocketWrap::Call<&SocketWrap::StopEndpoint>>(
              "stopEndpoint"),
          InstanceMethod<&SocketWrap::Call<&SocketWrap::FinishPipe>>(
              "finishPipe"),
          InstanceMethod<&SocketWrap::Call<&SocketWrap::PipeProgress>>(
              "pipeProgress"),
          InstanceMethod<&SocketWrap::Call<&SocketWrap::Close>>("close"),
          InstanceMethod<&SocketWrap::Call<&SocketWrap::KeepAlive>>(
              "keepAlive"),
          InstanceMethod<&SocketWrap::Call<&SocketWrap::LetGo>>("letGo"),
          InstanceMethod<&SocketWrap::Call<&SocketWrap::Stats>>("stats"),
      });
}

SocketWrap::SocketWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<SocketWrap>(info),
      environment_(*info.Env().GetInstanceData<std::shared_ptr<Environment>>()),
      id_(environment_->NextSocketId()) {
  Options options;
  if (!ReadOptions(info.Env(), info[0], &options)) return;
  const int rv = Socket::Open(options, environment_, &socket_);
  if (rv != 0) {
    Napi::Error error = Napi::Error::New(info.Env(), nng_strerror(rv));
    error.Set("errno", Napi::Number::New(info.Env(), rv));
    error.ThrowAsJavaScriptException();
    return;
  }
  napi_value id;
  if (napi_create_uint32(info.Env(), id_, &id) == napi_ok) {
    (void)napi_set_named_property(info.Env(), info.This(), "id", id);
  }
  socket_->owner_data = this;
  environment_->Hold(socket_);
}

// Every method: what is in the outbox comes first.
template <auto method>
Napi::Value SocketWrap::Call(const Napi::CallbackInfo& info) {
  environment_->outbox().Commit();
  if constexpr (std::is_void_v<decltype((this->*method)(info))>) {
    (this->*method)(info);
    return info.Env().Undefined();
  } else {
    return (this->*method)(info);
  }
}

SocketWrap::~SocketWrap() {
  if (!socket_) return;
  environment_->outbox().Commit();
  socket_->owner_data = nullptr;
  ReportMemory(Env());
  if (kept_alive_) environment_->LetGo();
  // At the end of the environment the socket has been closed. Closing it in the
  // background would be told to async_hooks, which are in JavaScript: with an
  // AsyncLocalStorage in use, Node would end the process with code 7.
  if (closing_ || environment_->HasEnded()) return;
  // Dropped by the program.
  std::shared_ptr<Socket> socket = socket_;
  std::shared_ptr<Environment> environment = environment_;
  RunBlocking(
      Env(), [socket] { socket->Close(); },
      [socket, environment](napi_env) -> napi_value {
        environment->Forget(socket.get());
        return nullptr;
      });
}

void SocketWrap::Deliver(napi_env env) {
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value self = Value();
  napi_value callback;
  napi_value events;
  napi_value result;
  if (self != nullptr) {
    napi_status status =
        napi_get_named_property(env, self, "onready", &callback);
    if (status == napi_ok) {
      status = napi_get_boolean(env, socket_->HasEvents(), &events);
    }
    engine_check_unlocked();
    if (status == napi_ok) {
      status = napi_call_function(env, self, callback, 1, &events, &result);
    }
    if (status == napi_pending_exception) ReportUncaught(env);
    socket_->ReadAhead();
    ReportMemory(env);
  }
  napi_close_handle_scope(env, scope);
}

// V8 hears of the bytes that its objects keep in our queues, so that it
// collects in time.
void SocketWrap::ReportMemory(napi_env env) {
  const int64_t bytes = socket_->owner_data == nullptr
                            ? 0
                            : static_cast<int64_t>(socket_->QueuedBytes());
  const int64_t change = bytes - reported_bytes_;
  if (bytes != 0 && std::abs(change) < kReportStep) return;
  int64_t total;
  if (change != 0 &&
      napi_adjust_external_memory(env, change, &total) == napi_ok) {
    reported_bytes_ = bytes;
  }
}

Napi::Value SocketWrap::Send(const Napi::CallbackInfo& info) {
  const int rv =
      SendValue(info.Env(), info[0], info[1].As<Napi::Boolean>().Value());
  if (rv == 0) environment_->outbox().Open(socket_.get(), id_);
  ReportMemory(info.Env());
  return Napi::Number::New(info.Env(), rv);
}

int SocketWrap::SendValue(napi_env env, napi_value value, bool queue) {
  napi_valuetype type;
  if (napi_typeof(env, value, &type) != napi_ok) return -NNG_EINVAL;
  if (type == napi_string) {
    // If it is cut off, it is at the end: no character takes five bytes.
    char text[ReceiveQueue::kSmall];
    size_t size;
    if (napi_get_value_string_utf8(env, value, text, sizeof(text), &size) ==
            napi_ok &&
        size + 4 < sizeof(text)) {
      return StatusOf(
          socket_->Send(reinterpret_cast<const uint8_t*>(text), size, queue));
    }
    OutgoingMessage message;
    const int rv = ToMessage(env, value, &message);
    return rv != 0 ? -rv : StatusOf(socket_->Send(std::move(message), queue));
  }
  // The facade sees to it that what is not a string is a Uint8Array.
  void* data;
  size_t size;
  if (napi_get_typedarray_info(env, value, nullptr, &size, &data, nullptr,
                               nullptr) != napi_ok) {
    return -NNG_EINVAL;
  }
  return StatusOf(socket_->Send(static_cast<uint8_t*>(data), size, queue));
}

Napi::Value SocketWrap::SendMany(const Napi::CallbackInfo& info) {
  Napi::Array list = info[0].As<Napi::Array>();
  uint32_t i = info[1].As<Napi::Number>().Uint32Value();
  const uint32_t end = info[2].As<Napi::Number>().Uint32Value();
  napi_handle_scope scope;
  for (; i < end; i++) {
    if (napi_open_handle_scope(info.Env(), &scope) != napi_ok) break;
    napi_value value;
    const bool accepted =
        napi_get_element(info.Env(), list, i, &value) == napi_ok &&
        SendValue(info.Env(), value, false) == 0;
    napi_close_handle_scope(info.Env(), scope);
    if (!accepted) break;
    // From here on the outbox is quicker.
    if (environment_->outbox().Open(socket_.get(), id_)) {
      i++;
      break;
    }
  }
  ReportMemory(info.Env());
  return Napi::Number::New(info.Env(), i);
}

Napi::Value SocketWrap::FlushQueue(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), ToDouble(socket_->AcceptLine()));
}

void SocketWrap::CancelQueued(const Napi::CallbackInfo& info) {
  socket_->CancelQueued(
      static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value()));
}

Napi::Value SocketWrap::Accepted(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), ToDouble(socket_->Accepted()));
}

Napi::Value SocketWrap::Finished(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), ToDouble(socket_->Done()));
}

Napi::Value SocketWrap::Backlog(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), ToDouble(socket_->Backlog()));
}

void SocketWrap::WakeWhenFinished(const Napi::CallbackInfo& info) {
  socket_->WakeWhenDone(
      static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value()));
}

// The hot path: plain Node-API, with nothing made for small messages.
Napi::Value SocketWrap::Take(const Napi::CallbackInfo& info) {
  const napi_env env = info.Env();
  void* slab;
  void* sizes;
  size_t slab_size;
  size_t max;
  uint32_t at;
  uint32_t served;
  if (napi_get_typedarray_info(env, info[0], nullptr, &slab_size, &slab,
                               nullptr, nullptr) != napi_ok ||
      napi_get_value_uint32(env, info[1], &at) != napi_ok || at > slab_size ||
      napi_get_typedarray_info(env, info[2], nullptr, &max, &sizes, nullptr,
                               nullptr) != napi_ok ||
      napi_get_value_uint32(env, info[4], &served) != napi_ok) {
    return Napi::Number::New(env, 0);
  }
  std::vector<Bytes> large;
  const size_t n =
      socket_->Take({static_cast<uint8_t*>(slab) + at, slab_size - at},
                    static_cast<int32_t*>(sizes), max, served, &large);
  for (uint32_t i = 0; i < large.size(); i++) {
    napi_value buffer = ToBuffer(env, std::move(large[i]));
    if (buffer == nullptr ||
        napi_set_element(env, info[3], i, buffer) != napi_ok) {
      break;
    }
  }
  ReportMemory(env);
  return Napi::Number::New(env, static_cast<double>(n));
}

Napi::Value SocketWrap::WaitForMessage(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), socket_->WaitForMessage());
}

void SocketWrap::Discard(const Napi::CallbackInfo&) { socket_->Discard(); }

void SocketWrap::Wake(const Napi::CallbackInfo&) {
  environment_->Wake(socket_.get());
}

Napi::Value SocketWrap::TakeEvents(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::vector<Event> events;
  socket_->TakeEvents(&events);
  Napi::Array array = Napi::Array::New(env, events.size());
  for (uint32_t i = 0; i < events.size(); i++) {
    const Event& event = events[i];
    if (event.type == EventType::kDialed) socket_->DialEnded(event.id);
    if (event.type == EventType::kResolved) socket_->ResolveEnded(event.id);
    Napi::Object object = Napi::Object::New(env);
    object["type"] = static_cast<int>(event.type);
    object["id"] = event.id;
    object["error"] = event.error;
    if (event.type == EventType::kConnect || event.type == EventType::kReject) {
      object["peer"] = PeerObject(env, event.peer);
    }
    if (event.type == EventType::kDisconnect) {
      object["messages"] = static_cast<double>(event.messages);
    }
    if (event.type == EventType::kListening) object["call"] = event.call;
    if (event.type == EventType::kResolved) {
      object["address"] = event.peer.address;
    }
    array.Set(i, object);
  }
  return array;
}

Napi::Value SocketWrap::Resolve(const Napi::CallbackInfo& info) {
  uint32_t id = 0;
  const int rv = socket_->Resolve(info[0].As<Napi::String>().Utf8Value(), &id);
  return Napi::Number::New(info.Env(), rv != 0 ? -rv : static_cast<double>(id));
}

Napi::Value SocketWrap::Listen(const Napi::CallbackInfo& info) {
  struct Job {
    std::string url;
    uint32_t call = 0;
    int rv = 0;
    uint32_t id = 0;
    std::string bound_url;
  };
  auto job = std::make_shared<Job>();
  job->url = info[0].As<Napi::String>().Utf8Value();
  job->call = info[1].As<Napi::Number>().Uint32Value();
  std::shared_ptr<Socket> socket = socket_;
  return OrUndefined(
      info.Env(), RunBlocking(
                      info.Env(),
                      [job, socket] {
                        job->rv = socket->Listen(job->url, job->call, &job->id,
                                                 &job->bound_url);
                      },
                      [job](napi_env env) -> napi_value {
                        napi_value array =
                            NumberArray(env, {static_cast<double>(job->rv),
                                              static_cast<double>(job->id)});
                        napi_value url;
                        if (array == nullptr ||
                            napi_create_string_utf8(env, job->bound_url.data(),
                                                    job->bound_url.size(),
                                                    &url) != napi_ok ||
                            napi_set_element(env, array, 2, url) != napi_ok) {
                          return nullptr;
                        }
                        return array;
                      }));
}

Napi::Value SocketWrap::Dial(const Napi::CallbackInfo& info) {
  uint32_t id = 0;
  const int rv = socket_->Dial(info[0].As<Napi::String>().Utf8Value(),
                               info[1].As<Napi::Boolean>().Value(), &id);
  return Napi::Number::New(info.Env(), rv != 0 ? -rv : static_cast<double>(id));
}

Napi::Value SocketWrap::CloseEndpoint(const Napi::CallbackInfo& info) {
  const uint32_t id = info[0].As<Napi::Number>().Uint32Value();
  const bool dialer = info[1].As<Napi::Boolean>().Value();
  std::shared_ptr<Socket> socket = socket_;
  return OrUndefined(info.Env(),
                     RunBlocking(
                         info.Env(), [=] { socket->CloseEndpoint(id, dialer); },
                         [](napi_env env) { return NumberArray(env, {}); }));
}

void SocketWrap::StopEndpoint(const Napi::CallbackInfo& info) {
  socket_->StopEndpoint(info[0].As<Napi::Number>().Uint32Value(),
                        info[1].As<Napi::Boolean>().Value());
}

Napi::Value SocketWrap::FinishPipe(const Napi::CallbackInfo& info) {
  return Napi::Number::New(
      info.Env(),
      socket_->FinishPipe(info[0].As<Napi::Number>().Uint32Value()));
}

Napi::Value SocketWrap::PipeProgress(const Napi::CallbackInfo& info) {
  int unacked = 0;
  uint64_t received = 0;
  const int rv = socket_->PipeProgress(info[0].As<Napi::Number>().Uint32Value(),
                                       &unacked, &received);
  return OrUndefined(info.Env(),
                     NumberArray(info.Env(), {static_cast<double>(rv),
                                              static_cast<double>(unacked),
                                              ToDouble(received)}));
}

Napi::Value SocketWrap::Close(const Napi::CallbackInfo& info) {
  closing_ = true;
  socket_->DropQueue();
  std::shared_ptr<Socket> socket = socket_;
  std::shared_ptr<Environment> environment = environment_;
  return OrUndefined(info.Env(), RunBlocking(
                                     info.Env(), [socket] { socket->Close(); },
                                     [socket, environment](napi_env env) {
                                       environment->Forget(socket.get());
                                       return NumberArray(env, {});
                                     }));
}

void SocketWrap::KeepAlive(const Napi::CallbackInfo&) {
  if (!std::exchange(kept_alive_, true)) environment_->KeepAlive();
}

void SocketWrap::LetGo(const Napi::CallbackInfo&) {
  if (std::exchange(kept_alive_, false)) environment_->LetGo();
}

Napi::Value SocketWrap::Stats(const Napi::CallbackInfo& info) {
  const nng_pair::Stats stats = socket_->GetStats();
  Napi::Object object = Napi::Object::New(info.Env());
  const auto set = [&object](const char* name, uint64_t value) {
    object[name] = ToDouble(value);
  };
  set("messagesSent", stats.messages_sent);
  set("messagesReceived", stats.messages_received);
  set("messagesLost", stats.messages_lost);
  set("bytesSent", stats.bytes_sent);
  set("bytesReceived", stats.bytes_received);
  set("unsentMessages", stats.unsent_messages);
  set("unsentBytes", stats.unsent_bytes);
  set("inboxMessages", stats.inbox_messages);
  set("inboxBytes", stats.inbox_bytes);
  set("rejects", stats.rejects);
  return object;
}

}  // namespace nng_pair
