#pragma once
// Interfaces from and to other languages (docs/models.md, ADR 118): W3C WoT Thing Descriptions and
// Thing Models 1.1, and submodels of the Asset Administration Shell V3 (JSON of IDTA-01001-3-0).
// What has no place on the other side is noted, never left out in silence. Pure; any thread.

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "twin/shape.h"

namespace penstock::twin {

enum class ModelFormat : uint8_t { kDtdl, kWot, kAas };
[[nodiscard]] std::string_view name(ModelFormat format);  ///< "dtdl", "wot", "aas"
Result<ModelFormat> parse_model_format(std::string_view text);

struct ImportOptions {
  /// Identifier of the first interface; empty: the document's own where it is a DTMI, else made of
  /// its title.
  std::string id;
  size_t contents_max = 5000;  ///< of one interface
  int depth_max = 5;           ///< of nested schemas: what DTDL v3 allows
};

struct Imported {
  std::vector<InterfaceShape> interfaces;
  std::vector<ConversionNote> notes;
  /// An array of DTDL documents.
  [[nodiscard]] Json documents() const;
};
struct Exported {
  Json document;
  std::vector<ConversionNote> notes;
};

/// A Thing Description, a Thing Model, or an array of them.
Result<Imported> from_wot(const Json& document, const ImportOptions& options = {});
/// A Thing Model: what is declared, without forms and security.
Exported to_wot(const InterfaceShape& shape);

/// A submodel, an array of them, or an environment with `submodels` and `conceptDescriptions`.
Result<Imported> from_aas(const Json& document, const ImportOptions& options = {});
/// An environment of one submodel of kind Template.
Exported to_aas(const InterfaceShape& shape);

}  // namespace penstock::twin
