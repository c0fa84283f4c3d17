// /discovery: devices that nobody registered, what Penstock would make of them, and their
// acceptance.

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "api/devices.h"
#include "api/http/arguments.h"
#include "api/rebinds.h"
#include "api/render.h"
#include "api/routes.h"
#include "twin/binding_proposal.h"
#include "twin/proposal.h"

namespace penstock::api {
namespace {

using access::Permission;
using stream::DiscoveredDevice;

constexpr size_t kAlikeMax = 1000;      // devices shown and accepted as "more like this"
constexpr size_t kCompareMax = 10'000;  // devices looked at for it

Status sees_everything(const Call& call) {
  if (call.principal.sites.empty()) return {};
  return fail(ErrorCode::kPermissionDenied,
              "unregistered devices belong to no site yet; only people who see all sites see them");
}

struct Made {
  std::string protocol;
  twin::Proposal proposal;
  Json interface, binding;
};

std::vector<std::string> payloads_of(const DiscoveredDevice& device) {
  std::vector<std::string> out;
  for (const auto& sample : device.samples) out.push_back(sample.payload);
  if (out.empty()) out.push_back(device.sample_payload);
  return out;
}

bool is_wrapped(const std::string& payload) {
  const auto json = parse_json(payload);
  const Json* one = json ? &*json : nullptr;
  if (one && one->is_array() && !one->empty()) one = &one->front();
  return one && one->is_object() && one->contains("values") && (*one)["values"].is_object();
}

/// The version of a proposed interface that is free, or has the very same text.
void choose_version(const Services& services, OrganisationId organisation, Made& made) {
  const std::string base = made.proposal.dtmi.substr(0, made.proposal.dtmi.rfind(';'));
  for (int version = 1; version < 1000; ++version) {
    made.proposal.dtmi = fmt::format("{};{}", base, version);
    made.interface["@id"] = made.proposal.dtmi;
    const auto known = services.twins.model(organisation, made.proposal.dtmi);
    if (!known) return;
    const auto document = parse_json((*known)->document);
    if (document && *document == made.interface) return;
  }
}

Result<Made> make_proposal(const Services& services, const DiscoveredDevice& device) {
  Made made;
  made.protocol = twin::protocol_of_origin(device.topic);
  const auto payloads = payloads_of(device);
  TRY_ASSIGN(made.proposal, twin::propose_interface(twin::class_name(device.device), payloads));
  twin::PayloadShape shape;
  shape.json = made.protocol == "mqtt" || device.topic.starts_with("http:json");
  shape.wrapped = shape.json && is_wrapped(payloads.back());
  if (shape.json && !shape.wrapped) shape.time = twin::take_time(made.proposal);
  if (made.proposal.elements.empty())
    return fail(ErrorCode::kInvalidArgument, "its messages carry a time only", device.device);
  TRY_ASSIGN(made.interface, parse_json(made.proposal.document));
  choose_version(services, device.organisation, made);
  std::vector<std::string> topics;
  for (const auto& sample : device.samples) topics.push_back(sample.topic);
  if (topics.empty()) topics.push_back(device.topic);
  made.binding = twin::propose_binding(device.device, made.protocol, topics, shape, made.proposal);
  // Its name must be free, or the same document's.
  if (!made.binding.is_null()) {
    const std::string base = made.binding["name"].get<std::string>();
    for (int n = 2; n < 1000; ++n) {
      const auto known =
          services.twins.binding(device.organisation, made.binding["name"].get<std::string>());
      if (!known) break;
      const auto document = parse_json((*known)->latest().document);
      if (document && (*document)["elements"] == made.binding["elements"] &&
          (*document)["model"] == made.binding["model"])
        break;
      made.binding["name"] = fmt::format("{}-{}", base, n);
    }
  }
  return made;
}

std::vector<std::string> wire_keys(const twin::Proposal& proposal) {
  std::vector<std::string> keys;
  for (const auto& element : proposal.elements) keys.push_back(element.wire_key);
  return keys;
}

/// What devices of one shape share: protocol and members, whatever their values.
std::string shape_of(const DiscoveredDevice& device) {
  const auto payloads = payloads_of(device);
  const auto proposal = twin::propose_interface("x", payloads);
  if (!proposal) return {};
  std::set<std::string> parts;
  for (const auto& element : proposal->elements) parts.insert(element.wire_key);
  std::string out(twin::protocol_of_origin(device.topic));
  for (const auto& part : parts) out.append("\n").append(part);
  return out;
}

std::vector<std::string> alike(const Services& services, const DiscoveredDevice& device) {
  std::vector<std::string> out;
  const std::string shape = shape_of(device);
  std::string after;
  for (size_t seen = 0; seen < kCompareMax && out.size() < kAlikeMax;) {
    const auto page = services.discovery.discovered(device.organisation, after, 500);
    if (!page || page->empty()) break;
    for (const auto& other : *page)
      if (other.device != device.device && shape_of(other) == shape && out.size() < kAlikeMax)
        out.push_back(other.device);
    seen += page->size();
    after = page->back().device;
  }
  return out;
}

Json interval_of(const DiscoveredDevice& device) {
  if (device.messages < 2) return nullptr;
  return (device.last_seen - device.first_seen).as_seconds() /
         static_cast<double>(device.messages - 1);
}

Json known_models(const Services& services, OrganisationId organisation,
                  const twin::Proposal& proposal) {
  Json known = Json::array();
  for (const auto& model : services.twins.models_with(organisation, wire_keys(proposal)))
    known.push_back(model->id);
  return known;
}

Json discovered_json(const Services& services, const DiscoveredDevice& device) {
  const auto made = make_proposal(services, device);
  return {{"device", to_valid_utf8(device.device)},
          {"protocol", twin::protocol_of_origin(device.topic)},
          {"class", twin::class_name(device.device)},
          {"first_seen", to_rfc3339(device.first_seen)},
          {"last_seen", to_rfc3339(device.last_seen)},
          {"messages", device.messages},
          {"samples", device.samples.size()},
          {"interval_s", interval_of(device)},
          {"sample_payload", to_valid_utf8(device.sample_payload)},
          {"topic", to_valid_utf8(device.topic)},
          {"proposed_interface", made ? made->interface : Json()},
          {"known_models",
           made ? known_models(services, device.organisation, made->proposal) : Json::array()}};
}

Json elements_json(const twin::Proposal& proposal) {
  Json out = Json::array();
  for (const auto& element : proposal.elements) {
    const bool number = element.schema == "double" || element.schema == "long";
    out.push_back({{"address", to_valid_utf8(element.wire_key)},
                   {"element", element.name},
                   {"schema", element.schema},
                   {"semantic_type", text_or_null(element.semantic_type)},
                   {"unit", text_or_null(element.unit)},
                   {"unit_written", element.unit_written},
                   {"seen", element.seen},
                   {"minimum", number ? Json(element.seen_minimum) : Json()},
                   {"maximum", number ? Json(element.seen_maximum) : Json()}});
  }
  return out;
}

Result<Response> show_proposal(const Services& services, const Call& call) {
  TRY(sees_everything(call));
  TRY_ASSIGN(const auto device, services.discovery.discovered_device(call.principal.organisation,
                                                                     call.parameter("device")));
  TRY_ASSIGN(const Made made, make_proposal(services, device));
  Json samples = Json::array();
  for (const auto& sample : device.samples)
    samples.push_back({{"time", to_rfc3339(sample.received)},
                       {"topic", to_valid_utf8(sample.topic)},
                       {"payload", to_valid_utf8(sample.payload)}});
  return Response::json(
      {{"device", to_valid_utf8(device.device)},
       {"protocol", made.protocol},
       {"topic", to_valid_utf8(device.topic)},
       {"first_seen", to_rfc3339(device.first_seen)},
       {"last_seen", to_rfc3339(device.last_seen)},
       {"messages", device.messages},
       {"interval_s", interval_of(device)},
       {"interface", made.interface},
       {"binding", made.binding},
       {"elements", elements_json(made.proposal)},
       {"samples", std::move(samples)},
       {"alike", alike(services, device)},
       {"known_models", known_models(services, device.organisation, made.proposal)}});
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

// -- acceptance

struct Acceptance {
  std::string site, display_name, model, binding;
  Json interface, binding_document;
  std::vector<std::string> also;
  bool rebind = true;
};

Result<Acceptance> read_acceptance(const Request& request) {
  TRY_ASSIGN(auto body, BodyReader::of(request));
  Acceptance out;
  out.site = body.text("site", 80);
  out.model = body.optional_text("model", 2048);
  out.display_name = body.optional_text("display_name", 200);
  out.interface = body.any("interface");
  out.binding = body.optional_text("binding", 63);
  out.binding_document = body.any("binding_document");
  out.also = body.maybe_texts("also", kAlikeMax).value_or(std::vector<std::string>{});
  out.rebind = body.maybe_boolean("rebind").value_or(true);
  if (!out.interface.is_null() && !out.model.empty())
    body.complain("interface", "give model or interface, not both");
  if (!out.binding_document.is_null() && !out.binding.empty())
    body.complain("binding_document", "give binding or binding_document, not both");
  if (!out.binding_document.is_null() && !out.binding_document.is_object())
    body.complain("binding_document", "is a binding document (docs/bindings.md)");
  TRY(body.done());
  return out;
}

/// What an acceptance added beside the devices, taken away again where they cannot be made.
class Added {
 public:
  Added(const Services& services, OrganisationId organisation)
      : services_(services), organisation_(organisation) {}
  Added(const Added&) = delete;
  Added& operator=(const Added&) = delete;
  ~Added() {
    if (kept_) return;
    if (!binding_.empty()) (void)services_.twins.delete_binding(organisation_, binding_);
    for (const auto& model : models_) (void)services_.twins.delete_model(organisation_, model);
  }
  void keep() { kept_ = true; }

  Result<std::string> models(const std::string& document) {
    std::vector<std::string> fresh;
    const auto parsed = parse_json(document);
    const Json all =
        parsed && parsed->is_array() ? *parsed : Json::array({parsed.value_or(Json())});
    for (const Json& one : all) {
      if (!one.is_object()) continue;
      const std::string id = one.value("@id", Json()).is_string() ? one["@id"] : "";
      if (!services_.twins.model(organisation_, id)) fresh.push_back(id);
    }
    TRY_ASSIGN(const auto added, services_.twins.add_models(organisation_, document));
    models_ = std::move(fresh);
    return added.front()->id;
  }

  Result<std::string> binding(Json document, const std::string& model, const std::string& who) {
    document["model"] = model;
    const std::string name =
        document.value("name", Json()).is_string() ? document["name"].get<std::string>() : "";
    if (const auto known = services_.twins.binding(organisation_, name)) {
      const auto same = parse_json((*known)->latest().document);
      if (same && *same == document && (*known)->active_version > 0) return name;
      return fail(ErrorCode::kAlreadyExists,
                  "another binding has that name: choose another, or give it as binding", name);
    }
    TRY_ASSIGN(const auto saved, services_.twins.save_binding(organisation_, document.dump(), who,
                                                              "accepted from discovery"));
    binding_ = saved->name;
    TRY(services_.twins.activate_binding(organisation_, binding_, saved->latest().version, who));
    return saved->name;
  }

 private:
  const Services& services_;
  OrganisationId organisation_;
  std::vector<std::string> models_;
  std::string binding_;
  bool kept_ = false;
};

/// Model and binding that the devices get: given, edited, or as proposed.
Status choose(const Call& call, const Services& services, const Acceptance& wanted,
              const DiscoveredDevice& found, Added& added, twin::DeviceDraft& draft) {
  const auto organisation = call.principal.organisation;
  draft.protocol = twin::protocol_of_origin(found.topic);
  draft.model = wanted.model;
  draft.binding = wanted.binding;
  const auto made = make_proposal(services, found);
  Json document = wanted.binding_document;
  if (draft.model.empty()) {
    if (wanted.interface.is_null() && !made) return fail(made.error());
    const Json& interface = wanted.interface.is_null() ? made->interface : wanted.interface;
    TRY_ASSIGN(draft.model, added.models(interface.dump()));
    const bool as_proposed = made && draft.model == made->proposal.dtmi;
    if (document.is_null() && draft.binding.empty() && as_proposed) document = made->binding;
  }
  if (!document.is_null()) {
    draft.bindings.clear();
    TRY_ASSIGN(draft.binding, added.binding(document, draft.model, call.principal.name));
  } else if (!draft.binding.empty()) {
    draft.bindings.clear();
  } else if (made) {
    // "Discharge-Pressure" on the wire is the model's discharge_pressure.
    TRY_ASSIGN(const auto model, services.twins.model(organisation, draft.model));
    draft.bindings = twin::match_bindings(*model, wire_keys(made->proposal));
  }
  return {};
}

Result<Response> accept(const Services& services, const ApiOptions& options, const Call& call) {
  const auto organisation = call.principal.organisation;
  TRY(sees_everything(call));
  TRY_ASSIGN(const auto found,
             services.discovery.discovered_device(organisation, call.parameter("device")));
  TRY_ASSIGN(const Acceptance wanted, read_acceptance(call.request));
  TRY(find_site(services, call.principal, Permission::kWriteDevices, wanted.site));
  std::vector<DiscoveredDevice> all{found};
  for (const std::string& name : wanted.also) {
    TRY_ASSIGN(const auto other, services.discovery.discovered_device(organisation, name));
    all.push_back(other);
  }
  twin::DeviceDraft draft;
  draft.site = wanted.site;
  Added added(services, organisation);
  TRY(choose(call, services, wanted, found, added, draft));
  std::vector<twin::DeviceDraft> drafts;
  for (const DiscoveredDevice& each : all) {
    drafts.push_back(draft);
    drafts.back().name = each.device;
    if (drafts.size() == 1) drafts.back().display_name = wanted.display_name;
  }
  TRY_ASSIGN(const auto made, services.twins.create_devices(organisation, drafts));
  added.keep();
  Json job, others = Json::array();
  for (size_t i = 0; i < made.size(); ++i) {
    services.configuration.twin_changed(made[i].device->twin);
    (void)services.discovery.dismiss(organisation, all[i].device);  // it may have gone by itself
    if (wanted.rebind) {
      const auto offset = all[i].first_offset == UINT64_MAX ? 0 : all[i].first_offset;
      const auto started = services.rebinds.start_rebind(
          organisation, all[i].device, stream::RebindKind::kDiscovery, offset, call.principal.name);
      if (started && i == 0) job = rebind_json(*started);
    }
    if (i > 0) others.push_back(device_created_json(services, options, made[i]));
  }
  Json out = device_created_json(services, options, made.front());
  out["also"] = std::move(others);
  out["rebind"] = std::move(job);
  Response response = Response::json(out, 201);
  response.set("cache-control", "no-store");
  return response;
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
  const RouteOptions slow{.lane = Lane::kSlow};
  add_route(router, Method::kGet, "/discovery", Permission::kReadDevices, bind(list_discovery));
  add_route(router, Method::kGet, "/discovery/{device}/proposal", Permission::kReadDevices,
            bind(show_proposal), slow);
  add_route(
      router, Method::kPost, "/discovery/{device}/accept", Permission::kWriteDevices,
      [services, options](const Call& call) { return accept(services, options, call); }, slow);
  add_route(router, Method::kDelete, "/discovery/{device}", Permission::kWriteDevices,
            bind(dismiss));
}

}  // namespace penstock::api
