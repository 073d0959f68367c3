// The framing and the two queues of a socket (binding/core), by themselves, on
// a connection that is made up here: it gives and takes bytes in pieces of any
// size, ends anywhere, and there may be no memory. test/long/queues.test.ts
// builds and runs it:
//
//   queues <seed> <schedules>
//
// runs so many random schedules from this seed on; each is a seed of its own,
// which is printed when something is wrong.

#include <nng/nng.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "../../binding/core/receive_queue.h"
#include "../../binding/core/send_queue.h"
#include "../../binding/core/sp_frame.h"
#include "../../binding/stream/conn.h"

namespace {

uint64_t current_seed = 0;
std::mt19937_64 random_source;

#define CHECK(condition)                                                    \
  do {                                                                      \
    if (!(condition)) {                                                     \
      std::fprintf(stderr, "seed %llu: %s:%d: %s\n",                        \
                   static_cast<unsigned long long>(current_seed), __FILE__, \
                   __LINE__, #condition);                                   \
      std::exit(1);                                                         \
    }                                                                       \
  } while (0)

size_t Random(size_t below) { return below == 0 ? 0 : random_source() % below; }
bool Chance(size_t in) { return Random(in) == 0; }

// One in so many allocations fails; 0: none.
size_t memory_fails = 0;

using Message = std::vector<uint8_t>;
using Bytes = nng_pair::Bytes;

// Around everything that the queues treat in different ways.
size_t RandomSize() {
  static const size_t around[] = {0,     1,     64,    4096,  8192,
                                  16384, 32768, 65536, 131072};
  if (Chance(3)) return Random(100);
  const size_t size = around[Random(9)] + Random(24);
  return size < 12 ? size : size - 12;
}

Message RandomMessage() {
  Message message(RandomSize());
  for (uint8_t& byte : message) byte = static_cast<uint8_t>(random_source());
  return message;
}

void AppendFrame(std::vector<uint8_t>* out, size_t head, const Message& body) {
  uint8_t bytes[nng_pair::kMaxHead];
  nng_pair::WriteFrameHead(head, bytes, body.size());
  out->insert(out->end(), bytes, bytes + head);
  out->insert(out->end(), body.begin(), body.end());
}

struct Connection {
  size_t head = nng_pair::HeadSize(Chance(2));
  // What the peer has sent, and how far that was read.
  std::vector<uint8_t> incoming;
  size_t read = 0;
  size_t readable = 0;  // so much of it has arrived
  int error = 0;
  // What the kernel has taken, and takes before it is full.
  std::vector<uint8_t> written;
  size_t room = 0;
  bool blocked = false;
  bool broken = false;
  // As on Windows: some writes are under way for a while, of a copy.
  bool overlapped = Chance(2);
  std::vector<uint8_t> in_flight;
};

Connection* Of(nng_stream* stream) {
  return reinterpret_cast<Connection*>(stream);
}
nng_stream* StreamOf(Connection* c) { return reinterpret_cast<nng_stream*>(c); }

}  // namespace

extern "C" {

void* nng_alloc(size_t size) {
  if (memory_fails > 0 && Chance(memory_fails)) return nullptr;
  return size > 0 ? std::malloc(size) : nullptr;
}
void nng_free(void* data, size_t) { std::free(data); }

bool nng_pair_conn_is_ipc(const nng_stream* s) {
  return reinterpret_cast<const Connection*>(s)->head == nng_pair::kIpcHead;
}
bool nng_pair_conn_readable(const nng_stream* s) {
  const auto* c = reinterpret_cast<const Connection*>(s);
  return c->error == 0 && c->read < c->readable;
}
size_t nng_pair_conn_read(nng_stream* s, const struct iovec* iov, int count,
                          size_t total) {
  Connection* c = Of(s);
  size_t left = std::min(total, c->readable - c->read);
  if (left > 1 && Chance(4)) left = 1 + Random(left);
  const size_t n = left;
  for (int i = 0; i < count && left > 0; i++) {
    const size_t part = std::min(left, iov[i].iov_len);
    std::memcpy(iov[i].iov_base, c->incoming.data() + c->read, part);
    c->read += part;
    left -= part;
  }
  CHECK(left == 0);
  return n;
}
void nng_pair_conn_fail(nng_stream* s, int error) {
  Of(s)->error = error;
  Of(s)->broken = true;
}
bool nng_pair_conn_writable(const nng_stream* s) {
  const auto* c = reinterpret_cast<const Connection*>(s);
  return !c->blocked && !c->broken;
}
size_t nng_pair_conn_write(nng_stream* s, struct iovec* iov, int count,
                           size_t total) {
  Connection* c = Of(s);
  CHECK(nng_pair_conn_writable(s));
  size_t sum = 0;
  for (int i = 0; i < count; i++) sum += iov[i].iov_len;
  CHECK(sum == total && total > 0);
  std::vector<uint8_t> offered;
  for (int i = 0; i < count; i++) {
    const auto* data = static_cast<const uint8_t*>(iov[i].iov_base);
    offered.insert(offered.end(), data, data + iov[i].iov_len);
  }
  if (!c->in_flight.empty()) {
    // It is over: what was under way counts as written now.
    const size_t n = c->in_flight.size();
    CHECK(n <= total && std::equal(c->in_flight.begin(), c->in_flight.end(),
                                   offered.begin()));
    c->written.insert(c->written.end(), offered.begin(), offered.begin() + n);
    c->in_flight.clear();
    return n;
  }
  if (c->overlapped && c->room < total && Chance(2)) {
    c->in_flight.assign(offered.begin(), offered.begin() + 1 + Random(total));
    c->blocked = true;
    return 0;
  }
  size_t left = std::min(total, c->room);
  const size_t n = left;
  for (int i = 0; i < count && left > 0; i++) {
    const auto* data = static_cast<const uint8_t*>(iov[i].iov_base);
    const size_t part = std::min(left, iov[i].iov_len);
    c->written.insert(c->written.end(), data, data + part);
    left -= part;
  }
  c->room -= n;
  c->blocked = n < total;
  return n;
}
size_t nng_pair_conn_in_flight(const nng_stream* s) {
  return reinterpret_cast<const Connection*>(s)->in_flight.size();
}
void nng_pair_conn_write_later(nng_stream*) {}

}  // extern "C"

namespace {

// Receiving.

class Receiving {
 public:
  explicit Receiving(size_t max_size) : queue_(max_size), max_size_(max_size) {}

