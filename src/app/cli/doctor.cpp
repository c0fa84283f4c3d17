// penstock doctor: looks at an installation and says what to do.

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include <fmt/format.h>
#include <sys/resource.h>

#include "app/cli/cli.h"
#include "app/cli/table.h"
#include "base/io.h"
#include "base/json.h"
#include "base/net.h"
#include "base/timezone.h"
#include "store/registry.h"
#include "stream/journal_inspect.h"

namespace penstock::app::cli {
namespace {

struct DoctorOptions {
  ServerOption server;
  std::string web = "web/dist";
  std::string mqtt = "127.0.0.1:1883";
  bool deep = false, json = false;
};

struct Finding {
  std::string what;
  enum class Level { kGood, kWarning, kBad } level = Level::kGood;
  std::string detail;  ///< and what to do, where something is wrong
};
using Findings = std::vector<Finding>;
using Level = Finding::Level;

void look_at_disk(const std::string& data, Findings& out) {
  FileSystem& files = system_files();
  if (const Status made = files.create_directories(data); !made) {
    out.push_back({"data folder", Level::kBad,
                   made.error().text() + ": give --data a folder that you may write to"});
    return;
  }
  const auto free = files.free_bytes(data);
  if (free) {
    const double gib = static_cast<double>(*free) / (1ULL << 30);
    out.push_back({"free space", gib < 1 ? Level::kWarning : Level::kGood,
                   fmt::format("{:.1f} GiB{}", gib,
                               gib < 1 ? ": the journal stops when it is full; free some" : "")});
  }
  // What every acknowledgement waits for.
  const std::string probe = data + "/doctor.probe";
  std::vector<int64_t> times;
  if (auto file = files.open(probe, OpenMode::kAppend); file) {
    const std::vector<std::byte> page(16 * 1024);
    for (int i = 0; i < 50; ++i) {
      const int64_t begin = system_clock().monotonic_us();
      if (!(*file)->append(page) || !(*file)->sync()) break;
      times.push_back(system_clock().monotonic_us() - begin);
    }
  }
  (void)files.remove(probe);
  if (times.size() < 50) {
    out.push_back({"disk", Level::kBad, "writing and syncing a file failed: look at dmesg"});
    return;
  }
  std::sort(times.begin(), times.end());
  const double ms = static_cast<double>(times[times.size() / 2]) / 1000;
  out.push_back(
      {"disk sync", ms > 20 ? Level::kWarning : Level::kGood,
       fmt::format("{:.2f} ms a write and fdatasync{}", ms,
                   ms > 20 ? ": every acknowledgement waits for it; a faster disk helps" : "")});
}

void look_at_system(const DoctorOptions& o, Findings& out) {
  struct rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  out.push_back({"open files", files.rlim_max < 4096 ? Level::kWarning : Level::kGood,
                 fmt::format("{} allowed{}", files.rlim_max,
                             files.rlim_max < 4096
                                 ? ": each connection is one; raise LimitNOFILE or ulimit -Hn"
                                 : "")});
  out.push_back({"cores", Level::kGood, std::to_string(std::thread::hardware_concurrency())});
  const auto zone = TimeZone::find("Europe/Berlin");
  out.push_back({"time zones", zone ? Level::kGood : Level::kBad,
                 zone ? "the system's rules are there"
                      : "the system has none: install tzdata, or a site's days are wrong"});
  const Timestamp now = system_clock().now();
  const bool sane = now > Timestamp::from_seconds(1'767'225'600);
  out.push_back({"clock", sane ? Level::kGood : Level::kBad,
                 to_rfc3339(now) + (sane ? "" : ": set it; samples would get wrong times")});
  const bool page = std::filesystem::exists(o.web + "/index.html");
  out.push_back({"page", page ? Level::kGood : Level::kWarning,
                 page ? o.web : "not built in " + o.web + ": run make web, or give --web"});
}

void look_at_data(const DoctorOptions& o, Findings& out) {
  const std::string registry = o.server.data + "/registry.db";
  if (!std::filesystem::exists(registry)) {
    out.push_back({"data", Level::kGood, "nothing yet: the first start makes it"});
    return;
  }
  auto opened = store::Registry::open(registry);
  const Status whole = opened ? (*opened)->verify() : tl::unexpected<Error>(opened.error());
  out.push_back({"registry", whole ? Level::kGood : Level::kBad,
                 whole ? "every page is sound" : whole.error().text()});
  if (!o.deep) return;
  const auto journal = stream::inspect_journal(system_files(), o.server.data + "/journal");
  if (!journal) {
    out.push_back({"journal", Level::kBad, journal.error().text()});
    return;
  }
  out.push_back({"journal", journal->whole() ? Level::kGood : Level::kBad,
                 journal->whole() ? "every checksum fits" : journal->damage.front().text()});
}

// The process that listens at a TCP port, from /proc (see proc_pid_fd(5)); empty where nobody does.
std::string listener_of(uint16_t port) {
  std::set<std::string> sockets;  // what a descriptor's link says
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream lines(table);
    std::string line;
    while (std::getline(lines, line)) {
      std::istringstream words(line);
      std::string number, local, remote, state, skip, inode;
      words >> number >> local >> remote >> state >> skip >> skip >> skip >> skip >> skip >> inode;
      if (state == "0A" && local.ends_with(fmt::format(":{:04X}", port)))
        sockets.insert("socket:[" + inode + "]");
    }
  }
  if (sockets.empty()) return {};
  std::error_code ignored;
  for (const auto& process : std::filesystem::directory_iterator("/proc", ignored)) {
    const std::string pid = process.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    for (const auto& descriptor :
         std::filesystem::directory_iterator(process.path() / "fd", ignored)) {
      if (!sockets.contains(std::filesystem::read_symlink(descriptor.path(), ignored))) continue;
      std::string name;
      std::ifstream(process.path() / "comm") >> name;
      return fmt::format("{}, process {}", name, pid);
    }
  }
  return "a process of another user";
}

void look_at_ports(const DoctorOptions& o, Findings& out) {
  const auto port_in = [](const std::string& address) {
    const size_t colon = address.rfind(':');
    return colon == std::string::npos ? 0 : std::atoi(address.c_str() + colon + 1);
  };
  for (const auto& [what, address] :
       {std::pair{"HTTP port", o.server.url}, {"MQTT port", o.mqtt}}) {
    const int port = port_in(address);
    if (port <= 0 || port > 65'535) continue;
    const std::string who = listener_of(static_cast<uint16_t>(port));
    out.push_back({what, who.empty() ? Level::kGood : Level::kWarning,
                   who.empty()
                       ? fmt::format("{} is free", port)
                       : fmt::format("{} is taken by {}: end it, or serve on another", port, who)});
  }
}

void look_at_server(const DoctorOptions& o, Findings& out) {
  const auto http = HttpClient::create(o.server.url, o.server.token);
  if (!http) {
    out.push_back({"server", Level::kBad, http.error().text()});
    return;
  }
  auto client = std::move(*HttpClient::create(o.server.url, o.server.token));
  const auto health = client.get("/api/v1/health");
  if (!health) {
    out.push_back({"server", Level::kWarning,
                   "nothing answers at " + o.server.url + ": start it with penstock serve (" +
                       health.error().message + ")"});
    look_at_ports(o, out);
    return;
  }
  out.push_back({"server", Level::kGood,
                 fmt::format("{} at {}, up {:.0f} s", health->value("version", "?"), o.server.url,
                             health->value("uptime_s", 0.0))});
  for (const Json& check : health->value("checks", Json::array())) {
    const std::string status = check.value("status", "");
    out.push_back({"server: " + check.value("name", ""),
                   status == "ok"         ? Level::kGood
                   : status == "degraded" ? Level::kWarning
                                          : Level::kBad,
                   check.value("detail", "")});
  }
}

const char* name_of(Level level) {
  return level == Level::kGood ? "ok" : level == Level::kWarning ? "warning" : "WRONG";
}

Status run(const DoctorOptions& o) {
  Findings findings;
  look_at_system(o, findings);
  look_at_disk(o.server.data, findings);
  look_at_data(o, findings);
  look_at_server(o, findings);
  const bool bad = std::any_of(findings.begin(), findings.end(),
                               [](const Finding& f) { return f.level == Level::kBad; });
  if (o.json) {
    Json list = Json::array();
    for (const Finding& f : findings)
      list.push_back({{"check", f.what}, {"status", name_of(f.level)}, {"detail", f.detail}});
    fmt::print("{}\n", Json{{"sound", !bad}, {"checks", std::move(list)}}.dump());
  } else {
    Table table({"check", "", "what"});
    for (const Finding& f : findings) table.add({f.what, name_of(f.level), f.detail});
    fmt::print("{}", table.text());
  }
  if (bad) exit_code = 1;
  return {};
}

}  // namespace

void add_doctor(CLI::App& root) {
  auto* command = root.add_subcommand(
      "doctor", "Check this installation and say what to do; 1: something is wrong");
  auto o = std::make_shared<DoctorOptions>();
  o->server.add_to(command);
  command->add_option("--web", o->web, "Folder of the built page")->capture_default_str();
  command->add_option("--mqtt", o->mqtt, "Address that MQTT is to be served at")
      ->capture_default_str();
  command->add_flag("--deep", o->deep, "Read the whole journal too");
  command->add_flag("--json", o->json, "One JSON line");
  on_run(command, [o] { return run(*o); });
}

}  // namespace penstock::app::cli
