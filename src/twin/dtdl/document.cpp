// One document's objects to elements: types, identifiers, properties.
#include <algorithm>
#include <cmath>
#include <set>
#include <unordered_set>

#include <fmt/format.h>

#include "twin/dtdl/workbench.h"

namespace penstock::twin::dtdl {
namespace {

constexpr int kDepthMax = 200;
constexpr std::string_view kClassPrefix = "dtmi:dtdl:class:";
constexpr std::string_view kPropertyPrefix = "dtmi:dtdl:property:";

// "dtmi:dtdl:class:Telemetry;3" to "Telemetry", where prefix and version fit.
std::string_view inner_name(std::string_view uri, std::string_view prefix, int version) {
  if (!uri.starts_with(prefix)) return {};
  const size_t semicolon = uri.find(';');
  if (semicolon + 2 != uri.size() || uri.back() != static_cast<char>('0' + version)) return {};
  return uri.substr(prefix.size(), semicolon - prefix.size());
}

// Whether a word stands for something: a term that a context knows, or a DTMI of valid form.
bool stands_for(std::string_view uri, std::string_view word, int version) {
  return !uri.empty() && (!word.starts_with("dtmi:") || is_dtmi(uri, version));
}

// What a place in the document expects of an element that stands there.
struct Place {
  Element* parent = nullptr;
  std::string_view property;  ///< name or DTMI, as the parent keeps it
  std::string_view type;      ///< class; empty: any
  unsigned versions = 0;      ///< bit v: DTDL v may stand here; 0: any
  bool id_required = false, type_required = true;
  std::string_view segment, key;  ///< as in PropertyFact
};

// What one word of @type is: known or taken; refused, so that properties may still be looked at;
// or of another class than can stand here.
enum class Word : uint8_t { kFine, kRefused, kWrong };

// What has come of a value: counted, or not, or so wrong that nothing more can be said of it.
enum class Read : uint8_t { kGood, kBad, kHopeless };

// Members that JSON-LD knows. Others that begin with @ are keywords without a meaning here.
bool is_framing(std::string_view key) {
  return key == "@id" || key == "@type" || key == "@context" || key == "@graph";
}

// Names that have come. Few in a document that people write, any number in a hostile one.
class Seen {
 public:
  explicit Seen(size_t expected) : many_(expected > kFew) {}
  bool insert(std::string_view name) {
    if (many_) return set_.insert(name).second;
    if (std::find(list_.begin(), list_.begin() + count_, name) != list_.begin() + count_)
      return false;
    list_[static_cast<size_t>(count_++)] = name;
    return true;
  }

 private:
  static constexpr size_t kFew = 24;
  bool many_;
  std::ptrdiff_t count_ = 0;
  std::array<std::string_view, kFew> list_;
  std::unordered_set<std::string_view> set_;
};

class DocumentReader {
 public:
  DocumentReader(Workbench& bench, size_t document) : bench_(bench), document_(document) {}

  // JSON-LD's own rules, everywhere in the document, and arrays in arrays made flat.
  bool normalise(JsonNode& node, int depth = 0) {
    if (depth > kDepthMax) return complain("excessiveDepthWide", node), false;
    bool good = true;
    if (node.is_array()) {
      if (std::any_of(node.items.begin(), node.items.end(), [](auto& n) { return n.is_array(); }))
        flatten(node);
      for (JsonNode& one : node.items) good &= normalise(one, depth + 1);
      return good;
    }
    unsigned seen = 0;  // bit i: kKeywords[i]
    for (auto& [key, value] : node.members) {
      if (key == "@graph" && !value.is_object() &&
          !(value.is_array() && std::all_of(value.items.begin(), value.items.end(),
                                            [](auto& n) { return n.is_object(); }))) {
        complain("graphNotObject", value);
        good = false;
      }
      if (key.starts_with('@') && repeats(key, seen)) {
        complain(fmt::format("repeated{:c}{}Property", key[1] - 'a' + 'A',
                             std::string_view(key).substr(2)),
                 value, {}, key);
        good = false;
      }
      if (key != "@context" && key != "@type" && (value.is_array() || value.is_object()))
        good &= normalise(value, depth + 1);
    }
    return good;
  }

