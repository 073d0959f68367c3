// Memory for messages, with one owner. It comes from NNG's allocator, which
// keeps large blocks for the next messages (engine/block_cache.c).

#ifndef NNG_PAIR_CORE_BYTES_H
#define NNG_PAIR_CORE_BYTES_H

#include <nng/nng.h>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace nng_pair {

class Bytes {
 public:
  Bytes() = default;
  Bytes(Bytes&& from) noexcept { *this = std::move(from); }
  Bytes& operator=(Bytes&& from) noexcept {
    std::swap(data_, from.data_);
    std::swap(size_, from.size_);
    return *this;
  }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  ~Bytes() { Reset(); }

  // None if there is no memory. It is not initialised.
  static Bytes Allocate(size_t size) {
    Bytes bytes;
    bytes.data_ = static_cast<uint8_t*>(nng_alloc(size));
    if (bytes.data_ != nullptr) bytes.size_ = size;
    return bytes;
  }

  explicit operator bool() const { return data_ != nullptr; }
  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

  void Reset() {
    if (data_ != nullptr) nng_free(data_, size_);
    data_ = nullptr;
    size_ = 0;
  }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace nng_pair

#endif  // NNG_PAIR_CORE_BYTES_H
