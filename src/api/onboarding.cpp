// /devices/import, /claim-codes, /provision.

#include "twin/onboarding.h"

#include <fmt/format.h>

#include "api/device_import.h"
#include "api/devices.h"
#include "api/http/arguments.h"
#include "api/render.h"
#include "api/routes.h"

namespace penstock::api {
namespace {

using access::Permission;

Response secret(const Json& document, int status) {
  Response response = Response::json(document, status);
  response.set("cache-control", "no-store");
  return response;
}

// -- many at once

Result<Response> import_devices(const Services& services, const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const std::string csv = body.text("csv", 4 << 20);
  const bool dry_run = body.maybe_boolean("dry_run").value_or(false);
  TRY(body.done());
  const auto organisation = call.principal.organisation;
  TRY_ASSIGN(DeviceImport read, read_device_csv(services.twins, organisation, csv));
  for (size_t i = 0; i < read.drafts.size(); ++i) {
    const auto& draft = read.drafts[i];
    const auto site =
        draft.twin.empty()
            ? services.twins.site(organisation, draft.site).map([](const auto& s) { return s->id; })
            : services.twins.twin(organisation, draft.twin).map([](const auto& t) {
                return t->site;
              });
    if (site && !call.principal.sees(*site))
      read.errors.push_back({read.lines[i], "site", "there is no such site"});
  }
  std::vector<twin::DeviceCreated> made;
  if (read.errors.empty() && !dry_run && !read.drafts.empty()) {
    auto created = services.twins.create_devices(organisation, read.drafts);
    if (created) {
      made = std::move(*created);
    } else {
      uint32_t line = 0;
      for (size_t i = 0; i < read.drafts.size(); ++i)
        if (read.drafts[i].name == created.error().about) line = read.lines[i];
      read.errors.push_back({line, "", created.error().text()});
    }
  }
  for (const auto& one : made) services.configuration.twin_changed(one.device->twin);
  Json errors = Json::array(), devices = Json::array();
  for (size_t i = 0; i < std::min<size_t>(read.errors.size(), 1000); ++i)
    errors.push_back({{"line", read.errors[i].line},
                      {"column", text_or_null(read.errors[i].column)},
                      {"message", read.errors[i].message}});
  for (const auto& draft : read.drafts)
    devices.push_back({{"id", to_valid_utf8(draft.name)},
                       {"site", text_or_null(to_valid_utf8(draft.site))},
                       {"model", text_or_null(to_valid_utf8(draft.model))}});
  return secret({{"dry_run", dry_run},
                 {"rows", read.rows},
                 {"imported", made.size()},
                 {"errors", std::move(errors)},
                 {"devices", std::move(devices)},
                 {"credentials_csv", made.empty() ? Json() : Json(credentials_csv(made))}},
                200);
}

// -- claim codes

Json claim_json(const Services& services, const twin::ClaimRecord& claim) {
  const bool expired = claim.expires_at.us != 0 && claim.expires_at <= services.clock.now();
  return {{"id", fmt::format("clm_{}", claim.id)},
          {"name", claim.name},
          {"site", claim.site},
          {"model", claim.model},
          {"binding", text_or_null(claim.binding)},
          {"protocol", claim.protocol},
          {"note", claim.note},
          {"state", claim.used_at.us != 0 ? "used"
                    : expired             ? "expired"
                                          : "open"},
          {"serial", text_or_null(claim.serial)},
          {"created_by", claim.created_by},
          {"created_at", to_rfc3339(claim.created_at)},
          {"expires_at", time_or_null(claim.expires_at)},
          {"used_at", time_or_null(claim.used_at)}};
}

bool sees(const Services& services, const Call& call, const twin::ClaimRecord& claim) {
  if (call.principal.sites.empty()) return true;
  const auto site = services.twins.site(call.principal.organisation, claim.site);
  return site && call.principal.sees((*site)->id);
}

Result<Response> list_claims(const Services& services, const Call& call) {
  TRY_ASSIGN(const Page page, Page::of(call.request));
  uint64_t after = numbered_id(page.after, "clm").value_or(0);
  Json items = Json::array();
  std::string next;
  for (bool more = true; more && items.size() < page.limit;) {
    TRY_ASSIGN(const auto claims,
               services.onboarding.claims(call.principal.organisation, after, page.limit));
    more = claims.size() == page.limit;
    for (const auto& claim : claims) {
      if (items.size() == page.limit) {
        more = true;
        break;
      }
      after = claim.id;
      if (sees(services, call, claim)) items.push_back(claim_json(services, claim));
    }
    next = more ? fmt::format("clm_{}", after) : "";
  }
  return list_response(std::move(items), next);
}

Result<Response> create_claims(const Services& services, const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  twin::ClaimDraft draft;
  draft.name = body.text("name", 128);
  draft.site = body.text("site", 80);
  draft.model = body.text("model", 2048);
  draft.binding = body.optional_text("binding", 63);
  draft.protocol = body.maybe_text("protocol", 16).value_or(draft.protocol);
  draft.note = body.optional_text("note", 500);
  draft.count = static_cast<uint32_t>(body.maybe_integer("count", 1, 10'000).value_or(1));
  draft.first = static_cast<uint32_t>(body.maybe_integer("first", 0, 1'000'000'000).value_or(1));
  const auto days = body.maybe_integer("expires_in_days", 1, 3650).value_or(90);
  TRY(body.done());
  TRY_ASSIGN(const auto site,
             find_site(services, call.principal, Permission::kWriteDevices, draft.site));
  draft.site = site->name;
  draft.expires_at = services.clock.now() + Duration::days(days);
  TRY_ASSIGN(const auto made, services.onboarding.create_claims(call.principal.organisation, draft,
                                                                call.principal.name));
  const std::string base = fmt::format("{}://{}/#/claim/", call.request.tls ? "https" : "http",
                                       to_valid_utf8(call.request.header("host")));
  Json items = Json::array();
  for (const auto& one : made) {
    Json item = claim_json(services, one.record);
    item["code"] = one.code;
    item["url"] = base + one.code;
    items.push_back(std::move(item));
  }
  return secret({{"items", std::move(items)}}, 201);
}

Result<Response> delete_claim(const Services& services, const Call& call) {
  const auto id = numbered_id(call.parameter("id"), "clm");
  const auto found = id && *id > 0
                         ? services.onboarding.claims(call.principal.organisation, *id - 1, 1)
                         : Result<std::vector<twin::ClaimRecord>>(std::vector<twin::ClaimRecord>());
  TRY(found);
  if (found->empty() || found->front().id != *id || !sees(services, call, found->front()))
    return fail(ErrorCode::kNotFound, "there is no such claim code", call.parameter("id"));
  TRY(services.onboarding.delete_claim(call.principal.organisation, *id));
  return Response::no_content();
}

Result<Response> provision(const Services& services, const ApiOptions& options, const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const std::string code = body.text("code", 64);
  const std::string serial = body.optional_text("serial", 200);
  TRY(body.done());
  const auto made = services.onboarding.claim(code, serial, call.request.peer_address);
  // 401 asks a browser for a password; this is another thing.
  if (!made && made.error().code == ErrorCode::kUnauthenticated)
    return fail(ErrorCode::kPermissionDenied, made.error().message);
  TRY(made);
  services.configuration.twin_changed(made->device->twin);
  return secret({{"username", made->device->name},
                 {"token", made->token},
                 {"topic", "devices/" + made->device->name + "/telemetry"},
                 {"protocol", made->device->protocol},
                 {"endpoints", endpoints_json(options.endpoints)}},
                201);
}

}  // namespace

void add_onboarding_routes(Router& router, const Services& services, const ApiOptions& options) {
  const auto bind = [&](Result<Response> (*handler)(const Services&, const Call&)) -> Handler {
    return [services, handler](const Call& call) { return handler(services, call); };
  };
  const RouteOptions slow{.lane = Lane::kSlow};
  const RouteOptions large{.lane = Lane::kSlow, .body_bytes_max = 5 << 20};
  add_route(router, Method::kPost, "/devices/import", Permission::kWriteDevices,
            bind(import_devices), large);
  add_route(router, Method::kGet, "/claim-codes", Permission::kWriteDevices, bind(list_claims));
  add_route(router, Method::kPost, "/claim-codes", Permission::kWriteDevices, bind(create_claims),
            slow);
  add_route(router, Method::kDelete, "/claim-codes/{id}", Permission::kWriteDevices,
            bind(delete_claim));
  add_route(
      router, Method::kPost, "/provision", std::nullopt,
      [services, options](const Call& call) { return provision(services, options, call); }, slow);
}

}  // namespace penstock::api
