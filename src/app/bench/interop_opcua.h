#pragma once
// OPC UA: 10,000 items at 1 Hz from a node-opcua server through the connector into history, beside
// node-opcua's client alone on the same items.

#include "app/bench/interop.h"

namespace penstock::app {

/// {"opcua_values_per_s","opcua_lost","opcua_connector_cpu_percent","opcua_ratio",…}; measured by
/// tests/opcua/opcua_bench.py. Ratio: our rate by the peer's.
Result<Json> bench_interop_opcua(const InteropBenchOptions& options);

}  // namespace penstock::app
