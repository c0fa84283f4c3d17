#include "stream/checkpoint.h"

#include <fmt/format.h>

#include "base/crc32c.h"
#include "base/log.h"

namespace penstock::stream {
namespace {

constexpr uint64_t kMagic = 0x3154504b43545350;  // "PSTCKPT1"
constexpr std::string_view kSuffix = ".checkpoint";
constexpr size_t kKept = 2;

std::vector<std::string> checkpoint_names(const std::vector<std::string>& names) {
  std::vector<std::string> out;
  for (const std::string& name : names)
    if (name.ends_with(kSuffix)) out.push_back(name);
  return out;  // sorted by offset, since the offset is the zero-padded name
}

Result<Checkpoint> parse(std::string_view content) {
  const auto bad = [] { return fail(ErrorCode::kCorrupt, "the checkpoint is damaged"); };
  if (content.size() < 4) return bad();
  const ByteView body = as_bytes(content.substr(0, content.size() - 4));
  if (crc32c(body) != load_le<uint32_t>(as_bytes(content).data() + body.size())) return bad();
  ByteReader in(body);
  Checkpoint out;
  if (in.le<uint64_t>() != kMagic) return bad();
  out.offset = in.le<uint64_t>();
  for (auto left = in.le<uint32_t>(); in.ok() && left > 0; --left) {
    CheckpointSection& section = out.sections.emplace_back();
    section.name = in.text();
    section.shard = in.le<uint32_t>();
    const ByteView bytes = in.bytes(in.le<uint64_t>());
    section.bytes.assign(bytes.begin(), bytes.end());
  }
  if (!in.ok() || !in.done()) return bad();
  return out;
}

}  // namespace

Status CheckpointWriter::write(FileSystem& files, const std::string& directory) const {
  Bytes out;
  append_le<uint64_t>(out, kMagic);
  append_le<uint64_t>(out, checkpoint_.offset);
  append_le<uint32_t>(out, static_cast<uint32_t>(checkpoint_.sections.size()));
  for (const CheckpointSection& section : checkpoint_.sections) {
    append_text(out, section.name);
    append_le<uint32_t>(out, section.shard);
    append_le<uint64_t>(out, section.bytes.size());
    append_bytes(out, section.bytes);
  }
  append_le<uint32_t>(out, crc32c(out));
  TRY(write_file_atomically(
      files, fmt::format("{}/{:020}{}", directory, checkpoint_.offset, kSuffix), as_text(out)));
  TRY_ASSIGN(const auto names, files.list(directory));
  const auto kept = checkpoint_names(names);
  for (size_t i = 0; i + kKept < kept.size(); ++i) TRY(files.remove(directory + "/" + kept[i]));
  return {};
}

Result<std::optional<Checkpoint>> load_latest_checkpoint(FileSystem& files,
                                                         const std::string& directory) {
  TRY_ASSIGN(const auto all, files.list(directory));
  const auto names = checkpoint_names(all);
  for (auto it = names.rbegin(); it != names.rend(); ++it) {
    const std::string path = directory + "/" + *it;
    TRY_ASSIGN(const std::string content, read_file(files, path, 4ULL << 30));
    auto checkpoint = parse(content);
    if (checkpoint) return std::move(*checkpoint);
    log_warning("stream", "{}: {}; using the one before", path, checkpoint.error().message);
  }
  return std::nullopt;
}

}  // namespace penstock::stream
