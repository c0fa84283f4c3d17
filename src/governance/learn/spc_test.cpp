#include "governance/learn/spc.h"

#include <cmath>
#include <numeric>
#include <random>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "base/testing/allocations.h"

namespace penstock::governance {
namespace {

constexpr size_t kSensors = 4;

/// A machine with a load that drives three sensors, and a fourth on its own.
class Machine {
 public:
  explicit Machine(uint32_t seed) : random_(seed) {}
  std::vector<double> row(double fault = 0) {
    load_ = 0.9 * load_ + noise_(random_);
    return {7 + 0.2 * load_ + 0.05 * noise_(random_), 80 + 3 * load_ + 0.5 * noise_(random_),
            40 + 2 * load_ + 0.5 * noise_(random_) + fault, 3 + 0.1 * noise_(random_)};
  }
  std::vector<double> rows(size_t count) {
    std::vector<double> out;
    for (size_t i = 0; i < count; ++i) {
      const auto one = row();
      out.insert(out.end(), one.begin(), one.end());
    }
    return out;
  }

 private:
  std::mt19937 random_;
  std::normal_distribution<double> noise_;
  double load_ = 0;
};

TEST(Spc, AFaultAlarmsAndNamesItsSensor) {
  Machine machine(1);
  auto monitor = SpcMonitor::learn(machine.rows(500), kSensors, {});
  ASSERT_TRUE(monitor) << monitor.error().text();
  for (int i = 0; i < 2000; ++i)
    ASSERT_LT(monitor->step(machine.row()).ratio(), 1) << "healthy row " << i;
  int until_alarm = 0;
  while (monitor->step(machine.row(6)).ratio() < 1) ASSERT_LT(++until_alarm, 60);
  std::vector<double> shares(kSensors);
  monitor->contributions(shares);
  EXPECT_NEAR(std::accumulate(shares.begin(), shares.end(), 0.0), 1, 1e-9);
  EXPECT_EQ(std::max_element(shares.begin(), shares.end()) - shares.begin(), 2);
  int until_clear = 0;
  while (monitor->step(machine.row()).ratio() > 0.5) ASSERT_LT(++until_clear, 200);
}

TEST(Spc, ABrokenCorrelationAlarmsThoughEverySensorStaysInItsRange) {
  Machine machine(2);
  auto monitor = SpcMonitor::learn(machine.rows(500), kSensors, {});
  ASSERT_TRUE(monitor);
  // Temperature and current follow the load together; now the one is high while the other is low.
  const std::vector<double> strange = {7.0, 80 + 5.0, 40 - 3.5, 3.0};
  SpcScore score;
  for (int i = 0; i < 60; ++i) score = monitor->step(strange);
  EXPECT_GT(score.q, 1);
}

TEST(Spc, FollowsTheDriftOfASensorThatDriftedWhileHealthy) {
  std::mt19937 random(3);
  std::normal_distribution<double> noise;
  double slow = 20;
  const auto row = [&](double shift) {
    slow += 0.05 * noise(random);
    return std::vector<double>{slow + 0.02 * noise(random), 5 + noise(random) + shift};
  };
  std::vector<double> healthy;
  for (int i = 0; i < 1000; ++i)
    for (const double value : row(0)) healthy.push_back(value);
  auto monitor = SpcMonitor::learn(healthy, 2, {});
  ASSERT_TRUE(monitor);
  EXPECT_DOUBLE_EQ(monitor->drift_gain(0), SpcParameters().drift_gain_max);
  EXPECT_LT(monitor->drift_gain(1), 2e-4) << "a sensor that only fluctuates has no drift to follow";
  int alarms = 0;
  for (int i = 0; i < 20'000; ++i) alarms += monitor->step(row(0)).ratio() > 1;
  EXPECT_LT(alarms, 200) << "of 20000 healthy rows";
  SpcScore score;
  for (int i = 0; i < 400; ++i) score = monitor->step(row(4));
  EXPECT_GT(score.ratio(), 1) << "and yet a shift of a steady sensor stays an alarm";
}

TEST(Spc, ASensorWithoutValueIsNoAlarm) {
  Machine machine(4);
  auto monitor = SpcMonitor::learn(machine.rows(600), kSensors, {});
  ASSERT_TRUE(monitor);
  for (int i = 0; i < 3000; ++i) {
    auto row = machine.row();
    row[static_cast<size_t>(i / 500) % kSensors] = i % 1000 < 500 ? std::nan("") : INFINITY;
    ASSERT_LT(monitor->step(row).ratio(), 1) << i;
  }
}

TEST(Spc, AConstantSensorIsNotWatched) {
  Machine machine(5);
  auto rows = machine.rows(300);
  for (size_t i = 3; i < rows.size(); i += kSensors) rows[i] = 50;
  auto monitor = SpcMonitor::learn(rows, kSensors, {});
  ASSERT_TRUE(monitor);
  EXPECT_EQ(monitor->deviation(3), 0);
  for (int i = 0; i < 300; ++i) {
    auto row = machine.row();
    row[3] = 49;
    ASSERT_LT(monitor->step(row).ratio(), 1);
  }
}

TEST(Spc, TwoSensorsThatAgreeExactlyDoNotAlarmOnRounding) {
  std::mt19937 random(6);
  std::normal_distribution<double> noise;
  std::vector<double> rows;
  for (int i = 0; i < 300; ++i) {
    const double value = noise(random);
    rows.insert(rows.end(), {value, 3 * value + 1});
  }
  auto monitor = SpcMonitor::learn(rows, 2, {});
  ASSERT_TRUE(monitor);
  for (int i = 0; i < 500; ++i) {
    const double value = noise(random);
    ASSERT_LT(monitor->step(std::vector<double>{value, 3 * value + 1}).ratio(), 1);
  }
}

TEST(Spc, SaysWhatIsWrongWithAHealthyWindow) {
  Machine machine(7);
  EXPECT_NE(SpcMonitor::learn(machine.rows(20), kSensors, {}).error().message.find("at least 100"),
            std::string::npos);
  EXPECT_NE(SpcMonitor::learn(std::vector<double>(800, 1.0), 2, {}).error().message.find("runs"),
            std::string::npos);
  auto rows = machine.rows(200);
  rows[17] = std::nan("");
  EXPECT_FALSE(SpcMonitor::learn(rows, kSensors, {}));
  SpcParameters bad;
  bad.smoothing = 0;
  EXPECT_FALSE(SpcMonitor::learn(machine.rows(200), kSensors, bad));
}

TEST(Spc, GoesOnWhereItStoodAfterEncodeAndDecode) {
  Machine machine(8);
  auto monitor = SpcMonitor::learn(machine.rows(300), kSensors, {});
  ASSERT_TRUE(monitor);
  for (int i = 0; i < 40; ++i) monitor->step(machine.row(3));
  Bytes bytes;
  monitor->encode(bytes);
  ByteReader in(bytes);
  auto again = SpcMonitor::decode(in);
  ASSERT_TRUE(again);
  EXPECT_TRUE(in.done());
  for (int i = 0; i < 40; ++i) {
    const auto row = machine.row(3);
    const SpcScore a = monitor->step(row), b = again->step(row);
    ASSERT_EQ(a.t2, b.t2);
    ASSERT_EQ(a.q, b.q);
  }
  for (size_t cut = 0; cut < bytes.size(); cut += 7) {
    ByteReader half(ByteView(bytes).first(cut));
    EXPECT_FALSE(SpcMonitor::decode(half));
  }
}

TEST(Spc, AStepAllocatesNothing) {
  Machine machine(9);
  auto monitor = SpcMonitor::learn(machine.rows(300), kSensors, {});
  ASSERT_TRUE(monitor);
  const auto row = machine.row();
  std::vector<double> shares(kSensors);
  const uint64_t before = testing_allocations();
  for (int i = 0; i < 1000; ++i) {
    monitor->step(row);
    monitor->contributions(shares);
  }
  EXPECT_EQ(testing_allocations(), before);
}

TEST(Spc, SharesAreAlwaysADivisionOfOne) {
  rc::check([] {
    Machine machine(*rc::gen::arbitrary<uint32_t>());
    const auto monitor = SpcMonitor::learn(machine.rows(150), kSensors, {});
    RC_ASSERT(bool(monitor));
    SpcMonitor running = *monitor;
    for (int i = 0; i < 30; ++i) {
      auto row = machine.row(*rc::gen::inRange(-20, 20));
      if (*rc::gen::inRange(0, 3) == 0) row[*rc::gen::inRange<size_t>(0, kSensors)] = std::nan("");
      running.step(row);
      std::vector<double> shares(kSensors);
      running.contributions(shares);
      double sum = 0;
      for (const double share : shares) {
        RC_ASSERT(share >= 0);
        sum += share;
      }
      RC_ASSERT(std::abs(sum - 1) < 1e-9);
    }
  });
}

}  // namespace
}  // namespace penstock::governance
