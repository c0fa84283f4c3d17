#include "twin/dtdl/metamodel.h"

#include <algorithm>
#include <functional>
#include <unordered_map>

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

// What a row is found by. The tables are sorted by it, so rows of one key stand together.
struct Key {
  std::string_view first;
  int number = 0;
  std::string_view second;
  friend bool operator==(const Key&, const Key&) = default;
};
struct KeyHash {
  size_t operator()(const Key& key) const {
    const std::hash<std::string_view> hash;
    return (hash(key.first) * 31 + static_cast<size_t>(key.number)) * 31 + hash(key.second);
  }
};

// The tables are searched for each word of each document: by hash, made when first asked.
template <class Row>
class Index {
 public:
  template <size_t N, class Of>
  Index(const Row (&table)[N], Of of) {
    rows_.reserve(N);
    for (size_t from = 0; from < N;) {
      size_t to = from + 1;
      while (to < N && of(table[to]) == of(table[from])) ++to;
      rows_.emplace(of(table[from]), std::span<const Row>(table + from, to - from));
      from = to;
    }
  }
  [[nodiscard]] std::span<const Row> all(const Key& key) const {
    const auto found = rows_.find(key);
    return found == rows_.end() ? std::span<const Row>() : found->second;
  }
  [[nodiscard]] const Row* first(const Key& key) const {
    const auto found = rows_.find(key);
    return found == rows_.end() ? nullptr : &found->second.front();
  }

 private:
  std::unordered_map<Key, std::span<const Row>, KeyHash> rows_;
};

}  // namespace

const ClassFact* find_class(std::string_view name, int version) {
  static const Index index(kClasses,
                           [](const ClassFact& row) { return Key{row.name, row.version, {}}; });
  return index.first({name, version, {}});
}

const PropertyFact* find_property(std::string_view owner, int version, std::string_view name) {
  static const Index index(
      kProperties, [](const PropertyFact& row) { return Key{row.owner, row.version, row.name}; });
  return index.first({owner, version, name});
}

std::span<const PropertyFact> properties_of(std::string_view owner, int version) {
  static const Index index(kProperties,
                           [](const PropertyFact& row) { return Key{row.owner, row.version, {}}; });
  return index.all({owner, version, {}});
}

const SupplementalFact* find_supplemental(std::string_view uri) {
  static const Index index(kSupplementals,
                           [](const SupplementalFact& row) { return Key{row.uri, 0, {}}; });
  return index.first({uri, 0, {}});
}

std::span<const SupplementalPropertyFact> supplemental_properties(std::string_view owner) {
  static const Index index(kSupplementalProperties, [](const SupplementalPropertyFact& row) {
    return Key{row.owner, 0, {}};
  });
  return index.all({owner, 0, {}});
}

std::span<const ConstraintFact> constraints_of(std::string_view owner) {
  static const Index index(kConstraints,
                           [](const ConstraintFact& row) { return Key{row.owner, 0, {}}; });
  return index.all({owner, 0, {}});
}

std::span<const SiblingFact> siblings_of(std::string_view owner) {
  static const Index index(kSiblings, [](const SiblingFact& row) { return Key{row.owner, 0, {}}; });
  return index.all({owner, 0, {}});
}

const ElementFact* find_element(std::string_view uri) {
  static const Index index(kElements, [](const ElementFact& row) { return Key{row.uri, 0, {}}; });
  return index.first({uri, 0, {}});
}

const ContextFact* find_context(std::string_view context) {
  static const Index index(kContexts,
                           [](const ContextFact& row) { return Key{row.context, 0, {}}; });
  return index.first({context, 0, {}});
}

std::string_view find_term(std::string_view context, std::string_view term) {
  static const Index index(kTerms,
                           [](const TermFact& row) { return Key{row.context, 0, row.term}; });
  const TermFact* found = index.first({context, 0, term});
  return found ? found->uri : std::string_view();
}

std::span<const DescendantFact> descendants() { return kDescendants; }
std::span<const ContextFact> contexts() { return kContexts; }

const VersionFact& version_fact(int version) { return kVersions[version - kVersions[0].version]; }

bool is_class_name(std::string_view word) {
  constexpr std::string_view kPrefix = "dtmi:dtdl:class:";
  if (word.starts_with(kPrefix))
    word = word.substr(kPrefix.size(), word.find(';') - kPrefix.size());
  const auto found =
      std::lower_bound(std::begin(kClasses), std::end(kClasses), word,
                       [](const ClassFact& row, std::string_view name) { return row.name < name; });
  return found != std::end(kClasses) && found->name == word;
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
