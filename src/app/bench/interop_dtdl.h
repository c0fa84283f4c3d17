#pragma once
// How long parsing and checking a thousand interfaces takes, beside DTDLParser (npm package
// @digicatapult/dtdl-parser: the C# reference implementation, compiled to WebAssembly, on Node).

#include "app/bench/interop.h"

namespace penstock::app {

/// {"dtdl_ms_per_1000","dtdl_peer_ms_per_1000","dtdl_ratio",…}: both read the same generated files,
/// one interface a file, all in one set. Ratio: the peer's time by ours. Where Node or the package
/// is not there, "dtdl_ratio" is null and "dtdl_peer" says why.
Result<Json> bench_interop_dtdl(const InteropBenchOptions& options);

}  // namespace penstock::app
