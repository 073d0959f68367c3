#include "send_queue.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "../stream/conn.h"
#include "sp_frame.h"

namespace nng_pair {

namespace {

// Small messages are coalesced in a write buffer of this size. When it is full
// it is written.
constexpr size_t kWriteBuffer = size_t{64} * 1024;
// Frames up to this size are coalesced; a larger one is written from where it
// is.
constexpr size_t kMaxCoalesced = size_t{16} * 1024;
// So much is worth a write before the turn ends.
constexpr size_t kWorthAWrite = size_t{32} * 1024;
// How many pieces of memory one write takes.
constexpr int kPieces = 64;

// How many bytes the whole frames at the front of `size` bytes are, and how
// many frames.
size_t WholeFrames(size_t head, const uint8_t* frames, size_t size,
                   size_t* count) {
  size_t at = 0;
  *count = 0;
  while (at + head <= size) {
    const size_t frame = WholeFrameSize(head, frames + at);
    if (at + frame > size) break;
    at += frame;
    ++*count;
  }
  return at;
}

}  // namespace

OutgoingMessage OutgoingMessage::Allocate(size_t size) {
  OutgoingMessage message;
  message.memory_ = Bytes::Allocate(kMaxHead + size);
  message.size_ = size;
  return message;
}

uint8_t* OutgoingMessage::body() const { return memory_.data() + kMaxHead; }

// The connection.

bool SendQueue::Writable() const {
  return connection_ != nullptr && nng_pair_conn_writable(connection_);
}

void SendQueue::BeginConnection(nng_stream* connection) {
  connection_ = connection;
  head_ = HeadSize(nng_pair_conn_is_ipc(connection));
  unwritten_ = 0;
  for (size_t i = 0; i < chunks_.size(); i++) {
    FitHeads(&chunks_[i]);
    unwritten_ += chunks_[i].end - chunks_[i].written;
  }
  if (!chunks_.empty()) nng_pair_conn_write_later(connection);
}

void SendQueue::EndConnection() {
  if (connection_ == nullptr) return;
  (void)Advance(nng_pair_conn_in_flight(connection_), false);
  connection_ = nullptr;
  if (!chunks_.empty() && chunks_.front().started) {
    Chunk& front = chunks_.front();
    if (front.single) {
      Done(1, front.body, false);
      front.count = 0;
    } else {
      const size_t size =
          WholeFrameSize(front.head, front.memory.data() + front.begin);
      Done(1, size - front.head, false);
      front.count--;
      front.begin += size;
      front.written = front.begin;
      front.started = false;
    }
    if (front.count == 0) chunks_.pop_front();
  }
}

// Messages that no connection has taken any of can go to one of the other kind.
void SendQueue::FitHeads(Chunk* chunk) {
  if (chunk->lost) return;
  if (chunk->single) {
    chunk->begin = chunk->written = kMaxHead - head_;
    return;
  }
  if (chunk->head == head_) return;
  const size_t bodies = chunk->end - chunk->begin - chunk->count * chunk->head;
  Bytes memory = Bytes::Allocate(bodies + chunk->count * head_);
  if (!memory) {
    Lose(chunk, bodies);
    return;
  }
  const uint8_t* from = chunk->memory.data() + chunk->begin;
  uint8_t* to = memory.data();
  for (size_t i = 0; i < chunk->count; i++) {
    const size_t body = WholeFrameSize(chunk->head, from) - chunk->head;
    WriteFrameHead(head_, to, body);
    std::memcpy(to + head_, from + chunk->head, body);
    from += chunk->head + body;
    to += head_ + body;
  }
  chunk->memory = std::move(memory);
  chunk->head = head_;
  chunk->written = chunk->begin = 0;
  chunk->end = chunk->memory.size();
}

void SendQueue::Lose(Chunk* chunk, size_t bytes) {
  chunk->memory.Reset();
  chunk->written = chunk->begin = chunk->end = 0;
  chunk->body = bytes;
  chunk->lost = true;
}

// Accepting.

bool SendQueue::HasRoom() const {
  const size_t on_its_way = connection_ != nullptr ? 1 : 0;
  return accepted_ - done_ < limit_ + on_its_way;
}

SendQueue::Chunk SendQueue::SingleChunk(OutgoingMessage message) {
  Chunk chunk;
  chunk.memory = std::move(message.memory_);
  chunk.end = kMaxHead + message.size_;
  chunk.count = 1;
  chunk.body = message.size_;
  chunk.single = true;
  WriteFrameHead(kIpcHead, chunk.memory.data(), message.size_);
  return chunk;
}

void SendQueue::Accept(Chunk chunk) {
  if (connection_ != nullptr) {
    FitHeads(&chunk);
    nng_pair_conn_write_later(connection_);
  }
  accepted_++;
  accepted_bytes_ += chunk.body;
  unwritten_ += chunk.end - chunk.written;
  chunks_.push_back(std::move(chunk));
  UpdateBytes();
}

// Where frames of `size` bytes can be put behind what is accepted; null if
// there is no memory.
SendQueue::Chunk* SendQueue::ChunkFor(size_t size, size_t head) {
  if (!chunks_.empty()) {
    Chunk& last = chunks_.back();
    if (!last.single && !last.lost && last.head == head &&
        last.memory.size() - last.end >= size) {
      return &last;
    }
  }
  Chunk chunk;
  // What cannot leave is not joined by more for a while.
  chunk.memory = Bytes::Allocate(Writable() ? kWriteBuffer : size);
  if (!chunk.memory) return nullptr;
  chunk.head = head;
  chunks_.push_back(std::move(chunk));
  return &chunks_.back();
}

bool SendQueue::Coalesce(const uint8_t* data, size_t size) {
  const size_t frame = head_ + size;
  if (unwritten_ + frame > kWriteBuffer) Write();
  if (!Writable() || unwritten_ + frame > kWriteBuffer) return false;
  Chunk* chunk = ChunkFor(frame, head_);
  if (chunk == nullptr) return false;
  uint8_t* at = chunk->memory.data() + chunk->end;
  WriteFrameHead(head_, at, size);
  if (size > 0) std::memcpy(at + head_, data, size);
  chunk->end += frame;
  chunk->count++;
  accepted_++;
  accepted_bytes_ += size;
  unwritten_ += frame;
  UpdateBytes();
  nng_pair_conn_write_later(connection_);
  return true;
}

bool SendQueue::Start(const uint8_t* data, size_t size, Result* result) {
  Write();
  if (!Writable()) return false;
  uint8_t head[kMaxHead];
  WriteFrameHead(head_, head, size);
  struct iovec pieces[2] = {{head, head_}, {const_cast<uint8_t*>(data), size}};
  const size_t total = head_ + size;
  const size_t n = nng_pair_conn_write(connection_, pieces, 2, total);
  if (n == 0) return false;
  *result = Result::kAccepted;
  Chunk rest;
  if (n < total) {
    rest.memory = Bytes::Allocate(total - n);
    if (!rest.memory) {
      // The peer has a part of a message that will not be continued.
      nng_pair_conn_fail(connection_, NNG_ENOMEM);
      *result = Result::kNoMemory;
      return true;
    }
    const size_t of_head = n < head_ ? head_ - n : 0;
    const size_t of_body = total - n - of_head;
    if (of_head > 0) std::memcpy(rest.memory.data(), head + n, of_head);
    std::memcpy(rest.memory.data() + of_head, data + (size - of_body), of_body);
    rest.end = total - n;
    rest.count = 1;
    rest.body = size;
    rest.single = rest.started = true;
    unwritten_ += rest.end;
    chunks_.push_back(std::move(rest));
  }
  accepted_++;
  accepted_bytes_ += size;
  if (n == total) {
    Done(1, size, true);
  } else {
    UpdateBytes();
  }
  return true;
}

// What is on its way will not be continued.
void SendQueue::FailIfInFlight() {
  if (connection_ != nullptr && nng_pair_conn_in_flight(connection_) > 0) {
    nng_pair_conn_fail(connection_, NNG_ENOMEM);
  }
}

SendQueue::Result SendQueue::Send(const uint8_t* data, size_t size,
                                  bool queue) {
  if (line_.empty() && Writable()) {
    Result result = Result::kAccepted;
    if (kMaxHead + size <= kMaxCoalesced ? Coalesce(data, size)
                                         : Start(data, size, &result)) {
      return result;
    }
  }
  if (!queue && (!line_.empty() || !HasRoom())) return Result::kFull;
  OutgoingMessage message = OutgoingMessage::Allocate(size);
  if (!message) {
    FailIfInFlight();
    return Result::kNoMemory;
  }
  if (size > 0) std::memcpy(message.body(), data, size);
  return Send(std::move(message), queue);
}

SendQueue::Result SendQueue::Send(OutgoingMessage message, bool queue) {
  if (line_.empty()) {
    // What leaves now does not need the buffer.
    if (!HasRoom()) Write();
    if (HasRoom() || (Writable() && unwritten_ == 0)) {
      Accept(SingleChunk(std::move(message)));
      if (unwritten_ > kWriteBuffer) Write();
      return Result::kAccepted;
    }
  }
  if (!queue) return Result::kFull;
  line_bytes_ += message.size();
  line_.push_back(SingleChunk(std::move(message)));
  UpdateBytes();
  return Result::kQueued;
}

size_t SendQueue::Room(size_t* head) const {
  if (!line_.empty() || !Writable() || unwritten_ >= kWriteBuffer) return 0;
  *head = head_;
  return kWriteBuffer - unwritten_;
}

void SendQueue::SendFrames(const uint8_t* frames, size_t size, size_t count,
                           size_t head) {
  accepted_ += count;
  accepted_bytes_ += size - count * head;
  size_t written = 0;
  if (Writable() && head == head_ && unwritten_ + size >= kWorthAWrite) {
    written = Write(frames, size);
    if (written == size) {
      Done(count, size - count * head, true);
      return;
    }
  }
  // From the first message on that the kernel has not whole.
  size_t whole = 0;
  const size_t begin = WholeFrames(head, frames, written, &whole);
  if (whole > 0) Done(whole, begin - whole * head, true);
  count -= whole;
  size -= begin;
  written -= begin;
  Chunk* chunk = ChunkFor(size, head);
  if (chunk == nullptr) {
    Chunk lost;
    lost.count = count;
    Lose(&lost, size - count * head);
    chunks_.push_back(std::move(lost));
    UpdateBytes();
    // The peer has a part of a message that will not be continued.
    if (written > 0) nng_pair_conn_fail(connection_, NNG_ENOMEM);
    FailIfInFlight();
    return;
  }
  const size_t before = chunk->end - chunk->written;
  std::memcpy(chunk->memory.data() + chunk->end, frames + begin, size);
  if (written > 0) {
    // It is the first one: all that was ahead of it has been written.
    chunk->written += written;
    chunk->started = true;
  }
  chunk->end += size;
  chunk->count += count;
  if (connection_ != nullptr) {
    // The connection may be another one than when room was promised.
    if (head != head_) FitHeads(chunk);
    nng_pair_conn_write_later(connection_);
  }
  unwritten_ += chunk->end - chunk->written - before;
  UpdateBytes();
}

// The line.

void SendQueue::SkipCancelled() {
  while (!line_.empty() && line_.front().count == 0) {
    line_.pop_front();
    left_line_++;
  }
}

bool SendQueue::CanAcceptLine() const {
  return !line_.empty() &&
         (HasRoom() || (Writable() && unwritten_ < kWriteBuffer));
}

void SendQueue::AcceptLine() {
  SkipCancelled();
  while (CanAcceptLine()) {
    Chunk chunk = std::move(line_.front());
    line_.pop_front();
    left_line_++;
    line_bytes_ -= chunk.body;
    Accept(std::move(chunk));
    SkipCancelled();
    // It may take more of them then.
    if (!line_.empty() && unwritten_ >= kWriteBuffer) Write();
  }
}

void SendQueue::Cancel(uint64_t number) {
  if (number < left_line_ || number - left_line_ >= line_.size()) return;
  Chunk& chunk = line_[static_cast<size_t>(number - left_line_)];
  if (chunk.count > 0) line_bytes_ -= chunk.body;
  chunk.count = 0;
  chunk.memory.Reset();
  SkipCancelled();
  UpdateBytes();
}

void SendQueue::CancelAll() {
  left_line_ += line_.size();
  line_.clear();
  line_bytes_ = 0;
  UpdateBytes();
}

// Writing.

size_t SendQueue::Write(const uint8_t* extra, size_t extra_size) {
  size_t done = 0;
  while (Writable()) {
    struct iovec pieces[kPieces];
    int count = 0;
    size_t total = 0;
    const auto add = [&](const uint8_t* data, size_t size) {
      pieces[count++] = {const_cast<uint8_t*>(data), size};
      total += size;
    };
    size_t i = 0;
    for (; i < chunks_.size() && count < kPieces; i++) {
      const Chunk& chunk = chunks_[i];
      if (chunk.written < chunk.end) {
        add(chunk.memory.data() + chunk.written, chunk.end - chunk.written);
      }
    }
    if (done < extra_size && i == chunks_.size() && count < kPieces) {
      add(extra + done, extra_size - done);
    }
    if (total == 0) {
      (void)Advance(0, true);  // there may be some that are lost
      break;
    }
    const size_t n = nng_pair_conn_write(connection_, pieces, count, total);
    done += Advance(n, true);
  }
  return done;
}

// So much more was sent, or else may have been and is lost; returns how much of
// that is behind the chunks.
size_t SendQueue::Advance(size_t size, bool sent) {
  while (!chunks_.empty()) {
    Chunk& chunk = chunks_.front();
    const size_t part = std::min(size, chunk.end - chunk.written);
    size -= part;
    unwritten_ -= part;
    chunk.written += part;
    if (chunk.written < chunk.end) {
      if (!chunk.single) {
        size_t whole = 0;
        const size_t frames =
            WholeFrames(chunk.head, chunk.memory.data() + chunk.begin,
                        chunk.written - chunk.begin, &whole);
        chunk.begin += frames;
        chunk.count -= whole;
        Done(whole, frames - whole * chunk.head, sent);
      }
      chunk.started =
          (chunk.single && chunk.started) || chunk.written > chunk.begin;
      break;
    }
    Done(chunk.count,
         chunk.single || chunk.lost
             ? chunk.body
             : chunk.end - chunk.begin - chunk.count * chunk.head,
         sent && !chunk.lost);
    chunks_.pop_front();
  }
  return size;
}

void SendQueue::Done(uint64_t messages, uint64_t bytes, bool sent) {
  done_ += messages;
  accepted_bytes_ -= bytes;
  if (sent) {
    sent_bytes_ += bytes;
  } else {
    lost_ += messages;
  }
  UpdateBytes();
}

// No other thread writes it: an atomic addition would take longer than the
// rest.
void SendQueue::UpdateBytes() {
  bytes_.store(accepted_bytes_ + line_bytes_, std::memory_order_relaxed);
}

void SendQueue::Clear() {
  CancelAll();
  chunks_.clear();
  unwritten_ = 0;
}

}  // namespace nng_pair
