#include "app/bench/interop_opcua.h"

#include "app/process.h"
#include "base/io.h"

namespace penstock::app {

Result<Json> bench_interop_opcua(const InteropBenchOptions& options) {
  const std::string script = options.node_modules + "/../opcua/opcua_bench.py";
  if (!system_files().exists(options.node_modules + "/node-opcua-server"))
    return fail(ErrorCode::kUnavailable, "the peer is not installed: run scripts/setup",
                options.node_modules);
  ProcessOptions process;
  process.arguments = {"python3", script, options.program, "30"};
  process.capture_output = true;
  TRY_ASSIGN(auto run, Process::start(process));
  // Lines for people come first, the JSON last.
  std::string last;
  while (true) {
    auto line = run.read_line(15 * 60 * 1000);
    if (!line) {
      if (line.error().code == ErrorCode::kUnavailable) break;
      return fail(line.error());
    }
    if (!line->empty()) last = std::move(*line);
  }
  TRY_ASSIGN(const int code, run.wait(10'000));
  if (code != 0)
    return fail(ErrorCode::kInternal, "the measurement ended with code " + std::to_string(code),
                script);
  return parse_json(last);
}

}  // namespace penstock::app
