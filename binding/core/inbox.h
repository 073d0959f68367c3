// Messages that have arrived and were not taken yet, in order: the bytes of
// small ones one behind the other, so that many are copied as one, and others
// as they came. An empty one holds little memory.

#ifndef NNG_PAIR_CORE_INBOX_H
#define NNG_PAIR_CORE_INBOX_H

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "../platform/conn.h"
#include "fifo.h"
#include "message.h"

namespace nng_pair {

class Inbox {
 public:
  // Messages up to this size are small.
  static constexpr size_t kSmall = NNG_PAIR_SMALL;

  bool empty() const { return sizes_.empty(); }
  size_t size() const { return sizes_.size(); }
  size_t bytes() const { return bytes_; }

  // At most kSmall bytes.
  void Push(const uint8_t* data, size_t size) {
    small_.insert(small_.end(), data, data + size);
    sizes_.push_back(static_cast<int32_t>(size));
    bytes_ += size;
  }

  void Push(Message message) {
    const size_t size = nng_msg_len(message.get());
    if (size <= kSmall) {
      Push(static_cast<const uint8_t*>(nng_msg_body(message.get())), size);
      return;
    }
    large_.push_back(std::move(message));
    sizes_.push_back(kLarge);
    bytes_ += size;
  }

  struct Room {
    uint8_t* bytes;
    size_t size;
  };
  // Moves up to `max` messages out: small ones to `room`, one behind the other,
  // as long as they fit in, and others to `large`. `sizes` gets the size of
  // each, or -1. Returns how many there are; `room` is what is left of it.
  size_t Take(Room* room, int32_t* sizes, size_t max,
              std::vector<Message>* large) {
    const size_t most = std::min(max, sizes_.size());
    size_t n = 0;
    size_t copied = 0;
    for (; n < most; n++) {
      const int32_t size = sizes_[n];
      if (size == kLarge) {
        bytes_ -= nng_msg_len(large_.front().get());
        large->push_back(std::move(large_.front()));
        large_.pop_front();
      } else if (copied + static_cast<size_t>(size) <= room->size) {
        copied += static_cast<size_t>(size);
      } else {
        break;
      }
      sizes[n] = size;
    }
    sizes_.pop_front(n);
    if (copied > 0) {
      std::memcpy(room->bytes, small_.data() + small_head_, copied);
      room->bytes += copied;
      room->size -= copied;
      small_head_ += copied;
      bytes_ -= copied;
      Tidy();
    }
    return n;
  }

  void Clear() {
    sizes_.clear();
    large_.clear();
    small_head_ = small_.size();
    bytes_ = 0;
    Tidy();
  }

 private:
  static constexpr int32_t kLarge = -1;

  // What a steady stream needs is kept.
  static constexpr size_t kKept = size_t{16} * 1024;

  // Moved together when at least half is free: a constant cost per byte.
  void Tidy() {
    if (small_head_ == small_.size()) {
      small_.clear();
      if (small_.capacity() > kKept) small_.shrink_to_fit();
    } else if (small_head_ > small_.size() / 2) {
      small_.erase(small_.begin(),
                   small_.begin() + static_cast<std::ptrdiff_t>(small_head_));
    } else {
      return;
    }
    small_head_ = 0;
  }

  Fifo<int32_t> sizes_;  // of small messages, and kLarge for others
  Fifo<Message> large_;
  std::vector<uint8_t> small_;
  size_t small_head_ = 0;
  size_t bytes_ = 0;
};

}  // namespace nng_pair

#endif  // NNG_PAIR_CORE_INBOX_H