  void top(const JsonNode& node) {
    if (!node.is_object()) return complain("notJsonObject", node);
    Scope scope;
    const JsonNode* context = node.find("@context");
    if (!context) return complain("missingContext", node);
    if (!read_context(bench_, document_, *context, scope)) return;
    if (const JsonNode* graph = node.find("@graph"))
      return complain("topLevelGraphDisallowed", *graph);
    if (!node.find("@id")) return complain("missingTopLevelId", node);
    if (!rootable(node, scope)) return;
    if (scope.version != 2)
      for (const auto& [key, value] : node.members)
        if (key.starts_with('@') && !is_framing(key))
          return complain("topLevelKeywordDisallowed", value, {}, key);
    read(node, scope, Place{}, 0);
  }

 private:
  void complain(std::string_view validation, const JsonNode& at, std::string_view element = {},
                std::string_view property = {}, std::string_view value = {}) {
    bench_.complain(validation, document_, at.begin, element, property, value);
  }

  static void flatten(JsonNode& node) {
    std::vector<JsonNode> flat;
    for (JsonNode& one : node.items)
      if (one.is_array()) {
        flatten(one);
        for (JsonNode& inner : one.items) flat.push_back(std::move(inner));
      } else {
        flat.push_back(std::move(one));
      }
    node.items = std::move(flat);
  }

  static bool repeats(std::string_view key, unsigned& seen) {
    constexpr std::string_view kKeywords[] = {"@id",    "@type",  "@context",
                                              "@graph", "@value", "@language"};
    const auto found = std::find(std::begin(kKeywords), std::end(kKeywords), key);
    if (found == std::end(kKeywords)) return false;
    const unsigned bit = 1u << (found - std::begin(kKeywords));
    return (std::exchange(seen, seen | bit) & bit) != 0;
  }

  bool rootable(const JsonNode& node, const Scope& scope) {
    const auto fits = [&](const JsonNode& type) {
      return type.is_string() &&
             inner_name(meaning(scope, type.text), kClassPrefix, scope.version) == "Interface";
    };
    const JsonNode* types = node.find("@type");
    const bool found =
        types && (fits(*types) || std::any_of(types->items.begin(), types->items.end(), fits));
    if (found) return true;
    complain("typeNotRootable", types ? *types : node);
    if (!types) complain("badType", node);
    return false;
  }

  // -- an element

  Read read(const JsonNode& node, const Scope& outer, const Place& place, int depth) {
    if (depth > kDepthMax) return complain("excessiveDepthWide", node), Read::kHopeless;
    if (bench_.result.model.elements.size() >= bench_.options.elements_max)
      return complain("excessiveCount", node), Read::kHopeless;
    std::optional<Scope> inner;
    if (const JsonNode* context = place.parent ? node.find("@context") : nullptr) {
      inner = outer;
      if (!read_context(bench_, document_, *context, *inner)) return Read::kHopeless;
    }
    const Scope& scope = inner ? *inner : outer;
    if (place.parent) check_keywords(node, scope, place);
    Element element;
    element.version = scope.version;
    element.limits = scope.limits;
    element.document = document_;
    element.offset = node.begin;
    if (place.parent) element.parent = place.parent->id;
    if (place.versions != 0 && !(place.versions & (1u << scope.version)))
      complain("disallowedVersionDefinition", node, place.parent->id, place.property);
    if (const Read id = read_id(node, scope, place, element); id != Read::kGood) return id;
    if (!read_types(node, scope, place, element)) return Read::kBad;
    const ClassFact& fact = *find_class(element.type, element.version);
    if (element.named &&
        static_cast<int64_t>(element.id.size()) > fact.id_length_max[element.limits])
      complain("idTooLongForType", node, element.id, {}, element.id);
    if (place.parent && !element.named && fact.id_required) {
      complain("missingRequiredId", node, place.parent->id, place.property);
      return Read::kHopeless;
    }
    const bool interface = element.type == "Interface";
    const int64_t outside = interface ? std::exchange(inner_bytes_, 0) : 0;
    element.home = interface ? element.id : place.parent ? place.parent->home : std::string();
    if (place.parent)
      link(*place.parent, place.property, {element.id, false, node.begin, node.end});
    // The parent lives on the stack of the caller until it is complete, so references stay valid.
    read_members(node, scope, element, depth);
    check_required(node, element, place);
    if (interface) inner_bytes_ = outside + check_bytes(node, element);
    std::string id = element.id;
    if (!bench_.result.model.elements.emplace(std::move(id), std::move(element)).second)
      complain("duplicateDefinition", node, element.id);
    return Read::kGood;
  }

