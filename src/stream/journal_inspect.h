#pragma once
// What a journal folder holds, and whether it is whole. Reads only; a server may be running.

#include <array>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "stream/journal_segment.h"

namespace penstock::stream {

struct SegmentReport {
  std::string path;
  SegmentScan scan;
  uint64_t samples = 0;
  uint64_t undecodable = 0;  ///< records whose checksum fits and whose content does not
  std::map<std::string, uint64_t> records;  ///< by type
  Timestamp first_received, last_received;  ///< of samples; 0: none
};

struct JournalReport {
  std::vector<SegmentReport> segments;  ///< oldest first
  std::vector<Error> damage;            ///< what is broken, missing or unreadable; empty: whole
  uint64_t torn_bytes = 0;              ///< at the end: the next start cuts them, nothing is lost

  [[nodiscard]] bool whole() const { return damage.empty(); }
  [[nodiscard]] Json to_json() const;
  [[nodiscard]] std::string table() const;  ///< for people
};

/// Walks every frame of every segment below `directory`. kNotFound: there is no journal. While a
/// server writes, the newest write may show as a torn tail. `progress(done, total)` in bytes.
Result<JournalReport> inspect_journal(
    FileSystem& files, const std::string& directory,
    const std::function<void(uint64_t done, uint64_t total)>& progress = {});

}  // namespace penstock::stream