  // One connection, from its first byte to its end.
  void Connect() {
    Connection c;
    std::vector<size_t> ends;
    std::vector<Message> sent;
    int fault = 0;
    for (size_t left = Random(40); left > 0 && fault == 0; left--) {
      Message message = RandomMessage();
      if (max_size_ > 0 && message.size() > max_size_) fault = NNG_EMSGSIZE;
      AppendFrame(&c.incoming, c.head, message);
      if (fault != 0) break;
      ends.push_back(c.incoming.size());
      sent.push_back(std::move(message));
    }
    if (fault == 0 && c.head == nng_pair::kIpcHead && Chance(4)) {
      fault = NNG_EPROTO;
      c.incoming.push_back(2);
      c.incoming.resize(c.incoming.size() + Random(100));
    }
    queue_.BeginConnection(c.head);
    const size_t stop =
        Chance(3) ? Random(c.incoming.size() + 1) : c.incoming.size();
    while (c.error == 0) {
      const size_t limit = Random(3) * Random(20);
      const bool full = queue_.Count(limit);
      CHECK(!full || queue_.size() >= limit);
      // It may end while there is no room for what was read.
      if (full && Chance(8)) break;
      if (queue_.error() == 0 && !full && !queue_.ReadFrom(StreamOf(&c))) {
        if (queue_.error() == 0 && c.readable == c.incoming.size()) break;
        if (c.readable >= stop && stop < c.incoming.size()) break;
        c.readable =
            std::min({c.incoming.size(), std::max(stop, size_t{1}),
                      c.readable + 1 + Random(Chance(2) ? 100 : 100000)});
      }
      if (queue_.error() != 0) {
        if (memory_fails == 0) CHECK(queue_.error() == fault);
        nng_pair_conn_fail(StreamOf(&c), queue_.error());
      }
      if (Chance(2)) Take();
      if (Chance(5)) queue_.Trim();
      // What is whole and was read can be told apart from what was not.
      Expect(sent, ends, c.read);
      if (full && queue_.size() == 0 && limit == 0) Take();
    }
    Expect(sent, ends, c.read);
    // However many of them are counted, or taken.
    const uint64_t whole = queue_.EndConnection();
    CHECK(memory_fails > 0 || whole == matched_ + expected_.size());
    if (Chance(6)) TakeAll();
    told_ = 0;
  }

