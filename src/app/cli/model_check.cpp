// penstock model check, penstock model conformance: DTDL files without a server.

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "app/cli/cli.h"
#include "base/io.h"
#include "base/json.h"
#include "twin/dtdl/conformance.h"
#include "twin/dtdl/parser.h"

namespace penstock::app::cli {
namespace {

struct CheckOptions {
  std::vector<std::string> paths;
  bool undefined = false;
  bool json = false;
};
struct ConformanceOptions {
  std::string cases;
  bool json = false;
};

// The files themselves, and every .json below folders, in order.
std::vector<std::string> files_of(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code error;
    if (!std::filesystem::is_directory(path, error)) {
      files.push_back(path);
      continue;
    }
    const size_t before = files.size();
    for (std::filesystem::recursive_directory_iterator entry(path, error), end;
         !error && entry != end; entry.increment(error))
      if (entry->path().extension() == ".json") files.push_back(entry->path().string());
    std::sort(files.begin() + static_cast<std::ptrdiff_t>(before), files.end());
  }
  return files;
}

Status run_check(const CheckOptions& o) {
  const std::vector<std::string> files = files_of(o.paths);
  if (files.empty()) return fail(ErrorCode::kNotFound, "No .json file is there");
  std::vector<std::string> texts;
  for (const std::string& file : files) {
    TRY_ASSIGN(std::string text, read_file(system_files(), file));
    texts.push_back(std::move(text));
  }
  twin::dtdl::ParseOptions options;
  if (o.undefined) options.undefined = twin::dtdl::Undefined::kAllow;
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const auto result = twin::dtdl::parse(views, options);
  Json list = Json::array();
  for (const auto& error : result.errors) {
    const std::string& file = files[error.document];
    if (o.json)
      list.push_back({{"file", file},
                      {"line", error.line},
                      {"column", error.column},
                      {"rule", error.validation},
                      {"element", error.element},
                      {"property", error.property},
                      {"value", error.value},
                      {"cause", error.cause},
                      {"remedy", error.remedy}});
    else
      fmt::print("{}:{}:{}: {} [{}]\n", file, error.line, error.column, error.text(),
                 error.validation);
  }
  if (!o.json)
    for (const std::string& id : result.unresolved)
      fmt::print("{} is referred to and not defined in these files: add its file\n", id);
  if (o.json)
    fmt::print("{}\n", Json{{"files", files.size()},
                            {"elements", result.model.elements.size()},
                            {"valid", result.valid()},
                            {"errors", list},
                            {"unresolved", result.unresolved}}
                           .dump());
  else if (result.valid())
    fmt::print("{} files, {} elements: no mistakes\n", files.size(), result.model.elements.size());
  if (!result.valid()) exit_code = 1;
  return {};
}

Status run_conformance(const ConformanceOptions& o) {
  std::ifstream in(o.cases);
  if (!in) return fail(ErrorCode::kNotFound, "The file of cases is not there", o.cases);
  int cases = 0, agree = 0, stated = 0, errors_agree = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) continue;
    TRY_ASSIGN(const auto outcome, twin::dtdl::run_conformance_case(line));
    ++cases;
    agree += outcome.agrees;
    stated += outcome.states_errors;
    errors_agree += outcome.errors_agree;
    if (!outcome.agrees && !o.json) fmt::print("{} differs:{}\n", outcome.name, outcome.found);
  }
  if (o.json)
    fmt::print("{}\n", Json{{"cases", cases},
                            {"agree", agree},
                            {"errors_stated", stated},
                            {"errors_agree", errors_agree}}
                           .dump());
  else
    fmt::print("{} of {} cases agree; {} of {} that state errors get them all\n", agree, cases,
               errors_agree, stated);
  if (agree != cases) exit_code = 1;
  return {};
}

}  // namespace

void add_model_check(CLI::App& model) {
  auto check = std::make_shared<CheckOptions>();
  CLI::App* command =
      model.add_subcommand("check", "Check DTDL files: what is wrong, where, and how to mend it");
  command->add_option("paths", check->paths, "Files, or folders of .json files; one set together")
      ->required();
  command->add_flag("--allow-undefined", check->undefined,
                    "Take contexts, types and properties that are not known");
  command->add_flag("--json", check->json, "One JSON object");
  on_run(command, [check] { return run_check(*check); });

  auto conformance = std::make_shared<ConformanceOptions>();
  command = model.add_subcommand("conformance", "Run published conformance cases of DTDL");
  command->add_option("--cases", conformance->cases, "cases.jsonl, a case a line")->required();
  command->add_flag("--json", conformance->json, "The last line is JSON");
  on_run(command, [conformance] { return run_conformance(*conformance); });
}

}  // namespace penstock::app::cli
