// A socket of the core, with all that is below it, against a peer whose every
// act is read from an input of bytes: for libFuzzer, which makes such inputs up
// and keeps those that reach new code (scripts/fuzz.mjs), and for replay.cc,
// which only goes through the ones that are kept (corpus.txt).
//
// The input begins with a byte that chooses the socket: over tcp or ipc,
// listening or dialing, with a receive buffer or without. Each byte that
// follows is an act: bytes of the peer's, right ones or any, which leave in
// pieces of any size, an end of any kind, a turn of the engine, messages taken
// or sent by the socket. After the last one a peer that keeps to the rules
// comes to the same socket and must find it well.
//
// What must hold, whatever comes:
// - The messages that the socket takes are those that the peer has sent, in
//   order, and no others; and all of them, if they could all arrive.
// - What the peer reads is a header and whole messages, each once and in order;
//   only the end of a connection cuts one off.
// - A peer that breaks the rules is gone, and the next one is served.
//
// Everything is on this thread but NNG's reaper. The sockets stay from one
// input to the next: opening one costs more than an input does, and what an
// input leaves behind in them is a fault of its own.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <nng/nng.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "../../binding/core/socket.h"
#include "../../binding/core/sp_frame.h"

namespace {

using nng_pair::Event;
using nng_pair::EventType;
using nng_pair::SendQueue;
using nng_pair::Socket;
using Bytes = std::vector<uint8_t>;

#define CHECK(condition)                                                 \
  do {                                                                   \
    if (!(condition)) {                                                  \
      std::fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, \
                   #condition, errno);                                   \
      std::abort();                                                      \
    }                                                                    \
  } while (0)

constexpr size_t kMaxMessage = 100'000;
constexpr int kSendBuffer = 8;
const Bytes kHeader = {0, 'S', 'P', 0, 0, 0x10, 0, 0};

// Around everything that the queues treat in different ways.
const size_t kSizes[] = {0,
                         1,
                         2,
                         3,
                         7,
                         8,
                         9,
                         16,
                         64,
                         100,
                         1000,
                         4086,
                         4087,
                         4088,
                         4095,
                         4096,
                         4097,
                         8192,
                         9000,
                         9001,
                         20000,
                         65526,
                         65527,
                         65528,
                         kMaxMessage - 1,
                         65536,
                         kMaxMessage,
                         kMaxMessage + 1};
constexpr size_t kSizeCount = sizeof(kSizes) / sizeof(kSizes[0]);

// The sockets' thread is this one.
class Loop final : public nng_pair::Waker {
 public:
  Loop() : engine_(engine_create()) { CHECK(engine_ != nullptr); }
  void Wake(Socket*) override {
    woken_ = true;
    // By the reaper.
    if (std::this_thread::get_id() != home_) engine_signal(engine_);
  }
  engine* GetEngine() const override { return engine_; }

  void Turn() {
    engine_settle(engine_);
    engine_turn(engine_);
  }

