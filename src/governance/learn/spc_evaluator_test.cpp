#include "governance/learn/spc_evaluator.h"

#include <random>

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/testing/allocations.h"

namespace penstock::governance {
namespace {

using stream::Quality;
using stream::Sample;
using stream::Signal;

struct Heard : stream::SignalSink {
  struct One {
    Signal signal;
    std::string detail;
  };
  std::vector<One> all;
  void emit(const Signal& signal) override { all.push_back({signal, std::string(signal.detail)}); }
};

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kStart = 1'700'000'000 * kSecond;

class Spcs : public ::testing::Test {
 protected:
  static DetectorConfig config(uint32_t id = 7) {
    DetectorConfig out;
    out.id = RuleId(id);
    out.twin = TwinId(3);
    out.series = {SeriesId(11), SeriesId(12), SeriesId(13)};
    out.learn_rows = 300;
    return out;
  }
  Sample sample(size_t sensor, double value, int64_t at_s) const {
    Sample out;
    out.series = SeriesId(static_cast<uint32_t>(11 + sensor));
    out.number = value;
    out.source_time = out.received_time = Timestamp{kStart + at_s * kSecond};
    return out;
  }
  std::array<double, 3> machine(double fault = 0) {
    load_ = 0.9 * load_ + noise_(random_);
    return {10 + load_ + 0.2 * noise_(random_), 80 + 3 * load_ + 0.5 * noise_(random_) + fault,
            3 + 0.1 * noise_(random_)};
  }
  /// One message a second with all three.
  void run(SpcEvaluator& evaluator, int seconds, double fault = 0) {
    for (int i = 0; i < seconds; ++i, ++now_) {
      const auto values = machine(fault);
      const Sample samples[] = {sample(0, values[0], now_), sample(1, values[1], now_),
                                sample(2, values[2], now_)};
      evaluator.on_samples(TwinId(3), samples, heard_);
    }
  }
  std::mt19937 random_{1};
  std::normal_distribution<double> noise_;
  double load_ = 0;
  int64_t now_ = 0;
  Heard heard_;
};

TEST_F(Spcs, LearnsWatchesAlarmsAndClears) {
  SpcEvaluator evaluator;
  ASSERT_TRUE(evaluator.set(config()));
  run(evaluator, 299);
  EXPECT_EQ(evaluator.status(RuleId(7))->state, DetectorState::kLearning);
  EXPECT_EQ(evaluator.status(RuleId(7))->rows, 299u);
  run(evaluator, 1);
  EXPECT_EQ(evaluator.status(RuleId(7))->state, DetectorState::kWatching);
  run(evaluator, 1000);
  ASSERT_TRUE(heard_.all.empty()) << "a healthy machine";
  run(evaluator, 100, 8);
  ASSERT_EQ(heard_.all.size(), 1u);
  const auto& alarm = heard_.all[0];
  EXPECT_TRUE(alarm.signal.active);
  EXPECT_EQ(alarm.signal.twin, TwinId(3));
  EXPECT_EQ(alarm.signal.source, RuleId(7));
  EXPECT_GT(alarm.signal.value, alarm.signal.limit);
  const auto detail = parse_json(alarm.detail);
  ASSERT_TRUE(detail) << alarm.detail;
  EXPECT_EQ((*detail)["contributions"].size(), 3u);
  EXPECT_EQ((*detail)["contributions"][0]["series"], 12);
  double sum = 0;
  for (const auto& one : (*detail)["contributions"]) sum += one["share"].get<double>();
  EXPECT_NEAR(sum, 1, 1e-3);
  // The levels have followed the fault a little: the way back takes its time.
  run(evaluator, 1000);
  ASSERT_GE(heard_.all.size(), 2u);
  EXPECT_FALSE(heard_.all[1].signal.active);
  run(evaluator, 2000);
  EXPECT_FALSE(heard_.all.back().signal.active);
  EXPECT_LE(heard_.all.size(), 4u);
}

TEST_F(Spcs, ADelayKeepsAShortExcursionQuiet) {
  SpcEvaluator evaluator;
  auto with_delay = config();
  with_delay.on_delay = Duration::seconds(120);
  ASSERT_TRUE(evaluator.set(with_delay));
  run(evaluator, 300);
  run(evaluator, 30, 8);
  run(evaluator, 300);
  EXPECT_TRUE(heard_.all.empty());
  run(evaluator, 200, 8);
  EXPECT_EQ(heard_.all.size(), 1u);
}

TEST_F(Spcs, AssemblesRowsFromMessagesOfOneElementEachAndDifferentRates) {
  SpcEvaluator evaluator;
  ASSERT_TRUE(evaluator.set(config()));
  // Sensors 0 and 1 speak every second in messages of their own, sensor 2 every tenth second.
  const auto speak = [&](int seconds, double fault) {
    for (int i = 0; i < seconds; ++i, ++now_) {
      const auto values = machine(fault);
      for (const size_t sensor : {0, 1, 2}) {
        if (sensor == 2 && now_ % 10 != 0) continue;
        const Sample one = sample(sensor, values[sensor], now_);
        evaluator.on_samples(TwinId(3), std::span(&one, 1), heard_);
      }
    }
  };
  speak(305, 0);
  ASSERT_EQ(evaluator.status(RuleId(7))->state, DetectorState::kWatching);
  speak(500, 0);
  EXPECT_TRUE(heard_.all.empty());
  speak(100, 10);
  EXPECT_EQ(heard_.all.size(), 1u);
}

TEST_F(Spcs, LateBadAndTextSamplesAndASilentSensorDoNoHarm) {
  SpcEvaluator evaluator;
  ASSERT_TRUE(evaluator.set(config()));
  run(evaluator, 400);
  for (int i = 0; i < 100; ++i) {
    Sample odd = sample(1, 1e9, now_ - 200);  // late
    evaluator.on_samples(TwinId(3), std::span(&odd, 1), heard_);
    odd = sample(1, 1e9, now_ + i);
    odd.quality = Quality::kBad;
    evaluator.on_samples(TwinId(3), std::span(&odd, 1), heard_);
    odd.quality = Quality::kGood;
    odd.kind = stream::ValueKind::kText;
    evaluator.on_samples(TwinId(3), std::span(&odd, 1), heard_);
    odd = sample(30, 5, now_);  // an element that is not watched
    evaluator.on_samples(TwinId(3), std::span(&odd, 1), heard_);
    evaluator.on_samples(TwinId(99999), std::span(&odd, 1), heard_);
  }
  EXPECT_EQ(evaluator.status(RuleId(7))->late, 100u);
  for (int i = 0; i < 1000; ++i, ++now_) {  // sensor 2 is silent for longer than a value lasts
    const auto values = machine();
    const Sample samples[] = {sample(0, values[0], now_), sample(1, values[1], now_)};
    evaluator.on_samples(TwinId(3), samples, heard_);
  }
  EXPECT_TRUE(heard_.all.empty());
}

TEST_F(Spcs, FollowsAClockThatWentBack) {
  SpcEvaluator evaluator;
  ASSERT_TRUE(evaluator.set(config()));
  now_ = 1'000'000;
  run(evaluator, 400);
  now_ = 0;
  run(evaluator, 400);
  EXPECT_LT(evaluator.status(RuleId(7))->late, 300u);
  run(evaluator, 60, 10);
  EXPECT_EQ(heard_.all.size(), 1u);
}

TEST_F(Spcs, OnlyTheHealthyWindowTeaches) {
  SpcEvaluator evaluator;
  auto windowed = config();
  windowed.healthy_from = Timestamp{kStart + 100 * kSecond};
  windowed.healthy_to = Timestamp{kStart + 299 * kSecond};
  ASSERT_TRUE(evaluator.set(windowed));
  run(evaluator, 100, 50);
  EXPECT_EQ(evaluator.status(RuleId(7))->rows, 0u);
  run(evaluator, 201);
  EXPECT_EQ(evaluator.status(RuleId(7))->state, DetectorState::kWatching);
  EXPECT_EQ(evaluator.status(RuleId(7))->learned.us, kStart + 299 * kSecond);
}

TEST_F(Spcs, WaitsForAMachineThatStandsStill) {
  SpcEvaluator evaluator;
  ASSERT_TRUE(evaluator.set(config()));
  for (; now_ < 700; ++now_) {
    const Sample samples[] = {sample(0, 0, now_), sample(1, 20, now_), sample(2, 0, now_)};
    evaluator.on_samples(TwinId(3), samples, heard_);
  }
  EXPECT_EQ(evaluator.status(RuleId(7))->state, DetectorState::kLearning);
  EXPECT_NE(evaluator.status(RuleId(7))->detail.find("no sensor moved"), std::string::npos);
}

TEST_F(Spcs, ARestartChangesNothing) {
  for (const int before : {100, 350, 460}) {  // while learning, watching, alarming
    SpcEvaluator one;
    ASSERT_TRUE(one.set(config()));
    heard_.all.clear();
    now_ = 0;
    run(one, std::min(before, 400));
    run(one, before - std::min(before, 400), 8);
    Bytes bytes;
    one.snapshot(bytes);
    SpcEvaluator two, late_set;
    ASSERT_TRUE(two.set(config()));
    ASSERT_TRUE(two.restore(bytes));
    ASSERT_TRUE(late_set.restore(bytes));
    ASSERT_TRUE(late_set.set(config()));
    Bytes again, again_late;
    two.snapshot(again);
    late_set.snapshot(again_late);
    EXPECT_EQ(again, bytes);
    EXPECT_EQ(again_late, bytes);
    EXPECT_EQ(two.status(RuleId(7))->active, before == 460);
    // What a shard knows that does not own the twin must not overwrite what the owner knows.
    SpcEvaluator stranger;
    ASSERT_TRUE(stranger.set(config()));
    Bytes empty;
    stranger.snapshot(empty);
    ASSERT_TRUE(two.restore(empty));
    again.clear();
    two.snapshot(again);
    EXPECT_EQ(again, bytes);
    for (size_t cut = 0; cut < bytes.size(); cut += 97) {
      SpcEvaluator three;
      EXPECT_FALSE(three.restore(ByteView(bytes).first(cut)));
    }
  }
}

TEST_F(Spcs, ANewVersionLearnsAnewAndEndsTheAlarm) {
  SpcEvaluator evaluator;
  ASSERT_TRUE(evaluator.set(config()));
  run(evaluator, 400);
  run(evaluator, 100, 8);
  ASSERT_EQ(heard_.all.size(), 1u);
  auto next = config();
  next.on_delay = Duration::seconds(1);
  ASSERT_TRUE(evaluator.set(next));
  EXPECT_EQ(evaluator.status(RuleId(7))->state, DetectorState::kWatching) << "a delay is no reason";
  next.version = 2;
  ASSERT_TRUE(evaluator.set(next));
  EXPECT_EQ(evaluator.status(RuleId(7))->state, DetectorState::kLearning);
  evaluator.on_tick(Timestamp{kStart}, heard_);
  ASSERT_EQ(heard_.all.size(), 2u);
  EXPECT_FALSE(heard_.all[1].signal.active);
  evaluator.remove(RuleId(7));
  EXPECT_FALSE(evaluator.status(RuleId(7)));
  run(evaluator, 10);
}

TEST_F(Spcs, LearnsFromHistory) {
  SpcEvaluator evaluator;
  ASSERT_TRUE(evaluator.set(config()));
  std::vector<double> rows;
  for (int i = 0; i < 400; ++i)
    for (const double value : machine()) rows.push_back(value);
  ASSERT_TRUE(evaluator.learn_from(RuleId(7), rows, Timestamp{kStart}));
  EXPECT_EQ(evaluator.status(RuleId(7))->state, DetectorState::kWatching);
  EXPECT_FALSE(evaluator.learn_from(RuleId(7), std::span(rows).first(30), Timestamp{kStart}));
  EXPECT_FALSE(evaluator.learn_from(RuleId(8), rows, Timestamp{kStart}));
  run(evaluator, 60, 10);
  EXPECT_EQ(heard_.all.size(), 1u);
}

TEST_F(Spcs, HistoryMakesTheRowsThatLiveSamplesWouldHaveMade) {
  const auto wanted = config();
  std::vector<Sample> past;
  for (int i = 0; i < 300; ++i, ++now_) {
    const auto values = machine();
    for (size_t j = 0; j < 3; ++j) past.push_back(sample(j, values[j], now_));
    if (i == 50) past.back().quality = stream::Quality::kBad;
  }
  const auto rows = SpcEvaluator::rows_of(wanted, past);
  ASSERT_EQ(rows.rows.size(), 300u * 3) << "for a bad value the newest good one stands";
  EXPECT_EQ(rows.rows[50 * 3 + 2], past[49 * 3 + 2].number);
  EXPECT_EQ(rows.rows[299 * 3], past[299 * 3].number);
  EXPECT_EQ(rows.last, past.back().source_time);
  SpcEvaluator taught;
  ASSERT_TRUE(taught.set(wanted));
  EXPECT_FALSE(taught.learn_from(RuleId(7), std::span(rows.rows).first(30), rows.last));
  EXPECT_NE(taught.status(RuleId(7))->detail.find("too few"), std::string::npos);
  ASSERT_TRUE(taught.learn_from(RuleId(7), rows.rows, rows.last));
  EXPECT_EQ(taught.status(RuleId(7))->state, DetectorState::kWatching);
  EXPECT_EQ(taught.status(RuleId(7))->learned, rows.last);
  EXPECT_TRUE(taught.status(RuleId(7))->detail.empty());
  run(taught, 500);
  EXPECT_TRUE(heard_.all.empty());
  run(taught, 60, 8);
  EXPECT_FALSE(heard_.all.empty());
  EXPECT_TRUE(SpcEvaluator::rows_of(wanted, {}).rows.empty());
}

TEST_F(Spcs, RefusesWhatCannotWork) {
  SpcEvaluator evaluator;
  auto bad = config();
  bad.series.clear();
  EXPECT_FALSE(evaluator.set(bad));
  bad = config();
  bad.learn_rows = 10;
  EXPECT_NE(evaluator.set(bad).error().message.find("at least 100"), std::string::npos);
  bad.learn_rows = 1'000'000;
  EXPECT_NE(evaluator.set(bad).error().message.find("at most"), std::string::npos);
}

TEST_F(Spcs, TheWarmPathAllocatesNothing) {
  SpcEvaluator evaluator;
  ASSERT_TRUE(evaluator.set(config()));
  run(evaluator, 400);
  struct Quiet : stream::SignalSink {
    size_t count = 0;
    void emit(const Signal&) override { ++count; }
  } sink;
  const uint64_t before = testing_allocations();
  for (int i = 0; i < 5000; ++i, ++now_) {
    const auto values = machine(i / 500 % 4 == 1 ? 10 : 0);
    const Sample samples[] = {sample(0, values[0], now_), sample(1, values[1], now_),
                              sample(2, values[2], now_)};
    evaluator.on_samples(TwinId(3), samples, sink);
    evaluator.on_tick(Timestamp{kStart + now_ * kSecond}, sink);
  }
  EXPECT_EQ(testing_allocations(), before);
  EXPECT_GE(sink.count, 2u) << "alarms are part of it";
}

}  // namespace
}  // namespace penstock::governance
