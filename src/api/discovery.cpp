// /dead-letters and /discovery.

#include "api/devices.h"
#include "api/http/arguments.h"
#include "api/render.h"
#include "api/routes.h"
#include "twin/proposal.h"

namespace penstock::api {
namespace {

using access::Permission;

Result<Response> list_dead_letters(const Services& services, const Call& call) {
  TRY_ASSIGN(const Page page, Page::of(call.request));
  stream::DeadLetterView::Filter filter;
  filter.organisation = call.principal.organisation;
  filter.device = std::string(call.request.query_value("device").value_or(""));
  filter.reason = std::string(call.request.query_value("reason").value_or(""));
  if (!page.after.empty()) filter.before = numbered_id(page.after, "dl").value_or(1);
  Json items = Json::array();
  std::string next;
  // Letters of devices at sites the person does not see are passed over, page by page.
  for (bool more = true; more && items.size() < page.limit;) {
    TRY_ASSIGN(const auto letters,
               services.dead_letters.dead_letters(filter, page.limit - items.size()));
    more = letters.size() == page.limit - items.size();
    for (const auto& letter : letters) {
      filter.before = letter.id;
      const auto device = services.twins.device(letter.device);
      const auto twin = device && device->twin ? services.twins.twin(device->twin) : nullptr;
      if (twin ? !call.principal.sees(twin->site) : !call.principal.sites.empty()) continue;
      items.push_back({{"id", "dl_" + std::to_string(letter.id)},
                       {"time", to_rfc3339(letter.received)},
                       {"device", to_valid_utf8(letter.device)},
                       {"topic", to_valid_utf8(letter.topic)},
                       {"reason", to_valid_utf8(letter.reason)},
                       {"payload", to_valid_utf8(letter.payload)}});
    }
    next = more ? "dl_" + std::to_string(filter.before) : "";
  }
  return list_response(std::move(items), next);
}

Status sees_everything(const Call& call) {
  if (call.principal.sites.empty()) return {};
  return fail(ErrorCode::kPermissionDenied,
              "unregistered devices belong to no site yet; only people who see all sites see them");
}

Result<twin::Proposal> propose(const stream::DiscoveredDevice& device) {
  const std::string payloads[] = {device.sample_payload};
  return twin::propose_interface(device.device, payloads);
}

std::vector<std::string> wire_keys(const twin::Proposal& proposal) {
  std::vector<std::string> keys;
  for (const auto& element : proposal.elements) keys.push_back(element.wire_key);
  return keys;
}

Json discovered_json(const Services& services, const stream::DiscoveredDevice& device) {
  Json interface;
  Json known = Json::array();
  if (const auto proposal = propose(device)) {
    if (auto document = parse_json(proposal->document)) interface = std::move(*document);
    for (const auto& model : services.twins.models_with(device.organisation, wire_keys(*proposal)))
      known.push_back(model->id);
  }
  return {{"device", to_valid_utf8(device.device)},
          {"first_seen", to_rfc3339(device.first_seen)},
          {"last_seen", to_rfc3339(device.last_seen)},
          {"messages", device.messages},
          {"sample_payload", to_valid_utf8(device.sample_payload)},
          {"topic", to_valid_utf8(device.topic)},
          {"proposed_interface", std::move(interface)},
          {"known_models", std::move(known)}};
}

Result<Response> list_discovery(const Services& services, const Call& call) {
  TRY_ASSIGN(const Page page, Page::of(call.request));
  TRY(sees_everything(call));
  TRY_ASSIGN(const auto devices,
             services.discovery.discovered(call.principal.organisation, page.after, page.limit));
  Json items = Json::array();
  for (const auto& device : devices) items.push_back(discovered_json(services, device));
  return list_response(std::move(items), devices.size() < page.limit ? "" : devices.back().device);
}

Result<Response> accept(const Services& services, const ApiOptions& options, const Call& call) {
  const auto organisation = call.principal.organisation;
  TRY(sees_everything(call));
  TRY_ASSIGN(const auto found,
             services.discovery.discovered_device(organisation, call.parameter("device")));
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  twin::DeviceDraft draft;
  draft.name = found.device;
  // What was not heard as JSON says by which protocol: "sparkplug:spBv1.0/…".
  if (found.topic.starts_with("sparkplug:")) draft.protocol = "sparkplug";
  draft.site = body.text("site", 80);
  draft.model = body.optional_text("model", 2048);
  draft.display_name = body.optional_text("display_name", 200);
  const Json& given = body.any("interface");
  TRY(body.done());
  TRY_ASSIGN(const auto site,
             find_site(services, call.principal, Permission::kWriteDevices, draft.site));
  std::string document;
  if (!given.is_null()) {
    if (!draft.model.empty())
      return fail(ErrorCode::kInvalidArgument, "give model or interface, not both", "interface");
    document = given.dump();
  } else if (draft.model.empty()) {
    TRY_ASSIGN(const auto proposal, propose(found));
    document = proposal.document;
  } else if (const auto proposal = propose(found)) {
    // "Discharge-Pressure" on the wire is the model's discharge_pressure.
    TRY_ASSIGN(const auto model, services.twins.model(organisation, draft.model));
    draft.bindings = twin::match_bindings(*model, wire_keys(*proposal));
  }
  TRY_ASSIGN(const auto made,
             services.twins.accept_discovered(organisation, std::move(draft), document));
  services.configuration.twin_changed(made.device->twin);
  TRY(services.discovery.dismiss(organisation, found.device));
  return device_created_response(services, options, made);
}

Result<Response> dismiss(const Services& services, const Call& call) {
  TRY(sees_everything(call));
  TRY(services.discovery.dismiss(call.principal.organisation, call.parameter("device")));
  return Response::no_content();
}

}  // namespace

void add_discovery_routes(Router& router, const Services& services, const ApiOptions& options) {
  const auto bind = [&](Result<Response> (*handler)(const Services&, const Call&)) -> Handler {
    return [services, handler](const Call& call) { return handler(services, call); };
  };
  add_route(router, Method::kGet, "/dead-letters", Permission::kReadDevices,
            bind(list_dead_letters));
  add_route(router, Method::kGet, "/discovery", Permission::kReadDevices, bind(list_discovery));
  add_route(router, Method::kPost, "/discovery/{device}/accept", Permission::kWriteDevices,
            [services, options](const Call& call) { return accept(services, options, call); });
  add_route(router, Method::kDelete, "/discovery/{device}", Permission::kWriteDevices,
            bind(dismiss));
}

}  // namespace penstock::api
