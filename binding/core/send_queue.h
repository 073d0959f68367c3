// The messages to be sent, as they go over the wire: one queue for each socket,
// which outlives the connections that empty it.
//
// Messages are accepted in order, as long as there is room; those that find
// none wait in line, each for a call that waits, and are accepted later unless
// they are cancelled. What is accepted is done in the same order: handed whole
// to the kernel, or lost, since its connection ended when the kernel had a part
// of it. Both are counted and the counters only grow, so "everything up to
// message number n is done" is one comparison.
//
// While the connection takes more, small messages are coalesced in a write
// buffer, and flushed when the turn of the engine ends, or earlier. A large one
// is written at once from where its data is, and only the rest of it is copied.
// While it takes no more, or there is none, the send buffer bounds what is
// accepted.
//
// Not synchronised: the engine's lock guards it. Only bytes() may be called
// without.

#ifndef NNG_PAIR_CORE_SEND_QUEUE_H
#define NNG_PAIR_CORE_SEND_QUEUE_H

#include <nng/nng.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "bytes.h"
#include "fifo.h"

namespace nng_pair {

// One message with room for the head of its frame.
class OutgoingMessage {
 public:
  // None if there is no memory.
  static OutgoingMessage Allocate(size_t size);
  explicit operator bool() const { return static_cast<bool>(memory_); }
  uint8_t* body() const;
  size_t size() const { return size_; }
  // Only the first `size` bytes are to be sent.
  void Shorten(size_t size) { size_ = size; }

 private:
  friend class SendQueue;
  Bytes memory_;
  size_t size_ = 0;
};

class SendQueue {
 public:
  // How many messages are accepted while they cannot leave, besides one that is
  // on its way to a peer.
  explicit SendQueue(size_t limit) : limit_(limit) {}

  // What is here goes to this connection from now on.
  void BeginConnection(nng_stream* connection);
  // A message of which the peer may have a part is lost with it.
  void EndConnection();

  enum class Result { kAccepted, kQueued, kFull, kNoMemory };
  // Accepts a message or, with `queue`, puts it in line behind others. kFull:
  // neither.
  Result Send(const uint8_t* data, size_t size, bool queue);
  Result Send(OutgoingMessage message, bool queue);

  // For how many bytes of frames, with heads of `head` bytes, there is room
  // right now, without a write; 0: a message may have to wait.
  size_t Room(size_t* head) const;
  // Accepts such frames, which were promised room, whatever has happened since.
  void SendFrames(const uint8_t* frames, size_t size, size_t count,
                  size_t head);

  // Writes what is accepted, as far as the kernel takes it.
  void Flush() { Write(); }

  // The line. Only its owner accepts messages of it, and cancels them: so what
  // is cancelled is not sent. Accepts and writes as many as can be.
  void AcceptLine();
  bool CanAcceptLine() const;

  // The message of the line with this number is not sent. They are counted from
  // 0, the first that ever waited.
  void Cancel(uint64_t number);
  // Nothing of the line is sent.
  void CancelAll();
  // How many messages ever left the line.
  uint64_t left_line() const { return left_line_; }

  uint64_t accepted() const { return accepted_; }
  uint64_t done() const { return done_; }
  uint64_t lost() const { return lost_; }
  uint64_t sent() const { return done_ - lost_; }
  uint64_t sent_bytes() const { return sent_bytes_; }
  // Of the messages that are accepted and not done, the bytes of their bodies;
  // and also of those in line.
  uint64_t accepted_bytes() const { return accepted_bytes_; }
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  bool empty() const { return chunks_.empty(); }

  void Clear();

 private:
  // Whole frames, one behind the other: of messages that are coalesced, or of a
  // single one.
  struct Chunk {
    Bytes memory;
    size_t written = 0;  // the kernel has what comes before
    size_t begin = 0;    // of the first message that it has not whole
    size_t end = 0;
    size_t count = 0;     // messages from `begin` on; none: it was cancelled
    size_t head = 0;      // the size of their heads
    size_t body = 0;      // single, lost: the bytes of the bodies
    bool single = false;  // one message, whose head can fit any connection
    bool lost = false;    // for want of memory; it keeps its place in the order
    bool started = false;  // the kernel has a part of the message at `begin`
  };

  bool Writable() const;
  bool HasRoom() const;
  bool Coalesce(const uint8_t* data, size_t size);
  // Writes a large message as far as the kernel takes it.
  bool Start(const uint8_t* data, size_t size, Result* result);
  static Chunk SingleChunk(OutgoingMessage message);
  Chunk* ChunkFor(size_t size, size_t head);
  void Accept(Chunk chunk);
  void SkipCancelled();
  void FitHeads(Chunk* chunk);
  void Lose(Chunk* chunk, size_t bytes);
  // Writes what is accepted and then `extra`; returns how much of that.
  size_t Write(const uint8_t* extra = nullptr, size_t extra_size = 0);
  size_t Advance(size_t size, bool sent);
  void FailIfInFlight();
  void Done(uint64_t messages, uint64_t bytes, bool sent);
  void UpdateBytes();

  const size_t limit_;
  nng_stream* connection_ = nullptr;
  size_t head_ = 0;     // the size of its heads
  Fifo<Chunk> chunks_;  // accepted
  Fifo<Chunk> line_;    // each a single one
  // Bytes in chunks_ that the kernel does not have; of use with a connection.
  size_t unwritten_ = 0;

  uint64_t left_line_ = 0;
  uint64_t accepted_ = 0;
  uint64_t done_ = 0;
  uint64_t lost_ = 0;
  uint64_t sent_bytes_ = 0;
  uint64_t accepted_bytes_ = 0;
  uint64_t line_bytes_ = 0;
  std::atomic<uint64_t> bytes_{0};
};

}  // namespace nng_pair

#endif  // NNG_PAIR_CORE_SEND_QUEUE_H
