#pragma once
// The API as a running thing: live hub, routes and HTTP server in the order they need each other.
// What app starts.

#include <memory>

#include "api/api.h"
#include "api/http/server.h"
#include "api/live_hub.h"
#include "api/protocols.h"
#include "api/services.h"
#include "stream/journal.h"

namespace penstock::api {

struct ApiServerOptions {
  HttpOptions http;
  ApiOptions api;
  Protocols protocols;
  LiveLimits live;
};

class ApiServer {
 public:
  /// Listens when it returns. REQUIRES: what `services` refers to, and `journal`, outlive it.
  static Result<std::unique_ptr<ApiServer>> start(const Services& services,
                                                  stream::Journal& journal,
                                                  ApiServerOptions options);
  ~ApiServer();
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  [[nodiscard]] uint16_t port() const { return server_->port(); }
  Status reload_tls() { return server_->reload_tls(); }
  /// The alarm desk's listener calls live().alarm_changed(…). Any thread.
  LiveHub& live() { return hub_; }

 private:
  ApiServer(const Services& services, stream::Journal& journal, const ApiServerOptions& options);
  LiveHub hub_;
  Api api_;
  std::unique_ptr<HttpServer> server_;  ///< first to go: nothing calls the others then
};

}  // namespace penstock::api
