// The messages that have arrived, as they were read: one queue for each socket,
// which outlives the connections that fill it.
//
// The bytes of a connection are read into blocks, and a large body into memory
// of its own, which becomes the message. Three places in that stream of bytes,
// in this order, say what has become of it:
//
//   taken            counted                  read
//   ─────┼──────────────┼────────────────────────┼──
//        the messages   whole messages that the
//        that are       receive buffer has no room
//        received       for, and one that is not whole
//
// Counted messages are those that the receive buffer holds; `Count` goes on as
// far as the buffer allows. Reading stops while there is a whole message that
// is not counted, so what is behind it waits in the kernel, and the peer with
// it. Take copies small messages straight from the block to where JavaScript
// shows them.
//
// Not synchronised: the engine's lock guards it. Only bytes() may be called
// without.

#ifndef NNG_PAIR_CORE_RECEIVE_QUEUE_H
#define NNG_PAIR_CORE_RECEIVE_QUEUE_H

#include <nng/nng.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bytes.h"
#include "fifo.h"

namespace nng_pair {

class ReceiveQueue {
 public:
  // Messages up to this size are small (SMALL in lib/arena.ts).
  static constexpr size_t kSmall = 4096;

  // A longer message than `max_size` is an error; 0: none is.
  explicit ReceiveQueue(size_t max_size) : max_size_(max_size) {}

  // The bytes that are read from now on are those of another connection.
  void BeginConnection(size_t head_size);
  // A message that is not whole by now never will be, and is dropped. Returns
  // how many there ever were up to here, from all connections, counted or not.
  uint64_t EndConnection();

  // Reads once from the connection. False: there is nothing now, or for good.
  // On an error of ours, also see error().
  bool ReadFrom(nng_stream* connection);
  // Why nothing more can be read, or 0: NNG_EPROTO, NNG_EMSGSIZE, NNG_ENOMEM.
  // What came before it can be taken.
  int error() const { return error_; }

  // Counts messages until there are `limit` of them. Returns whether there are
  // more, whole: then nothing is to be read now.
  bool Count(size_t limit);
  // How many are counted and not taken, and the bytes of their bodies.
  size_t size() const { return counted_; }
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  // All that were ever counted.
  uint64_t total_messages() const { return total_messages_; }
  uint64_t total_bytes() const { return total_bytes_; }

  struct Room {
    uint8_t* at;
    size_t size;
  };
  // Takes up to `max` messages, also such as are not counted yet: small ones
  // are copied to `room`, one behind the other, as long as they fit in, and
  // others go to `large`. `sizes` gets the size of each, or -1 for a large one.
  // Returns how many there are; `room` is what is left of it.
  size_t Take(Room* room, int32_t* sizes, size_t max,
              std::vector<Bytes>* large);
  // Drops every whole message.
  void Drop();
  // Nothing more is read now: gives back memory that few messages keep.
  void Trim();
  void Clear();

 private:
  // A block of frames, or the body of one large message.
  struct Segment {
    Bytes memory;
    size_t head = 0;     // the size of each frame's head; 0: a large body
    size_t taken = 0;    // in a block: where the first message begins
    size_t counted = 0;  // in a block: where the first one is not counted
    size_t read = 0;     // the bytes end here
  };

  void DropTorn();
  bool IsTooLarge(uint64_t size) const;
  bool NextIsWhole();
  void CountNext();
  void CountSmall(size_t limit);
  bool BeginLarge(size_t at, uint64_t size);
  bool MakeBlock(Segment* block);
  Segment* BlockToReadInto();
  void DropTaken();
  void PopFront();
  void SetBytes(uint64_t bytes);
  void Fail(int error);

  Fifo<Segment> segments_;
  // The segment that the first message which is not counted is in.
  size_t next_ = 0;
  size_t counted_ = 0;
  std::atomic<uint64_t> bytes_{0};
  uint64_t total_messages_ = 0;
  uint64_t total_bytes_ = 0;

  // The connection.
  const size_t max_size_;
  size_t head_ = 0;
  int error_ = 0;
  bool open_ = false;         // the last segment is this connection's
  bool large_ahead_ = false;  // after a large message: another is likely
  uint64_t next_size_ = 0;    // of the body that NextIsWhole has looked at
};

}  // namespace nng_pair

#endif  // NNG_PAIR_CORE_RECEIVE_QUEUE_H
