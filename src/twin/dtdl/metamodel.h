#pragma once
// What DTDL v2, v3 and v4 and their extensions say, as one table (metamodel_tables.inc, generated
// by scripts/generate_dtdl_tables). The parser knows no class by name: it looks here.
// Lists are words in one string, separated by spaces.

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace penstock::twin::dtdl {

using Limits = std::array<int64_t, 3>;  ///< standard, AIO and ONVIF limit context; -1: no limit

enum class Kind : uint8_t {
  kString,
  kLangString,
  kInteger,
  kBoolean,
  kAny,         ///< a literal whose type another property decides
  kObject,      ///< an element or a reference to one
  kIdentifier,  ///< a DTMI that need not be defined
};
enum class Pattern : uint8_t { kNone, kName, kDtmi, kTopic, kToken };
enum class ExtensionKind : uint8_t {
  kNone,
  kSemanticType,
  kSemanticUnit,
  kUnit,
  kUnitAttribute,
  kAdjunctType,
  kLatentType,
  kNamedLatentType,
};
/// What becomes of a term that means nothing here: kTenable stands where a context is unknown.
enum class Rule : uint8_t { kValid, kTenable, kInvalid };

struct ClassFact {
  std::string_view name;
  int version;
  bool abstract, overt, id_required, type_optional;
  std::string_view concrete_subclasses, standard_elements;
  Limits id_length_max;
};
struct PropertyFact {
  std::string_view owner;  ///< class
  int version;
  std::string_view name;
  Kind kind;
  std::string_view type;  ///< class of a kObject
  unsigned versions;      ///< bit v: its value may be of DTDL v
  bool optional, plural, allowed, id_required, type_required;
  int64_t count_min, count_max;  ///< count_max -1: no limit
  Limits length_max;
  Pattern pattern;
  int64_t minimum, maximum;
  bool has_exact;
  int64_t exact;
  std::string_view values, unique_properties;
  std::string_view segment;  ///< the value's property that an identifier made for it ends with
  std::string_view key;      ///< the property by which the values are looked up
};
struct SupplementalFact {
  std::string_view uri, context;
  ExtensionKind kind;
  bool abstract;
  std::string_view parent, cotypes;
  unsigned cotype_versions;
  std::string_view cocotypes, discotypes, altcotypes;
};
struct SupplementalPropertyFact {
  std::string_view owner, uri, name;
  std::string_view type;               ///< "xsd:string" and so on, "IRI", or a class's DTMI
  std::string_view child_of;           ///< the enumeration its value must be of
  std::string_view instance_property;  ///< its value must conform to this property's schema
  bool optional, plural;
  int64_t count_min, count_max, length_max;
  Pattern pattern;
  int64_t minimum;
  bool unique;
};
struct ConstraintFact {
  std::string_view owner, property, required_types, required_values;
  bool inverse;
  std::string_view none_other_type, some_other_type, sibling_key, sibling_keyref, sibling_parent_of;
};
struct SiblingFact {
  std::string_view owner, key, keyref, required_types, disallowed_type, supplemental_property,
      unique_reference;
};
struct ElementFact {
  std::string_view uri, types;
  int version;
  std::string_view parent;  ///< the enumeration it is a value of
  int depth;                ///< how many schemas deep it is inside: "point" is an object of arrays
  std::string_view inside;  ///< the classes of what is in it
};
struct TermFact {
  std::string_view context, term, uri;
};
struct ContextFact {
  std::string_view context;
  int limits;   ///< index into Limits
  int version;  ///< of the DTDL it goes with; 0: any
  std::string_view reserved_prefixes;
};
struct DescendantFact {
  std::string_view root, defining;
  int version;
  std::string_view properties;
  bool narrow, allow_self;
  std::string_view exclude_type, datatype_property, import_properties;
  Limits depth_max, count_max;
};
struct VersionFact {
  int version;
  std::array<Rule, 8> rules;  ///< as Apocryphal counts
  Limits id_length_max, reference_length_max;
  Limits interface_bytes_max;  ///< of one interface's text, without those inside of it
};
enum class Apocryphal : uint8_t {
  kTermAsType,
  kIrrelevantAsType,
  kInvalidDtmiAsType,
  kNotDtmiNorTermAsType,
  kTermAsProperty,
  kIrrelevantAsProperty,
  kInvalidDtmiAsProperty,
  kNotDtmiNorTermAsProperty,
};

[[nodiscard]] const ClassFact* find_class(std::string_view name, int version);
[[nodiscard]] const PropertyFact* find_property(std::string_view owner, int version,
                                                std::string_view name);
[[nodiscard]] std::span<const PropertyFact> properties_of(std::string_view owner, int version);
[[nodiscard]] const SupplementalFact* find_supplemental(std::string_view uri);
[[nodiscard]] std::span<const SupplementalPropertyFact> supplemental_properties(
    std::string_view owner);
[[nodiscard]] std::span<const ConstraintFact> constraints_of(std::string_view owner);
[[nodiscard]] std::span<const SiblingFact> siblings_of(std::string_view owner);
[[nodiscard]] const ElementFact* find_element(std::string_view uri);
[[nodiscard]] const ContextFact* find_context(std::string_view context);
/// The DTMI that a term stands for in a context; empty: none.
[[nodiscard]] std::string_view find_term(std::string_view context, std::string_view term);
[[nodiscard]] std::span<const DescendantFact> descendants();
[[nodiscard]] std::span<const ContextFact> contexts();
/// REQUIRES: version is 2, 3 or 4.
[[nodiscard]] const VersionFact& version_fact(int version);
/// Whether `word` is a class of any version, as its name or its DTMI.
[[nodiscard]] bool is_class_name(std::string_view word);

[[nodiscard]] bool has_word(std::string_view words, std::string_view word);
/// Calls `use` with each word.
template <class Use>
void for_words(std::string_view words, Use&& use) {
  while (!words.empty()) {
    const size_t end = words.find(' ');
    use(words.substr(0, end));
    words = end == words.npos ? std::string_view() : words.substr(end + 1);
  }
}

/// Whether `text` is a DTMI of that DTDL version (v2: always with a version, of one number).
[[nodiscard]] bool is_dtmi(std::string_view text, int version);
[[nodiscard]] bool matches(Pattern pattern, std::string_view text, int version);

}  // namespace penstock::twin::dtdl
