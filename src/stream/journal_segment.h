#pragma once
// Reading segment files: shared by recovery, inspection and the fuzzer. Takes any bytes.

#include <functional>
#include <optional>
#include <string>

#include "base/io.h"
#include "base/result.h"
#include "stream/journal.h"
#include "stream/journal_format.h"

namespace penstock::stream {

/// "00000000000000001234.seg": the offset of its first frame.
std::string segment_name(JournalOffset first);
std::optional<JournalOffset> parse_segment_name(const std::string& name);

/// How a segment ends, behind its last valid frame.
enum class SegmentTail : uint8_t {
  kWhole,    ///< at the end of the file
  kTorn,     ///< a write that was never acknowledged, cut short
  kDamaged,  ///< what is missing was durable once
  kUnmade,   ///< the program died while making the file: nothing can have been in it
};

struct SegmentScan {
  JournalOffset first = 0;
  JournalOffset end = 0;  ///< of the valid frames
  uint64_t file_bytes = 0;
  uint64_t frames = 0;
  uint64_t records = 0;
  SegmentTail tail = SegmentTail::kWhole;
  /// Where in the file the valid frames end.
  [[nodiscard]] uint64_t valid_bytes() const {
    return journal_format::kSegmentHeader + (end - first);
  }
};

/// Sees each valid frame; `body` only lives during the call.
using FrameVisitor = std::function<void(const journal_format::FrameHeader& header, ByteView body)>;

/// Walks the frames of the segment `path`, which is named for the offset `first`. `newest`: no
/// segment follows it. Damage is told in `tail`; an error is a file that cannot be read, that is no
/// segment, or of a newer version.
Result<SegmentScan> scan_segment(FileSystem& files, const std::string& path, JournalOffset first,
                                 bool newest, const FrameVisitor& visit = {});

/// The sentence for people about a segment with kDamaged.
Error damage_error(const SegmentScan& scan, const std::string& path);

/// One record of a frame's body; `rest` moves behind it. Nothing where it ends early.
struct RawRecord {
  RecordType type;
  ByteView body;
  size_t bytes;  ///< with header and padding
};
std::optional<RawRecord> take_record(ByteView& rest);

}  // namespace penstock::stream
