// Literal values: plain, in JSON-LD value objects, and in languages.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>

#include "twin/dtdl/workbench.h"

namespace penstock::twin::dtdl {
namespace {

// Length of a text as people count it: code points.
int64_t length_of(std::string_view text) {
  int64_t utf16 = 0;  // DTDL's limits count UTF-16 units, as the reference implementation does
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xC0) != 0x80) utf16 += byte >= 0xF0 ? 2 : 1;
  }
  return utf16;
}

// A whole number of 32 bits, however it is written: "5", "5.0", "5e0".
std::optional<int32_t> whole(const JsonNode& node) {
  if (!node.is_number()) return {};
  double value = 0;
  const std::string_view text = node.text;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  if (value < INT32_MIN || value > INT32_MAX || value != std::trunc(value)) return {};
  return static_cast<int32_t>(value);
}

bool all_of(std::string_view text, char from, char to) {
  return std::all_of(text.begin(), text.end(), [&](char c) { return c >= from && c <= to; });
}

// BCP 47 in the form DTDL takes: language, script, region: "en", "zh-Hans-CN", "es-419".
bool is_language(std::string_view tag) {
  const size_t first = std::min(tag.find('-'), tag.size());
  if (first < 2 || first > 4 || !all_of(tag.substr(0, first), 'a', 'z')) return false;
  tag.remove_prefix(first);
  if (tag.size() >= 5 && tag[1] >= 'A' && tag[1] <= 'Z' && all_of(tag.substr(2, 3), 'a', 'z'))
    tag.remove_prefix(5);
  if (tag.empty()) return true;
  return tag.front() == '-' && ((tag.size() == 3 && all_of(tag.substr(1), 'A', 'Z')) ||
                                (tag.size() == 4 && all_of(tag.substr(1), '0', '9')));
}

// ISO 8601 duration: P[nY][nM][nD][T[nH][nM][nS]], or PnW.
bool is_duration(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  if (!text.starts_with('P')) return false;
  text.remove_prefix(1);
  std::string_view units = "YMWD";
  bool any = false;
  while (!text.empty()) {
    if (text.front() == 'T') {
      if (units == "HMS" || text.size() == 1) return false;
      units = "HMS";
      text.remove_prefix(1);
    }
    const size_t digits = text.find_first_not_of("0123456789.");
    if (digits == 0 || digits == text.npos) return false;
    const size_t unit = units.find(text[digits]);
    if (unit == units.npos) return false;
    units = units.substr(unit + 1);
    if (units.empty() && text.size() > digits + 1 && text[digits + 1] != 'T') return false;
    text.remove_prefix(digits + 1);
    any = true;
  }
  return any;
}

struct LiteralReader {
  Workbench& bench;
  const Scope& scope;
  Element& element;
  std::string_view property;
  bool required;  ///< an empty array will not do

  void complain(std::string_view validation, const JsonNode& at, std::string_view value = {}) {
    bench.complain(validation, element.document, at.begin, element.id, property, value);
  }
  void keep(Kind kind, std::string_view text, std::string_view language = {}) {
    element.literals[std::string(property)].push_back(
        {kind, std::string(text), std::string(language)});
  }

  // Members of a value object other than @value and @type.
  bool value_object_fits(const JsonNode& node) {
    for (const auto& [key, value] : node.members) {
      if (key == "@value" || key == "@type") continue;
      if (key == "@graph") return complain("valueObjectGraph", value), false;
      if (key == "@id") return complain("valueObjectId", value), false;
      if (key == "@context") return complain("valueObjectContext", value), false;
      if (key.starts_with('@')) {
        if (element.version == 2) continue;
        complain(key == "@language" ? "valueObjectLanguage" : "valueObjectKeyword", value, key);
        return false;
      }
      return complain("valueObjectInvalidProp", value, key), false;
    }
    return true;
  }

  // The plain value, out of its one-element array and its value object; null: complained.
  const JsonNode* plain(const JsonNode& node, std::string_view name, std::string_view xsd) {
    const JsonNode* value = &node;
    if (value->is_array()) {
      if (value->items.empty() && !required) return nullptr;  // as if it were not there
      if (value->items.size() != 1)
        return complain(
                   std::string(name) + (value->items.empty() ? "CountBelowMin" : "MultipleValues"),
                   node),
               nullptr;
      value = &value->items.front();
    }
    if (!value->is_object()) return value;
    if (!value_object_fits(*value)) return nullptr;
    const JsonNode* type = value->find("@type");
    if (type) {
      if (type->is_array() && type->items.size() == 1) type = &type->items.front();
      if (!type->is_string()) return complain("literalTypeNotSingular", *type), nullptr;
      const std::string full = "http://www.w3.org/2001/XMLSchema#" +
                               std::string(xsd.substr(std::min<size_t>(4, xsd.size())));
      if (!xsd.empty() && type->text != xsd && type->text != full)
        return complain(type_mismatch(name), *type, type->text), nullptr;
    }
    const JsonNode* inner = value->find("@value");
    if (!inner) return complain(std::string(name) + "ObjectNoValue", node), nullptr;
    if (type && xsd.empty() && !any_type_fits(*type, *inner)) return nullptr;
    return inner;
  }

