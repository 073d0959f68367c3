// Messages that have arrived and were not taken yet, in order: the bytes of
// small ones one behind the other, so that many are copied as one, and others
// as they came. An empty one holds little memory.

#ifndef NNG_PAIR_CORE_INBOX_H
#define NNG_PAIR_CORE_INBOX_H

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

  bool empty() const { return items_.empty(); }
  size_t size() const { return items_.size(); }
  size_t bytes() const { return bytes_; }

  // At most kSmall bytes.
  void Push(const uint8_t* data, size_t size) {
    small_.insert(small_.end(), data, data + size);
    items_.push_back({static_cast<uint32_t>(size), nullptr});
    bytes_ += size;
  }

  void Push(Message message) {
    const size_t size = nng_msg_len(message.get());
    if (size <= kSmall) {
      Push(static_cast<const uint8_t*>(nng_msg_body(message.get())), size);
      return;
    }
    items_.push_back({0, std::move(message)});
    bytes_ += size;
  }

  // Moves up to `max` messages out: small ones to `room`, one behind the other,
  // as long as they fit in, and others to `large`. `sizes` gets the size of
  // each, or -1. Returns how many there are.
  size_t Take(uint8_t* room, size_t room_size, int32_t* sizes, size_t max,
              std::vector<Message>* large) {
    size_t n = 0;
    size_t copied = 0;
    for (; n < max && !items_.empty(); n++) {
      Item& item = items_.front();
      if (item.large) {
        sizes[n] = -1;
        bytes_ -= nng_msg_len(item.large.get());
        large->push_back(std::move(item.large));
      } else if (copied + item.size <= room_size) {
        sizes[n] = static_cast<int32_t>(item.size);
        copied += item.size;
      } else {
        break;
      }
      items_.pop_front();
    }
    if (copied > 0) {
      std::memcpy(room, small_.data() + small_head_, copied);
      small_head_ += copied;
      bytes_ -= copied;
      Tidy();
    }
    return n;
  }

  void Clear() {
    items_.clear();
    small_head_ = small_.size();
    bytes_ = 0;
    Tidy();
  }

 private:
  struct Item {
    uint32_t size;
    Message large;  // else it is small
  };

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

  Fifo<Item> items_;
  std::vector<uint8_t> small_;
  size_t small_head_ = 0;
  size_t bytes_ = 0;
};

}  // namespace nng_pair

#endif  // NNG_PAIR_CORE_INBOX_H
