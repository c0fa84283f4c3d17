#pragma once
// A checkpoint: named pieces of in-memory state and the journal offset from which replay goes on.

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/io.h"
#include "base/result.h"
#include "stream/journal.h"

namespace penstock::stream {

struct CheckpointSection {
  std::string name;
  uint32_t shard = 0;
  Bytes bytes;
};

struct Checkpoint {
  JournalOffset offset = 0;
  std::vector<CheckpointSection> sections;
};

/// Gathers sections, then writes them in one step. The last two checkpoints are kept.
class CheckpointWriter {
 public:
  explicit CheckpointWriter(JournalOffset offset) : checkpoint_{offset, {}} {}
  void add(std::string name, uint32_t shard, Bytes bytes) {
    checkpoint_.sections.push_back({std::move(name), shard, std::move(bytes)});
  }
  [[nodiscard]] Status write(FileSystem& files, const std::string& directory) const;

 private:
  Checkpoint checkpoint_;
};

/// The newest one that is whole; nothing where there is none. A damaged newest is reported in the
/// log, and the one before it is used.
Result<std::optional<Checkpoint>> load_latest_checkpoint(FileSystem& files,
                                                         const std::string& directory);

}  // namespace penstock::stream
