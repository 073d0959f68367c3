// A PAIR socket as the addon sees it: NNG's socket, a bounded inbox of
// received messages, and a queue of events. No JavaScript here.
//
// Threads. One thread, the owner (that of the JavaScript environment), calls
// everything but Listen, CloseEndpoint and Close, which may block and belong
// on a worker thread. NNG's threads call the callbacks.
//
// Locks. mutex_ guards what NNG's threads share with the owner. It is a leaf:
// NNG is never called while it is held, since NNG calls us with its own locks
// held (pair0_observer.h).
//
// The receive invariant. A message that has arrived is, at any moment, in
// exactly one place: a small one in the connection, which holds it for want of
// room or because somebody waits for it, any other in NNG, where it was left
// for want of room, the receive aio (on its way from there), the inbox, or
// handed over by Take. Nothing cancels the receive aio, so a JavaScript recv()
// that is aborted has nothing to give back. When a pipe ends, what is in NNG
// and in the connection comes to the inbox, whether there is room or not. Until
// then a failed send does not end it (conn.c): what is read comes first.
//
// Ownership. The owner's wrapper holds the socket by shared_ptr, and so does
// every worker job. NNG's callbacks use a plain pointer: Close returns only
// when no callback can run any more, and the destructor requires it.

#ifndef NNG_PAIR_CORE_SOCKET_H
#define NNG_PAIR_CORE_SOCKET_H

#include <nng/nng.h>

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "../platform/conn.h"
#include "../platform/engine.h"
#include "../platform/pair0_observer.h"
#include "fifo.h"
#include "inbox.h"
#include "message.h"
#include "peer.h"

namespace nng_pair {

struct Options {
  int send_buffer;
  int recv_buffer;
  size_t max_message_size;
  int reconnect_min;  // ms
  int reconnect_max;  // ms
  bool no_delay;
  bool keep_alive;
  int ipc_mode;
};

enum class EventType { kConnect, kDisconnect, kReject, kDialed, kResolved };

struct Event {
  EventType type;
  uint32_t id;  // the pipe; kDialed: the dialer; kResolved: the lookup
  int error;    // kDisconnect, kReject: why; kDialed, kResolved: why it failed,
                // or 0
  Peer peer;    // kConnect, kReject; kResolved: its address alone
};

struct Stats {
  uint64_t messages_sent;      // handed to the kernel
  uint64_t messages_received;  // from the kernel, whole
  uint64_t messages_lost;      // accepted, and gone down with their pipe
  uint64_t bytes_sent;
  uint64_t bytes_received;
  uint64_t unsent_messages;  // accepted, neither sent nor lost
  uint64_t unsent_bytes;
  uint64_t inbox_messages;
  uint64_t inbox_bytes;
  uint64_t rejects;
};

class Socket;

// How a socket asks for the owner's attention: from any thread, with NNG's
// locks held, so it must do no more than leave a note.
class Waker {
 public:
  virtual ~Waker() = default;
  virtual void Wake(Socket* socket) = 0;
  // Whose NNG the sockets live on; null where NNG has threads of its own.
  virtual engine* GetEngine() const = 0;
  // The owner's, for operations that end at once: no callback, no time.
  virtual nng_aio* TryAio() const = 0;
};

class Socket : public std::enable_shared_from_this<Socket> {
 public:
  // Returns an NNG error.
  static int Open(const Options& options, std::shared_ptr<Waker> waker,
                  std::shared_ptr<Socket>* out);
  ~Socket();
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  // Sending. Send either accepts the message (0), keeps it in line behind
  // others that wait (kQueued, if `queue`), or leaves it with the caller:
  // kFull, or a negative NNG error.
  static constexpr int kFull = 1;
  static constexpr int kQueued = 2;
  int Send(Message* message, bool queue);
  // As above, with a copy of these bytes.
  int Send(const uint8_t* data, size_t size, bool queue);
  // How many bytes of small messages with their heads are sure to be accepted,
  // while nobody else uses the socket, and how many of them each head takes;
  // and sends such messages (conn.h).
  size_t GatherRoom(size_t* head);
  void SendAccepted(const uint8_t* frames, size_t size, size_t count,
                    size_t head);
  // Accepts queued messages while there is room; returns how many have ever
  // left the queue, cancelled ones included. Asks to be woken if any are left.
  uint64_t FlushQueue();
  // The queued message with this number (they are counted from 0 since the
  // socket was opened) will not be sent.
  void CancelQueued(uint64_t number);
  void DropQueue();

  // How many messages were accepted, and how many of them have been sent or
  // lost: they are so in order. WakeWhenFinished asks for a wake-up when the
  // latter reaches `count`.
  uint64_t accepted() const { return accepted_; }
  uint64_t finished();
  void WakeWhenFinished(uint64_t count);
  // The bytes that are accepted and not sent, while there is a peer; else 0.
  uint64_t Backlog();

  // Receiving. Take moves messages out of the inbox (inbox.h). `served` of them
  // are for somebody who waits, the rest counts as read ahead until the next
  // Take. Without a receive buffer it looks at the connection, too. While there
  // is a kConnect event to be taken there are no messages: they come after it.
  using Room = Inbox::Room;
  size_t Take(Room room, int32_t* sizes, size_t max, size_t served,
              std::vector<Message>* large);
  // Somebody waits for a message. Returns false if there is one, and true
  // if the owner will be woken.
  bool WaitForMessage();
  // To be called when the owner was woken for a message, and may not have taken
  // it after all: reads on if there is room.
  void ReadAhead();
  // From now on messages are dropped as they come (the socket is closing).
  void Discard();

  bool HasEvents();
  void TakeEvents(std::vector<Event>* out);

