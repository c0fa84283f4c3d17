// /devices/{id}/replace: other hardware for the same twin.

#include "api/devices.h"
#include "api/http/arguments.h"
#include "api/render.h"
#include "api/routes.h"

namespace penstock::api {
namespace {

using access::Permission;

Result<Response> replace(const Services& services, const ApiOptions& options, const Call& call) {
  TRY_ASSIGN(const auto device, find_device(services, call, Permission::kWriteDevices));
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  twin::ReplacementDraft draft;
  draft.reason = body.text("reason", 2000);
  draft.serial = body.optional_text("serial", 200);
  draft.name = body.optional_text("name", 128);
  draft.password = body.optional_text("password", 256);
  draft.who = call.principal.name;
  TRY(body.done());
  TRY_ASSIGN(const auto made,
             services.twins.replace_device(call.principal.organisation, device->name, draft));
  services.configuration.twin_changed(made.device->twin);
  return device_created_response(services, options, made);
}

Result<Response> list(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto device, find_device(services, call, Permission::kReadDevices));
  TRY_ASSIGN(const auto all,
             services.twins.replacements(call.principal.organisation, device->twin));
  Json items = Json::array();
  for (const auto& each : all)
    items.push_back({{"old_device", each.old_device},
                     {"new_device", each.new_device},
                     {"old_serial", text_or_null(each.old_serial)},
                     {"new_serial", text_or_null(each.new_serial)},
                     {"reason", each.reason},
                     {"by", each.who},
                     {"at", to_rfc3339(each.at)}});
  return list_response(std::move(items), "");
}

}  // namespace

void add_replacement_routes(Router& router, const Services& services, const ApiOptions& options) {
  // A password is hashed with Argon2id.
  add_route(router, Method::kPost, "/devices/{id}/replace", Permission::kWriteDevices,
            [services, options](const Call& call) { return replace(services, options, call); },
            {.lane = Lane::kSlow});
  add_route(router, Method::kGet, "/devices/{id}/replacements", Permission::kReadDevices,
            [services](const Call& call) { return list(services, call); });
}

}  // namespace penstock::api
