#include "interfaces/alarms/rule_store.h"

#include <algorithm>
#include <array>

#include "base/json.h"

namespace penstock::interfaces {
namespace {

using store::Session;

constexpr std::array<store::Migration, 1> kMigrations{{{1, "rules and detectors",
                                                        R"sql(
CREATE TABLE rule (
  organisation_id INTEGER NOT NULL, id INTEGER NOT NULL PRIMARY KEY,
  detector INTEGER NOT NULL, version INTEGER NOT NULL, document TEXT NOT NULL);
CREATE TABLE rule_version (
  organisation_id INTEGER NOT NULL, rule_id INTEGER NOT NULL, number BIGINT NOT NULL,
  document TEXT NOT NULL, changed_by TEXT NOT NULL, changed_at BIGINT NOT NULL,
  PRIMARY KEY (rule_id, number));
)sql"}}};

Json rule_document(const RuleItem& rule) {
  return {{"name", rule.name},
          {"scope",
           {{"model", rule.scope.model}, {"site", rule.scope.site}, {"twin", rule.scope.twin}}},
          {"element", rule.element},
          {"kind", name(rule.kind)},
          {"above", rule.above},
          {"limit", rule.limit},
          {"hysteresis", rule.hysteresis},
          {"on_delay_us", rule.on_delay.us},
          {"off_delay_us", rule.off_delay.us},
          {"priority", name(rule.priority)},
          {"enabled", rule.enabled},
          {"message", rule.message},
          {"cause", rule.cause},
          {"consequence", rule.consequence},
          {"action", rule.action}};
}

RuleItem read_rule(RuleId id, const Json& document) {
  RuleItem rule;
  rule.id = id;
  rule.name = document.value("name", "");
  const Json scope = document.value("scope", Json::object());
  rule.scope.model = scope.value("model", "");
  rule.scope.site = scope.value("site", "");
  rule.scope.twin = scope.value("twin", "");
  rule.element = document.value("element", "");
  for (const auto kind : {RuleKind::kThreshold, RuleKind::kRate, RuleKind::kStale})
    if (name(kind) == document.value("kind", "")) rule.kind = kind;
  rule.above = document.value("above", true);
  rule.limit = document.value("limit", 0.0);
  rule.hysteresis = document.value("hysteresis", 0.0);
  rule.on_delay.us = document.value("on_delay_us", int64_t{0});
  rule.off_delay.us = document.value("off_delay_us", int64_t{0});
  rule.priority = parse_priority(document.value("priority", "")).value_or(Priority::kMedium);
  rule.enabled = document.value("enabled", true);
  rule.message = document.value("message", "");
  rule.cause = document.value("cause", "");
  rule.consequence = document.value("consequence", "");
  rule.action = document.value("action", "");
  return rule;
}

Json detector_document(const DetectorItem& detector) {
  return {{"twin", detector.twin.value},
          {"elements", detector.elements},
          {"kind", detector.kind},
          {"priority", name(detector.priority)},
          {"healthy_from_us", detector.healthy_from.us},
          {"healthy_to_us", detector.healthy_to.us}};
}

DetectorItem read_detector(RuleId id, const Json& document) {
  DetectorItem detector;
  detector.id = id;
  detector.twin = TwinId(document.value("twin", 0U));
  detector.elements = document.value("elements", std::vector<std::string>{});
  detector.kind = document.value("kind", "spc");
  detector.priority = parse_priority(document.value("priority", "")).value_or(Priority::kHigh);
  detector.healthy_from.us = document.value("healthy_from_us", int64_t{0});
  detector.healthy_to.us = document.value("healthy_to_us", int64_t{0});
  return detector;
}

}  // namespace

RuleStore::RuleStore(store::Registry& registry, const twin::TwinRegistry& twins, Clock& clock)
    : registry_(registry), twins_(twins), clock_(clock) {}

Result<std::unique_ptr<RuleStore>> RuleStore::open(store::Registry& registry,
                                                   const twin::TwinRegistry& twins, Clock& clock) {
  TRY(registry.migrate("rules", kMigrations));
  std::unique_ptr<RuleStore> rules(new RuleStore(registry, twins, clock));
  TRY(rules->load());
  return rules;
}

Status RuleStore::load() {
  return registry_.read([&](Session& session) -> Status {
    Status wrong;
    TRY((session.each<OrganisationId, RuleId, bool, uint32_t, std::string>(
        [&](OrganisationId organisation, RuleId id, bool detector, uint32_t version,
            const std::string& text) {
          const auto document = parse_json(text);
          if (!document || !document->is_object()) {
            wrong = fail(ErrorCode::kCorrupt, "a stored rule cannot be read",
                         "rule_" + std::to_string(id.value));
            return;
          }
          Entry entry;
          entry.id = id;
          entry.organisation = organisation;
          entry.detector = detector;
          entry.version = version;
          if (detector)
            entry.detector_item = read_detector(id, *document);
          else
            entry.rule = read_rule(id, *document);
          entries_.push_back(std::move(entry));
        },
        "SELECT organisation_id, id, detector, version, document FROM rule ORDER BY id")));
    return wrong;
  });
}

/// Stores a new version and puts it into memory; `fresh` gives it a number first.
Status RuleStore::save(Entry& entry, bool fresh, std::string_view who) {
  TRY(put(entry, fresh, who));
  if (listener_) listener_();
  return {};
}

Status RuleStore::put(Entry& entry, bool fresh, std::string_view who) {
  const std::lock_guard one_change(write_mutex_);
  if (!fresh) {  // somebody may have been here since the caller looked
    TRY_ASSIGN(const Entry now, find(entry.organisation, entry.id, entry.detector));
    entry.version = now.version + 1;
  }
  const Status done = registry_.write([&](Session& session) -> Status {
    if (fresh) {
      TRY_ASSIGN(const int64_t id, session.next_id("rule"));
      entry.id = RuleId(static_cast<uint32_t>(id));
      entry.rule.id = entry.detector_item.id = entry.id;
    }
    const std::string document =
        (entry.detector ? detector_document(entry.detector_item) : rule_document(entry.rule))
            .dump(-1, ' ', false, Json::error_handler_t::replace);
    TRY(
        session.run("INSERT INTO rule (organisation_id, id, detector, version, document) "
                    "VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
                    "version = excluded.version, document = excluded.document",
                    entry.organisation, entry.id, entry.detector, entry.version, document));
    TRY(session.run(
        "INSERT INTO rule_version (organisation_id, rule_id, number, document, changed_by, "
        "changed_at) SELECT ?, ?, COALESCE(MAX(number), 0) + 1, ?, ?, ? FROM rule_version "
        "WHERE rule_id = ?",
        entry.organisation, entry.id, document, who, clock_.now(), entry.id));
    return {};
  });
  TRY(done);
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& one) { return one.id == entry.id; });
  if (found == entries_.end())
    entries_.push_back(entry);
  else
    *found = entry;
  return {};
}

Status RuleStore::remove(OrganisationId organisation, RuleId id, bool detector,
                         std::string_view who) {
  {
    const std::lock_guard one_change(write_mutex_);
    TRY(erase(organisation, id, detector, who));
  }
  if (listener_) listener_();
  return {};
}

Status RuleStore::erase(OrganisationId organisation, RuleId id, bool detector,
                        std::string_view who) {
  TRY(find(organisation, id, detector));
  const Status done = registry_.write([&](Session& session) -> Status {
    TRY(session.run("DELETE FROM rule WHERE id = ?", id));
    TRY(session.run(
        "INSERT INTO rule_version (organisation_id, rule_id, number, document, changed_by, "
        "changed_at) SELECT ?, ?, COALESCE(MAX(number), 0) + 1, 'null', ?, ? FROM "
        "rule_version WHERE rule_id = ?",
        organisation, id, who, clock_.now(), id));
    return {};
  });
  TRY(done);
  const std::lock_guard lock(mutex_);
  std::erase_if(entries_, [&](const Entry& one) { return one.id == id; });
  return {};
}

Result<RuleStore::Entry> RuleStore::find(OrganisationId organisation, RuleId id,
                                         bool detector) const {
  const std::lock_guard lock(mutex_);
  for (const Entry& entry : entries_)
    if (entry.id == id && entry.organisation == organisation && entry.detector == detector)
      return entry;
  return fail(ErrorCode::kNotFound,
              detector ? "there is no such detector" : "there is no such rule",
              "rule_" + std::to_string(id.value));
}

DetectorItem RuleStore::with_progress(const Entry& entry) const {
  DetectorItem item = entry.detector_item;
  item.state = "learning";
  item.detail = "waits for data";
  if (!progress_) return item;
  if (auto progress = progress_(entry.id)) {
    item.state = std::move(progress->state);
    item.detail = std::move(progress->detail);
    item.learned = progress->learned;
    item.samples = progress->samples;
  }
  return item;
}

// -- for those that run them

std::vector<RuleStore::RunningRule> RuleStore::all_rules() const {
  const std::lock_guard lock(mutex_);
  std::vector<RunningRule> out;
  for (const Entry& entry : entries_)
    if (!entry.detector) out.push_back({entry.rule, entry.organisation});
  return out;
}

std::vector<RuleStore::RunningDetector> RuleStore::all_detectors() const {
  const std::lock_guard lock(mutex_);
  std::vector<RunningDetector> out;
  for (const Entry& entry : entries_)
    if (entry.detector) out.push_back({entry.detector_item, entry.version});
  return out;
}

std::optional<AlarmSource> RuleStore::source(RuleId id, TwinId twin) const {
  AlarmSource out;
  auto kind = RuleKind::kThreshold;
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(entries_.begin(), entries_.end(),
                                    [&](const Entry& one) { return one.id == id; });
    if (found == entries_.end()) return std::nullopt;
    if (found->detector) {
      out.from_detector = true;
      out.name = "Anomaly detector";
      out.priority = found->detector_item.priority;
      out.message = "Behaves unlike it did while healthy";
      out.cause = "See which sensors contribute most";
      out.consequence = "A fault may be growing";
      out.action = "Compare the sensors that contribute with the days before, then inspect";
      return out;
    }
    const RuleItem& rule = found->rule;
    if (!rule.enabled) return std::nullopt;
    kind = rule.kind;
    out = {false,
           rule.name.empty() ? rule.message : rule.name,
           rule.priority,
           rule.element,
           "",
           rule.message,
           rule.cause,
           rule.consequence,
           rule.action};
  }
  const auto record = twins_.twin(twin);
  const auto* element = record ? record->model->element(out.element) : nullptr;
  if (element != nullptr) out.unit = element->unit;
  if (kind == RuleKind::kStale) out.unit = "second";
  if (kind == RuleKind::kRate && !out.unit.empty()) out.unit += "/s";
  return out;
}

