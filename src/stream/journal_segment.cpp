#include "stream/journal_segment.h"

#include <fmt/format.h>

namespace penstock::stream {

using namespace journal_format;

namespace {

// One segment being walked.
class Walk {
 public:
  Walk(const File& file, uint64_t size, JournalOffset first)
      : file_(file), size_(size), first_(first) {}

  // The header of a frame that lies at file position `at`; nothing where there is none.
  Result<std::optional<FrameHeader>> header_at(uint64_t at) const {
    if (at + kFrameHeader > size_) return std::optional<FrameHeader>();
    FrameHeader frame;
    TRY_ASSIGN(const size_t got, file_.read_at(at, std::as_writable_bytes(std::span(&frame, 1))));
    const bool good = got == sizeof frame && frame.magic == kFrameMagic &&
                      frame.crc == header_crc(frame) && frame.body_bytes % 8 == 0 &&
                      frame.offset == first_ + (at - kSegmentHeader) &&
                      at + kFrameHeader + frame.body_bytes <= size_;
    return good ? std::optional(frame) : std::nullopt;
  }

  // Its body, where that is what was written.
  Result<std::optional<ByteView>> body_of(uint64_t at, const FrameHeader& frame) {
    body_.resize(frame.body_bytes);
    TRY_ASSIGN(const size_t got, file_.read_at(at + kFrameHeader, body_));
    if (got != body_.size() || crc32c(body_) != frame.body_crc) return std::optional<ByteView>();
    return std::optional<ByteView>(body_);
  }

  // Whether what stood at `at` had been acknowledged: a later commit group began behind it. Frames
  // of one group are written together, and a crash may keep any part of them.
  Result<bool> was_durable(uint64_t at) const {
    for (uint64_t look = at + 8; look + kFrameHeader <= size_; look += 8) {
      TRY_ASSIGN(const auto frame, header_at(look));
      if (frame && look - frame->group_back > at) return true;
    }
    return false;
  }

 private:
  const File& file_;
  uint64_t size_;
  JournalOffset first_;
  Bytes body_;
};

Result<SegmentTail> check_header(const File& file, uint64_t size, const std::string& path,
                                 JournalOffset first, bool newest) {
  SegmentHeader header;
  TRY_ASSIGN(const size_t got, file.read_at(0, std::as_writable_bytes(std::span(&header, 1))));
  const bool whole = got == sizeof header && header.magic == kSegmentMagic &&
                     header.crc == header_crc(header) && header.first_offset == first;
  if (!whole) {
    if (newest && size <= kSegmentHeader) return SegmentTail::kUnmade;
    return fail(ErrorCode::kCorrupt,
                "the journal segment has a broken header; restore it from a copy, or move the file "
                "away to lose what only it holds",
                path);
  }
  if (header.version != kVersion)
    return fail(ErrorCode::kUnsupported,
                "the journal was written by another version of Penstock; use that one", path);
  return SegmentTail::kWhole;
}

}  // namespace

std::string segment_name(JournalOffset first) { return fmt::format("{:020}.seg", first); }

std::optional<JournalOffset> parse_segment_name(const std::string& name) {
  if (name.size() != 24 || !name.ends_with(".seg")) return std::nullopt;
  JournalOffset first = 0;
  for (size_t i = 0; i < 20; ++i) {
    if (name[i] < '0' || name[i] > '9') return std::nullopt;
    first = first * 10 + static_cast<JournalOffset>(name[i] - '0');
  }
  return first;
}

Result<SegmentScan> scan_segment(FileSystem& files, const std::string& path, JournalOffset first,
                                 bool newest, const FrameVisitor& visit) {
  TRY_ASSIGN(const auto file, files.open(path, OpenMode::kRead));
  SegmentScan scan;
  scan.first = scan.end = first;
  TRY_ASSIGN(scan.file_bytes, file->size());
  TRY_ASSIGN(scan.tail, check_header(*file, scan.file_bytes, path, first, newest));
  if (scan.tail == SegmentTail::kUnmade) return scan;
  Walk walk(*file, scan.file_bytes, first);
  while (scan.valid_bytes() < scan.file_bytes) {
    const uint64_t at = scan.valid_bytes();
    TRY_ASSIGN(const auto frame, walk.header_at(at));
    std::optional<ByteView> body;
    if (frame) {
      TRY_ASSIGN(body, walk.body_of(at, *frame));
    }
    if (!body) {
      bool lost = !newest;
      if (newest) {
        TRY_ASSIGN(lost, walk.was_durable(at));
      }
      scan.tail = lost ? SegmentTail::kDamaged : SegmentTail::kTorn;
      return scan;
    }
    if (visit) visit(*frame, *body);
    scan.end += kFrameHeader + frame->body_bytes;
    ++scan.frames;
    scan.records += frame->records;
  }
  return scan;
}

Error damage_error(const SegmentScan& scan, const std::string& path) {
  return {
      ErrorCode::kCorrupt,
      fmt::format("the journal is damaged at byte {} of {} (offset {}), and what lies behind it "
                  "was acknowledged: restore the whole data folder from a backup, because history, "
                  "alarms and checkpoints point into the journal",
                  scan.valid_bytes(), scan.file_bytes, scan.end),
      path};
}

std::optional<RawRecord> take_record(ByteView& rest) {
  if (rest.size() < kRecordHeader) return std::nullopt;
  const auto length = load_le<uint32_t>(rest.data() + 4);
  const size_t whole = padded(kRecordHeader + size_t{length});
  if (whole > rest.size()) return std::nullopt;
  const RawRecord record{static_cast<RecordType>(rest[0]), rest.subspan(kRecordHeader, length),
                         whole};
  rest = rest.subspan(whole);
  return record;
}

}  // namespace penstock::stream