  static std::string type_mismatch(std::string_view name) {
    std::string text = std::string(name) + "TypeNot" + std::string(name);
    char& initial = text[name.size() + 7];
    initial = static_cast<char>(std::toupper(static_cast<unsigned char>(initial)));
    return text;
  }

  bool any_type_fits(const JsonNode& type, const JsonNode& value) {
    constexpr std::string_view kSchema = "http://www.w3.org/2001/XMLSchema#";
    std::string_view name = type.text;
    if (name.starts_with(kSchema))
      name.remove_prefix(kSchema.size());
    else if (name.starts_with("xsd:"))
      name.remove_prefix(4);
    else
      name = {};
    std::string_view wrong;
    if (name == "string" && !value.is_string()) wrong = "stringValueNotString";
    if (name == "integer" && !whole(value)) wrong = "integerValueNotInteger";
    if (name == "boolean" && !value.is_bool()) wrong = "booleanValueNotBoolean";
    if (name == "decimal" && !value.is_number()) wrong = "numericValueNotNumeric";
    if (!wrong.empty()) complain(wrong, value);
    const bool known =
        name == "string" || name == "integer" || name == "boolean" || name == "decimal";
    if (!known || !wrong.empty()) complain("literalNotValid", type, type.text);
    return known && wrong.empty();
  }

  void string(const JsonNode& node, int64_t length_max, Pattern pattern) {
    const JsonNode* value = plain(node, "string", "xsd:string");
    if (!value) return;
    if (!value->is_string())
      return complain(inside(node, *value) ? "stringValueNotString" : "stringNotString", *value);
    if (length_max >= 0 && length_of(value->text) > length_max)
      return complain("stringTooLong", *value, value->text);
    if (!matches(pattern, value->text, element.version))
      return complain("stringInvalid", *value, value->text);
    keep(Kind::kString, value->text);
  }

  void integer(const JsonNode& node, int64_t minimum, int64_t maximum) {
    const JsonNode* value = plain(node, "integer", "xsd:integer");
    if (!value) return;
    const auto number = whole(*value);
    if (!number)
      return complain(inside(node, *value) ? "integerValueNotInteger" : "integerNotInteger", *value,
                      value->text);
    const bool below = *number<minimum, above = *number> maximum;
    if (below || above) return complain(range_name(below, minimum, maximum), *value, value->text);
    keep(Kind::kInteger, std::to_string(*number));
  }

  // What a number outside of its range is called depends on which bounds there are.
  static std::string_view range_name(bool below, int64_t minimum, int64_t maximum) {
    if (minimum == maximum) return "valueNotExact";
    if (minimum != INT64_MIN && maximum != INT64_MAX)
      return below ? "valueBelowRange" : "valueAboveRange";
    return below ? "valueBelowMin" : "valueAboveMax";
  }

  // Whether `value` stands in a value object.
  static bool inside(const JsonNode& node, const JsonNode& value) {
    const JsonNode& one = node.is_array() && node.items.size() == 1 ? node.items.front() : node;
    return &one != &value;
  }

  void boolean(const JsonNode& node) {
    const JsonNode* value = plain(node, "boolean", "xsd:boolean");
    if (!value) return;
    if (!value->is_bool())
      return complain(inside(node, *value) ? "booleanValueNotBoolean" : "booleanNotBoolean", *value,
                      value->text);
    keep(Kind::kBoolean, value->kind == JsonNode::Kind::kTrue ? "true" : "false");
  }

  void any(const JsonNode& node) {
    const JsonNode* value = plain(node, "literal", "");
    if (!value) return;
    if (value->is_string()) return keep(Kind::kString, value->text);
    if (const auto number = whole(*value)) return keep(Kind::kInteger, std::to_string(*number));
    if (value->is_number()) return keep(Kind::kAny, value->text);
    if (value->is_bool())
      return keep(Kind::kBoolean, value->kind == JsonNode::Kind::kTrue ? "true" : "false");
    complain("literalNotValid", *value);
  }

  void identifier(const JsonNode& node, const PropertyFact& fact) {
    const JsonNode* value = &node;
    if (value->is_array() && value->items.size() == 1) value = &value->items.front();
    if (value->is_array())
      return value->items.empty() && !required
                 ? void()
                 : complain(value->items.empty() ? "identifierCountBelowMin"
                                                 : "identifierMultipleValues",
                            *value);
    if (!value->is_string()) return complain("identifierNotString", *value);
    const std::string_view id = meaning(scope, value->text);
    if (id.empty() || (value->text.starts_with("dtmi:") && !is_dtmi(id, element.version)))
      return complain("identifierNotDtmi", *value, value->text);
    if (fact.length_max[element.limits] >= 0 &&
        static_cast<int64_t>(id.size()) > fact.length_max[element.limits])
      return complain("identifierTooLong", *value, value->text);
    keep(Kind::kIdentifier, id);
  }

