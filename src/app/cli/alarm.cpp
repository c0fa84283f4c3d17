// penstock alarm: what needs somebody.

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "app/cli/resources.h"
#include "base/io.h"

namespace penstock::app::cli {
namespace {

const std::vector<Column> kColumns{
    {"alarm", "id"},  {"state", "state"},      {"priority", "priority"}, {"site", "site"},
    {"twin", "twin"}, {"raised", "raised_at"}, {"message", "message"}};

void print_alarm(const Json& alarm) {
  print_one(alarm,
            {{"alarm", "id"},
             {"state", "state"},
             {"priority", "priority"},
             {"twin", "twin"},
             {"site", "site"},
             {"raised", "raised_at"},
             {"cleared", "cleared_at"},
             {"acknowledged", "acknowledged_at"},
             {"by", "acknowledged_by"},
             {"source", "source.name"},
             {"value", "value"},
             {"limit", "limit"},
             {"unit", "unit"},
             {"message", "message"},
             {"cause", "cause"},
             {"consequence", "consequence"},
             {"action", "action"}},
            false);
  const Json contributions = alarm.value("contributions", Json::array());
  if (!contributions.empty()) fmt::print("\nwhich sensors\n");
  for (const Json& one : contributions) {
    const double share = one.value("share", 0.0);
    fmt::print(
        "  {:<24} {:>4.0f} % {}\n", cell(one, "element"), share * 100,
        std::string(static_cast<size_t>(std::lround(std::clamp(share, 0.0, 1.0) * 40)), '#'));
  }
  const Json history = alarm.value("history", Json::array());
  if (!history.empty()) fmt::print("\nhistory\n");
  for (const Json& event : history)
    fmt::print("  {}  {}  {}  {}\n", cell(event, "at"), cell(event, "who"), cell(event, "what"),
               cell(event, "note"));
}

struct Filter {
  std::string state = "open", priority, site, twin;

  [[nodiscard]] std::string path(const std::string& of_state) const {
    std::string path = "/api/v1/alarms";
    if (of_state != "all") add_query(path, "state", of_state);
    add_query(path, "priority", priority);
    add_query(path, "site", site);
    add_query(path, "twin", twin);
    return path;
  }
  void add_to(CLI::App* command) {
    command->add_option("--priority", priority)
        ->check(CLI::IsMember({"critical", "high", "medium", "low"}));
    command->add_option("--site", site);
    command->add_option("--twin", twin);
  }
};

void print_change(const Json& alarm, const std::string& state, bool json) {
  if (json)
    fmt::print("{}\n", alarm.dump());
  else
    fmt::print("{}  {:<12}  {:<8}  {:<8}  {}  {}\n", to_rfc3339(system_clock().now()), state,
               cell(alarm, "priority"), cell(alarm, "id"), cell(alarm, "twin"),
               cell(alarm, "message"));
  std::fflush(stdout);
}

// A line for every alarm that is open, then one for each change, until Ctrl-C.
Status watch(HttpClient& http, const Remote& r, const Filter& filter, double interval_s) {
  watch_for_interrupt();
  std::map<std::string, std::string> states;  // of open alarms
  while (!interrupted()) {
    TRY_ASSIGN(const Json items, list_all(http, filter.path("open")));
    std::map<std::string, std::string> now;
    for (const Json& alarm : items) {
      const std::string id = alarm.value("id", ""), state = alarm.value("state", "");
      now[id] = state;
      const auto before = states.find(id);
      if (before == states.end() || before->second != state) print_change(alarm, state, r.json);
      if (before != states.end()) states.erase(before);
    }
    for (const auto& [id, state] : states) {
      TRY_ASSIGN(const Json alarm, http.get(api_path({"alarms", id})));
      print_change(alarm, alarm.value("state", "closed"), r.json);
    }
    states = std::move(now);
    wait_until(system_clock().monotonic_us() + static_cast<int64_t>(interval_s * 1e6));
  }
  return {};
}

}  // namespace

void add_alarm(CLI::App& root) {
  auto* group = root.add_subcommand("alarm", "Alarms: list, watch, show, acknowledge, note");
  group->require_subcommand(1);
  const auto filter = std::make_shared<Filter>();
  auto* list = add_remote(
      group, "list", "Alarms, newest first", [filter](HttpClient& http, const Remote& r) -> Status {
        TRY_ASSIGN(const Json items, list_all(http, filter->path(filter->state)));
        print_items(items, kColumns, r.json);
        return {};
      });
  list->add_option("--state", filter->state)
      ->check(CLI::IsMember({"open", "active", "acknowledged", "cleared", "closed", "all"}))
      ->capture_default_str();
  filter->add_to(list);

  const auto watched = std::make_shared<Filter>();
  const auto interval_s = std::make_shared<double>(2);
  auto* watching = add_remote(group, "watch", "Open alarms, then every change, until Ctrl-C",
                              [watched, interval_s](HttpClient& http, const Remote& r) {
                                return watch(http, r, *watched, *interval_s);
                              });
  watched->add_to(watching);
  watching->add_option("--interval", *interval_s, "Seconds between two looks")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();

  const auto id = std::make_shared<std::string>();
  const auto text = std::make_shared<std::string>();
  auto* show = add_remote(group, "show", "One alarm: cause, action, sensors, history",
                          [id](HttpClient& http, const Remote& r) -> Status {
                            TRY_ASSIGN(const Json alarm, http.get(api_path({"alarms", *id})));
                            if (r.json)
                              print_one(alarm, {}, true);
                            else
                              print_alarm(alarm);
                            return {};
                          });
  auto* acknowledge = add_remote(
      group, "acknowledge", "Say that you know",
      [id, text](HttpClient& http, const Remote& r) -> Status {
        Json body = Json::object();
        if (!text->empty()) body["note"] = *text;
        TRY_ASSIGN(const Json alarm, http.post(api_path({"alarms", *id, "acknowledge"}), body));
        print_done(alarm, "acknowledged " + *id, r.json);
        return {};
      });
  acknowledge->add_option("--note", *text, "Kept in the alarm's history");
  auto* note = add_remote(
      group, "note", "Add a note", [id, text](HttpClient& http, const Remote& r) -> Status {
        TRY_ASSIGN(const Json alarm,
                   http.post(api_path({"alarms", *id, "notes"}), {{"text", *text}}));
        print_done(alarm, "noted on " + *id, r.json);
        return {};
      });
  for (auto* command : {show, acknowledge, note})
    command->add_option("id", *id, "Such as alm_7")->required();
  note->add_option("text", *text)->required();
}

}  // namespace penstock::app::cli
