// One document's objects to elements: types, identifiers, properties.
#include <algorithm>
#include <set>

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
  if (semicolon == uri.npos || uri.substr(semicolon + 1) != std::to_string(version)) return {};
  return uri.substr(prefix.size(), semicolon - prefix.size());
}

// What a place in the document expects of an element that stands there.
struct Place {
  Element* parent = nullptr;
  std::string_view property;  ///< name or DTMI, as the parent keeps it
  std::string_view type;      ///< class; empty: any
  unsigned versions = 0;      ///< 0: any
  bool id_required = false, type_required = true;
};

class DocumentReader {
 public:
  DocumentReader(Workbench& bench, size_t document) : bench_(bench), document_(document) {}

  void top(const JsonNode& node) {
    if (!node.is_object()) return complain("notJsonObject", node);
    Scope scope;
    const JsonNode* context = node.find("@context");
    if (!context) return complain("missingContext", node);
    const size_t errors = bench_.result.errors.size();
    read_context(bench_, document_, *context, true, scope);
    if (scope.version == 0 || bench_.result.errors.size() > errors) {
      if (bench_.result.errors.size() == errors) complain("missingDtdlContext", *context);
      return;
    }
    if (const JsonNode* graph = node.find("@graph"))
      return complain("topLevelGraphDisallowed", *graph);
    read(node, scope, Place{}, 0);
  }

 private:
  void complain(std::string_view validation, const JsonNode& at, std::string_view element = {},
                std::string_view property = {}, std::string_view value = {}) {
    bench_.complain(validation, document_, at.begin, element, property, value);
  }

  // -- an element

  void read(const JsonNode& node, Scope scope, const Place& place, int depth) {
    if (depth > kDepthMax) return complain("excessiveDepthWide", node);
    if (bench_.result.model.elements.size() >= bench_.options.elements_max)
      return complain("excessiveCount", node);
    if (place.parent) {
      if (const JsonNode* context = node.find("@context")) {
        const size_t errors = bench_.result.errors.size();
        read_context(bench_, document_, *context, false, scope);
        if (bench_.result.errors.size() > errors) return;
      }
    }
    Element element;
    element.version = scope.version;
    element.limits = scope.limits;
    element.document = document_;
    element.offset = node.begin;
    if (place.parent) element.parent = place.parent->id;
    if (!read_id(node, scope, place, element)) return;
    if (!read_types(node, scope, place, element)) return;
    if (!check_place(node, place, element)) return;
    const ClassFact& fact = *find_class(element.type, element.version);
    if (element.named &&
        static_cast<int64_t>(element.id.size()) > fact.id_length_max[element.limits])
      complain("idTooLong", node, element.id, {}, element.id);
    element.home = element.type == "Interface" ? element.id
                   : place.parent              ? place.parent->home
                                               : std::string();
    const std::string id = element.id;
    if (place.parent)
      place.parent->objects[std::string(place.property)].push_back(
          {id, false, node.begin, node.end});
    // The parent lives on the stack of the caller until it is complete, so references stay valid.
    read_members(node, scope, element, depth);
    check_required(node, element);
    if (!bench_.result.model.elements.emplace(id, std::move(element)).second)
      complain("duplicateDefinition", node, id);
  }

  bool read_id(const JsonNode& node, const Scope& scope, const Place& place, Element& element) {
    const JsonNode* id = node.find("@id");
    if (!id) {
      if (!place.parent) return complain("missingTopLevelId", node), false;
      element.id = made_id(node, place);
      return true;
    }
    if (!id->is_string()) return complain("idNotString", *id), false;
    if (!is_dtmi(id->text, element.version))
      return complain("invalidId", *id, {}, {}, id->text), false;
    for (const ContextFact& context : contexts()) {
      bool reserved = false;
      for_words(context.reserved_prefixes,
                [&](std::string_view prefix) { reserved |= id->text.starts_with(prefix); });
      if (reserved && context_known(scope, context.context))
        return complain("reservedId", *id, {}, {}, id->text), false;
    }
    element.id = id->text;
    element.named = true;
    return true;
  }

