#pragma once
// What the steps of one parse share. Inside of the DTDL parser only.

#include <string>
#include <string_view>
#include <vector>

#include "twin/dtdl/json_tree.h"
#include "twin/dtdl/parser.h"

namespace penstock::twin::dtdl {

/// The contexts in force at a place.
struct Scope {
  int version = 0;  ///< 0: none yet
  size_t limits = 0;
  bool incomplete = false;  ///< a context is not known: terms may be of it
  std::vector<std::string_view> affiliates;
};

struct Workbench {
  const ParseOptions& options;
  ParseResult result;
  std::vector<std::string> documents;

  /// Notes an error. `where` is a byte of document `document`.
  void complain(std::string_view validation, size_t document, size_t where,
                std::string_view element, std::string_view property = {},
                std::string_view value = {});
  /// Notes where something stands that nobody defines.
  void unresolved(const Element& element, std::string_view property, const Link& link);
};

/// What a term or DTMI stands for under `scope`; empty: nothing known.
std::string_view meaning(const Scope& scope, std::string_view term);

/// Reads "@context" into `scope`; false where it is wrong, which has been noted.
bool read_context(Workbench& bench, size_t document, const JsonNode& context, Scope& scope);

/// Reads the value of a literal property into `element`.
void read_literal(Workbench& bench, const Scope& scope, Element& element, const PropertyFact& fact,
                  const JsonNode& value);
/// The same for a property of a supplemental type.
void read_supplemental_literal(Workbench& bench, const Scope& scope, Element& element,
                               const SupplementalPropertyFact& fact, const JsonNode& value);

/// Reads one document's elements into the model.
void read_document(Workbench& bench, size_t document, std::string_view text);

/// Everything that needs the whole set: references, uniqueness, depth, supplemental types.
void check_model(Workbench& bench);

/// Whether an element is of a class, or has it among its supplemental types.
bool conforms(const Model& model, std::string_view id, std::string_view class_or_type);

}  // namespace penstock::twin::dtdl