  void TakeAll() {
    while (Take(1000) > 0) continue;
    CHECK(memory_fails > 0 || expected_.empty());
  }

 private:
  // The messages of a connection that are whole within its first bytes.
  void Expect(const std::vector<Message>& sent, const std::vector<size_t>& ends,
              size_t read) {
    for (; told_ < sent.size() && ends[told_] <= read; told_++) {
      expected_.push_back(sent[told_]);
    }
  }

  size_t Take(size_t max = 1 + Random(20)) {
    uint8_t room[8192];
    int32_t sizes[1000];
    nng_pair::ReceiveQueue::Room left = {
        room, nng_pair::ReceiveQueue::kSmall + Random(4096)};
    std::vector<Bytes> large;
    const size_t counted = queue_.size();
    const size_t size = left.size;
    const size_t n = queue_.Take(&left, sizes, max, &large);
    CHECK(n <= max);
    CHECK(left.size <= size && left.at + left.size == room + size);
    CHECK(n <= counted || queue_.size() == 0 || memory_fails > 0 ||
          left.size < nng_pair::ReceiveQueue::kSmall);
    const uint8_t* at = room;
    size_t next = 0;
    for (size_t i = 0; i < n; i++) {
      // It may be one that this connection has brought just now.
      pending_.push_back(sizes[i] < 0
                             ? Message(large[next].data(),
                                       large[next].data() + large[next].size())
                             : Message(at, at + sizes[i]));
      if (sizes[i] < 0) {
        CHECK(pending_.back().size() > nng_pair::ReceiveQueue::kSmall);
        next++;
      } else {
        CHECK(static_cast<size_t>(sizes[i]) <= nng_pair::ReceiveQueue::kSmall);
        at += sizes[i];
      }
    }
    CHECK(next == large.size() && at == left.at);
    Match();
    return n;
  }

  void Match() {
    while (!pending_.empty() && !expected_.empty()) {
      CHECK(pending_.front() == expected_.front());
      pending_.pop_front();
      expected_.pop_front();
      matched_++;
    }
  }

  nng_pair::ReceiveQueue queue_;
  const size_t max_size_;
  std::deque<Message> expected_;
  std::deque<Message> pending_;
  uint64_t matched_ = 0;
  size_t told_ = 0;
};

void ReceiveSchedule() {
  Receiving receiving(Chance(3) ? 20000 : 0);
  for (size_t n = 1 + Random(4); n > 0; n--) receiving.Connect();
  receiving.TakeAll();
}

// Sending.

class Sending {
 public:
  explicit Sending(size_t limit) : limit_(limit), queue_(limit) {}

  void Connect() {
    Connection c;
    queue_.BeginConnection(StreamOf(&c));
    connection_ = &c;
    const uint64_t lost = queue_.lost();
    Commit();
    Work(Random(60));
    if (Chance(3)) {
      c.room = SIZE_MAX;
      c.blocked = false;
      queue_.Flush();
      queue_.AcceptLine();
      queue_.Flush();
      CHECK(c.broken || queue_.done() == queue_.accepted());
    }
    if (Chance(3)) Stage();
    queue_.EndConnection();
    connection_ = nullptr;
    if (memory_fails == 0 && !c.overlapped) CHECK(queue_.lost() - lost <= 1);
    Verify(c, queue_.lost() - lost);
  }

