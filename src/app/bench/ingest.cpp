#include "app/bench/ingest.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include <fmt/format.h>
#include <sys/resource.h>

#include "app/bench/bench_server.h"
#include "app/bench/load.h"
#include "app/bench/pile.h"
#include "app/process.h"

namespace penstock::app {
namespace {

constexpr int kValuesPerMessage = 4;

struct Cores {
  int server, generator;
};

struct Run {
  double msgs_per_s = 0;
  double cpu_us_per_msg = 0;
  double p50_us = 0, p99_us = 0;
  double generator_cpu = 0;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

double median_of(const std::vector<Run>& runs, double Run::* field) {
  std::vector<double> values;
  for (const Run& run : runs) values.push_back(run.*field);
  return median(values);
}

// The publishers run in a process of their own on the other core.
Result<LoadReport> publish(const IngestBenchOptions& o, const NetAddress& broker, int qos,
                           double seconds, int core, const std::string& tokens_file,
                           int64_t first_time_ms) {
  ProcessOptions options;
  options.arguments = {o.program,
                       "bench",
                       "publish",
                       "--broker",
                       broker.text(),
                       "--connections",
                       std::to_string(o.connections),
                       "--in-flight",
                       std::to_string(o.in_flight),
                       "--qos",
                       std::to_string(qos),
                       "--seconds",
                       std::to_string(seconds),
                       "--first-time-ms",
                       std::to_string(first_time_ms)};
  if (!tokens_file.empty())
    options.arguments.insert(options.arguments.end(), {"--tokens-file", tokens_file});
  options.cores = {core};
  options.capture_output = true;
  TRY_ASSIGN(Process process, Process::start(options));
  TRY_ASSIGN(const std::string line, process.read_line(static_cast<int>(seconds * 1000) + 60'000));
  TRY_ASSIGN(const Json json, parse_json(line));
  if (json.contains("error")) return fail(ErrorCode::kInternal, json["error"].get<std::string>());
  LoadReport report;
  report.seconds = json.at("seconds");
  report.acknowledged = json.at("acknowledged");
  report.messages_per_s = json.at("messages_per_s");
  report.latency_p50_us = json.at("latency_p50_us");
  report.latency_p99_us = json.at("latency_p99_us");
  report.generator_cpu = json.at("generator_cpu");
  report.acknowledged_in_all = json.at("acknowledged_in_all");
  report.sent_in_all = json.at("sent_in_all");
  return report;
}

template <class CpuSeconds>
Result<Run> measure(const IngestBenchOptions& o, const NetAddress& broker, int qos, int core,
                    const std::string& tokens_file, int64_t first_time_ms,
                    CpuSeconds&& cpu_seconds) {
  const double before = cpu_seconds();
  TRY_ASSIGN(const LoadReport r,
             publish(o, broker, qos, o.seconds, core, tokens_file, first_time_ms));
  const double used = cpu_seconds() - before;
  const auto messages = static_cast<double>(qos > 0 ? r.acknowledged_in_all : r.sent_in_all);
  return Run{r.messages_per_s, used * 1e6 / std::max(messages, 1.0), r.latency_p50_us,
             r.latency_p99_us, r.generator_cpu};
}

void print_run(const IngestBenchOptions& o, std::string_view who, int qos, const Run& run) {
  if (o.quiet) return;
  fmt::print(
      "{:<10} QoS {}  {:>9.0f} msg/s  {:>6.2f} us CPU/msg  p50 {:>7.0f} us  p99 {:>7.0f} us  "
      "generator {:>3.0f} %\n",
      who, qos, run.msgs_per_s, run.cpu_us_per_msg, run.p50_us, run.p99_us,
      run.generator_cpu * 100);
  std::fflush(stdout);
}

// Where the server's CPU went, per message: its threads, and within the shards' the stations of a
// sample's life. What is left of the shards is sockets and packets.
void print_stations(const std::map<std::string, double>& before,
                    const std::map<std::string, double>& after, double messages) {
  fmt::print("\nserver CPU per QoS 1 message, by station of its life\n");
  const auto print = [&](const std::string& station, double seconds) {
    fmt::print("  {:<28} {:>7.3f} us\n", station, seconds * 1e6 / messages);
  };
  double shards = 0, stations = 0;
  std::map<std::string, double> others;
  for (const auto& [station, seconds] : after) {
    const auto it = before.find(station);
    const double used = seconds - (it == before.end() ? 0 : it->second);
    if (station.starts_with("station ")) {
      print(station.substr(8), used);
      stations += used;
    } else if (station.starts_with("thread shard-")) {
      shards += used;
    } else {
      others[station] += used;
    }
  }
  print("sockets, packets, PUBACKs", shards - stations);
  for (const auto& [thread, seconds] : others)
    if (seconds * 1e6 / messages >= 0.0005) print(thread, seconds);
}

struct PileResult {
  double values_per_s = 0;           ///< stored
  double values_per_s_per_core = 0;  ///< stored, a CPU second of broker, subscriber and database
};

double tree_cpu_seconds(pid_t root);

Result<PileResult> run_pile(const IngestBenchOptions& o, const Cores& cores,
                            const std::string& folder) {
  TRY_ASSIGN(auto postgres, PostgreSql::start(folder, {cores.server}));
  TRY_ASSIGN(auto mosquitto, Mosquitto::start(folder, {cores.server}));
  ProcessOptions options;
  options.arguments = {o.program,
                       "bench",
                       "pile-subscriber",
                       "--broker",
                       mosquitto.address.text(),
                       "--postgres",
                       postgres.connection};
  options.cores = {cores.server};
  options.capture_output = true;
  TRY_ASSIGN(Process subscriber, Process::start(options));
  TRY_ASSIGN(const std::string ready, subscriber.read_line(30'000));
  if (ready != "ready")
    return fail(ErrorCode::kInternal, "the pile's subscriber did not start", ready);
  const double postgres_before = tree_cpu_seconds(postgres.process.id());
  const double mosquitto_before = mosquitto.process.cpu_seconds();
  TRY_ASSIGN(const LoadReport load,
             publish(o, mosquitto.address, 1, o.seconds, cores.generator, {}, 1'767'225'600'000));
  (void)load;
  TRY_ASSIGN(const std::string line, subscriber.read_line(180'000));
  const double cpu = tree_cpu_seconds(postgres.process.id()) - postgres_before +
                     mosquitto.process.cpu_seconds() - mosquitto_before;
  TRY_ASSIGN(const Json json, parse_json(line));
  const double values = json.at("values");
  const double seconds = json.at("seconds");
  const double cpu_all = cpu + json.at("cpu_s").get<double>();
  return PileResult{values / seconds, values / cpu_all};
}

// CPU of a process and its children (PostgreSQL forks one a connection).
double tree_cpu_seconds(pid_t root) {
  double sum = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename().string();
    if (name.empty() || name[0] < '0' || name[0] > '9') continue;
    std::ifstream stat(entry.path() / "stat");
    std::string text((std::istreambuf_iterator<char>(stat)), {});
    const size_t end = text.rfind(')');
    if (end == std::string::npos) continue;
    std::istringstream fields(text.substr(end + 2));
    std::string state;
    pid_t parent = 0;
    fields >> state >> parent;
    std::string skip;
    for (int i = 0; i < 9; ++i) fields >> skip;
    double user = 0, system = 0;
    fields >> user >> system;
    if (std::stoi(name) == root)
      sum += (user + system) / 100;
    else if (parent == root)
      sum += tree_cpu_seconds(std::stoi(name));
  }
  return sum;
}

}  // namespace

Result<Json> bench_ingest(const IngestBenchOptions& o) {
  const std::vector<int> cores = allowed_cores();
  if (cores.size() < 2)
    return fail(ErrorCode::kUnsupported,
                "the benchmark needs two cores: one for the server, one for the publishers");
  const Cores at{cores[1], cores[0]};
  TRY_ASSIGN(const auto folder, TemporaryFolder::create());

  BenchServerOptions server_options;
  server_options.program = o.program;
  server_options.folder = folder.path() + "/penstock";
  server_options.cores = {at.server};
  server_options.devices = o.connections;
  TRY_ASSIGN(auto server, BenchServer::start(server_options));
  TRY_ASSIGN(auto mosquitto, Mosquitto::start(folder.path(), {at.server}));

  // Each device's messages carry their own source times; each run goes on where the last one ended.
  int64_t time_ms = 1'767'225'600'000;
  const auto ours = [&](int qos) -> Result<Run> {
    auto run = measure(o, server.mqtt, qos, at.generator, server.tokens_file, time_ms,
                       [&] { return server.process.cpu_seconds(); });
    time_ms += 86'400'000;
    // History may still be catching up: let it, so that the next run does not pay for this one.
    TRY(server.wait_until_idle());
    return run;
  };
  const auto theirs = [&](int qos) {
    return measure(o, mosquitto.address, qos, at.generator, {}, 1'767'225'600'000,
                   [&] { return mosquitto.process.cpu_seconds(); });
  };

  if (!o.quiet)
    fmt::print(
        "server on core {}, publishers on core {}: {} connections, {} in flight each, {} values a "
        "message\n",
        at.server, at.generator, o.connections, o.in_flight, kValuesPerMessage);
  std::vector<Run> ours_1, theirs_1, ours_0, theirs_0;
  std::map<std::string, double> stations_before, stations_after;
  double station_messages = 0;
  double stored_before = 0;
  double our_values_per_cpu_s = 0;
  TRY_ASSIGN([[maybe_unused]] const Run warm_up,
             ours(1));  // models learn, files grow to their working size
  for (int round = 0; round < o.rounds; ++round) {
    TRY_ASSIGN(stations_before, server.stations());
    TRY_ASSIGN(const double messages_before, server.metric("penstock_messages_total"));
    TRY_ASSIGN(stored_before, server.metric("penstock_history_samples_total"));
    const double cpu_before = server.process.cpu_seconds();
    TRY_ASSIGN(const Run a, ours(1));
    TRY_ASSIGN(const double stored, server.metric("penstock_history_samples_total"));
    our_values_per_cpu_s =
        std::max(our_values_per_cpu_s,
                 (stored - stored_before) / (server.process.cpu_seconds() - cpu_before));
    TRY_ASSIGN(stations_after, server.stations());
    TRY_ASSIGN(const double messages_after, server.metric("penstock_messages_total"));
    station_messages = messages_after - messages_before;
    ours_1.push_back(a);
    print_run(o, "penstock", 1, a);
    TRY_ASSIGN(const Run b, theirs(1));
    theirs_1.push_back(b);
    print_run(o, "mosquitto", 1, b);
    TRY_ASSIGN(const Run c, ours(0));
    ours_0.push_back(c);
    print_run(o, "penstock", 0, c);
    TRY_ASSIGN(const Run d, theirs(0));
    theirs_0.push_back(d);
    print_run(o, "mosquitto", 0, d);
  }
  if (!o.quiet) print_stations(stations_before, stations_after, std::max(station_messages, 1.0));

  Json out;
  const double ours_rate = median_of(ours_1, &Run::msgs_per_s);
  const double theirs_rate = median_of(theirs_1, &Run::msgs_per_s);
  out["penstock_msgs_per_s"] = std::round(ours_rate);
  out["mosquitto_msgs_per_s"] = std::round(theirs_rate);
  out["ratio"] = ours_rate / theirs_rate;
  out["cpu_us_per_msg"] = median_of(ours_1, &Run::cpu_us_per_msg);
  out["latency_p50_us"] = median_of(ours_1, &Run::p50_us);
  out["latency_p99_us"] = median_of(ours_1, &Run::p99_us);
  out["qos0_msgs_per_s"] = std::round(median_of(ours_0, &Run::msgs_per_s));
  out["qos0_ratio"] = median_of(ours_0, &Run::msgs_per_s) / median_of(theirs_0, &Run::msgs_per_s);
  out["stored_values_per_s_per_core"] = std::round(our_values_per_cpu_s);
  if (o.pile) {
    TRY_ASSIGN(const PileResult pile, run_pile(o, at, folder.path()));
    if (!o.quiet)
      fmt::print(
          "\npile: {:.0f} values/s stored, {:.0f} a CPU second; penstock: {:.0f} a CPU second\n",
          pile.values_per_s, pile.values_per_s_per_core, our_values_per_cpu_s);
    out["pile_values_per_s"] = std::round(pile.values_per_s);
    out["pile_values_per_s_per_core"] = std::round(pile.values_per_s_per_core);
    out["pile_ratio"] = our_values_per_cpu_s / pile.values_per_s_per_core;
  }
  return out;
}

}  // namespace penstock::app
