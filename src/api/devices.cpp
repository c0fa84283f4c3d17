// /devices, /applications, /join-tokens.

#include "api/devices.h"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

#include "api/http/arguments.h"
#include "api/render.h"
#include "api/routes.h"

namespace penstock::api {
namespace {

using access::Permission;
using stream::TwinLive;

Json bindings_json(const std::vector<twin::BindingEntry>& bindings) {
  Json out = Json::array();
  for (const auto& binding : bindings)
    out.push_back({{"element", binding.element},
                   {"wire_key", binding.wire_key.empty() ? binding.element : binding.wire_key},
                   {"scale", binding.scale},
                   {"offset", binding.offset}});
  return out;
}

Json device_json(const Services& services, const twin::DeviceRecord& device, const TwinLive& live) {
  const auto twin = device.twin ? services.twins.twin(device.twin) : nullptr;
  return {{"id", device.name},
          {"kind", twin ? "device" : "application"},
          {"enabled", device.enabled},
          {"twin", twin ? Json(twin->name) : Json()},
          {"display_name", twin ? twin->display_name : device.name},
          {"site", twin ? Json(twin->site_name) : Json()},
          {"model", twin ? Json(twin->model->id) : Json()},
          {"online", live.online},
          {"last_seen", time_or_null(live.last_seen)},
          {"created_at", to_rfc3339(device.created_at)},
          {"has_token", device.credential == twin::CredentialKind::kToken},
          {"has_password", device.credential == twin::CredentialKind::kPassword},
          {"stale_after_s", static_cast<double>(device.stale_after_ms) / 1000},
          {"protocol", device.protocol},
          {"binding", text_or_null(device.binding)},
          {"bindings", bindings_json(device.bindings)},
          {"publish_filters", device.publish_filters},
          {"subscribe_filters", device.subscribe_filters}};
}

Json device_json(const Services& services, const twin::DeviceRecord& device) {
  const TwinId ids[] = {device.twin};
  const auto live = device.twin ? services.live.live(ids) : std::vector<TwinLive>{};
  return device_json(services, device, live.empty() ? TwinLive{} : live.front());
}

/// The site of a device's twin; applications belong to no site, so only those who see all sites see
/// them.
std::optional<SiteId> site_of(const Services& services, const twin::DeviceRecord& device) {
  const auto twin = device.twin ? services.twins.twin(device.twin) : nullptr;
  return twin ? std::optional(twin->site) : std::nullopt;
}

bool sees(const Services& services, const access::Principal& principal,
          const twin::DeviceRecord& device) {
  const auto site = site_of(services, device);
  return site ? principal.sees(*site) : principal.sites.empty();
}

Result<Response> list_devices(const Services& services, const Call& call) {
  TRY_ASSIGN(const Page page, Page::of(call.request));
  TRY_ASSIGN(const auto wants_online, query_boolean(call.request, "online"));
  const std::string text(call.request.query_value("q").value_or(""));
  const std::string site(call.request.query_value("site").value_or(""));
  if (!site.empty()) TRY(find_site(services, call.principal, Permission::kReadTwins, site));
  std::unordered_map<uint32_t, TwinLive> presence;
  for (auto& live : services.live.presence()) presence[live.twin.value] = live;
  const auto live_of = [&](const twin::DeviceRecord& device) {
    const auto found = presence.find(device.twin.value);
    return device.twin && found != presence.end() ? found->second : TwinLive{};
  };
  TRY_ASSIGN(const auto found,
             visible_page<twin::DevicePtr>(
                 {page.after, page.limit},
                 [&](const twin::PageRequest& request) {
                   return services.twins.devices(call.principal.organisation, text, site, request);
                 },
                 [&](const twin::DevicePtr& device) {
                   return sees(services, call.principal, *device) &&
                          (!wants_online || live_of(*device).online == *wants_online);
                 }));
  Json items = Json::array();
  for (const auto& device : found.items)
    items.push_back(device_json(services, *device, live_of(*device)));
  return list_response(std::move(items), found.next_cursor);
}

std::vector<twin::BindingEntry> read_bindings(BodyReader& body) {
  std::vector<twin::BindingEntry> out;
  const Json& given = body.any("bindings");
  if (given.is_null()) return out;
  if (!given.is_array() || given.size() > 10'000) {
    body.complain("bindings", "must be a list");
    return out;
  }
  for (const Json& item : given) {
    if (!item.is_object()) {
      body.complain("bindings", "must be a list of objects");
      return out;
    }
    BodyReader one(item, "bindings.");
    twin::BindingEntry entry;
    entry.element = one.text("element", 500);
    entry.wire_key = one.optional_text("wire_key", 500);
    entry.scale = one.maybe_number("scale").value_or(1);
    entry.offset = one.maybe_number("offset").value_or(0);
    if (const auto status = one.done(); !status) body.complain("bindings", status.error().text());
    out.push_back(std::move(entry));
  }
  return out;
}

/// Seconds to whole milliseconds, within a year.
std::optional<int64_t> read_stale_after(BodyReader& body) {
  const auto seconds = body.maybe_number("stale_after_s");
  if (!seconds) return std::nullopt;
  if (*seconds < 0 || *seconds > 366 * 86'400)
    body.complain("stale_after_s", "must be from 0 to a year");
  else
    return static_cast<int64_t>(*seconds * 1000);
  return std::nullopt;
}

Result<Response> create_device(const Services& services, const ApiOptions& options,
                               const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  twin::DeviceDraft draft;
  draft.name = body.text("id", 128);
  draft.display_name = body.optional_text("display_name", 200);
  draft.twin = body.optional_text("twin", 80);
  draft.site = draft.twin.empty() ? body.text("site", 80) : body.optional_text("site", 80);
  draft.model = draft.twin.empty() ? body.text("model", 2048) : body.optional_text("model", 2048);
  draft.parent = body.optional_text("parent", 80);
  draft.password = body.optional_text("password", 256);
  draft.certificate_only = body.maybe_boolean("certificate_only").value_or(false);
  draft.stale_after_ms = read_stale_after(body).value_or(0);
  draft.protocol = body.maybe_text("protocol", 16).value_or(draft.protocol);
  draft.binding = body.optional_text("binding", 63);
  draft.bindings = read_bindings(body);
  draft.labels = read_labels(body);
  TRY(body.done());
  if (draft.twin.empty())
    TRY(find_site(services, call.principal, Permission::kWriteDevices, draft.site));
  else
    TRY(find_twin(services, call.principal, Permission::kWriteDevices, draft.twin));
  TRY_ASSIGN(const auto made, services.twins.create_device(call.principal.organisation, draft));
  services.configuration.twin_changed(made.device->twin);
  return device_created_response(services, options, made);
}

Result<Response> update_device(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto before, find_device(services, call, Permission::kWriteDevices));
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  twin::DevicePatch patch;
  patch.enabled = body.maybe_boolean("enabled");
  patch.stale_after_ms = read_stale_after(body);
  patch.protocol = body.maybe_text("protocol", 16);
  patch.binding = body.maybe_text("binding", 63);
  if (body.has("bindings")) patch.bindings = read_bindings(body);
  patch.publish_filters = body.maybe_texts("publish_filters", 100);
  patch.subscribe_filters = body.maybe_texts("subscribe_filters", 100);
  TRY(body.done());
  TRY_ASSIGN(const auto device,
             services.twins.update_device(call.principal.organisation, before->name, patch));
  services.configuration.twin_changed(device->twin);
  return Response::json(device_json(services, *device));
}

Result<Response> delete_device(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto device, find_device(services, call, Permission::kWriteDevices));
  TRY_ASSIGN(const auto with_twin, query_boolean(call.request, "with_twin"));
  TRY(services.twins.delete_device(call.principal.organisation, device->name,
                                   with_twin.value_or(false)));
  services.configuration.twin_changed(device->twin);
  return Response::no_content();
}

Json credentials_json(std::string_view device, std::string_view token) {
  return {{"username", device}, {"token", token}};
}

Result<Response> rotate(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto device, find_device(services, call, Permission::kWriteDevices));
  TRY_ASSIGN(auto body, BodyReader::of(call.request, true));
  const std::string password = body.optional_text("password", 256);
  TRY(body.done());
  TRY_ASSIGN(const std::string token, services.twins.rotate_credentials(call.principal.organisation,
                                                                        device->name, password));
  services.configuration.twin_changed(device->twin);
  Response response = Response::json(credentials_json(device->name, token), 201);
  response.set("cache-control", "no-store");
  return response;
}

