#pragma once
// `penstock bench query`: how quick history answers, how small it is, how soon a server is back,
// and what an idle connection costs.

#include <string>

#include "base/json.h"
#include "base/result.h"

namespace penstock::app {

struct QueryBenchOptions {
  std::string program;          ///< our own executable
  int connections = 10'000;     ///< idle ones
  double samples = 10'000'000;  ///< before the restart
  bool quiet = false;
};

/// About a minute. series_day_ms: one series, one day at 1 Hz, as it is. rollup_month_ms: 1-minute
/// averages of 100 series over 30 days. bytes_per_sample: a day of 12 simulated compressors, in the
/// database file. restart_s: from start to ready, after kill -9 with `samples` journalled.
/// bytes_per_idle_connection: resident, MQTT without TLS. The peers (plain_…) are DuckDB's own
/// tables with the same rows.
Result<Json> bench_query(const QueryBenchOptions& options);

}  // namespace penstock::app
