#include "loop_driver.h"

#include <utility>

#include "async_resource.h"

namespace nng_pair {

namespace {

LoopDriver* DriverOf(UvHandle* handle) {
  return static_cast<LoopDriver*>(UvData(handle));
}

}  // namespace

LoopDriver::LoopDriver(napi_env env, const Uv* uv, Commit commit,
                       Pending pending, Deliver deliver)
    : env_(env),
      uv_(uv),
      commit_(std::move(commit)),
      pending_(std::move(pending)),
      deliver_(std::move(deliver)) {}

LoopDriver::~LoopDriver() {
  if (engine_ != nullptr) engine_release(engine_);
}

std::unique_ptr<Driver> LoopDriver::Create(napi_env env, Commit commit,
                                           Pending pending, Deliver deliver) {
  const Uv* uv = Uv::Find();
  if (uv == nullptr) return nullptr;
  std::unique_ptr<LoopDriver> driver(new LoopDriver(
      env, uv, std::move(commit), std::move(pending), std::move(deliver)));
  if (!driver->Start()) return nullptr;
  return driver;
}

UvHandle* LoopDriver::NewHandle(int type) {
  memory_.push_back(std::make_unique<char[]>(uv_->handle_size(type)));
  return reinterpret_cast<UvHandle*>(memory_.back().get());
}

bool LoopDriver::CreateContext() {
  bool created = false;
  const auto create = [&] {
    napi_value name;
    napi_value resource = CreateDriverResource(env_);
    created = resource != nullptr &&
              napi_create_reference(env_, resource, 1, &resource_) == napi_ok &&
              napi_create_string_utf8(env_, "nng-pair", NAPI_AUTO_LENGTH,
                                      &name) == napi_ok &&
              napi_async_init(env_, resource, name, &context_) == napi_ok;
  };
  return RunOutside(env_, create) && created;
}

bool LoopDriver::Start() {
  uv_loop_s* loop;
  if (napi_get_uv_event_loop(env_, &loop) != napi_ok || loop == nullptr ||
      !CreateContext() || (engine_ = engine_create()) == nullptr) {
    return false;
  }
  poll_ = NewHandle(Uv::kPoll);
  prepare_ = NewHandle(Uv::kPrepare);
  // Starting a handle cannot fail once it is initialised.
  if (uv_->poll_init(loop, poll_, engine_fd(engine_)) != 0) return false;
  uv_->prepare_init(loop, prepare_);
  uv_->handle_set_data(poll_, this);
  uv_->handle_set_data(prepare_, this);
  uv_->poll_start(poll_, Uv::kReadable, &OnPoll);
  uv_->prepare_start(prepare_, &OnPrepare);
  uv_->unref(poll_);
  uv_->unref(prepare_);
  busy_poll_ = std::make_unique<BusyPoll>(env_, uv_, loop);
  open_ = 2;
  return true;
}

void LoopDriver::Wake() {
  // On the loop's own thread it is seen to before the loop sleeps.
  if (std::this_thread::get_id() != home_) engine_signal(engine_);
}

void LoopDriver::KeepAlive(bool keep) {
  if (poll_ == nullptr) return;
  if (keep) {
    uv_->ref(poll_);
  } else {
    uv_->unref(poll_);
  }
}

void LoopDriver::Settle() {
  commit_();
  engine_settle(engine_);
}

void LoopDriver::DeliverPending() {
  // Not from within: JavaScript can spin the loop (a debugger does).
  if (delivering_) return;
  delivering_ = true;
  for (int i = 0; i < kRounds && pending_(); i++) {
    napi_handle_scope handles;
    napi_callback_scope callbacks;
    napi_value resource;  // which Node ignores
    if (napi_open_handle_scope(env_, &handles) != napi_ok) break;
    // Closing the scope runs what was queued: ticks, then promises.
    if (napi_get_global(env_, &resource) == napi_ok &&
        napi_open_callback_scope(env_, resource, context_, &callbacks) ==
            napi_ok) {
      deliver_(env_);
      napi_close_callback_scope(env_, callbacks);
    }
    napi_close_handle_scope(env_, handles);
    Settle();
  }
  delivering_ = false;
  if (pending_()) engine_signal(engine_);
}

void LoopDriver::OnPoll(UvHandle* handle, int, int) {
  LoopDriver* self = DriverOf(handle);
  const auto now = self->busy_poll_->Woken();
  self->commit_();
  // What comes of the message that has most likely arrived can be on its way
  // before the other descriptors are looked at.
  engine_read_speculatively(self->engine_);
  self->DeliverPending();
  engine_turn(self->engine_);
  self->DeliverPending();
  if (engine_has_received(self->engine_)) self->busy_poll_->Received(now);
}

void LoopDriver::OnPrepare(UvHandle* handle) {
  LoopDriver* self = DriverOf(handle);
  self->Settle();
  self->DeliverPending();
  self->busy_poll_->BeforeSleep(engine_take_activity(self->engine_));
}

void LoopDriver::Stop(std::function<void()> done) {
  done_ = std::move(done);
  napi_async_destroy(env_, context_);
  napi_delete_reference(env_, resource_);
  uv_->close(std::exchange(poll_, nullptr), &OnClosed);
  uv_->close(std::exchange(prepare_, nullptr), &OnClosed);
}

void LoopDriver::OnClosed(UvHandle* handle) {
  LoopDriver* self = DriverOf(handle);
  if (--self->open_ > 0) return;
  std::function<void()> done = std::move(self->done_);
  delete self;
  done();
}

}  // namespace nng_pair