  static void link(Element& parent, std::string_view property, Link value) {
    auto known = parent.objects.find(property);
    if (known == parent.objects.end())
      known = parent.objects.emplace(std::string(property), std::vector<Link>()).first;
    known->second.push_back(std::move(value));
  }

  void check_keywords(const JsonNode& node, const Scope& scope, const Place& place) {
    for (const auto& [key, value] : node.members) {
      if (!key.starts_with('@')) continue;
      if (key == "@graph")
        complain("graphDisallowed", value, place.parent->id, place.property);
      else if (!is_framing(key) && scope.version != 2)
        complain("keywordDisallowed", value, place.parent->id, place.property, key);
    }
  }

  Read read_id(const JsonNode& node, const Scope& scope, const Place& place, Element& element) {
    const JsonNode* id = node.find("@id");
    if (!id) return make_id(node, scope, place, element);
    if (!id->is_string() || id->text.empty()) return complain("idNotString", *id), Read::kHopeless;
    if (static_cast<int64_t>(id->text.size()) >
        version_fact(element.version).id_length_max[element.limits])
      return complain("idTooLong", *id, {}, {}, id->text), Read::kHopeless;
    if (!is_dtmi(id->text, element.version))
      return complain("invalidId", *id, {}, {}, id->text), Read::kHopeless;
    for (const ContextFact& context : contexts()) {
      bool reserved = false;
      for_words(context.reserved_prefixes,
                [&](std::string_view prefix) { reserved |= id->text.starts_with(prefix); });
      if (reserved && in_force(scope, context.context))
        return complain("reservedId", *id, {}, {}, id->text), Read::kHopeless;
    }
    element.id = id->text;
    element.named = true;
    if (!bench_.result.model.elements.contains(element.id)) return Read::kGood;
    complain("duplicateDefinition", *id, element.id);
    return Read::kBad;
  }

  static bool in_force(const Scope& scope, std::string_view context) {
    if (context.starts_with("dtmi:dtdl:context;")) return true;
    return std::find(scope.affiliates.begin(), scope.affiliates.end(), context) !=
           scope.affiliates.end();
  }

  // "dtmi:a:b:_contents:__speed;1": parent, property and name.
  Read make_id(const JsonNode& node, const Scope& scope, const Place& place, Element& element) {
    if (!place.parent) return complain("missingTopLevelId", node), Read::kHopeless;
    Element& parent = *place.parent;
    if (place.id_required) {
      complain("missingRequiredId", node, parent.id, place.property);
      return Read::kHopeless;
    }
    const size_t semicolon = std::min(parent.id.find(';'), parent.id.size());
    std::string_view property = place.property;
    if (const size_t colon = property.rfind(':'); colon != property.npos)
      property = property.substr(colon + 1, property.find(';') - colon - 1);
    std::string id =
        fmt::format("{}:_{}", std::string_view(parent.id).substr(0, semicolon), property);
    if (!place.segment.empty()) {
      const JsonNode* value = member(node, scope, place.segment);
      if (!value) {
        complain("missingDtmiSegPropertyValue", node, parent.id, place.property, place.segment);
        return Read::kHopeless;
      }
      std::string segment;
      if (!segment_of(*value, segment)) {
        complain("dtmiSegPropertyNotStringOrNumber", *value, parent.id, place.property);
        return Read::kHopeless;
      }
      id += ":__" + segment;
    }
    const std::string_view version = std::string_view(parent.id).substr(semicolon);
    std::string unique = id;
    unique += version;
    for (int n = 2; !made_.insert(unique).second; ++n) {
      if (!place.segment.empty()) {
        complain("nonUniquePropertyValue", node, parent.id, place.property,
                 std::string_view(id).substr(id.rfind(":__") + 3));
        return Read::kBad;
      }
      unique = fmt::format("{}_{}{}", id, n, version);
    }
    element.id = std::move(unique);
    return Read::kGood;
  }

