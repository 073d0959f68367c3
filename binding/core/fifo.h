// A queue in one piece of memory, with none while it is empty and new: a
// std::deque takes half a KiB before it holds anything, and there are several
// in every socket.

#ifndef NNG_PAIR_CORE_FIFO_H
#define NNG_PAIR_CORE_FIFO_H

#include <cstddef>
#include <utility>
#include <vector>

namespace nng_pair {

template <typename T>
class Fifo {
 public:
  bool empty() const { return head_ == items_.size(); }
  size_t size() const { return items_.size() - head_; }
  T& front() { return items_[head_]; }
  T& back() { return items_.back(); }
  T& operator[](size_t i) { return items_[head_ + i]; }

  void push_back(T item) {
    // Moved together when at least half is free: a constant cost per item.
    if (items_.size() == items_.capacity() && head_ > items_.size() / 2) {
      items_.erase(items_.begin(),
                   items_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
    items_.push_back(std::move(item));
  }

  void pop_front(size_t count = 1) {
    for (; count > 0; count--) items_[head_++] = T();
    if (empty()) clear();
  }

  void pop_back() {
    items_.pop_back();
    if (empty()) clear();
  }

  // Keeps what memory a short queue needs.
  void clear() {
    items_.clear();
    head_ = 0;
    if (items_.capacity() > kKept) items_.shrink_to_fit();
  }

 private:
  static constexpr size_t kKept = 256;

  std::vector<T> items_;
  size_t head_ = 0;
};

}  // namespace nng_pair

#endif  // NNG_PAIR_CORE_FIFO_H
