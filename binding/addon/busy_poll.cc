#include "busy_poll.h"

#include <poll.h>

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

// None where the reply would have to come from the same processor.
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

void ReplyPredictor::Quick() {
  if (expects_quick_) {
    needed_ = kNeededAtFirst;
  } else if (++quick_in_a_row_ >= needed_) {
    expects_quick_ = true;
  }
}

void ReplyPredictor::Late() {
  if (std::exchange(expects_quick_, false)) {
    needed_ = std::min(2 * needed_, kNeededAtMost);
  }
  quick_in_a_row_ = 0;
}

void BusyPoll::BeforeSleep(const engine_activity& activity) {
  if (limit_ == Clock::duration::zero()) return;
  if (activity.request_sent) {
    Expect(&after_request_);
  } else if (activity.reply_is_missing) {
    Expect(&after_reply_);
  }
  if (expected_ != nullptr && expected_->ExpectsQuick() && !Poll()) {
    expected_->Late();
  }
}

void BusyPoll::Expect(ReplyPredictor* predictor) {
  expected_ = predictor;
  expected_since_ = Clock::now();
}

BusyPoll::Clock::time_point BusyPoll::Woken() const {
  return expected_ != nullptr ? Clock::now() : Clock::time_point();
}

void BusyPoll::Received(Clock::time_point at) {
  ReplyPredictor* predictor = std::exchange(expected_, nullptr);
  if (predictor == nullptr) return;
  const Clock::duration took = at - expected_since_;
  // Half of it may be the time it takes to wake up.
  if (took > (predictor->ExpectsQuick() ? limit_ : 2 * limit_)) {
    predictor->Late();
  } else {
    predictor->Quick();
  }
}

// Whether the loop has something to do before the time is over, or a timer.
bool BusyPoll::Poll() const {
  const int timeout = uv_->backend_timeout(loop_);  // ms; -1: none
  Clock::time_point end = expected_since_ + limit_;
  if (timeout >= 0) {
    end = std::min(end, Clock::now() + std::chrono::milliseconds(timeout));
  }
  struct pollfd pfd = {uv_->backend_fd(loop_), POLLIN, 0};
  do {
    if (poll(&pfd, 1, 0) != 0) return true;
  } while (Clock::now() < end);
  return end < expected_since_ + limit_;
}

}  // namespace nng_pair
