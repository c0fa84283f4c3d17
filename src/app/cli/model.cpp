// penstock model: DTDL interfaces.

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "app/cli/resources.h"

namespace penstock::app::cli {
namespace {

const std::vector<Column> kColumns{{"model", "id"},
                                   {"display name", "display_name"},
                                   {"elements", "elements"},
                                   {"commands", "commands"},
                                   {"twins", "twins"}};

// Files, and all .json below folders, as one document: they may refer to each other.
Result<Json> read_documents(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    if (!std::filesystem::is_directory(path)) {
      files.push_back(path);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path))
      if (entry.path().extension() == ".json") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  if (files.empty())
    return fail(ErrorCode::kNotFound, "there is no .json file in these folders", paths.front());
  Json out = Json::array();
  for (const std::string& file : files) {
    TRY_ASSIGN(const Json document, read_json_file(file));
    if (document.is_array())
      out.insert(out.end(), document.begin(), document.end());
    else
      out.push_back(document);
  }
  return out;
}

}  // namespace

void add_model(CLI::App& root) {
  auto* group = root.add_subcommand("model", "Models (DTDL): import, list, show, remove");
  group->require_subcommand(1);
  const auto files = std::make_shared<std::vector<std::string>>();
  auto* import = add_remote(group, "import", "Add DTDL files or folders, all or nothing",
                            [files](HttpClient& http, const Remote& r) -> Status {
                              TRY_ASSIGN(const Json documents, read_documents(*files));
                              TRY_ASSIGN(const Json made, http.post("/api/v1/models", documents));
                              print_items(made.at("items"), kColumns, r.json);
                              return {};
                            });
  import->add_option("files", *files, "JSON files or folders")
      ->required()
      ->check(CLI::ExistingPath);
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
}

}  // namespace penstock::app::cli