Result<Response> connection(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto device, find_device(services, call, Permission::kReadTwins));
  const auto state =
      services.connections.connection(device->name).value_or(stream::ConnectionState{});
  return Response::json({{"device", device->name},
                         {"online", state.online},
                         {"connected_at", time_or_null(state.connected_at)},
                         {"last_seen", time_or_null(state.last_seen)},
                         {"client_id", to_valid_utf8(state.client_id)},
                         {"address", state.address},
                         {"detail", state.detail},
                         {"messages", state.messages},
                         {"samples", state.samples},
                         {"dead_letters", state.rejected},
                         {"last_rejection", text_or_null(state.last_rejection)}});
}

Result<Response> create_application(const Services& services, const ApiOptions& options,
                                    const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const std::string name = body.text("id", 128);
  auto publish = body.maybe_texts("publish_filters", 100).value_or(std::vector<std::string>{});
  auto subscribe = body.maybe_texts("subscribe_filters", 100).value_or(std::vector<std::string>{});
  TRY(body.done());
  if (!call.principal.sites.empty())
    return fail(ErrorCode::kPermissionDenied,
                "you are confined to your sites; ask an administrator");
  TRY_ASSIGN(const auto made,
             services.twins.create_application(call.principal.organisation, name,
                                               std::move(publish), std::move(subscribe)));
  return device_created_response(services, options, made);
}

