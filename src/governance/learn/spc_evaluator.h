#pragma once
// The detector on a shard: assembles rows from messages, learns a healthy window, then watches and
// says when an asset leaves what it has learned, and which sensors show it.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "governance/learn/spc.h"
#include "stream/evaluator.h"

namespace penstock::governance {

/// One detector of one twin.
struct DetectorConfig {
  RuleId id;
  TwinId twin;
  std::vector<SeriesId> series;  ///< 1 to kSpcSensorsMax numeric elements of the twin
  SpcParameters parameters;
  /// A higher one learns anew; the same one keeps what is learned.
  uint32_t version = 1;
  uint32_t learn_rows = 600;                      ///< complete rows that make the healthy window
  Timestamp healthy_from, healthy_to;             ///< only rows of this time teach; 0: open
  Duration value_age_max = Duration::minutes(5);  ///< an older value counts as missing
  /// How long (source time) above or below before it says so. A machine on its way back wavers.
  Duration on_delay, off_delay = Duration::seconds(30);
};

enum class DetectorState : uint8_t { kLearning = 0, kWatching = 1 };

/// How a detector is doing. A copy.
struct DetectorStatus {
  DetectorState state = DetectorState::kLearning;
  uint32_t rows = 0, rows_wanted = 0;  ///< while learning
  Timestamp learned;                   ///< source time of the last row that taught; 0: not yet
  bool active = false;
  double ratio = 0;    ///< newest statistic over its limit
  std::string detail;  ///< why learning does not end; empty otherwise
  uint64_t late = 0;   ///< samples that came after newer ones and were left out
};

/// REQUIRES: every call on the shard's thread.
class SpcEvaluator final : public stream::Evaluator {
 public:
  /// Learning must not hold the shard up: rows * sensors of a healthy window at most.
  static constexpr size_t kLearnValuesMax = 200'000;

  SpcEvaluator();
  ~SpcEvaluator() override;
  [[nodiscard]] const char* name() const override { return "model"; }

  /// Adds a detector or replaces the one with its id. kInvalidArgument says what is wrong.
  [[nodiscard]] Status set(const DetectorConfig& config);
  /// An alarm it has raised ends with the next message or tick.
  void remove(RuleId id);
  /// Complete rows of the past, as many as may teach: what the same samples would have made of
  /// themselves had they come live. `by_time`: samples of the healthy window, oldest first.
  struct HealthyRows {
    std::vector<double> rows;  ///< `series.size()` values each
    Timestamp last;
  };
  static HealthyRows rows_of(const DetectorConfig& config, std::span<const stream::Sample> by_time);
  /// Learns from them. Where that fails, status() says why, too.
  [[nodiscard]] Status learn_from(RuleId id, std::span<const double> rows, Timestamp last_row);
  [[nodiscard]] std::optional<DetectorStatus> status(RuleId id) const;

  void on_samples(TwinId twin, std::span<const stream::Sample> samples,
                  stream::SignalSink& sink) override;
  void on_tick(Timestamp now, stream::SignalSink& sink) override;
  void snapshot(Bytes& out) const override;
  [[nodiscard]] Status restore(ByteView bytes) override;

 private:
  struct Detector;
  void take(Detector& detector, const stream::Sample& sample, size_t position,
            stream::SignalSink& sink);
  void close_row(Detector& detector, stream::SignalSink& sink);
  void learn_row(Detector& detector, bool complete);
  void watch_row(Detector& detector, stream::SignalSink& sink);
  void announce(Detector& detector, stream::SignalSink& sink);
  void say_ended(stream::SignalSink& sink);
  Detector* find(RuleId id) const;
  void index();

  std::vector<std::unique_ptr<Detector>> detectors_;  ///< by id
  std::vector<Detector*> first_of_twin_;              ///< by TwinId; the others hang on it
  struct Ended {
    TwinId twin;
    RuleId id;
    Timestamp time;
  };
  std::vector<Ended> ended_;          ///< alarms whose detector is gone or learns anew
  std::map<RuleId, Bytes> restored_;  ///< state of detectors that are not set yet
  uint32_t ticks_ = 0;
  std::string detail_;  ///< reused
};

}  // namespace penstock::governance
