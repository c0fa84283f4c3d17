#include "app/bench/bench_server.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <unistd.h>

#include "base/io.h"

namespace penstock::app {

Result<TemporaryFolder> TemporaryFolder::create() {
  std::string pattern = (std::filesystem::temp_directory_path() / "penstock-bench-XXXXXX").string();
  if (!::mkdtemp(pattern.data()))
    return fail(ErrorCode::kIo, "no temporary folder could be made", pattern);
  return TemporaryFolder(pattern);
}
TemporaryFolder::TemporaryFolder(TemporaryFolder&& other) noexcept
    : path_(std::exchange(other.path_, {})) {}
TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

Json bench_model() {
  return parse_json(R"({
    "@context": ["dtmi:dtdl:context;4", "dtmi:dtdl:extension:quantitativeTypes;2"],
    "@id": "dtmi:penstock:bench:Machine;1", "@type": "Interface", "displayName": "Benchmark machine",
    "contents": [
      {"@type": ["Telemetry", "Pressure"], "name": "dischargePressure", "schema": "double", "unit": "bar"},
      {"@type": ["Telemetry", "Temperature"], "name": "oilTemperature", "schema": "double", "unit": "degreeCelsius"},
      {"@type": ["Telemetry", "Current"], "name": "motorCurrent", "schema": "double", "unit": "ampere"},
      {"@type": "Telemetry", "name": "vibrationVelocity", "schema": "double"}
    ]})")
      .value();
}

namespace {

Status configure(BenchServer& server, const BenchServerOptions& o) {
  TRY(server.http.post(
      "/api/v1/sites",
      {{"name", "bench"}, {"display_name", "Bench"}, {"time_zone", "Europe/Berlin"}}));
  TRY(server.http.post("/api/v1/models", bench_model()));
  std::ofstream file(server.tokens_file);
  for (int i = 0; i < o.devices; ++i) {
    const std::string id = "bench-" + std::to_string(i);
    TRY_ASSIGN(const Json made,
               server.http.post(
                   "/api/v1/devices",
                   {{"id", id}, {"site", "bench"}, {"model", "dtmi:penstock:bench:Machine;1"}}));
    server.tokens.push_back(made.at("credentials").at("token"));
    file << server.tokens.back() << "\n";
    if (o.detectors)
      TRY(server.http.post("/api/v1/detectors", {{"twin", id}, {"priority", "medium"}}));
  }
  if (!o.rules) return {};
  TRY(server.http.post("/api/v1/rules", {{"name", "Oil too hot"},
                                         {"message", "Oil above 95 °C"},
                                         {"scope", {{"model", "dtmi:penstock:bench:Machine;1"}}},
                                         {"element", "oilTemperature"},
                                         {"kind", "threshold"},
                                         {"comparison", ">"},
                                         {"limit", 95},
                                         {"hysteresis", 3},
                                         {"on_delay_s", 5},
                                         {"priority", "high"},
                                         {"enabled", true}}));
  TRY(server.http.post("/api/v1/rules", {{"name", "Vibration"},
                                         {"message", "Vibration above 7.1 mm/s"},
                                         {"scope", {{"model", "dtmi:penstock:bench:Machine;1"}}},
                                         {"element", "vibrationVelocity"},
                                         {"kind", "threshold"},
                                         {"comparison", ">"},
                                         {"limit", 7.1},
                                         {"hysteresis", 0.5},
                                         {"priority", "critical"},
                                         {"enabled", true}}));
  return {};
}

}  // namespace

Result<BenchServer> BenchServer::start(const BenchServerOptions& o) {
  std::filesystem::create_directories(o.folder);
  ProcessOptions options;
  options.arguments = {o.program, "serve",       "--data", o.folder,
                       "--http",  "127.0.0.1:0", "--mqtt", "127.0.0.1:0"};
  options.arguments.insert(options.arguments.end(), o.arguments.begin(), o.arguments.end());
  options.cores = o.cores;
  options.capture_output = true;
  options.log_file = o.folder + ".log";
  const int64_t begin = system_clock().monotonic_us();
  TRY_ASSIGN(Process process, Process::start(options));
  TRY_ASSIGN(const std::string line, process.read_line(60'000));
  const int64_t ready = system_clock().monotonic_us() - begin;
  TRY_ASSIGN(const Json json, parse_json(line));
  TRY_ASSIGN(const std::string token, read_file(system_files(), o.folder + "/admin.token"));
  TRY_ASSIGN(HttpClient http, HttpClient::create("http://" + json.at("http").get<std::string>(),
                                                 token.substr(0, token.find_first_of("\r\n"))));
  TRY_ASSIGN(const NetAddress mqtt, NetAddress::parse(json.at("mqtt").get<std::string>()));
  BenchServer server{std::move(process), std::move(http), mqtt, o.folder + ".tokens", {}, ready};
  if (o.devices > 0) TRY(configure(server, o));
  return server;
}

Result<double> BenchServer::metric(const std::string& name) {
  TRY_ASSIGN(const HttpReply reply, http.send("GET", "/metrics"));
  if (reply.status != 200)
    return fail(ErrorCode::kUnavailable, "no metrics: status " + std::to_string(reply.status));
  std::istringstream lines(reply.body);
  double sum = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(name) || (line[name.size()] != ' ' && line[name.size()] != '{')) continue;
    sum += std::stod(line.substr(line.rfind(' ') + 1));
  }
  return sum;
}

Result<std::map<std::string, double>> BenchServer::stations() {
  std::map<std::string, double> out;
  std::error_code error;
  const std::string tasks = "/proc/" + std::to_string(process.id()) + "/task";
  for (const auto& entry : std::filesystem::directory_iterator(tasks, error)) {
    std::ifstream name_file(entry.path() / "comm"), stat(entry.path() / "schedstat");
    std::string name;
    double ns = 0;
    if (std::getline(name_file, name) && stat >> ns) out["thread " + name] += ns / 1e9;
  }
  TRY_ASSIGN(const HttpReply reply, http.send("GET", "/metrics"));
  std::istringstream lines(reply.body);
  constexpr std::string_view kName = "penstock_station_seconds{station=\"";
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(kName)) continue;
    const size_t end = line.find('"', kName.size());
    out["station " + line.substr(kName.size(), end - kName.size())] +=
        std::stod(line.substr(line.rfind(' ') + 1));
  }
  return out;
}

Status BenchServer::wait_until_idle() {
  const int64_t give_up = system_clock().monotonic_us() + 60'000'000;
  double last = -1;
  while (system_clock().monotonic_us() < give_up) {
    TRY_ASSIGN(const double accepted, metric("penstock_samples_total"));
    TRY_ASSIGN(const double lag, metric("penstock_history_lag_bytes"));
    if (lag == 0 && accepted == last) return {};
    last = accepted;
    ::usleep(300'000);
  }
  return fail(ErrorCode::kTimeout, "history did not catch up within a minute");
}

}  // namespace penstock::app
