#include "socket.h"

#include <nng/protocol/pair0/pair.h>
#include <nng/transport/ipc/ipc.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "../platform/conn.h"
#include "../platform/nng_ext.h"
#include "engine_scope.h"

namespace nng_pair {

namespace {

// A flood of connections that are turned away must not fill the memory of an
// owner that is busy: beyond this many, rejects are only counted.
constexpr size_t kMaxRejectEvents = 1024;

// How long, in ms, a dial waits before it looks for a place in the backlog of
// an ipc listener again: each time twice as long, up to the latter.
constexpr nng_duration kFirstBacklogPause = 1;
constexpr nng_duration kLongestBacklogPause = 64;

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
      observer_{&Socket::OnMessage, &Socket::OnObserver, this} {}

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
  if ((rv = nng_aio_alloc(&recv_aio_, &Socket::OnReceive, this)) != 0 ||
      (rv = nng_socket_set_ptr(socket_, PAIR0_OPT_OBSERVER, &observer_)) != 0 ||
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
  nng_aio_set_timeout(recv_aio_, NNG_DURATION_INFINITE);
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
  // under way are left. Stopping an aio waits for its callback.
  if (recv_aio_ != nullptr) {
    nng_aio_stop(recv_aio_);
    nng_aio_free(recv_aio_);
  }
  std::unordered_map<uint32_t, std::unique_ptr<DialOp>> dials;
  std::unordered_map<uint32_t, std::unique_ptr<ResolveOp>> resolves;
  {
    Lock lock(mutex_);
    dials.swap(dials_);
    resolves.swap(resolves_);
    inbox_.Clear();
  }
  dials.clear();
  resolves.clear();
  closed_ = true;
}

// Sending.

int Socket::TrySend(Message* message) {
  if (!std::exchange(buffered_, true)) {
    EngineScope scope(engine_);
    const int rv =
        nng_socket_set_int(socket_, NNG_OPT_SENDBUF, options_.send_buffer);
    if (rv != 0) {
      buffered_ = false;
      return -rv;
    }
  }
  const size_t size = nng_msg_len(message->get());
  // Counted before NNG has it: it may be sent before we are back here.
  accepted_++;
  unsent_bytes_ += size;
  int rv;
  {
    EngineScope scope(engine_);
    nng_aio* aio = waker_->TryAio();
    nng_aio_set_msg(aio, message->get());
    nng_send_aio(socket_, aio);
    rv = nng_aio_result(aio);
    nng_aio_set_msg(aio, nullptr);
  }
  if (rv == 0) {
    (void)message->release();
    return 0;
  }
  accepted_--;
  unsent_bytes_ -= size;
  return rv == NNG_ETIMEDOUT ? kFull : -rv;
}

int Socket::Send(Message* message, bool queue) {
  int rv = queue_.empty() ? TrySend(message) : kFull;
  if (rv != kFull || !queue) return rv;
  queue_bytes_ += nng_msg_len(message->get());
  queue_.push_back(std::move(*message));
  if (queue_.size() > 1) return kQueued;
  // Room may have come between the attempt and the wish to hear of it.
  room_wanted_ = true;
  rv = TrySend(&queue_.front());
  if (rv == kFull) return kQueued;
  *message = std::move(queue_.front());
  queue_.pop_front();
  queue_bytes_ = 0;
  room_wanted_ = false;
  return rv;
}

int Socket::Send(const uint8_t* data, size_t size, bool queue) {
  EngineScope scope(engine_);
  if (Gather(data, size)) return 0;
  nng_msg* msg;
  int rv = nng_msg_alloc(&msg, size);
  if (rv != 0) return -rv;
  Message message(msg);
  size_t written = 0;
  const bool started = StartWriting(data, size, &written);
  if (size > written) {
    std::memcpy(static_cast<uint8_t*>(nng_msg_body(msg)) + written,
                data + written, size - written);
  }
  rv = Send(&message, queue);
  if (started && rv != 0) ForsakeWriting();
  return rv;
}

// With nothing before it in NNG a message needs no NNG: what that would do is
// to give it to the connection.
bool Socket::CanGather() const {
  return conn_ != nullptr && queue_.empty() && accepted_ == finished_;
}

void Socket::CountSent(uint64_t messages, uint64_t bytes) {
  Lock lock(mutex_);
  accepted_ += messages;
  finished_ += messages;
  messages_sent_ += messages;
  bytes_sent_ += bytes;
}

bool Socket::Gather(const uint8_t* data, size_t size) {
#if defined(NNG_PAIR_OWN_CONN)
  if (!CanGather() || !nng_pair_conn_gather(conn_, data, size)) return false;
  CountSent(1, size);
  return true;
#else
  (void)data;
  (void)size;
  return false;
#endif
}

size_t Socket::GatherRoom(size_t* head) {
#if defined(NNG_PAIR_OWN_CONN)
  EngineScope scope(engine_);
  return CanGather() ? nng_pair_conn_room(conn_, head) : 0;
#else
  (void)head;
  return 0;
#endif
}

void Socket::SendAccepted(const uint8_t* frames, size_t size, size_t count,
                          size_t head) {
#if defined(NNG_PAIR_OWN_CONN)
  EngineScope scope(engine_);
  if (CanGather()) {
    const uint64_t bytes = size - count * head;
    // Before they may be seen to have left (OnFlushed).
    CountSent(count, bytes);
    if (nng_pair_conn_gather_frames(conn_, frames, size,
                                    static_cast<unsigned>(count))) {
      return;
    }
    CountSent(uint64_t{0} - count, uint64_t{0} - bytes);
  }
  // The connection has ended meanwhile, and the send buffer may be full.
  while (count-- > 0) {
    const uint8_t* body = frames + head;
    const size_t length = size_t{body[-2]} << 8 | body[-1];
    if (Send(body, length, false) != 0) {
      Lock lock(mutex_);
      accepted_++;
      finished_++;
      messages_lost_++;
    }
    frames = body + length;
  }
#else
  (void)frames;
  (void)size;
  (void)count;
  (void)head;
#endif
}

bool Socket::StartWriting(const uint8_t* data, size_t size, size_t* done) {
#if defined(NNG_PAIR_OWN_CONN)
  return CanGather() && nng_pair_conn_start(conn_, data, size, done);
#else
  (void)data;
  (void)size;
  (void)done;
  return false;
#endif
}

void Socket::ForsakeWriting() {
#if defined(NNG_PAIR_OWN_CONN)
  if (conn_ != nullptr) nng_pair_conn_forsake(conn_);
#endif
}

uint64_t Socket::FlushQueue() {
  while (!queue_.empty()) {
    Message& message = queue_.front();
    if (message) {
      const size_t size = nng_msg_len(message.get());
      if (TrySend(&message) != 0) {
        room_wanted_ = true;
        if (TrySend(&message) != 0) break;
        room_wanted_ = false;
      }
      queue_bytes_ -= size;
    }
    queue_.pop_front();
    queue_head_++;
  }
  return queue_head_;
}

void Socket::CancelQueued(uint64_t number) {
  if (number < queue_head_ || number - queue_head_ >= queue_.size()) return;
  Message& message = queue_[static_cast<size_t>(number - queue_head_)];
  if (message) queue_bytes_ -= nng_msg_len(message.get());
  message.reset();
  // With no peer nobody else clears the line of those that gave up.
  while (!queue_.empty() && !queue_.front()) {
    queue_.pop_front();
    queue_head_++;
  }
}

void Socket::DropQueue() {
  queue_head_ += queue_.size();
  queue_.clear();
  queue_bytes_ = 0;
}

Socket::Amount Socket::Gathered() const {
  Amount gathered = {0, 0};
#if defined(NNG_PAIR_OWN_CONN)
  if (conn_ != nullptr) {
    gathered.messages = nng_pair_conn_gathered(conn_, &gathered.bytes);
    // The last one may not have been told of yet (PAIR0_SENT).
    gathered.messages = std::min(gathered.messages, messages_sent_);
    gathered.bytes = std::min(gathered.bytes, bytes_sent_);
  }
#endif
  return gathered;
}

uint64_t Socket::finished() {
  EngineScope scope(engine_);
  Lock lock(mutex_);
  return finished_ - Gathered().messages;
}

bool Socket::CountFinished() {
  if (finished_ - Gathered().messages < wake_when_finished_) return false;
  wake_when_finished_ = std::numeric_limits<uint64_t>::max();
  return true;
}

// On the engine's thread, under the lock.
void Socket::OnFlushed(void* arg) {
  auto* self = static_cast<Socket*>(arg);
  bool wake;
  {
    Lock lock(self->mutex_);
    wake = self->CountFinished();
  }
  if (wake) self->waker_->Wake(self);
}

void Socket::WakeWhenFinished(uint64_t count) {
  bool now;
  {
    EngineScope scope(engine_);
    Lock lock(mutex_);
    wake_when_finished_ = count;
    now = CountFinished();
  }
  if (now) waker_->Wake(this);
}

uint64_t Socket::Backlog() {
  Lock lock(mutex_);
  return has_peer_ ? unsent_bytes_.load() : 0;
}

// Receiving.

size_t Socket::RoomLeft() const {
  if (discard_) return std::numeric_limits<size_t>::max();
  const size_t room = static_cast<size_t>(options_.recv_buffer);
  const size_t used = inbox_.size() + read_ahead_;
  if (used < room) return room - used;
  return message_wanted_ && inbox_.empty() ? 1 : 0;
}

bool Socket::Store(Message message) {
  messages_received_++;
  bytes_received_ += nng_msg_len(message.get());
  if (discard_) return false;
  inbox_.Push(std::move(message));
  return std::exchange(message_wanted_, false);
}

// Under mutex_: a message whose pipe has ended, whether there is room or not.
bool Socket::StoreLast(Message message) {
  if (fetching_) {
    last_.push_back(std::move(message));
    return false;
  }
  return Store(std::move(message));
}

// Under NNG's lock and mutex_, when the pipe has ended: what the connection has
// read and nobody has asked for.
void Socket::StoreRest() {
#if defined(NNG_PAIR_OWN_CONN)
  nng_pair_small rest;
  while (nng_pair_conn_take_rest(conn_, &rest)) {
    nng_msg* msg;
    // Without memory for it, it is lost, and so is what is behind it.
    if (nng_msg_alloc(&msg, rest.size) != 0) break;
    if (rest.size > 0) std::memcpy(nng_msg_body(msg), rest.data, rest.size);
    (void)StoreLast(Message(msg));  // the owner is woken anyway
  }
#endif
}

// On any thread, with the pair0 socket's lock held (pair0_observer.h).
bool Socket::OnMessage(void* arg, nng_msg* msg, bool last) {
  auto* self = static_cast<Socket*>(arg);
  bool wake;
  {
    Lock lock(self->mutex_);
    if (last) {
      wake = self->StoreLast(Message(msg));
    } else if (self->fetching_ || self->RoomLeft() == 0) {
      self->left_behind_ = true;
      return false;
    } else {
      wake = self->Store(Message(msg));
    }
  }
  if (wake) self->waker_->Wake(self);
  return true;
}

// On any thread, under NNG's lock: pair0 waits for a message, and would offer
// us these (conn.h). If somebody waits for them, they stay where they are until
// Take copies them to him.
size_t Socket::OnSmallMessages(void* arg, const nng_pair_small* messages,
                               size_t count) {
  auto* self = static_cast<Socket*>(arg);
  size_t n;
  bool wake;
  {
    Lock lock(self->mutex_);
    if (self->fetching_) return 0;
    wake = std::exchange(self->message_wanted_, false);
    n = wake ? 0 : std::min(count, self->RoomLeft());
    self->messages_received_ += n;
    for (size_t i = 0; i < n; i++) {
      self->bytes_received_ += messages[i].size;
      if (!self->discard_) {
        self->inbox_.Push(messages[i].data, messages[i].size);
      }
    }
  }
  if (wake) self->waker_->Wake(self);
  return n;
}

// If there is room: fetches the message that was left with NNG, or has the
// connection read on, unless it is asked for more before the turn is over.
void Socket::ReadAhead() {
  bool fetch;
  EngineScope scope(engine_);
  {
    Lock lock(mutex_);
    if (fetching_ || closing_ || RoomLeft() == 0) return;
    fetch = fetching_ = std::exchange(left_behind_, false);
  }
  if (fetch) {
    nng_recv_aio(socket_, recv_aio_);
    return;
  }
#if defined(NNG_PAIR_OWN_CONN)
  if (conn_ != nullptr) nng_pair_conn_resume(conn_);
#endif
}

// On an NNG thread, with none of NNG's locks held.
void Socket::OnReceive(void* arg) {
  auto* self = static_cast<Socket*>(arg);
  const int rv = nng_aio_result(self->recv_aio_);
  Message message(rv == 0 ? nng_aio_get_msg(self->recv_aio_) : nullptr);
  nng_aio_set_msg(self->recv_aio_, nullptr);
  if (!message) return;  // the socket is closed
  bool wake;
  {
    Lock lock(self->mutex_);
    self->fetching_ = false;
    wake = self->Store(std::move(message));
    for (Message& last : self->last_) (void)self->Store(std::move(last));
    self->last_.clear();
  }
  self->ReadAhead();
  if (wake) self->waker_->Wake(self);
}

// Without a receive buffer nothing is fetched ahead: what was left with NNG is
// fetched when it is asked for.
void Socket::FetchNow() {
  EngineScope scope(engine_);
  {
    Lock lock(mutex_);
    if (!left_behind_ || fetching_ || closing_ || discard_ || !inbox_.empty()) {
      return;
    }
    left_behind_ = false;
    fetching_ = true;
  }
  nng_aio* aio = waker_->TryAio();
  nng_recv_aio(socket_, aio);
  Message message(nng_aio_result(aio) == 0 ? nng_aio_get_msg(aio) : nullptr);
  nng_aio_set_msg(aio, nullptr);
  Lock lock(mutex_);
  fetching_ = false;
  if (message) Store(std::move(message));
}

// Under NNG's lock and mutex_: whether the next message is one that the
// connection holds.
bool Socket::Held() const {
#if defined(NNG_PAIR_OWN_CONN)
  return conn_ != nullptr && inbox_.empty() && !fetching_ && !left_behind_ &&
         nng_pair_conn_holds(conn_);
#else
  return false;
#endif
}

// Copies what the connection holds to where Take wants it, past the inbox.
size_t Socket::Pull(Room* room, int32_t* sizes, size_t max) {
#if defined(NNG_PAIR_OWN_CONN)
  const size_t size = room->size;
  const size_t n =
      nng_pair_conn_pull(conn_, room->bytes, &room->size, sizes, max);
  room->bytes += size - room->size;
  Lock lock(mutex_);
  messages_received_ += n;
  bytes_received_ += size - room->size;
  return n;
#else
  (void)room;
  (void)sizes;
  (void)max;
  return 0;
#endif
}

size_t Socket::Take(Room room, int32_t* sizes, size_t max, size_t served,
                    std::vector<Message>* large) {
  if (options_.recv_buffer == 0) FetchNow();
  max = std::min(max, served + static_cast<size_t>(options_.recv_buffer));
  EngineScope scope(engine_);
  size_t n;
  bool held;
  {
    Lock lock(mutex_);
    if (untold_peer_) return 0;
    n = inbox_.Take(&room, sizes, max, large);
    held = Held();
  }
  if (held && n < max) n += Pull(&room, sizes + n, max - n);
  {
    Lock lock(mutex_);
    read_ahead_ = n - std::min(n, served);
  }
  ReadAhead();
  return n;
}

// The owner waits, and what it waits for may be the answer to what it has sent:
// that need not wait for the end of its turn.
void Socket::FlushGathered() {
#if defined(NNG_PAIR_OWN_CONN)
  if (conn_ != nullptr) nng_pair_conn_flush(conn_);
#endif
}

bool Socket::WaitForMessage() {
  EngineScope scope(engine_);
  {
    Lock lock(mutex_);
    if (!inbox_.empty() || Held()) return false;
    read_ahead_ = 0;
    message_wanted_ = true;
  }
  FlushGathered();
  ReadAhead();
  Lock lock(mutex_);
  // It may have come at once. (If Take holds it back, a wake-up is on its way.)
  if (inbox_.empty() && !Held()) return true;
  message_wanted_ = false;
  return false;
}

void Socket::Discard() {
  {
    Lock lock(mutex_);
    discard_ = true;
    message_wanted_ = false;
    inbox_.Clear();
  }
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
  untold_peer_ = false;
  reject_events_ = 0;
}

// On any thread, with the pair0 socket's lock held (pair0_observer.h).
void Socket::OnObserver(void* arg, pair0_event event, uint32_t pipe,
                        size_t detail) {
  auto* self = static_cast<Socket*>(arg);
  bool wake = false;
  if (event == PAIR0_ROOM) {
    wake = self->room_wanted_.exchange(false);
  } else {
    Lock lock(self->mutex_);
    auto found = self->pipes_.find(pipe);
    const Peer peer = found != self->pipes_.end() && event != PAIR0_SENT
                          ? found->second
                          : Peer();
    switch (event) {
      case PAIR0_START:
        self->has_peer_ = true;
#if defined(NNG_PAIR_OWN_CONN)
        if (nng_pair_pipe_conn(PipeOf(pipe), &self->conn_) == 0) {
          nng_pair_conn_on_flushed(self->conn_, &Socket::OnFlushed, self);
          nng_pair_conn_on_message(self->conn_, &Socket::OnSmallMessages, self);
        }
#endif
        self->PushEvent({EventType::kConnect, pipe, 0, peer});
        self->untold_peer_ = true;
        wake = true;
        break;
      case PAIR0_REJECT:
        if (detail == NNG_EPROTO && peer.dialed) {
          auto dial = self->dials_.find(peer.endpoint);
          if (dial != self->dials_.end() && !dial->second->told) {
            self->misdialed_[pipe] = peer.endpoint;
          }
        }
        self->PushEvent(
            {EventType::kReject, pipe, static_cast<int>(detail), peer});
        wake = true;
        break;
      case PAIR0_STOP:
        self->has_peer_ = false;
        // It has been offered for the last time.
        self->left_behind_ = false;
#if defined(NNG_PAIR_OWN_CONN)
        if (self->conn_ != nullptr) {
          self->StoreRest();
          // What had gathered never left.
          const Amount gathered = self->Gathered();
          self->messages_sent_ -= gathered.messages;
          self->bytes_sent_ -= gathered.bytes;
          self->messages_lost_ += gathered.messages;
          nng_pair_conn_on_flushed(self->conn_, nullptr, nullptr);
          nng_pair_conn_on_message(self->conn_, nullptr, nullptr);
          self->conn_ = nullptr;
          self->CountFinished();
        }
#endif
        self->PushEvent(
            {EventType::kDisconnect, pipe, static_cast<int>(detail), Peer()});
        wake = true;
        break;
      case PAIR0_SENT:
        self->messages_sent_++;
        self->bytes_sent_ += detail;
        break;
      case PAIR0_LOST:
        self->messages_lost_++;
        break;
      case PAIR0_ROOM:
        break;
    }
    if (event == PAIR0_SENT || event == PAIR0_LOST) {
      self->unsent_bytes_ -= detail;
      self->finished_++;
      if (self->CountFinished()) wake = true;
    }
  }
  if (wake) self->waker_->Wake(self);
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
    unwanted = self->closing_ || self->discard_;
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

int Socket::Listen(const std::string& url, uint32_t* id,
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
  char* text = nullptr;
  if (rv != 0 || (rv = nng_listener_start(listener, 0)) != 0 ||
      (rv = nng_listener_get_string(listener, NNG_OPT_URL, &text)) != 0) {
    nng_listener_close(listener);
    return rv;
  }
  *bound_url = text;
  nng_strfree(text);
  *id = static_cast<uint32_t>(nng_listener_id(listener));
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
  return nng_pair_pipe_finish(PipeOf(pipe));
}

int Socket::PipeProgress(uint32_t pipe, int* unacked, uint64_t* received) {
  EngineScope scope(engine_);
  return nng_pair_pipe_progress(PipeOf(pipe), unacked, received);
}

Stats Socket::GetStats() {
  EngineScope scope(engine_);
  Lock lock(mutex_);
  const Amount gathered = Gathered();
  Stats stats;
  stats.messages_sent = messages_sent_ - gathered.messages;
  stats.messages_received = messages_received_;
  stats.messages_lost = messages_lost_;
  stats.bytes_sent = bytes_sent_ - gathered.bytes;
  stats.bytes_received = bytes_received_;
  stats.unsent_messages = accepted_ - finished_ + gathered.messages;
  stats.unsent_bytes = unsent_bytes_ + gathered.bytes;
  stats.inbox_messages = inbox_.size();
  stats.inbox_bytes = inbox_.bytes();
  stats.rejects = rejects_;
  return stats;
}

uint64_t Socket::QueuedBytes() {
  Lock lock(mutex_);
  return inbox_.bytes() + queue_bytes_ + unsent_bytes_;
}

}  // namespace nng_pair
