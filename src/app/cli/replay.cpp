// penstock replay: any CSV as devices over real MQTT, at a chosen speed.

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <deque>
#include <filesystem>
#include <map>
#include <set>

#include <fmt/format.h>

#include "app/cli/cli.h"
#include "app/device_publisher.h"
#include "app/wall_time.h"
#include "base/csv.h"
#include "base/io.h"
#include "base/json.h"

namespace penstock::app::cli {
namespace {

constexpr int kRowsLookedAt = 1000;  // to find out what a column holds
constexpr int kWrongRowsShown = 5;

struct ReplayOptions {
  ServerOption server;
  std::string mqtt = "127.0.0.1:1883";
  std::vector<std::string> files;
  std::string device, device_column, device_token, site = "replay";
  std::string time_column, time_zone = "UTC", separator;
  std::vector<std::string> mapping, ignored;
  double speed = 0;
  bool now = false, rotate = false, json = false;
  int in_flight = 100;
};

enum class ColumnKind { kEmpty, kBoolean, kNumber, kText };

struct Column {
  size_t index = 0;
  std::string element;
  ColumnKind kind = ColumnKind::kEmpty;
};

struct Plan {
  size_t time_index = 0;
  std::optional<size_t> device_index;
  std::vector<Column> columns;
  std::set<std::string> devices;
};

std::string trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())))
    text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())))
    text.remove_suffix(1);
  return std::string(text);
}

std::optional<double> number_of(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

bool is_boolean(const std::string& text) {
  return text == "true" || text == "false" || text == "True" || text == "False";
}

ColumnKind kind_of(const std::string& text) {
  if (text.empty()) return ColumnKind::kEmpty;
  if (is_boolean(text)) return ColumnKind::kBoolean;
  return number_of(text) ? ColumnKind::kNumber : ColumnKind::kText;
}

// A DTDL name: letters and digits, words joined with capitals.
std::string element_name(const std::string& column) {
  std::string out;
  bool capital = false;
  for (const char c : column) {
    if (!std::isalnum(static_cast<unsigned char>(c)) || static_cast<unsigned char>(c) > 127) {
      capital = !out.empty();
      continue;
    }
    if (out.empty() && std::isdigit(static_cast<unsigned char>(c))) out = "column";
    out += capital ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    capital = false;
  }
  return out.empty() ? "column" : out.substr(0, 64);
}

// A slug: lower-case letters, digits and dashes.
std::string slug(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (plain)
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    else if (!out.empty() && out.back() != '-')
      out += '-';
  }
  while (!out.empty() && out.back() == '-') out.pop_back();
  return out.empty() ? "device" : out.substr(0, 63);
}

// valve1/7.csv is valve1-7: a number alone says nothing.
std::string name_of_file(const std::string& file) {
  const std::filesystem::path path(file);
  const std::string stem = path.stem().string();
  const bool number =
      std::all_of(stem.begin(), stem.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  const std::string folder = std::filesystem::absolute(path).parent_path().filename().string();
  return slug(number && !folder.empty() ? folder + "-" + stem : stem);
}

Result<size_t> column_index(const CsvReader& reader, const std::string& name,
                            const std::string& file) {
  const auto& header = reader.header();
  const auto found = std::find(header.begin(), header.end(), name);
  if (found != header.end()) return static_cast<size_t>(found - header.begin());
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("there is no column {}; there are {}", name, fmt::join(header, ", ")),
              file);
}

Result<size_t> time_index(const ReplayOptions& o, const CsvReader& reader,
                          const std::string& file) {
  if (!o.time_column.empty()) return column_index(reader, o.time_column, file);
  for (const char* usual : {"time", "timestamp", "datetime", "date", "ts", "Time", "Timestamp"})
    if (const auto found = column_index(reader, usual, file)) return found;
  return size_t{0};
}

