#pragma once
// Rules and detectors on the shards: what people configure becomes what the evaluators run, again
// whenever rules or twins change.

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "app/worker_pool.h"
#include "governance/learn/spc_evaluator.h"
#include "interfaces/alarms/rule_evaluator.h"
#include "interfaces/alarms/rule_plan.h"
#include "interfaces/alarms/rule_store.h"
#include "stream/history.h"
#include "stream/pipeline.h"
#include "stream/views.h"
#include "twin/registry.h"

namespace penstock::app {

/// Any thread. REQUIRES: all references outlive it, and it outlives the shards' threads.
class Evaluators final : public stream::ConfigurationListener {
 public:
  /// Gives each shard its evaluators. REQUIRES: before the pipeline recovers.
  Evaluators(stream::Pipeline& pipeline, const twin::TwinRegistry& twins,
             const interfaces::RuleStore& rules, stream::HistoryStore& history, Clock& clock,
             WorkerPool& workers);

  /// Hands the present configuration to all shards; at once while they do not run yet.
  void apply();
  /// From now on the shards have threads.
  void set_running() {
    running_ = true;
    apply_soon();  // detectors whose healthy window has passed learn from history
  }

  void twin_changed(TwinId) override { apply_soon(); }
  void rules_changed() override { apply_soon(); }

  /// Asks the shard that runs it; nothing where none does (yet).
  std::optional<interfaces::DetectorProgress> progress(RuleId detector);

 private:
  struct OfShard {
    interfaces::RuleEvaluator* rules = nullptr;
    governance::SpcEvaluator* detectors = nullptr;
    std::vector<RuleId> running;  ///< detectors that are set there; the shard's thread
  };
  struct Plan {
    std::vector<interfaces::CompiledRule> rules;
    std::vector<governance::DetectorConfig> detectors;
  };
  /// One a shard.
  [[nodiscard]] std::vector<std::shared_ptr<const Plan>> make_plans() const;
  void apply_soon();  ///< on a worker; many changes in a row become one
  void set(OfShard& shard, const Plan& plan) const;
  /// Detectors with a healthy window that has passed and that have not learned yet, once each.
  void teach(uint32_t shard, const Plan& plan);
  void teach_one(uint32_t shard, const governance::DetectorConfig& config);
  std::optional<governance::DetectorStatus> ask(uint32_t shard, RuleId detector);
  [[nodiscard]] std::optional<uint32_t> shard_of_twin(TwinId twin) const;

  stream::Pipeline& pipeline_;
  const twin::TwinRegistry& twins_;
  const interfaces::RuleStore& rules_;
  stream::HistoryStore& history_;
  Clock& clock_;
  WorkerPool& workers_;
  std::atomic<bool> wanted_{false};
  std::vector<OfShard> shards_;
  std::atomic<bool> running_{false};
  std::mutex mutex_;                   ///< one apply at a time, so that the newest wins
  std::map<RuleId, uint32_t> taught_;  ///< version; under mutex_
};

}  // namespace penstock::app
