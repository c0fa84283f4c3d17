// /setup, /session: the first administrator, signing in and out.

#include <fmt/format.h>

#include "api/access/access_control.h"
#include "api/api.h"
#include "api/http/arguments.h"
#include "api/render.h"
#include "api/routes.h"
#include "api/users.h"

namespace penstock::api {
namespace {

using access::Permission;
using access::Principal;

Json session_json(const Services& services, const Principal& principal) {
  Json permissions = Json::array();
  for (size_t i = 0; i < access::kPermissions; ++i)
    if (const auto permission = static_cast<Permission>(i);
        access::authorize(principal, permission))
      permissions.push_back(access::name(permission));
  Json user = {{"id", "usr_0"},
               {"name", principal.name},
               {"email", principal.email},
               {"role", access::name(principal.role)},
               {"sites", site_names(services, principal.sites)},
               {"has_password", false},
               {"locked", false},
               {"disabled", false},
               {"created_at", to_rfc3339(services.clock.now())},
               {"last_login_at", nullptr}};
  if (principal.user)
    if (const auto stored = services.access.user(principal.user))
      user = user_json(services, *stored);
  return {{"user", std::move(user)},
          {"role", access::name(principal.role)},
          {"permissions", std::move(permissions)},
          {"csrf", principal.csrf},
          {"expires_at", time_or_null(principal.expires)},
          {"password_required", principal.password_required}};
}

std::string cookie(std::string_view token, int64_t seconds, bool tls) {
  return fmt::format("{}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{}", kSessionCookie,
                     token, seconds, tls ? "; Secure" : "");
}

Response signed_in(const Services& services, const access::SignedIn& in, bool tls) {
  Response response = Response::json(session_json(services, in.principal));
  const Duration left = in.principal.expires - services.clock.now();
  response.set("set-cookie", cookie(in.session_token, left.us / 1'000'000, tls));
  response.set("cache-control", "no-store");
  return response;
}

Result<Response> claim(const Services& services, const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const std::string token = body.text("link_token", 200);
  TRY(body.done());
  TRY_ASSIGN(const auto in, services.access.claim_link(token, call.request.peer_address));
  return signed_in(services, in, call.request.tls);
}

Result<Response> set_password(const Services& services, const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const std::string name = body.text("name", 100), email = body.text("email", 254),
                    password = body.text("password", 256);
  TRY(body.done());
  TRY_ASSIGN(const Principal now,
             services.access.set_password(call.principal, name, email, password));
  return Response::json(session_json(services, now));
}

Result<Response> sign_in(const Services& services, const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const std::string email = body.text("email", 254), password = body.text("password", 256);
  TRY(body.done());
  TRY_ASSIGN(const auto in, services.access.sign_in(email, password, call.request.peer_address));
  return signed_in(services, in, call.request.tls);
}

Result<Response> sign_out(const Services& services, const Call& call) {
  TRY(services.access.sign_out(call.principal));
  Response response = Response::no_content();
  response.set("set-cookie", cookie("", 0, call.request.tls));
  return response;
}

Result<Response> change_password(const Services& services, const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const std::string current = body.text("current_password", 256),
                    fresh = body.text("new_password", 256);
  TRY(body.done());
  if (!call.principal.user)
    return fail(ErrorCode::kPermissionDenied, "this token belongs to no user");
  TRY(services.access.change_password(call.principal, current, fresh));
  return Response::no_content();
}

}  // namespace

void add_session_routes(Router& router, const Services& services) {
  const RouteOptions slow{.lane = Lane::kSlow, .body_bytes_max = 16 * 1024};  // Argon2id
  const auto bind = [&](Result<Response> (*handler)(const Services&, const Call&)) -> Handler {
    return [services, handler](const Call& call) { return handler(services, call); };
  };
  add_route(router, Method::kGet, "/setup", std::nullopt,
            [services](const Call&) -> Result<Response> {
              TRY_ASSIGN(const bool required, services.access.setup_required());
              return Response::json({{"required", required}});
            });
  add_route(router, Method::kPost, "/setup", std::nullopt, bind(claim),
            {.body_bytes_max = 16 * 1024});
  add_route(router, Method::kPost, "/setup/password", Permission::kSelf, bind(set_password), slow);
  add_route(router, Method::kPost, "/session", std::nullopt, bind(sign_in), slow);
  add_route(router, Method::kGet, "/session", Permission::kSelf,
            [services](const Call& call) -> Result<Response> {
              Response response = Response::json(session_json(services, call.principal));
              response.set("cache-control", "no-store");
              return response;
            });
  add_route(router, Method::kDelete, "/session", Permission::kSelf, bind(sign_out));
  add_route(router, Method::kPost, "/session/password", Permission::kSelf, bind(change_password),
            slow);
}

}  // namespace penstock::api
