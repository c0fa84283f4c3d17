// /users and /tokens.

#include "api/users.h"

#include <fmt/format.h>

#include "api/http/arguments.h"
#include "api/render.h"
#include "api/routes.h"

namespace penstock::api {
namespace {

using access::Permission;

Result<UserId> user_id(const Call& call) {
  const auto number = numbered_id(call.parameter("id"), "usr");
  if (!number || *number > UINT32_MAX)
    return fail(ErrorCode::kNotFound, "there is no such user", call.parameter("id"));
  return UserId(static_cast<uint32_t>(*number));
}

Result<access::Role> read_role(std::string_view text) {
  const auto role = access::parse_role(text);
  if (!role)
    return fail(ErrorCode::kInvalidArgument,
                "role must be technician, operator, engineer, data_scientist, executive, partner, "
                "auditor or "
                "administrator",
                "role");
  return *role;
}

Result<std::vector<SiteId>> read_sites(const Services& services, const Call& call,
                                       const std::vector<std::string>& names) {
  std::vector<SiteId> sites;
  for (const auto& name : names) {
    TRY_ASSIGN(const auto site, services.twins.site(call.principal.organisation, name));
    sites.push_back(site->id);
  }
  return sites;
}

Response invitation_response(const Services& services, const Call& call,
                             const access::AccessControl::Invitation& invitation) {
  const std::string link = fmt::format("{}://{}/#/welcome/{}", call.request.tls ? "https" : "http",
                                       call.request.header("host"), invitation.link_token);
  Response response = Response::json({{"user", user_json(services, invitation.user)},
                                      {"link_token", invitation.link_token},
                                      {"link", link}},
                                     201);
  response.set("cache-control", "no-store");
  return response;
}

Result<Response> list_users(const Services& services, const Call& call) {
  TRY_ASSIGN(const Page page, Page::of(call.request));
  const auto after = page.after.empty() ? 0 : numbered_id(page.after, "usr").value_or(0);
  TRY_ASSIGN(const auto users,
             services.access.users(UserId(static_cast<uint32_t>(after)), page.limit));
  Json items = Json::array();
  for (const auto& user : users) items.push_back(user_json(services, user));
  return list_response(std::move(items), users.size() < page.limit
                                             ? ""
                                             : fmt::format("usr_{}", users.back().id.value));
}

Result<Response> create_user(const Services& services, const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const std::string name = body.text("name", 100), email = body.text("email", 254),
                    role_name = body.text("role", 40);
  const auto site_list = body.maybe_texts("sites").value_or(std::vector<std::string>{});
  TRY(body.done());
  TRY_ASSIGN(const access::Role role, read_role(role_name));
  TRY_ASSIGN(const auto sites, read_sites(services, call, site_list));
  TRY_ASSIGN(const auto made, services.access.create_user(name, email, role, sites));
  return invitation_response(services, call, made);
}

Result<Response> update_user(const Services& services, const Call& call) {
  TRY_ASSIGN(const UserId id, user_id(call));
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  access::AccessControl::UserChange change;
  change.name = body.maybe_text("name", 100);
  const auto role_name = body.maybe_text("role", 40);
  const auto site_list = body.maybe_texts("sites");
  change.disabled = body.maybe_boolean("disabled");
  TRY(body.done());
  if (role_name) {
    TRY_ASSIGN(change.role, read_role(*role_name));
  }
  if (site_list) {
    TRY_ASSIGN(change.sites, read_sites(services, call, *site_list));
  }
  TRY_ASSIGN(const auto user, services.access.update_user(id, change));
  return Response::json(user_json(services, user));
}

Json token_json(const access::ApiToken& token) {
  return {{"id", fmt::format("tok_{}", token.id)},
          {"name", token.name},
          {"role", access::name(token.role)},
          {"user", token.user_name},
          {"created_at", to_rfc3339(token.created)},
          {"expires_at", time_or_null(token.expires)},
          {"last_used_at", time_or_null(token.last_used)}};
}

/// Nothing: all users' tokens, for administrators.
std::optional<UserId> whose_tokens(const Call& call) {
  if (access::authorize(call.principal, Permission::kWriteUsers)) return std::nullopt;
  return call.principal.user;
}

Result<Response> list_tokens(const Services& services, const Call& call) {
  TRY_ASSIGN(const Page page, Page::of(call.request));
  const auto after = numbered_id(page.after, "tok").value_or(0);
  TRY_ASSIGN(const auto tokens, services.access.tokens(whose_tokens(call), after, page.limit));
  Json items = Json::array();
  for (const auto& token : tokens) items.push_back(token_json(token));
  return list_response(std::move(items),
                       tokens.size() < page.limit ? "" : fmt::format("tok_{}", tokens.back().id));
}

Result<Response> create_token(const Services& services, const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const std::string name = body.text("name", 100);
  const auto role_name = body.maybe_text("role", 40);
  const auto days = body.maybe_integer("expires_in_days", 1, 3650);
  TRY(body.done());
  access::Role role = call.principal.role;
  if (role_name) {
    TRY_ASSIGN(role, read_role(*role_name));
  }
  const Timestamp expires = days ? services.clock.now() + Duration::days(*days) : Timestamp();
  TRY_ASSIGN(const auto made, services.access.create_token(call.principal, name, role, expires));
  Response response = Response::json({{"id", fmt::format("tok_{}", made.token.id)},
                                      {"name", name},
                                      {"role", access::name(role)},
                                      {"expires_at", time_or_null(expires)},
                                      {"token", made.secret}},
                                     201);
  response.set("cache-control", "no-store");
  return response;
}

Result<Response> delete_token(const Services& services, const Call& call) {
  const auto id = numbered_id(call.parameter("id"), "tok");
  if (!id) return fail(ErrorCode::kNotFound, "there is no such token", call.parameter("id"));
  TRY(services.access.delete_token(*id, whose_tokens(call)));
  return Response::no_content();
}

}  // namespace

Json user_json(const Services& services, const access::User& user) {
  return {{"id", fmt::format("usr_{}", user.id.value)},
          {"name", user.name},
          {"email", user.email},
          {"role", access::name(user.role)},
          {"sites", site_names(services, user.sites)},
          {"has_password", user.has_password},
          {"locked", user.locked_until > services.clock.now()},
          {"disabled", user.disabled},
          {"created_at", to_rfc3339(user.created)},
          {"last_login_at", time_or_null(user.last_login)}};
}

void add_user_routes(Router& router, const Services& services) {
  const auto bind = [&](Result<Response> (*handler)(const Services&, const Call&)) -> Handler {
    return [services, handler](const Call& call) { return handler(services, call); };
  };
  add_route(router, Method::kGet, "/users", Permission::kReadUsers, bind(list_users));
  add_route(router, Method::kPost, "/users", Permission::kWriteUsers, bind(create_user));
  add_route(router, Method::kGet, "/users/{id}", Permission::kReadUsers,
            [services](const Call& call) -> Result<Response> {
              TRY_ASSIGN(const UserId id, user_id(call));
              TRY_ASSIGN(const auto user, services.access.user(id));
              return Response::json(user_json(services, user));
            });
  add_route(router, Method::kPatch, "/users/{id}", Permission::kWriteUsers, bind(update_user));
  add_route(router, Method::kDelete, "/users/{id}", Permission::kWriteUsers,
            [services](const Call& call) -> Result<Response> {
              TRY_ASSIGN(const UserId id, user_id(call));
              TRY(services.access.delete_user(id));
              return Response::no_content();
            });
  add_route(router, Method::kPost, "/users/{id}/link", Permission::kWriteUsers,
            [services](const Call& call) -> Result<Response> {
              TRY_ASSIGN(const UserId id, user_id(call));
              TRY_ASSIGN(const auto made, services.access.make_user_link(id));
              return invitation_response(services, call, made);
            });
  add_route(router, Method::kGet, "/tokens", Permission::kOwnTokens, bind(list_tokens));
  add_route(router, Method::kPost, "/tokens", Permission::kOwnTokens, bind(create_token));
  add_route(router, Method::kDelete, "/tokens/{id}", Permission::kOwnTokens, bind(delete_token));
}

}  // namespace penstock::api
