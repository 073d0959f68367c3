// Waiting awake for an answer that is about to come.
//
// Where two programs take turns, most of a round trip is the kernel putting
// one to sleep and waking up the other; on a virtual machine that takes longer
// than everything else. So after what may have been a question, and as long as
// answers come quickly, the loop looks again and again for a moment before it
// sleeps. Whatever the loop waits for ends that, as does the next timer. One
// answer that does not come in that time ends it for a while, for longer each
// time: nobody who takes his time is waited for awake.
//
// It belongs to the loop driver, and lives on its thread.

#ifndef NNG_PAIR_ADDON_BUSY_POLL_H
#define NNG_PAIR_ADDON_BUSY_POLL_H

#include <node_api.h>

#include <chrono>

#include "uv.h"

namespace nng_pair {

class BusyPoll {
 public:
  using Clock = std::chrono::steady_clock;

  // No longer at a time than the environment's NNG_PAIR_BUSY_POLL_US says.
  BusyPoll(napi_env env, const Uv* uv, const uv_loop_s* loop);

  // The loop is about to sleep; whether it has sent what may be a question.
  void BeforeSleep(bool asked);
  // The loop has woken up for the engine; when.
  Clock::time_point Woken() const;
  // It then has read something: the answer, if there was a question.
  void Heard(Clock::time_point at);

 private:
  bool Look() const;
  void Missed();

  // So many quick answers in a row, and the next one is waited for awake; twice
  // as many after each that did not come, up to a limit.
  static constexpr int kAtFirst = 16;
  static constexpr int kAtMost = 4096;

  const Uv* const uv_;
  const uv_loop_s* const loop_;
  const Clock::duration limit_;  // zero: never
  bool asked_ = false;
  Clock::time_point asked_at_;
  bool awake_ = false;
  int quick_ = 0;
  int needed_ = kAtFirst;
};

}  // namespace nng_pair

#endif  // NNG_PAIR_ADDON_BUSY_POLL_H