  // A turn, once there is something for it to do, or for the peer.
  void WaitAndTurn(int peer = -1) {
    engine_settle(engine_);
    struct pollfd fds[] = {{engine_fd(engine_), POLLIN, 0}, {peer, POLLIN, 0}};
    // An engine that has nothing more to say leaves somebody waiting.
    int ready;
    do {
      ready = poll(fds, 2, woken_ ? 0 : 10'000);
    } while (ready < 0 && errno == EINTR);  // libFuzzer's clock
    CHECK(ready > 0 || woken_);
    woken_ = false;
    engine_turn(engine_);
  }

 private:
  engine* const engine_;
  const std::thread::id home_ = std::this_thread::get_id();
  std::atomic<bool> woken_{false};  // a socket has something to tell
};

// One of the sockets under test, and how a peer gets to it.
struct Subject {
  bool ipc;
  bool dials;
  size_t recv_buffer;
  std::shared_ptr<Socket> socket;
  struct sockaddr_storage address = {};  // that of its listener
  socklen_t address_size = 0;
  std::deque<int> dialed;  // the other ends of its dialer's connections
  // The messages that it has accepted are numbered, and so is what was read of
  // them.
  uint64_t accepted = 0;
  uint64_t next_read = 0;
};

// Never destroyed: neither are the sockets.
std::shared_ptr<Loop>& loop = *new std::shared_ptr<Loop>;
std::vector<std::unique_ptr<Subject>>& subjects =
    *new std::vector<std::unique_ptr<Subject>>;

// Connections of dialers. NNG's connect() comes to the one below, which puts an
// end of a socket pair in the place of the socket.

constexpr int kFirstPort = 20'000;
const char kDialedPath[] = "/nng-pair/";

Subject* DialerAt(const struct sockaddr* address) {
  size_t index = subjects.size();
  if (address->sa_family == AF_INET) {
    const auto* in = reinterpret_cast<const struct sockaddr_in*>(address);
    index = static_cast<size_t>(ntohs(in->sin_port) - kFirstPort);
  } else if (address->sa_family == AF_UNIX) {
    const auto* un = reinterpret_cast<const struct sockaddr_un*>(address);
    const size_t prefix = sizeof(kDialedPath) - 1;
    if (std::strncmp(un->sun_path, kDialedPath, prefix) == 0)
      index = static_cast<size_t>(std::atoi(un->sun_path + prefix));
  }
  return index < subjects.size() ? subjects[index].get() : nullptr;
}

int SystemConnect(int fd, const struct sockaddr* address, socklen_t size) {
  return static_cast<int>(syscall(SYS_connect, fd, address, size));
}

}  // namespace

extern "C" int connect(int fd, const struct sockaddr* address, socklen_t size) {
  Subject* subject = DialerAt(address);
  if (subject == nullptr || !subject->dials)
    return SystemConnect(fd, address, size);
  int ends[2];
  const int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  CHECK(socketpair(AF_UNIX, type, 0, ends) == 0);
  CHECK(dup3(ends[0], fd, O_CLOEXEC) == fd);
  CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
  close(ends[0]);
  subject->dialed.push_back(ends[1]);
  return 0;
}

// A socket pair has no addresses, and two that are equal are those of a TCP
// socket that is connected to itself.
extern "C" int getpeername(int fd, struct sockaddr* address, socklen_t* size) {
  const long rv = syscall(SYS_getpeername, fd, address, size);
  if (rv != 0 || address->sa_family != AF_UNIX) return static_cast<int>(rv);
  errno = ENOTCONN;
  return -1;
}

namespace {

void Listen(Subject* subject, size_t index) {
  if (!subject->ipc) {
    std::string bound;
    uint32_t id;
    CHECK(subject->socket->Listen("tcp://127.0.0.1:0", 1, &id, &bound) == 0);
    auto* in = reinterpret_cast<struct sockaddr_in*>(&subject->address);
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const size_t colon = bound.rfind(':');
    in->sin_port =
        htons(static_cast<uint16_t>(std::atoi(bound.c_str() + colon + 1)));
    subject->address_size = sizeof(*in);
    return;
  }
  const char* folder = std::getenv("TMPDIR");
  const std::string path = std::string(folder ? folder : "/tmp") +
                           "/nng-pair-fuzz-" + std::to_string(getpid()) + "-" +
                           std::to_string(index);
  std::string bound;
  uint32_t id;
  CHECK(subject->socket->Listen("ipc://" + path, 1, &id, &bound) == 0);
  auto* un = reinterpret_cast<struct sockaddr_un*>(&subject->address);
  un->sun_family = AF_UNIX;
  CHECK(path.size() < sizeof(un->sun_path));
  std::memcpy(un->sun_path, path.c_str(), path.size() + 1);
  subject->address_size = sizeof(*un);
}

void Dial(Subject* subject, size_t index) {
  const std::string url =
      subject->ipc ? "ipc://" + (kDialedPath + std::to_string(index))
                   : "tcp://127.0.0.1:" + std::to_string(kFirstPort + index);
  uint32_t id;
  CHECK(subject->socket->Dial(url, true, &id) == 0);
}

void RemovePaths() {
  for (const auto& subject : subjects)
    if (subject->ipc && !subject->dials)
      unlink(reinterpret_cast<sockaddr_un*>(&subject->address)->sun_path);
}

// libFuzzer's clock shall not break off a connect() that has to wait.
void RestartAfterAlarms() {
  struct sigaction alarm;
  CHECK(sigaction(SIGALRM, nullptr, &alarm) == 0);
  alarm.sa_flags |= SA_RESTART;
  CHECK(sigaction(SIGALRM, &alarm, nullptr) == 0);
}

void OpenSubjects() {
  RestartAfterAlarms();
  loop = std::make_shared<Loop>();
  for (size_t index = 0; index < 8; index++) {
    auto subject = std::make_unique<Subject>();
    subject->ipc = (index & 1) != 0;
    subject->dials = (index & 2) != 0;
    subject->recv_buffer = (index & 4) != 0 ? 3 : 0;
    nng_pair::Options options = {};
    options.send_buffer = kSendBuffer;
    options.recv_buffer = static_cast<int>(subject->recv_buffer);
    options.max_message_size = kMaxMessage;
    options.reconnect_min = options.reconnect_max = 0;  // at once
    options.no_delay = true;
    options.ipc_mode = 0600;
    CHECK(Socket::Open(options, loop, &subject->socket) == 0);
    subjects.push_back(std::move(subject));
    Subject* opened = subjects.back().get();
    opened->dials ? Dial(opened, index) : Listen(opened, index);
  }
  std::atexit(RemovePaths);
}

// Appends the body of the message with this number.
void AppendBody(Bytes* bytes, uint64_t number, size_t size) {
  static const Bytes pattern = [] {
    Bytes bytes(kMaxMessage + 256);
    for (size_t i = 0; i < bytes.size(); i++) bytes[i] = i & 0xff;
    return bytes;
  }();
  const auto from = pattern.begin() + static_cast<ptrdiff_t>(number & 0xff);
  const size_t at = bytes->size();
  bytes->insert(bytes->end(), from, from + static_cast<ptrdiff_t>(size));
  for (size_t i = 0; i < std::min<size_t>(size, 8); i++)
    (*bytes)[at + i] = static_cast<uint8_t>(number >> (8 * i));
}

Bytes BodyOf(uint64_t number, size_t size) {
  Bytes body;
  AppendBody(&body, number, size);
  return body;
}

// The other end of a connection to a subject, and what has gone over it.
class Peer {
 public:
  explicit Peer(Subject* subject) : subject_(*subject) {
    said_.clear();
    read_.clear();
    Connect();
  }
  ~Peer() { Close(); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  int fd() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  // Nothing more will be sent, or it is not known how much has arrived.
  bool ended() const { return ended_; }
  // What it has sent may never have arrived.
  bool was_reset() const { return reset_; }
  // What it has to say; so many bytes of it have been sent.
  const Bytes& said() const { return said_; }
  size_t sent() const { return sent_; }
  bool has_left() const { return sent_ < said_.size(); }

  void Say(const Bytes& bytes) {
    said_.insert(said_.end(), bytes.begin(), bytes.end());
  }
  void SayFrame(uint64_t number, size_t size) {
    uint8_t head[nng_pair::kMaxHead];
    const size_t head_size = nng_pair::HeadSize(subject_.ipc);
    nng_pair::WriteFrameHead(head_size, head, size);
    Say(Bytes(head, head + head_size));
    AppendBody(&said_, number, size);
  }

  // Writes a piece of what it has to say, as far as the kernel takes it.
  void Push(size_t size) {
    if (ended_ || !has_left()) return;
    size = std::min(size, said_.size() - sent_);
    const ssize_t n = send(fd_, said_.data() + sent_, size, MSG_NOSIGNAL);
    if (n > 0) sent_ += static_cast<size_t>(n);
  }

  // Reads up to so many bytes. Returns whether there were any.
  bool Read(size_t size) {
    if (fd_ < 0 || size == 0) return false;
    uint8_t bytes[16 * 1024];
    const ssize_t n = recv(fd_, bytes, std::min(size, sizeof(bytes)), 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) at_end_ = true;
    if (n <= 0) return false;
    read_.insert(read_.end(), bytes, bytes + n);
    Parse();
    return true;
  }
  bool at_end() const { return at_end_; }

  // A half close.
  void Finish() {
    if (ended_) return;
    ended_ = true;
    CHECK(shutdown(fd_, SHUT_WR) == 0 || errno == ENOTCONN);
  }
  // As a process that dies. Over tcp it is a reset, which also destroys what
  // has not arrived: otherwise thousands of connections a second would leave
  // their ports in TIME_WAIT.
  void Close() {
    if (fd_ < 0) return;
    const struct linger now = {1, 0};
    (void)setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    if (IsTcp()) reset_ = true;
    ended_ = true;
    close(fd_);
    fd_ = -1;
  }

 private:
  void Connect() {
    if (subject_.dials) {
      // Its dialer has one connection at a time: the last one, unless that has
      // waited for its peer for too long.
      while (fd_ < 0) {
        while (subject_.dialed.empty()) loop->WaitAndTurn();
        fd_ = subject_.dialed.front();
        subject_.dialed.pop_front();
        struct pollfd fd = {fd_, POLLRDHUP, 0};
        if (poll(&fd, 1, 0) > 0) Close();
      }
      ended_ = false;
      return;
    }
    const int type = SOCK_STREAM | SOCK_CLOEXEC;
    fd_ = socket(subject_.ipc ? AF_UNIX : AF_INET, type, 0);
    CHECK(fd_ >= 0);
    const auto* to = reinterpret_cast<const sockaddr*>(&subject_.address);
    CHECK(SystemConnect(fd_, to, subject_.address_size) == 0);
    CHECK(fcntl(fd_, F_SETFL, O_NONBLOCK) == 0);
    // Each piece leaves at once.
    const int on = 1;
    if (!subject_.ipc)
      (void)setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }

  // What was read: the header, and messages that were accepted, each later than
  // the one before. Between two there may be such as went down with another
  // connection.
  void Parse() {
    if (!has_header_) {
      const size_t n = std::min(read_.size(), kHeader.size());
      CHECK(std::equal(read_.begin(), read_.begin() + n, kHeader.begin()));
      if (n < kHeader.size()) return;
      has_header_ = true;
      parsed_ = n;
    }
    for (;;) {
      const size_t head = nng_pair::HeadSize(subject_.ipc);
      const size_t there = read_.size() - parsed_;
      uint64_t size;
      const auto state =
          nng_pair::ReadFrameHead(head, read_.data() + parsed_, there, &size);
      CHECK(state != nng_pair::FrameHead::kMalformed);
      if (state == nng_pair::FrameHead::kPartial) return;
      CHECK(size >= 8 && size <= kMaxMessage);
      if (there - head < size) return;
      const uint8_t* body = read_.data() + parsed_ + head;
      uint64_t number = 0;
      for (size_t i = 8; i-- > 0;) number = number << 8 | body[i];
      CHECK(number >= subject_.next_read && number < subject_.accepted);
      CHECK(std::equal(body, body + size, BodyOf(number, size).begin()));
      subject_.next_read = number + 1;
      parsed_ += head + size;
    }
  }

  bool IsTcp() const { return !subject_.ipc && !subject_.dials; }

  Subject& subject_;
  int fd_ = -1;
  // There is one peer at a time, and all use the same memory: to let it grow
  // again for each takes long.
  static Bytes& said_;
  size_t sent_ = 0;
  static Bytes& read_;
  size_t parsed_ = 0;
  bool has_header_ = false;
  bool ended_ = false;
  bool reset_ = false;
  bool at_end_ = false;
};

Bytes& Peer::said_ = *new Bytes;
Bytes& Peer::read_ = *new Bytes;

// What the socket should make of a peer's bytes.
struct Expected {
  struct Message {
    size_t at;
    size_t size;
  };

