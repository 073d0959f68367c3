#include "busy_poll.h"

#if !defined(_WIN32)
#include <poll.h>
#endif

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>

#include "convert.h"

namespace nng_pair {

namespace {

// Longer than it takes to be woken up, and to wake up somebody.
constexpr std::chrono::microseconds kLimit(50);
// In microseconds: an hour is as good as for ever.
constexpr uint64_t kMost = uint64_t{3600} * 1000 * 1000;

// Not where the answer would have to come from the same processor.
BusyPoll::Clock::duration LimitOf(napi_env env) {
#if defined(__linux__)
  std::string text;
  if (std::thread::hardware_concurrency() < 2) return {};
  if (!GetEnvironment(env, "NNG_PAIR_BUSY_POLL_US", &text)) return kLimit;
  const uint64_t limit = std::strtoull(text.c_str(), nullptr, 10);
  return std::chrono::microseconds(std::min(limit, kMost));
#else
  (void)env;
  return {};
#endif
}

}  // namespace

BusyPoll::BusyPoll(napi_env env, const Uv* uv, const uv_loop_s* loop)
    : uv_(uv), loop_(loop), limit_(LimitOf(env)) {}

void BusyPoll::BeforeSleep(bool asked) {
  if (limit_ == Clock::duration::zero()) return;
  if (asked) {
    asked_ = true;
    asked_at_ = Clock::now();
  }
  if (asked_ && awake_ && !Look()) Missed();
}

BusyPoll::Clock::time_point BusyPoll::Woken() const {
  return asked_ ? Clock::now() : Clock::time_point();
}

void BusyPoll::Heard(Clock::time_point at) {
  if (!std::exchange(asked_, false)) return;
  const Clock::duration took = at - asked_at_;
  // Half of it may be the time it takes to wake up.
  if (took > (awake_ ? limit_ : 2 * limit_)) {
    Missed();
  } else if (awake_) {
    needed_ = kAtFirst;
  } else if (++quick_ >= needed_) {
    awake_ = true;
  }
}

void BusyPoll::Missed() {
  if (std::exchange(awake_, false)) needed_ = std::min(2 * needed_, kAtMost);
  quick_ = 0;
}

// Whether the loop has something to do before the time is over, or a timer.
bool BusyPoll::Look() const {
#if !defined(_WIN32)
  const int timeout = uv_->backend_timeout(loop_);  // ms; -1: none
  Clock::time_point end = asked_at_ + limit_;
  if (timeout >= 0) {
    end = std::min(end, Clock::now() + std::chrono::milliseconds(timeout));
  }
  struct pollfd pfd = {uv_->backend_fd(loop_), POLLIN, 0};
  do {
    if (poll(&pfd, 1, 0) != 0) return true;
  } while (Clock::now() < end);
  return end < asked_at_ + limit_;
#else
  return false;
#endif
}

}  // namespace nng_pair
