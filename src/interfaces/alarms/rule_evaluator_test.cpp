#include "interfaces/alarms/rule_evaluator.h"

#include <cmath>
#include <memory>
#include <optional>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "base/testing/allocations.h"

namespace penstock::interfaces {
namespace {

using stream::Quality;
using stream::Sample;
using stream::Signal;

struct Heard : stream::SignalSink {
  std::vector<Signal> all;
  void emit(const Signal& signal) override { all.push_back(signal); }
};

CompiledRule threshold(double limit, double hysteresis = 0) {
  CompiledRule rule;
  rule.id = RuleId(1);
  rule.twin = TwinId(5);
  rule.series = SeriesId(50);
  rule.limit = limit;
  rule.hysteresis = hysteresis;
  return rule;
}

class Rules : public ::testing::Test {
 protected:
  void set(const CompiledRule& rule) { evaluator_.set_rules(std::span(&rule, 1), at(0)); }
  static Timestamp at(int64_t second) { return Timestamp::from_seconds(1000 + second); }
  void feed(double value, int64_t second, Quality quality = Quality::kGood, uint32_t series = 50) {
    Sample sample;
    sample.series = SeriesId(series);
    sample.number = value;
    sample.quality = quality;
    sample.source_time = sample.received_time = at(second);
    evaluator_.on_samples(TwinId(5), std::span(&sample, 1), heard_);
  }
  void tick(int64_t second) { evaluator_.on_tick(at(second), heard_); }
  RuleEvaluator evaluator_;
  Heard heard_;
};

TEST_F(Rules, ADeadBandKeepsAnAlarmFromChattering) {
  set(threshold(100, 5));
  feed(100, 1);
  EXPECT_TRUE(heard_.all.empty()) << "above means above";
  feed(101, 2);
  ASSERT_EQ(heard_.all.size(), 1u);
  EXPECT_TRUE(heard_.all[0].active);
  EXPECT_EQ(heard_.all[0].value, 101);
  EXPECT_EQ(heard_.all[0].limit, 100);
  EXPECT_EQ(heard_.all[0].time, at(2));
  for (int i = 3; i < 20; ++i) feed(i % 2 ? 99 : 101, i);
  EXPECT_EQ(heard_.all.size(), 1u);
  feed(95, 21);
  ASSERT_EQ(heard_.all.size(), 2u);
  EXPECT_FALSE(heard_.all[1].active);
}

TEST_F(Rules, AboveAndBelow) {
  const struct {
    bool above;
    double on, off;
  } cases[] = {{true, 11, 10}, {false, 9, 10}};
  for (const auto& one : cases) {
    RuleEvaluator evaluator;
    auto rule = threshold(10);
    rule.above = one.above;
    evaluator.set_rules(std::span(&rule, 1), at(0));
    Sample sample;
    sample.series = SeriesId(50);
    sample.number = one.off;
    evaluator.on_samples(TwinId(5), std::span(&sample, 1), heard_);
    EXPECT_FALSE(evaluator.active(RuleId(1), TwinId(5)));
    sample.number = one.on;
    evaluator.on_samples(TwinId(5), std::span(&sample, 1), heard_);
    EXPECT_TRUE(evaluator.active(RuleId(1), TwinId(5)));
  }
}

TEST_F(Rules, DelaysRunBySourceTime) {
  auto rule = threshold(100);
  rule.on_delay = Duration::seconds(10);
  rule.off_delay = Duration::seconds(5);
  set(rule);
  feed(101, 1);
  feed(101, 10);
  feed(99, 11);  // too short
  feed(101, 12);
  feed(101, 21);
  EXPECT_TRUE(heard_.all.empty());
  feed(101, 22);
  ASSERT_EQ(heard_.all.size(), 1u);
  feed(99, 23);
  feed(101, 27);
  feed(99, 28);
  EXPECT_EQ(heard_.all.size(), 1u);
  feed(99, 33);
  EXPECT_EQ(heard_.all.size(), 2u);
}

TEST_F(Rules, TheTickEndsADelayWhereNoSampleComes) {
  auto rule = threshold(100);
  rule.on_delay = Duration::seconds(10);
  set(rule);
  tick(0);
  feed(101, 1);
  heard_.all.clear();
  for (int i = 2; i < 11; ++i) tick(i);
  EXPECT_TRUE(heard_.all.empty());
  tick(11);
  ASSERT_EQ(heard_.all.size(), 1u);
  EXPECT_TRUE(heard_.all[0].active);
  EXPECT_EQ(heard_.all[0].time, at(11));
}

TEST_F(Rules, SilenceIsAnAlarmAndASampleEndsIt) {
  CompiledRule rule = threshold(60);
  rule.kind = RuleKind::kStale;
  rule.series = {};
  set(rule);
  tick(0);
  feed(1, 10, Quality::kBad, 99);  // anything the twin says will do
  heard_.all.clear();
  for (int i = 11; i <= 70; ++i) tick(i);
  EXPECT_TRUE(heard_.all.empty());
  tick(71);
  ASSERT_EQ(heard_.all.size(), 1u);
  EXPECT_TRUE(heard_.all[0].active);
  for (int i = 72; i < 100; ++i) tick(i);
  EXPECT_EQ(heard_.all.size(), 1u);
  feed(1, 100, Quality::kGood, 98);
  ASSERT_EQ(heard_.all.size(), 2u);
  EXPECT_FALSE(heard_.all[1].active);
}

TEST_F(Rules, ASleepingServerBlamesNoDevice) {
  CompiledRule rule = threshold(60);
  rule.kind = RuleKind::kStale;
  set(rule);
  tick(0);
  tick(1);
  tick(10'000);  // the machine slept, or its clock jumped
  tick(10'001);
  EXPECT_TRUE(heard_.all.empty());
  for (int i = 10'002; i < 10'070; ++i) tick(i);
  EXPECT_EQ(heard_.all.size(), 1u);
}

TEST_F(Rules, TheRateOfChangeNeedsHalfAWindow) {
  auto rule = threshold(0.5);
  rule.kind = RuleKind::kRate;
  rule.window = Duration::seconds(60);
  set(rule);
  for (int i = 0; i < 60; ++i) feed(20 + 0.1 * i, i);
  EXPECT_TRUE(heard_.all.empty());
  int raised = -1;
  for (int i = 60; i < 200 && raised < 0; ++i) {
    feed(26 + 1.0 * (i - 60), i);
    if (!heard_.all.empty()) raised = i;
  }
  EXPECT_GT(raised, 75);
  EXPECT_LT(raised, 100);
  EXPECT_GT(heard_.all[0].value, 0.5);
}

TEST_F(Rules, WhatCannotDecideDoesNot) {
  set(threshold(100));
  feed(101, 10, Quality::kBad);
  feed(std::nan(""), 11);
  feed(99, 20);
  feed(150, 15);  // late
  feed(150, 21, Quality::kGood, 51);
  feed(150, 21, Quality::kGood, 4'000'000);
  EXPECT_TRUE(heard_.all.empty());
}

TEST_F(Rules, FollowsAClockThatWentBack) {
  set(threshold(100));
  feed(50, 1'000'000);
  for (int i = 0; i < 500; ++i) feed(150, i);
  EXPECT_EQ(heard_.all.size(), 1u);
}

TEST_F(Rules, ARuleThatGoesEndsItsAlarmAndANewLimitKeepsIt) {
  set(threshold(100));
  feed(120, 1);
  ASSERT_EQ(heard_.all.size(), 1u);
  set(threshold(110));
  feed(120, 2);
  EXPECT_EQ(heard_.all.size(), 1u);
  set(threshold(130));
  feed(120, 3);
  ASSERT_EQ(heard_.all.size(), 2u);
  EXPECT_FALSE(heard_.all[1].active);
  set(threshold(100));
  feed(120, 4);
  ASSERT_EQ(heard_.all.size(), 3u);
  evaluator_.set_rules({}, at(5));
  tick(5);
  ASSERT_EQ(heard_.all.size(), 4u);
  EXPECT_FALSE(heard_.all[3].active);
  EXPECT_EQ(heard_.all[3].source, RuleId(1));
}

TEST_F(Rules, ARestartKeepsActiveConditionsAndSaysAgainWhatATickMayHaveChanged) {
  auto rule = threshold(100);
  rule.on_delay = Duration::seconds(10);
  set(rule);
  feed(120, 1);
  feed(120, 12);
  ASSERT_EQ(heard_.all.size(), 1u);
  Bytes bytes;
  evaluator_.snapshot(bytes);
  for (const bool rules_first : {true, false}) {
    RuleEvaluator again;
    if (rules_first) again.set_rules(std::span(&rule, 1), at(20));
    ASSERT_TRUE(again.restore(bytes));
    if (!rules_first) again.set_rules(std::span(&rule, 1), at(20));
    EXPECT_TRUE(again.active(RuleId(1), TwinId(5)));
    heard_.all.clear();
    again.on_tick(at(20), heard_);
    Sample sample;
    sample.series = SeriesId(50);
    sample.number = 120;
    sample.source_time = sample.received_time = at(21);
    again.on_samples(TwinId(5), std::span(&sample, 1), heard_);
    ASSERT_EQ(heard_.all.size(), 1u);
    EXPECT_TRUE(heard_.all[0].active);
    sample.source_time = at(22);
    again.on_samples(TwinId(5), std::span(&sample, 1), heard_);
    EXPECT_EQ(heard_.all.size(), 1u) << "once is enough";
  }
  for (size_t cut = 0; cut < bytes.size(); ++cut)
    EXPECT_FALSE(RuleEvaluator().restore(ByteView(bytes).first(cut)));
}

/// What the rule means, written without any care for speed: the whole past of the series each time.
std::vector<std::pair<int64_t, bool>> naive(const CompiledRule& rule,
                                            const std::vector<std::pair<int64_t, double>>& all) {
  std::vector<std::pair<int64_t, bool>> out;
  bool active = false;
  std::optional<int64_t> since;
  int64_t newest = INT64_MIN;
  for (const auto& [us, value] : all) {
    if (us < newest) continue;
    newest = us;
    const bool above = rule.above;
    const double limit = !active ? rule.limit
                         : above ? rule.limit - rule.hysteresis
                                 : rule.limit + rule.hysteresis;
    const bool holds = above ? value > limit : value < limit;
    if (holds == active) {
      since.reset();
      continue;
    }
    if (!since) since = us;
    if (us - *since >= (active ? rule.off_delay.us : rule.on_delay.us)) {
      active = holds;
      since.reset();
      out.emplace_back(us, active);
    }
  }
  return out;
}

TEST(RuleProperty, AgreesWithTheNaiveReadingOnRandomStreams) {
  rc::check([] {
    std::vector<CompiledRule> rules;
    const auto count = *rc::gen::inRange<uint32_t>(1, 8);
    for (uint32_t i = 0; i < count; ++i) {
      CompiledRule rule;
      rule.id = RuleId(i + 1);
      rule.series = SeriesId(*rc::gen::inRange<uint32_t>(1, 4));
      rule.twin = TwinId(rule.series.value);
      rule.above = *rc::gen::arbitrary<bool>();
      rule.limit = *rc::gen::inRange(-5, 5);
      rule.hysteresis = *rc::gen::inRange(0, 4);
      rule.on_delay = Duration::micros(*rc::gen::inRange(0, 6));
      rule.off_delay = Duration::micros(*rc::gen::inRange(0, 6));
      rules.push_back(rule);
    }
    auto evaluator = std::make_unique<RuleEvaluator>();
    evaluator->set_rules(rules, Timestamp{1});
    Heard heard;
    std::map<uint32_t, std::vector<std::pair<int64_t, double>>> streams;
    int64_t now = 100;
    const auto steps = *rc::gen::inRange(1, 150);
    for (int i = 0; i < steps; ++i) {
      now += *rc::gen::inRange(0, 3);
      Sample sample;
      sample.series = SeriesId(*rc::gen::inRange<uint32_t>(1, 4));
      sample.number = *rc::gen::inRange(-8, 8);
      sample.source_time = {now - (*rc::gen::inRange(0, 10) == 0 ? 7 : 0)};
      sample.received_time = {now};
      streams[sample.series.value].emplace_back(sample.source_time.us, sample.number);
      evaluator->on_samples(TwinId(sample.series.value), std::span(&sample, 1), heard);
      if (*rc::gen::inRange(0, 20) == 0) {  // a restart at any moment changes nothing
        Bytes bytes;
        evaluator->snapshot(bytes);
        auto next = std::make_unique<RuleEvaluator>();
        next->set_rules(rules, Timestamp{1});
        RC_ASSERT(bool(next->restore(bytes)));
        evaluator = std::move(next);
      }
    }
    for (const CompiledRule& rule : rules) {
      std::vector<std::pair<int64_t, bool>> got;
      for (const Signal& signal : heard.all)
        if (signal.source == rule.id) got.emplace_back(signal.time.us, signal.active);
      RC_ASSERT(got == naive(rule, streams[rule.series.value]));
    }
  });
}

TEST_F(Rules, TheWarmPathAllocatesNothing) {
  auto rule = threshold(100, 1);
  rule.on_delay = Duration::seconds(2);
  set(rule);
  tick(0);
  heard_.all.reserve(1000);
  feed(50, 1);
  const uint64_t before = testing_allocations();
  for (int i = 2; i < 500; ++i) {
    feed(i / 20 % 2 ? 150 : 50, i);
    tick(i);
  }
  EXPECT_EQ(testing_allocations(), before);
  EXPECT_GT(heard_.all.size(), 5u);
}

}  // namespace
}  // namespace penstock::interfaces
