#pragma once
// One published conformance case (a line of cases.jsonl: input, options, valid, errors) against the
// parser. Used by the test and by `penstock model conformance`.

#include <string>
#include <string_view>

#include "base/result.h"

namespace penstock::twin::dtdl {

struct ConformanceOutcome {
  std::string name;
  bool agrees = false;         ///< valid or not, as stated
  bool states_errors = false;  ///< the case says which errors
  bool errors_agree = false;   ///< each stated identity was reported
  bool errors_within = false;  ///< some were reported, and each of them is stated
  std::string found;           ///< the identities reported, or the identifier that is nowhere
};

Result<ConformanceOutcome> run_conformance_case(std::string_view line);

}  // namespace penstock::twin::dtdl
