// "@context": which terms mean what, and which limits hold.
#include <algorithm>
#include <utility>

#include "twin/dtdl/workbench.h"

namespace penstock::twin::dtdl {
namespace {

constexpr std::string_view kDtdl = "dtmi:dtdl:context;";
constexpr int kNewest = 4;

struct ContextReader {
  Workbench& bench;
  size_t document;
  Scope& scope;
  bool limitless = false;  ///< the context before left the limits to the next one
  bool followed = false;   ///< a context of an extension has come

  void complain(std::string_view validation, const JsonNode& at, std::string_view value = {}) {
    bench.complain(validation, document, at.begin, {}, {}, value);
  }

  void read(const JsonNode& node) {
    if (node.is_object()) return complain("disallowedLocalContext", node);
    if (!node.is_string()) return complain("invalidContext", node);
    const std::string_view whole = node.text;
    const size_t hash = whole.find('#');
    const std::string_view name = whole.substr(0, hash);
    if (!name.starts_with("dtmi:")) return complain("nonDtmiContextSpecifier", node, whole);
    if (name.find(';') == name.npos) return complain("missingContextVersion", node, whole);
    if (!is_dtmi(name, kNewest)) return complain("invalidContextSpecifier", node, whole);
    if (name.starts_with(kDtdl)) return dtdl(node, name, hash);
    const ContextFact* fact = find_context(name);
    const bool implied = fact && fact->limits == 0 && fact->version > 0;  // it says the version
    if (scope.version == 0 && !implied) return complain("missingDtdlContext", node, whole);
    followed |= !implied;
    if (hash != whole.npos) return complain("disallowedContextFragment", node, whole);
    affiliate(node, name);
  }

  void dtdl(const JsonNode& node, std::string_view name, size_t hash) {
    const std::string_view number = name.substr(kDtdl.size());
    if (number != "2" && number != "3" && number != "4")
      return complain("unrecognizedContextVersion", node, name);
    const int version = number[0] - '0';
    if (version > bench.options.version_max)
      return complain("disallowedContextVersion", node, name);
    if (followed) return complain("dtdlContextFollowsAffiliate", node, name);
    const bool was_limitless = std::exchange(limitless, false);
    if (hash != node.text.npos) {
      const std::string_view fragment = std::string_view(node.text).substr(hash);
      if (version != kNewest || (fragment != "#limitless" && fragment != "#limits"))
        return complain("disallowedContextFragment", node, node.text);
      if (fragment == "#limits" && !was_limitless)
        return complain("misplacedLimitContext", node, node.text);
      limitless = fragment == "#limitless";
    }
    scope.version = version;
    scope.limits = 0;
  }

  void affiliate(const JsonNode& node, std::string_view name) {
    const ContextFact* fact = find_context(name);
    if (fact && fact->limits > 0) return limit(node, name, *fact);
    if (limitless) complain("missingLimitContext", node, name);
    limitless = false;
    if (fact) {
      scope.affiliates.push_back(fact->context);
      return;
    }
    if (scope.version == 2 && name.substr(name.find(';')).find('.') != name.npos)
      return complain("invalidContextSpecifierForVersion", node, name);
    const bool allowed = bench.options.undefined == Undefined::kAllow ||
                         (bench.options.undefined == Undefined::kByVersion && scope.version == 2);
    if (!allowed) return complain("unresolvableContextSpecifier", node, name);
    scope.incomplete = true;
  }

  void limit(const JsonNode& node, std::string_view name, const ContextFact& fact) {
    if (!limitless) return complain("misplacedLimitContext", node, name);
    limitless = false;
    if (const auto& limits = bench.options.limits) {
      const std::string_view plain = name.substr(0, name.find(';'));
      const bool known = std::any_of(limits->begin(), limits->end(),
                                     [&](const auto& one) { return one == name || one == plain; });
      if (!known) return complain("disallowedLimitContext", node, name);
    }
    scope.limits = static_cast<size_t>(fact.limits);
  }
};

}  // namespace

std::string_view meaning(const Scope& scope, std::string_view term) {
  if (term.find(':') != term.npos) return term.starts_with("dtmi:") ? term : std::string_view();
  for (auto one = scope.affiliates.rbegin(); one != scope.affiliates.rend(); ++one)
    if (const auto uri = find_term(*one, term); !uri.empty()) return uri;
  constexpr std::string_view kContexts[] = {"dtmi:dtdl:context;2", "dtmi:dtdl:context;3",
                                            "dtmi:dtdl:context;4"};
  if (scope.version < 2) return {};
  return find_term(kContexts[scope.version - 2], term);
}

void read_context(Workbench& bench, size_t document, const JsonNode& context, bool top,
                  Scope& scope) {
  ContextReader reader{bench, document, scope};
  if (!context.is_array()) {
    reader.read(context);
  } else {
    if (context.items.empty() && top) reader.complain("emptyContext", context);
    for (const JsonNode& one : context.items) reader.read(one);
  }
  if (reader.limitless) reader.complain("missingLimitContext", context);
}

}  // namespace penstock::twin::dtdl
