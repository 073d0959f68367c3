#include "loop_clock.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

namespace nng_pair {

namespace {

LoopClock* ClockOf(UvHandle* handle) {
  return static_cast<LoopClock*>(UvData(handle));
}

}  // namespace

LoopClock* LoopClock::Create(napi_env env, std::function<void()> wake) {
  const Uv* uv = Uv::Find();
  uv_loop_s* loop;
  if (uv == nullptr || napi_get_uv_event_loop(env, &loop) != napi_ok ||
      loop == nullptr) {
    return nullptr;
  }
  auto* clock = new LoopClock(uv, std::move(wake));
  clock->timer_ = clock->NewHandle(Uv::kTimer);
  clock->idle_ = clock->NewHandle(Uv::kIdle);
  // Neither can fail.
  uv->timer_init(loop, clock->timer_);
  uv->idle_init(loop, clock->idle_);
  for (UvHandle* handle : {clock->timer_, clock->idle_}) {
    uv->handle_set_data(handle, clock);
  }
  uv->unref(clock->timer_);
  return clock;
}

UvHandle* LoopClock::NewHandle(int type) {
  memory_.push_back(std::make_unique<char[]>(uv_->handle_size(type)));
  return reinterpret_cast<UvHandle*>(memory_.back().get());
}

double LoopClock::Now() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double, std::milli>(now).count();
}

void LoopClock::SetAlarm(Waiter* waiter, double ms) {
  waiter->alarm_ = Now() + ms;
  StartTimer();
}

// For the earliest alarm. The loop's time can be behind the clock, and the
// timer then early: Deliver starts it again.
void LoopClock::StartTimer() {
  double first = Waiter::kNever;
  for (const Waiter* waiter : waiters_) {
    if (waiter->alarm_ == Waiter::kNever) continue;
    if (first == Waiter::kNever || waiter->alarm_ < first) {
      first = waiter->alarm_;
    }
  }
  if (first == Waiter::kNever) return;
  const double left = std::max(1.0, std::ceil(first - Now()));
  uv_->timer_start(timer_, &OnTimer, static_cast<uint64_t>(left), 0);
}

void LoopClock::WaitForTurn(Waiter* waiter) {
  waiter->wants_turn_ = true;
  // Does nothing if it is started.
  uv_->idle_start(idle_, &OnIdle);
}

void LoopClock::OnTimer(UvHandle* handle) {
  LoopClock* self = ClockOf(handle);
  self->due_ = true;
  self->wake_();
}

void LoopClock::OnIdle(UvHandle* handle) {
  LoopClock* self = ClockOf(handle);
  self->uv_->idle_stop(handle);
  for (Waiter* waiter : self->waiters_) {
    if (std::exchange(waiter->wants_turn_, false)) waiter->had_turn_ = true;
  }
  self->due_ = true;
  self->wake_();
}

void LoopClock::Deliver(napi_env env) {
  if (!std::exchange(due_, false)) return;
  const double now = Now();
  bool alarms = false;
  // JavaScript may make one, or drop one, meanwhile.
  const std::vector<Waiter*> waiters(waiters_.begin(), waiters_.end());
  for (Waiter* waiter : waiters) {
    if (waiters_.count(waiter) == 0) continue;
    const bool set = waiter->alarm_ != Waiter::kNever;
    const bool alarm = set && waiter->alarm_ <= now;
    const bool turn = std::exchange(waiter->had_turn_, false);
    if (alarm) waiter->alarm_ = Waiter::kNever;
    if (set && !alarm) alarms = true;
    if (alarm || turn) waiter->OnTime(env, alarm, turn);
  }
  if (alarms) StartTimer();
}

void LoopClock::Stop(std::function<void()> done) {
  done_ = std::move(done);
  waiters_.clear();
  uv_->close(timer_, &OnClosed);
  uv_->close(idle_, &OnClosed);
}

void LoopClock::OnClosed(UvHandle* handle) {
  LoopClock* self = ClockOf(handle);
  if (--self->open_ > 0) return;
  std::function<void()> done = std::move(self->done_);
  delete self;
  done();
}

}  // namespace nng_pair
