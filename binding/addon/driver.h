// What gives an engine its turns, and the environment its say in the
// environment's thread. The choice is made at run time, in Driver::Create.

#ifndef NNG_PAIR_ADDON_DRIVER_H
#define NNG_PAIR_ADDON_DRIVER_H

#include <node_api.h>

#include <functional>
#include <memory>

#include "../engine/engine.h"

namespace nng_pair {

class Driver {
 public:
  // What JavaScript has left for the engine to do, on the environment's thread.
  using Commit = std::function<void()>;
  // Delivers to JavaScript what has happened, on the environment's thread.
  using Deliver = std::function<void(napi_env)>;
  // Whether there is anything to be delivered.
  using Pending = std::function<bool()>;

  enum class Kind {
    kLoop,   // the engine on the environment's own loop
    kThread  // the engine on a thread of its own
  };

  static std::unique_ptr<Driver> Create(napi_env env, Kind kind,
                                        const Commit& commit,
                                        const Pending& pending,
                                        const Deliver& deliver);
  virtual ~Driver() = default;

  // The driver holds it until Stop.
  virtual engine* GetEngine() const = 0;
  // Any thread, with NNG's lock held: deliver soon.
  virtual void Wake() = 0;
  // The environment's thread: whether its loop stays alive for this.
  virtual void KeepAlive(bool keep) = 0;
  // Whether the environment's thread does what is left (Commit) by itself.
  virtual bool Commits() const = 0;
  // Whether it takes a turn of the loop to stop it.
  virtual bool StopsLater() const = 0;
  // The environment's thread: nothing is called any more. `done` follows,
  // from the loop or at once; the driver deletes itself before.
  virtual void Stop(std::function<void()> done) = 0;

 protected:
  // JavaScript that is called may set off more to be delivered; after this many
  // rounds the loop's other handles come first.
  static constexpr int kRounds = 4;
};

}  // namespace nng_pair

#endif  // NNG_PAIR_ADDON_DRIVER_H
