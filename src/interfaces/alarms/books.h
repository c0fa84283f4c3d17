#pragma once
// Alarms, the rules and detectors that raise them, and who keeps them: what people see and change
// of it. The books are interfaces, so that the API is tested without engines. Any thread; times in
// UTC.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "twin/registry.h"

namespace penstock::interfaces {

enum class Priority : uint8_t { kCritical, kHigh, kMedium, kLow };
std::string_view name(Priority priority);
Result<Priority> parse_priority(std::string_view text);

// -- alarms

enum class AlarmState : uint8_t { kActive, kAcknowledged, kCleared, kClosed };
std::string_view name(AlarmState state);

struct AlarmEvent {
  Timestamp at;
  std::string who, what, note;
};

struct AlarmItem {
  AlarmId id;
  OrganisationId organisation;
  TwinId twin;
  SiteId site;
  bool from_detector = false;
  RuleId source;  ///< rule or detector
  std::string source_name;
  Priority priority = Priority::kMedium;
  AlarmState state = AlarmState::kActive;
  Timestamp raised, acknowledged, cleared;  ///< 0: not yet
  std::string acknowledged_by;
  std::optional<double> value, limit;
  std::string element, unit;  ///< empty for detectors
  std::string message, cause, consequence, action;
  struct Contribution {
    std::string element;
    double share = 0;
  };
  std::vector<Contribution> contributions;  ///< most first
  std::vector<AlarmEvent> history;          ///< oldest first; only when one alarm is asked for
};

struct AlarmFilter {
  OrganisationId organisation;
  std::optional<AlarmState> state;
  bool open = false;  ///< everything but closed
  std::optional<Priority> priority;
  SiteId site;                   ///< 0: all
  TwinId twin;                   ///< 0: all
  std::vector<SiteId> sites;     ///< only these; empty: all
  uint64_t before = UINT64_MAX;  ///< only ids below
};

class AlarmBook {
 public:
  virtual ~AlarmBook() = default;
  /// Newest first.
  virtual Result<std::vector<AlarmItem>> alarms(const AlarmFilter& filter, size_t limit) = 0;
  virtual Result<AlarmItem> alarm(OrganisationId organisation, AlarmId id) = 0;
  virtual Result<AlarmItem> acknowledge(OrganisationId organisation, AlarmId id,
                                        std::string_view who, std::string_view note) = 0;
  virtual Result<AlarmItem> add_note(OrganisationId organisation, AlarmId id, std::string_view who,
                                     std::string_view text) = 0;
};

// -- rules and detectors

enum class RuleKind : uint8_t { kThreshold, kRate, kStale };
std::string_view name(RuleKind kind);

struct RuleItem {
  RuleId id;
  std::string name;  ///< for people; may be empty
  twin::Scope scope;
  std::string element;
  RuleKind kind = RuleKind::kThreshold;
  bool above = true;  ///< comparison ">"; false: "<"
  double limit = 0;   ///< element's unit; kRate: unit per second; kStale: seconds
  double hysteresis = 0;
  Duration on_delay, off_delay;
  Priority priority = Priority::kMedium;
  bool enabled = true;
  std::string message, cause, consequence, action;
};

class RuleBook {
 public:
  virtual ~RuleBook() = default;
  virtual Result<std::vector<RuleItem>> rules(OrganisationId organisation) = 0;  ///< by id
  virtual Result<RuleItem> create_rule(OrganisationId organisation, const RuleItem& rule,
                                       std::string_view who) = 0;
  virtual Result<RuleItem> replace_rule(OrganisationId organisation, const RuleItem& rule,
                                        std::string_view who) = 0;
  virtual Status delete_rule(OrganisationId organisation, RuleId id, std::string_view who) = 0;
};

struct DetectorItem {
  RuleId id;
  TwinId twin;
  std::vector<std::string> elements;
  std::string kind = "spc";
  std::string state;  ///< learning, active, failed, disabled
  std::string detail;
  Priority priority = Priority::kMedium;
  Timestamp healthy_from, healthy_to, learned;  ///< 0: none
  uint64_t samples = 0;
};

class DetectorBook {
 public:
  virtual ~DetectorBook() = default;
  virtual Result<std::vector<DetectorItem>> detectors(OrganisationId organisation) = 0;  ///< by id
  /// `elements` empty: all numeric telemetry. `from`, `to` 0: as it sees fit.
  virtual Result<DetectorItem> create_detector(OrganisationId organisation,
                                               const DetectorItem& detector) = 0;
  virtual Status delete_detector(OrganisationId organisation, RuleId id) = 0;
  /// Starts learning again; returns before it is done.
  virtual Result<DetectorItem> learn(OrganisationId organisation, RuleId id, Timestamp from,
                                     Timestamp to) = 0;
};

}  // namespace penstock::interfaces