  bool accepted = false;  // the header is a peer's
  bool broken = false;    // and then the rules are broken
  std::vector<Message> messages;
};

Expected Expect(const Peer& peer, bool ipc) {
  Expected expected;
  const uint8_t* sent = peer.said().data();
  const size_t n = std::min(peer.sent(), kHeader.size());
  if (!std::equal(sent, sent + n, kHeader.begin())) {
    // A wrong byte is seen when the header is complete.
    expected.broken = n == kHeader.size();
    return expected;
  }
  if (n < kHeader.size()) return expected;
  expected.accepted = true;
  size_t at = n;
  for (;;) {
    const size_t head = ipc ? 9 : 8;
    const size_t there = peer.sent() - at;
    if (ipc && there > 0 && sent[at] != 1) {
      expected.broken = true;
      return expected;
    }
    if (there < head) return expected;
    uint64_t size = 0;
    for (size_t i = head - 8; i < head; i++) size = size << 8 | sent[at + i];
    if (size > kMaxMessage) {
      expected.broken = true;
      return expected;
    }
    if (there - head < size) return expected;
    expected.messages.push_back({at + head, static_cast<size_t>(size)});
    at += head + size;
  }
}

// One connection's life on a subject.
class Session {
 public:
  explicit Session(Subject* subject) : subject_(*subject), peer_(subject) {}

