#pragma once
// Requests and responses as plain structures: handlers know nothing of sockets or of Beast.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/time.h"

namespace penstock::api {

enum class Method : uint8_t { kGet, kHead, kPost, kPut, kPatch, kDelete, kOptions, kOther };
std::string_view name(Method method);
Method parse_method(std::string_view text);

using Fields = std::vector<std::pair<std::string, std::string>>;

/// Told to a handler that nobody waits for its answer any more. Any thread.
class Cancellation {
 public:
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  [[nodiscard]] const std::atomic<bool>& flag() const { return cancelled_; }

 private:
  std::atomic<bool> cancelled_{false};
};

struct Request {
  Method method = Method::kGet;
  std::string path;  ///< percent-decoded, without the query, always starts with '/'
  std::string
      raw_path;    ///< as sent; the router splits this one, so that %2F stays within a segment
  Fields query;    ///< decoded, in the order sent
  Fields headers;  ///< names in lower case
  std::string body;
  std::string peer_address;  ///< without port
  bool peer_is_loopback = false;
  bool tls = false;
  std::string id;  ///< "req_…", also in the response and the log

  /// The first header of that (lower-case) name; empty when absent.
  [[nodiscard]] std::string_view header(std::string_view field) const;
  /// The first query parameter of that name.
  [[nodiscard]] std::optional<std::string_view> query_value(std::string_view field) const;
  /// The value of a cookie; empty when absent.
  [[nodiscard]] std::string_view cookie(std::string_view cookie_name) const;
};

/// A body too large to be built in memory. One thread at a time.
class BodySource {
 public:
  virtual ~BodySource() = default;
  /// Fills `out` from its start and returns how many bytes; 0 at the end.
  virtual Result<size_t> read(std::span<char> out) = 0;
  /// Where it is known ahead; otherwise the body is sent in chunks.
  [[nodiscard]] virtual std::optional<uint64_t> size() const { return std::nullopt; }
};

struct Response {
  int status = 200;
  Fields headers;
  std::string body;
  std::unique_ptr<BodySource> source;  ///< instead of `body`

  static Response json(const Json& document, int status = 200);
  static Response text(std::string body, std::string_view content_type, int status = 200);
  static Response no_content();
  /// Replaces a header or adds it.
  Response& set(std::string_view field, std::string value);
  [[nodiscard]] std::string_view header(std::string_view field) const;
};

/// The body of a file on disk. `remove_when_done`: unlinked at once, readable until closed.
Result<std::unique_ptr<BodySource>> open_file_body(const std::string& path, bool remove_when_done);

/// problem+json (RFC 9457) of an error; the status follows from its code.
Response problem(const Error& error, std::string_view request_id);
/// Where HTTP has a status that no ErrorCode stands for: 405, 412, 413, 431.
Response problem(int status, std::string_view code, std::string_view detail,
                 std::string_view request_id);
int http_status(ErrorCode code);
std::string_view reason_phrase(int status);

/// Decodes %XX (and + as a space where `plus`). Nothing for broken escapes, NUL, or invalid UTF-8.
std::optional<std::string> percent_decode(std::string_view text, bool plus);
/// Splits a request target into raw path, decoded path and query; false when it is not valid.
bool parse_target(std::string_view target, Request& request);
[[nodiscard]] bool valid_utf8(std::string_view text);
/// Every byte that is no valid UTF-8 becomes U+FFFD, so that JSON can carry it.
std::string to_valid_utf8(std::string_view text);

}  // namespace penstock::api
