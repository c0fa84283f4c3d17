#pragma once
// Rules on a shard: thresholds, rates of change and silence, found by series number in O(1).

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "interfaces/alarms/compiled_rule.h"
#include "stream/evaluator.h"

namespace penstock::interfaces {

/// Delays run by the source time of samples; where no sample comes, the tick lets them run by the
/// wall clock. Samples older than the newest of their series, of bad quality, or without a number
/// decide nothing. REQUIRES: every call on the shard's thread.
class RuleEvaluator final : public stream::Evaluator {
 public:
  RuleEvaluator();
  ~RuleEvaluator() override;
  [[nodiscard]] const char* name() const override { return "rules"; }
  RuleEvaluator(const RuleEvaluator&) = delete;
  RuleEvaluator& operator=(const RuleEvaluator&) = delete;

  /// Replaces all rules. Those that stay (same id, twin and condition) keep their state; an alarm
  /// of one that is gone ends with the next tick. `now`: from when on silence counts for new ones.
  void set_rules(std::span<const CompiledRule> rules, Timestamp now);
  [[nodiscard]] size_t rules() const;
  [[nodiscard]] bool active(RuleId rule, TwinId twin) const;

  void on_samples(TwinId twin, std::span<const stream::Sample> samples,
                  stream::SignalSink& sink) override;
  void on_tick(Timestamp now, stream::SignalSink& sink) override;
  void snapshot(Bytes& out) const override;
  [[nodiscard]] Status restore(ByteView bytes) override;

 private:
  struct Slot;
  struct Rate;
  struct Kept;  ///< what of a slot outlives a restart or a new set of rules
  using Key = std::pair<RuleId, TwinId>;

  void take(Slot& slot, const stream::Sample& sample, stream::SignalSink& sink);
  void heard(Slot& slot, Timestamp received, stream::SignalSink& sink);
  void decide(Slot& slot, bool holds, double value, Timestamp time, Timestamp received,
              stream::SignalSink& sink);
  void change(Slot& slot, bool active, double value, Timestamp time, stream::SignalSink& sink);
  void tick(Slot& slot, Timestamp now, stream::SignalSink& sink);
  void say_ended(stream::SignalSink& sink);
  void index();
  [[nodiscard]] Kept keep(const Slot& slot) const;
  static void put_back(Slot& slot, const Kept& kept);

  std::vector<Slot> slots_;           ///< by series, those of whole twins (series 0) first
  std::vector<uint32_t> by_series_;   ///< slots of series s: [by_series_[s], by_series_[s + 1])
  std::vector<uint32_t> by_twin_;     ///< the same over whole_twin_
  std::vector<uint32_t> whole_twin_;  ///< slots without series, by twin
  std::vector<uint32_t> ticking_;     ///< slots that a tick may change
  std::vector<Rate> rates_;
  std::vector<stream::Signal> ended_;  ///< alarms whose rule is gone
  std::map<Key, Kept> restored_;       ///< state of rules that are not set yet
  Timestamp last_tick_;
  uint32_t ticks_ = 0;
};

}  // namespace penstock::interfaces
