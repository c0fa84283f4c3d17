// "@context": which terms mean what, and which limits hold.
#include <algorithm>
#include <cctype>

#include "twin/dtdl/workbench.h"

namespace penstock::twin::dtdl {
namespace {

constexpr std::string_view kDtdl = "dtmi:dtdl:context;";
constexpr std::string_view kDtdlContexts[] = {"dtmi:dtdl:context;2", "dtmi:dtdl:context;3",
                                              "dtmi:dtdl:context;4"};
constexpr int kNewest = 4;

// A specifier in its parts: "dtmi:a:b;1.2#c" is versionless "dtmi:a:b", major 1, fragment "#c".
struct Specifier {
  std::string_view whole, plain, versionless, fragment;
  int major = 0;  ///< 0: none
};

bool is_number(std::string_view text, size_t digits_max) {
  return !text.empty() && text.size() <= digits_max && text.front() != '0' &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Any DTMI, of whatever version of DTDL: segments may begin with _.
bool split(std::string_view text, Specifier& out) {
  out.whole = text;
  const size_t hash = text.find('#');
  out.plain = text.substr(0, hash);
  out.fragment = hash == text.npos ? std::string_view() : text.substr(hash);
  const size_t semicolon = out.plain.find(';');
  out.versionless = out.plain.substr(0, semicolon);
  if (out.fragment == "#" || !out.versionless.starts_with("dtmi:")) return false;
  if (semicolon != out.plain.npos) {
    const std::string_view number = out.plain.substr(semicolon + 1);
    const size_t dot = number.find('.');
    if (!is_number(number.substr(0, dot), 9)) return false;
    if (dot != number.npos && !is_number(number.substr(dot + 1), 6)) return false;
    out.major = 0;
    for (const char c : number.substr(0, dot)) out.major = out.major * 10 + (c - '0');
  }
  std::string_view path = out.versionless.substr(5);
  while (true) {
    const size_t colon = path.find(':');
    const std::string_view segment = path.substr(0, colon);
    const auto word = [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
    };
    if (segment.empty() || !std::all_of(segment.begin(), segment.end(), word) ||
        (segment.front() >= '0' && segment.front() <= '9') || segment.back() == '_')
      return false;
    if (colon == path.npos) return true;
    path = path.substr(colon + 1);
  }
}

bool is_term(std::string_view term) {
  const auto fits = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("-._~!$&'()*+,;=").find(c) != std::string_view::npos;
  };
  return !term.empty() && fits(term.front()) &&
         std::all_of(term.begin() + 1, term.end(), [&](char c) { return c == '@' || fits(c); });
}

// An absolute URI (RFC 3986): a scheme, a colon, something.
bool is_uri(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == text.npos || colon == 0 || colon + 1 == text.size() ||
      std::isalpha(static_cast<unsigned char>(text.front())) == 0)
    return false;
  return std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(colon), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '+' || c == '-' || c == '.';
  });
}

class ContextReader {
 public:
  ContextReader(Workbench& bench, size_t document, Scope& scope)
      : bench_(bench), document_(document), scope_(scope) {}

  // The order of checks is DTDLParser's, so that the first mistake has its name.
  bool read(std::span<const JsonNode> components) {
    for (const JsonNode& one : components)
      if (!one.is_string() && !one.is_object()) return complain("invalidContext", one);
    for (const JsonNode& one : components)
      if (one.is_object() && !definitions(one)) return complain_local(one);
    size_t at = 0;
    while (at < components.size() && components[at].is_string() &&
           implied_version(components[at].text) != 0) {
      const Specifier known{components[at].text, components[at].text, {}, {}, 0};
      adopt(*find_context(known.plain));
      ++at;
    }
    while (at < components.size() && components[at].is_string() &&
           components[at].text.starts_with(kDtdl))
      if (!dtdl(components, at)) return false;
    if (scope_.version == 0)
      return complain("missingDtdlContext", components.front(), components.front().text);
    const bool local = components.back().is_object();
    if (local) {
      complain_local(components.back());
      reserved_terms(components.back());
      return false;
    }
    for (; at < components.size(); ++at)
      if (!affiliate(components[at])) return false;
    return true;
  }

