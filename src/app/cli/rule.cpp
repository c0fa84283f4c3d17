// penstock rule: thresholds, rates of change and silence that raise alarms.

#include <fmt/format.h>

#include "app/cli/resources.h"
#include "base/time.h"

namespace penstock::app::cli {
namespace {

const std::vector<Column> kColumns{
    {"rule", "id"},     {"name", "name"},   {"element", "element"},   {"kind", "kind"},
    {"", "comparison"}, {"limit", "limit"}, {"priority", "priority"}, {"enabled", "enabled"}};

struct Draft {
  std::string file, model, site, twin, element, kind = "threshold", priority = "medium";
  std::string on_delay, off_delay, name, message, cause, consequence, action;
  std::optional<double> above, below, limit;
  double hysteresis = 0;
};

Result<double> seconds_of(const std::string& text) {
  TRY_ASSIGN(const Duration duration, parse_duration(text));
  return duration.as_seconds();
}

Result<Json> rule_of(const Draft& d) {
  Json scope = Json::object();
  if (!d.model.empty()) scope["model"] = d.model;
  if (!d.site.empty()) scope["site"] = d.site;
  if (!d.twin.empty()) scope["twin"] = d.twin;
  if (scope.size() != 1)
    return fail(ErrorCode::kInvalidArgument, "give one of --model, --site and --twin");
  const int limits = (d.above ? 1 : 0) + (d.below ? 1 : 0) + (d.limit ? 1 : 0);
  if (limits != 1)
    return fail(ErrorCode::kInvalidArgument,
                "give one of --above, --below and --limit (for silence)");
  if (d.message.empty())
    return fail(ErrorCode::kInvalidArgument, "--message is what the alarm says: give one");
  Json rule{{"scope", scope},         {"element", d.element},
            {"kind", d.kind},         {"limit", d.above ? *d.above : d.below ? *d.below : *d.limit},
            {"priority", d.priority}, {"message", d.message},
            {"enabled", true}};
  if (d.kind != "stale") rule["comparison"] = d.below ? "<" : ">";
  if (d.hysteresis > 0) rule["hysteresis"] = d.hysteresis;
  if (!d.on_delay.empty()) {
    TRY_ASSIGN(rule["on_delay_s"], seconds_of(d.on_delay));
  }
  if (!d.off_delay.empty()) {
    TRY_ASSIGN(rule["off_delay_s"], seconds_of(d.off_delay));
  }
  for (const auto& [key, value] :
       {std::pair{"name", &d.name}, std::pair{"cause", &d.cause},
        std::pair{"consequence", &d.consequence}, std::pair{"action", &d.action}})
    if (!value->empty()) rule[key] = *value;
  return rule;
}

Status run_add(HttpClient& http, const Draft& draft, bool json) {
  Json rules = Json::array();
  if (draft.file.empty()) {
    TRY_ASSIGN(const Json rule, rule_of(draft));
    rules.push_back(rule);
  } else {
    TRY_ASSIGN(const Json document, read_json_file(draft.file));
    if (document.is_array())
      rules = document;
    else
      rules.push_back(document);
  }
  Json made = Json::array();
  for (const Json& rule : rules) {
    TRY_ASSIGN(const Json one, http.post("/api/v1/rules", rule));
    made.push_back(one);
  }
  print_items(made, kColumns, json);
  return {};
}

void add_add(CLI::App* group) {
  const auto d = std::make_shared<Draft>();
  auto* add =
      add_remote(group, "add", "Add a rule, or those of a file",
                 [d](HttpClient& http, const Remote& r) { return run_add(http, *d, r.json); });
  add->add_option("--file", d->file, "JSON: one rule or an array of them")
      ->check(CLI::ExistingFile);
  add->add_option("--model", d->model, "For all twins of this model");
  add->add_option("--site", d->site, "For all twins of this site");
  add->add_option("--twin", d->twin, "For one twin");
  add->add_option("--element", d->element, "Which value");
  add->add_option("--kind", d->kind)
      ->check(CLI::IsMember({"threshold", "rate", "stale"}))
      ->capture_default_str();
  add->add_option("--above", d->above, "Alarm above this");
  add->add_option("--below", d->below, "Alarm below this");
  add->add_option("--limit", d->limit, "stale: seconds without a sample");
  add->add_option("--hysteresis", d->hysteresis, "How far back before it clears");
  add->add_option("--on-delay", d->on_delay, "Such as 5s");
  add->add_option("--off-delay", d->off_delay, "Such as 30s");
  add->add_option("--priority", d->priority)
      ->check(CLI::IsMember({"critical", "high", "medium", "low"}))
      ->capture_default_str();
  add->add_option("--name", d->name, "For people");
  add->add_option("--message", d->message, "What the alarm says");
  add->add_option("--cause", d->cause);
  add->add_option("--consequence", d->consequence);
  add->add_option("--action", d->action);
}

// Read, change, write back: the API replaces whole rules.
Status set_enabled(HttpClient& http, const std::string& id, bool enabled, bool json) {
  TRY_ASSIGN(Json rule, http.get(api_path({"rules", id})));
  Json body = Json::object();
  for (const char* key :
       {"name", "scope", "element", "kind", "comparison", "limit", "hysteresis", "on_delay_s",
        "off_delay_s", "priority", "message", "cause", "consequence", "action"})
    if (rule.contains(key) && !rule[key].is_null()) body[key] = rule[key];
  body["enabled"] = enabled;
  TRY_ASSIGN(const Json changed, http.put(api_path({"rules", id}), body));
  print_done(changed, (enabled ? "enabled " : "disabled ") + id, json);
  return {};
}

}  // namespace

void add_rule(CLI::App& root) {
  auto* group = root.add_subcommand("rule", "Rules: add, list, show, enable, disable, remove");
  group->require_subcommand(1);
  add_add(group);
  add_remote(group, "list", "All rules", [](HttpClient& http, const Remote& r) -> Status {
    TRY_ASSIGN(const Json items, list_all(http, "/api/v1/rules"));
    print_items(items, kColumns, r.json);
    return {};
  });
  const auto id = std::make_shared<std::string>();
  auto* show =
      add_remote(group, "show", "One rule", [id](HttpClient& http, const Remote& r) -> Status {
        TRY_ASSIGN(const Json rule, http.get(api_path({"rules", *id})));
        print_one(rule,
                  {{"rule", "id"},
                   {"name", "name"},
                   {"scope", "scope"},
                   {"element", "element"},
                   {"kind", "kind"},
                   {"comparison", "comparison"},
                   {"limit", "limit"},
                   {"hysteresis", "hysteresis"},
                   {"on delay, s", "on_delay_s"},
                   {"off delay, s", "off_delay_s"},
                   {"priority", "priority"},
                   {"message", "message"},
                   {"cause", "cause"},
                   {"consequence", "consequence"},
                   {"action", "action"},
                   {"enabled", "enabled"}},
                  r.json);
        return {};
      });
  auto* enable = add_remote(
      group, "enable", "Let it raise alarms",
      [id](HttpClient& http, const Remote& r) { return set_enabled(http, *id, true, r.json); });
  auto* disable = add_remote(
      group, "disable", "Keep it, and keep it quiet",
      [id](HttpClient& http, const Remote& r) { return set_enabled(http, *id, false, r.json); });
  auto* remove = add_remote(group, "remove", "Remove a rule; its alarms stay",
                            [id](HttpClient& http, const Remote& r) -> Status {
                              TRY_ASSIGN(const Json reply, http.remove(api_path({"rules", *id})));
                              print_done(reply, "removed " + *id, r.json);
                              return {};
                            });
  for (auto* command : {show, enable, disable, remove})
    command->add_option("id", *id, "Such as rule_3")->required();
}

}  // namespace penstock::app::cli
