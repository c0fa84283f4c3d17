#pragma once
// The HTTP server: sockets, TLS, limits, timeouts and WebSocket framing; what is answered comes
// from an Application. Boost.Beast with callbacks on its own small thread pool, hidden in
// server.cpp.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "api/http/message.h"
#include "api/http/websocket.h"
#include "base/metrics.h"
#include "base/result.h"
#include "base/time.h"

namespace penstock::api {

/// Where a request is answered: quick ones never wait behind slow ones (queries, exports, password
/// hashing), and what waits for the journal keeps neither from working.
enum class Lane : uint8_t { kQuick, kSlow, kIngest };

/// What the server serves. All calls may come from several threads at once; none may throw.
class Application {
 public:
  virtual ~Application() = default;
  /// Called on a network thread: must not block.
  virtual Lane lane(const Request& request) = 0;
  virtual Response handle(Request& request, const Cancellation& cancellation) = 0;
  /// A WebSocket upgrade: a session, or the response that refuses it.
  virtual tl::expected<std::shared_ptr<WebSocketSession>, Response> upgrade(Request& request) = 0;
};

struct TlsOptions {
  std::string certificate_file;  ///< PEM chain
  std::string private_key_file;  ///< PEM
};

struct HttpLimits {
  uint32_t connections_max = 1000;
  uint32_t connections_per_client_max = 128;
  uint32_t websockets_max = 256;
  uint32_t header_bytes_max = 16 * 1024;
  uint64_t body_bytes_max = 16ULL << 20;
  uint32_t message_bytes_max = 64 * 1024;            ///< of a WebSocket client's message
  Duration header_timeout = Duration::seconds(10);   ///< for the whole of a request's headers
  Duration body_timeout = Duration::seconds(60);     ///< for the whole of its body
  Duration idle_timeout = Duration::seconds(60);     ///< between requests of one connection
  Duration write_timeout = Duration::seconds(60);    ///< without progress of a response
  Duration handler_timeout = Duration::seconds(60);  ///< then the handler is told to stop
  double requests_per_s_max = 200;                   ///< of one client address, in the long run
  double requests_burst_max = 600;
  double ingest_per_s_max = 5000;  ///< the same for requests that bring samples
  double ingest_burst_max = 20'000;
  uint32_t queue_max = 512;  ///< requests waiting for a worker, each lane
};

struct HttpOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 8080;  ///< 0: any free one
  std::optional<TlsOptions> tls;
  HttpLimits limits;
  unsigned network_threads = 1;
  unsigned quick_threads = 2;
  unsigned slow_threads = 2;
  unsigned ingest_threads = 16;  ///< they wait for the journal more than they work
};

class HttpServer {
 public:
  /// Listens at once. REQUIRES: `application` and `metrics` outlive the server.
  static Result<std::unique_ptr<HttpServer>> start(HttpOptions options, Application& application,
                                                   Metrics& metrics);
  /// Stops listening, cancels handlers, closes all connections, joins its threads.
  virtual ~HttpServer() = default;
  [[nodiscard]] virtual uint16_t port() const = 0;
  /// Reads certificate and key again; connections open keep theirs. kUnsupported without TLS.
  virtual Status reload_tls() = 0;
};

}  // namespace penstock::api
