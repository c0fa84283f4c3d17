#include "governance/learn/evaluate.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include <gtest/gtest.h>
#include <unistd.h>

namespace penstock::governance {
namespace {

std::string shared_folder() {
  if (const char* set = std::getenv("PENSTOCK_SHARED")) return set;
  return PENSTOCK_SOURCE_DIR "/../shared";
}

class Evaluate : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/penstock-evaluate-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& name, const std::string& content) {
    std::filesystem::create_directories(std::filesystem::path(folder_ + "/" + name).parent_path());
    std::ofstream(folder_ + "/" + name) << content;
  }
  /// 400 healthy rows, then 100 healthy, 100 faulty, 100 healthy.
  static std::string run(uint32_t seed, bool labelled) {
    std::mt19937 random(seed);
    std::normal_distribution<double> noise;
    std::string out =
        labelled ? "datetime;flow;current;anomaly;changepoint\n" : "datetime;flow;current\n";
    for (int i = 0; i < 700; ++i) {
      const bool fault = i >= 500 && i < 600;
      out += std::to_string(i) + ";" + std::to_string(30 + noise(random) - (fault ? 8 : 0)) + ";" +
             std::to_string(5 + 0.1 * noise(random));
      if (labelled) out += fault ? ";1.0;0.0" : ";0.0;0.0";
      out += '\n';
    }
    return out;
  }
  std::string folder_;
};

TEST_F(Evaluate, FindsTheFaultInEveryFolderAndNamesWhatItSkips) {
  write("a/0.csv", run(1, true));
  write("b/deep/1.csv", run(2, true));
  write("2.csv", run(3, true));
  write("free.csv", run(4, false));
  write("notes.txt", "nothing");
  const auto report = evaluate_dataset(system_files(), folder_);
  ASSERT_TRUE(report) << report.error().text();
  ASSERT_EQ(report->runs.size(), 3u);
  EXPECT_EQ(report->runs[0].name, "2.csv");
  EXPECT_EQ(report->runs[2].name, "b/deep/1.csv");
  EXPECT_EQ(report->skipped, std::vector<std::string>{"free.csv"});
  EXPECT_GT(report->total.f1(), 0.8);
  const Json json = report->to_json();
  EXPECT_EQ(json["rows"], 900);
  EXPECT_DOUBLE_EQ(json["f1"].get<double>(), report->total.f1());
  EXPECT_TRUE(json.contains("leave_one_run_out"));
  EXPECT_NE(report->table().find("b/deep/1.csv"), std::string::npos);
}

TEST_F(Evaluate, HealthyRecordingsAreJudgedApart) {
  write("0.csv", run(1, true));
  write("1.csv", run(2, true));
  const auto before = evaluate_dataset(system_files(), folder_);
  ASSERT_TRUE(before) << before.error().text();
  EXPECT_EQ(before->healthy.quiet, 0u);
  std::string healthy = "datetime;flow;current\n";
  std::mt19937 random(3);
  std::normal_distribution<double> noise;
  // Two pieces; the second jumps where it is judged.
  for (int i = 0; i < 2300; ++i)
    healthy += std::to_string(i) + ";" +
               std::to_string(30 + noise(random) + (i >= 1600 && i < 1700 ? 9 : 0)) + ";" +
               std::to_string(5 + 0.1 * noise(random)) + "\n";
  write("anomaly-free/day.csv", healthy);
  const auto report = evaluate_dataset(system_files(), folder_);
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->runs.size(), 2u);
  EXPECT_TRUE(report->skipped.empty());
  EXPECT_DOUBLE_EQ(report->total.f1(), before->total.f1()) << "the protocol knows only labels";
  EXPECT_EQ(report->healthy.quiet + report->healthy.false_alarms, 1400u);
  EXPECT_GT(report->healthy.false_alarms, 50u);
  EXPECT_LT(report->healthy.false_alarms, 250u);
}

TEST_F(Evaluate, NamesFileAndLineOfWhatItCannotRead) {
  write("a.csv", "datetime;flow;anomaly\n1;2;0\n2;many;0\n");
  const auto report = evaluate_dataset(system_files(), folder_);
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().message.find("line 3"), std::string::npos);
  EXPECT_NE(report.error().about.find("a.csv"), std::string::npos);
}

TEST_F(Evaluate, RefusesAFolderWithoutLabels) {
  write("a.csv", run(1, false));
  EXPECT_EQ(evaluate_dataset(system_files(), folder_).error().code, ErrorCode::kNotFound);
}

TEST(Confusions, CountAsThePublicProtocolDoes) {
  const std::vector<double> ratios = {9, 9, 0.1, 0.7, 1.2, 0.7, 0.4, 2};
  const std::vector<bool> truth = {true, true, false, false, true, true, true, false};
  const Confusion with = judge(ratios, truth, 2, 1, 0.5);
  EXPECT_EQ(with.true_alarms, 2u);
  EXPECT_EQ(with.false_alarms, 1u);
  EXPECT_EQ(with.missed, 1u);
  EXPECT_EQ(with.quiet, 2u);
  EXPECT_DOUBLE_EQ(with.f1(), 4.0 / 6);
  EXPECT_DOUBLE_EQ(with.false_alarm_rate(), 1.0 / 3);
  EXPECT_DOUBLE_EQ(with.missed_alarm_rate(), 1.0 / 3);
  EXPECT_EQ(judge(ratios, truth, 2, 1, 1).true_alarms, 1u);
  EXPECT_EQ(Confusion().f1(), 0);
}

TEST(Skab, ReachesWhatTheIssueAsksFor) {
  const std::string folder = shared_folder() + "/data/skab_pump";
  if (!system_files().exists(folder))
    GTEST_SKIP() << folder << " is not here: the public pump runs are not part of the project";
  const auto report = evaluate_dataset(system_files(), folder);
  ASSERT_TRUE(report) << report.error().text();
  ASSERT_EQ(report->runs.size(), 16u);
  EXPECT_GE(report->total.f1(), 0.87);
  EXPECT_LE(report->total.false_alarm_rate(), 0.08);
  EXPECT_GE(report->healthy.quiet + report->healthy.false_alarms, 5'000u);
  EXPECT_LE(report->healthy.false_alarm_rate(), 0.2) << "healthy days that no run has shown";
  ASSERT_TRUE(report->leave_one_run_out);
  EXPECT_GE(report->leave_one_run_out->f1(), 0.86);
  EXPECT_LE(report->leave_one_run_out->false_alarm_rate(), 0.1);
  EXPECT_EQ(report->chosen_by_all.to_json(), SpcParameters().to_json())
      << "the defaults are what the documented procedure chooses";
}

}  // namespace
}  // namespace penstock::governance
