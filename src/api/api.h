#pragma once
// The API: what happens to a request before and after its handler. Who is it, may they, is it well
// formed; and afterwards entity tags and errors. The only place that does these.

#include <memory>
#include <string>

#include "api/access/access_control.h"
#include "api/http/router.h"
#include "api/http/server.h"
#include "api/http/static_files.h"
#include "api/protocols.h"
#include "api/services.h"

namespace penstock::api {

class Api final : public Application {
 public:
  /// REQUIRES: what `services` and `protocols` refer to outlives it.
  /// `live` may be null: then there is no WebSocket.
  Api(const Services& services, LiveHub* live, ApiOptions options, const Protocols& protocols = {});
  ~Api() override;

  Lane lane(const Request& request) override;
  Response handle(Request& request, const Cancellation& cancellation) override;
  tl::expected<std::shared_ptr<WebSocketSession>, Response> upgrade(Request& request) override;

  [[nodiscard]] const Router& router() const { return router_; }

 private:
  Response handle_api(const Request& request, const Cancellation& cancellation);
  Result<Response> run(const Router::Match& match, const Request& request,
                       const Cancellation& cancellation);
  /// The principal for a route: nobody for open ones, otherwise authenticated and authorized.
  Result<access::Principal> admit(const Route& route, const Request& request);
  Status check_if_match(const Router::Match& match, const Request& request,
                        const access::Principal& principal, const Cancellation& cancellation);

  Services services_;
  ApiOptions options_;
  LiveHub* live_;
  Router router_;
  StaticFiles files_;
};

/// The credentials that a request shows: its session cookie or bearer token.
access::Credentials credentials_of(const Request& request);
/// Origin names the same host that the request was sent to; a request without Origin comes from no
/// browser page.
bool same_origin(const Request& request);

inline constexpr std::string_view kSessionCookie = "penstock_session";

}  // namespace penstock::api
