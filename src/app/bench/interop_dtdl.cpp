#include "app/bench/interop_dtdl.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>

#include <fmt/format.h>

#include "app/bench/bench_server.h"
#include "app/process.h"
#include "base/io.h"
#include "twin/dtdl/parser.h"

namespace penstock::app {
namespace {

constexpr int kInterfaces = 1000;
constexpr int kPeerTimeoutMs = 300'000;

using Ordered = nlohmann::ordered_json;

struct Quantity {
  const char *name, *type, *unit;
};
constexpr Quantity kQuantities[] = {
    {"dischargePressure", "Pressure", "bar"},
    {"inletTemperature", "Temperature", "degreeCelsius"},
    {"shaftSpeed", "AngularVelocity", "revolutionPerMinute"},
    {"motorPower", "Power", "kilowatt"},
    {"airFlow", "VolumeFlowRate", "litrePerHour"},
    {"vibration", "Velocity", "centimetrePerSecond"},
    {"supplyVoltage", "Voltage", "volt"},
    {"motorCurrent", "Current", "ampere"},
    {"oilLevel", "Length", "millimetre"},
};

std::string id_of(int number) {
  return fmt::format("dtmi:bench:plant{}:Machine{};1", number % 7, number);
}

Ordered telemetry(const Quantity& quantity, int suffix) {
  return {
      {"@type", {"Telemetry", quantity.type}},
      {"name", fmt::format("{}{}", quantity.name, suffix)},
      {"displayName", {{"en", quantity.name}, {"de", fmt::format("{} (Messwert)", quantity.name)}}},
      {"description", "Measured at the machine once a second"},
      {"unit", quantity.unit},
      {"schema", "double"}};
}

Ordered state_property(int suffix) {
  Ordered values = Ordered::array();
  int value = 0;
  for (const char* name : {"stopped", "starting", "running", "unloaded", "fault"})
    values.push_back({{"name", name}, {"displayName", name}, {"enumValue", value++}});
  return {{"@type", "Property"},
          {"name", fmt::format("state{}", suffix)},
          {"schema", {{"@type", "Enum"}, {"valueSchema", "integer"}, {"enumValues", values}}}};
}

Ordered settings_property(int suffix) {
  return {{"@type", "Property"},
          {"name", fmt::format("settings{}", suffix)},
          {"writable", true},
          {"schema",
           {{"@type", "Object"},
            {"fields",
             {{{"name", "setpoint"}, {"schema", "double"}},
              {{"name", "band"}, {"schema", "double"}},
              {{"name", "labels"},
               {"schema",
                {{"@type", "Map"},
                 {"mapKey", {{"name", "label"}, {"schema", "string"}}},
                 {"mapValue", {{"name", "text"}, {"schema", "string"}}}}}}}}}}};
}

// One machine's interface as people write them: measurements, a state, settings, commands, a part,
// relations. Every tenth is a base of the nine after it.
std::string machine(int number) {
  Ordered contents = Ordered::array();
  for (int i = 0; i < 8; ++i)
    contents.push_back(telemetry(
        kQuantities[static_cast<size_t>(number + i) % std::size(kQuantities)], number * 10 + i));
  contents.push_back(state_property(number));
  contents.push_back(settings_property(number));
  contents.push_back({{"@type", "Command"},
                      {"name", fmt::format("restart{}", number)},
                      {"request", {{"name", "delay"}, {"schema", "duration"}}},
                      {"response", {{"name", "accepted"}, {"schema", "boolean"}}}});
  contents.push_back(
      {{"@type", "Relationship"},
       {"name", fmt::format("feeds{}", number)},
       {"target", id_of((number + 17) % kInterfaces)},
       {"properties", {{{"@type", "Property"}, {"name", "since"}, {"schema", "dateTime"}}}}});
  const bool is_base = number % 10 == 0;
  if (!is_base && number % 10 < 9)  // the last of each ten is nobody's user: no circle of parts
    contents.push_back({{"@type", "Component"},
                        {"name", fmt::format("drive{}", number)},
                        {"schema", id_of(number / 10 * 10 + 9)}});
  Ordered out = {{"@context", {"dtmi:dtdl:context;4", "dtmi:dtdl:extension:quantitativeTypes;2"}},
                 {"@id", id_of(number)},
                 {"@type", "Interface"},
                 {"displayName", fmt::format("Machine {}", number)},
                 {"contents", contents}};
  if (!is_base) out["extends"] = id_of(number / 10 * 10);
  return out.dump(2);
}

Result<std::vector<std::string>> write_machines(const std::string& folder) {
  std::vector<std::string> files;
  for (int i = 0; i < kInterfaces; ++i) {
    files.push_back(fmt::format("{}/machine{:04}.json", folder, i));
    TRY(write_file_atomically(system_files(), files.back(), machine(i)));
  }
  return files;
}

Result<double> ours_ms(const std::vector<std::string>& files) {
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::string> texts;
  for (const std::string& file : files) {
    TRY_ASSIGN(std::string text, read_file(system_files(), file));
    texts.push_back(std::move(text));
  }
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const auto result = twin::dtdl::parse(views);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  if (!result.errors.empty())
    return fail(ErrorCode::kInternal, result.errors.front().text(), "generated interfaces");
  if (!result.unresolved.empty())
    return fail(ErrorCode::kInternal, "A generated interface refers to none",
                result.unresolved.front());
  return took.count();
}

// The package's own way to parse a folder, after its start-up, which is not counted.
constexpr const char* kPeerScript = R"(
const [package_, folder, rounds] = process.argv.slice(1);
const print = console.log;
console.log = () => {};
const { getInterop, parseDirectories } = await import(package_);
const parser = await getInterop();
const ms = [];
for (let i = 0; i < Number(rounds); ++i) {
  const begin = performance.now();
  const model = parseDirectories(folder, parser);
  ms.push(performance.now() - begin);
  if (model === null) { print(JSON.stringify({ error: 'it finds mistakes in the files' })); process.exit(1); }
}
print(JSON.stringify({ ms, version: parser.parserVersion() }));
process.exit(0);
)";

Result<Json> peer(const InteropBenchOptions& options, const std::string& folder) {
  const std::string package = options.node_modules + "/@digicatapult/dtdl-parser/build/index.js";
  std::error_code none;
  const auto path = std::filesystem::absolute(package, none);
  if (!std::filesystem::exists(path, none))
    return fail(ErrorCode::kNotFound, "npm ci in tests/ brings the peer", package);
  ProcessOptions process;
  process.arguments = {"node", "--input-type=module",         "-e", kPeerScript, path.string(),
                       folder, std::to_string(options.rounds)};
  process.capture_output = true;
  process.log_file = "/dev/null";
  TRY_ASSIGN(Process node, Process::start(process));
  TRY_ASSIGN(const std::string line, node.read_line(kPeerTimeoutMs));
  TRY_ASSIGN(Json answer, parse_json(line));
  if (answer.contains("error"))
    return fail(ErrorCode::kInternal, answer["error"].get<std::string>(), "dtdl-parser");
  return answer;
}

}  // namespace

Result<Json> bench_interop_dtdl(const InteropBenchOptions& options) {
  TRY_ASSIGN(const TemporaryFolder folder, TemporaryFolder::create());
  TRY_ASSIGN(const std::vector<std::string> files, write_machines(folder.path()));
  double best_ms = 1e12;
  for (int round = 0; round < options.rounds; ++round) {
    TRY_ASSIGN(const double ms, ours_ms(files));
    best_ms = std::min(best_ms, ms);
  }
  Json out{{"dtdl_ms_per_1000", best_ms}, {"dtdl_ratio", nullptr}};
  const Result<Json> answer = peer(options, folder.path());
  if (!answer) {
    out["dtdl_peer"] = answer.error().text();
    return out;
  }
  const auto times = answer->at("ms").get<std::vector<double>>();
  const double peer_ms = *std::min_element(times.begin(), times.end());
  out["dtdl_peer"] = answer->at("version");
  out["dtdl_peer_ms_per_1000"] = peer_ms;
  out["dtdl_ratio"] = peer_ms / best_ms;
  return out;
}

}  // namespace penstock::app
