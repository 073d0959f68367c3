#include "socket.h"

#include <nng/protocol/pair0/pair.h>
#include <nng/transport/ipc/ipc.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "../platform/nng_ext.h"
#include "../stream/conn.h"
#include "engine_scope.h"
#include "sp_frame.h"

namespace nng_pair {

namespace {

// A flood of connections that are turned away must not fill the memory of an
// owner that is busy: beyond this many, rejects are only counted.
constexpr size_t kMaxRejectEvents = 1024;

// Whoever has sent more messages without an answer sends a stream, and is not
// about to get one for each.
constexpr uint64_t kMaxRequestsOpen = 64;

// How long, in ms, a dial waits before it looks for a place in the backlog of
// an ipc listener again: each time twice as long, up to the latter.
constexpr nng_duration kFirstBacklogPause = 1;
constexpr nng_duration kLongestBacklogPause = 64;

// How long, in ms, an address may take to answer a dial that nobody waits for.
// The system asks it less and less often, in the end once a minute: a network
// that is back would not be noticed for so long.
constexpr nng_duration kRedialLimit = 10 * 1000;

using Lock = std::lock_guard<std::mutex>;

nng_pipe PipeOf(uint32_t id) {
  nng_pipe pipe = NNG_PIPE_INITIALIZER;
  pipe.id = id;
  return pipe;
}

nng_dialer DialerOf(uint32_t id) {
  nng_dialer dialer = NNG_DIALER_INITIALIZER;
  dialer.id = id;
  return dialer;
}

// Of a dialer that has had its first attempt, if anybody waits for that.
void LimitRedials(nng_dialer dialer, bool ipc) {
  if (ipc) return;
  // It may have been closed meanwhile.
  (void)nng_dialer_set_ms(dialer, NNG_PAIR_OPT_CONNECT_LIMIT, kRedialLimit);
}

nng_listener ListenerOf(uint32_t id) {
  nng_listener listener = NNG_LISTENER_INITIALIZER;
  listener.id = id;
  return listener;
}

}  // namespace

// A dial whose outcome is awaited. Owned by the socket until the owner has
// seen the outcome, or until Close. The aio is the dial's, and that of the
// pauses before it is tried again.
struct Socket::DialOp {
  Socket* socket;
  uint32_t id;
  bool ipc;
  nng_aio* aio;
  bool told = false;  // there is a kDialed event
  nng_duration next_pause = kFirstBacklogPause;
  bool pausing = false;

  ~DialOp() {
    nng_aio_stop(aio);  // the callback has run, or is about to return
    nng_aio_free(aio);
  }
};

// A lookup of a host's address, owned as above.
struct Socket::ResolveOp {
  Socket* socket;
  uint32_t id;
  nng_aio* aio;
  nng_sockaddr address = {};

