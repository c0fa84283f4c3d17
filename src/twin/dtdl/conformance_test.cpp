// The public conformance cases, where they are (PENSTOCK_SHARED or ../shared beside the sources).
// PENSTOCK_DTDL_DIFFERENCES=FILE lists the cases that differ.
#include "twin/dtdl/conformance.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace penstock::twin::dtdl {
namespace {

// Agreement may only grow: see docs/dtdl.md for what is left.
constexpr int kAgreeAtLeast = 11299, kErrorsAgreeAtLeast = 790, kErrorsWithinAtLeast = 905;

TEST(DtdlConformance, AgreesWithThePublishedCases) {
  const char* shared = std::getenv("PENSTOCK_SHARED");
  const std::filesystem::path file =
      std::filesystem::path(shared ? shared : PENSTOCK_SOURCE_DIR "/../shared") /
      "data/dtdl/cases.jsonl";
  std::ifstream in(file);
  if (!in) GTEST_SKIP() << "no conformance cases at " << file;
  const char* report = std::getenv("PENSTOCK_DTDL_DIFFERENCES");
  std::ofstream differences(report ? report : "/dev/null");
  int cases = 0, agree = 0, stated = 0, errors_agree = 0, within = 0;
  for (std::string line; std::getline(in, line);) {
    const auto outcome = run_conformance_case(line);
    ASSERT_TRUE(outcome) << outcome.error().text();
    ++cases;
    agree += outcome->agrees;
    stated += outcome->states_errors;
    errors_agree += outcome->errors_agree;
    within += outcome->errors_within;
    if (!outcome->agrees) differences << "V " << outcome->name << " |" << outcome->found << "\n";
    if (outcome->states_errors && !outcome->errors_agree)
      differences << "E " << outcome->name << " |" << outcome->found << "\n";
  }
  fmt::print("{} cases, {} agree; of {} with errors {} get all, {} only those\n", cases, agree,
             stated, errors_agree, within);
  EXPECT_GE(agree, kAgreeAtLeast);
  EXPECT_GE(errors_agree, kErrorsAgreeAtLeast);
  EXPECT_GE(within, kErrorsWithinAtLeast);
}

}  // namespace
}  // namespace penstock::twin::dtdl