 private:
  bool complain(std::string_view validation, const JsonNode& at, std::string_view value = {}) {
    bench_.complain(validation, document_, at.begin, {}, {}, value);
    return false;
  }
  bool complain_local(const JsonNode& at) { return complain("disallowedLocalContext", at); }

  static int implied_version(std::string_view text) {
    const ContextFact* fact = find_context(text);
    return fact && fact->limits == 0 ? fact->version : 0;
  }

  bool dtdl(std::span<const JsonNode> components, size_t& at) {
    const JsonNode& node = components[at++];
    Specifier it;
    if (!split(node.text, it)) return complain("invalidContextSpecifier", node, node.text);
    if (!it.fragment.empty() && it.fragment != "#limitless" && it.fragment != "#limits")
      return complain("invalidContextFragment", node, node.text);
    if (!it.fragment.empty() && it.major != kNewest)
      return complain("disallowedContextFragment", node, node.text);
    if (it.fragment == "#limits") return complain("misplacedLimitContext", node, node.text);
    if (it.major < 2 || it.major > kNewest)
      return complain("unrecognizedContextVersion", node, node.text);
    if (it.major > bench_.options.version_max)
      return complain("disallowedContextVersion", node, node.text);
    if (!is_dtmi(it.plain, it.major))
      return complain("invalidContextSpecifierForVersion", node, node.text);
    scope_.version = it.major;
    scope_.limits = 0;
    if (it.fragment != "#limitless") return true;
    return limits(node, components, at);
  }

  // What stands after "#limitless": a limit context of the same version of DTDL.
  bool limits(const JsonNode& before, std::span<const JsonNode> components, size_t& at) {
    const auto missing = [&] { return complain("missingLimitContext", before, before.text); };
    if (at == components.size() || !components[at].is_string()) return missing();
    const JsonNode& node = components[at];
    Specifier it;
    if (!node.text.starts_with("dtmi:"))
      return complain("nonDtmiContextSpecifier", node, node.text);
    if (!split(node.text, it)) return complain("invalidContextSpecifier", node, node.text);
    if (it.major == 0) return complain("missingContextVersion", node, node.text);
    if (!is_dtmi(it.plain, scope_.version))
      return complain("invalidContextSpecifierForVersion", node, node.text);
    if (node.text.starts_with(kDtdl)) {
      if (!it.fragment.empty() && it.fragment != "#limitless" && it.fragment != "#limits")
        return complain("invalidContextFragment", node, node.text);
      if (it.fragment == "#limitless" || it.major != scope_.version) return missing();
      ++at;
      return true;
    }
    if (!it.fragment.empty()) return complain("invalidContextSpecifier", node, node.text);
    const ContextFact* fact = find_context(it.plain);
    if (!fact || fact->limits == 0 || fact->version != scope_.version) return missing();
    if (!accepted(it)) return complain("disallowedLimitContext", node, node.text);
    scope_.limits = static_cast<size_t>(fact->limits);
    ++at;
    return true;
  }

  bool accepted(const Specifier& it) const {
    const auto& limits = bench_.options.limits;
    return !limits || std::any_of(limits->begin(), limits->end(), [&](const auto& one) {
      return one == it.plain || one == it.versionless;
    });
  }