  static const JsonNode* member(const JsonNode& node, const Scope& scope, std::string_view name) {
    for (const auto& [key, value] : node.members)
      if (key == name || inner_name(key, kPropertyPrefix, scope.version) == name) return &value;
    return nullptr;
  }

  // A string or number as it stands in a made identifier.
  static bool segment_of(const JsonNode& node, std::string& out) {
    const JsonNode* value = &node;
    if (value->is_array() && value->items.size() == 1) value = &value->items.front();
    if (value->is_object()) value = value->find("@value");
    if (!value || (!value->is_string() && !value->is_number())) return false;
    out = value->text;
    if (value->is_number()) std::replace(out.begin(), out.end(), '.', '_');
    return true;
  }

  // -- types

  bool read_types(const JsonNode& node, const Scope& scope, const Place& place, Element& element) {
    const std::string_view parent = place.parent ? std::string_view(place.parent->id) : element.id;
    const JsonNode* types = node.find("@type");
    if (!types && place.type_required)
      return complain("badType", node, parent, place.property), false;
    std::vector<std::string_view> classes;
    Word worst = Word::kFine;
    const auto take = [&](const JsonNode& one, std::string_view text) {
      worst = std::max(worst, read_type(one, text, scope, place, element, classes));
    };
    if (!types)
      take(node, place.type);
    else if (types->is_string())
      take(*types, types->text);
    else
      for (const JsonNode& one : types->items)
        if (one.is_string())
          take(one, one.text);
        else
          complain("typeNotString", one, element.id), worst = Word::kWrong;
    if (classes.empty() && worst == Word::kFine)
      complain("badType", types ? *types : node, parent, place.property);
    if (classes.empty() || worst == Word::kWrong) return false;
    if (classes.size() > 1) return complain("multipleMaterialTypes", node, element.id), false;
    element.type = classes.front();
    const std::vector<std::string_view> wanted = std::move(element.cotypes);
    element.cotypes.clear();
    for (const std::string_view cotype : wanted)
      (check_cotype(node, element, cotype, wanted) ? element.cotypes : element.refused_cotypes)
          .push_back(cotype);
    check_sources(node, element);
    return true;
  }

  // One word of @type: a class, a supplemental type, or nothing that is known.
  Word read_type(const JsonNode& node, std::string_view type, const Scope& scope,
                 const Place& place, Element& element, std::vector<std::string_view>& classes) {
    const auto bad = [&] {
      complain("badType", node, place.parent ? std::string_view(place.parent->id) : element.id,
               place.property, type);
      return Word::kWrong;
    };
    const std::string_view uri = meaning(scope, type);
    if (const auto name = inner_name(uri, kClassPrefix, element.version);
        fits(place, element, name)) {
      if (std::find(classes.begin(), classes.end(), name) == classes.end()) classes.push_back(name);
      return Word::kFine;
    }
    if (is_class_name(type)) return bad();
    const SupplementalFact* fact =
        stands_for(uri, type, element.version) ? find_supplemental(uri) : nullptr;
    if (!fact) return undefined_type(node, type, uri, scope, element);
    if (fact->abstract)
      return complain("abstractSupplementalType", node, element.id, {}, fact->uri), Word::kWrong;
    switch (fact->kind) {
      case ExtensionKind::kUnit:
      case ExtensionKind::kUnitAttribute:
      case ExtensionKind::kLatentType:
      case ExtensionKind::kNamedLatentType:
        return bad();
      default:
        element.cotypes.push_back(fact->uri);
        return Word::kFine;
    }
  }

  static bool fits(const Place& place, const Element& element, std::string_view name) {
    if (name.empty()) return false;
    const ClassFact* fact = find_class(name, element.version);
    if (!fact || fact->abstract || !fact->overt || !fact->standard_elements.empty()) return false;
    if (!place.parent || place.type.empty()) return true;
    const ClassFact* expected = find_class(place.type, element.version);
    return expected && has_word(expected->concrete_subclasses, name);
  }

