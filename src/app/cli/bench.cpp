// penstock bench: measurements beside peers, and the processes they are made of.

#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "app/bench/ingest.h"
#include "app/bench/interop.h"
#include "app/bench/load.h"
#include "app/bench/pile.h"
#include "app/bench/query.h"
#include "app/bench/watch.h"
#include "app/cli/cli.h"

namespace penstock::app::cli {
namespace {

// Child processes of a benchmark answer on one line, errors too.
Status print_json(const Result<Json>& result) {
  Json out;
  if (result)
    out = *result;
  else
    out["error"] = result.error().text();
  fmt::print("{}\n", out.dump());
  std::fflush(stdout);
  if (!result) return fail(result.error());
  return {};
}

void add_ingest(CLI::App* bench) {
  auto* command = bench->add_subcommand(
      "ingest", "Messages per second, everything on, beside Mosquitto and the usual pile");
  auto o = std::make_shared<IngestBenchOptions>();
  command->add_flag("--json", o->quiet, "Only the last line, JSON");
  command->add_option("--rounds", o->rounds, "Runs of each, in turn")
      ->check(CLI::Range(1, 50))
      ->capture_default_str();
  command->add_option("--seconds", o->seconds, "Measured time of each run")
      ->check(CLI::Range(1.0, 600.0))
      ->capture_default_str();
  command->add_option("--connections", o->connections, "Publishing clients")->capture_default_str();
  command->add_option("--in-flight", o->in_flight, "Unacknowledged publishes, each client")
      ->capture_default_str();
  command->add_flag("!--no-pile", o->pile, "Leave the pile with PostgreSQL out");
  on_run(command, [o]() -> Status {
    o->program = own_program();
    return print_json(bench_ingest(*o));
  });
}

void add_query(CLI::App* bench) {
  auto* command = bench->add_subcommand(
      "query", "How quick history answers, how small it is, how soon a server is back");
  auto o = std::make_shared<QueryBenchOptions>();
  command->add_flag("--json", o->quiet, "Only the last line, JSON");
  command->add_option("--connections", o->connections, "Idle connections")
      ->check(CLI::Range(1, 50'000))
      ->capture_default_str();
  command->add_option("--samples", o->samples, "Journalled before the restart")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str();
  on_run(command, [o]() -> Status {
    o->program = own_program();
    return print_json(bench_query(*o));
  });
}

void add_publish(CLI::App* bench) {
  auto* command = bench->add_subcommand("publish", "The publishers alone, against any broker");
  struct Options {
    LoadOptions load;
    std::string broker = "127.0.0.1:1883", tokens_file;
  };
  auto o = std::make_shared<Options>();
  command->add_option("--broker", o->broker)->capture_default_str();
  command->add_option("--connections", o->load.connections)
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  command->add_option("--in-flight", o->load.in_flight)
      ->check(CLI::Range(1, 65'000))
      ->capture_default_str();
  command->add_option("--qos", o->load.qos)->check(CLI::Range(0, 1))->capture_default_str();
  command->add_option("--seconds", o->load.seconds)->capture_default_str();
  command->add_option("--warm-up", o->load.warm_up_s)->capture_default_str();
  command->add_option("--device-prefix", o->load.device_prefix)->capture_default_str();
  command->add_option("--first-time-ms", o->load.first_time_ms)->capture_default_str();
  command->add_option("--tokens-file", o->tokens_file, "A password a line, one a device");
  on_run(command, [o]() -> Status {
    const auto run = [&]() -> Result<Json> {
      TRY_ASSIGN(o->load.broker, NetAddress::parse(o->broker));
      std::ifstream file(o->tokens_file);
      for (std::string line; std::getline(file, line);) o->load.tokens.push_back(line);
      TRY_ASSIGN(const LoadReport r, run_load(o->load));
      return Json{{"seconds", r.seconds},
                  {"acknowledged", r.acknowledged},
                  {"messages_per_s", r.messages_per_s},
                  {"latency_p50_us", r.latency_p50_us},
                  {"latency_p99_us", r.latency_p99_us},
                  {"generator_cpu", r.generator_cpu},
                  {"sent_in_all", r.sent_in_all},
                  {"acknowledged_in_all", r.acknowledged_in_all},
                  {"bytes_per_message", r.bytes_per_message}};
    };
    return print_json(run());
  });
}

void add_pile_subscriber(CLI::App* bench) {
  auto* command = bench->add_subcommand("pile-subscriber",
                                        "The pile's subscriber alone: MQTT to PostgreSQL by COPY");
  struct Options {
    PileOptions pile;
    std::string broker;
  };
  auto o = std::make_shared<Options>();
  command->add_option("--broker", o->broker)->required();
  command->add_option("--postgres", o->pile.postgres, "libpq connection string")->required();
  command->add_option("--rows", o->pile.rows, "Rows a batch")->capture_default_str();
  on_run(command, [o]() -> Status {
    const auto run = [&]() -> Result<Json> {
      TRY_ASSIGN(o->pile.broker, NetAddress::parse(o->broker));
      TRY_ASSIGN(const PileReport r, run_pile_subscriber(o->pile));
      return Json{{"values", r.values}, {"seconds", r.seconds}, {"cpu_s", r.cpu_s}};
    };
    return print_json(run());
  });
}

void add_watch(CLI::App* bench) {
  auto* command = bench->add_subcommand(
      "watch", "What rules and detectors cost a message, alone on one thread");
  auto o = std::make_shared<WatchBenchOptions>();
  // Like the other benchmarks'; there is nothing else to print.
  command->add_flag_function("--json", [](int64_t) {}, "Only the last line, JSON");
  command->add_option("--twins", o->twins, "Each with its detector")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command->add_option("--sensors", o->sensors, "Values a message, each with a rule")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_option("--messages", o->messages)->capture_default_str();
  on_run(command, [o]() -> Status { return print_json(bench_watch(*o)); });
}

// tests/node_modules of the source folder: below us, or where the program was built.
std::string find_node_modules() {
  std::error_code none;
  const std::filesystem::path built = own_program();
  for (const auto& folder : {std::filesystem::path("."), built.parent_path() / "../.."})
    if (std::filesystem::is_directory(folder / "tests/node_modules", none))
      return (folder / "tests/node_modules").lexically_normal().string();
  return "tests/node_modules";
}

void add_interop(CLI::App* bench) {
  auto* command =
      bench->add_subcommand("interop", "What the doors for other makes cost, beside their peers");
  auto o = std::make_shared<InteropBenchOptions>();
  std::string parts;
  for (const InteropPart& part : interop_parts())
    parts += fmt::format("{}{} ({})", parts.empty() ? "" : "; ", part.name, part.shows);
  command->add_flag("--json", o->quiet, "Only the last line, JSON");
  command->add_option("--only", o->only, "Parts, separated by commas: " + parts)->delimiter(',');
  command->add_option("--rounds", o->rounds, "Runs of each; the best counts")
      ->check(CLI::Range(1, 50))
      ->capture_default_str();
  command->add_option("--node-modules", o->node_modules,
                      "Where the peers from npm are; found beside the sources otherwise");
  on_run(command, [o]() -> Status {
    o->program = own_program();
    if (o->node_modules.empty()) o->node_modules = find_node_modules();
    return print_json(bench_interop(*o));
  });
}

}  // namespace

void add_bench(CLI::App& root) {
  auto* bench = root.add_subcommand("bench", "Measure, beside peers");
  bench->require_subcommand(1);
  add_ingest(bench);
  add_query(bench);
  add_publish(bench);
  add_pile_subscriber(bench);
  add_watch(bench);
  add_interop(bench);
}

}  // namespace penstock::app::cli