Result<Plan> make_plan(const ReplayOptions& o, const std::string& file) {
  TRY_ASSIGN(CsvReader reader, CsvReader::open(file, o.separator.empty() ? 0 : o.separator[0]));
  Plan plan;
  TRY_ASSIGN(plan.time_index, time_index(o, reader, file));
  if (!o.device_column.empty()) {
    TRY_ASSIGN(plan.device_index, column_index(reader, o.device_column, file));
  }
  std::map<std::string, std::string> mapping;
  for (const std::string& one : o.mapping) {
    const size_t equals = one.find('=');
    if (equals == std::string::npos)
      return fail(ErrorCode::kInvalidArgument, "--map needs COLUMN=element", one);
    TRY(column_index(reader, one.substr(0, equals), file));
    mapping[one.substr(0, equals)] = one.substr(equals + 1);
  }
  for (size_t i = 0; i < reader.header().size(); ++i) {
    const std::string& name = reader.header()[i];
    const bool left_out = std::find(o.ignored.begin(), o.ignored.end(), name) != o.ignored.end();
    if (i == plan.time_index || (plan.device_index && i == *plan.device_index) || left_out)
      continue;
    const auto mapped = mapping.find(name);
    plan.columns.push_back({i, mapped == mapping.end() ? element_name(name) : mapped->second, {}});
  }
  if (plan.columns.empty())
    return fail(ErrorCode::kInvalidArgument, "besides time and device no column is left", file);
  for (int row = 0; row < kRowsLookedAt || plan.device_index; ++row) {
    const auto fields = reader.next();
    if (!fields) continue;
    if (!*fields) break;
    if (plan.device_index) plan.devices.insert(slug((**fields)[*plan.device_index]));
    for (Column& column : plan.columns)
      column.kind = std::max(column.kind, kind_of(trimmed((**fields)[column.index])));
  }
  if (!plan.device_index) plan.devices.insert(o.device.empty() ? name_of_file(file) : o.device);
  return plan;
}

const char* schema_of(ColumnKind kind) {
  switch (kind) {
    case ColumnKind::kBoolean:
      return "boolean";
    case ColumnKind::kText:
      return "string";
    default:
      return "double";
  }
}

// An interface with the file's columns; its name holds a hash of them, so that another file with
// other columns gets another one.
Json model_of(const Plan& plan) {
  Json contents = Json::array();
  uint64_t hash = 1469598103934665603ULL;
  for (const Column& column : plan.columns) {
    contents.push_back(
        {{"@type", "Telemetry"}, {"name", column.element}, {"schema", schema_of(column.kind)}});
    for (const char c : column.element + schema_of(column.kind))
      hash = (hash ^ static_cast<uint8_t>(c)) * 1099511628211ULL;
  }
  return {{"@context", "dtmi:dtdl:context;3"},
          {"@id", fmt::format("dtmi:penstock:replay:c{:016x};1", hash)},
          {"@type", "Interface"},
          {"displayName", "Replayed file"},
          {"contents", std::move(contents)}};
}

Status ensure(HttpClient& http, const std::string& path, const std::string& id, const Json& body) {
  const auto there = http.get(path + "/" + url_encode(id));
  if (there) return {};
  if (there.error().code != ErrorCode::kNotFound) return fail(there.error());
  TRY(http.post(path, body));
  return {};
}

// The token of a device that is made where it is missing.
Result<std::string> token_for(const ReplayOptions& o, HttpClient& http, const Plan& plan,
                              const std::string& device) {
  if (const auto there = http.get("/api/v1/devices/" + url_encode(device)); there) {
    if (!o.rotate)
      return fail(ErrorCode::kConflict,
                  "this device exists: give --device-token, or --rotate for new credentials (the "
                  "old ones stop working)",
                  device);
    TRY_ASSIGN(const Json made,
               http.post("/api/v1/devices/" + url_encode(device) + "/credentials", Json::object()));
    return made.contains("credentials") ? made.at("credentials").at("token").get<std::string>()
                                        : made.at("token").get<std::string>();
  }
  const Json model = model_of(plan);
  TRY(ensure(http, "/api/v1/sites", o.site,
             {{"name", o.site}, {"display_name", o.site}, {"time_zone", o.time_zone}}));
  TRY(ensure(http, "/api/v1/models", model.at("@id").get<std::string>(), model));
  TRY_ASSIGN(
      const Json made,
      http.post("/api/v1/devices", {{"id", device}, {"site", o.site}, {"model", model.at("@id")}}));
  return made.at("credentials").at("token").get<std::string>();
}

