// penstock device: devices, their credentials and how their connections are.

#include <fstream>
#include <iterator>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

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

// A CSV of devices; the tokens go to a file that only its owner reads.
Status import_file(HttpClient& http, const Remote& r, const std::string& path,
                   const std::string& tokens, bool dry_run) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorCode::kNotFound, "cannot read the file", path);
  const std::string csv((std::istreambuf_iterator<char>(file)), {});
  TRY_ASSIGN(const Json done,
             http.post("/api/v1/devices/import", Json{{"csv", csv}, {"dry_run", dry_run}}));
  const Json& errors = done.at("errors");
  if (r.json) {
    fmt::print("{}\n", done.dump());
  } else {
    for (const Json& error : errors)
      fmt::print(stderr, "{}:{}: {}: {}\n", path, error.value("line", 0), cell(error, "column"),
                 error.value("message", ""));
    if (dry_run && errors.empty())
      fmt::print("{} rows are right; nothing was imported\n", done.value("rows", 0));
    else if (errors.empty())
      fmt::print("imported {} devices\n", done.value("imported", 0));
  }
  if (!errors.empty())
    return fail(ErrorCode::kInvalidArgument, "nothing was imported: mend the rows above", path);
  if (dry_run || r.json) return {};
  if (tokens.empty()) {
    fmt::print("{}", done.at("credentials_csv").get<std::string>());
    return {};
  }
  // Nobody else's from the first byte on.
  const int fd = ::open(tokens.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail(ErrorCode::kIo,
                "cannot make the file of tokens: the devices are registered, rotate "
                "their credentials",
                tokens);
  const std::string text = done.at("credentials_csv").get<std::string>();
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(fd);
  if (!written) return fail(ErrorCode::kIo, "the file of tokens is not whole", tokens);
  fmt::print("the tokens are in {}; they are not shown again\n", tokens);
  return {};
}

void add_import(CLI::App* group) {
  struct Options {
    std::string file, tokens;
    bool dry_run = false;
  };
  const auto options = std::make_shared<Options>();
  auto* import =
      add_remote(group, "import", "Many devices from a CSV: all of them, or none",
                 [options](HttpClient& http, const Remote& r) -> Status {
                   return import_file(http, r, options->file, options->tokens, options->dry_run);
                 });
  import
      ->add_option("file", options->file,
                   "Header: name,site,model and display_name, binding, protocol, parent, twin, "
                   "stale_after_s, certificate_only, label.KEY")
      ->required();
  import->add_option("--tokens", options->tokens,
                     "A new file for the tokens; else they are printed");
  import->add_flag("--dry-run", options->dry_run, "Only say what is wrong");
}

}  // namespace

void add_device(CLI::App& root) {
  auto* group =
      root.add_subcommand("device", "Devices: add, import, list, show, connection, rotate, remove");
  group->require_subcommand(1);
  add_add(group);
  add_list(group);
  add_import(group);
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