// -- rules

Result<std::vector<RuleItem>> RuleStore::rules(OrganisationId organisation) {
  const std::lock_guard lock(mutex_);
  std::vector<RuleItem> out;
  for (const Entry& entry : entries_)
    if (!entry.detector && entry.organisation == organisation) out.push_back(entry.rule);
  return out;
}

Result<RuleItem> RuleStore::create_rule(OrganisationId organisation, const RuleItem& rule,
                                        std::string_view who) {
  Entry entry;
  entry.organisation = organisation;
  entry.rule = rule;
  TRY(save(entry, true, who));
  return entry.rule;
}

Result<RuleItem> RuleStore::replace_rule(OrganisationId organisation, const RuleItem& rule,
                                         std::string_view who) {
  TRY_ASSIGN(Entry entry, find(organisation, rule.id, false));
  entry.rule = rule;
  TRY(save(entry, false, who));
  return entry.rule;
}

Status RuleStore::delete_rule(OrganisationId organisation, RuleId id, std::string_view who) {
  return remove(organisation, id, false, who);
}

// -- detectors

Result<std::vector<DetectorItem>> RuleStore::detectors(OrganisationId organisation) {
  std::vector<Entry> mine;
  {
    const std::lock_guard lock(mutex_);
    for (const Entry& entry : entries_)
      if (entry.detector && entry.organisation == organisation) mine.push_back(entry);
  }
  std::vector<DetectorItem> out;
  for (const Entry& entry : mine) out.push_back(with_progress(entry));
  return out;
}

