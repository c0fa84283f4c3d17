#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "app/bench/watch.h"
#include "app/cli/cli.h"
#include "base/json.h"

namespace penstock::app::cli {
namespace {

class Detect : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/penstock-detect-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
    exit_code = 0;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  /// What the command prints; sets exit_code as main's would be.
  static std::string run(const std::string& arguments) {
    CLI::App root("penstock");
    add_detect(root);
    ::testing::internal::CaptureStdout();
    try {
      root.parse(arguments);
    } catch (const CLI::ParseError& error) {
      exit_code = 2;
    }
    return ::testing::internal::GetCapturedStdout();
  }
  static Json last_line(const std::string& text) {
    const size_t end = text.find_last_not_of('\n');
    const size_t start = text.rfind('\n', end);
    const size_t first = start == std::string::npos ? 0 : start + 1;
    return parse_json(std::string_view(text).substr(first, end + 1 - first)).value_or(Json());
  }
  std::string folder_;
};

TEST_F(Detect, EvaluatesAFolderAndEndsWithJson) {
  for (uint32_t seed = 1; seed <= 2; ++seed) {
    std::ofstream file(fmt::format("{}/{}.csv", folder_, seed));
    std::mt19937 random(seed);
    std::normal_distribution<double> noise;
    file << "datetime;flow;current;anomaly;changepoint\n";
    for (int i = 0; i < 700; ++i) {
      const bool fault = i >= 550;
      file << i << ';' << 30 + noise(random) - (fault ? 8 : 0) << ';' << 5 + 0.1 * noise(random)
           << ';' << (fault ? 1 : 0) << ";0\n";
    }
  }
  const std::string table = run("detect evaluate --dataset " + folder_ + "/");
  EXPECT_EQ(exit_code, 0);
  EXPECT_NE(table.find("1.csv"), std::string::npos) << table;
  const Json score = last_line(table);
  ASSERT_TRUE(score.contains("f1")) << table;
  EXPECT_GT(score["f1"].get<double>(), 0.9);
  EXPECT_LT(score["far"].get<double>(), 0.05);
  EXPECT_LT(score["mar"].get<double>(), 0.15);
  const std::string quiet = run("detect evaluate --json --dataset " + folder_);
  EXPECT_EQ(std::count(quiet.begin(), quiet.end(), '\n'), 1);
  EXPECT_EQ(last_line(quiet)["f1"], score["f1"]);
  const Json deaf = last_line(run("detect evaluate --json --factor 100000 --dataset " + folder_));
  EXPECT_EQ(deaf["mar"], 1) << "options reach the detector";
}

TEST_F(Detect, SaysWhatIsWrong) {
  (void)run("detect evaluate --json --dataset " + folder_);
  EXPECT_EQ(exit_code, 1) << "an empty folder";
  (void)run("detect evaluate --dataset /nowhere/at/all");
  EXPECT_EQ(exit_code, 2);
  (void)run("detect evaluate");
  EXPECT_EQ(exit_code, 2);
}

TEST_F(Detect, PublicPumpRuns) {
  const char* set = std::getenv("PENSTOCK_SHARED");
  const std::string folder =
      std::string(set != nullptr ? set : PENSTOCK_SOURCE_DIR "/../shared") + "/data/skab_pump";
  if (!std::filesystem::exists(folder))
    GTEST_SKIP() << folder << " is not here: the public pump runs are not part of the project";
  const Json score = last_line(run("detect evaluate --json --dataset " + folder));
  EXPECT_GE(score["f1"].get<double>(), 0.83);
  EXPECT_LE(score["far"].get<double>(), 0.18);
}

TEST(BenchWatch, MeasuresWhatHasLearned) {
  const auto cost = bench_watch({.twins = 20, .sensors = 3, .messages = 2000});
  ASSERT_TRUE(cost) << cost.error().text();
  EXPECT_EQ((*cost)["values_per_message"], 3);
  EXPECT_GT((*cost)["detector_bytes_per_twin"].get<int>(), 100);
  EXPECT_FALSE(bench_watch({.twins = 1, .sensors = 65, .messages = 1}));
}

}  // namespace
}  // namespace penstock::app::cli
