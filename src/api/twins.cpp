// /twins and their commands.

#include <algorithm>
#include <compare>
#include <map>
#include <unordered_set>
#include <vector>

#include <fmt/format.h>

#include "api/alarms.h"
#include "api/http/arguments.h"
#include "api/render.h"
#include "api/routes.h"
#include "twin/validate.h"

namespace penstock::api {
namespace {

using access::Permission;
using stream::LiveValue;
using stream::TwinLive;

constexpr size_t kKeyValues = 4;

const LiveValue* value_of(const TwinLive& live, SeriesId series) {
  for (const auto& value : live.values)
    if (value.sample.series == series) return &value;
  return nullptr;
}

/// Where a quantity stands among those that first tell how a machine is.
size_t rank(std::string_view semantic_type) {
  constexpr std::string_view kFirst[] = {"Pressure",     "Temperature", "Velocity",
                                         "Acceleration", "Current",     "Power"};
  return static_cast<size_t>(std::ranges::find(kFirst, semantic_type) - std::begin(kFirst));
}

/// The elements whose numbers a card shows, most telling first: telemetry before properties, then
/// one of each quantity before a second of any, then by rank, then as the model orders them.
std::vector<size_t> key_elements(const twin::TwinRecord& twin, const TwinLive& live) {
  struct Candidate {
    bool property;
    size_t nth, rank, index;
    auto operator<=>(const Candidate&) const = default;
  };
  std::vector<Candidate> found;
  std::map<std::string_view, size_t> seen;
  const auto& elements = twin.model->elements;
  for (size_t i = 0; i < elements.size(); ++i) {
    const auto& element = elements[i];
    if (element.kind > twin::ValueKind::kInteger || !value_of(live, twin.series[i])) continue;
    found.push_back(
        {element.property, seen[element.semantic_type]++, rank(element.semantic_type), i});
  }
  std::ranges::sort(found);
  std::vector<size_t> out;
  for (const auto& candidate : found)
    if (out.size() < kKeyValues) out.push_back(candidate.index);
  return out;
}

Json key_values(const twin::TwinRecord& twin, const TwinLive& live) {
  Json out = Json::array();
  for (const size_t i : key_elements(twin, live)) {
    const auto& element = twin.model->elements[i];
    const LiveValue& value = *value_of(live, twin.series[i]);
    out.push_back(
        {{"element", element.key},
         {"display_name", element.display_name.empty() ? element.key : element.display_name},
         {"unit", element.unit},
         {"value", value_json(value)},
         {"quality", twin::name(value.sample.quality)},
         {"time", to_rfc3339(value.sample.source_time)}});
  }
  return out;
}

/// What list and detail have in common.
Json base_json(const Services& services, const twin::TwinRecord& twin, const TwinLive& live) {
  const auto parent = twin.parent ? services.twins.twin(twin.parent) : nullptr;
  return {{"id", twin::to_text(twin.id)},
          {"name", twin.name},
          {"display_name", twin.display_name},
          {"site", twin.site_name},
          {"model", twin.model->id},
          {"model_display_name",
           twin.model->display_name.empty() ? twin.model->id : twin.model->display_name},
          {"device", text_or_null(twin.device)},
          {"parent", parent ? Json(parent->name) : Json()},
          {"online", live.online},
          {"stale", live.stale},
          {"last_seen", time_or_null(live.last_seen)}};
}

Json summary_json(const Services& services, const twin::TwinRecord& twin, const TwinLive& live,
                  const AlarmCounts& alarms) {
  Json out = base_json(services, twin, live);
  out["alarms"] = alarms.json();
  out["worst_priority"] = alarms.worst();
  out["key_values"] = key_values(twin, live);
  return out;
}

Json elements_json(const twin::TwinRecord& twin, const TwinLive& live) {
  Json out = Json::array();
  for (size_t i = 0; i < twin.model->elements.size(); ++i) {
    Json element = element_json(twin.model->elements[i]);
    const LiveValue* value = value_of(live, twin.series[i]);
    element["value"] = value ? value_json(*value) : Json();
    element["quality"] = value ? Json(twin::name(value->sample.quality)) : Json();
    element["time"] = value ? Json(to_rfc3339(value->sample.source_time)) : Json();
    element["series"] = std::to_string(twin.series[i].value);
    out.push_back(std::move(element));
  }
  return out;
}

Result<Json> detail_json(const Services& services, const access::Principal& principal,
                         const twin::TwinRecord& twin) {
  const TwinId ids[] = {twin.id};
  const auto live = services.live.live(ids);
  Json out = base_json(services, twin, live.empty() ? TwinLive{} : live.front());
  const auto site = services.twins.site(twin.site);
  out["time_zone"] = site ? site->time_zone : "UTC";
  out["elements"] = elements_json(twin, live.empty() ? TwinLive{} : live.front());
  Json& commands = out["commands"] = Json::array();
  for (const auto& command : twin.model->commands) commands.push_back(command_json(command));
  Json& relationships = out["relationships"] = Json::array();
  for (const auto& relationship : twin.relationships)
    if (const auto target = services.twins.twin(relationship.target);
        target && principal.sees(target->site))
      relationships.push_back({{"name", relationship.name}, {"target", target->name}});
  Json& children = out["children"] = Json::array();
  for (const auto& child : services.twins.children(twin.id))
    if (principal.sees(child->site)) children.push_back(child->name);
  out["labels"] = twin.labels;
  TRY_ASSIGN(out["alarms"], open_alarms_json(services, principal, twin.id));
  return out;
}

Result<Response> list_twins(const Services& services, const Call& call) {
  TRY_ASSIGN(const Page page, Page::of(call.request));
  TRY_ASSIGN(const auto wants_online, query_boolean(call.request, "online"));
  twin::TwinFilter filter;
  if (const auto line = call.request.query_value("q")) {
    TRY_ASSIGN(filter, twin::parse_twin_query(*line));
  }
  if (const auto site = call.request.query_value("site")) {
    TRY_ASSIGN(const auto known,
               find_site(services, call.principal, Permission::kReadTwins, *site));
    filter.site = known->name;
  }
  if (const auto model = call.request.query_value("model")) filter.model = std::string(*model);
  std::unordered_set<uint32_t> online;
  if (wants_online)
    for (const auto& live : services.live.presence())
      if (live.online) online.insert(live.twin.value);
  TRY_ASSIGN(const auto found,
             visible_page<twin::TwinPtr>(
                 {page.after, page.limit},
                 [&](const twin::PageRequest& request) {
                   return services.twins.twins(call.principal.organisation, filter, request);
                 },
                 [&](const twin::TwinPtr& twin) {
                   return call.principal.sees(twin->site) &&
                          (!wants_online || online.contains(twin->id.value) == *wants_online);
                 }));
  std::vector<TwinId> ids;
  for (const auto& twin : found.items) ids.push_back(twin->id);
  const auto live = services.live.live(ids);
  TRY_ASSIGN(const auto tally, AlarmTally::of_open(services, call.principal.organisation));
  Json items = Json::array();
  for (size_t i = 0; i < ids.size(); ++i)
    items.push_back(summary_json(services, *found.items[i], i < live.size() ? live[i] : TwinLive{},
                                 tally.twin(ids[i])));
  return list_response(std::move(items), found.next_cursor);
}

Result<Response> create_twin(const Services& services, const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  twin::TwinDraft draft;
  draft.name = body.text("name", 63);
  draft.display_name = body.optional_text("display_name", 200);
  draft.site = body.text("site", 80);
  draft.model = body.text("model", 2048);
  draft.parent = body.optional_text("parent", 80);
  draft.labels = read_labels(body);
  TRY(body.done());
  TRY_ASSIGN(const auto site,
             find_site(services, call.principal, Permission::kWriteTwins, draft.site));
  TRY_ASSIGN(const auto twin, services.twins.create_twin(call.principal.organisation, draft));
  services.configuration.twin_changed(twin->id);
  TRY_ASSIGN(const Json out, detail_json(services, call.principal, *twin));
  return Response::json(out, 201);
}

Result<Response> get_twin(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto twin,
             find_twin(services, call.principal, Permission::kReadTwins, call.parameter("id")));
  TRY_ASSIGN(const Json out, detail_json(services, call.principal, *twin));
  return Response::json(out);
}

std::vector<twin::RelationshipDraft> read_relationships(BodyReader& body) {
  std::vector<twin::RelationshipDraft> out;
  const Json& given = body.any("relationships");
  if (!given.is_array() || given.size() > 1000) {
    body.complain("relationships", "must be a list");
    return out;
  }
  for (const Json& item : given) {
    if (!item.is_object()) {
      body.complain("relationships", "must be a list of {name, target}");
      return out;
    }
    BodyReader one(item, "relationships.");
    out.push_back({one.text("name", 200), one.text("target", 80)});
    if (const auto status = one.done(); !status)
      body.complain("relationships", status.error().text());
  }
  return out;
}

Result<Response> update_twin(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto before,
             find_twin(services, call.principal, Permission::kWriteTwins, call.parameter("id")));
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  twin::TwinPatch patch;
  patch.display_name = body.maybe_text("display_name", 200);
  patch.site = body.maybe_text("site", 80);
  patch.model = body.maybe_text("model", 2048);
  patch.parent = body.maybe_text("parent", 80);
  if (body.is_null("parent")) patch.parent = "";
  if (body.has("labels")) patch.labels = read_labels(body);
  if (body.has("relationships")) patch.relationships = read_relationships(body);
  TRY(body.done());
  if (patch.site) TRY(find_site(services, call.principal, Permission::kWriteTwins, *patch.site));
  TRY_ASSIGN(const auto twin,
             services.twins.update_twin(call.principal.organisation, before->name, patch));
  services.configuration.twin_changed(twin->id);
  TRY_ASSIGN(const Json out, detail_json(services, call.principal, *twin));
  return Response::json(out);
}

