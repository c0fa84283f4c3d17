// penstock alarm: what needs somebody.

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "app/cli/resources.h"

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
};

}  // namespace

void add_alarm(CLI::App& root) {
  auto* group = root.add_subcommand("alarm", "Alarms: list, show, acknowledge, note");
  group->require_subcommand(1);
  const auto filter = std::make_shared<Filter>();
  auto* list = add_remote(group, "list", "Alarms, newest first",
                          [filter](HttpClient& http, const Remote& r) -> Status {
                            std::string path = "/api/v1/alarms";
                            if (filter->state != "all") add_query(path, "state", filter->state);
                            add_query(path, "priority", filter->priority);
                            add_query(path, "site", filter->site);
                            add_query(path, "twin", filter->twin);
                            TRY_ASSIGN(const Json items, list_all(http, path));
                            print_items(items, kColumns, r.json);
                            return {};
                          });
  list->add_option("--state", filter->state)
      ->check(CLI::IsMember({"open", "active", "acknowledged", "cleared", "closed", "all"}))
      ->capture_default_str();
  list->add_option("--priority", filter->priority)
      ->check(CLI::IsMember({"critical", "high", "medium", "low"}));
  list->add_option("--site", filter->site);
  list->add_option("--twin", filter->twin);

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
