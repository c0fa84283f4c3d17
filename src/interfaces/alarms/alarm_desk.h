#pragma once
// The alarm desk: turns the journal's signals into alarms that people work with. An alarm is one
// row from raise to close; its history says who did what. docs/alarms.md has the states.

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/io.h"
#include "base/metrics.h"
#include "interfaces/alarms/books.h"
#include "store/registry.h"
#include "stream/journal.h"
#include "stream/records.h"

namespace penstock::interfaces {

/// What an alarm says of the rule or detector that raised it.
struct AlarmSource {
  bool from_detector = false;
  std::string name;  ///< for people
  Priority priority = Priority::kMedium;
  std::string element, unit, message, cause, consequence, action;
};

/// Reads the journal with its own thread and keeps its offset in the same transaction as the
/// alarms: a restart neither loses nor repeats one. Thread-safe.
class AlarmDesk final : public AlarmBook {
 public:
  /// Nothing: that source is gone or off; its signals can still clear.
  using Sources = std::function<std::optional<AlarmSource>(RuleId source, TwinId twin)>;
  /// After the change is stored; on the thread that made it. Must not call back into the desk's
  /// writes.
  using Listener = std::function<void(const AlarmItem& alarm)>;

  /// Makes its tables and loads the open alarms. REQUIRES: all references outlive it.
  static Result<std::unique_ptr<AlarmDesk>> open(store::Registry& registry,
                                                 const twin::TwinRegistry& twins, Clock& clock,
                                                 Metrics& metrics, Sources sources);
  ~AlarmDesk() override;
  AlarmDesk(const AlarmDesk&) = delete;
  AlarmDesk& operator=(const AlarmDesk&) = delete;

  /// REQUIRES: before start().
  void set_listener(Listener listener) { listener_ = std::move(listener); }
  /// Goes on in the journal where it ended; from the oldest record where it has never read. Clears
  /// the alarms of rules, detectors and twins that are gone.
  Status start(stream::Journal& journal);
  void stop();

  /// Applies signals up to `next` in one transaction. What the thread does; tests call it by hand.
  Status apply(const std::vector<stream::Signal>& signals, stream::JournalOffset next);
  /// Everything before it is in the tables: the journal may be trimmed up to here.
  [[nodiscard]] stream::JournalOffset offset() const;

  Result<std::vector<AlarmItem>> alarms(const AlarmFilter& filter, size_t limit) override;
  Result<AlarmItem> alarm(OrganisationId organisation, AlarmId id) override;
  Result<AlarmItem> acknowledge(OrganisationId organisation, AlarmId id, std::string_view who,
                                std::string_view note) override;
  Result<AlarmItem> add_note(OrganisationId organisation, AlarmId id, std::string_view who,
                             std::string_view text) override;

 private:
  using Key = std::pair<TwinId, RuleId>;
  using Open = std::map<Key, AlarmItem>;
  AlarmDesk(store::Registry& registry, const twin::TwinRegistry& twins, Clock& clock,
            Metrics& metrics, Sources sources);
  Status load();
  void run();
  Status clear_orphans();
  /// What a transaction is about to do; memory follows once it is stored.
  struct Change {
    Open touched;                   ///< closed: no longer open
    std::vector<AlarmItem> alarms;  ///< as they were after each signal, for the listener
    uint64_t raised = 0;
  };
  AlarmItem* touch(const Key& key, Change& change) const;
  Status apply_one(store::Session& session, const stream::Signal& signal, Change& change);
  Status raise(store::Session& session, const stream::Signal& signal, Change& change);
  Result<AlarmItem> read_one(store::Session& session, OrganisationId organisation, AlarmId id);

  store::Registry& registry_;
  const twin::TwinRegistry& twins_;
  Clock& clock_;
  Sources sources_;
  Listener listener_;
  Counter& raised_;
  Gauge& open_gauge_;
  std::mutex write_mutex_;    ///< one change at a time, so that memory and tables agree
  mutable std::mutex mutex_;  ///< open_ and offset_
  Open open_;
  stream::JournalOffset offset_ = 0;
  stream::Journal* journal_ = nullptr;
  std::unique_ptr<stream::Journal::Reader> reader_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace penstock::interfaces