  Peer& peer() { return peer_; }
  bool connected() const { return connects_ > 0 && disconnects_ == 0; }

  void Send(size_t size) {
    if (finished_) return;
    // Its number has to fit in.
    size = std::min(std::max<size_t>(size, 8), kMaxMessage);
    const Bytes body = BodyOf(subject_.accepted, size);
    // It can be read before the call returns.
    subject_.accepted++;
    const auto result = subject_.socket->Send(body.data(), body.size(), false);
    CHECK(result == SendQueue::Result::kAccepted ||
          result == SendQueue::Result::kFull);
    if (result == SendQueue::Result::kFull) subject_.accepted--;
  }

  void TakeEvents() {
    std::vector<Event> events;
    subject_.socket->TakeEvents(&events);
    for (const Event& event : events) {
      if (event.type == EventType::kConnect) {
        CHECK(connects_++ == 0);
        pipe_ = event.id;
      } else if (event.type == EventType::kDisconnect) {
        CHECK(connects_ == 1 && disconnects_++ == 0);
      }
    }
  }

  size_t Take(size_t max) {
    TakeEvents();
    static uint8_t room[64 * 1024];
    std::vector<int32_t> sizes(max);
    std::vector<nng_pair::Bytes> large;
    const size_t n = subject_.socket->Take({room, sizeof(room)}, sizes.data(),
                                           max, max, &large);
    const uint8_t* at = room;
    size_t next_large = 0;
    for (size_t i = 0; i < n; i++) {
      if (sizes[i] >= 0) {
        taken_.emplace_back(at, at + sizes[i]);
        at += sizes[i];
      } else {
        const nng_pair::Bytes& body = large.at(next_large++);
        taken_.emplace_back(body.data(), body.data() + body.size());
      }
    }
    CHECK(next_large == large.size());
    return n;
  }

