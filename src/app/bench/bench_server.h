#pragma once
// A Penstock of its own for a benchmark: empty data folder, free ports, devices with model, rules
// and detectors.

#include <map>
#include <string>
#include <vector>

#include "app/http_client.h"
#include "app/process.h"
#include "base/net.h"
#include "base/result.h"

namespace penstock::app {

/// Removed with all that is in it when the object ends.
class TemporaryFolder {
 public:
  static Result<TemporaryFolder> create();
  TemporaryFolder(TemporaryFolder&& other) noexcept;
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

struct BenchServerOptions {
  std::string program;
  std::string folder;
  std::vector<int> cores;
  int devices = 50;
  bool rules = true, detectors = true;
  std::vector<std::string> arguments;  ///< further ones for `serve`
};

struct BenchServer {
  Process process;
  HttpClient http;
  NetAddress mqtt;
  std::string tokens_file;  ///< a line a device: bench-0, bench-1, …
  std::vector<std::string> tokens;
  int64_t ready_us = 0;  ///< from start to ready

  static Result<BenchServer> start(const BenchServerOptions& options);
  /// Sum over labels of a metric of /metrics; 0 where it is not there.
  Result<double> metric(const std::string& name);
  /// CPU seconds by thread, and by station within the shards where those are measured.
  Result<std::map<std::string, double>> stations();
  /// Until history has all that the journal has; at most a minute.
  Status wait_until_idle();
};

/// The DTDL of the benchmark's devices: four measurements with ranges.
Json bench_model();

}  // namespace penstock::app
