#pragma once
// The seam to the world: clock, files, randomness. Everything above takes these by reference, so
// that the same code runs on the real machine and on a simulated one with seeded faults (io_sim.h).
// The network's seam is stream/net.h, beside the reactor that uses it.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace penstock {

/// Wall-clock and monotonic time. Any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  /// UTC now. May jump: never use it to measure how long something took.
  [[nodiscard]] virtual Timestamp now() const = 0;
  /// µs since an arbitrary start; never goes back.
  [[nodiscard]] virtual int64_t monotonic_us() const = 0;
};

/// Random bytes. The real one is the kernel's cryptographic source; the simulated one is seeded.
class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<std::byte> out) = 0;
  uint64_t next_u64();
  /// `bytes` random bytes as lower-case hexadecimal, for tokens and ids.
  std::string hex(size_t bytes);
};

/// An open file. One thread at a time.
class File {
 public:
  virtual ~File() = default;
  /// Appends all of `data` at the end. On an error, how much arrived is unknown: read size() again.
  [[nodiscard]] virtual Status append(std::span<const std::byte> data) = 0;
  /// Writes all `parts`, one after the other, from byte `offset` on. REQUIRES: not opened with
  /// kAppend. On an error, how much arrived is unknown.
  [[nodiscard]] virtual Status write_at(uint64_t offset,
                                        std::span<const std::span<const std::byte>> parts) = 0;
  /// Reads up to out.size() bytes at `offset`; fewer only at the end of the file. Returns how many.
  [[nodiscard]] virtual Result<size_t> read_at(uint64_t offset, std::span<std::byte> out) const = 0;
  /// fdatasync: returns once all that was appended is on stable storage.
  /// After an error nothing may be assumed about earlier appends (fsyncgate): give the file up.
  [[nodiscard]] virtual Status sync() = 0;
  [[nodiscard]] virtual Status truncate(uint64_t size) = 0;
  [[nodiscard]] virtual Result<uint64_t> size() const = 0;
  /// Reserves space ahead, so that fdatasync need not write metadata; a hint, may do nothing.
  virtual void preallocate(uint64_t bytes) { (void)bytes; }
  /// Forgets cached pages, so that the next read comes from the device; a hint. After a failed sync
  /// the cache holds what the device may not.
  virtual void drop_cache() {}
};

/// Held as long as it lives; the system frees it when the process dies, however it dies.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

enum class OpenMode : uint8_t {
  kRead,       ///< must exist
  kAppend,     ///< created where missing
  kCreateNew,  ///< must not exist
  kWrite,      ///< must exist; for write_at
  kWriteNew,   ///< must not exist; for write_at
};

/// A file system. Paths are ordinary strings with '/'. Any thread.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  [[nodiscard]] virtual Result<std::unique_ptr<File>> open(const std::string& path,
                                                           OpenMode mode) = 0;
  /// Takes the file `path` (created where missing) for this owner alone. kConflict where another
  /// has it.
  [[nodiscard]] virtual Result<std::unique_ptr<FileLock>> lock(const std::string& path) = 0;
  [[nodiscard]] virtual Status create_directories(const std::string& path) = 0;
  /// Names (not paths) of the entries of a folder, sorted.
  [[nodiscard]] virtual Result<std::vector<std::string>> list(const std::string& path) = 0;
  [[nodiscard]] virtual Status remove(const std::string& path) = 0;
  /// Atomic replace; durable only after sync_directory of the parent.
  [[nodiscard]] virtual Status rename(const std::string& from, const std::string& to) = 0;
  [[nodiscard]] virtual Status sync_directory(const std::string& path) = 0;
  [[nodiscard]] virtual bool exists(const std::string& path) = 0;
  /// Bytes still free for an ordinary user where `path` lies.
  [[nodiscard]] virtual Result<uint64_t> free_bytes(const std::string& path) = 0;
};

Clock& system_clock();
Random& system_random();
FileSystem& system_files();

/// The whole of a file; refuses more than `limit` bytes.
Result<std::string> read_file(FileSystem& files, const std::string& path,
                              uint64_t limit = 1ULL << 30);
/// Replaces a file in one step, durably: temporary, fsync, rename, fsync of the folder.
Status write_file_atomically(FileSystem& files, const std::string& path, std::string_view content);

}  // namespace penstock
