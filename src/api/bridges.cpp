// /bridges: connections to other MQTT brokers.

#include "api/http/arguments.h"
#include "api/render.h"
#include "api/routes.h"
#include "interop/mqtt/bridge_config.h"

namespace penstock::api {
namespace {

using access::Permission;
using interop::mqtt::BridgeRecord;
using interop::mqtt::BridgeStatus;

Json status_json(const BridgeStatus& status) {
  return {
      {"state", interop::mqtt::name(status.state)},
      {"since", time_or_null(status.since)},
      {"last_error", text_or_null(to_valid_utf8(status.last_error))},
      {"last_error_at", time_or_null(status.last_error_at)},
      {"next_attempt",
       status.state == BridgeStatus::State::kWaiting ? time_or_null(status.next_attempt) : Json()},
      {"session_present", status.session_present},
      {"messages_in", status.messages_in},
      {"messages_out", status.messages_out},
      {"unacknowledged_in", status.unacknowledged_in},
      {"waiting_out", status.waiting_out},
      {"redelivered", status.redelivered},
      {"dropped_out", status.dropped_out},
      {"unmatched", status.unmatched},
      {"unmatched_topic", text_or_null(to_valid_utf8(status.unmatched_topic))},
      {"certificate_expires", time_or_null(status.certificate_expires)}};
}

Json record_json(const Services& services, const BridgeRecord& record) {
  Json out = interop::mqtt::bridge_json(record.config);
  out["has_password"] = record.has_password;
  out["has_key"] = record.has_key;
  out["version"] = record.version;
  out["changed_by"] = record.changed_by;
  out["changed_at"] = to_rfc3339(record.changed_at);
  out["status"] = status_json(services.bridges.status(record.config.name));
  return out;
}

Status sees_everything(const Call& call) {
  if (call.principal.sites.empty()) return {};
  return fail(ErrorCode::kPermissionDenied,
              "bridges carry devices of all sites; only people who see all sites see them");
}

Result<Json> body_of(const Call& call) {
  auto body = parse_json(call.request.body);
  if (!body) return fail(ErrorCode::kInvalidArgument, body.error().message);
  return body;
}

Result<Response> list_bridges(const Services& services, const Call& call) {
  TRY(sees_everything(call));
  Json items = Json::array();
  for (const auto& record : services.bridges.bridges(call.principal.organisation))
    items.push_back(record_json(services, record));
  return list_response(std::move(items), "");
}

Result<Response> create_bridge(const Services& services, const Call& call) {
  TRY(sees_everything(call));
  TRY_ASSIGN(const Json document, body_of(call));
  TRY_ASSIGN(const auto record,
             services.bridges.create(call.principal.organisation, document, call.principal.name));
  return Response::json(record_json(services, record), 201);
}

Result<Response> get_bridge(const Services& services, const Call& call) {
  TRY(sees_everything(call));
  const auto organisation = call.principal.organisation;
  TRY_ASSIGN(const auto record, services.bridges.bridge(organisation, call.parameter("name")));
  TRY_ASSIGN(const auto versions, services.bridges.versions(organisation, call.parameter("name")));
  Json out = record_json(services, record);
  Json& history = out["versions"] = Json::array();
  for (const auto& version : versions) {
    auto document = parse_json(version.document);
    history.push_back({{"version", version.version},
                       {"changed_by", version.changed_by},
                       {"changed_at", to_rfc3339(version.changed_at)},
                       {"document", document ? std::move(*document) : Json()}});
  }
  return Response::json(out);
}

Result<Response> change_bridge(const Services& services, const Call& call) {
  TRY(sees_everything(call));
  TRY_ASSIGN(const Json document, body_of(call));
  TRY_ASSIGN(const auto record,
             services.bridges.change(call.principal.organisation, call.parameter("name"), document,
                                     call.principal.name));
  return Response::json(record_json(services, record));
}

Result<Response> delete_bridge(const Services& services, const Call& call) {
  TRY(sees_everything(call));
  TRY(services.bridges.remove(call.principal.organisation, call.parameter("name"),
                              call.principal.name));
  return Response::no_content();
}

}  // namespace

void add_bridge_routes(Router& router, const Services& services) {
  const auto bind = [&](Result<Response> (*handler)(const Services&, const Call&)) -> Handler {
    return [services, handler](const Call& call) { return handler(services, call); };
  };
  const RouteOptions large{.body_bytes_max = 512U << 10};  // certificates
  add_route(router, Method::kGet, "/bridges", Permission::kReadDevices, bind(list_bridges));
  add_route(router, Method::kPost, "/bridges", Permission::kWriteDevices, bind(create_bridge),
            large);
  add_route(router, Method::kGet, "/bridges/{name}", Permission::kReadDevices, bind(get_bridge));
  add_route(router, Method::kPatch, "/bridges/{name}", Permission::kWriteDevices,
            bind(change_bridge), large);
  add_route(router, Method::kDelete, "/bridges/{name}", Permission::kWriteDevices,
            bind(delete_bridge));
}

}  // namespace penstock::api
