// Busy polling: the loop stays awake for a reply that is about to come.
//
// Where two programs take turns, most of a round trip is the kernel putting
// one to sleep and waking up the other; on a virtual machine that takes longer
// than everything else. So when the loop is about to sleep, and a reply is
// expected soon, it looks at its descriptors again and again for a moment
// before it does. Whatever the loop waits for ends that, as does the next
// timer.
//
// A reply is expected in two situations: a request was just sent, and a reply
// was just received while others are still missing. In each of them it is
// expected soon only after a number of quick ones in a row, and one that does
// not come in time ends that for a while, for longer each time. So nobody polls
// for a peer that is slow, and programs that never have two requests open do
// not poll for a second reply.
//
// It belongs to the loop driver, and lives on its thread.

#ifndef NNG_PAIR_ADDON_BUSY_POLL_H
#define NNG_PAIR_ADDON_BUSY_POLL_H

#include <node_api.h>

#include <chrono>

#include "../engine/engine.h"
#include "uv.h"

namespace nng_pair {

// Whether the next reply will be quick, judging by those before.
class ReplyPredictor {
 public:
  bool ExpectsQuick() const { return expects_quick_; }
  void Quick();
  void Late();

 private:
  // So many quick replies in a row, and the next one is expected to be quick;
  // twice as many after each wrong expectation, up to a limit.
  static constexpr int kNeededAtFirst = 16;
  static constexpr int kNeededAtMost = 4096;

  bool expects_quick_ = false;
  int quick_in_a_row_ = 0;
  int needed_ = kNeededAtFirst;
};

class BusyPoll {
 public:
  using Clock = std::chrono::steady_clock;

  // No longer at a time than the environment's NNG_PAIR_BUSY_POLL_US says.
  BusyPoll(napi_env env, const Uv* uv, const uv_loop_s* loop);

  // The loop is about to sleep; what the engine has done since the last time.
  void BeforeSleep(const engine_activity& activity);
  // The loop has woken up for the engine; when.
  Clock::time_point Woken() const;
  // It then has read something: the reply, if one was expected.
  void Received(Clock::time_point at);

 private:
  bool Poll() const;
  void Expect(ReplyPredictor* predictor);

  const Uv* const uv_;
  const uv_loop_s* const loop_;
  const Clock::duration limit_;  // zero: it never polls
  ReplyPredictor after_request_;
  ReplyPredictor after_reply_;
  // Of the reply that is expected, or null; and since when it is.
  ReplyPredictor* expected_ = nullptr;
  Clock::time_point expected_since_;
};

}  // namespace nng_pair

#endif  // NNG_PAIR_ADDON_BUSY_POLL_H
