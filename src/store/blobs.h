#pragma once
// Contents named by their SHA-256: models, firmware, data sets, packages. Written once, never
// changed, so any copy can be checked by its name.

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/io.h"
#include "base/result.h"

namespace penstock::store {

/// Any thread; one process writes.
class BlobStore {
 public:
  /// Keeps its files below `folder`, created at the first put(). `files` must outlive the store.
  BlobStore(FileSystem& files, std::string folder, uint64_t size_max = 1ULL << 30);

  /// Stores durably (fsync of file and folder); gives the name, 64 hexadecimal digits. Storing what
  /// is there already costs one look.
  Result<std::string> put(std::string_view content);
  /// The content, verified against its name. kNotFound; kCorrupt: the disk gave other bytes back.
  Result<std::string> get(std::string_view digest) const;
  [[nodiscard]] bool contains(std::string_view digest) const;
  /// Removing what is not there succeeds.
  Status remove(std::string_view digest);
  /// All names, sorted.
  Result<std::vector<std::string>> list() const;

 private:
  Result<std::string> path_of(std::string_view digest) const;

  FileSystem& files_;
  std::string folder_;
  uint64_t size_max_;
  std::mutex writing_;  ///< the temporary file's name is the content's: one writer at a time
};

}  // namespace penstock::store
