#pragma once
// DTDL v2, v3 and v4 (docs/dtdl.md): documents in, checked elements or errors out. No I/O: what a
// document refers to and is not in the set comes from the caller's `resolve`.

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twin/dtdl/metamodel.h"

namespace penstock::twin::dtdl {

/// What is done with a context, type or property that no known context defines.
enum class Undefined : uint8_t {
  kByVersion,  ///< as the specification says: allowed in v2, refused from v3 on
  kAllow,
  kRefuse,
};

struct ParseOptions {
  Undefined undefined = Undefined::kByVersion;
  int version_max = 4;
  /// Limit contexts that may be asked for, with or without version; not set: any known one.
  std::optional<std::vector<std::string>> limits;
  /// Documents that define these identifiers, as far as they are known. Called a few times at most.
  std::function<std::vector<std::string>(const std::vector<std::string>& ids)> resolve;
  size_t elements_max = 200'000;
};

struct ParseError {
  std::string validation;  ///< DTDL's identity: "dtmi:dtdl:parsingError:badType"
  std::string element;     ///< identifier of the element it is about; empty: a document
  std::string property, value;
  size_t document = 0;  ///< index into the given documents; resolved ones follow
  size_t line = 0, column = 0;
  std::string cause;   ///< what is wrong, one sentence
  std::string remedy;  ///< how to mend it, one sentence
  [[nodiscard]] std::string text() const;
};

struct Literal {
  Kind kind = Kind::kString;  ///< kString, kInteger, kBoolean, or kAny for another number
  std::string text;           ///< as written; booleans "true" and "false"
  std::string language;       ///< of a kLangString; the default is "en"
};

struct Link {
  std::string id;              ///< of an element of the model or a standard element
  bool reference = false;      ///< it names the element, else holds it
  size_t offset = 0, end = 0;  ///< where it stands in the document of the element that has it
  bool term = false;           ///< it is written as a term: "double"
};

struct Element {
  std::string id;
  bool named = false;   ///< the document gives the identifier; else it is made from the parent's
  std::string type;     ///< class: "Telemetry"
  int version = 0;      ///< of DTDL
  size_t limits = 0;    ///< index into Limits
  std::string parent;   ///< the element that holds it; empty: stands at the top
  std::string home;     ///< the Interface it is written in
  size_t document = 0;  ///< as in ParseError
  size_t offset = 0;
  std::vector<std::string_view> cotypes;                          ///< DTMIs of supplemental types
  std::vector<std::string_view> refused_cotypes;                  ///< that do not go with it
  std::vector<std::string> undefined_types;                       ///< as they are written
  std::map<std::string, std::vector<Link>, std::less<>> objects;  ///< by property name or DTMI
  std::map<std::string, std::vector<Literal>, std::less<>> literals;

  [[nodiscard]] bool is(std::string_view cotype) const;
  [[nodiscard]] const Literal* literal(std::string_view property) const;
  [[nodiscard]] std::string text(std::string_view property) const;
};

struct Model {
  std::map<std::string, Element, std::less<>> elements;
  [[nodiscard]] const Element* find(std::string_view id) const;
  /// Class of an element of this model or of a standard one; empty: not known.
  [[nodiscard]] std::string_view type_of(std::string_view id) const;
  [[nodiscard]] int version_of(std::string_view id) const;
  /// An interface's bases, itself first, each once.
  [[nodiscard]] std::vector<const Element*> lineage(std::string_view interface) const;
};

/// Where an identifier is referred to that nobody defines.
struct UnresolvedReference {
  std::string id, element, property;
  size_t document = 0, line = 0, column = 0;  ///< as in ParseError
};

struct ParseResult {
  Model model;
  std::vector<ParseError> errors;
  std::vector<UnresolvedReference> references;  ///< of `unresolved`, at most 500
  std::vector<std::string> unresolved;  ///< identifiers that are referred to and nowhere defined
  [[nodiscard]] bool valid() const { return errors.empty() && unresolved.empty(); }
};

/// Parses and checks a set of documents, each one JSON text: an object or an array of them. Never
/// fails as a whole: what is wrong stands in `errors`. Pure; any thread.
ParseResult parse(std::span<const std::string_view> documents, const ParseOptions& options = {});

}  // namespace penstock::twin::dtdl
