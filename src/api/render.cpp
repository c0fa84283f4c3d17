#include "api/render.h"

#include <algorithm>
#include <cmath>

namespace penstock::api {
namespace {
constexpr std::array<std::string_view, 4> kPriorities{"critical", "high", "medium", "low"};
}

Json value_json(const stream::LiveValue& value) {
  switch (value.sample.kind) {
    case twin::ValueKind::kDouble:
      return std::isfinite(value.sample.number) ? Json(value.sample.number) : Json();
    case twin::ValueKind::kInteger:
      return value.sample.integer;
    case twin::ValueKind::kBoolean:
      return value.sample.boolean;
    case twin::ValueKind::kText:
      return value.text;
    case twin::ValueKind::kObject:
      break;
  }
  auto parsed = parse_json(value.text);
  return parsed ? std::move(*parsed) : Json(value.text);
}

std::string_view type_name(twin::ValueKind kind) { return twin::name(kind); }

Json number_or_null(std::optional<double> number) {
  return number && std::isfinite(*number) ? Json(*number) : Json();
}

Json text_or_null(std::string_view text) { return text.empty() ? Json() : Json(text); }

Json element_json(const twin::ElementInfo& element) {
  return {{"key", element.key},
          {"display_name", element.display_name.empty() ? element.key : element.display_name},
          {"kind", element.property ? "property" : "telemetry"},
          {"type", type_name(element.kind)},
          {"writable", element.writable},
          {"unit", element.unit},
          {"semantic_type", element.semantic_type},
          {"minimum", number_or_null(element.minimum)},
          {"maximum", number_or_null(element.maximum)},
          {"enum_values", element.enum_values}};
}

Json command_json(const twin::CommandInfo& command) {
  Json schema;
  if (!command.request_schema.empty()) {
    auto parsed = parse_json(command.request_schema);
    schema = parsed ? std::move(*parsed) : Json(command.request_schema);
  }
  return {{"name", command.name},
          {"display_name", command.display_name.empty() ? command.name : command.display_name},
          {"description", command.description},
          {"request_schema", std::move(schema)}};
}

void AlarmCounts::add(size_t priority, bool acknowledged) {
  if (priority < by_priority.size()) ++by_priority[priority];
  if (!acknowledged) ++unacknowledged;
}

Json AlarmCounts::json() const {
  Json out = {{"unacknowledged", unacknowledged}};
  for (size_t i = 0; i < kPriorities.size(); ++i) out[std::string(kPriorities[i])] = by_priority[i];
  return out;
}

Json AlarmCounts::worst() const {
  for (size_t i = 0; i < kPriorities.size(); ++i)
    if (by_priority[i] > 0) return kPriorities[i];
  return nullptr;
}

const AlarmCounts& AlarmTally::twin(TwinId id) const {
  static const AlarmCounts kNone;
  const auto found = twins_.find(id);
  return found == twins_.end() ? kNone : found->second;
}

const AlarmCounts& AlarmTally::site(SiteId id) const {
  static const AlarmCounts kNone;
  const auto found = sites_.find(id);
  return found == sites_.end() ? kNone : found->second;
}

Result<twin::TwinPtr> find_twin(const Services& services, const access::Principal& principal,
                                access::Permission permission, std::string_view reference) {
  TRY_ASSIGN(twin::TwinPtr found, services.twins.twin(principal.organisation, reference));
  TRY(access::authorize(principal, permission, found->site));
  return found;
}

Result<twin::SitePtr> find_site(const Services& services, const access::Principal& principal,
                                access::Permission permission, std::string_view reference) {
  TRY_ASSIGN(twin::SitePtr found, services.twins.site(principal.organisation, reference));
  TRY(access::authorize(principal, permission, found->id));
  return found;
}

Json site_names(const Services& services, const std::vector<SiteId>& sites) {
  Json out = Json::array();
  for (const SiteId id : sites)
    if (const auto site = services.twins.site(id)) out.push_back(site->name);
  return out;
}

std::map<std::string, std::string> read_labels(BodyReader& body) {
  std::map<std::string, std::string> labels;
  const Json& given = body.any("labels");
  if (given.is_null()) return labels;
  if (!given.is_object() || given.size() > 100) {
    body.complain("labels", "must be an object of at most 100 texts");
    return labels;
  }
  for (const auto& [key, value] : given.items()) {
    if (!value.is_string())
      body.complain("labels", "must be an object of texts");
    else
      labels.emplace(key, value.get<std::string>());
  }
  return labels;
}

bool contains_text(std::string_view text, std::string_view part) {
  const auto fold = [](char a, char b) {
    const auto low = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return low(a) == low(b);
  };
  return std::search(text.begin(), text.end(), part.begin(), part.end(), fold) != text.end();
}

}  // namespace penstock::api