class Replay {
 public:
  explicit Replay(const ReplayOptions& options) : o_(options) {}

  Status run() {
    TRY_ASSIGN(zone_, WallTime::in_zone(o_.time_zone));
    TRY_ASSIGN(broker_, NetAddress::parse(o_.mqtt));
    std::vector<Plan> plans;
    for (const std::string& file : o_.files) {
      TRY_ASSIGN(Plan plan, make_plan(o_, file));
      plans.push_back(std::move(plan));
    }
    TRY(connect_all(plans));
    uint64_t bytes = 0;
    for (const std::string& file : o_.files) bytes += std::filesystem::file_size(file);
    progress_.emplace("replay", bytes, o_.json);
    began_us_ = system_clock().monotonic_us();
    for (size_t i = 0; i < o_.files.size() && !interrupted(); ++i) TRY(send(o_.files[i], plans[i]));
    for (auto& [name, publisher] : publishers_) TRY(publisher.flush(60'000));
    progress_.reset();
    return report();
  }

 private:
  Status connect_all(const std::vector<Plan>& plans) {
    std::optional<HttpClient> http;
    for (const Plan& plan : plans)
      for (const std::string& device : plan.devices) {
        if (publishers_.contains(device)) continue;
        DevicePublisherOptions options;
        options.broker = broker_;
        options.device = device;
        options.in_flight_max = o_.in_flight;
        options.token = o_.device_token;
        if (options.token.empty()) {
          if (!http) {
            TRY_ASSIGN(http, o_.server.connect());
          }
          TRY_ASSIGN(options.token, token_for(o_, *http, plan, device));
        }
        TRY_ASSIGN(auto publisher, DevicePublisher::connect(options));
        publishers_.emplace(device, std::move(publisher));
      }
    return {};
  }

  Status send(const std::string& file, const Plan& plan) {
    TRY_ASSIGN(CsvReader reader, CsvReader::open(file, o_.separator.empty() ? 0 : o_.separator[0]));
    while (!interrupted()) {
      const auto fields = reader.next();
      if (!fields) {
        wrong_row(fields.error());
        continue;
      }
      if (!*fields) break;
      const auto time = zone_->parse((**fields)[plan.time_index]);
      if (!time) {
        wrong_row({ErrorCode::kInvalidArgument, time.error().message,
                   fmt::format("{}:{}", file, reader.line())});
        continue;
      }
      wait_for(*time);
      TRY(send_row(plan, **fields, *time));
      progress_->at(bytes_before_ + reader.bytes_read());
    }
    bytes_before_ += reader.bytes_total();
    return {};
  }

  Status send_row(const Plan& plan, const std::vector<std::string>& fields, Timestamp time) {
    Json values = Json::object();
    for (const Column& column : plan.columns) {
      const std::string text = trimmed(fields[column.index]);
      if (text.empty()) continue;
      if (column.kind == ColumnKind::kBoolean && is_boolean(text))
        values[column.element] = text[0] == 't' || text[0] == 'T';
      else if (const auto number = number_of(text); number && column.kind != ColumnKind::kText)
        values[column.element] = *number;
      else
        values[column.element] = text;
    }
    if (values.empty()) return {};
    samples_ += values.size();
    ++rows_;
    const std::string device =
        plan.device_index ? slug(fields[*plan.device_index]) : *plan.devices.begin();
    const Json message{{"ts", to_rfc3339(shifted(time))}, {"values", std::move(values)}};
    return publishers_.at(device).publish("devices/" + device + "/telemetry", message.dump());
  }

  // With --now the first row happens now, and the others keep their distance, divided by the speed.
  Timestamp shifted(Timestamp time) {
    if (!o_.now) return time;
    const double distance = static_cast<double>((time - *first_).us);
    return start_ +
           Duration::micros(static_cast<int64_t>(distance / (o_.speed > 0 ? o_.speed : 1)));
  }

  void wait_for(Timestamp time) {
    if (!first_) {
      first_ = time;
      start_ = system_clock().now();
    }
    if (o_.speed <= 0) return;
    wait_until(began_us_ +
               static_cast<int64_t>(static_cast<double>((time - *first_).us) / o_.speed));
  }

  void wrong_row(const Error& error) {
    if (++wrong_ <= kWrongRowsShown) fmt::print(stderr, "left out: {}\n", error.text());
  }

  Status report() const {
    const double seconds = static_cast<double>(system_clock().monotonic_us() - began_us_) / 1e6;
    DevicePublisher::Outcome sum;
    for (const auto& [name, publisher] : publishers_) {
      const DevicePublisher::Outcome one = publisher.outcome();
      sum.acknowledged += one.acknowledged;
      sum.refused += one.refused;
      if (sum.why_refused.empty()) sum.why_refused = one.why_refused;
    }
    if (o_.json) {
      fmt::print("{}\n", Json{{"rows", rows_},
                              {"samples", samples_},
                              {"devices", publishers_.size()},
                              {"acknowledged", sum.acknowledged},
                              {"refused", sum.refused},
                              {"left_out", wrong_},
                              {"seconds", seconds},
                              {"complete", !interrupted() && sum.refused == 0}}
                             .dump());
    } else {
      fmt::print("{} of {} rows ({} samples) of {} devices acknowledged in {:.1f} s",
                 sum.acknowledged, rows_, samples_, publishers_.size(), seconds);
      if (wrong_ > 0) fmt::print("; {} rows left out", wrong_);
      fmt::print("\n");
    }
    if (sum.refused > 0)
      return fail(ErrorCode::kUnavailable,
                  fmt::format("the server refused {} of {} rows and did not store them: {}",
                              sum.refused, rows_, sum.why_refused));
    return {};
  }

  const ReplayOptions& o_;
  std::optional<WallTime> zone_;
  NetAddress broker_;
  std::map<std::string, DevicePublisher> publishers_;
  std::optional<Timestamp> first_;
  Timestamp start_;
  int64_t began_us_ = 0;
  std::optional<Progress> progress_;
  uint64_t bytes_before_ = 0;  // of files that are done
  uint64_t rows_ = 0, samples_ = 0, wrong_ = 0;
};

Status run(const ReplayOptions& o) {
  watch_for_interrupt();
  if (!o.device.empty() && (o.files.size() > 1 || !o.device_column.empty()))
    return fail(ErrorCode::kInvalidArgument,
                "--device is for one file without --device-column: its rows are one device's");
  if (o.separator.size() > 1)
    return fail(ErrorCode::kInvalidArgument, "--separator is one character", o.separator);
  return Replay(o).run();
}

}  // namespace

void add_replay(CLI::App& root) {
  auto* command =
      root.add_subcommand("replay", "Stream CSV files as devices over MQTT, a row a message");
  auto o = std::make_shared<ReplayOptions>();
  command->add_option("files", o->files, "CSV files; each is a device named like the file")
      ->required()
      ->check(CLI::ExistingFile);
  o->server.add_to(command);
  command->add_option("--mqtt", o->mqtt, "Address of the MQTT listener")->capture_default_str();
  command->add_option("--device", o->device, "The device's name instead");
  command->add_option("--device-column", o->device_column, "Column that names each row's device");
  command->add_option("--device-token", o->device_token,
                      "Its token; without one, site, model and device are made over the API");
  command->add_flag("--rotate", o->rotate, "New credentials for devices that exist");
  command->add_option("--site", o->site, "Site of devices that are made")->capture_default_str();
  command->add_option("--time-column", o->time_column,
                      "Column with the time; found by its name, else the first");
  command->add_option("--time-zone", o->time_zone, "Of times that name none")
      ->capture_default_str();
  command->add_option("--map", o->mapping, "COLUMN=element, for a column of another name");
  command->add_option("--ignore", o->ignored, "Columns to leave out");
  command->add_option("--separator", o->separator, "Found from the header where not given");
  command
      ->add_option("--speed", o->speed,
                   "Seconds of the file a second; 0: as fast as it is acknowledged")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_flag("--now", o->now, "The first row happens now; the others follow by --speed");
  command->add_option("--in-flight", o->in_flight, "Unacknowledged messages, each device")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  command->add_flag("--json", o->json, "One JSON line at the end, no progress");
  on_run(command, [o] { return run(*o); });
}

}  // namespace penstock::app::cli
