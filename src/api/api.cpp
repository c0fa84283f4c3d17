#include "api/api.h"

#include <exception>

#include "api/access/access_control.h"
#include "api/live_hub.h"
#include "api/lwm2m.h"
#include "api/routes.h"
#include "base/log.h"

namespace penstock::api {
namespace {

constexpr std::string_view kBase = "/api/v1";

bool safe(Method method) { return method == Method::kGet || method == Method::kHead; }

bool is_json(std::string_view content_type) {
  content_type = content_type.substr(0, content_type.find(';'));
  while (!content_type.empty() && content_type.back() == ' ') content_type.remove_suffix(1);
  return content_type == "application/json" || content_type.ends_with("+json");
}

/// Below /api, and the addresses that programs of other makes expect at the root.
bool for_api(const Request& request) {
  return request.path.starts_with("/api/") || request.path == "/metrics" ||
         request.path == "/write" || request.path == "/v1/metrics";
}

std::string allow_header(const std::vector<Method>& allowed) {
  std::string out = "OPTIONS";
  for (const Method method : allowed) {
    out += ", " + std::string(name(method));
    if (method == Method::kGet) out += ", HEAD";
  }
  return out;
}

/// A peer on this host, and not a proxy that forwards for others.
bool from_this_host(const Request& request) {
  return request.peer_is_loopback && request.header("x-forwarded-for").empty() &&
         request.header("forwarded").empty() && request.header("x-real-ip").empty();
}

/// A copy of a request with just what tells who sent it.
Request credentials_only(const Request& request) {
  Request kept;
  kept.peer_address = request.peer_address;
  kept.peer_is_loopback = request.peer_is_loopback;
  for (const std::string_view field :
       {"authorization", "cookie", "x-forwarded-for", "forwarded", "x-real-ip"})
    if (const auto value = request.header(field); !value.empty())
      kept.headers.emplace_back(field, value);
  return kept;
}

/// Adds an entity tag to a plain 200, and turns it into a 304 where the client has it already.
void tag(Response& response, const Request& request) {
  if (response.status != 200 || response.source || !safe(request.method)) return;
  const std::string etag = etag_of(response.body);
  response.set("etag", etag);
  if (response.header("cache-control").empty()) response.set("cache-control", "private, no-cache");
  if (!etag_matches(request.header("if-none-match"), etag)) return;
  response.status = 304;
  response.body.clear();
}

}  // namespace

access::Credentials credentials_of(const Request& request) {
  access::Credentials credentials;
  credentials.address = request.peer_address;
  credentials.loopback = from_this_host(request);
  const auto authorization = request.header("authorization");
  if (authorization.starts_with("Bearer "))
    credentials.bearer = authorization.substr(7);
  else
    credentials.session_cookie = request.cookie(kSessionCookie);
  return credentials;
}

bool same_origin(const Request& request) {
  const auto origin = request.header("origin");
  if (origin.empty()) return true;
  const auto scheme = origin.find("://");
  return scheme != std::string_view::npos && origin.substr(scheme + 3) == request.header("host");
}

void add_route(Router& router, Method method, std::string_view path,
               std::optional<access::Permission> permission, Handler handler,
               RouteOptions options) {
  Route route;
  route.method = method;
  route.pattern = std::string(kBase) + std::string(path);
  route.permission = permission;
  route.handler = std::move(handler);
  route.lane = options.lane;
  route.body_bytes_max = options.body_bytes_max;
  route.any_content = options.any_content;
  router.add(std::move(route));
}

Api::Api(const Services& services, LiveHub* live, ApiOptions options, const Protocols& protocols)
    : services_(services),
      options_(std::move(options)),
      live_(live),
      files_(options_.static_directory) {
  add_system_routes(router_, services_, options_);
  add_session_routes(router_, services_);
  add_user_routes(router_, services_);
  add_site_routes(router_, services_);
  add_twin_routes(router_, services_);
  add_device_routes(router_, services_, options_);
  add_replacement_routes(router_, services_, options_);
  add_diagnosis_routes(router_, services_);
  add_label_routes(router_, services_);
  add_dead_letter_routes(router_, services_);
  add_discovery_routes(router_, services_, options_);
  add_onboarding_routes(router_, services_, options_);
  add_rebind_routes(router_, services_);
  add_binding_routes(router_, services_);
  add_message_routes(router_, services_);
  add_bridge_routes(router_, services_);
  add_binding_try_routes(router_, services_, protocols);
  add_sparkplug_routes(router_, services_, protocols);
  add_lwm2m_routes(router_, services_, protocols.lwm2m);
  add_opcua_routes(router_, services_);
  add_model_routes(router_, services_);
  add_alarm_routes(router_, services_);
  add_rule_routes(router_, services_);
  add_ingest_routes(router_, services_);
  add_history_routes(router_, services_, options_);
}

Api::~Api() = default;

Lane Api::lane(const Request& request) {
  if (!for_api(request)) return Lane::kQuick;
  const auto match = router_.find(request.method, request.raw_path);
  return match.route != nullptr ? match.route->lane : Lane::kQuick;
}

Response Api::handle(Request& request, const Cancellation& cancellation) {
  try {
    if (for_api(request)) return handle_api(request, cancellation);
    if (!safe(request.method)) {
      Response refused =
          problem(405, "method_not_allowed", "the page's files can only be read", request.id);
      refused.set("allow", "GET, HEAD");
      return refused;
    }
    return files_.serve(request);
  } catch (const std::exception& error) {
    // A library threw where it should not have; the client and the log learn of it, the server goes
    // on.
    log_error("api", "{} {}: {} ({})", name(request.method), request.path, error.what(),
              request.id);
    return problem(Error{ErrorCode::kInternal, "a defect of the server; its log says more", {}},
                   request.id);
  }
}

Response Api::handle_api(const Request& request, const Cancellation& cancellation) {
  const auto match = router_.find(request.method, request.raw_path);
  if (match.route == nullptr) {
    if (match.allowed.empty())
      return problem(Error{ErrorCode::kNotFound,
                           "there is no such address in the API; see "
                           "/api/v1/openapi.json",
                           request.path},
                     request.id);
    Response response = Response::no_content();
    if (request.method != Method::kOptions)
      response =
          problem(405, "method_not_allowed", "this address does not know that method", request.id);
    response.set("allow", allow_header(match.allowed));
    return response;
  }
  if (request.body.size() > match.route->body_bytes_max)
    return problem(
        413, "payload_too_large",
        "the body may have at most " + std::to_string(match.route->body_bytes_max) + " bytes here",
        request.id);
  if (!match.route->any_content && !request.body.empty() &&
      !is_json(request.header("content-type")))
    return problem(415, "invalid_argument", "send the body as application/json", request.id);
  auto outcome = run(match, request, cancellation);
  if (!outcome) {
    if (outcome.error().code == ErrorCode::kConflict && outcome.error().about == "If-Match")
      return problem(412, "precondition_failed", outcome.error().message, request.id);
    if (http_status(outcome.error().code) >= 500)
      log_warning("api", "{} {}: {} ({})", name(request.method), request.path,
                  outcome.error().text(), request.id);
    return problem(outcome.error(), request.id);
  }
  tag(*outcome, request);
  return std::move(*outcome);
}

Result<Response> Api::run(const Router::Match& match, const Request& request,
                          const Cancellation& cancellation) {
  TRY_ASSIGN(const access::Principal principal, admit(*match.route, request));
  if (!safe(request.method)) TRY(check_if_match(match, request, principal, cancellation));
  auto outcome = match.route->handler(Call{request, principal, cancellation, match.path});
  if (!outcome && cancellation.cancelled() && outcome.error().code == ErrorCode::kCancelled)
    return fail(ErrorCode::kTimeout,
                "that took longer than the server allows; ask for less at once");
  return outcome;
}

Result<access::Principal> Api::admit(const Route& route, const Request& request) {
  if (!route.permission) return access::Principal{};
  if (*route.permission == access::Permission::kReadMetrics && route.pattern == "/metrics" &&
      (options_.open_metrics || from_this_host(request)))
    return access::Principal{};
  const auto credentials = credentials_of(request);
  TRY_ASSIGN(access::Principal principal, services_.access.authenticate(credentials));
  // A cookie comes along by itself, whoever made the browser send the request; the token does not.
  if (principal.kind == access::Principal::Kind::kSession && !safe(request.method) &&
      (!same_origin(request) ||
       !access::equal_secrets(request.header("x-csrf-token"), principal.csrf)))
    return fail(ErrorCode::kPermissionDenied,
                "the X-CSRF-Token header is missing or wrong; GET /session tells it",
                "X-CSRF-Token");
  TRY(access::authorize(principal, *route.permission));
  return principal;
}

Status Api::check_if_match(const Router::Match& match, const Request& request,
                           const access::Principal& principal, const Cancellation& cancellation) {
  const auto expected = request.header("if-match");
  if (expected.empty()) return {};
  const auto reading = router_.find(Method::kGet, request.raw_path);
  if (reading.route == nullptr || reading.route->pattern != match.route->pattern) return {};
  TRY_ASSIGN(const Response now,
             reading.route->handler(Call{request, principal, cancellation, reading.path}));
  if (etag_matches(expected, etag_of(now.body))) return {};
  return fail(ErrorCode::kConflict, "somebody changed it meanwhile; read it again, then decide",
              "If-Match");
}

tl::expected<std::shared_ptr<WebSocketSession>, Response> Api::upgrade(Request& request) {
  const auto refuse = [&](const Error& error) {
    return tl::unexpected(problem(error, request.id));
  };
  if (request.path != "/api/v1/live" || live_ == nullptr)
    return refuse(Error{ErrorCode::kNotFound, "there is no WebSocket here", request.path});
  // Browsers let any page open a socket to anywhere, cookies included: only our own page may.
  if (!same_origin(request))
    return refuse(
        Error{ErrorCode::kPermissionDenied, "this socket is for pages of this server", {}});
  const auto authenticate = [this](const Request& original) -> Result<access::Principal> {
    TRY_ASSIGN(access::Principal principal,
               services_.access.authenticate(credentials_of(original)));
    TRY(access::authorize(principal, access::Permission::kReadTwins));
    return principal;
  };
  auto principal = authenticate(request);
  if (!principal) return refuse(principal.error());
  const bool was_session = principal->kind == access::Principal::Kind::kSession;
  if (was_session && request.header("origin").empty())
    return refuse(Error{ErrorCode::kPermissionDenied, "the Origin header is missing", {}});
  // The credentials are shown again now and then: whoever signs out or is disabled stops seeing.
  return live_->open_session(*principal, [authenticate, kept = credentials_only(request)] {
    const auto now = authenticate(kept);
    return now.has_value() || now.error().code == ErrorCode::kResourceExhausted;
  });
}

}  // namespace penstock::api