Result<DetectorItem> RuleStore::create_detector(OrganisationId organisation,
                                                const DetectorItem& detector) {
  const auto twin = twins_.twin(detector.twin);
  if (!twin || twin->organisation != organisation)
    return fail(ErrorCode::kNotFound, "there is no such twin");
  Entry entry;
  entry.organisation = organisation;
  entry.detector = true;
  entry.detector_item = detector;
  auto& elements = entry.detector_item.elements;
  if (elements.empty())
    for (const auto& element : twin->model->elements)
      if (!element.property && element.kind <= twin::ValueKind::kInteger)
        elements.push_back(element.key);
  if (elements.empty())
    return fail(ErrorCode::kInvalidArgument, "the twin has no numeric telemetry to watch",
                twin->name);
  TRY(save(entry, true, ""));
  return with_progress(entry);
}

Status RuleStore::delete_detector(OrganisationId organisation, RuleId id) {
  return remove(organisation, id, true, "");
}

Result<DetectorItem> RuleStore::learn(OrganisationId organisation, RuleId id, Timestamp from,
                                      Timestamp to) {
  TRY_ASSIGN(Entry entry, find(organisation, id, true));
  entry.detector_item.healthy_from = from;
  entry.detector_item.healthy_to = to;
  TRY(save(entry, false, ""));
  return with_progress(entry);
}

}  // namespace penstock::interfaces
