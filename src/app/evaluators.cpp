#include "app/evaluators.h"

#include <algorithm>
#include <future>

#include <fmt/format.h>

#include "base/log.h"

namespace penstock::app {

using governance::DetectorConfig;
using governance::DetectorState;
using governance::DetectorStatus;
using interfaces::DetectorProgress;

namespace {
constexpr size_t kLearnRows = 3600;
}

Evaluators::Evaluators(stream::Pipeline& pipeline, const twin::TwinRegistry& twins,
                       const interfaces::RuleStore& rules, stream::HistoryStore& history,
                       Clock& clock, WorkerPool& workers)
    : pipeline_(pipeline),
      twins_(twins),
      rules_(rules),
      history_(history),
      clock_(clock),
      workers_(workers) {
  for (uint32_t i = 0; i < pipeline_.shards(); ++i) {
    auto watched = std::make_unique<interfaces::RuleEvaluator>();
    auto detectors = std::make_unique<governance::SpcEvaluator>();
    shards_.push_back({watched.get(), detectors.get(), {}});
    pipeline_.shard(i).add_evaluator(std::move(watched));
    pipeline_.shard(i).add_evaluator(std::move(detectors));
  }
}

std::optional<uint32_t> Evaluators::shard_of_twin(TwinId id) const {
  const twin::TwinPtr twin = twins_.twin(id);
  if (!twin || twin->device.empty()) return std::nullopt;
  return stream::shard_of(twin->device, pipeline_.shards());
}

std::vector<std::shared_ptr<const Evaluators::Plan>> Evaluators::make_plans() const {
  std::vector<Plan> plans(shards_.size());
  for (const interfaces::CompiledRule& rule : interfaces::plan_rules(rules_, twins_))
    if (const auto shard = shard_of_twin(rule.twin)) plans[*shard].rules.push_back(rule);
  for (const auto& detector : rules_.all_detectors()) {
    const auto shard = shard_of_twin(detector.item.twin);
    if (!shard) continue;
    const twin::TwinPtr twin = twins_.twin(detector.item.twin);
    DetectorConfig config;
    config.id = detector.item.id;
    config.twin = detector.item.twin;
    config.series = interfaces::watched_series(detector.item, *twin);
    config.version = detector.version;
    // An hour at one row a second: shorter, and a compressor has not shown all that is normal.
    config.learn_rows = static_cast<uint32_t>(std::min<size_t>(
        kLearnRows,
        governance::SpcEvaluator::kLearnValuesMax / std::max<size_t>(config.series.size(), 1)));
    config.healthy_from = detector.item.healthy_from;
    config.healthy_to = detector.item.healthy_to;
    plans[*shard].detectors.push_back(std::move(config));
  }
  std::vector<std::shared_ptr<const Plan>> out;
  for (Plan& plan : plans) out.push_back(std::make_shared<const Plan>(std::move(plan)));
  return out;
}

void Evaluators::apply_soon() {
  if (wanted_.exchange(true)) return;
  const auto work = [this] {
    wanted_ = false;
    apply();
  };
  if (!workers_.submit(work)) work();
}

void Evaluators::apply() {
  const std::lock_guard lock(mutex_);
  const auto plans = make_plans();
  for (uint32_t i = 0; i < shards_.size(); ++i) {
    if (!running_) {
      set(shards_[i], *plans[i]);
      continue;
    }
    pipeline_.shard(i).post([this, i, plan = plans[i]] { set(shards_[i], *plan); });
  }
  if (!running_) return;
  for (uint32_t i = 0; i < shards_.size(); ++i) teach(i, *plans[i]);
}

void Evaluators::teach(uint32_t shard, const Plan& plan) {
  for (const DetectorConfig& config : plan.detectors) {
    if (config.healthy_to.us == 0 || config.healthy_to > clock_.now()) continue;
    uint32_t& taught = taught_[config.id];
    if (taught == config.version) continue;
    const auto status = ask(shard, config.id);
    if (!status) continue;  // it does not run: the log says why
    taught = config.version;
    if (status->state == DetectorState::kLearning) teach_one(shard, config);
  }
}

void Evaluators::teach_one(uint32_t shard, const DetectorConfig& config) {
  stream::HistoryQuery query;
  query.series = config.series;
  query.from = config.healthy_from;
  query.to = config.healthy_to;
  query.limit = governance::SpcEvaluator::kLearnValuesMax / config.series.size() + 1;
  const auto answer = history_.query(query);
  if (!answer) {
    log_warning("rules", "detector rule_{} cannot read its healthy window: {}", config.id.value,
                answer.error().text());
    taught_.erase(config.id);  // again with the next change
    return;
  }
  std::vector<stream::Sample> samples;
  for (const stream::HistorySeries& series : answer->series)
    for (size_t i = 0; i < series.time.size(); ++i) {
      stream::Sample& sample = samples.emplace_back();
      sample.series = series.series;
      sample.source_time = sample.received_time = series.time[i];
      sample.number = series.number[i];
      if (i < series.quality.size()) sample.quality = series.quality[i];
    }
  std::stable_sort(samples.begin(), samples.end(),
                   [](const auto& a, const auto& b) { return a.source_time < b.source_time; });
  auto rows = governance::SpcEvaluator::rows_of(config, samples);
  pipeline_.shard(shard).post([this, shard, id = config.id, rows = std::move(rows)] {
    const Status done = shards_[shard].detectors->learn_from(id, rows.rows, rows.last);
    if (!done)
      log_warning("rules", "detector rule_{} cannot learn from its healthy window: {}", id.value,
                  done.error().text());
  });
}

std::optional<DetectorStatus> Evaluators::ask(uint32_t shard, RuleId id) {
  const auto answer = std::make_shared<std::promise<std::optional<DetectorStatus>>>();
  auto status = answer->get_future();
  pipeline_.shard(shard).post(
      [this, shard, id, answer] { answer->set_value(shards_[shard].detectors->status(id)); });
  if (status.wait_for(std::chrono::seconds(2)) != std::future_status::ready) return std::nullopt;
  return status.get();
}

void Evaluators::set(OfShard& shard, const Plan& plan) const {
  shard.rules->set_rules(plan.rules, clock_.now());
  std::vector<RuleId> running;
  for (const DetectorConfig& config : plan.detectors) {
    if (const Status done = shard.detectors->set(config); done)
      running.push_back(config.id);
    else
      log_warning("rules", "detector rule_{} does not run: {}", config.id.value,
                  done.error().text());
  }
  for (const RuleId id : shard.running)
    if (std::find(running.begin(), running.end(), id) == running.end()) shard.detectors->remove(id);
  shard.running = std::move(running);
}

namespace {

DetectorProgress to_progress(const DetectorStatus& status) {
  DetectorProgress out;
  out.learned = status.learned;
  out.samples = status.rows;
  if (status.state == DetectorState::kWatching) {
    out.state = "active";
    out.detail = fmt::format("{:.0f} % of its limit", 100 * status.ratio);
    return out;
  }
  out.state = "learning";
  out.detail = status.detail.empty()
                   ? fmt::format("{} of {} healthy rows", status.rows, status.rows_wanted)
                   : status.detail;
  return out;
}

}  // namespace

std::optional<DetectorProgress> Evaluators::progress(RuleId id) {
  if (!running_) return std::nullopt;
  // Ids are few and the shard is not known from them: ask all, the one that has it answers.
  for (uint32_t i = 0; i < shards_.size(); ++i)
    if (const auto found = ask(i, id)) return to_progress(*found);
  return std::nullopt;
}

}  // namespace penstock::app
