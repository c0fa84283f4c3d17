#include "base/io.h"

#include <array>

namespace penstock {

uint64_t Random::next_u64() {
  uint64_t number = 0;
  fill(std::as_writable_bytes(std::span(&number, 1)));
  return number;
}

std::string Random::hex(size_t bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::vector<std::byte> raw(bytes);
  fill(raw);
  std::string text;
  text.reserve(bytes * 2);
  for (const std::byte b : raw) {
    text += kDigits[std::to_integer<size_t>(b >> 4)];
    text += kDigits[std::to_integer<size_t>(b & std::byte{15})];
  }
  return text;
}

Result<std::string> read_file(FileSystem& files, const std::string& path, uint64_t limit) {
  TRY_ASSIGN(const auto file, files.open(path, OpenMode::kRead));
  TRY_ASSIGN(const uint64_t size, file->size());
  if (size > limit)
    return fail(ErrorCode::kResourceExhausted,
                "file is larger than the limit of " + std::to_string(limit) + " bytes", path);
  std::string content(size, '\0');
  TRY_ASSIGN(const size_t got, file->read_at(0, std::as_writable_bytes(std::span(content))));
  content.resize(got);
  return content;
}

Status write_file_atomically(FileSystem& files, const std::string& path, std::string_view content) {
  const std::string temporary = path + ".tmp";
  if (files.exists(temporary)) TRY(files.remove(temporary));
  {
    TRY_ASSIGN(const auto file, files.open(temporary, OpenMode::kCreateNew));
    TRY(file->append(std::as_bytes(std::span(content))));
    TRY(file->sync());
  }
  TRY(files.rename(temporary, path));
  const size_t slash = path.rfind('/');
  return files.sync_directory(slash == std::string::npos ? "." : path.substr(0, slash + 1));
}

}  // namespace penstock
