// /opcua: servers, their address space, certificates, and devices made from picked nodes.

#include <algorithm>

#include "api/http/arguments.h"
#include "api/opcua_assets.h"
#include "api/render.h"
#include "api/routes.h"
#include "interop/opcua/store.h"
#include "stream/report.h"
#include "stream/views.h"
#include "twin/registry.h"

namespace penstock::api {
namespace {

using access::Permission;
using interop::opcua::Asset;
using interop::opcua::Source;
using interop::opcua::SourcePtr;

Json asset_json(const Asset& asset) {
  Json out = interop::opcua::to_json(asset);
  out["node_count"] = asset.nodes.size();
  out["commands"] = asset.commands.is_object() ? asset.commands : Json::object();
  return out;
}

Json source_json(const Services& services, const Source& source, bool whole) {
  size_t nodes = 0;
  Json assets = Json::array();
  for (const Asset& asset : source.assets) {
    nodes += asset.nodes.size();
    if (whole) assets.push_back(asset_json(asset));
  }
  Json out{{"name", source.name},
           {"document", source.document},
           {"has_secret", source.secrets.is_object() && !source.secrets.empty()},
           {"assets", source.assets.size()},
           {"nodes", nodes},
           {"status", services.opcua.status(source)},
           {"changed_by", source.changed_by},
           {"changed_at", to_rfc3339(source.changed_at)}};
  if (whole) out["devices"] = std::move(assets);
  return out;
}

Result<SourcePtr> source_of(const Services& services, const Call& call) {
  return services.opcua.source(call.principal.organisation, call.parameter("source"));
}

Result<Response> list_sources(const Services& services, const Call& call) {
  Json items = Json::array();
  for (const SourcePtr& source : services.opcua.sources(call.principal.organisation))
    items.push_back(source_json(services, *source, false));
  return list_response(std::move(items), "");
}

Result<Json> secrets_of(BodyReader& body) {
  if (!body.has("secrets") || body.is_null("secrets")) {
    body.any("secrets");
    return Json();
  }
  BodyReader secrets(body.any("secrets"), "secrets");
  Json out = Json::object();
  for (const char* member : {"password", "certificate", "key"})
    if (const auto text = secrets.maybe_text(member, 20'000)) out[member] = *text;
  TRY(secrets.done());
  return out;
}

Result<Response> save_source(const Services& services, const Call& call, const std::string& name,
                             BodyReader& body, int status) {
  const Json document = body.any("document");
  if (!document.is_object()) body.complain("document", "must be a JSON object");
  TRY_ASSIGN(const Json secrets, secrets_of(body));
  TRY(body.done());
  TRY_ASSIGN(const SourcePtr saved, services.opcua.save(call.principal.organisation, name, document,
                                                        secrets, call.principal.name));
  return Response::json(source_json(services, *saved, true), status);
}

Result<Response> create_source(const Services& services, const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const std::string name = body.text("name", 40);
  if (services.opcua.source(call.principal.organisation, name))
    return fail(ErrorCode::kAlreadyExists, "there is a source of that name", name);
  return save_source(services, call, name, body, 201);
}

Result<Response> get_source(const Services& services, const Call& call) {
  TRY_ASSIGN(const SourcePtr source, source_of(services, call));
  return Response::json(source_json(services, *source, true));
}

Result<Response> put_source(const Services& services, const Call& call) {
  TRY_ASSIGN(const SourcePtr source, source_of(services, call));
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  return save_source(services, call, source->name, body, 200);
}

Result<Response> delete_source(const Services& services, const Call& call) {
  TRY(services.opcua.remove(call.principal.organisation, call.parameter("source")));
  return Response::no_content();
}

// -- questions to the connector

Result<Response> browse(const Services& services, const Call& call) {
  TRY_ASSIGN(const SourcePtr source, source_of(services, call));
  const std::string node(call.request.query_value("node").value_or(""));
  TRY_ASSIGN(Json found, services.opcua.ask(source.get(), "browse", {{"node", node}}));
  return Response::json(found);
}

Result<Response> describe(const Services& services, const Call& call) {
  TRY_ASSIGN(const SourcePtr source, source_of(services, call));
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const auto nodes = body.maybe_texts("nodes", 1000);
  if (!nodes) body.complain("nodes", "is missing");
  TRY(body.done());
  TRY_ASSIGN(Json found, services.opcua.ask(source.get(), "describe", {{"nodes", *nodes}}));
  return Response::json({{"items", std::move(found)}});
}

Result<Response> list_types(const Services& services, const Call& call) {
  TRY_ASSIGN(const SourcePtr source, source_of(services, call));
  TRY_ASSIGN(Json found, services.opcua.ask(source.get(), "types", Json::object()));
  return Response::json({{"items", std::move(found)}});
}

Result<Response> list_instances(const Services& services, const Call& call) {
  TRY_ASSIGN(const SourcePtr source, source_of(services, call));
  const std::string type(call.request.query_value("type").value_or(""));
  TRY_ASSIGN(Json found, services.opcua.ask(source.get(), "instances", {{"type", type}}));
  return Response::json(found);
}

Result<Response> discover(const Services& services, const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const std::string url = body.text("endpoint_url", 1000);
  TRY(body.done());
  TRY_ASSIGN(Json found, services.opcua.ask(nullptr, "endpoints", {{"endpoint_url", url}}));
  return Response::json({{"items", std::move(found)}});
}

Result<Response> list_certificates(const Services& services, const Call&) {
  TRY_ASSIGN(Json found, services.opcua.ask(nullptr, "certificates", Json::object()));
  return Response::json(found);
}

Result<Response> judge_certificate(const Services& services, const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const std::string action = body.text("action", 20);
  if (action != "trust" && action != "reject" && action != "forget")
    body.complain("action", "is trust, reject or forget");
  TRY(body.done());
  TRY_ASSIGN(Json found, services.opcua.ask(nullptr, action,
                                            {{"thumbprint", call.parameter("thumbprint")},
                                             {"who", call.principal.name}}));
  return Response::json(found);
}

Result<Response> get_connector(const Services& services, const Call&) {
  return Response::json(services.opcua.connector());
}

// -- devices from picked nodes

struct AssetsRequest {
  std::string name, display_name, site, model, parent;
  std::vector<PickedElement> elements;
  std::vector<PickedCommand> commands;
  std::vector<Asset> assets;
  std::vector<twin::DeviceDraft> drafts;
};

Result<PickedElement> read_element(const Json& json) {
  BodyReader in(json, "elements");
  PickedElement out;
  out.address = in.text("address", 512);
  out.element = in.optional_text("element", 64);
  out.display_name = in.optional_text("display_name", 512);
  out.data_type = in.optional_text("data_type", 64);
  out.unit = in.optional_text("unit", 64);
  out.unit_code = in.optional_text("unit_code", 16);
  out.array = in.maybe_boolean("array").value_or(false);
  out.writable = in.maybe_boolean("writable").value_or(false);
  TRY(in.done());
  return out;
}

Status read_assets(const Json& list, const Source& source, AssetsRequest& out) {
  for (const Json& json : list) {
    BodyReader in(json, "assets");
    const std::string name = in.text("name", 100);
    const std::string display_name = in.optional_text("display_name", 512);
    const Json asset_document{{"root", in.optional_text("root", 4096)},
                              {"nodes", in.any("nodes")},
                              {"commands", in.any("commands")}};
    TRY(in.done());
    TRY_ASSIGN(Asset asset, interop::opcua::read_asset(asset_document));
    asset.device = stream::wire_name({source.name, name});
    twin::DeviceDraft draft;
    draft.name = asset.device;
    draft.display_name = display_name.empty() ? name : display_name;
    out.drafts.push_back(std::move(draft));
    out.assets.push_back(std::move(asset));
  }
  return {};
}

Result<AssetsRequest> read_request(const Call& call, const Source& source) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  AssetsRequest out;
  out.name = element_name(body.text("name", 60));
  out.display_name = body.optional_text("display_name", 512);
  out.site = body.text("site", 200);
  out.model = body.optional_text("model", 2048);
  out.parent = body.optional_text("parent", 200);
  const Json elements = body.any("elements");
  const Json commands = body.any("commands");
  const Json assets = body.any("assets");
  if (!elements.is_array() || elements.empty() || elements.size() > 2000)
    body.complain("elements", "must be a list of 1 to 2000 variables");
  if (!assets.is_array() || assets.empty() || assets.size() > 5000)
    body.complain("assets", "must be a list of 1 to 5000 assets");
  if (!commands.is_null() && !commands.is_array()) body.complain("commands", "must be a list");
  TRY(body.done());
  for (const Json& json : elements) {
    TRY_ASSIGN(auto element, read_element(json));
    out.elements.push_back(std::move(element));
  }
  name_elements(out.elements);
  if (commands.is_array())
    for (const Json& json : commands) {
      BodyReader in(json, "commands");
      out.commands.push_back({in.text("name", 64), in.optional_text("display_name", 512)});
      TRY(in.done());
    }
  TRY(read_assets(assets, source, out));
  return out;
}

// A binding of that name for that model, or the next free name.
Result<std::string> save_binding(const Services& services, const Call& call, const Source& source,
                                 const AssetsRequest& request) {
  const auto organisation = call.principal.organisation;
  std::string name = "opcua-" + source.name + "-" + request.name;
  std::ranges::replace(name, '_', '-');
  const Json document = binding_of(name, request.model, request.elements);
  TRY_ASSIGN(const auto saved,
             services.twins.save_binding(organisation, document.dump(), call.principal.name,
                                         "From nodes of the OPC UA source " + source.name));
  TRY(services.twins.activate_binding(organisation, name, saved->latest().version,
                                      call.principal.name));
  return name;
}

Result<Response> add_assets(const Services& services, const Call& call) {
  TRY_ASSIGN(const SourcePtr source, source_of(services, call));
  TRY_ASSIGN(auto request, read_request(call, *source));
  const auto organisation = call.principal.organisation;
  if (request.model.empty()) {
    const std::string path = element_name(source->name) + ":" + request.name;
    for (int version = 1;; ++version) {
      request.model = "dtmi:penstock:opcua:" + path + ";" + std::to_string(version);
      const Json document = interface_of(
          request.model, request.display_name.empty() ? request.name : request.display_name,
          request.elements, request.commands);
      const auto added = services.twins.add_models(organisation, document.dump());
      if (added) break;
      // Another text under that name: the next version.
      if (added.error().code != ErrorCode::kAlreadyExists || version >= 1000)
        return fail(added.error());
    }
  }
  TRY_ASSIGN(const std::string binding, save_binding(services, call, *source, request));
  std::vector<twin::DeviceDraft> drafts;
  for (twin::DeviceDraft& draft : request.drafts) {
    if (services.twins.device(organisation, draft.name)) {
      twin::DevicePatch patch;
      patch.protocol = "opcua";
      patch.binding = binding;
      TRY(services.twins.update_device(organisation, draft.name, patch));
      continue;
    }
    draft.site = request.site;
    draft.model = request.model;
    draft.parent = request.parent;
    draft.protocol = "opcua";
    draft.binding = binding;
    draft.certificate_only = true;  // it never connects itself
    drafts.push_back(std::move(draft));
  }
  Json devices = Json::array();
  if (!drafts.empty()) {
    TRY_ASSIGN(const auto created, services.twins.create_devices(organisation, drafts));
    for (const auto& one : created)
      if (one.twin) services.configuration.twin_changed(one.twin->id);
  }
  for (const Asset& asset : request.assets) devices.push_back(asset.device);
  TRY(services.opcua.add_assets(organisation, source->name, std::move(request.assets),
                                call.principal.name));
  return Response::json(
      {{"devices", std::move(devices)}, {"model", request.model}, {"binding", binding}}, 201);
}

Result<Response> remove_asset(const Services& services, const Call& call) {
  TRY(services.opcua.remove_asset(call.principal.organisation, call.parameter("source"),
                                  call.parameter("device"), call.principal.name));
  return Response::no_content();
}

}  // namespace

void add_opcua_routes(Router& router, const Services& services) {
  const auto bind = [&](Result<Response> (*handler)(const Services&, const Call&)) -> Handler {
    return [services, handler](const Call& call) { return handler(services, call); };
  };
  const auto add = [&](Method method, const std::string& path, Permission permission,
                       Result<Response> (*handler)(const Services&, const Call&),
                       Lane lane = Lane::kQuick) {
    add_route(router, method, "/opcua" + path, permission, bind(handler),
              {.lane = lane, .body_bytes_max = 16U << 20});
  };
  constexpr auto kRead = Permission::kReadDevices;
  constexpr auto kWrite = Permission::kWriteDevices;
  const std::string source = "/sources/{source}";
  add(Method::kGet, "/sources", kRead, list_sources);
  add(Method::kPost, "/sources", kWrite, create_source);
  add(Method::kGet, source, kRead, get_source);
  add(Method::kPut, source, kWrite, put_source);
  add(Method::kDelete, source, kWrite, delete_source);
  add(Method::kGet, source + "/browse", kRead, browse, Lane::kSlow);
  add(Method::kPost, source + "/describe", kRead, describe, Lane::kSlow);
  add(Method::kGet, source + "/types", kRead, list_types, Lane::kSlow);
  add(Method::kGet, source + "/instances", kRead, list_instances, Lane::kSlow);
  add(Method::kPost, source + "/assets", kWrite, add_assets, Lane::kSlow);
  add(Method::kDelete, source + "/assets/{device}", kWrite, remove_asset);
  add(Method::kPost, "/endpoints", kWrite, discover, Lane::kSlow);
  add(Method::kGet, "/certificates", kRead, list_certificates, Lane::kSlow);
  add(Method::kPost, "/certificates/{thumbprint}", kWrite, judge_certificate, Lane::kSlow);
  add(Method::kGet, "/connector", kRead, get_connector);
}

}  // namespace penstock::api
