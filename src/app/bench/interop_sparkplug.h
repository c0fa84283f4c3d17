#pragma once
// How fast Sparkplug payloads are read, beside the sparkplug-payload of npm.

#include "app/bench/interop.h"

namespace penstock::app {

/// sparkplug_metrics_per_s: one core, payload bytes to wire values by alias, as the host does it
/// with NDATA of 100 metrics of mixed datatypes. sparkplug_ratio: of the peer's decodePayload on
/// the same bytes in the same minutes; null where it is not installed.
Result<Json> bench_interop_sparkplug(const InteropBenchOptions& options);

}  // namespace penstock::app
