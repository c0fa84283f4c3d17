// The public conformance cases, where they are (PENSTOCK_SHARED or ../shared beside the sources).
// PENSTOCK_DTDL_DIFFERENCES=FILE lists the cases that differ.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "twin/dtdl/json_tree.h"
#include "twin/dtdl/parser.h"

namespace penstock::twin::dtdl {
namespace {

// Agreement may only grow: see docs/dtdl.md for what is left.
constexpr int kAgreeAtLeast = 11299;

struct Case {
  std::string line;
  JsonNode json;
  [[nodiscard]] std::string_view slice(const JsonNode& node) const {
    return std::string_view(line).substr(node.begin, node.end - node.begin);
  }
};

std::vector<std::string> answers(const Case& one, const JsonNode& exchanges,
                                 const std::vector<std::string>& ids) {
  std::vector<std::string> documents;
  for (const JsonNode& exchange : exchanges.items) {
    const JsonNode* request = exchange.find("request");
    const JsonNode* response = exchange.find("response");
    if (!request || !response) continue;
    const bool asked = std::any_of(
        request->items.begin(), request->items.end(),
        [&](const auto& r) { return std::find(ids.begin(), ids.end(), r.text) != ids.end(); });
    if (!asked) continue;
    for (const JsonNode& document : response->items) documents.emplace_back(one.slice(document));
  }
  return documents;
}

ParseResult run(const Case& one) {
  ParseOptions options;
  for (const JsonNode& option : one.json.find("options")->items) {
    if (option.text == "AllowUndefinedExtensions") options.undefined = Undefined::kAllow;
    if (option.text == "DisallowUndefinedExtensions") options.undefined = Undefined::kRefuse;
  }
  if (const JsonNode* version = one.json.find("maxDtdlVersion"))
    options.version_max = std::stoi(version->text);
  if (const JsonNode* limits = one.json.find("acceptableLimits")) {
    options.limits.emplace();
    for (const JsonNode& limit : limits->items) options.limits->push_back(limit.text);
  }
  for (const char* name : {"resolution", "partialResolution"})
    if (const JsonNode* exchanges = one.json.find(name))
      options.resolve = [&one, exchanges](const std::vector<std::string>& ids) {
        return answers(one, *exchanges, ids);
      };
  std::vector<std::string_view> documents;
  for (const JsonNode& document : one.json.find("input")->items)
    documents.push_back(one.slice(document));
  return parse(documents, options);
}

TEST(DtdlConformance, AgreesWithThePublishedCases) {
  const char* shared = std::getenv("PENSTOCK_SHARED");
  const std::filesystem::path file =
      std::filesystem::path(shared ? shared : PENSTOCK_SOURCE_DIR "/../shared") /
      "data/dtdl/cases.jsonl";
  std::ifstream in(file);
  if (!in) GTEST_SKIP() << "no conformance cases at " << file;
  const char* report = std::getenv("PENSTOCK_DTDL_DIFFERENCES");
  std::ofstream differences(report ? report : "/dev/null");
  int cases = 0, agree = 0, stated = 0, errors_agree = 0;
  Case one;
  while (std::getline(in, one.line)) {
    auto json = parse_json_tree(one.line);
    ASSERT_TRUE(json) << json.error().text();
    one.json = *std::move(json);
    ++cases;
    const bool valid = one.json.find("valid")->kind == JsonNode::Kind::kTrue;
    const ParseResult result = run(one);
    agree += result.valid() == valid;
    std::string found;
    for (const ParseError& error : result.errors) found += " " + error.validation.substr(23);
    if (const JsonNode* errors = one.json.find("errors"); errors->is_array()) {
      ++stated;
      bool all = true;
      for (const JsonNode& error : errors->items) {
        const JsonNode* id = error.find("ValidationID");
        all &= id && std::any_of(result.errors.begin(), result.errors.end(),
                                 [&](const auto& e) { return e.validation == id->text; });
      }
      errors_agree += all;
      if (!all) differences << "E " << one.json.find("case")->text << " |" << found << "\n";
    }
    if (result.valid() != valid)
      differences << (valid ? "V " : "I ") << one.json.find("case")->text << " |" << found
                  << (result.unresolved.empty() ? "" : " unresolved " + result.unresolved.front())
                  << "\n";
  }
  fmt::print("{{\"cases\":{},\"agree\":{},\"errors_stated\":{},\"errors_agree\":{}}}\n", cases,
             agree, stated, errors_agree);
  EXPECT_GE(agree, kAgreeAtLeast);
}

}  // namespace
}  // namespace penstock::twin::dtdl