  ~ResolveOp() {
    nng_aio_stop(aio);  // cancels it, and nobody waits for the resolver
    nng_aio_free(aio);
  }
};

Socket::Socket(const Options& options, std::shared_ptr<Waker> waker)
    : options_(options),
      waker_(std::move(waker)),
      engine_(waker_->GetEngine()),
      observer_{&Socket::OnObserver, this},
      in_(options.max_message_size),
      out_(static_cast<size_t>(options.send_buffer)) {}

Socket::~Socket() { assert(closed_); }

int Socket::Open(const Options& options, std::shared_ptr<Waker> waker,
                 std::shared_ptr<Socket>* out) {
  std::shared_ptr<Socket> socket(new Socket(options, std::move(waker)));
  const int rv = socket->Init();
  if (rv != 0) {
    socket->Close();
    return rv;
  }
  *out = std::move(socket);
  return 0;
}

int Socket::Init() {
  EngineScope scope(engine_);
  int rv = nng_pair0_open(&socket_);
  if (rv != 0) return rv;
  if ((rv = nng_socket_set_ptr(socket_, PAIR0_OPT_OBSERVER, &observer_)) != 0 ||
      (rv = nng_socket_set_size(socket_, NNG_OPT_RECVMAXSZ,
                                options_.max_message_size)) != 0 ||
      (rv = nng_socket_set_ms(socket_, NNG_OPT_RECONNMINT,
                              options_.reconnect_min)) != 0 ||
      (rv = nng_socket_set_ms(socket_, NNG_OPT_RECONNMAXT,
                              options_.reconnect_max)) != 0 ||
      (rv = nng_pipe_notify(socket_, NNG_PIPE_EV_ADD_PRE, &Socket::OnPipe,
                            this)) != 0 ||
      (rv = nng_pipe_notify(socket_, NNG_PIPE_EV_REM_POST, &Socket::OnPipe,
                            this)) != 0) {
    return rv;
  }
  return 0;
}

void Socket::Close() {
  EngineBinding binding(engine_);
  Lock close_lock(close_mutex_);
  if (closed_) return;
  {
    Lock lock(mutex_);
    closing_ = true;
  }
  if (nng_socket_id(socket_) > 0) nng_close(socket_);
  // The socket and its pipes are gone; only callbacks that were already
  // under way are left. Ending an operation waits for its callback.
  std::unordered_map<uint32_t, std::unique_ptr<DialOp>> dials;
  std::unordered_map<uint32_t, std::unique_ptr<ResolveOp>> resolves;
  {
    Lock lock(mutex_);
    dials.swap(dials_);
    resolves.swap(resolves_);
  }
  dials.clear();
  resolves.clear();
  {
    EngineScope scope(engine_);
    in_.Clear();
    out_.Clear();
  }
  closed_ = true;
}

// The peer's connection, under the engine's lock.

void Socket::BeginConnection(uint32_t pipe) {
  static const nng_pair_conn_user user = {&Socket::OnReadable,
                                          &Socket::OnWritable};
  if (nng_pair_pipe_conn(PipeOf(pipe), &conn_) != 0) return;
  conn_pipe_ = pipe;
  nng_pair_conn_set_limits(conn_, &options_.limits);
  nng_pair_conn_attach(conn_, &user, this);
  in_.BeginConnection(HeadSize(nng_pair_conn_is_ipc(conn_)));
  out_.BeginConnection(conn_);
}

uint64_t Socket::EndConnection() {
  if (conn_ == nullptr) return in_.EndConnection();
  nng_pair_conn_detach(conn_);
  conn_ = nullptr;
  const uint64_t messages = in_.EndConnection();
  out_.EndConnection();
  CountRequests();
  requests_open_ = 0;
  TellSendProgress();
  return messages;
}

void Socket::OnReadable(void* arg) { static_cast<Socket*>(arg)->Read(); }

void Socket::OnWritable(void* arg) {
  auto* self = static_cast<Socket*>(arg);
  self->out_.Flush();
  self->TellSendProgress();
}

// How many messages the receive queue counts now.
size_t Socket::ReceiveLimit() const {
  if (discard_) return std::numeric_limits<size_t>::max();
  const auto buffer = static_cast<size_t>(options_.recv_buffer);
  const size_t limit = buffer > read_ahead_ ? buffer - read_ahead_ : 0;
  return limit == 0 && message_wanted_ ? 1 : limit;
}

// Reads as long as there is something, and room for it.
void Socket::Read() {
  uint64_t counted = in_.total_messages();
  bool more = conn_ != nullptr;
  while (more) {
    more = !in_.Count(ReceiveLimit());
    nng_pair_conn_count(conn_, in_.total_messages() - counted);
    counted = in_.total_messages();
    if (discard_) in_.Drop();
    if (!more) break;
    if (nng_pair_conn_turn_is_over(conn_)) {
      if (nng_pair_conn_readable(conn_)) nng_pair_conn_read_later(conn_);
      break;
    }
    more = in_.ReadFrom(conn_);
    if (in_.error() != 0) nng_pair_conn_fail(conn_, in_.error());
  }
  if (message_wanted_ && in_.size() > 0) {
    message_wanted_ = false;
    waker_->Wake(this);
  } else {
    in_.Trim();
  }
}

// Tells the owner that calls of its can go on, and the engine if what was sent
// may be a request.
void Socket::TellSendProgress() {
  const uint64_t sent = out_.sent();
  if (std::exchange(told_sent_, sent) != sent && message_wanted_) {
    engine_request_sent(engine_);
  }
  bool wake = out_.CanAcceptLine();
  if (out_.done() >= wake_when_done_) {
    wake_when_done_ = std::numeric_limits<uint64_t>::max();
    wake = true;
  }
  if (wake) waker_->Wake(this);
}

// Sending.

SendQueue::Result Socket::Send(const uint8_t* data, size_t size, bool queue) {
  EngineScope scope(engine_);
  const SendQueue::Result result = out_.Send(data, size, queue);
  TellSendProgress();
  return result;
}

SendQueue::Result Socket::Send(OutgoingMessage message, bool queue) {
  EngineScope scope(engine_);
  const SendQueue::Result result = out_.Send(std::move(message), queue);
  TellSendProgress();
  return result;
}

size_t Socket::SendRoom(size_t* head) {
  EngineScope scope(engine_);
  return out_.Room(head);
}

void Socket::SendFrames(const uint8_t* frames, size_t size, size_t count,
                        size_t head) {
  EngineScope scope(engine_);
  out_.SendFrames(frames, size, count, head);
  TellSendProgress();
}

uint64_t Socket::AcceptLine() {
  EngineScope scope(engine_);
  out_.AcceptLine();
  TellSendProgress();
  return out_.left_line();
}

void Socket::CancelQueued(uint64_t number) {
  EngineScope scope(engine_);
  out_.Cancel(number);
}

void Socket::DropQueue() {
  EngineScope scope(engine_);
  out_.CancelAll();
}

uint64_t Socket::Accepted() {
  EngineScope scope(engine_);
  return out_.accepted();
}

uint64_t Socket::Done() {
  EngineScope scope(engine_);
  return out_.done();
}

void Socket::WakeWhenDone(uint64_t count) {
  EngineScope scope(engine_);
  wake_when_done_ = count;
  TellSendProgress();
}

uint64_t Socket::Backlog() {
  EngineScope scope(engine_);
  return conn_ != nullptr ? out_.accepted_bytes() : 0;
}

// Receiving.

size_t Socket::Take(Room room, int32_t* sizes, size_t max, size_t served,
                    std::vector<Bytes>* large) {
  EngineScope scope(engine_);
  {
    Lock lock(mutex_);
    if (connect_event_waits_) return 0;
  }
  max = std::min(max, served + static_cast<size_t>(options_.recv_buffer));
  size_t n = 0;
  do {
    n += in_.Take(&room, sizes + n, max - n, large);
    // What is left has no room in what the caller gave.
  } while (n < max && in_.size() == 0 && conn_ != nullptr &&
           in_.ReadFrom(conn_));
  read_ahead_ = n - std::min(n, served);
  ReadAhead();
  return n;
}

// If there is room: reads on when the turn ends, unless it is asked for more
// before.
void Socket::ReadAhead() {
  EngineScope scope(engine_);
  if (in_.Count(ReceiveLimit()) || conn_ == nullptr) return;
  if (in_.error() != 0) nng_pair_conn_fail(conn_, in_.error());
  if (nng_pair_conn_readable(conn_)) nng_pair_conn_read_later(conn_);
}

bool Socket::WaitForMessage() {
  EngineScope scope(engine_);
  read_ahead_ = 0;
  message_wanted_ = true;
  ReadAhead();
  // (If Take holds it back, a wake-up is on its way.)
  if (in_.size() > 0) {
    message_wanted_ = false;
    return false;
  }
  // What the owner waits for may be the answer to what it has sent: that need
  // not wait for the end of its turn.
  if (conn_ != nullptr && !out_.empty() && nng_pair_conn_writable(conn_)) {
    OnWritable(this);
  }
  CountRequests();
  if (requests_open_ > 0 && requests_open_ <= kMaxRequestsOpen) {
    engine_reply_is_missing(engine_);
  }
  return true;
}

// How many of the messages that were sent may still be answered, if each is
// answered by one. A guess, and good enough for busy polling.
void Socket::CountRequests() {
  const uint64_t sent = out_.sent() - sent_then_;
  const uint64_t received = in_.total_messages() - received_then_;
  sent_then_ += sent;
  received_then_ += received;
  requests_open_ += sent;
  requests_open_ -= std::min(requests_open_, received);
}

void Socket::Discard() {
  {
    Lock lock(mutex_);
    closing_ = true;
  }
  EngineScope scope(engine_);
  discard_ = true;
  message_wanted_ = false;
  in_.Drop();
  ReadAhead();
}

// Events.

void Socket::PushEvent(Event event) {
  if (event.type == EventType::kReject) {
    rejects_++;
    if (reject_events_ >= kMaxRejectEvents) return;
    reject_events_++;
  }
  events_.push_back(std::move(event));
}

bool Socket::HasEvents() {
  Lock lock(mutex_);
  return !events_.empty();
}

void Socket::TakeEvents(std::vector<Event>* out) {
  Lock lock(mutex_);
  *out = std::exchange(events_, {});
  connect_event_waits_ = false;
  reject_events_ = 0;
}

// On any thread, with the pair0 socket's lock held, which is the engine's
// (pair0_observer.h).
void Socket::OnObserver(void* arg, pair0_event event, uint32_t pipe,
                        int error) {
  auto* self = static_cast<Socket*>(arg);
  if (event == PAIR0_START) self->BeginConnection(pipe);
  const uint64_t messages = event == PAIR0_STOP ? self->EndConnection() : 0;
  {
    Lock lock(self->mutex_);
    auto found = self->pipes_.find(pipe);
    const Peer peer = found != self->pipes_.end() ? found->second : Peer();
    switch (event) {
      case PAIR0_START:
        self->PushEvent({EventType::kConnect, pipe, 0, peer});
        self->connect_event_waits_ = true;
        break;
      case PAIR0_REJECT:
        if (error == NNG_EPROTO && peer.dialed) {
          auto dial = self->dials_.find(peer.endpoint);
          if (dial != self->dials_.end() && !dial->second->told) {
            self->misdialed_[pipe] = peer.endpoint;
          }
        }
        self->PushEvent({EventType::kReject, pipe, error, peer});
        break;
      case PAIR0_STOP:
        self->PushEvent(
            {EventType::kDisconnect, pipe, error, Peer(), messages});
        break;
    }
  }
  self->waker_->Wake(self);
}

// On an NNG thread, with no lock held: before the pipe is shown to pair0,
// and, on the reaper, when it has been closed.
void Socket::OnPipe(nng_pipe pipe, nng_pipe_ev event, void* arg) {
  auto* self = static_cast<Socket*>(arg);
  const auto id = static_cast<uint32_t>(nng_pipe_id(pipe));
  if (event == NNG_PIPE_EV_REM_POST) {
    uint32_t dialer;
    {
      Lock lock(self->mutex_);
      self->pipes_.erase(id);
      auto found = self->misdialed_.find(id);
      if (found == self->misdialed_.end()) return;
      dialer = found->second;
      self->misdialed_.erase(found);
    }
    // To NNG that dial has succeeded, and after this it would dial again.
    nng_dialer_set_bool(DialerOf(dialer), NNG_PAIR_OPT_STOP, true);
    return;
  }
  Peer peer = DescribePeer(pipe);
  bool unwanted;
  {
    Lock lock(self->mutex_);
    unwanted = self->closing_;
    if (!unwanted) self->pipes_[id] = std::move(peer);
  }
  if (unwanted) nng_pipe_close(pipe);
}

// Endpoints.

// The owner has seen the outcome. The operation ends without the lock, which
// its callback takes.
template <typename Op>
void Socket::End(std::unordered_map<uint32_t, std::unique_ptr<Op>>* ops,
                 uint32_t id) {
  std::unique_ptr<Op> op;
  Lock lock(mutex_);
  auto found = ops->find(id);
  if (found == ops->end()) return;
  op = std::move(found->second);
  ops->erase(found);
}

// On an NNG thread, with no lock held.
void Socket::OnResolved(void* arg) {
  auto* op = static_cast<ResolveOp*>(arg);
  Socket* self = op->socket;
  Event event = {EventType::kResolved, op->id, nng_aio_result(op->aio), Peer()};
  if (event.error == 0) event.peer.address = NumericHost(op->address);
  {
    Lock lock(self->mutex_);
    self->PushEvent(std::move(event));
  }
  self->waker_->Wake(self);
}

int Socket::Resolve(const std::string& host, uint32_t* id) {
  EngineScope scope(engine_);
  std::unique_ptr<ResolveOp> op(new ResolveOp{this, ++last_resolve_, nullptr});
  const int rv = nng_aio_alloc(&op->aio, &Socket::OnResolved, op.get());
  if (rv != 0) return rv;
  nng_aio_set_timeout(op->aio, NNG_DURATION_INFINITE);
  ResolveOp* raw = op.get();
  *id = raw->id;
  {
    Lock lock(mutex_);
    resolves_[raw->id] = std::move(op);
  }
  nng_pair_resolve(host.c_str(), &raw->address, raw->aio);
  return 0;
}

void Socket::ResolveEnded(uint32_t id) { End(&resolves_, id); }

int Socket::Listen(const std::string& url, uint32_t call, uint32_t* id,
                   std::string* bound_url) {
  EngineBinding binding(engine_);
  nng_listener listener;
  int rv = nng_listener_create(&listener, socket_, url.c_str());
  if (rv != 0) return rv;
  if (url.compare(0, 4, "tcp:") == 0) {
    if ((rv = nng_listener_set_bool(listener, NNG_OPT_TCP_NODELAY,
                                    options_.no_delay)) == 0) {
      rv = nng_listener_set_bool(listener, NNG_OPT_TCP_KEEPALIVE,
                                 options_.keep_alive);
    }
  } else {
    rv = nng_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS,
                              options_.ipc_mode);
  }
  *id = static_cast<uint32_t>(nng_listener_id(listener));
  {
    Lock lock(mutex_);
    Event event = {EventType::kListening, *id, 0, Peer()};
    event.call = call;
    PushEvent(std::move(event));
  }
  waker_->Wake(this);
  char* text = nullptr;
  if (rv != 0 || (rv = nng_listener_start(listener, 0)) != 0 ||
      (rv = nng_listener_get_string(listener, NNG_OPT_URL, &text)) != 0) {
    nng_listener_close(listener);
    return rv;
  }
  *bound_url = text;
  nng_strfree(text);
  return 0;
}