  // What was staged comes before all else.
  void Commit() {
    if (staged_.empty()) return;
    queue_.SendFrames(frames_.data(), frames_.size(), staged_.size(),
                      frames_head_);
    for (Message& message : staged_) accepted_.push_back(std::move(message));
    staged_.clear();
    frames_.clear();
  }

  void Stop();

  void Work(size_t steps) {
    for (; steps > 0; steps--) {
      switch (Random(8)) {
        case 0:
          if (connection_ != nullptr) {
            connection_->room += Random(Chance(2) ? 200 : 200000);
            connection_->blocked = false;
            queue_.Flush();
          }
          break;
        case 1:
          queue_.AcceptLine();
          LeaveLine();
          break;
        case 2:
          if (!line_.empty()) Cancel(Random(line_.size()));
          break;
        case 3:
          SendFrames();
          break;
        default:
          Send();
      }
      CHECK(queue_.done() <= queue_.accepted());
      CHECK(queue_.sent() + queue_.lost() == queue_.done());
      CHECK(queue_.accepted() == accepted_.size() + finished_);
      uint64_t bytes = 0;
      for (const auto& waiting : line_) {
        if (!waiting.cancelled) bytes += waiting.message.size();
      }
      CHECK(queue_.bytes() == queue_.accepted_bytes() + bytes);
    }
  }

 private:
  struct Waiting {
    Message message;
    bool cancelled;
  };

  void Send() {
    using Result = nng_pair::SendQueue::Result;
    Message message = RandomMessage();
    const bool queue = Chance(2);
    const bool room = queue_.accepted() - queue_.done() < limit_;
    Result result;
    if (Chance(3)) {
      auto outgoing = nng_pair::OutgoingMessage::Allocate(message.size() + 1);
      if (!outgoing) return;
      if (!message.empty()) {
        std::memcpy(outgoing.body(), message.data(), message.size());
      }
      outgoing.Shorten(message.size());
      result = queue_.Send(std::move(outgoing), queue);
    } else {
      result = queue_.Send(message.data(), message.size(), queue);
    }
    switch (result) {
      case Result::kAccepted:
        CHECK(line_.empty());
        accepted_.push_back(std::move(message));
        break;
      case Result::kQueued:
        CHECK(queue);
        line_.push_back({std::move(message), false});
        break;
      case Result::kFull:
        CHECK(!queue);
        CHECK(!line_.empty() || !room);
        break;
      case Result::kNoMemory:
        CHECK(memory_fails > 0);
        break;
    }
  }

  // Frames that are promised room, and handed over when anything can have
  // happened: the connection may be full, or another one.
  void SendFrames() {
    Stage();
    if (connection_ != nullptr && Chance(8)) connection_->blocked = true;
    Commit();
  }

  void Stage() {
    size_t head = 0;
    LeaveLine();
    const size_t room = queue_.Room(&head);
    if (room == 0) return;
    CHECK(line_.empty());
    frames_head_ = head;
    for (size_t n = Random(400); n > 0; n--) {
      Message message(Random(200), static_cast<uint8_t>(n));
      if (frames_.size() + head + message.size() > room) break;
      AppendFrame(&frames_, head, message);
      staged_.push_back(std::move(message));
    }
  }

  void Cancel(size_t index) {
    queue_.Cancel(left_line_ + index);
    line_[index].cancelled = true;
    SkipCancelled();
    CHECK(queue_.left_line() == left_line_);
  }

  void SkipCancelled() {
    while (!line_.empty() && line_.front().cancelled) {
      line_.pop_front();
      left_line_++;
    }
  }

  void LeaveLine() {
    while (left_line_ < queue_.left_line()) {
      CHECK(!line_.empty());
      if (!line_.front().cancelled) {
        accepted_.push_back(std::move(line_.front().message));
      }
      line_.pop_front();
      left_line_++;
    }
  }

