#include "twin/dtdl/metamodel.h"

#include <algorithm>
#include <tuple>

namespace penstock::twin::dtdl {
namespace {

#include "twin/dtdl/metamodel_tables.inc"

bool is_letter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// A letter, then letters, digits and _, not ending with _.
bool is_name(std::string_view text) {
  if (text.empty() || !is_letter(text.front()) || text.back() == '_') return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return is_letter(c) || is_digit(c) || c == '_'; });
}

bool is_version_number(std::string_view text, size_t digits_max) {
  return !text.empty() && text.size() <= digits_max && text.front() != '0' &&
         std::all_of(text.begin(), text.end(), is_digit);
}

bool is_token_char(char c) {
  return c == '!' || (c >= '$' && c <= '*') || (c >= ',' && c <= '.') || (c >= '0' && c <= 'z') ||
         c == '|' || c == '~';
}

// One level of an MQTT topic: characters, or {word} or {word:word}.
bool is_topic_level(std::string_view level, bool first) {
  if (level.starts_with('{')) {
    if (!level.ends_with('}')) return false;
    level = level.substr(1, level.size() - 2);
    const size_t colon = level.find(':');
    const auto word = [](std::string_view w) {
      return !w.empty() && std::all_of(w.begin(), w.end(), is_letter);
    };
    if (colon == level.npos) return word(level);
    return word(level.substr(0, colon)) && word(level.substr(colon + 1));
  }
  if (level.empty()) return false;
  if (first && level.front() == '$') return false;
  return std::all_of(level.begin(), level.end(),
                     [](char c) { return c != '/' && is_token_char(c); });
}

bool is_topic(std::string_view text) {
  bool first = true;
  while (true) {
    const size_t slash = text.find('/');
    if (!is_topic_level(text.substr(0, slash), first)) return false;
    if (slash == text.npos) return true;
    text = text.substr(slash + 1);
    first = false;
  }
}

// The rows of a table that is sorted by `key`.
template <class Row, size_t N, class Key, class Of>
std::span<const Row> rows(const Row (&table)[N], const Key& key, Of of) {
  const auto [from, to] =
      std::equal_range(std::begin(table), std::end(table), key, [&](const auto& a, const auto& b) {
        if constexpr (std::is_same_v<std::decay_t<decltype(a)>, Row>)
          return of(a) < b;
        else
          return a < of(b);
      });
  return {from, to};
}

template <class Row>
const Row* first(std::span<const Row> found) {
  return found.empty() ? nullptr : &found.front();
}

}  // namespace

const ClassFact* find_class(std::string_view name, int version) {
  return first(rows(kClasses, std::tuple(name, version),
                    [](const ClassFact& row) { return std::tuple(row.name, row.version); }));
}

const PropertyFact* find_property(std::string_view owner, int version, std::string_view name) {
  return first(rows(kProperties, std::tuple(owner, version, name), [](const PropertyFact& row) {
    return std::tuple(row.owner, row.version, row.name);
  }));
}

std::span<const PropertyFact> properties_of(std::string_view owner, int version) {
  return rows(kProperties, std::tuple(owner, version),
              [](const PropertyFact& row) { return std::tuple(row.owner, row.version); });
}

const SupplementalFact* find_supplemental(std::string_view uri) {
  return first(rows(kSupplementals, uri, [](const SupplementalFact& row) { return row.uri; }));
}

std::span<const SupplementalPropertyFact> supplemental_properties(std::string_view owner) {
  return rows(kSupplementalProperties, owner,
              [](const SupplementalPropertyFact& row) { return row.owner; });
}

std::span<const ConstraintFact> constraints_of(std::string_view owner) {
  return rows(kConstraints, owner, [](const ConstraintFact& row) { return row.owner; });
}

std::span<const SiblingFact> siblings_of(std::string_view owner) {
  return rows(kSiblings, owner, [](const SiblingFact& row) { return row.owner; });
}

const ElementFact* find_element(std::string_view uri) {
  return first(rows(kElements, uri, [](const ElementFact& row) { return row.uri; }));
}

const ContextFact* find_context(std::string_view context) {
  return first(rows(kContexts, context, [](const ContextFact& row) { return row.context; }));
}

std::string_view find_term(std::string_view context, std::string_view term) {
  const TermFact* found = first(rows(kTerms, std::tuple(context, term), [](const TermFact& row) {
    return std::tuple(row.context, row.term);
  }));
  return found ? found->uri : std::string_view();
}

std::span<const DescendantFact> descendants() { return kDescendants; }
std::span<const ContextFact> contexts() { return kContexts; }

Rule apocryphal(int version, Apocryphal what) {
  for (const ApocryphaFact& row : kApocrypha)
    if (row.version == version) return row.rules[static_cast<size_t>(what)];
  return Rule::kInvalid;
}

bool has_word(std::string_view words, std::string_view word) {
  bool found = false;
  for_words(words, [&](std::string_view one) { found |= one == word; });
  return found;
}

bool is_dtmi(std::string_view text, int version) {
  if (!text.starts_with("dtmi:")) return false;
  text.remove_prefix(5);
  const size_t semicolon = text.find(';');
  if (semicolon == text.npos) {
    if (version == 2) return false;
  } else {
    const std::string_view number = text.substr(semicolon + 1);
    const size_t dot = number.find('.');
    if (!is_version_number(number.substr(0, dot), 9)) return false;
    if (dot != number.npos && (version == 2 || !is_version_number(number.substr(dot + 1), 6)))
      return false;
  }
  std::string_view path = text.substr(0, semicolon);
  while (true) {
    const size_t colon = path.find(':');
    if (!is_name(path.substr(0, colon))) return false;
    if (colon == path.npos) return true;
    path = path.substr(colon + 1);
  }
}

bool matches(Pattern pattern, std::string_view text, int version) {
  switch (pattern) {
    case Pattern::kNone:
      return true;
    case Pattern::kName:
      return is_name(text);
    case Pattern::kDtmi:
      return is_dtmi(text, version);
    case Pattern::kTopic:
      return is_topic(text);
    case Pattern::kToken:
      return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
  }
  return false;
}

}  // namespace penstock::twin::dtdl
