#include "interfaces/alarms/rule_plan.h"

#include <algorithm>

namespace penstock::interfaces {
namespace {

void plan_rule(const RuleItem& rule, OrganisationId organisation, const twin::TwinRegistry& twins,
               std::vector<CompiledRule>& out) {
  const auto scope = twins.resolve_scope(organisation, rule.scope);
  if (!scope) return;  // what it named was deleted
  for (const TwinId id : *scope) {
    const twin::TwinPtr twin = twins.twin(id);
    if (!twin || twin->device.empty()) continue;
    const auto series = twin->series_of(rule.element);
    if (!rule.element.empty() && !series) continue;
    CompiledRule one;
    one.id = rule.id;
    one.twin = id;
    one.series = series.value_or(SeriesId());
    one.kind = rule.kind;
    one.above = rule.above;
    one.limit = rule.limit;
    one.hysteresis = rule.hysteresis;
    one.on_delay = rule.on_delay;
    one.off_delay = rule.off_delay;
    out.push_back(one);
  }
}

bool numeric_telemetry(const twin::ElementInfo& element) {
  return !element.property &&
         (element.kind == twin::ValueKind::kDouble || element.kind == twin::ValueKind::kInteger);
}

}  // namespace

std::vector<CompiledRule> plan_rules(const RuleStore& rules, const twin::TwinRegistry& twins) {
  std::vector<CompiledRule> out;
  for (const RuleStore::RunningRule& rule : rules.all_rules())
    if (rule.item.enabled) plan_rule(rule.item, rule.organisation, twins, out);
  return out;
}

std::vector<SeriesId> watched_series(const DetectorItem& detector, const twin::TwinRecord& twin) {
  std::vector<SeriesId> out;
  const auto& named = detector.elements;
  for (size_t i = 0; i < twin.model->elements.size(); ++i) {
    const twin::ElementInfo& element = twin.model->elements[i];
    const bool wanted = named.empty()
                            ? numeric_telemetry(element)
                            : std::find(named.begin(), named.end(), element.key) != named.end();
    if (wanted) out.push_back(twin.series[i]);
  }
  return out;
}

}  // namespace penstock::interfaces