// On an NNG thread, with no lock held.
void Socket::OnDialed(void* arg) {
  auto* op = static_cast<DialOp*>(arg);
  Socket* self = op->socket;
  int rv = nng_aio_result(op->aio);
  if (std::exchange(op->pausing, false)) {
    // If the dialer was closed meanwhile, this says so.
    if (rv == 0) rv = nng_pair_dialer_start(DialerOf(op->id), op->aio);
    if (rv == 0) return;
  } else if (op->ipc && rv == NNG_EAGAIN) {
    // The listener's backlog is full. A connect() that may block waits for a
    // place in it; one that may not can only try again.
    op->pausing = true;
    const nng_duration pause = op->next_pause;
    op->next_pause = std::min(2 * pause, kLongestBacklogPause);
    nng_sleep_aio(pause, op->aio);
    return;
  }
  if (rv == 0) LimitRedials(DialerOf(op->id), op->ipc);
  {
    Lock lock(self->mutex_);
    op->told = true;
    self->PushEvent({EventType::kDialed, op->id, rv, Peer()});
  }
  self->waker_->Wake(self);
}

int Socket::Dial(const std::string& url, bool retry, uint32_t* id) {
  EngineScope scope(engine_);
  nng_dialer dialer;
  int rv = nng_dialer_create(&dialer, socket_, url.c_str());
  if (rv != 0) return rv;
  *id = static_cast<uint32_t>(nng_dialer_id(dialer));
  const bool ipc = url.compare(0, 4, "ipc:") == 0;
  if (!ipc && ((rv = nng_dialer_set_bool(dialer, NNG_OPT_TCP_NODELAY,
                                         options_.no_delay)) != 0 ||
               (rv = nng_dialer_set_bool(dialer, NNG_OPT_TCP_KEEPALIVE,
                                         options_.keep_alive)) != 0)) {
    nng_dialer_close(dialer);
    return rv;
  }
  if (retry) {
    LimitRedials(dialer, ipc);
    rv = nng_dialer_start(dialer, NNG_FLAG_NONBLOCK);
  } else {
    std::unique_ptr<DialOp> op(new DialOp{this, *id, ipc, nullptr});
    if ((rv = nng_aio_alloc(&op->aio, &Socket::OnDialed, op.get())) == 0) {
      DialOp* raw = op.get();
      {
        Lock lock(mutex_);
        dials_[*id] = std::move(op);
      }
      rv = nng_pair_dialer_start(dialer, raw->aio);
      if (rv != 0) DialEnded(*id);
    }
  }
  if (rv != 0) nng_dialer_close(dialer);
  return rv;
}