  // "dtmi:a:b:_contents:__speed;1": parent, property and name; a number where that is taken.
  std::string made_id(const JsonNode& node, const Place& place) {
    const std::string& parent = place.parent->id;
    const size_t semicolon = std::min(parent.find(';'), parent.size());
    std::string_view property = place.property;
    if (const size_t colon = property.rfind(':'); colon != property.npos)
      property = property.substr(colon + 1, property.find(';') - colon - 1);
    std::string id = fmt::format("{}:_{}", parent.substr(0, semicolon), property);
    const PropertyFact* fact =
        find_property(place.parent->type, place.parent->version, place.property);
    const JsonNode* name = node.find("name");
    if (fact && fact->plural && name && name->is_string()) id += ":__" + name->text;
    const std::string version = parent.substr(semicolon);
    std::string unique = id + version;
    for (int n = 2; bench_.result.model.elements.contains(unique) || !made_.insert(unique).second;
         ++n)
      unique = fmt::format("{}_{}{}", id, n, version);
    return unique;
  }

  // -- types

  bool read_types(const JsonNode& node, const Scope& scope, const Place& place, Element& element) {
    std::vector<std::string> classes;
    if (const JsonNode* types = node.find("@type")) {
      if (types->is_string()) {
        read_type(*types, scope, element, classes);
      } else if (types->is_array()) {
        if (types->items.empty()) complain("noTypeSpecified", *types, element.id);
        for (const JsonNode& one : types->items)
          if (one.is_string())
            read_type(one, scope, element, classes);
          else
            complain("typeNotString", one, element.id);
      } else {
        complain("typeNotString", *types, element.id);
        return false;
      }
      if (classes.empty()) return complain("missingMaterialType", *types, element.id), false;
    } else if (!place.type.empty() && !place.type_required && place.parent) {
      const ClassFact* inferred = find_class(place.type, element.version);
      if (!inferred || inferred->abstract) return complain("missingType", node, element.id), false;
      classes.emplace_back(place.type);
    } else {
      return complain("missingType", node, element.id, place.property), false;
    }
    if (classes.size() > 1) return complain("multipleMaterialTypes", node, element.id), false;
    element.type = classes.front();
    const ClassFact* fact = find_class(element.type, element.version);
    if (!fact || fact->abstract || !fact->overt || !fact->standard_elements.empty())
      return complain("badType", node, element.id, place.property, element.type), false;
    for (const std::string_view cotype : element.cotypes) check_cotype(node, element, cotype);
    return true;
  }

  void read_type(const JsonNode& node, const Scope& scope, Element& element,
                 std::vector<std::string>& classes) {
    const std::string& type = node.text;
    const std::string_view uri = meaning(scope, type);
    if (const auto name = inner_name(uri, kClassPrefix, element.version);
        !name.empty() && find_class(name, element.version)) {
      if (std::find(classes.begin(), classes.end(), name) == classes.end())
        classes.emplace_back(name);
      return;
    }
    if (const SupplementalFact* fact = find_supplemental(uri);
        fact && context_known(scope, fact->context)) {
      if (fact->kind == ExtensionKind::kUnit || fact->kind == ExtensionKind::kUnitAttribute)
        classes.emplace_back("Unit");
      else
        element.cotypes.push_back(fact->uri);
      return;
    }
    Apocryphal what = Apocryphal::kTermAsType;
    std::string_view validation = "typeUndefinedTerm";
    if (type.starts_with("dtmi:")) {
      const bool valid = is_dtmi(type, element.version);
      what = valid ? Apocryphal::kIrrelevantAsType : Apocryphal::kInvalidDtmiAsType;
      validation = valid ? "typeIrrelevantDtmiOrTerm" : "typeInvalidDtmi";
    } else if (type.find(':') != type.npos) {
      what = Apocryphal::kNotDtmiNorTermAsType;
      validation = "typeNotDtmiNorTerm";
    } else if (!uri.empty()) {
      what = Apocryphal::kIrrelevantAsType;
      validation = "typeIrrelevantDtmiOrTerm";
    } else if (!matches(Pattern::kName, type, element.version)) {
      what = Apocryphal::kNotDtmiNorTermAsType;
      validation = "typeNotDtmiNorTerm";
    }
    if (!tolerated(scope, what)) return complain(validation, node, element.id, {}, type);
    element.undefined_types.push_back(type);
  }

