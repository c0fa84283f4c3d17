#include "store/blobs.h"

#include <algorithm>

#include <fmt/format.h>

#include "store/digest.h"

namespace penstock::store {
namespace {

bool is_digest(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace

BlobStore::BlobStore(FileSystem& files, std::string folder, uint64_t size_max)
    : files_(files), folder_(std::move(folder)), size_max_(size_max) {}

// Two digits of folder keep folders short: 256 of them, each with 1/256 of the files.
Result<std::string> BlobStore::path_of(std::string_view digest) const {
  if (!is_digest(digest))
    return fail(ErrorCode::kInvalidArgument, "A blob is named by 64 hexadecimal digits",
                std::string(digest.substr(0, 80)));
  return fmt::format("{}/{}/{}", folder_, digest.substr(0, 2), digest.substr(2));
}

Result<std::string> BlobStore::put(std::string_view content) {
  if (content.size() > size_max_)
    return fail(ErrorCode::kResourceExhausted,
                fmt::format("A blob of {} bytes is larger than the limit of {}", content.size(),
                            size_max_));
  std::string digest = sha256_hex(content);
  TRY_ASSIGN(const std::string path, path_of(digest));
  const std::lock_guard lock(writing_);
  if (get(digest)) return digest;  // a damaged copy is written anew
  const std::string parent = folder_ + "/" + digest.substr(0, 2);
  TRY(files_.create_directories(parent));
  TRY(files_.sync_directory(folder_));
  TRY(write_file_atomically(files_, path, content));
  return digest;
}

Result<std::string> BlobStore::get(std::string_view digest) const {
  TRY_ASSIGN(const std::string path, path_of(digest));
  if (!files_.exists(path))
    return fail(ErrorCode::kNotFound, "No blob of that name is stored", std::string(digest));
  TRY_ASSIGN(std::string content, read_file(files_, path, size_max_));
  if (sha256_hex(content) != digest)
    return fail(ErrorCode::kCorrupt,
                "The stored blob no longer matches its name: restore it from a backup", path);
  return content;
}

bool BlobStore::contains(std::string_view digest) const {
  const auto path = path_of(digest);
  return path && files_.exists(*path);
}

Status BlobStore::remove(std::string_view digest) {
  TRY_ASSIGN(const std::string path, path_of(digest));
  if (!files_.exists(path)) return {};
  return files_.remove(path);
}

Result<std::vector<std::string>> BlobStore::list() const {
  std::vector<std::string> digests;
  if (!files_.exists(folder_)) return digests;
  TRY_ASSIGN(const auto folders, files_.list(folder_));
  for (const std::string& folder : folders) {
    if (folder.size() != 2) continue;
    TRY_ASSIGN(const auto names, files_.list(folder_ + "/" + folder));
    for (const std::string& rest : names)
      if (is_digest(folder + rest)) digests.push_back(folder + rest);
  }
  return digests;
}

}  // namespace penstock::store
