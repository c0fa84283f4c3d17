// Any bytes as the newest or an older segment of a journal: recovery, readers and inspection must
// neither crash nor read beyond.

#include "base/io_sim.h"
#include "stream/journal_inspect.h"
#include "stream/records.h"

using namespace penstock;
using namespace penstock::stream;

namespace {

// Checksums would keep the fuzzer out: where its input asks for it, they are put right.
void mend(std::vector<std::byte>& bytes) {
  using namespace journal_format;
  if (bytes.size() < kSegmentHeader) return;
  SegmentHeader segment;
  segment.crc = header_crc(segment);
  std::memcpy(bytes.data(), &segment, sizeof segment);
  for (size_t at = kSegmentHeader; at + kFrameHeader <= bytes.size();) {
    FrameHeader frame;
    std::memcpy(&frame, bytes.data() + at, sizeof frame);
    frame.magic = kFrameMagic;
    frame.body_bytes = static_cast<uint32_t>(
        std::min<size_t>(frame.body_bytes % 4096, bytes.size() - at - kFrameHeader) & ~size_t{7});
    frame.offset = at - kSegmentHeader;
    frame.body_crc = crc32c(ByteView(bytes).subspan(at + kFrameHeader, frame.body_bytes));
    frame.crc = header_crc(frame);
    std::memcpy(bytes.data() + at, &frame, sizeof frame);
    at += kFrameHeader + frame.body_bytes;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  std::vector<std::byte> bytes(size - 1);
  std::memcpy(bytes.data(), data + 1, size - 1);
  if (data[0] & 1) mend(bytes);
  SimFileSystem files(1);
  (void)files.create_directories("j");
  const std::string path = "j/" + segment_name(0);
  auto file = files.open(path, OpenMode::kCreateNew);
  if (!file || !(*file)->append(bytes)) return 0;
  file->reset();
  if (const auto report = inspect_journal(files, "j")) (void)report->to_json().dump();
  for (const bool newest : {true, false})
    (void)scan_segment(files, path, 0, newest, [](const auto&, ByteView body) {
      while (const auto record = take_record(body)) {
        (void)decode_raw(record->body);
        (void)decode_signal(record->body);
      }
    });
  return 0;
}
