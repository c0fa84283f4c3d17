#include "twin/dtdl/parser.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "twin/dtdl/workbench.h"

namespace penstock::twin::dtdl {
namespace {

constexpr int kResolveRounds = 32;
constexpr size_t kValueMax = 256;   // bytes of a value that an error shows
constexpr size_t kErrorsMax = 500;  // enough to mend; a hostile document must not fill memory

struct Advice {
  std::string_view validation, cause, remedy;
};
// By the beginning of the validation's name: the longest row that fits.
constexpr Advice kAdvice[] = {
    {"notJsonObject", "The document is not an object", "Give an interface, or an array of them"},
    {"notJson", "The document is not JSON", "Mend the syntax at the place that is named"},
    {"missingContext", "The document has no @context",
     "Begin it with \"@context\": \"dtmi:dtdl:context;4\""},
    {"missingDtdlContext", "The first @context is not a DTDL context",
     "Put \"dtmi:dtdl:context;4\" (or ;3, ;2) first"},
    {"dtdlContextFollowsAffiliate", "The DTDL context is not the first",
     "Move it to the front of @context"},
    {"unresolvableContextSpecifier", "The context is not known",
     "Take it out, correct its name and version, or allow undefined extensions"},
    {"disallowedLocalContext", "A context is defined in place",
     "Use only names of published contexts"},
    {"missingLimitContext", "\"#limitless\" is not followed by a limit context",
     "Name a limit context next, or take \"#limitless\" out"},
    {"misplacedLimitContext", "A limit context does not follow \"#limitless\"",
     "Write the DTDL context with \"#limitless\" just before it"},
    {"localContextNotLast", "A context is defined in place",
     "Use only names of published contexts"},
    {"localTerm", "A term is defined in place, and not well",
     "Use only names of published contexts"},
    {"termDefinition", "A term is defined in place, and not well",
     "Use only names of published contexts"},
    {"invalidContextFragment", "After # only \"limits\" and \"limitless\" have a meaning",
     "Take the fragment out, or write one of these"},
    {"unresolvableContextVersion", "The extension is known, but not in this version",
     "Use a version of it that is supported"},
    {"unrecognizedContextVersion", "There is no such version of DTDL", "Use 2, 3 or 4"},
    {"disallowedContextVersion", "The version of DTDL is higher than is accepted here",
     "Write the model in an accepted version"},
    {"missingContextVersion", "A context has no version", "Add it, as ;1"},
    {"invalidContextSpecifier", "A context is not named by a valid DTMI",
     "Write it as dtmi:company:Name;1"},
    {"nonDtmiContextSpecifier", "A context is not named by a DTMI",
     "Write it as dtmi:company:Name;1"},
    {"invalidContext", "A context is neither a name nor an object", "Give names, as strings"},
    {"emptyContext", "The @context is empty", "Put \"dtmi:dtdl:context;4\" into it"},
    {"disallowedContextFragment", "This version of DTDL has no limit contexts",
     "Take the fragment out, or use version 4"},
    {"disallowedLimitContext", "These limits are not accepted here",
     "Use DTDL's own limits, or have these accepted"},
    {"repeated", "The member stands twice", "Keep one of them"},
    {"graph", "@graph has no meaning in DTDL", "Write the elements themselves"},
    {"topLevelGraph", "@graph has no meaning in DTDL", "Write the elements themselves"},
    {"keywordDisallowed", "The keyword has no meaning in DTDL", "Remove it"},
    {"topLevelKeyword", "The keyword has no meaning in DTDL", "Remove it"},
    {"disallowedVersion", "The element is of another version of DTDL than can stand here",
     "Write both in the same version"},
    {"partitionTooLarge", "The interface's text is longer than 1 MiB",
     "Split it into components or bases"},
    {"missingDtmiSeg", "The element has neither a name nor an @id", "Give it a name"},
    {"missingDictKey", "An element that is found by its name has none", "Give it a name"},
    {"dtmiSegProperty", "The name is not a text", "Give a text in quotation marks"},
    {"inferredType", "The element's class, which its place says, has no such property",
     "Remove it, or add the type that has it"},
    {"conflictingSupplementalTypes", "Two types bring a property of the same name",
     "Keep one of them"},
    {"literal", "The value is of no type that can stand here",
     "Give a text, a number, true or false"},
    {"numeric", "The value is not one number", "Give a number"},
    {"duration", "The value is not a duration", "Write it as ISO 8601 does: PT1H30M"},
    {"identifier", "The value is not an identifier", "Write it as dtmi:company:Name;1"},
    {"nonConformant", "The value does not fit the schema", "Change the value or the schema"},
    {"langMap", "The text in languages is not well formed",
     "Give a text, or an object of language codes and texts"},
    {"langTag", "A tagged value stands where languages and texts are",
     "Write it as {\"en\": \"text\"}"},
    {"parentMissingCotype", "The element's type needs one of the object that holds it",
     "Add that type to the object"},
    {"sibling", "The types of the elements side by side do not fit together",
     "Give each its own type, and all that are needed"},
    {"notSibling", "The element that it names is of another class", "Name another one"},
    {"disallowedType", "The element that it names has a type that excludes this",
     "Name another one"},
    {"noMatching", "The element that it names has no such property", "Correct the property's name"},
    {"matchingProperty", "Only properties of supplemental types can be overridden",
     "Correct the property's name"},
    {"refNotString", "The value is neither an identifier nor an element",
     "Write an identifier or an object"},
    {"missingTopLevelId", "The interface has no @id", "Give it a DTMI as \"@id\""},
    {"missingRequiredId", "An element that must be named has no @id", "Give it a DTMI as \"@id\""},
    {"invalidId", "The @id is not a valid DTMI",
     "Write it as dtmi:company:Name;1, segments of letters, digits and underscores"},
    {"idNotString", "The @id is not a text", "Write it as dtmi:company:Name;1, in quotation marks"},
    {"valueObject", "A value object holds what has no meaning in it",
     "Leave only @value, and @type where it is needed"},
    {"multipleReference", "Two elements override the same property of the same element",
     "Remove one of them"},
    {"idTooLong", "The identifier is too long", "Shorten it"},
    {"reservedId", "The identifier begins with a reserved prefix", "Choose a prefix of your own"},
    {"undefinedReservedId", "A standard element of that name does not exist",
     "Correct the name or its version"},
    {"duplicateDefinition", "The identifier is defined twice", "Rename or remove one of them"},
    {"duplicatePropertyName", "The property stands twice", "Keep one of them"},
    {"typeNotRootable", "Only an Interface may stand at the top",
     "Put the element into an interface"},
    {"missingType", "The element has no @type", "Say what it is with \"@type\""},
    {"missingMaterialType", "The @type names no DTDL class", "Add one, as \"Telemetry\""},
    {"multipleMaterialTypes", "The @type names two DTDL classes", "Keep one of them"},
    {"badDtmiOrTerm", "The value is neither a known name nor a DTMI",
     "Correct the name, or write the DTMI of an element"},
    {"badType", "The element is of a class that cannot stand here",
     "Use a class that this property takes"},
    {"type", "A type is not known here", "Correct it, or add the context that defines it"},
    {"invalidCotypeVersion", "The type does not go with this version of DTDL",
     "Use the extension's version that does"},
    {"invalidCotype", "The type does not go with this class", "Remove it from @type"},
    {"missingCocotype", "The type needs another one beside it", "Add that type to @type"},
    {"disallowedCocotype", "Two types exclude each other", "Keep one of them"},
    {"abstractSupplementalType", "The type is only a base of others", "Use one of those"},
    {"property", "The property is not known here",
     "Correct it, or add the context and type that define it"},
    {"noTypeThatAllows", "No type of the element has this property",
     "Remove it, or add the type that has it"},
    {"missingSupplemental", "A property that the type needs is missing", "Add it"},
    {"missing", "A required property is missing", "Add it"},
    {"nonUnique", "Two elements have the same value where it must be unique", "Rename one"},
    {"crossPartitionReference", "The element belongs to another interface",
     "Define it in this interface, under \"schemas\""},
    {"idReference", "An object with only @id stands for a reference",
     "Write the identifier itself, as a string"},
    {"incorrectPropertyValue", "The value is not one of those allowed",
     "Use one of the standard values"},
    {"notRequired", "The value does not fit the semantic type", "Change the schema or the type"},
    {"wrongParent", "The unit does not belong to the semantic type", "Use a unit of that quantity"},
    {"recursiveStructure", "The element contains itself", "Break the circle"},
    {"excessiveDepth", "The structure is nested too deep", "Make it flatter"},
    {"excessiveCount", "There are too many elements", "Split the model"},
    {"excludedType", "It holds a class that may not be inside", "Use another one"},
    {"stringTooLong", "The text is too long", "Shorten it"},
    {"stringInvalid", "The text has characters or a form that is not allowed",
     "Use letters, digits and underscores, beginning with a letter"},
    {"langString", "The text in languages is not well formed",
     "Give a text, or an object of language codes and texts"},
    {"integer", "The value is not one whole number", "Give a whole number"},
    {"boolean", "The value is not true or false", "Give true or false"},
    {"string", "The value is not one text", "Give a text in quotation marks"},
    {"value", "The value is outside of what is allowed", "Give a value in the allowed range"},
    {"object", "The property has too many or too few values", "Give as many as it takes"},
};

// A value as it is shown: whole code points, and not all of a text of megabytes.
std::string_view shortened(std::string_view value) {
  if (value.size() <= kValueMax) return value;
  size_t end = kValueMax;
  while (end > 0 && (static_cast<unsigned char>(value[end]) & 0xC0) == 0x80) --end;
  return value.substr(0, end);
}

}  // namespace

std::string ParseError::text() const {
  std::string out = cause;
  if (!property.empty()) out += fmt::format(", property {}", property);
  if (!value.empty()) out += fmt::format(", value {}", value);
  if (!element.empty()) out += fmt::format(", in {}", element);
  return fmt::format("{} (line {}, column {}). {}.", out, line, column, remedy);
}

bool Element::is(std::string_view cotype) const {
  return std::find(cotypes.begin(), cotypes.end(), cotype) != cotypes.end();
}

const Literal* Element::literal(std::string_view property) const {
  const auto found = literals.find(property);
  return found == literals.end() || found->second.empty() ? nullptr : &found->second.front();
}

std::string Element::text(std::string_view property) const {
  const Literal* value = literal(property);
  return value ? value->text : std::string();
}

const Element* Model::find(std::string_view id) const {
  const auto found = elements.find(id);
  return found == elements.end() ? nullptr : &found->second;
}

std::string_view Model::type_of(std::string_view id) const {
  if (const Element* element = find(id)) return element->type;
  const ElementFact* standard = find_element(id);
  return standard ? standard->types.substr(0, standard->types.find(' ')) : std::string_view();
}

int Model::version_of(std::string_view id) const {
  if (const Element* element = find(id)) return element->version;
  const ElementFact* standard = find_element(id);
  return standard ? standard->version : 0;
}

std::vector<const Element*> Model::lineage(std::string_view interface) const {
  std::vector<const Element*> all;
  std::set<const Element*> seen;
  const auto add = [&](std::string_view id) {
    const Element* one = find(id);
    if (one && seen.insert(one).second) all.push_back(one);
  };
  add(interface);
  for (size_t i = 0; i < all.size() && all.size() < 2000; ++i)
    if (const auto bases = all[i]->objects.find("extends"); bases != all[i]->objects.end())
      for (const Link& base : bases->second) add(base.id);
  return all;
}

void Workbench::complain(std::string_view validation, size_t document, size_t where,
                         std::string_view element, std::string_view property,
                         std::string_view value) {
  if (result.errors.size() >= kErrorsMax) return;
  ParseError error;
  error.validation = fmt::format("dtmi:dtdl:parsingError:{}", validation);
  error.element = element;
  error.property = property;
  error.value = shortened(value);
  error.document = document;
  const Position at = position_of(documents[document], where);
  error.line = at.line;
  error.column = at.column;
  error.cause = fmt::format("The document breaks the rule {}", validation);
  error.remedy = "See docs/dtdl.md for the rule";
  const Advice* best = nullptr;
  for (const Advice& advice : kAdvice)
    if (validation.starts_with(advice.validation) &&
        (!best || advice.validation.size() > best->validation.size()))
      best = &advice;
  if (best) {
    error.cause = best->cause;
    error.remedy = best->remedy;
  }
  result.errors.push_back(std::move(error));
}

void Workbench::unresolved(const Element& element, std::string_view property, const Link& link) {
  if (result.references.size() >= kErrorsMax) return;
  const Position at = position_of(documents[element.document], link.offset);
  result.references.push_back(
      {link.id, element.id, std::string(property), element.document, at.line, at.column});
}

ParseResult parse(std::span<const std::string_view> documents, const ParseOptions& options) {
  Workbench bench{options, {}, {}};
  for (const std::string_view document : documents) bench.documents.emplace_back(document);
  for (size_t i = 0; i < documents.size(); ++i) read_document(bench, i, documents[i]);
  if (options.resolve) {
    std::set<std::string> asked;
    for (int round = 0; round < kResolveRounds && bench.result.errors.empty(); ++round) {
      std::vector<std::string> wanted;
      for (const auto& [id, element] : bench.result.model.elements)
        for (const auto& [property, links] : element.objects)
          for (const Link& link : links)
            if (link.reference && !bench.result.model.find(link.id) && !find_element(link.id) &&
                asked.insert(link.id).second)
              wanted.push_back(link.id);
      if (wanted.empty()) break;
      for (std::string& document : options.resolve(wanted)) {
        bench.documents.push_back(std::move(document));
        const std::string text = bench.documents.back();
        read_document(bench, bench.documents.size() - 1, text);
      }
    }
  }
  check_model(bench);
  return std::move(bench.result);
}

}  // namespace penstock::twin::dtdl