  static bool context_known(const Scope& scope, std::string_view context) {
    if (context.starts_with("dtmi:dtdl:context;")) return true;
    return std::find(scope.affiliates.begin(), scope.affiliates.end(), context) !=
           scope.affiliates.end();
  }

  static bool tolerated(const Scope& scope, Apocryphal what) {
    const Rule rule = apocryphal(scope.version, what);
    return rule == Rule::kValid || (rule == Rule::kTenable && scope.incomplete);
  }

  void check_cotype(const JsonNode& node, const Element& element, std::string_view cotype) {
    const SupplementalFact& fact = *find_supplemental(cotype);
    if (fact.abstract) return complain("abstractSupplementalType", node, element.id, {}, cotype);
    if (!has_word(fact.cotypes, element.type))
      return complain("invalidCotype", node, element.id, {}, cotype);
    if (!(fact.cotype_versions & (1u << element.version)))
      return complain("invalidCotypeVersion", node, element.id, {}, cotype);
    bool needed = fact.cocotypes.empty(), clash = false;
    for_words(fact.cocotypes, [&](std::string_view one) { needed |= element.is(one); });
    for_words(fact.discotypes, [&](std::string_view one) { clash |= element.is(one); });
    if (!needed) complain("missingCocotype", node, element.id, {}, cotype);
    if (clash) complain("disallowedCocotype", node, element.id, {}, cotype);
  }

  bool check_place(const JsonNode& node, const Place& place, const Element& element) {
    if (!place.parent) {
      if (element.type == "Interface") return true;
      return complain("typeNotRootable", node, {}, {}, element.id), false;
    }
    if (!place.type.empty()) {
      const ClassFact* expected = find_class(place.type, element.version);
      const bool fits = expected && has_word(expected->concrete_subclasses, element.type) &&
                        (place.versions == 0 || place.versions & (1u << element.version));
      if (!fits)
        return complain("badType", node, place.parent->id, place.property, element.type), false;
    }
    const ClassFact* own = find_class(element.type, element.version);
    if (!element.named && (place.id_required || own->id_required)) {
      complain("missingRequiredId", node, place.parent->id, place.property);
      return false;
    }
    return true;
  }

  // -- properties

  void read_members(const JsonNode& node, const Scope& scope, Element& element, int depth) {
    std::set<std::string, std::less<>> seen;
    for (const auto& [key, value] : node.members) {
      if (key == "@id" || key == "@type" || key == "@context") {
        if (!seen.insert(key).second) complain("duplicatePropertyName", value, element.id, key);
        continue;
      }
      if (key == "@graph") {
        complain("graphDisallowed", value, element.id);
        continue;
      }
      if (key.starts_with('@')) {
        if (element.version != 2) complain("keywordDisallowed", value, element.id, key);
        continue;
      }
      const std::string_view uri = meaning(scope, key);
      const std::string_view identity = uri.empty() ? std::string_view(key) : uri;
      if (!seen.emplace(identity).second) {
        complain("duplicatePropertyName", value, element.id, key);
        continue;
      }
      read_member(key, uri, value, scope, element, depth);
    }
  }