Result<Response> delete_twin(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto twin,
             find_twin(services, call.principal, Permission::kWriteTwins, call.parameter("id")));
  TRY(services.twins.delete_twin(call.principal.organisation, twin->name));
  services.configuration.twin_changed(twin->id);
  return Response::no_content();
}

Result<Response> send_command(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto twin,
             find_twin(services, call.principal, Permission::kSendCommands, call.parameter("id")));
  const std::string& name = call.parameter("name");
  const auto& commands = twin->model->commands;
  if (std::none_of(commands.begin(), commands.end(),
                   [&](const twin::CommandInfo& command) { return command.name == name; }))
    return fail(ErrorCode::kNotFound, "the model " + twin->model->id + " has no such command",
                name);
  if (twin->device.empty())
    return fail(ErrorCode::kConflict, "no device feeds this twin, so nobody would get the command",
                twin->name);
  std::string payload = call.request.body;
  if (payload.empty()) payload = "{}";
  TRY(parse_json(payload));
  TRY_ASSIGN(const auto receipt,
             services.commands.send_command(twin->device, name, payload, call.principal.name));
  return Response::json(
      {{"request_id", receipt.request_id},
       {"status", receipt.status == stream::CommandStatus::kQueued ? "queued" : "sent"}},
      202);
}

