// penstock model: DTDL interfaces.

#include <fmt/format.h>

#include "app/cli/models.h"
#include "app/cli/resources.h"

namespace penstock::app::cli {
namespace {

const std::vector<Column> kColumns{{"model", "id"},
                                   {"display name", "display_name"},
                                   {"elements", "elements"},
                                   {"commands", "commands"},
                                   {"twins", "twins"}};

}  // namespace

void add_model(CLI::App& root) {
  auto* group = root.add_subcommand(
      "model", "Models (DTDL): import, export, check, compare, list, show, remove");
  group->require_subcommand(1);
  add_remote(group, "list", "All models", [](HttpClient& http, const Remote& r) -> Status {
    TRY_ASSIGN(const Json items, list_all(http, "/api/v1/models"));
    print_items(items, kColumns, r.json);
    return {};
  });
  const auto dtmi = std::make_shared<std::string>();
  auto* show = add_remote(
      group, "show", "One model with its elements",
      [dtmi](HttpClient& http, const Remote& r) -> Status {
        TRY_ASSIGN(const Json model, http.get(api_path({"models", *dtmi})));
        if (r.json) {
          print_one(model, {}, true);
          return {};
        }
        print_one(
            model,
            {{"model", "id"}, {"display name", "display_name"}, {"description", "description"}},
            false);
        fmt::print("\n");
        print_items(model.value("elements", Json::array()),
                    {{"element", "key"},
                     {"kind", "kind"},
                     {"type", "type"},
                     {"unit", "unit"},
                     {"minimum", "minimum"},
                     {"maximum", "maximum"}},
                    false);
        return {};
      });
  auto* remove =
      add_remote(group, "remove", "Remove a model that nothing uses",
                 [dtmi](HttpClient& http, const Remote& r) -> Status {
                   TRY_ASSIGN(const Json reply, http.remove(api_path({"models", *dtmi})));
                   print_done(reply, "removed " + *dtmi, r.json);
                   return {};
                 });
  for (auto* command : {show, remove})
    command->add_option("dtmi", *dtmi, "Such as dtmi:penstock:ScrewCompressor;1")->required();
  add_model_check(*group);
  add_model_graph(*group);
  add_model_exchange(*group);
}

}  // namespace penstock::app::cli