  Word undefined_type(const JsonNode& node, std::string_view type, std::string_view uri,
                      const Scope& scope, Element& element) {
    Apocryphal what = Apocryphal::kTermAsType;
    std::string_view validation = "typeUndefinedTerm";
    if (stands_for(uri, type, element.version)) {
      what = Apocryphal::kIrrelevantAsType;
      validation = "typeIrrelevantDtmiOrTerm";
    } else if (type.starts_with("dtmi:")) {
      what = Apocryphal::kInvalidDtmiAsType;
      validation = "typeInvalidDtmi";
    } else if (type.find(':') != type.npos) {
      what = Apocryphal::kNotDtmiNorTermAsType;
      validation = "typeNotDtmiNorTerm";
    }
    element.undefined_types.emplace_back(type);
    if (tolerated(scope, what)) return Word::kFine;
    complain(validation, node, element.id, {}, type);
    return Word::kRefused;
  }

  static bool tolerated(const Scope& scope, Apocryphal what) {
    const Rule rule = version_fact(scope.version).rules[static_cast<size_t>(what)];
    return rule == Rule::kValid || (rule == Rule::kTenable && scope.incomplete);
  }

  bool check_cotype(const JsonNode& node, const Element& element, std::string_view cotype,
                    const std::vector<std::string_view>& all) {
    const SupplementalFact& fact = *find_supplemental(cotype);
    const bool type_fits = has_word(fact.cotypes, element.type);
    const bool version_fits = (fact.cotype_versions & (1u << element.version)) != 0;
    if (!type_fits) complain("invalidCotype", node, element.id, {}, cotype);
    if (!version_fits) complain("invalidCotypeVersion", node, element.id, {}, cotype);
    if (!type_fits || !version_fits) return false;
    bool needed = fact.cocotypes.empty(), clash = false;
    const auto has = [&](std::string_view one) {
      return std::find(all.begin(), all.end(), one) != all.end();
    };
    for_words(fact.cocotypes, [&](std::string_view one) { needed |= has(one); });
    for_words(fact.discotypes, [&](std::string_view one) { clash |= has(one); });
    if (!needed) complain("missingCocotype", node, element.id, {}, cotype);
    if (clash) complain("disallowedCocotype", node, element.id, {}, cotype);
    return true;
  }

  // Two supplemental types that each bring a property of the same name exclude each other.
  void check_sources(const JsonNode& node, const Element& element) {
    for (size_t i = 1; i < element.cotypes.size(); ++i)
      for (size_t j = 0; j < i; ++j)
        for (const auto& mine : supplemental_properties(element.cotypes[i]))
          for (const auto& other : supplemental_properties(element.cotypes[j]))
            if (mine.uri == other.uri && element.cotypes[i] != element.cotypes[j])
              return complain("conflictingSupplementalTypes", node, element.id, mine.name);
  }

  // -- properties

  void read_members(const JsonNode& node, const Scope& scope, Element& element, int depth) {
    Seen seen(node.members.size());
    for (const auto& [key, value] : node.members) {
      if (key.starts_with('@')) continue;
      const std::string_view uri = meaning(scope, key);
      const std::string_view identity = uri.empty() ? std::string_view(key) : uri;
      if (!seen.insert(identity)) {
        complain("duplicatePropertyName", value, element.id, key);
        continue;
      }
      read_member(node, key, uri, value, scope, element, depth);
    }
  }

  void read_member(const JsonNode& node, std::string_view key, std::string_view uri,
                   const JsonNode& value, const Scope& scope, Element& element, int depth) {
    if (const auto name = inner_name(uri, kPropertyPrefix, element.version); !name.empty()) {
      const PropertyFact* fact = find_property(element.type, element.version, name);
      if (fact && fact->allowed) {
        if (fact->kind != Kind::kObject) return read_literal(bench_, scope, element, *fact, value);
        return read_object(*fact, value, scope, element, depth);
      }
    }
    if (const auto* owned = supplemental_of(element.cotypes, uri))
      return read_supplemental(*owned, value, scope, element, depth);
    if (supplemental_of(element.refused_cotypes, uri)) {
      if (element.undefined_types.empty()) complain("noTypeThatAllows", value, element.id, key);
      return;
    }
    read_undefined(node, key, uri, value, scope, element);
  }

  static const SupplementalPropertyFact* supplemental_of(
      const std::vector<std::string_view>& cotypes, std::string_view uri) {
    const SupplementalPropertyFact* found = nullptr;
    if (uri.empty()) return found;
    for (const std::string_view cotype : cotypes)
      for_lineage(cotype, [&](std::string_view one) {
        for (const auto& fact : supplemental_properties(one))
          if (!found && fact.uri == uri) found = &fact;
      });
    return found;
  }