// The value as the element may have it: the rule that telemetry passes too.
Status check_writable(const twin::ElementConfig& element, const Json& value) {
  using twin::Refusal;
  if (!element.writable_property)
    return fail(ErrorCode::kConflict, "this element is no writable property", element.key);
  Refusal refusal = Refusal::kWrongType;
  if (value.is_number_integer())
    refusal = twin::validate(element, value.get<int64_t>());
  else if (value.is_number())
    refusal = twin::validate(element, value.get<double>());
  else if (value.is_boolean())
    refusal = twin::validate(element, value.get<bool>());
  else if (value.is_string())
    refusal = twin::validate(element, std::string_view(value.get_ref<const std::string&>()));
  else if (element.kind == twin::ValueKind::kObject && (value.is_object() || value.is_array()))
    refusal = Refusal::kNone;
  if (refusal == Refusal::kNone) return {};
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("the model does not allow this value ({})", twin::name(refusal)),
              element.key);
}

Result<Response> write_property(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto twin,
             find_twin(services, call.principal, Permission::kSendCommands, call.parameter("id")));
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const Json value = body.any("value");
  if (value.is_null()) body.complain("value", "is missing");
  TRY(body.done());
  const auto device = services.twins.device(twin->device);
  if (!device || !device->config)
    return fail(ErrorCode::kConflict, "no enabled device feeds this twin, so nobody would take it",
                twin->name);
  size_t hint = 0;
  const std::string& key = call.parameter("element");
  const auto* element = device->config->find(key, hint);
  if (!element)
    return fail(ErrorCode::kNotFound, "the model " + twin->model->id + " has no such element", key);
  TRY(check_writable(*element, value));
  TRY_ASSIGN(const auto receipt, services.commands.write_property(device->name, key, value.dump(),
                                                                  call.principal.name));
  return Response::json(
      {{"request_id", receipt.request_id},
       {"status", receipt.status == stream::CommandStatus::kQueued ? "queued" : "sent"}},
      202);
}

}  // namespace

void add_twin_routes(Router& router, const Services& services) {
  const auto bind = [&](Result<Response> (*handler)(const Services&, const Call&)) -> Handler {
    return [services, handler](const Call& call) { return handler(services, call); };
  };
  add_route(router, Method::kGet, "/twins", Permission::kReadTwins, bind(list_twins));
  add_route(router, Method::kPost, "/twins", Permission::kWriteTwins, bind(create_twin));
  add_route(router, Method::kGet, "/twins/{id}", Permission::kReadTwins, bind(get_twin));
  add_route(router, Method::kPatch, "/twins/{id}", Permission::kWriteTwins, bind(update_twin));
  add_route(router, Method::kDelete, "/twins/{id}", Permission::kWriteTwins, bind(delete_twin));
  add_route(router, Method::kPost, "/twins/{id}/commands/{name}", Permission::kSendCommands,
            bind(send_command));
  add_route(router, Method::kPut, "/twins/{id}/properties/{element}", Permission::kSendCommands,
            bind(write_property));
}

}  // namespace penstock::api