  void read_member(const std::string& key, std::string_view uri, const JsonNode& value,
                   const Scope& scope, Element& element, int depth) {
    if (const auto name = inner_name(uri, kPropertyPrefix, element.version); !name.empty()) {
      const PropertyFact* fact = find_property(element.type, element.version, name);
      if (fact && fact->allowed) {
        if (fact->kind != Kind::kObject) return read_literal(bench_, element, *fact, value);
        return read_object(*fact, value, scope, element, depth);
      }
    }
    const SupplementalPropertyFact* owned = nullptr;
    int owners = 0;
    for (const std::string_view cotype : element.cotypes)
      for_lineage(cotype, [&](std::string_view one) {
        for (const auto& fact : supplemental_properties(one))
          if (fact.uri == uri && (!owned || owned->owner != fact.owner)) {
            const bool refined = owned && cotype != one;  // the base of a type says it again
            if (!refined) owned = &fact, ++owners;
          }
      });
    if (owners > 1) return complain("conflictingSupplementalTypes", value, element.id, key);
    if (owned) return read_supplemental(*owned, value, scope, element, depth);
    read_undefined(key, uri, value, scope, element);
  }

  template <class Use>
  static void for_lineage(std::string_view cotype, Use&& use) {
    for (int n = 0; n < 16 && !cotype.empty(); ++n) {
      use(cotype);
      const SupplementalFact* fact = find_supplemental(cotype);
      cotype = fact ? fact->parent : std::string_view();
    }
  }

  void read_undefined(const std::string& key, std::string_view uri, const JsonNode& value,
                      const Scope& scope, const Element& element) {
    Apocryphal what = Apocryphal::kTermAsProperty;
    std::string_view validation = "propertyUndefinedTerm";
    if (key.starts_with("dtmi:")) {
      const bool valid = is_dtmi(key, element.version);
      what = valid ? Apocryphal::kIrrelevantAsProperty : Apocryphal::kInvalidDtmiAsProperty;
      validation = valid ? "propertyIrrelevantDtmiOrTerm" : "propertyInvalidDtmi";
    } else if (!uri.empty()) {
      what = Apocryphal::kIrrelevantAsProperty;
      validation = "propertyIrrelevantDtmiOrTerm";
    } else if (!matches(Pattern::kName, key, element.version)) {
      what = Apocryphal::kNotDtmiNorTermAsProperty;
      validation = "propertyNotDtmiNorTerm";
    }
    if (!tolerated(scope, what)) complain(validation, value, element.id, key);
    if (element.undefined_types.empty()) complain("noTypeThatAllows", value, element.id, key);
  }

  void read_object(const PropertyFact& fact, const JsonNode& value, const Scope& scope,
                   Element& element, int depth) {
    const Place place{&element,      fact.name,        fact.type,
                      fact.versions, fact.id_required, fact.type_required};
    const size_t count = read_values(place, fact.values, value, scope, depth);
    check_count(value, element, fact.name, count, fact.plural, fact.count_min, fact.count_max);
  }

  void read_supplemental(const SupplementalPropertyFact& fact, const JsonNode& value,
                         const Scope& scope, Element& element, int depth) {
    if (fact.type == "IRI") {
      const JsonNode& one =
          value.is_array() && value.items.size() == 1 ? value.items.front() : value;
      const auto iri = one.is_string() ? meaning(scope, one.text) : std::string_view();
      if (iri.empty()) return complain("identifierNotDtmiNorTerm", value, element.id, fact.name);
      element.literals[std::string(fact.uri)].push_back({Kind::kIdentifier, std::string(iri), {}});
      return;
    }
    if (fact.type.starts_with("xsd:"))
      return read_supplemental_literal(bench_, element, fact, value);
    const Place place{&element, fact.uri, {}, 0, false, true};
    const size_t count = read_values(place, {}, value, scope, depth);
    check_count(value, element, fact.name, count, fact.plural, fact.count_min, fact.count_max);
  }

