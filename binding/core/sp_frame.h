// How messages go over the wire: the stream mappings of the Scalability
// Protocols (https://nanomsg.org/rfcs/sp-tcp-mapping-01.html and
// https://nanomsg.org/rfcs/sp-ipc-01.html). A frame is a head and the body of
// one message. The head is the length of the body as 64 bits, big endian; over
// ipc the byte 1 comes before that. So the size of a head tells the mapping.
//
// Nothing else knows about heads but lib/outbox.ts, which lays small messages
// out in the same way.

#ifndef NNG_PAIR_CORE_SP_FRAME_H
#define NNG_PAIR_CORE_SP_FRAME_H

#include <cstddef>
#include <cstdint>

namespace nng_pair {

constexpr size_t kTcpHead = 8;
constexpr size_t kIpcHead = 9;
constexpr size_t kMaxHead = kIpcHead;

constexpr size_t HeadSize(bool ipc) { return ipc ? kIpcHead : kTcpHead; }

// Compilers make one instruction of each of these.
inline uint64_t LoadBigEndian(const uint8_t* at) {
  return uint64_t{at[0]} << 56 | uint64_t{at[1]} << 48 | uint64_t{at[2]} << 40 |
         uint64_t{at[3]} << 32 | uint64_t{at[4]} << 24 | uint64_t{at[5]} << 16 |
         uint64_t{at[6]} << 8 | uint64_t{at[7]};
}
inline void StoreBigEndian(uint8_t* at, uint64_t value) {
  at[0] = static_cast<uint8_t>(value >> 56);
  at[1] = static_cast<uint8_t>(value >> 48);
  at[2] = static_cast<uint8_t>(value >> 40);
  at[3] = static_cast<uint8_t>(value >> 32);
  at[4] = static_cast<uint8_t>(value >> 24);
  at[5] = static_cast<uint8_t>(value >> 16);
  at[6] = static_cast<uint8_t>(value >> 8);
  at[7] = static_cast<uint8_t>(value);
}

enum class FrameHead { kPartial, kComplete, kMalformed };

// Looks at the head of a frame of which `size` bytes are there, and tells how
// long the body is if that can be told.
inline FrameHead ReadFrameHead(size_t head, const uint8_t* frame, size_t size,
                               uint64_t* body) {
  if (size > 0 && head == kIpcHead && frame[0] != 1) {
    return FrameHead::kMalformed;
  }
  if (size < head) return FrameHead::kPartial;
  *body = LoadBigEndian(frame + head - 8);
  return FrameHead::kComplete;
}

// Writes the head of a frame.
inline void WriteFrameHead(size_t head, uint8_t* frame, uint64_t body) {
  if (head == kIpcHead) *frame++ = 1;
  StoreBigEndian(frame, body);
}

// The size of a frame that is there as a whole, and valid.
inline size_t WholeFrameSize(size_t head, const uint8_t* frame) {
  return head + static_cast<size_t>(LoadBigEndian(frame + head - 8));
}

}  // namespace nng_pair

#endif  // NNG_PAIR_CORE_SP_FRAME_H
