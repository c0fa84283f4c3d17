#pragma once
// The durable journal: append-only segments, one fdatasync for all who wait. docs/journal-format.md
// has the bytes.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/io.h"
#include "base/metrics.h"
#include "base/result.h"
#include "stream/records.h"

namespace penstock::stream {

/// A position in the journal: bytes since its very first record, over all segments. Grows for ever.
using JournalOffset = uint64_t;

/// The records of one shard's turn: committed, or lost, as one. Records are 8-byte aligned in it.
/// Filled by one thread, then handed to Journal::submit.
class Batch {
 public:
  /// Starts a record; its body is what is appended to body() until end().
  void begin(RecordType type);
  Bytes& body() { return bytes_; }
  void end();
  void append(RecordType type, ByteView body) {
    begin(type);
    append_bytes(bytes_, body);
    end();
  }
  [[nodiscard]] bool empty() const { return records_ == 0; }
  [[nodiscard]] size_t records() const { return records_; }
  [[nodiscard]] ByteView bytes() const { return bytes_; }
  [[nodiscard]] size_t capacity() const { return bytes_.capacity(); }
  void clear();  ///< keeps the memory

 private:
  friend class Journal;
  Bytes bytes_;
  size_t record_at_ = 0;
  size_t records_ = 0;
};

struct JournalOptions {
  std::string directory;
  uint64_t segment_bytes_max = 128ULL << 20;
  uint64_t batch_bytes_max = 16ULL << 20;
  uint64_t recent_bytes_max = 32ULL << 20;  ///< of memory: committed batches kept for readers
  uint64_t free_bytes_min =
      64ULL << 20;  ///< below this much free disk it refuses writes, before the disk does
};

/// How well it is. Anything but kWriting means that nothing is acknowledged.
enum class JournalState : uint8_t { kWriting, kDiskFull, kFailed };

/// Thread-safe. REQUIRES: one process has it open (a lock file sees to that).
class Journal {
 public:
  /// `status`: committed (durable) or why not. `first`..`end`: where it lies. Called on the
  /// journal's thread: hand it to your own thread and return. The batch comes back for reuse once
  /// no reader needs it (may be null).
  using Committed =
      std::function<void(const Status& status, JournalOffset first, JournalOffset end)>;

  /// Opens and recovers: a torn tail is cut off and reported, a corrupt middle is an error that
  /// names segment and byte.
  static Result<std::unique_ptr<Journal>> open(FileSystem& files, Clock& clock,
                                               JournalOptions options, Metrics& metrics);
  virtual ~Journal() = default;

  /// Takes the batch; `committed` is called exactly once, in the order of submission.
  virtual void submit(std::unique_ptr<Batch> batch, Committed committed) = 0;
  /// A batch to fill: recycled where possible, so that the warm path allocates nothing.
  virtual std::unique_ptr<Batch> make_batch() = 0;

  [[nodiscard]] virtual JournalState state() const = 0;
  [[nodiscard]] virtual std::string state_detail() const = 0;      ///< a sentence for people
  [[nodiscard]] virtual JournalOffset begin_offset() const = 0;    ///< the oldest kept
  [[nodiscard]] virtual JournalOffset durable_offset() const = 0;  ///< end of what is durable

  /// Deletes whole segments that lie before `keep_from`.
  virtual Status trim(JournalOffset keep_from) = 0;

  /// Reads committed records in order, from memory while recent, else from the segments. One thread
  /// each.
  class Reader {
   public:
    struct Record {
      RecordType type;
      JournalOffset next;  ///< where to go on after this record
      ByteView body;       ///< valid until the next call
    };
    virtual ~Reader() = default;
    /// The next record; nothing at the end of what is durable.
    virtual Result<std::optional<Record>> next() = 0;
    /// Waits until there is more or the time is over. True: more.
    virtual bool wait(Duration timeout) = 0;
    virtual void wake() = 0;  ///< ends a wait early; any thread
  };
  /// REQUIRES: begin_offset() <= from <= durable_offset(), and `from` is a record boundary.
  virtual Result<std::unique_ptr<Reader>> read_from(JournalOffset from) = 0;
};

}  // namespace penstock::stream
