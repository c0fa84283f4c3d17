#pragma once
// The page's files, read into memory at start: a request is a look-up by exact name, so there is no
// path to walk out of.

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "api/http/message.h"
#include "base/result.h"

namespace penstock::api {

class StaticFiles {
 public:
  /// Reads all regular files below `directory` (no links, no dot files), and FILE.br / FILE.gz as
  /// encodings of FILE. An empty `directory` or a missing one serves a page that says how to build
  /// the page.
  explicit StaticFiles(std::string directory, size_t bytes_max = 64U << 20);
  ~StaticFiles();

  /// GET or HEAD. A path without an extension that is no file gets index.html: the page routes by
  /// itself.
  Response serve(const Request& request);

 private:
  struct File;
  struct Tree;
  /// Reads again where index.html has changed since (a rebuilt page), at most once a second.
  std::shared_ptr<const Tree> tree();
  [[nodiscard]] std::shared_ptr<const Tree> load() const;

  const std::string directory_;
  const size_t bytes_max_;
  std::mutex mutex_;
  std::shared_ptr<const Tree>
      tree_;  ///< shared: requests keep reading the old one while a new one comes
  int64_t checked_us_ = 0;
};

/// True where an If-None-Match header names `etag` (RFC 9110 section 13.1.2, weak comparison).
bool etag_matches(std::string_view if_none_match, std::string_view etag);
/// A strong entity tag of these bytes, with its quotes.
std::string etag_of(std::string_view body);

}  // namespace penstock::api
