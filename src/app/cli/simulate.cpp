// penstock simulate: a fleet of compressors at four sites, each a real MQTT client, in a process of
// its own; those of the fourth are of another make. One develops a fault while you watch.

#include <algorithm>
#include <array>
#include <deque>
#include <filesystem>

#include <fmt/format.h>

#include "app/cli/cli.h"
#include "app/device_publisher.h"
#include "base/io.h"
#include "base/log.h"
#include "sim/compressor.h"

namespace penstock::app::cli {
namespace {

struct SimulateOptions {
  ServerOption server;
  std::string mqtt = "127.0.0.1:1883";
  std::string packages = "packages";
  int compressors_per_site = 4;
  std::string history = "2h";
  std::string duration = "0s";
  double speed = 1;
  double fault_after_s = 20;
  double fault_growth_s = 60;
  std::string fault = "bearing";
};

struct Site {
  const char* id;
  const char* name;
  const char* time_zone;
  bool acme = false;  ///< its machines are of another make, which has topics and units of its own
};
constexpr std::array<Site, 4> kSites{{{"north", "North plant, Hamburg", "Europe/Berlin"},
                                      {"south", "South plant, Pune", "Asia/Kolkata"},
                                      {"coast", "Coast plant, Halifax", "America/Halifax"},
                                      {"harbour", "Harbour works, Osaka", "Asia/Tokyo", true}}};
constexpr int kAcmePerSite = 2;
constexpr const char* kModel = "dtmi:penstock:ScrewCompressor;1";
constexpr const char* kAcmeBinding = "bindings/acme-screw.json";

struct Machine {
  std::string id;
  bool acme;
  sim::Compressor compressor;
  DevicePublisher publisher;
};

std::string topic_of(const Machine& machine) {
  return machine.acme ? "acme/harbour/" + machine.id + "/state"
                      : "devices/" + machine.id + "/telemetry";
}

std::string values_json(const sim::CompressorReadings& r) {
  return fmt::format(
      R"({{"dischargePressure":{:.2f},"oilTemperature":{:.1f},"dischargeTemperature":{:.1f},"ambientTemperature":{:.1f},)"
      R"("motorCurrent":{:.1f},"motorSpeed":{:.0f},"vibrationVelocity":{:.2f},"flow":{:.2f},"powerActive":{:.1f},)"
      R"("loadState":{},"runHours":{:.1f}}})",
      r.discharge_pressure_bar, r.oil_temperature_c, r.discharge_temperature_c,
      r.ambient_temperature_c, r.motor_current_a, r.motor_speed_rpm, r.vibration_velocity_mm_s,
      r.flow_m3_min, r.power_active_kw, r.load_state, r.run_hours);
}

// What the other make sends: packages/compressor-health/bindings/acme-screw.json reads it.
std::string acme_json(Timestamp time, const sim::CompressorReadings& r) {
  const auto fahrenheit = [](double celsius) { return celsius * 1.8 + 32; };
  return fmt::format(
      R"({{"t":{},"air":{{"mbar":{:.0f},"m3h":{:.0f},"out_f":{:.1f},"in_f":{:.1f}}},"oil_f":{:.1f},)"
      R"("motor":{{"a":{:.1f},"rpm":{:.0f},"um_s":{:.0f},"w":{:.0f}}},"state":{},"min":{:.0f}}})",
      time.us / 1000, r.discharge_pressure_bar * 1000, r.flow_m3_min * 60,
      fahrenheit(r.discharge_temperature_c), fahrenheit(r.ambient_temperature_c),
      fahrenheit(r.oil_temperature_c), r.motor_current_a, r.motor_speed_rpm,
      r.vibration_velocity_mm_s * 1000, r.power_active_kw * 1000, r.load_state ? 2 : 1,
      r.run_hours * 60);
}

std::string message_json(const Machine& machine, Timestamp time,
                         const sim::CompressorReadings& readings) {
  if (machine.acme) return acme_json(time, readings);
  return fmt::format(R"({{"ts":{},"values":{}}})", time.us / 1000, values_json(readings));
}

// Creates what is missing; a second run finds everything there.
Status ensure(HttpClient& http, const std::string& path, const std::string& id, const Json& body) {
  const auto there = http.get(path + "/" + url_encode(id));
  if (there) return {};
  if (there.error().code != ErrorCode::kNotFound) return fail(there.error());
  TRY(http.post(path, body));
  return {};
}

Status install_models(HttpClient& http, const std::string& packages) {
  Json documents = Json::array();
  std::error_code error;
  std::vector<std::string> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(packages + "/compressor-health/models", error))
    if (entry.path().extension() == ".json") files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  if (files.empty())
    return fail(ErrorCode::kNotFound, "the demo's models are not there: give --packages",
                packages + "/compressor-health/models");
  for (const std::string& file : files) {
    TRY_ASSIGN(const std::string text, read_file(system_files(), file));
    TRY_ASSIGN(const Json document, parse_json(text));
    if (document.is_array())
      documents.insert(documents.end(), document.begin(), document.end());
    else
      documents.push_back(document);
  }
  return ensure(http, "/api/v1/models", kModel, documents);
}

Status install_rules(HttpClient& http, const std::string& packages) {
  TRY_ASSIGN(const Json rules, http.get("/api/v1/rules?limit=500"));
  const auto has = [&](const std::string& name) {
    for (const Json& rule : rules.at("items"))
      if (rule.value("name", "") == name) return true;
    return false;
  };
  TRY_ASSIGN(const std::string text,
             read_file(system_files(), packages + "/compressor-health/rules.json"));
  TRY_ASSIGN(const Json wanted, parse_json(text));
  for (const Json& rule : wanted)
    if (!has(rule.at("name"))) TRY(http.post("/api/v1/rules", rule));
  return {};
}

// The one thing that the other make needs: a binding.
Status install_binding(HttpClient& http, const std::string& packages) {
  TRY_ASSIGN(const std::string text,
             read_file(system_files(), packages + "/compressor-health/" + kAcmeBinding));
  TRY_ASSIGN(const Json document, parse_json(text));
  return ensure(http, "/api/v1/bindings", document.at("name"),
                {{"document", document}, {"activate", true}});
}

// Device and credentials; a device that is already there gets new ones, since the old are not
// stored in the clear.
Result<std::string> install_device(HttpClient& http, const std::string& id, const std::string& name,
                                   const Site& site) {
  const auto there = http.get("/api/v1/devices/" + url_encode(id));
  Json made;
  if (there) {
    TRY_ASSIGN(made,
               http.post("/api/v1/devices/" + url_encode(id) + "/credentials", Json::object()));
  } else {
    Json draft{{"id", id}, {"site", site.id}, {"model", kModel}, {"display_name", name}};
    if (site.acme) draft["binding"] = "acme-screw";
    TRY_ASSIGN(made, http.post("/api/v1/devices", draft));
  }
  const Json& credentials = made.contains("credentials") ? made.at("credentials") : made;
  return credentials.at("token").get<std::string>();
}

Status install_detector(HttpClient& http, const std::string& twin) {
  TRY_ASSIGN(const Json detectors, http.get("/api/v1/detectors?limit=500"));
  for (const Json& detector : detectors.at("items"))
    if (detector.value("twin", "") == twin) return {};
  TRY(http.post(
      "/api/v1/detectors",
      {{"twin", twin},
       {"elements",
        {"dischargePressure", "oilTemperature", "dischargeTemperature", "ambientTemperature",
         "motorCurrent", "vibrationVelocity", "flow", "powerActive"}},
       {"priority", "high"}}));
  return {};
}

// What happened before we started, as late data: arrays of messages with their own times.
Status send_history(std::deque<Machine>& machines, Duration span, Timestamp until) {
  constexpr int kPerMessage = 200;
  const int64_t seconds = (span.us + 999'999) / 1'000'000;
  Progress progress("history", static_cast<uint64_t>(seconds) * machines.size());
  uint64_t done = 0;
  for (Machine& machine : machines) {
    std::string array;
    int count = 0;
    while (machine.compressor.now() < until && !interrupted()) {
      const auto readings = machine.compressor.advance(Duration::seconds(1));
      array += (count == 0 ? "[" : ",") + message_json(machine, machine.compressor.now(), readings);
      if (++count < kPerMessage && machine.compressor.now() < until) continue;
      TRY(machine.publisher.publish(topic_of(machine), array + "]"));
      done += static_cast<uint64_t>(count);
      progress.at(done);
      array.clear();
      count = 0;
    }
  }
  for (Machine& machine : machines) TRY(machine.publisher.flush(60'000));
  return {};
}

sim::Fault fault_of(const std::string& name) {
  if (name == "valve") return sim::Fault::kValveLeak;
  if (name == "cooler") return sim::Fault::kFouledCooler;
  if (name == "none") return sim::Fault::kNone;
  return sim::Fault::kBearingWear;
}

Status run(const SimulateOptions& o) {
  watch_for_interrupt();
  TRY_ASSIGN(const NetAddress broker, NetAddress::parse(o.mqtt));
  TRY_ASSIGN(const Duration history, parse_duration(o.history));
  TRY_ASSIGN(const Duration duration, parse_duration(o.duration));
  if (!(o.speed > 0) || o.speed > 1000)
    return fail(ErrorCode::kInvalidArgument, "--speed must lie between 0 and 1000");
  TRY_ASSIGN(HttpClient http, o.server.connect());
  TRY(install_models(http, o.packages));
  TRY(install_rules(http, o.packages));
  TRY(install_binding(http, o.packages));

  Timestamp start = system_clock().now();
  std::deque<Machine> machines;
  for (const Site& site : kSites) {
    TRY(ensure(http, "/api/v1/sites", site.id,
               {{"name", site.id}, {"display_name", site.name}, {"time_zone", site.time_zone}}));
    const int count =
        site.acme ? std::min(kAcmePerSite, o.compressors_per_site) : o.compressors_per_site;
    for (int k = 1; k <= count; ++k) {
      const std::string id = fmt::format("{}-compressor-{}", site.id, k);
      TRY_ASSIGN(const std::string token,
                 install_device(http, id, fmt::format("Compressor {}", k), site));
      TRY(install_detector(http, id));
      TRY_ASSIGN(auto publisher, DevicePublisher::connect({broker, id, token, true, 50}));
      sim::CompressorParameters parameters;
      parameters.demand_share = 0.55 + 0.05 * k;
      parameters.rated_power_kw = k % 2 ? 75 : 90;
      parameters.rated_flow_m3_min = k % 2 ? 13.5 : 16.2;
      machines.push_back(
          {id, site.acme,
           sim::Compressor(parameters, std::hash<std::string>{}(id), start - history),
           std::move(publisher)});
    }
  }
  TRY(send_history(machines, history, start));
  // Sending took its time: that is caught up as well, so that the machines speak of now.
  for (Timestamp now = system_clock().now(); now - start > Duration::seconds(1) && !interrupted();
       now = system_clock().now()) {
    TRY(send_history(machines, now - start, now));
    start = now;
  }
  Machine& sick = machines[std::min<size_t>(1, machines.size() - 1)];
  sick.compressor.set_fault(fault_of(o.fault),
                            start + Duration::micros(static_cast<int64_t>(o.fault_after_s * 1e6)),
                            Duration::micros(static_cast<int64_t>(o.fault_growth_s * 1e6)), 1);
  fmt::print("simulating {} compressors at {} sites; {} develops: {}\n", machines.size(),
             kSites.size(), sick.id, sim::name(fault_of(o.fault)));
  std::fflush(stdout);

  const int64_t began_us = system_clock().monotonic_us();
  for (int64_t second = 1; !interrupted(); ++second) {
    if (duration.us > 0 && second * 1'000'000 > duration.us) break;
    wait_until(began_us + static_cast<int64_t>(static_cast<double>(second) * 1e6 / o.speed));
    for (Machine& machine : machines) {
      const auto readings = machine.compressor.advance(Duration::seconds(1));
      TRY(machine.publisher.publish(topic_of(machine),
                                    message_json(machine, machine.compressor.now(), readings)));
    }
  }
  uint64_t refused = 0;
  for (Machine& machine : machines) {
    TRY(machine.publisher.flush(10'000));
    refused += machine.publisher.outcome().refused;
  }
  if (refused > 0)
    return fail(ErrorCode::kUnavailable,
                fmt::format("the server refused {} messages and did not store them", refused));
  return {};
}

}  // namespace

void add_simulate(CLI::App& root) {
  auto* command = root.add_subcommand(
      "simulate", "Run a fleet of simulated compressors against a server, over MQTT");
  auto o = std::make_shared<SimulateOptions>();
  o->server.add_to(command);
  command->add_option("--mqtt", o->mqtt, "Address of the MQTT listener")->capture_default_str();
  command->add_option("--packages", o->packages, "Folder of the solution packages")
      ->capture_default_str();
  command
      ->add_option("--per-site", o->compressors_per_site,
                   "Compressors at each of three sites; two at the fourth")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("--history", o->history, "How far back to send data first, such as 2h")
      ->capture_default_str();
  command
      ->add_option("--duration", o->duration,
                   "How long to run (simulated time), such as 10m; 0s: until stopped")
      ->capture_default_str();
  command->add_option("--speed", o->speed, "Simulated seconds a second; above 1 times run ahead")
      ->capture_default_str();
  command->add_option("--fault", o->fault, "What one machine develops")
      ->check(CLI::IsMember({"bearing", "valve", "cooler", "none"}))
      ->capture_default_str();
  command->add_option("--fault-after", o->fault_after_s, "Seconds until it begins")
      ->capture_default_str();
  command->add_option("--fault-growth", o->fault_growth_s, "Seconds until it is severe")
      ->capture_default_str();
  on_run(command, [o] { return run(*o); });
}

}  // namespace penstock::app::cli
