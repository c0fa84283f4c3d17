// penstock bridge: connections to other MQTT brokers.

#include <fmt/format.h>

#include "app/cli/resources.h"
#include "base/io.h"

namespace penstock::app::cli {
namespace {

const std::vector<Column> kColumns{{"bridge", "name"},         {"host", "host"},
                                   {"port", "port"},           {"enabled", "enabled"},
                                   {"state", "state"},         {"since", "since"},
                                   {"in", "messages_in"},      {"out", "messages_out"},
                                   {"unmatched", "unmatched"}, {"last error", "last_error"}};

// A bridge with its status beside its settings, for a line of a table.
Json flat(Json bridge) {
  for (const auto& [key, value] : bridge["status"].items()) bridge[key] = value;
  return bridge;
}

struct Draft {
  std::string file, host, description, mqtt, client_id, username, password_file, server_name;
  std::string ca_file, certificate_file, key_file;
  std::vector<std::string> subscribe, publish;
  std::optional<uint16_t> port;
  std::optional<int> qos;
  bool tls = false;
};

Result<std::string> text_of(const std::string& path) {
  TRY_ASSIGN(std::string text, read_file(system_files(), path, 64 << 10));
  return text;
}

Result<std::string> first_line(const std::string& path) {
  TRY_ASSIGN(std::string text, text_of(path));
  return text.substr(0, text.find_first_of("\r\n"));
}

// The members that the person gave.
Result<Json> document_of(const Draft& d) {
  Json out = Json::object();
  if (!d.file.empty()) {
    TRY_ASSIGN(out, read_json_file(d.file));
  }
  for (const auto& [key, value] :
       {std::pair{"host", &d.host}, std::pair{"description", &d.description},
        std::pair{"mqtt", &d.mqtt}, std::pair{"client_id", &d.client_id},
        std::pair{"username", &d.username}, std::pair{"server_name", &d.server_name}})
    if (!value->empty()) out[key] = *value;
  if (d.port) out["port"] = *d.port;
  if (d.tls) out["tls"] = true;
  for (const auto& [key, path] :
       {std::pair{"ca_pem", &d.ca_file}, std::pair{"certificate_pem", &d.certificate_file},
        std::pair{"key_pem", &d.key_file}}) {
    if (path->empty()) continue;
    TRY_ASSIGN(out[key], text_of(*path));
  }
  if (!d.password_file.empty()) {
    TRY_ASSIGN(out["password"], first_line(d.password_file));
  }
  for (const std::string& filter : d.subscribe)
    out["subscribe"].push_back({{"filter", filter}, {"qos", d.qos.value_or(1)}});
  if (!d.publish.empty()) out["publish"] = d.publish;
  return out;
}

void add_options(CLI::App* command, const std::shared_ptr<Draft>& d) {
  command->add_option("--file", d->file, "JSON of a bridge; the options count before it")
      ->check(CLI::ExistingFile);
  command->add_option("--host", d->host, "The other broker");
  command->add_option("--port", d->port, "1883, with --tls 8883, when left out");
  command->add_option("--description", d->description);
  command->add_option("--mqtt", d->mqtt, "5 (default) or 3.1.1")
      ->check(CLI::IsMember({"5", "3.1.1"}));
  command->add_option("--client-id", d->client_id, "Default: penstock- and the name");
  command->add_option("--username", d->username);
  command->add_option("--password-file", d->password_file, "Its first line is the password")
      ->check(CLI::ExistingFile);
  command->add_flag("--tls", d->tls);
  command->add_option("--server-name", d->server_name, "What the broker's certificate names");
  command->add_option("--ca", d->ca_file, "PEM: whom to trust; default: the system's")
      ->check(CLI::ExistingFile);
  command->add_option("--certificate", d->certificate_file, "PEM of the bridge's own")
      ->check(CLI::ExistingFile);
  command->add_option("--key", d->key_file, "PEM of its key")->check(CLI::ExistingFile);
  command->add_option("--subscribe", d->subscribe, "Topic filter to take; may be repeated");
  command->add_option("--qos", d->qos, "Of the subscriptions: 0, 1 (default) or 2")
      ->check(CLI::Range(0, 2));
  command->add_option("--publish", d->publish,
                      "Topic filter of our endpoint to give; may be repeated");
}

CLI::App* add_show(CLI::App* group, const std::shared_ptr<std::string>& name) {
  return add_remote(group, "show", "One bridge and how it is doing",
                    [name](HttpClient& http, const Remote& r) -> Status {
                      TRY_ASSIGN(const Json bridge, http.get(api_path({"bridges", *name})));
                      print_one(r.json ? bridge : flat(bridge),
                                {{"bridge", "name"},
                                 {"description", "description"},
                                 {"host", "host"},
                                 {"port", "port"},
                                 {"tls", "tls"},
                                 {"MQTT", "mqtt"},
                                 {"user name", "username"},
                                 {"takes", "subscribe"},
                                 {"gives", "publish"},
                                 {"enabled", "enabled"},
                                 {"state", "state"},
                                 {"since", "since"},
                                 {"last error", "last_error"},
                                 {"next attempt", "next_attempt"},
                                 {"messages in", "messages_in"},
                                 {"messages out", "messages_out"},
                                 {"waiting for the journal", "unacknowledged_in"},
                                 {"waiting for the broker", "waiting_out"},
                                 {"came again", "redelivered"},
                                 {"refused or dropped", "dropped_out"},
                                 {"to nobody's topics", "unmatched"},
                                 {"such as", "unmatched_topic"},
                                 {"certificate expires", "certificate_expires"},
                                 {"version", "version"},
                                 {"changed by", "changed_by"},
                                 {"changed at", "changed_at"}},
                                r.json);
                      return {};
                    });
}

Status set_enabled(HttpClient& http, const std::string& name, bool enabled, bool json) {
  TRY_ASSIGN(const Json changed, http.patch(api_path({"bridges", name}), {{"enabled", enabled}}));
  print_done(changed, (enabled ? "enabled " : "disabled ") + name, json);
  return {};
}

void add_changes(CLI::App* group, const std::shared_ptr<std::string>& name) {
  const auto draft = std::make_shared<Draft>();
  auto* add = add_remote(group, "add", "Add a bridge; it connects at once",
                         [name, draft](HttpClient& http, const Remote& r) -> Status {
                           TRY_ASSIGN(Json document, document_of(*draft));
                           document["name"] = *name;
                           TRY_ASSIGN(const Json made, http.post("/api/v1/bridges", document));
                           print_done(made, "added " + *name, r.json);
                           return {};
                         });
  auto* change =
      add_remote(group, "change", "Change what is given; the connection is made anew",
                 [name, draft](HttpClient& http, const Remote& r) -> Status {
                   TRY_ASSIGN(const Json document, document_of(*draft));
                   TRY_ASSIGN(const Json made, http.patch(api_path({"bridges", *name}), document));
                   print_done(made, "changed " + *name, r.json);
                   return {};
                 });
  for (auto* command : {add, change}) {
    command->add_option("name", *name)->required();
    add_options(command, draft);
  }
}

}  // namespace

void add_bridge(CLI::App& root) {
  auto* group = root.add_subcommand(
      "bridge", "Bridges to other brokers: add, change, list, show, enable, disable, remove");
  group->require_subcommand(1);
  const auto name = std::make_shared<std::string>();
  add_changes(group, name);
  add_remote(group, "list", "All bridges and how they are doing",
             [](HttpClient& http, const Remote& r) -> Status {
               TRY_ASSIGN(const Json items, list_all(http, "/api/v1/bridges"));
               Json lines = Json::array();
               for (const Json& item : items) lines.push_back(r.json ? item : flat(item));
               print_items(lines, kColumns, r.json);
               return {};
             });
  auto* show = add_show(group, name);
  auto* enable = add_remote(group, "enable", "Connect", [name](HttpClient& http, const Remote& r) {
    return set_enabled(http, *name, true, r.json);
  });
  auto* disable = add_remote(group, "disable",
                             "Disconnect and keep the settings; the other broker keeps our session",
                             [name](HttpClient& http, const Remote& r) {
                               return set_enabled(http, *name, false, r.json);
                             });
  auto* remove = add_remote(
      group, "remove", "Remove a bridge", [name](HttpClient& http, const Remote& r) -> Status {
        TRY_ASSIGN(const Json reply, http.remove(api_path({"bridges", *name})));
        print_done(reply, "removed " + *name, r.json);
        return {};
      });
  for (auto* command : {show, enable, disable, remove})
    command->add_option("name", *name)->required();
}

}  // namespace penstock::app::cli
