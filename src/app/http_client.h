#pragma once
// A small blocking HTTP client for the command line and the benchmarks. Beast stays in the .cpp.

#include <memory>
#include <string>

#include "base/json.h"
#include "base/net.h"
#include "base/result.h"

namespace penstock::app {

struct HttpReply {
  int status = 0;
  std::string content_type;
  std::string body;
};

/// One server, one token. Not thread-safe.
class HttpClient {
 public:
  /// `base`: "http://127.0.0.1:8080". The token may be empty.
  static Result<HttpClient> create(const std::string& base, std::string token);
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;
  ~HttpClient();

  /// Any status is a reply; the error is for a server that cannot be reached or does not speak
  /// HTTP.
  Result<HttpReply> send(const std::string& method, const std::string& path,
                         const std::string& body = {},
                         const std::string& content_type = "application/json");
  /// The JSON of a 2xx reply; a problem+json reply becomes the Error it describes.
  Result<Json> get(const std::string& path) { return call("GET", path, {}); }
  Result<Json> post(const std::string& path, const Json& body) {
    return call("POST", path, body.dump());
  }
  Result<Json> put(const std::string& path, const Json& body) {
    return call("PUT", path, body.dump());
  }
  Result<Json> patch(const std::string& path, const Json& body) {
    return call("PATCH", path, body.dump());
  }
  Result<Json> remove(const std::string& path) { return call("DELETE", path, {}); }

 private:
  HttpClient();
  Result<Json> call(const std::string& method, const std::string& path, const std::string& body);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Percent-encodes one path segment or query value (RFC 3986 unreserved characters stay).
std::string url_encode(std::string_view text);

}  // namespace penstock::app
