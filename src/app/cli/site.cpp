// penstock site: the places where machines stand.

#include "app/cli/resources.h"

namespace penstock::app::cli {

void add_site(CLI::App& root) {
  auto* group = root.add_subcommand("site", "Sites: add, list, show, remove");
  group->require_subcommand(1);
  const std::vector<Column> columns{{"name", "name"},
                                    {"display name", "display_name"},
                                    {"time zone", "time_zone"},
                                    {"twins", "twins"}};

  struct Draft {
    std::string name, display_name, time_zone, description;
  };
  const auto draft = std::make_shared<Draft>();
  auto* add = add_remote(group, "add", "Add a site",
                         [draft, columns](HttpClient& http, const Remote& r) -> Status {
                           Json body{{"name", draft->name}};
                           if (!draft->display_name.empty())
                             body["display_name"] = draft->display_name;
                           if (!draft->time_zone.empty()) body["time_zone"] = draft->time_zone;
                           if (!draft->description.empty())
                             body["description"] = draft->description;
                           TRY_ASSIGN(const Json made, http.post("/api/v1/sites", body));
                           print_one(made, columns, r.json);
                           return {};
                         });
  add->add_option("name", draft->name, "Lower-case letters, digits, - and _")->required();
  add->add_option("--display-name", draft->display_name, "For people");
  add->add_option("--time-zone", draft->time_zone, "IANA name, such as Europe/Berlin; UTC if none");
  add->add_option("--description", draft->description);

  add_remote(group, "list", "All sites", [columns](HttpClient& http, const Remote& r) -> Status {
    TRY_ASSIGN(const Json items, list_all(http, "/api/v1/sites"));
    print_items(items, columns, r.json);
    return {};
  });

  const auto name = std::make_shared<std::string>();
  auto* show = add_remote(group, "show", "One site",
                          [name, columns](HttpClient& http, const Remote& r) -> Status {
                            TRY_ASSIGN(const Json site, http.get(api_path({"sites", *name})));
                            print_one(site, columns, r.json);
                            return {};
                          });
  show->add_option("name", *name)->required();
  auto* remove = add_remote(group, "remove", "Remove a site that has no twins",
                            [name](HttpClient& http, const Remote& r) -> Status {
                              TRY_ASSIGN(const Json reply, http.remove(api_path({"sites", *name})));
                              print_done(reply, "removed " + *name, r.json);
                              return {};
                            });
  remove->add_option("name", *name)->required();
}

}  // namespace penstock::app::cli