  template <class Use>
  static void for_lineage(std::string_view cotype, Use&& use) {
    for (int n = 0; n < 16 && !cotype.empty(); ++n) {
      use(cotype);
      const SupplementalFact* fact = find_supplemental(cotype);
      cotype = fact ? fact->parent : std::string_view();
    }
  }

  // A property of nobody: what it is, and that no type of the element could have it.
  void read_undefined(const JsonNode& node, std::string_view key, std::string_view uri,
                      const JsonNode& value, const Scope& scope, const Element& element) {
    Apocryphal what = Apocryphal::kTermAsProperty;
    std::string_view validation = "propertyUndefinedTerm";
    if (stands_for(uri, key, element.version)) {
      what = Apocryphal::kIrrelevantAsProperty;
      validation = "propertyIrrelevantDtmiOrTerm";
    } else if (key.starts_with("dtmi:")) {
      what = Apocryphal::kInvalidDtmiAsProperty;
      validation = "propertyInvalidDtmi";
    } else if (key.find(':') != key.npos) {
      what = Apocryphal::kNotDtmiNorTermAsProperty;
      validation = "propertyNotDtmiNorTerm";
    }
    const bool taken = tolerated(scope, what), ownerless = element.undefined_types.empty();
    if (taken && !ownerless) return;
    complain(validation, value, element.id, key);
    if (!ownerless) return;
    complain(node.find("@type") ? "noTypeThatAllows" : "inferredTypeDoesNotAllow", value,
             element.id, key);
  }

  void read_object(const PropertyFact& fact, const JsonNode& value, const Scope& scope,
                   Element& element, int depth) {
    const Place place{&element,         fact.name,          fact.type,    fact.versions,
                      fact.id_required, fact.type_required, fact.segment, fact.key};
    read_values(place, fact.values, value, scope, depth,
                {fact.plural, fact.count_min, fact.count_max});
  }

  void read_supplemental(const SupplementalPropertyFact& fact, const JsonNode& value,
                         const Scope& scope, Element& element, int depth) {
    if (fact.type == "IRI") {
      const JsonNode& one =
          value.is_array() && value.items.size() == 1 ? value.items.front() : value;
      if (!one.is_string()) return complain("identifierNotString", one, element.id, fact.name);
      const auto iri = meaning(scope, one.text);
      if (iri.empty()) return complain("identifierNotDtmi", one, element.id, fact.name, one.text);
      element.literals[std::string(fact.uri)].push_back({Kind::kIdentifier, std::string(iri), {}});
      return;
    }
    if (fact.type.starts_with("xsd:"))
      return read_supplemental_literal(bench_, scope, element, fact, value);
    const Place place{&element, fact.uri, {}, 0, false, true, {}, {}};
    read_values(place, {}, value, scope, depth, {fact.plural, fact.count_min, fact.count_max});
  }

  struct Count {
    bool plural;
    int64_t min, max;
  };

  void read_values(const Place& place, std::string_view allowed, const JsonNode& value,
                   const Scope& scope, int depth, Count wanted) {
    const auto values = value.is_array() ? std::span<const JsonNode>(value.items)
                                         : std::span<const JsonNode>(&value, 1);
    int64_t count = 0;
    for (const JsonNode& one : values) {
      if (!wanted.plural && count > 0)
        return complain("objectMultipleValues", value, place.parent->id, place.property);
      if (read_value(place, allowed, one, scope, depth) != Read::kBad) ++count;
    }
    if (count < wanted.min)
      complain("objectCountBelowMin", value, place.parent->id, place.property);
    if (wanted.plural && wanted.max >= 0 && count > wanted.max)
      complain("objectCountAboveMax", value, place.parent->id, place.property);
  }

