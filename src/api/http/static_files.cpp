#include "api/http/static_files.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include <sodium.h>

#include "base/io.h"
#include "base/log.h"

namespace penstock::api {
namespace fs = std::filesystem;

struct StaticFiles::File {
  std::string content, brotli, gzip;
  std::string etag;
  std::string_view type;
  bool immutable = false;
};

struct StaticFiles::Tree {
  std::map<std::string, File, std::less<>> files;  ///< by "/path"
  fs::file_time_type index_time{};
};

namespace {

std::string_view content_type(std::string_view path) {
  static constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {".html", "text/html; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".mjs", "text/javascript; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".json", "application/json"},
      {".map", "application/json"},
      {".webmanifest", "application/manifest+json"},
      {".svg", "image/svg+xml"},
      {".png", "image/png"},
      {".ico", "image/x-icon"},
      {".webp", "image/webp"},
      {".woff2", "font/woff2"},
      {".txt", "text/plain; charset=utf-8"},
      {".wasm", "application/wasm"},
  };
  for (const auto& [ending, type] : kTypes)
    if (path.ends_with(ending)) return type;
  return "application/octet-stream";
}

/// Vite puts a hash of the content into the names below assets/: such a file never changes.
bool is_hashed(std::string_view path) { return path.starts_with("/assets/"); }

bool accepts(std::string_view accept_encoding, std::string_view coding) {
  const auto at = accept_encoding.find(coding);
  if (at == std::string_view::npos) return false;
  const auto rest = accept_encoding.substr(at + coding.size());
  return !rest.starts_with(";q=0,") && rest != ";q=0" && !rest.starts_with(";q=0 ");
}

std::string read_whole(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

constexpr std::string_view kNoPage =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Penstock</title>"
    "<h1>Penstock is running</h1><p>The page is not built. Run <code>make web</code>, or use the "
    "API at "
    "<a href=\"/api/v1/health\">/api/v1</a>.</p></html>";

}  // namespace

std::string etag_of(std::string_view body) {
  unsigned char hash[16];
  crypto_generichash(hash, sizeof hash, reinterpret_cast<const unsigned char*>(body.data()),
                     body.size(), nullptr, 0);
  char hex[33];
  sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
  return "\"" + std::string(hex) + "\"";
}

bool etag_matches(std::string_view header, std::string_view etag) {
  while (!header.empty()) {
    const auto comma = header.find(',');
    auto tag = header.substr(0, comma);
    header = comma == std::string_view::npos ? std::string_view{} : header.substr(comma + 1);
    while (!tag.empty() && tag.front() == ' ') tag.remove_prefix(1);
    while (!tag.empty() && tag.back() == ' ') tag.remove_suffix(1);
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == "*" || tag == etag) return true;
  }
  return false;
}

StaticFiles::StaticFiles(std::string directory, size_t bytes_max)
    : directory_(std::move(directory)), bytes_max_(bytes_max), tree_(load()) {
  checked_us_ = system_clock().monotonic_us();
}
StaticFiles::~StaticFiles() = default;

std::shared_ptr<const StaticFiles::Tree> StaticFiles::load() const {
  auto tree = std::make_shared<Tree>();
  std::error_code error;
  if (directory_.empty() || !fs::is_directory(directory_, error)) return tree;
  tree->index_time = fs::last_write_time(fs::path(directory_) / "index.html", error);
  size_t total = 0;
  std::map<std::string, std::string> encoded;
  for (fs::recursive_directory_iterator it(directory_, error), end; !error && it != end;
       it.increment(error)) {
    const std::string path = "/" + fs::relative(it->path(), directory_, error).generic_string();
    if (it->is_symlink(error) || !it->is_regular_file(error) ||
        path.find("/.") != std::string::npos)
      continue;
    total += it->file_size(error);
    if (total > bytes_max_) {
      log_warning("http", "the page's files exceed {} bytes; the rest is not served", bytes_max_);
      break;
    }
    if (path.ends_with(".br") || path.ends_with(".gz")) {
      encoded[path] = read_whole(it->path());
      continue;
    }
    File& file = tree->files[path];
    file.content = read_whole(it->path());
    file.etag = etag_of(file.content);
    file.type = content_type(path);
    file.immutable = is_hashed(path);
  }
  for (auto& [path, content] : encoded) {
    const auto found = tree->files.find(path.substr(0, path.size() - 3));
    if (found == tree->files.end()) continue;
    (path.ends_with(".br") ? found->second.brotli : found->second.gzip) = std::move(content);
  }
  return tree;
}

std::shared_ptr<const StaticFiles::Tree> StaticFiles::tree() {
  const std::lock_guard lock(mutex_);
  const int64_t now = system_clock().monotonic_us();
  if (now - checked_us_ > 1'000'000) {
    checked_us_ = now;
    std::error_code error;
    const auto time = fs::last_write_time(fs::path(directory_) / "index.html", error);
    if (!error && time != tree_->index_time) tree_ = load();
  }
  return tree_;
}

Response StaticFiles::serve(const Request& request) {
  const auto current = tree();
  auto found = current->files.find(request.path == "/" ? std::string_view("/index.html")
                                                       : std::string_view(request.path));
  if (found == current->files.end()) {
    const auto last = std::string_view(request.path).substr(request.path.rfind('/') + 1);
    if (last.find('.') != std::string_view::npos)
      return problem(Error{ErrorCode::kNotFound, "there is no such file", request.path},
                     request.id);
    found = current->files.find("/index.html");
    if (found == current->files.end())
      return Response::text(std::string(kNoPage), "text/html; charset=utf-8");
  }
  const File& file = found->second;
  Response response;
  response.set("content-type", std::string(file.type));
  response.set("etag", file.etag);
  response.set("vary", "accept-encoding");
  response.set("cache-control",
               file.immutable ? "public, max-age=31536000, immutable" : "no-cache");
  if (etag_matches(request.header("if-none-match"), file.etag)) {
    response.status = 304;
    return response;
  }
  const auto encodings = request.header("accept-encoding");
  if (!file.brotli.empty() && accepts(encodings, "br")) {
    response.set("content-encoding", "br");
    response.body = file.brotli;
  } else if (!file.gzip.empty() && accepts(encodings, "gzip")) {
    response.set("content-encoding", "gzip");
    response.body = file.gzip;
  } else {
    response.body = file.content;
  }
  return response;
}

}  // namespace penstock::api
