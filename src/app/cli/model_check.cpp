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

constexpr uint64_t kFileBytesMax = 64ULL << 20;

// What is checked as one set, and what could not be read.
struct Sources {
  struct Unread {
    std::string file, why;
  };
  std::vector<std::string> files, texts;
  std::vector<Unread> unread;

  void add(const std::string& file) {
    auto text = read_file(system_files(), file, kFileBytesMax);
    if (!text) return unread.push_back({file, text.error().message});
    files.push_back(file);
    texts.push_back(std::move(*text));
  }
};

// The files themselves, and every .json below folders, in order.
Sources read_sources(const std::vector<std::string>& paths) {
  Sources out;
  for (const std::string& path : paths) {
    std::error_code error;
    if (!std::filesystem::is_directory(path, error)) {
      out.add(path);
      continue;
    }
    std::vector<std::string> files;
    for (std::filesystem::recursive_directory_iterator entry(path, error), end;
         !error && entry != end; entry.increment(error))
      if (entry->path().extension() == ".json" && entry->is_regular_file())
        files.push_back(entry->path().string());
    if (error) out.unread.push_back({path, error.message()});
    if (files.empty() && !error) out.unread.push_back({path, "No .json file is in the folder"});
    std::sort(files.begin(), files.end());
    for (const std::string& file : files) out.add(file);
  }
  return out;
}

Json json_of(const Sources& sources, const twin::dtdl::ParseResult& result, bool valid) {
  Json errors = Json::array(), references = Json::array();
  for (const auto& one : sources.unread)
    errors.push_back({{"file", one.file},
                      {"line", 0},
                      {"column", 0},
                      {"rule", "unreadable"},
                      {"cause", one.why},
                      {"remedy", "Correct the path, or the rights to read it"}});
  for (const auto& error : result.errors)
    errors.push_back({{"file", sources.files[error.document]},
                      {"line", error.line},
                      {"column", error.column},
                      {"rule", error.validation},
                      {"element", error.element},
                      {"property", error.property},
                      {"value", error.value},
                      {"cause", error.cause},
                      {"remedy", error.remedy}});
  for (const auto& one : result.references)
    references.push_back({{"id", one.id},
                          {"file", sources.files[one.document]},
                          {"line", one.line},
                          {"column", one.column},
                          {"element", one.element},
                          {"property", one.property}});
  return {{"files", sources.files.size()},
          {"elements", result.model.elements.size()},
          {"valid", valid},
          {"errors", errors},
          {"unresolved", result.unresolved},
          {"references", references}};
}

void print_people(const Sources& sources, const twin::dtdl::ParseResult& result, bool valid) {
  for (const auto& one : sources.unread) fmt::print("{}: {}\n", one.file, one.why);
  for (const auto& error : result.errors) {
    std::string about;
    if (!error.property.empty()) about += fmt::format(", property {}", error.property);
    if (!error.value.empty()) about += fmt::format(", value {}", error.value);
    if (!error.element.empty()) about += fmt::format(", in {}", error.element);
    fmt::print("{}:{}:{}: {}{}. {}. [{}]\n", sources.files[error.document], error.line,
               error.column, error.cause, about, error.remedy,
               error.validation.substr(error.validation.rfind(':') + 1));
  }
  for (const auto& one : result.references)
    fmt::print("{}:{}:{}: {} is not defined in these files, property {}, in {}. Add its file.\n",
               sources.files[one.document], one.line, one.column, one.id, one.property,
               one.element);
  if (valid)
    fmt::print("{} files, {} elements: no mistakes\n", sources.files.size(),
               result.model.elements.size());
  else
    fmt::print("{} mistakes, {} identifiers not defined, in {} files\n",
               result.errors.size() + sources.unread.size(), result.unresolved.size(),
               sources.files.size());
}

Status run_check(const CheckOptions& o) {
  const Sources sources = read_sources(o.paths);
  twin::dtdl::ParseOptions options;
  if (o.undefined) options.undefined = twin::dtdl::Undefined::kAllow;
  const std::vector<std::string_view> views(sources.texts.begin(), sources.texts.end());
  const auto result = twin::dtdl::parse(views, options);
  const bool valid = result.valid() && sources.unread.empty();
  if (o.json)
    fmt::print(
        "{}\n",
        json_of(sources, result, valid).dump(-1, ' ', false, Json::error_handler_t::replace));
  else
    print_people(sources, result, valid);
  if (!valid) exit_code = 1;
  return {};
}

Status run_conformance(const ConformanceOptions& o) {
  std::ifstream in(o.cases);
  if (!in) return fail(ErrorCode::kNotFound, "The file of cases is not there", o.cases);
  int cases = 0, agree = 0, stated = 0, errors_agree = 0, within = 0, exact = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) continue;
    TRY_ASSIGN(const auto outcome, twin::dtdl::run_conformance_case(line));
    ++cases;
    agree += outcome.agrees;
    stated += outcome.states_errors;
    errors_agree += outcome.errors_agree;
    within += outcome.errors_within;
    exact += outcome.errors_agree && outcome.errors_within;
    if (!outcome.agrees && !o.json) fmt::print("{} differs:{}\n", outcome.name, outcome.found);
  }
  if (o.json)
    fmt::print("{}\n", Json{{"cases", cases},
                            {"agree", agree},
                            {"errors_stated", stated},
                            {"errors_agree", errors_agree},
                            {"errors_within", within},
                            {"errors_exact", exact}}
                           .dump());
  else
    fmt::print("{} of {} cases agree. Of {} that state errors, {} get them all, {} only those\n",
               agree, cases, stated, errors_agree, within);
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
