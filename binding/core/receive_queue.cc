#include "receive_queue.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "../stream/conn.h"
#include "sp_frame.h"

namespace nng_pair {

namespace {

// Reads go to blocks of this size, as long as they have room for a message that
// is not read straight into memory of its own.
constexpr size_t kBlock = size_t{64} * 1024;
constexpr size_t kLarge = size_t{16} * 1024;
// Behind a large message comes another, most likely: what is read ahead of its
// body has to be copied.
constexpr size_t kLittleAhead = size_t{4} * 1024;
// A block that is kept with less in it is given back for one that fits.
constexpr size_t kWorthABlock = kBlock / 8;

}  // namespace

void ReceiveQueue::BeginConnection(size_t head_size) {
  head_ = head_size;
  error_ = 0;
  large_ahead_ = false;
}

uint64_t ReceiveQueue::EndConnection() {
  DropTorn();
  // What is left that is not counted is whole, too.
  uint64_t messages = total_messages_;
  for (size_t i = next_; i < segments_.size(); i++) {
    const Segment& segment = segments_[i];
    if (segment.head == 0) messages++;
    for (size_t at = segment.counted; segment.head != 0 && at < segment.read;) {
      at += WholeFrameSize(segment.head, segment.memory.data() + at);
      messages++;
    }
  }
  return messages;
}

void ReceiveQueue::DropTorn() {
  if (!open_) return;
  open_ = false;
  Segment& last = segments_.back();
  if (last.head == 0) {
    if (last.read < last.memory.size()) segments_.pop_back();
    return;
  }
  // What is whole stays, counted or not.
  size_t end = last.counted;
  uint64_t body = 0;
  while (ReadFrameHead(last.head, last.memory.data() + end, last.read - end,
                       &body) == FrameHead::kComplete &&
         body <= last.read - end - last.head && !IsTooLarge(body)) {
    end += last.head + static_cast<size_t>(body);
  }
  last.read = end;
  DropTaken();
}

bool ReceiveQueue::IsTooLarge(uint64_t size) const {
  return max_size_ > 0 && size > max_size_;
}

void ReceiveQueue::Fail(int error) {
  if (error_ == 0) error_ = error;
}

// No other thread writes it: an atomic addition would take longer than the
// rest.
void ReceiveQueue::SetBytes(uint64_t bytes) {
  bytes_.store(bytes, std::memory_order_relaxed);
}

void ReceiveQueue::PopFront() {
  segments_.pop_front();
  if (next_ > 0) next_--;
  if (segments_.empty()) open_ = false;
}

// Frees blocks with nothing left in them.
void ReceiveQueue::DropTaken() {
  while (!segments_.empty() && segments_.front().head != 0 &&
         segments_.front().taken == segments_.front().read) {
    PopFront();
  }
}

// The body of a message whose head is at `at` in the last segment, a block, is
// read into memory of its own.
bool ReceiveQueue::BeginLarge(size_t at, uint64_t size) {
  Segment& block = segments_.back();
  Segment large;
  if (size <= std::numeric_limits<size_t>::max()) {
    large.memory = Bytes::Allocate(static_cast<size_t>(size));
  }
  if (!large.memory) {
    Fail(NNG_ENOMEM);
    return false;
  }
  large.read = block.read - at - block.head;
  if (large.read > 0) {
    std::memcpy(large.memory.data(), block.memory.data() + at + block.head,
                large.read);
  }
  block.read = at;
  if (block.taken == at) segments_.pop_back();
  segments_.push_back(std::move(large));
  large_ahead_ = true;
  next_ = segments_.size() - 1;
  return true;
}

// Whether the first message that is not counted is there as a whole.
bool ReceiveQueue::NextIsWhole() {
  for (; next_ < segments_.size(); next_++) {
    Segment& segment = segments_[next_];
    if (segment.head == 0) {
      next_size_ = segment.memory.size();
      return segment.read == segment.memory.size();
    }
    if (segment.counted == segment.read) {
      if (next_ + 1 == segments_.size()) return false;
      continue;
    }
    const size_t at = segment.counted;
    const size_t there = segment.read - at;
    uint64_t size = 0;
    switch (
        ReadFrameHead(segment.head, segment.memory.data() + at, there, &size)) {
      case FrameHead::kPartial:
        return false;
      case FrameHead::kMalformed:
        Fail(NNG_EPROTO);
        return false;
      case FrameHead::kComplete:
        break;
    }
    if (IsTooLarge(size)) {
      Fail(NNG_EMSGSIZE);
      return false;
    }
    next_size_ = size;
    if (size <= there - segment.head) return true;
    if (size >= kLarge) (void)BeginLarge(at, size);
    return false;
  }
  return false;
}

// After NextIsWhole.
void ReceiveQueue::CountNext() {
  Segment& segment = segments_[next_];
  if (segment.head == 0) {
    next_++;
  } else {
    segment.counted += segment.head + static_cast<size_t>(next_size_);
    if (next_size_ < kLarge) large_ahead_ = false;
  }
  counted_++;
  SetBytes(bytes() + next_size_);
  total_messages_++;
  total_bytes_ += next_size_;
}

bool ReceiveQueue::Count(size_t limit) {
  while (NextIsWhole()) {
    if (counted_ >= limit) return true;
    CountNext();
    CountSmall(limit);
  }
  return false;
}

// The small messages that follow in the same block, in one go: most of a stream
// of them is counted here.
void ReceiveQueue::CountSmall(size_t limit) {
  if (next_ == segments_.size() || segments_[next_].head == 0) return;
  Segment& segment = segments_[next_];
  const uint8_t* const frames = segment.memory.data();
  const size_t head = segment.head;
  size_t at = segment.counted;
  size_t n = 0;
  uint64_t bytes = 0;
  uint64_t size = 0;
  while (counted_ + n < limit &&
         ReadFrameHead(head, frames + at, segment.read - at, &size) ==
             FrameHead::kComplete &&
         size <= kSmall && size <= segment.read - at - head &&
         !IsTooLarge(size)) {
    at += head + static_cast<size_t>(size);
    bytes += size;
    n++;
  }
  segment.counted = at;
  counted_ += n;
  SetBytes(this->bytes() + bytes);
  total_messages_ += n;
  total_bytes_ += bytes;
}

// A new block for frames of this connection; false: there is no memory.
bool ReceiveQueue::MakeBlock(Segment* block) {
  block->memory = Bytes::Allocate(kBlock);
  block->head = head_;
  if (!block->memory) Fail(NNG_ENOMEM);
  return static_cast<bool>(block->memory);
}

// A block with room behind the bytes that are there. A message that is not
// whole moves to the front of it.
ReceiveQueue::Segment* ReceiveQueue::BlockToReadInto() {
  size_t left = 0;
  if (open_ && segments_.back().head != 0) {
    Segment& last = segments_.back();
    if (last.memory.size() - last.read > kLarge + kMaxHead) return &last;
    left = last.read - last.counted;
    if (last.taken == last.counted && last.memory.size() == kBlock) {
      std::memmove(last.memory.data(), last.memory.data() + last.counted, left);
      last.taken = last.counted = 0;
      last.read = left;
      return &last;
    }
  }
  Segment block;
  if (!MakeBlock(&block)) return nullptr;
  if (left > 0) {
    Segment& last = segments_.back();
    std::memcpy(block.memory.data(), last.memory.data() + last.counted, left);
    block.read = left;
    last.read = last.counted;
  }
  DropTaken();
  segments_.push_back(std::move(block));
  open_ = true;
  return &segments_.back();
}

bool ReceiveQueue::ReadFrom(nng_stream* connection) {
  if (error_ != 0 || !nng_pair_conn_readable(connection)) return false;
  struct iovec iov[2];
  if (open_ && segments_.back().head == 0 &&
      segments_.back().read < segments_.back().memory.size()) {
    // The rest of a large message, and little of what is behind it.
    Segment ahead;
    if (!MakeBlock(&ahead)) return false;
    Segment& large = segments_.back();
    const size_t rest = large.memory.size() - large.read;
    iov[0] = {large.memory.data() + large.read, rest};
    iov[1] = {ahead.memory.data(), kLittleAhead};
    const size_t n =
        nng_pair_conn_read(connection, iov, 2, rest + kLittleAhead);
    large.read += std::min(n, rest);
    if (n > rest) {
      ahead.read = n - rest;
      segments_.push_back(std::move(ahead));
    }
    return n > 0;
  }
  Segment* block = BlockToReadInto();
  if (block == nullptr) return false;
  const size_t room = block->memory.size() - block->read;
  iov[0] = {block->memory.data() + block->read,
            large_ahead_ ? std::min(room, kLittleAhead) : room};
  const size_t n = nng_pair_conn_read(connection, iov, 1, iov[0].iov_len);
  block->read += n;
  // An empty one would be kept by an idle connection.
  if (n == 0) DropTaken();
  return n > 0;
}

size_t ReceiveQueue::Take(Room* room, int32_t* sizes, size_t max,
                          std::vector<Bytes>* large) {
  (void)Count(max);
  size_t n = 0;
  size_t bytes = 0;
  while (n < max && counted_ > n) {
    DropTaken();
    Segment& segment = segments_.front();
    if (segment.head == 0) {
      bytes += segment.memory.size();
      large->push_back(std::move(segment.memory));
      sizes[n++] = -1;
      PopFront();
      continue;
    }
    const size_t begin = n;
    const uint8_t* const frames = segment.memory.data();
    size_t at = segment.taken;
    while (n < max && at < segment.counted) {
      const size_t frame = WholeFrameSize(segment.head, frames + at);
      const uint8_t* const body = frames + at + segment.head;
      const size_t size = frame - segment.head;
      if (size <= kSmall) {
        if (size > room->size) break;
        if (size > 0) std::memcpy(room->at, body, size);
        room->at += size;
        room->size -= size;
        sizes[n++] = static_cast<int32_t>(size);
      } else {
        Bytes copy = Bytes::Allocate(size);
        if (!copy) break;
        std::memcpy(copy.data(), body, size);
        large->push_back(std::move(copy));
        sizes[n++] = -1;
      }
      bytes += size;
      at += frame;
    }
    segment.taken = at;
    if (at < segment.counted || n == begin) break;
  }
  counted_ -= n;
  SetBytes(this->bytes() - bytes);
  DropTaken();
  return n;
}

void ReceiveQueue::Drop() {
  (void)Count(std::numeric_limits<size_t>::max());
  while (next_ > 0) PopFront();
  if (!segments_.empty() && segments_.front().head != 0) {
    segments_.front().taken = segments_.front().counted;
  }
  counted_ = 0;
  SetBytes(0);
  DropTaken();
}

void ReceiveQueue::Trim() {
  if (segments_.empty()) return;
  Segment& last = segments_.back();
  const size_t size = last.read - last.taken;
  if (last.head == 0 || last.memory.size() < kBlock || size == 0 ||
      size > kWorthABlock) {
    return;
  }
  Bytes memory = Bytes::Allocate(size);
  if (!memory) return;
  std::memcpy(memory.data(), last.memory.data() + last.taken, size);
  last.memory = std::move(memory);
  last.counted -= last.taken;
  last.read -= last.taken;
  last.taken = 0;
}

void ReceiveQueue::Clear() {
  segments_.clear();
  next_ = counted_ = 0;
  SetBytes(0);
  open_ = false;
}

}  // namespace nng_pair
