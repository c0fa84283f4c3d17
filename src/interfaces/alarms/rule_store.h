#pragma once
// Rules and detectors as people configure them: versioned documents in the registry, answered from
// memory.

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/io.h"
#include "interfaces/alarms/alarm_desk.h"
#include "interfaces/alarms/books.h"
#include "store/registry.h"

namespace penstock::interfaces {

/// How a detector is doing, as the one that runs it says.
struct DetectorProgress {
  std::string state;   ///< learning, active, failed
  std::string detail;  ///< a sentence
  Timestamp learned;   ///< 0: not yet
  uint64_t samples = 0;
};

/// Thread-safe. Every change is a new version of the document; older ones stay, with who made them.
class RuleStore final : public RuleBook, public DetectorBook {
 public:
  static Result<std::unique_ptr<RuleStore>> open(store::Registry& registry,
                                                 const twin::TwinRegistry& twins, Clock& clock);

  /// Called after every stored change, on the thread that made it.
  void set_listener(std::function<void()> listener) { listener_ = std::move(listener); }
  /// Asked for each detector that is shown; nothing: it does not run yet.
  void set_progress(std::function<std::optional<DetectorProgress>(RuleId)> progress) {
    progress_ = std::move(progress);
  }

  /// A detector as it is to run. `version` grows with each learn(): the same one keeps what is
  /// learned.
  struct RunningDetector {
    DetectorItem item;
    uint32_t version = 1;
  };
  struct RunningRule {
    RuleItem item;
    OrganisationId organisation;
  };
  [[nodiscard]] std::vector<RunningRule> all_rules() const;
  [[nodiscard]] std::vector<RunningDetector> all_detectors() const;
  /// What the alarm desk writes on an alarm of that source; nothing where it is gone or disabled.
  [[nodiscard]] std::optional<AlarmSource> source(RuleId id, TwinId twin) const;

  Result<std::vector<RuleItem>> rules(OrganisationId organisation) override;
  Result<RuleItem> create_rule(OrganisationId organisation, const RuleItem& rule,
                               std::string_view who) override;
  Result<RuleItem> replace_rule(OrganisationId organisation, const RuleItem& rule,
                                std::string_view who) override;
  Status delete_rule(OrganisationId organisation, RuleId id, std::string_view who) override;

  Result<std::vector<DetectorItem>> detectors(OrganisationId organisation) override;
  Result<DetectorItem> create_detector(OrganisationId organisation,
                                       const DetectorItem& detector) override;
  Status delete_detector(OrganisationId organisation, RuleId id) override;
  Result<DetectorItem> learn(OrganisationId organisation, RuleId id, Timestamp from,
                             Timestamp to) override;

 private:
  struct Entry {
    RuleId id;
    OrganisationId organisation;
    bool detector = false;
    uint32_t version = 1;
    RuleItem rule;
    DetectorItem detector_item;
  };
  RuleStore(store::Registry& registry, const twin::TwinRegistry& twins, Clock& clock);
  Status load();
  Status save(Entry& entry, bool fresh, std::string_view who);
  Status put(Entry& entry, bool fresh, std::string_view who);
  Status erase(OrganisationId organisation, RuleId id, bool detector, std::string_view who);
  Status remove(OrganisationId organisation, RuleId id, bool detector, std::string_view who);
  Result<Entry> find(OrganisationId organisation, RuleId id, bool detector) const;
  [[nodiscard]] DetectorItem with_progress(const Entry& entry) const;

  store::Registry& registry_;
  const twin::TwinRegistry& twins_;
  Clock& clock_;
  std::function<void()> listener_;
  std::function<std::optional<DetectorProgress>(RuleId)> progress_;
  std::mutex write_mutex_;  ///< one change at a time, so that memory and tables agree
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;  ///< by id
};

}  // namespace penstock::interfaces
