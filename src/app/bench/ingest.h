#pragma once
// `penstock bench ingest`: our server with everything on, Mosquitto that merely acknowledges, and
// the usual pile, in turn, with the same publishers, on the same core.

#include <string>

#include "base/json.h"
#include "base/result.h"

namespace penstock::app {

struct IngestBenchOptions {
  std::string program;  ///< our own executable
  int rounds = 3;
  double seconds = 4;  ///< measured, each run
  int connections = 50;
  int in_flight = 100;
  bool pile = true;
  bool quiet = false;  ///< no tables, only the JSON line
};

/// Runs for about a minute. Keys: see README, "Benchmarks".
Result<Json> bench_ingest(const IngestBenchOptions& options);

}  // namespace penstock::app
