// A PAIR socket as the addon sees it: NNG's socket, a queue of messages each
// way, and one of events. No JavaScript here.
//
// Threads. One thread, the owner (that of the JavaScript environment), calls
// everything but Listen, CloseEndpoint and Close, which may block and belong
// on a worker thread. NNG's threads call the callbacks.
//
// Locks. The engine's lock guards the queues and all that has to do with the
// peer's connection: the connection calls us under it, and the owner's calls
// take it (EngineScope). mutex_ guards the rest that is shared: the events and
// what leads to them. It is a leaf: NNG is never called while it is held, since
// NNG calls us with its own locks held (pair0_observer.h).
//
// Messages never pass NNG. When it has made a connection the socket's peer, we
// attach to that (stream/conn.h), and move its bytes from and to the queues
// (receive_queue.h, send_queue.h), which stay when the connection goes.
//
// The receive invariant. A message that has arrived is, at any moment, in
// exactly one place: in the kernel, in the receive queue, or handed over by
// Take. A JavaScript recv() that is aborted has nothing to give back.
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

#include "../engine/engine.h"
#include "../platform/pair0_observer.h"
#include "../stream/conn.h"
#include "peer.h"
#include "receive_queue.h"
#include "send_queue.h"

namespace nng_pair {

struct Options {
  int send_buffer;
  int recv_buffer;
  size_t max_message_size;
  int reconnect_min;  // ms
  int reconnect_max;  // ms
  bool no_delay;
  bool keep_alive;
  nng_pair_conn_limits limits;
  int ipc_mode;
};

enum class EventType {
  kConnect,
  kDisconnect,
  kReject,
  kDialed,
  kResolved,
  kListening
};

struct Event {
  EventType type;
  uint32_t id;  // the pipe; kDialed: the dialer; kResolved: the lookup;
                // kListening: the listener
  int error;    // kDisconnect, kReject: why; kDialed, kResolved: why it failed,
                // or 0
  Peer peer;    // kConnect, kReject; kResolved: its address alone
  // kDisconnect: how many messages have ever arrived whole until then.
  uint64_t messages = 0;
  uint32_t call = 0;  // kListening: of Listen
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
  // Whose NNG the sockets live on.
  virtual engine* GetEngine() const = 0;
};

class Socket : public std::enable_shared_from_this<Socket> {
 public:
  // Returns an NNG error.
  static int Open(const Options& options, std::shared_ptr<Waker> waker,
                  std::shared_ptr<Socket>* out);
  ~Socket();
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  // Sending (send_queue.h).
  SendQueue::Result Send(const uint8_t* data, size_t size, bool queue);
  SendQueue::Result Send(OutgoingMessage message, bool queue);
  size_t SendRoom(size_t* head);
  void SendFrames(const uint8_t* frames, size_t size, size_t count,
                  size_t head);
  // Accepts messages of the line. Returns how many have ever left it, cancelled
  // ones included. The owner is woken when others can.
  uint64_t AcceptLine();
  void CancelQueued(uint64_t number);
  void DropQueue();

  // How many messages were accepted, and how many of them have been sent or
  // lost. WakeWhenDone asks for a wake-up when the latter reaches `count`.
  uint64_t Accepted();
  uint64_t Done();
  void WakeWhenDone(uint64_t count);
  // The bytes that are accepted and not sent, while there is a peer; else 0.
  uint64_t Backlog();

  // Receiving (receive_queue.h). Of what Take returns, `served` messages are
  // for somebody who waits, the rest counts as read ahead until the next Take.
  // While there is a kConnect event to be taken there are no messages: they
  // come after it.
  using Room = ReceiveQueue::Room;
  size_t Take(Room room, int32_t* sizes, size_t max, size_t served,
              std::vector<Bytes>* large);
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
  // A kListening event tells the listener's id, and the number of the call that
  // made it, before any event of a connection that it accepts.
  int Listen(const std::string& url, uint32_t call, uint32_t* id,
             std::string* bound_url);
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
  // The bytes of the messages in both queues. Takes no lock.
  uint64_t QueuedBytes() const;

  // For the waker, under its lock.
  bool wake_pending = false;
  // For the owner's wrapper, on its thread.
  void* owner_data = nullptr;

 private:
  struct DialOp;
  struct ResolveOp;

  Socket(const Options& options, std::shared_ptr<Waker> waker);
  int Init();

  static void OnObserver(void* arg, pair0_event event, uint32_t pipe,
                         int error);
  static void OnReadable(void* arg);
  static void OnWritable(void* arg);
  static void OnPipe(nng_pipe pipe, nng_pipe_ev event, void* arg);
  static void OnDialed(void* arg);
  static void OnResolved(void* arg);

  template <typename Op>
  void End(std::unordered_map<uint32_t, std::unique_ptr<Op>>* ops, uint32_t id);
  // Under the engine's lock.
  void BeginConnection(uint32_t pipe);
  // Returns how many messages have ever arrived whole.
  uint64_t EndConnection();
  size_t ReceiveLimit() const;
  void Read();
  void TellSendProgress();
  void CountRequests();
  // Under mutex_.
  void PushEvent(Event event);

  const Options options_;
  const std::shared_ptr<Waker> waker_;
  engine* const engine_;
  nng_socket socket_ = NNG_SOCKET_INITIALIZER;
  pair0_observer observer_;

  // The owner's thread alone.
  uint32_t last_resolve_ = 0;

  // Under the engine's lock.
  ReceiveQueue in_;
  SendQueue out_;
  nng_stream* conn_ = nullptr;  // the peer's connection, while there is one
  uint32_t conn_pipe_ = 0;
  size_t read_ahead_ = 0;  // taken, and not known to be consumed
  bool message_wanted_ = false;
  bool discard_ = false;
  uint64_t wake_when_done_ = std::numeric_limits<uint64_t>::max();
  // For busy polling: what TellSendProgress has seen, and CountRequests.
  uint64_t told_sent_ = 0;
  uint64_t requests_open_ = 0;
  uint64_t sent_then_ = 0;
  uint64_t received_then_ = 0;

  std::mutex mutex_;
  bool closing_ = false;  // no further connection is taken
  std::vector<Event> events_;
  bool connect_event_waits_ = false;  // there is a kConnect event
  size_t reject_events_ = 0;
  std::unordered_map<uint32_t, Peer> pipes_;
  std::unordered_map<uint32_t, std::unique_ptr<DialOp>> dials_;
  std::unordered_map<uint32_t, std::unique_ptr<ResolveOp>> resolves_;
  // Pipes whose first attempt met another protocol, and their dialers.
  std::unordered_map<uint32_t, uint32_t> misdialed_;
  uint64_t rejects_ = 0;

  std::mutex close_mutex_;
  bool closed_ = false;
};

}  // namespace nng_pair

#endif  // NNG_PAIR_CORE_SOCKET_H