  void lang_text(const JsonNode& value, std::string_view language, int64_t length_max,
                 std::set<std::string, std::less<>>& seen) {
    if (!value.is_string()) return complain("langStringValueNotString", value);
    if (length_max >= 0 && length_of(value.text) > length_max)
      return complain("langStringValueTooLong", value, value.text);
    if (!seen.emplace(language).second)
      return complain("langStringElementCodeNotUnique", value, language);
    keep(Kind::kLangString, value.text, language);
  }

  void lang_element(const JsonNode& node, int64_t length_max,
                    std::set<std::string, std::less<>>& seen) {
    if (node.is_string()) return lang_text(node, "en", length_max, seen);
    if (!node.is_object()) return complain("langStringElementNotStringOrObject", node);
    const JsonNode *value = nullptr, *language = nullptr;
    for (const auto& [key, member] : node.members) {
      if (key == "@value") {
        value = &member;
      } else if (key == "@language") {
        language = &member;
      } else if (key == "@graph" || key == "@id" || key == "@context") {
        complain(key == "@graph" ? "langStringElementGraph"
                 : key == "@id"  ? "langStringElementId"
                                 : "langStringElementContext",
                 member);
      } else if (!key.starts_with('@')) {
        complain("langStringElementInvalidProp", member, key);
      } else if (element.version != 2) {
        complain(key == "@type" ? "langStringElementType" : "langStringElementKeyword", member,
                 key);
      }
    }
    if (!value) return complain("langStringElementNoValue", node);
    if (!value->is_string()) return complain("langStringElementValueNotString", *value);
    if (language && !language->is_string())
      return complain("langStringElementCodeNotString", *language);
    if (language && !is_language(language->text))
      return complain("langStringElementInvalidCode", *language, language->text);
    lang_text(*value, language ? std::string_view(language->text) : "en", length_max, seen);
  }

  void lang_string(const JsonNode& node, int64_t length_max) {
    std::set<std::string, std::less<>> seen;
    if (node.is_string()) return lang_text(node, "en", length_max, seen);
    if (node.is_array()) {
      for (const JsonNode& one : node.items) lang_element(one, length_max, seen);
      return;
    }
    if (!node.is_object()) return complain("langStringElementNotStringOrObject", node);
    if (node.find("@value") && node.find("@language"))
      return complain("langTagValueInLangMap", node);
    for (const auto& [key, value] : node.members)
      if (key.starts_with('@'))
        complain("langMapObjKeyword", value, key);
      else if (!is_language(key))
        complain("langStringInvalidCode", value, key);
      else
        lang_text(value, key, length_max, seen);
  }

  void number(const JsonNode& node, int64_t minimum) {
    const JsonNode* value = plain(node, "numeric", "xsd:decimal");
    if (!value) return;
    if (!value->is_number())
      return complain(inside(node, *value) ? "numericValueNotNumeric" : "numericNotNumeric", *value,
                      value->text);
    const auto integer = whole(*value);
    double number = 0;
    std::from_chars(value->text.data(), value->text.data() + value->text.size(), number);
    if (minimum != INT64_MIN && number < static_cast<double>(minimum))
      return complain("valueBelowMin", *value, value->text);
    keep(integer ? Kind::kInteger : Kind::kAny, value->text);
  }
};

}  // namespace

void read_literal(Workbench& bench, const Scope& scope, Element& element, const PropertyFact& fact,
                  const JsonNode& value) {
  LiteralReader reader{bench, scope, element, fact.name, fact.count_min > 0};
  const int64_t length_max = fact.length_max[element.limits];
  switch (fact.kind) {
    case Kind::kString:
      return reader.string(value, length_max, fact.pattern);
    case Kind::kLangString:
      return reader.lang_string(value, length_max);
    case Kind::kInteger:
      return fact.has_exact ? reader.integer(value, fact.exact, fact.exact)
                            : reader.integer(value, fact.minimum, fact.maximum);
    case Kind::kBoolean:
      return reader.boolean(value);
    case Kind::kAny:
      return reader.any(value);
    case Kind::kIdentifier:
      return reader.identifier(value, fact);
    case Kind::kObject:
      return;
  }
}

void read_supplemental_literal(Workbench& bench, const Scope& scope, Element& element,
                               const SupplementalPropertyFact& fact, const JsonNode& value) {
  LiteralReader reader{bench, scope, element, fact.uri, fact.count_min > 0};
  if (fact.type == "xsd:integer") return reader.integer(value, fact.minimum, INT64_MAX);
  if (fact.type == "xsd:decimal") return reader.number(value, fact.minimum);
  if (fact.type == "xsd:boolean") return reader.boolean(value);
  const size_t before = element.literals[std::string(fact.uri)].size();
  reader.string(value, fact.length_max, fact.pattern);
  const auto& kept = element.literals[std::string(fact.uri)];
  if (fact.type == "xsd:duration" && kept.size() > before && !is_duration(kept.back().text))
    reader.complain("durationInvalid", value, kept.back().text);
  if (kept.empty()) element.literals.erase(std::string(fact.uri));
}

}  // namespace penstock::twin::dtdl
