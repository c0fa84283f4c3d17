#include "twin/dtdl/conformance.h"

#include <algorithm>
#include <cstdlib>
#include <set>

#include "twin/dtdl/json_tree.h"
#include "twin/dtdl/parser.h"

namespace penstock::twin::dtdl {
namespace {

struct Case {
  std::string_view line;
  JsonNode json;
  [[nodiscard]] std::string_view slice(const JsonNode& node) const {
    return line.substr(node.begin, node.end - node.begin);
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

std::span<const JsonNode> items(const JsonNode& node, std::string_view member) {
  const JsonNode* found = node.find(member);
  return found ? std::span<const JsonNode>(found->items) : std::span<const JsonNode>();
}

ParseResult run(const Case& one) {
  ParseOptions options;
  for (const JsonNode& option : items(one.json, "options")) {
    if (option.text == "AllowUndefinedExtensions") options.undefined = Undefined::kAllow;
    if (option.text == "DisallowUndefinedExtensions") options.undefined = Undefined::kRefuse;
  }
  if (const JsonNode* version = one.json.find("maxDtdlVersion"))
    options.version_max = std::atoi(version->text.c_str());
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
  for (const JsonNode& document : items(one.json, "input"))
    documents.push_back(one.slice(document));
  return parse(documents, options);
}

}  // namespace

Result<ConformanceOutcome> run_conformance_case(std::string_view line) {
  Case one{line, {}};
  TRY_ASSIGN(one.json, parse_json_tree(line));
  const JsonNode *name = one.json.find("case"), *valid = one.json.find("valid");
  if (!name || !valid || !valid->is_bool())
    return fail(ErrorCode::kInvalidArgument, "The line is no conformance case");
  const ParseResult result = run(one);
  ConformanceOutcome outcome;
  outcome.name = name->text;
  outcome.agrees = result.valid() == (valid->kind == JsonNode::Kind::kTrue);
  for (const ParseError& error : result.errors)
    outcome.found += " " + error.validation.substr(error.validation.rfind(':') + 1);
  if (!result.unresolved.empty()) outcome.found += " unresolved " + result.unresolved.front();
  const JsonNode* errors = one.json.find("errors");
  outcome.states_errors = errors && errors->is_array();
  if (!outcome.states_errors) return outcome;
  std::set<std::string> stated, found;
  for (const JsonNode& error : items(one.json, "errors"))
    if (const JsonNode* id = error.find("ValidationID")) stated.insert(std::string(id->text));
  for (const ParseError& error : result.errors) found.insert(error.validation);
  outcome.errors_agree = std::includes(found.begin(), found.end(), stated.begin(), stated.end());
  outcome.errors_within =
      !found.empty() && std::includes(stated.begin(), stated.end(), found.begin(), found.end());
  return outcome;
}

}  // namespace penstock::twin::dtdl