  Read read_value(const Place& place, std::string_view allowed, const JsonNode& value,
                  const Scope& scope, int depth) {
    Element& parent = *place.parent;
    if (value.is_string()) return read_reference(place, allowed, value, scope);
    if (!value.is_object()) {
      complain("refNotStringOrObject", value, parent.id, place.property);
      return Read::kBad;
    }
    if (value.members.size() == 1 && value.members.front().first == "@id") {
      complain("idReference", value, parent.id, place.property, value.members.front().second.text);
      return Read::kBad;
    }
    const Read done = read(value, scope, place, depth + 1);
    if (done == Read::kGood && !allowed.empty())
      complain("incorrectPropertyValue", value, parent.id, place.property);
    return done;
  }

  Read read_reference(const Place& place, std::string_view allowed, const JsonNode& value,
                      const Scope& scope) {
    Element& parent = *place.parent;
    const std::string_view id = meaning(scope, value.text);
    const bool dtmi = stands_for(id, value.text, parent.version) &&
                      static_cast<int64_t>(id.size()) <=
                          version_fact(scope.version).reference_length_max[scope.limits];
    if (!dtmi) {
      complain("badDtmiOrTerm", value, parent.id, place.property, value.text);
      return Read::kBad;
    }
    if (!allowed.empty() && !has_word(allowed, id)) {
      const ElementFact* standard = find_element(id);
      const ClassFact* expected = standard ? find_class(place.type, standard->version) : nullptr;
      if (expected && has_word(expected->concrete_subclasses, first_word(standard->types)) &&
          (place.versions & (1u << standard->version)))
        complain("incorrectPropertyValue", value, parent.id, place.property, value.text);
    }
    link(parent, place.property,
         {std::string(id), true, value.begin, value.end, id.data() != value.text.data()});
    return Read::kGood;
  }

  static std::string_view first_word(std::string_view words) {
    return words.substr(0, words.find(' '));
  }

  void check_required(const JsonNode& node, const Element& element, const Place& place) {
    // A property that is there and wrong has been complained about: only absence counts here.
    const auto absent = [&](std::string_view name, std::string_view uri) {
      return std::none_of(node.members.begin(), node.members.end(), [&](const auto& member) {
        return member.first == name || (!uri.empty() && member.first == uri) ||
               (uri.empty() && inner_name(member.first, kPropertyPrefix, element.version) == name);
      });
    };
    for (const PropertyFact& fact : properties_of(element.type, element.version)) {
      if (!fact.allowed || (fact.optional && fact.count_min <= 0) || !absent(fact.name, {}))
        continue;
      complain(fact.kind == Kind::kObject ? "missingObjectProperty" : "missingLiteralProperty",
               node, element.id, fact.name);
      if (fact.name == place.key)
        complain("missingDictKeyPropertyValue", node, element.parent, place.property);
    }
    for (const std::string_view cotype : element.cotypes)
      for_lineage(cotype, [&](std::string_view one) {
        for (const auto& fact : supplemental_properties(one))
          if (!fact.optional && absent(fact.name, fact.uri))
            complain(fact.type.starts_with("xsd:") ? "missingSupplementalLiteralProperty"
                     : fact.type == "IRI"          ? "missingSupplementalIdentifierProperty"
                                                   : "missingSupplementalObjectProperty",
                     node, element.id, fact.name);
      });
  }

  // An interface's text may be so long, those that stand inside of it not counted. Returns its own.
  int64_t check_bytes(const JsonNode& node, const Element& element) {
    const int64_t limit = version_fact(element.version).interface_bytes_max[element.limits];
    const auto all = static_cast<int64_t>(node.end - node.begin);
    if (limit >= 0 && all - inner_bytes_ > limit)
      complain("partitionTooLarge", node, element.id, {}, std::to_string(all - inner_bytes_));
    return all;
  }

  Workbench& bench_;
  size_t document_;
  int64_t inner_bytes_ = 0;               // of interfaces inside of the one that is being read
  std::unordered_set<std::string> made_;  // identifiers made so far
};

}  // namespace

void read_document(Workbench& bench, size_t document, std::string_view text) {
  size_t wrong_at = 0;
  auto tree = parse_json_tree(text, kDepthMax + 56, &wrong_at);
  if (!tree) return bench.complain("notJson", document, wrong_at, {}, {}, tree.error().message);
  DocumentReader reader(bench, document);
  if (!reader.normalise(*tree)) return;
  if (!tree->is_array()) return reader.top(*tree);
  for (const JsonNode& one : tree->items) reader.top(one);
}

}  // namespace penstock::twin::dtdl