  void Wait() { (void)subject_.socket->WaitForMessage(); }
  void Finish() {
    // Whoever finishes sends nothing more.
    if (connected()) finished_ = subject_.socket->FinishPipe(pipe_) == 0;
  }

  void ClosePeer() {
    // After a reset nobody can tell whether the socket will still hear of a
    // peer that it has not heard of yet.
    if (connects_ > 0 || !Expect(peer_, subject_.ipc).accepted) peer_.Close();
  }

  // The peer says the rest, and leaves if it has not yet. Then the socket has
  // taken all that could arrive, and is without a peer again.
  void End() {
    while (Take(8) > 0)
      ;
    peer_.Push(SIZE_MAX);
    while (!peer_.ended() && peer_.has_left() && !Broken()) Move();
    if (!peer_.ended()) peer_.Finish();
    // It is gone once the socket has told so. Who was no peer yet is turned
    // away, or has left without being heard of.
    const Expected expected = Expect(peer_, subject_.ipc);
    if (expected.accepted && !peer_.was_reset()) {
      while (connects_ == 0) Move();
    }
    if (connects_ > 0) {
      while (disconnects_ == 0) Move();
    } else {
      while (peer_.open() && !peer_.at_end()) Move();
    }
    while (Take(8) > 0)
      ;
    Judge(expected);
  }

