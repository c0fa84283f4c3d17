// penstock device: devices, their credentials and how their connections are.

#include <fmt/format.h>

#include "app/cli/resources.h"

namespace penstock::app::cli {
namespace {

const std::vector<Column> kColumns{{"device", "id"},           {"site", "site"},
                                   {"model", "model"},         {"online", "online"},
                                   {"last seen", "last_seen"}, {"enabled", "enabled"}};

// What somebody needs to connect; the token is shown here and never again.
void print_credentials(const Json& made, bool json) {
  if (json) {
    fmt::print("{}\n", made.dump());
    return;
  }
  const Json& credentials = made.contains("credentials") ? made.at("credentials") : made;
  fmt::print("user name  {}\ntoken      {}\n", cell(credentials, "username"),
             cell(credentials, "token"));
  if (made.contains("topic")) fmt::print("topic      {}\n", cell(made, "topic"));
  fmt::print("The token is not shown again.\n");
}

struct Draft {
  std::string id, site, model, display_name, password;
};

void add_add(CLI::App* group) {
  const auto draft = std::make_shared<Draft>();
  auto* add =
      add_remote(group, "add", "Register a device and the twin it feeds",
                 [draft](HttpClient& http, const Remote& r) -> Status {
                   Json body{{"id", draft->id}, {"site", draft->site}, {"model", draft->model}};
                   if (!draft->display_name.empty()) body["display_name"] = draft->display_name;
                   if (!draft->password.empty()) body["password"] = draft->password;
                   TRY_ASSIGN(const Json made, http.post("/api/v1/devices", body));
                   if (draft->password.empty() || r.json)
                     print_credentials(made, r.json);
                   else
                     fmt::print("registered {}\n", draft->id);
                   return {};
                 });
  add->add_option("id", draft->id, "Its name on the wire")->required();
  add->add_option("--site", draft->site, "A site's name")->required();
  add->add_option("--model", draft->model, "DTMI of its interface")->required();
  add->add_option("--display-name", draft->display_name, "For people");
  add->add_option("--password", draft->password, "Instead of a generated token");
}

void add_list(CLI::App* group) {
  const auto filter = std::make_shared<std::pair<std::string, std::string>>();
  auto* list = add_remote(group, "list", "All devices",
                          [filter](HttpClient& http, const Remote& r) -> Status {
                            std::string path = "/api/v1/devices";
                            add_query(path, "site", filter->first);
                            add_query(path, "q", filter->second);
                            TRY_ASSIGN(const Json items, list_all(http, path));
                            print_items(items, kColumns, r.json);
                            return {};
                          });
  list->add_option("--site", filter->first, "Only of this site");
  list->add_option("--text", filter->second, "Only whose name has this");
}

}  // namespace

void add_device(CLI::App& root) {
  auto* group =
      root.add_subcommand("device", "Devices: add, list, show, connection, rotate, remove");
  group->require_subcommand(1);
  add_add(group);
  add_list(group);
  const auto id = std::make_shared<std::string>();
  const auto with_twin = std::make_shared<bool>(false);
  auto* show =
      add_remote(group, "show", "One device", [id](HttpClient& http, const Remote& r) -> Status {
        TRY_ASSIGN(const Json device, http.get(api_path({"devices", *id})));
        print_one(device, kColumns, r.json);
        return {};
      });
  auto* connection =
      add_remote(group, "connection", "How its connection is, and why it is silent",
                 [id](HttpClient& http, const Remote& r) -> Status {
                   TRY_ASSIGN(const Json state, http.get(api_path({"devices", *id, "connection"})));
                   print_one(state,
                             {{"online", "online"},
                              {"since", "connected_at"},
                              {"last seen", "last_seen"},
                              {"client id", "client_id"},
                              {"address", "address"},
                              {"ended because", "detail"},
                              {"messages", "messages"},
                              {"samples", "samples"},
                              {"dead letters", "dead_letters"},
                              {"last rejection", "last_rejection"}},
                             r.json);
                   return {};
                 });
  auto* rotate =
      add_remote(group, "rotate", "New credentials; the old ones stop working",
                 [id](HttpClient& http, const Remote& r) -> Status {
                   TRY_ASSIGN(const Json made,
                              http.post(api_path({"devices", *id, "credentials"}), Json::object()));
                   print_credentials(made, r.json);
                   return {};
                 });
  auto* remove = add_remote(group, "remove", "Remove a device; its twin and history stay",
                            [id, with_twin](HttpClient& http, const Remote& r) -> Status {
                              std::string path = api_path({"devices", *id});
                              if (*with_twin) add_query(path, "with_twin", "true");
                              TRY_ASSIGN(const Json reply, http.remove(path));
                              print_done(reply, "removed " + *id, r.json);
                              return {};
                            });
  for (auto* command : {show, connection, rotate, remove})
    command->add_option("id", *id, "The device's name")->required();
  remove->add_flag("--with-twin", *with_twin, "The twin too; the history of its series stays");
}

}  // namespace penstock::app::cli