// -- join tokens

Json join_token_json(const Services& services, const twin::JoinTokenRecord& token) {
  const auto site = services.twins.site(token.site);
  return {{"id", fmt::format("join_{}", token.id)},
          {"site", site ? site->name : ""},
          {"name", token.name},
          {"created_at", to_rfc3339(token.created_at)},
          {"expires_at", time_or_null(token.expires_at)}};
}

Result<Response> list_join_tokens(const Services& services, const Call& call) {
  TRY_ASSIGN(const Page page, Page::of(call.request));
  const auto after = numbered_id(page.after, "join").value_or(0);
  std::optional<SiteId> only;
  if (const auto site = call.request.query_value("site")) {
    TRY_ASSIGN(const auto known,
               find_site(services, call.principal, Permission::kWriteDevices, *site));
    only = known->id;
  }
  auto tokens = services.twins.join_tokens(call.principal.organisation);
  std::sort(tokens.begin(), tokens.end(),
            [](const auto& a, const auto& b) { return a->id < b->id; });
  Json items = Json::array();
  std::string next;
  for (const auto& token : tokens) {
    if (token->id <= after || !call.principal.sees(token->site) || (only && token->site != *only))
      continue;
    if (items.size() == page.limit) {
      next = items.back()["id"].get<std::string>();
      break;
    }
    items.push_back(join_token_json(services, *token));
  }
  return list_response(std::move(items), next);
}

Result<Response> create_join_token(const Services& services, const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const std::string site_name = body.text("site", 80), name = body.optional_text("name", 100);
  const auto days = body.maybe_integer("expires_in_days", 1, 3650);
  TRY(body.done());
  TRY_ASSIGN(const auto site,
             find_site(services, call.principal, Permission::kWriteDevices, site_name));
  const Timestamp expires = days ? services.clock.now() + Duration::days(*days) : Timestamp();
  TRY_ASSIGN(const auto made, services.twins.create_join_token(call.principal.organisation,
                                                               site->name, name, expires));
  Json out = join_token_json(services, *made.record);
  out.erase("created_at");
  out["token"] = made.token;
  Response response = Response::json(out, 201);
  response.set("cache-control", "no-store");
  return response;
}

