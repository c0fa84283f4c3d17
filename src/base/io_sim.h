#pragma once
// The simulated world for tests: files in memory with the faults of real disks, a clock that moves
// when told, random numbers from a seed. The code under test is the one that runs for real.

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/io.h"

namespace penstock {

/// Seeded (splitmix64): equal seeds give equal bytes. One thread.
class SimRandom final : public Random {
 public:
  explicit SimRandom(uint64_t seed) : state_(seed) {}
  void fill(std::span<std::byte> out) override;
  uint64_t next();
  /// 0 <= result < bound; bound > 0.
  uint64_t below(uint64_t bound) { return next() % bound; }
  bool chance(double probability) {
    return static_cast<double>(next() >> 11) < probability * static_cast<double>(1ULL << 53);
  }

 private:
  uint64_t state_;
};

/// Moves only by advance() and jump(). Any thread.
class SimClock final : public Clock {
 public:
  explicit SimClock(Timestamp start = Timestamp::from_seconds(1'700'000'000)) : now_us_(start.us) {}
  [[nodiscard]] Timestamp now() const override { return {now_us_.load()}; }
  [[nodiscard]] int64_t monotonic_us() const override { return monotonic_us_.load(); }
  void advance(Duration by) {
    now_us_ += by.us;
    monotonic_us_ += by.us;
  }
  /// The wall clock alone is set, forward or back.
  void jump(Duration by) { now_us_ += by.us; }

 private:
  std::atomic<int64_t> now_us_;
  std::atomic<int64_t> monotonic_us_{0};
};

/// Files in memory. What was not synced may be lost at crash(), by sectors of 512 bytes and in any
/// order; so may creates, renames and removals whose folder was not synced. Any thread.
class SimFileSystem final : public FileSystem {
 public:
  explicit SimFileSystem(uint64_t seed) : random_(seed) {}

  /// The machine loses power: each unsynced sector and folder entry survives or not by chance.
  /// Open files give errors from now on, locks are free.
  void crash();
  /// Only the process dies (kill -9): the page cache stays, locks are free.
  void kill();
  /// The next `count` syncs fail as a real kernel's do: some sectors arrive, the others are marked
  /// clean and are lost without another word at the next crash or drop_cache.
  void fail_syncs(int count) {
    const std::lock_guard lock(mutex_);
    syncs_to_fail_ = count;
  }
  /// Each write fails by this chance (EIO), after a part of it was written.
  void fail_writes(double probability) {
    const std::lock_guard lock(mutex_);
    write_failure_ = probability;
  }
  /// All files together; ENOSPC beyond it, after the part that fits.
  void set_capacity(uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    capacity_ = bytes;
  }
  [[nodiscard]] uint64_t syncs() const {
    const std::lock_guard lock(mutex_);
    return syncs_;
  }

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override;
  Status create_directories(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& path) override;
  Status remove(const std::string& path) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status sync_directory(const std::string& path) override;
  bool exists(const std::string& path) override;
  Result<uint64_t> free_bytes(const std::string& path) override;

 private:
  friend class SimFile;
  friend class SimFileLock;
  struct Inode {
    std::vector<std::byte> seen;     // what reads give: the page cache
    std::vector<std::byte> durable;  // what the device holds
    std::set<uint64_t> dirty;        // sectors to be written at the next sync
    bool size_dirty = false;
  };
  // Shared: names (seen and durable) and open files refer to one file, as on a real disk.
  using InodePtr = std::shared_ptr<Inode>;
  struct Rename {  // of an entry; `from` empty: create; `to` empty: remove
    std::string from, to;
    InodePtr inode;
  };

  void persist_sector(Inode& inode, uint64_t sector);
  void forget_handles();
  [[nodiscard]] uint64_t used() const;
  static void apply(std::map<std::string, InodePtr>& names, const Rename& change);

  mutable std::mutex mutex_;
  SimRandom random_;
  std::map<std::string, InodePtr> names_;
  std::map<std::string, InodePtr> durable_names_;
  std::vector<Rename> pending_;
  std::set<std::string> locks_;
  uint64_t generation_ = 0;  // grows when all handles become stale
  uint64_t capacity_ = UINT64_MAX;
  uint64_t syncs_ = 0;
  int syncs_to_fail_ = 0;
  double write_failure_ = 0;
};

}  // namespace penstock