  // What the peer got is what was accepted, in order; then a part of one more.
  // What was still under way it may have got or not: that is lost.
  void Verify(const Connection& c, uint64_t lost) {
    LeaveLine();
    std::vector<uint8_t> all = c.written;
    all.insert(all.end(), c.in_flight.begin(), c.in_flight.end());
    size_t at = 0;
    uint64_t body = 0;
    uint64_t under_way = 0;
    const auto frame = [&](size_t from) {
      return nng_pair::ReadFrameHead(c.head, all.data() + from,
                                     all.size() - from, &body);
    };
    while (frame(at) == nng_pair::FrameHead::kComplete &&
           body <= all.size() - at - c.head) {
      const uint8_t* from = all.data() + at + c.head;
      const Message got(from, from + body);
      if (memory_fails > 0) {
        // For want of memory one may have been lost before it.
        while (!accepted_.empty() && accepted_.front() != got) Finish();
      }
      CHECK(!accepted_.empty() && accepted_.front() == got);
      Finish();
      at += c.head + static_cast<size_t>(body);
      if (at > c.written.size()) under_way++;
    }
    if (memory_fails > 0) {
      while (finished_ < queue_.done()) Finish();
      return;
    }
    CHECK(lost == under_way + (at < all.size() ? 1 : 0));
    if (at < all.size()) Finish();
    CHECK(finished_ == queue_.done());
  }

  void Finish() {
    accepted_.pop_front();
    finished_++;
  }

  const size_t limit_;
  nng_pair::SendQueue queue_;
  Connection* connection_ = nullptr;
  std::deque<Message> accepted_;
  std::vector<Message> staged_;
  std::vector<uint8_t> frames_;
  size_t frames_head_ = 0;
  std::deque<Waiting> line_;
  uint64_t left_line_ = 0;
  uint64_t finished_ = 0;
};

// Nothing of the line is sent.
void Sending::Stop() {
  queue_.CancelAll();
  CHECK(queue_.left_line() == left_line_ + line_.size());
  left_line_ += line_.size();
  line_.clear();
  queue_.AcceptLine();
  CHECK(queue_.bytes() == queue_.accepted_bytes());
}

void SendSchedule() {
  Sending sending(Random(3) * Random(20));
  for (size_t n = 1 + Random(4); n > 0; n--) {
    if (Chance(2)) {
      sending.Commit();
      sending.Work(Random(20));
    }
    sending.Connect();
  }
  sending.Stop();
}

// The framing.

void Frames() {
  using nng_pair::FrameHead;
  for (size_t head : {nng_pair::kTcpHead, nng_pair::kIpcHead}) {
    for (uint64_t size :
         {uint64_t{0}, uint64_t{1}, uint64_t{0x0102030405060708}, UINT64_MAX}) {
      uint8_t bytes[nng_pair::kMaxHead];
      uint64_t got = 0;
      nng_pair::WriteFrameHead(head, bytes, size);
      for (size_t n = 0; n < head; n++) {
        CHECK(nng_pair::ReadFrameHead(head, bytes, n, &got) ==
              FrameHead::kPartial);
      }
      CHECK(nng_pair::ReadFrameHead(head, bytes, head, &got) ==
            FrameHead::kComplete);
      CHECK(got == size);
    }
  }
  const uint8_t ipc[] = {1, 0, 0, 0, 0, 0, 0, 1, 2};
  const uint8_t wrong[] = {2};
  uint64_t got = 0;
  CHECK(nng_pair::ReadFrameHead(9, ipc, 9, &got) == FrameHead::kComplete);
  CHECK(got == 258);
  CHECK(nng_pair::ReadFrameHead(9, wrong, 1, &got) == FrameHead::kMalformed);
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t seed = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
  const uint64_t schedules = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  Frames();
  for (uint64_t i = 0; i < schedules; i++) {
    current_seed = seed + i;
    random_source.seed(current_seed);
    memory_fails = Chance(4) ? 1 + Random(30) : 0;
    ReceiveSchedule();
    SendSchedule();
  }
  std::printf("%llu schedules\n", static_cast<unsigned long long>(schedules));
  return 0;
}
