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

enum class FrameHead { kPartial, kComplete, kMalformed };

// Looks at the head of a frame of which `size` bytes are there, and tells how
// long the body is if that can be told.
inline FrameHead ReadFrameHead(size_t head, const uint8_t* frame, size_t size,
                               uint64_t* body) {
  if (size > 0 && head == kIpcHead && frame[0] != 1) {
    return FrameHead::kMalformed;
  }
  if (size < head) return FrameHead::kPartial;
  const uint8_t* at = frame + head - 8;
  uint64_t length = 0;
  for (int i = 0; i < 8; i++) length = length << 8 | at[i];
  *body = length;
  return FrameHead::kComplete;
}

// Writes the head of a frame.
inline void WriteFrameHead(size_t head, uint8_t* frame, uint64_t body) {
  if (head == kIpcHead) *frame++ = 1;
  for (int shift = 56; shift >= 0; shift -= 8) {
    *frame++ = static_cast<uint8_t>(body >> shift);
  }
}

// The size of a frame that is there as a whole, and valid.
inline size_t WholeFrameSize(size_t head, const uint8_t* frame) {
  uint64_t body = 0;
  (void)ReadFrameHead(head, frame, head, &body);
  return head + static_cast<size_t>(body);
}

}  // namespace nng_pair

#endif  // NNG_PAIR_CORE_SP_FRAME_H
