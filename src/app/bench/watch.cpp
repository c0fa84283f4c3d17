#include "app/bench/watch.h"

#include <chrono>
#include <random>
#include <vector>

#include "governance/learn/spc_evaluator.h"
#include "interfaces/alarms/rule_evaluator.h"

namespace penstock::app {
namespace {

using stream::Sample;

struct Count : stream::SignalSink {
  uint64_t signals = 0;
  void emit(const stream::Signal&) override { ++signals; }
};

constexpr uint32_t kLearnRows = 100;
constexpr int64_t kRowUs = 1'000'000;

/// One message of each twin, with values of its own.
class Fleet {
 public:
  Fleet(uint32_t twins, uint32_t sensors) : sensors_(sensors), samples_(size_t{twins} * sensors) {
    for (uint32_t i = 0; i < samples_.size(); ++i) samples_[i].series = SeriesId(i + 1);
    for (double& value : noise_) value = 50 + normal_(random_);
  }
  std::span<const Sample> next(uint32_t twin, int64_t at_us) {
    const std::span message(samples_.data() + size_t{twin} * sensors_, sensors_);
    for (Sample& sample : message) {
      sample.number = noise_[at_++ % std::size(noise_)];
      sample.source_time = sample.received_time = Timestamp{at_us};
    }
    return message;
  }

 private:
  uint32_t sensors_;
  std::vector<Sample> samples_;
  std::mt19937 random_{1};
  std::normal_distribution<double> normal_;
  double noise_[4093] = {};
  size_t at_ = 0;
};

/// ns a message, making the messages included when `evaluator` is null.
double run(stream::Evaluator* evaluator, const WatchBenchOptions& o, Fleet& fleet, int64_t& row,
           Count& sink) {
  const auto begin = std::chrono::steady_clock::now();
  for (uint64_t i = 0; i < o.messages;) {
    ++row;
    for (uint32_t twin = 0; twin < o.twins && i < o.messages; ++twin, ++i) {
      const auto message = fleet.next(twin, row * kRowUs);
      if (evaluator != nullptr) evaluator->on_samples(TwinId(twin + 1), message, sink);
    }
  }
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin)
             .count() /
         static_cast<double>(o.messages);
}

Status furnish(governance::SpcEvaluator& evaluator, const WatchBenchOptions& o, Fleet& fleet,
               int64_t& row, Count& sink) {
  for (uint32_t twin = 0; twin < o.twins; ++twin) {
    governance::DetectorConfig config;
    config.id = RuleId(twin + 1);
    config.twin = TwinId(twin + 1);
    for (uint32_t i = 0; i < o.sensors; ++i) config.series.emplace_back(1 + twin * o.sensors + i);
    config.learn_rows = kLearnRows;
    TRY(evaluator.set(config));
  }
  for (uint32_t i = 0; i < kLearnRows; ++i) {
    ++row;
    for (uint32_t twin = 0; twin < o.twins; ++twin)
      evaluator.on_samples(TwinId(twin + 1), fleet.next(twin, row * kRowUs), sink);
  }
  return {};
}

void furnish(interfaces::RuleEvaluator& evaluator, const WatchBenchOptions& o) {
  std::vector<interfaces::CompiledRule> rules(size_t{o.twins} * o.sensors);
  for (uint32_t i = 0; i < rules.size(); ++i) {
    rules[i].id = RuleId(i + 1);
    rules[i].twin = TwinId(i / o.sensors + 1);
    rules[i].series = SeriesId(i + 1);
    rules[i].limit = 90;
    rules[i].hysteresis = 1;
    rules[i].on_delay = Duration::seconds(5);
  }
  evaluator.set_rules(rules, Timestamp{1});
}

}  // namespace

Result<Json> bench_watch(const WatchBenchOptions& o) {
  if (o.twins == 0 || o.sensors == 0 || o.sensors > governance::kSpcSensorsMax)
    return fail(ErrorCode::kInvalidArgument, "a message has 1 to 64 values of at least one twin");
  Fleet fleet(o.twins, o.sensors);
  Count sink;
  int64_t row = 0;
  interfaces::RuleEvaluator rules;
  furnish(rules, o);
  governance::SpcEvaluator detectors;
  TRY(furnish(detectors, o, fleet, row, sink));
  const auto status = detectors.status(RuleId(1));
  if (!status || status->state != governance::DetectorState::kWatching)
    return fail(ErrorCode::kInternal, "the detectors have not learned");
  const double nothing = run(nullptr, o, fleet, row, sink);
  const double with_rules = run(&rules, o, fleet, row, sink);
  const double with_detectors = run(&detectors, o, fleet, row, sink);
  Bytes state;
  detectors.snapshot(state);
  return Json{{"twins", o.twins},
              {"values_per_message", o.sensors},
              {"rules_per_message", o.sensors},
              {"rules_ns_per_message", with_rules - nothing},
              {"detector_ns_per_message", with_detectors - nothing},
              {"detector_bytes_per_twin", state.size() / o.twins}};
}

}  // namespace penstock::app
