// Around calls into NNG on behalf of an engine (engine/engine.h).

#ifndef NNG_PAIR_CORE_ENGINE_SCOPE_H
#define NNG_PAIR_CORE_ENGINE_SCOPE_H

#include "../engine/engine.h"

namespace nng_pair {

// A call that does not block: it holds the lock, and what it has set off is
// done when it returns. Without it, each of the locks that NNG takes in the
// call could have to wait for a turn of the engine on another thread.
class EngineScope {
 public:
  explicit EngineScope(engine* e) : engine_(e) { engine_enter(e); }
  ~EngineScope() { engine_leave(engine_); }
  EngineScope(const EngineScope&) = delete;
  EngineScope& operator=(const EngineScope&) = delete;

 private:
  engine* const engine_;
};

// A call that may block, on a thread of its own.
class EngineBinding {
 public:
  explicit EngineBinding(engine* e) { engine_bind(e); }
  ~EngineBinding() { engine_bind(nullptr); }
  EngineBinding(const EngineBinding&) = delete;
  EngineBinding& operator=(const EngineBinding&) = delete;
};

}  // namespace nng_pair

#endif  // NNG_PAIR_CORE_ENGINE_SCOPE_H