  void Judge(const Expected& expected) {
    const Bytes& said = peer_.said();
    CHECK(taken_.size() <= expected.messages.size());
    for (size_t i = 0; i < taken_.size(); i++) {
      const Expected::Message& message = expected.messages[i];
      const auto begin = said.begin() + static_cast<ptrdiff_t>(message.at);
      CHECK(taken_[i].size() == message.size);
      CHECK(std::equal(taken_[i].begin(), taken_[i].end(), begin));
    }
    CHECK(connects_ == 0 || expected.accepted);
    // A reset over tcp destroys what is on its way.
    if (!peer_.was_reset() && connects_ > 0)
      CHECK(taken_.size() == expected.messages.size());
  }

  // What there is to be done next, by whoever.
  void Move() {
    peer_.Push(SIZE_MAX);
    Wait();
    loop->WaitAndTurn(peer_.at_end() ? -1 : peer_.fd());
    while (peer_.Read(SIZE_MAX))
      ;
    while (Take(8) > 0)
      ;
  }

  // What the socket has accepted so far arrives, or has gone down with another
  // connection.
  void ReadEverything() {
    while (subject_.socket->Done() < subject_.socket->Accepted()) Move();
  }

  const std::vector<Bytes>& taken() const { return taken_; }

 private:
  bool Broken() const { return Expect(peer_, subject_.ipc).broken; }

  Subject& subject_;
  Peer peer_;
  uint32_t pipe_ = 0;
  int connects_ = 0;
  int disconnects_ = 0;
  bool finished_ = false;
  std::vector<Bytes> taken_;
};

class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool empty() const { return size_ == 0; }
  uint8_t Byte() {
    if (size_ == 0) return 0;
    size_--;
    return *data_++;
  }
  Bytes Take(size_t size) {
    size = std::min(size, size_);
    Bytes bytes(data_, data_ + size);
    data_ += size;
    size_ -= size;
    return bytes;
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

// The lower bits of an act choose what is done, the upper ones how much.
void Act(Session* session, Input* input) {
  const uint8_t act = input->Byte();
  const size_t how = act >> 3;
  const size_t size = kSizes[how % kSizeCount];
  Peer& peer = session->peer();
  switch (act & 7) {
    case 0:
      peer.Say(input->Take(how + 1));
      break;
    case 1:
      if (how == 0) {
        peer.Say(kHeader);
      } else {
        peer.SayFrame(how, size);
      }
      break;
    case 2:
      peer.Push(how == 0 ? SIZE_MAX : size);
      break;
    case 3:
      loop->Turn();
      break;
    case 4:
      session->Take(how + 1);
      break;
    case 5:
      session->Send(size);
      break;
    case 6:
      peer.Read(how == 0 ? SIZE_MAX : size);
      break;
    default:
      if (how < 8) {
        session->Wait();
      } else if (how < 16) {
        peer.Finish();
      } else if (how < 24) {
        session->Finish();
      } else {
        session->ClosePeer();
      }
  }
}

constexpr uint64_t kNumberOfVisit = 0x6f6c6c6568;
constexpr size_t kSizeOfVisit = 5;

// A peer that keeps to the rules finds a socket that does.
void Visit(Subject* subject) {
  Session session(subject);
  session.peer().Say(kHeader);
  session.peer().SayFrame(kNumberOfVisit, kSizeOfVisit);
  session.ReadEverything();
  session.Send(100);
  while (subject->next_read < subject->accepted) session.Move();
  session.End();
  CHECK(session.taken().size() == 1 &&
        session.taken()[0] == BodyOf(kNumberOfVisit, kSizeOfVisit));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (subjects.empty()) OpenSubjects();
  Input input(data, size);
  Subject* subject = subjects[input.Byte() % subjects.size()].get();
  {
    Session session(subject);
    while (!input.empty()) Act(&session, &input);
    session.End();
  }
  Visit(subject);
  return 0;
}
