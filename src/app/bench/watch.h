#pragma once
// What rules and detectors cost a message, alone on one thread: the floor of their share in
// `bench ingest`.

#include <cstdint>

#include "base/json.h"
#include "base/result.h"

namespace penstock::app {

struct WatchBenchOptions {
  uint32_t twins = 10'000;
  uint32_t sensors = 4;  ///< values a message, each with one threshold rule
  uint64_t messages = 2'000'000;
};

/// {"rules_ns_per_message","detector_ns_per_message","detector_bytes_per_twin",…}; the detectors
/// have learned and watch. kInvalidArgument: sizes that no detector takes.
Result<Json> bench_watch(const WatchBenchOptions& options);

}  // namespace penstock::app