  // Endpoints. Listen and CloseEndpoint block.
  // Looks up the first address of a host, which Listen is to be given: on a
  // name it would block. A kResolved event tells the outcome.
  int Resolve(const std::string& host, uint32_t* id);
  // The owner has seen the kResolved event.
  void ResolveEnded(uint32_t id);
  int Listen(const std::string& url, uint32_t* id, std::string* bound_url);
  // Starts a dialer. Without `retry` a kDialed event tells the outcome, and
  // after a failure the dialer is still to be closed.
  int Dial(const std::string& url, bool retry, uint32_t* id);
  // The owner has seen the kDialed event.
  void DialEnded(uint32_t id);
  void CloseEndpoint(uint32_t id, bool dialer);
  // It neither dials nor accepts any more; its connection stays.
  void StopEndpoint(uint32_t id, bool dialer);

  // A half close of the pipe, and how it goes on from there (conn.h).
  int FinishPipe(uint32_t pipe);
  int PipeProgress(uint32_t pipe, int* unacked, uint64_t* received);

  // Closes everything and waits until no callback runs or will run. Any
  // thread, any number of times.
  void Close();

  Stats GetStats();
  // Bytes in the inbox and accepted or queued for sending.
  uint64_t QueuedBytes();

  // For the waker, under its lock.
  bool wake_pending = false;
  // For the owner's wrapper, on its thread.
  void* owner_data = nullptr;

 private:
  struct DialOp;
  struct ResolveOp;
  struct Amount {
    uint64_t messages;
    uint64_t bytes;
  };

  Socket(const Options& options, std::shared_ptr<Waker> waker);
  int Init();

  static void OnObserver(void* arg, pair0_event event, uint32_t pipe,
                         size_t detail);
  static bool OnMessage(void* arg, nng_msg* msg, bool last);
  static size_t OnSmallMessages(void* arg, const nng_pair_small* messages,
                                size_t count);
  static void OnPipe(nng_pipe pipe, nng_pipe_ev event, void* arg);
  static void OnReceive(void* arg);
  static void OnDialed(void* arg);
  static void OnResolved(void* arg);
  static void OnFlushed(void* arg);

  template <typename Op>
  void End(std::unordered_map<uint32_t, std::unique_ptr<Op>>* ops, uint32_t id);
  int TrySend(Message* message);
  // Under mutex_: how many more messages the inbox takes now.
  size_t RoomLeft() const;
  // Under mutex_; whether to wake the owner.
  bool Store(Message message);
  bool StoreLast(Message message);
  void StoreRest();
  bool Held() const;
  size_t Pull(Room* room, int32_t* sizes, size_t max);
  void FetchNow();
  void FlushGathered();         // under NNG's lock
  void PushEvent(Event event);  // under mutex_
  void CountSent(uint64_t messages, uint64_t bytes);
  bool CountFinished();     // under mutex_; whether to wake the owner
  Amount Gathered() const;  // under NNG's lock and mutex_
  // conn.h, under NNG's lock.
  bool CanGather() const;
  bool Gather(const uint8_t* data, size_t size);
  bool StartWriting(const uint8_t* data, size_t size, size_t* done);
  void ForsakeWriting();

  const Options options_;
  const std::shared_ptr<Waker> waker_;
  engine* const engine_;
  nng_socket socket_ = NNG_SOCKET_INITIALIZER;
  pair0_observer observer_;
  // Kept for the life of the socket: allocating one draws a random number.
  nng_aio* recv_aio_ = nullptr;

  // The owner's thread alone.
  bool buffered_ = false;    // NNG has its send buffer, too large for idle ones
  Fifo<Message> queue_;      // a cancelled message leaves an empty place
  uint64_t queue_head_ = 0;  // the number of queue_.front()
  uint64_t queue_bytes_ = 0;
  uint32_t last_resolve_ = 0;

  std::atomic<uint64_t> accepted_{0};
  std::atomic<uint64_t> finished_{0};
  std::atomic<uint64_t> unsent_bytes_{0};
  std::atomic<bool> room_wanted_{false};

  std::mutex mutex_;
  Inbox inbox_;
  size_t read_ahead_ = 0;     // taken, and not known to be consumed
  bool left_behind_ = false;  // a message waits in NNG for room here
  bool fetching_ = false;     // it is on its way: others must not overtake
  // Those that came behind it with the end of their pipe.
  std::vector<Message> last_;
  bool message_wanted_ = false;
  bool discard_ = false;
  bool closing_ = false;
  uint64_t wake_when_finished_ = std::numeric_limits<uint64_t>::max();
  std::vector<Event> events_;
  bool untold_peer_ = false;  // there is a kConnect event
  size_t reject_events_ = 0;
  bool has_peer_ = false;
  // The peer's connection, while there is one. What has gathered in it counts
  // as sent for NNG, and for us when the kernel has it.
  nng_stream* conn_ = nullptr;
  std::unordered_map<uint32_t, Peer> pipes_;
  std::unordered_map<uint32_t, std::unique_ptr<DialOp>> dials_;
  std::unordered_map<uint32_t, std::unique_ptr<ResolveOp>> resolves_;
  // Pipes whose first attempt met another protocol, and their dialers.
  std::unordered_map<uint32_t, uint32_t> misdialed_;
  uint64_t messages_sent_ = 0;
  uint64_t messages_lost_ = 0;
  uint64_t bytes_sent_ = 0;
  uint64_t messages_received_ = 0;
  uint64_t bytes_received_ = 0;
  uint64_t rejects_ = 0;

  std::mutex close_mutex_;
  bool closed_ = false;
};

}  // namespace nng_pair

#endif  // NNG_PAIR_CORE_SOCKET_H