void Socket::DialEnded(uint32_t id) { End(&dials_, id); }

void Socket::CloseEndpoint(uint32_t id, bool dialer) {
  EngineBinding binding(engine_);
  if (dialer) {
    nng_dialer_close(DialerOf(id));
  } else {
    nng_listener_close(ListenerOf(id));
  }
}

void Socket::StopEndpoint(uint32_t id, bool dialer) {
  EngineScope scope(engine_);
  if (dialer) {
    nng_dialer_set_bool(DialerOf(id), NNG_PAIR_OPT_STOP, true);
  } else {
    nng_listener_set_bool(ListenerOf(id), NNG_PAIR_OPT_STOP, true);
  }
}

int Socket::FinishPipe(uint32_t pipe) {
  EngineScope scope(engine_);
  if (conn_ == nullptr || conn_pipe_ != pipe) return NNG_ECLOSED;
  OnWritable(this);
  return out_.empty() ? nng_pair_conn_finish(conn_) : NNG_EBUSY;
}

int Socket::PipeProgress(uint32_t pipe, int* unacked, uint64_t* received) {
  EngineScope scope(engine_);
  if (conn_ == nullptr || conn_pipe_ != pipe) return NNG_ECLOSED;
  return nng_pair_conn_progress(conn_, unacked, received);
}

Stats Socket::GetStats() {
  EngineScope scope(engine_);
  Lock lock(mutex_);
  Stats stats;
  stats.messages_sent = out_.sent();
  stats.messages_received = in_.total_messages();
  stats.messages_lost = out_.lost();
  stats.bytes_sent = out_.sent_bytes();
  stats.bytes_received = in_.total_bytes();
  stats.unsent_messages = out_.accepted() - out_.done();
  stats.unsent_bytes = out_.accepted_bytes();
  stats.inbox_messages = in_.size();
  stats.inbox_bytes = in_.bytes();
  stats.rejects = rejects_;
  return stats;
}

uint64_t Socket::QueuedBytes() const { return in_.bytes() + out_.bytes(); }

}  // namespace nng_pair