Result<Response> delete_join_token(const Services& services, const Call& call) {
  const auto id = numbered_id(call.parameter("id"), "join");
  for (const auto& token : services.twins.join_tokens(call.principal.organisation))
    if (id && token->id == *id && call.principal.sees(token->site)) {
      TRY(services.twins.delete_join_token(call.principal.organisation, token->id));
      return Response::no_content();
    }
  return fail(ErrorCode::kNotFound, "there is no such join token", call.parameter("id"));
}

}  // namespace

Result<twin::DevicePtr> find_device(const Services& services, const Call& call,
                                    Permission permission) {
  const std::string& name = call.parameter("id");
  TRY_ASSIGN(twin::DevicePtr device, services.twins.device(call.principal.organisation, name));
  TRY(access::authorize(call.principal, permission));
  if (!sees(services, call.principal, *device))
    return fail(ErrorCode::kNotFound, "there is no such device", name);
  return device;
}

Json device_created_json(const Services& services, const ApiOptions& options,
                         const twin::DeviceCreated& made) {
  const std::string& name = made.device->name;
  Json out = {{"device", device_json(services, *made.device)},
              {"credentials", credentials_json(name, made.token)},
              {"endpoints", endpoints_json(options.endpoints)}};
  if (made.twin) out["topic"] = "devices/" + name + "/telemetry";
  return out;
}

Response device_created_response(const Services& services, const ApiOptions& options,
                                 const twin::DeviceCreated& made) {
  Response response = Response::json(device_created_json(services, options, made), 201);
  response.set("cache-control", "no-store");
  return response;
}

void add_device_routes(Router& router, const Services& services, const ApiOptions& options) {
  const auto bind = [&](Result<Response> (*handler)(const Services&, const Call&)) -> Handler {
    return [services, handler](const Call& call) { return handler(services, call); };
  };
  const auto with =
      [&](Result<Response> (*handler)(const Services&, const ApiOptions&, const Call&)) -> Handler {
    return
        [services, options, handler](const Call& call) { return handler(services, options, call); };
  };
  const RouteOptions slow{.lane = Lane::kSlow};  // passwords are hashed with Argon2id
  add_route(router, Method::kGet, "/devices", Permission::kReadTwins, bind(list_devices));
  add_route(router, Method::kPost, "/devices", Permission::kWriteDevices, with(create_device),
            slow);
  add_route(router, Method::kGet, "/devices/{id}", Permission::kReadTwins,
            [services](const Call& call) -> Result<Response> {
              TRY_ASSIGN(const auto device, find_device(services, call, Permission::kReadTwins));
              return Response::json(device_json(services, *device));
            });
  add_route(router, Method::kPatch, "/devices/{id}", Permission::kWriteDevices,
            bind(update_device));
  add_route(router, Method::kDelete, "/devices/{id}", Permission::kWriteDevices,
            bind(delete_device));
  add_route(router, Method::kPost, "/devices/{id}/credentials", Permission::kWriteDevices,
            bind(rotate), slow);
  add_route(router, Method::kGet, "/devices/{id}/connection", Permission::kReadTwins,
            bind(connection));
  add_route(router, Method::kPost, "/applications", Permission::kWriteDevices,
            with(create_application));
  add_route(router, Method::kGet, "/join-tokens", Permission::kWriteDevices,
            bind(list_join_tokens));
  add_route(router, Method::kPost, "/join-tokens", Permission::kWriteDevices,
            bind(create_join_token));
  add_route(router, Method::kDelete, "/join-tokens/{id}", Permission::kWriteDevices,
            bind(delete_join_token));
}

}  // namespace penstock::api