  bool affiliate(const JsonNode& node) {
    if (node.is_object()) return complain("localContextNotLast", node);
    if (node.text.starts_with(kDtdl))
      return complain("dtdlContextFollowsAffiliate", node, node.text);
    if (!node.text.starts_with("dtmi:"))
      return complain("nonDtmiContextSpecifier", node, node.text);
    Specifier it;
    if (!split(node.text, it) || !it.fragment.empty())
      return complain("invalidContextSpecifier", node, node.text);
    const bool fits = is_dtmi(it.plain, scope_.version);
    if (!fits) complain("invalidContextSpecifierForVersion", node, node.text);
    if (it.major == 0) complain("missingContextVersion", node, node.text);
    if (!fits || it.major == 0) return false;
    if (const ContextFact* fact = find_context(it.plain)) {
      if (fact->limits > 0) return complain("misplacedLimitContext", node, node.text);
      adopt(*fact);
      return true;
    }
    const bool allowed = bench_.options.undefined == Undefined::kAllow ||
                         (bench_.options.undefined == Undefined::kByVersion && scope_.version == 2);
    if (!allowed)
      return complain(known_name(it.versionless) ? "unresolvableContextVersion"
                                                 : "unresolvableContextSpecifier",
                      node, node.text);
    scope_.incomplete = true;
    return true;
  }

  static bool known_name(std::string_view versionless) {
    return std::any_of(contexts().begin(), contexts().end(), [&](const ContextFact& fact) {
      return fact.context.substr(0, fact.context.find(';')) == versionless;
    });
  }

  // Another version of an extension takes the place of the one before.
  void adopt(const ContextFact& fact) {
    const auto name = [](std::string_view text) { return text.substr(0, text.find(';')); };
    for (std::string_view& one : scope_.affiliates)
      if (name(one) == name(fact.context)) {
        one = fact.context;
        return;
      }
    scope_.affiliates.push_back(fact.context);
  }

  // No version of DTDL lets a document define terms; what is wrong inside is said all the same.
  bool definitions(const JsonNode& local) {
    for (const auto& [term, value] : local.members) {
      if (value.is_null() || value.is_string()) continue;
      if (!value.is_object()) return complain("termDefinitionNotStringOrObject", value, term);
      const JsonNode* id = value.find("@id");
      if (!id) return complain("termDefinitionMissingIdProperty", value, term);
      if (!id->is_string()) return complain("termDefinitionIdPropertyNotString", *id, term);
    }
    return true;
  }

  void reserved_terms(const JsonNode& local) {
    for (const auto& [term, value] : local.members) {
      if (term.empty()) {
        complain("localTermEmpty", value);
      } else if (term == "dtmi") {
        complain("localTermSchemePrefix", value, term);
      } else if (!is_term(term)) {
        complain("localTermInvalid", value, term);
      } else if (std::any_of(std::begin(kDtdlContexts), std::end(kDtdlContexts),
                             [&](std::string_view one) { return !find_term(one, term).empty(); })) {
        complain("localTermReserved", value, term);
      } else {
        definition(value);
      }
    }
  }

  void definition(const JsonNode& value) {
    const JsonNode* id = value.is_object() ? value.find("@id") : &value;
    if (!id->is_string() || id->text.ends_with(':') || id->text.ends_with('/')) return;
    if (id->text.starts_with("dtmi:")) {
      if (!is_dtmi(id->text, scope_.version))
        complain("localTermDefinitionInvalidDtmi", value, id->text);
    } else if (!is_uri(id->text)) {
      complain("localTermDefinitionInvalidUri", value, id->text);
    }
  }

  Workbench& bench_;
  size_t document_;
  Scope& scope_;
};

}  // namespace

std::string_view meaning(const Scope& scope, std::string_view term) {
  if (term.find(':') != term.npos) return term.starts_with("dtmi:") ? term : std::string_view();
  if (scope.version < 2) return {};
  if (const auto uri = find_term(kDtdlContexts[scope.version - 2], term); !uri.empty()) return uri;
  for (const std::string_view one : scope.affiliates)
    if (const auto uri = find_term(one, term); !uri.empty()) return uri;
  return {};
}

bool read_context(Workbench& bench, size_t document, const JsonNode& context, Scope& scope) {
  const std::span<const JsonNode> components =
      context.is_array() ? std::span<const JsonNode>(context.items) : std::span(&context, 1);
  if (!components.empty()) return ContextReader(bench, document, scope).read(components);
  if (scope.version != 0) return true;
  bench.complain("emptyContext", document, context.begin, {});
  return false;
}

}  // namespace penstock::twin::dtdl