  void check_count(const JsonNode& at, const Element& element, std::string_view property,
                   size_t count, bool plural, int64_t count_min, int64_t count_max) {
    if (!plural && count > 1) return complain("objectMultipleValues", at, element.id, property);
    if (static_cast<int64_t>(count) < count_min)
      complain("objectCountBelowMin", at, element.id, property);
    if (plural && count_max >= 0 && static_cast<int64_t>(count) > count_max)
      complain("objectCountAboveMax", at, element.id, property);
  }

  size_t read_values(const Place& place, std::string_view allowed, const JsonNode& value,
                     const Scope& scope, int depth) {
    if (!value.is_array()) {
      read_value(place, allowed, value, scope, depth);
      return 1;
    }
    for (const JsonNode& one : value.items) read_value(place, allowed, one, scope, depth);
    return value.items.size();
  }

  void read_value(const Place& place, std::string_view allowed, const JsonNode& value,
                  const Scope& scope, int depth) {
    Element& parent = *place.parent;
    if (value.is_string()) {
      const std::string_view id = meaning(scope, value.text);
      if (id.empty() || (id == value.text && !is_dtmi(id, parent.version)))
        return complain("badDtmiOrTerm", value, parent.id, place.property, value.text);
      if (!allowed.empty() && !has_word(allowed, id))
        return complain("incorrectPropertyValue", value, parent.id, place.property, value.text);
      parent.objects[std::string(place.property)].push_back(
          {std::string(id), true, value.begin, value.end});
      return;
    }
    if (!value.is_object())
      return complain("refNotStringOrObject", value, parent.id, place.property);
    if (value.members.empty()) return complain("emptyObject", value, parent.id, place.property);
    if (value.members.size() == 1 && value.members.front().first == "@id")
      return complain("idReference", value, parent.id, place.property,
                      value.members.front().second.text);
    if (!allowed.empty())
      return complain("incorrectPropertyValue", value, parent.id, place.property);
    read(value, scope, place, depth + 1);
  }

  void check_required(const JsonNode& node, const Element& element) {
    const auto given = [&](std::string_view name) {
      return element.objects.contains(name) || element.literals.contains(name);
    };
    // A property that is there and wrong has been complained about: only absence counts here.
    const auto absent = [&](std::string_view name, std::string_view uri) {
      return std::none_of(node.members.begin(), node.members.end(), [&](const auto& member) {
        return member.first == name || member.first == uri;
      });
    };
    for (const PropertyFact& fact : properties_of(element.type, element.version)) {
      const std::string uri = fmt::format("{}{};{}", kPropertyPrefix, fact.name, element.version);
      if (fact.allowed && (!fact.optional || fact.count_min > 0) && !given(fact.name) &&
          absent(fact.name, uri))
        complain(fact.kind == Kind::kObject ? "missingObjectProperty" : "missingLiteralProperty",
                 node, element.id, fact.name);
    }
    for (const std::string_view cotype : element.cotypes)
      for_lineage(cotype, [&](std::string_view one) {
        for (const auto& fact : supplemental_properties(one))
          if (!fact.optional && !given(fact.uri) && absent(fact.name, fact.uri))
            complain(fact.type.starts_with("xsd:") ? "missingSupplementalLiteralProperty"
                                                   : "missingSupplementalObjectProperty",
                     node, element.id, fact.name);
      });
  }

  Workbench& bench_;
  size_t document_;
  std::set<std::string, std::less<>> made_;  // identifiers made so far
};

}  // namespace

void read_document(Workbench& bench, size_t document, std::string_view text) {
  const auto tree = parse_json_tree(text, kDepthMax + 56);
  if (!tree) return bench.complain("notJson", document, 0, {}, {}, tree.error().message);
  DocumentReader reader(bench, document);
  if (!tree->is_array()) return reader.top(*tree);
  for (const JsonNode& one : tree->items) reader.top(one);
}

}  // namespace penstock::twin::dtdl
