// /bindings: documents that map wire addresses to elements.

#include "api/http/arguments.h"
#include "api/render.h"
#include "api/routes.h"
#include "twin/binding.h"

namespace penstock::api {
namespace {

using access::Permission;

Json version_json(const twin::BindingRecord& binding, const twin::BindingVersion& version) {
  auto document = parse_json(version.document);
  return {{"version", version.version},
          {"active", version.version == binding.active_version},
          {"document", document ? std::move(*document) : Json::object()},
          {"note", version.note},
          {"saved_by", version.saved_by},
          {"saved_at", to_rfc3339(version.saved_at)},
          {"activated_by", text_or_null(version.activated_by)},
          {"activated_at", time_or_null(version.activated_at)}};
}

Json binding_json(const Services& services, const twin::BindingRecord& binding) {
  // What the newest version says, so that a draft is shown as what it is to become.
  const auto document = parse_json(binding.latest().document);
  const auto text = [&](const char* member) {
    return document ? document->value(member, std::string()) : std::string();
  };
  const std::string protocol = text("protocol");
  return {{"name", binding.name},
          {"description", text("description")},
          {"protocol", protocol.empty() ? "mqtt" : protocol},
          {"model", text("model")},
          {"topic", text_or_null(text("topic"))},
          {"active_version", binding.active_version == 0 ? Json() : Json(binding.active_version)},
          {"latest_version", binding.latest().version},
          {"devices", services.twins.devices_of_binding(binding.organisation, binding.name).size()},
          {"updated_at", to_rfc3339(binding.latest().saved_at)}};
}

Json detail_json(const Services& services, const twin::BindingRecord& binding) {
  Json out = binding_json(services, binding);
  Json& versions = out["versions"] = Json::array();
  for (auto version = binding.versions.rbegin(); version != binding.versions.rend(); ++version)
    versions.push_back(version_json(binding, *version));
  return out;
}

Result<Response> list_bindings(const Services& services, const Call& call) {
  Json items = Json::array();
  for (const auto& binding : services.twins.bindings(call.principal.organisation))
    items.push_back(binding_json(services, *binding));
  return list_response(std::move(items), "");
}

Result<Response> save_binding(const Services& services, const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const Json document = body.any("document");
  const std::string note = body.optional_text("note", 2000);
  const bool activate = body.maybe_boolean("activate").value_or(false);
  if (!document.is_object()) body.complain("document", "must be the binding's JSON object");
  TRY(body.done());
  auto& twins = services.twins;
  const auto organisation = call.principal.organisation;
  TRY_ASSIGN(auto saved,
             twins.save_binding(organisation, document.dump(), call.principal.name, note));
  if (activate) {
    TRY_ASSIGN(saved, twins.activate_binding(organisation, saved->name, saved->latest().version,
                                             call.principal.name));
  }
  return Response::json(detail_json(services, *saved), 201);
}

Result<Response> get_binding(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto binding,
             services.twins.binding(call.principal.organisation, call.parameter("name")));
  return Response::json(detail_json(services, *binding));
}

Result<Response> activate_binding(const Services& services, const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const auto version = body.maybe_integer("version", 1, 1'000'000);
  if (!version) body.complain("version", "is missing");
  TRY(body.done());
  TRY_ASSIGN(const auto binding,
             services.twins.activate_binding(call.principal.organisation, call.parameter("name"),
                                             static_cast<uint32_t>(*version), call.principal.name));
  return Response::json(detail_json(services, *binding));
}

Result<Response> delete_binding(const Services& services, const Call& call) {
  TRY(services.twins.delete_binding(call.principal.organisation, call.parameter("name")));
  return Response::no_content();
}

Result<Response> compare_versions(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto binding,
             services.twins.binding(call.principal.organisation, call.parameter("name")));
  const auto version = [&](const char* field, uint32_t otherwise) {
    const auto text = call.request.query_value(field);
    return binding->version(
        text ? static_cast<uint32_t>(std::strtoul(std::string(*text).c_str(), nullptr, 10))
             : otherwise);
  };
  const auto* from = version("from", binding->active_version);
  const auto* to = version("to", binding->latest().version);
  if (!from || !to)
    return fail(ErrorCode::kNotFound, "from and to are versions of the binding", binding->name);
  TRY_ASSIGN(const Json before, parse_json(from->document));
  TRY_ASSIGN(const Json after, parse_json(to->document));
  return Response::json(
      {{"from", from->version}, {"to", to->version}, {"changes", Json::diff(before, after)}});
}

}  // namespace

void add_binding_routes(Router& router, const Services& services) {
  const auto bind = [&](Result<Response> (*handler)(const Services&, const Call&)) -> Handler {
    return [services, handler](const Call& call) { return handler(services, call); };
  };
  const RouteOptions large{.body_bytes_max = 8U << 20};
  add_route(router, Method::kGet, "/bindings", Permission::kReadDevices, bind(list_bindings));
  add_route(router, Method::kPost, "/bindings", Permission::kWriteDevices, bind(save_binding),
            large);
  add_route(router, Method::kGet, "/bindings/{name}", Permission::kReadDevices, bind(get_binding));
  add_route(router, Method::kDelete, "/bindings/{name}", Permission::kWriteDevices,
            bind(delete_binding));
  add_route(router, Method::kPost, "/bindings/{name}/activate", Permission::kWriteDevices,
            bind(activate_binding));
  add_route(router, Method::kGet, "/bindings/{name}/changes", Permission::kReadDevices,
            bind(compare_versions));
}

}  // namespace penstock::api
