#pragma once
// What an interface says, without the language it is said in: read from DTDL's graph, from a W3C
// Thing Description or from an AAS submodel, compared with another one, and written again. Values
// only; pure; any thread.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "twin/dtdl/parser.h"

namespace penstock::twin {

/// A text in languages: (tag, text), sorted by tag. DTDL's default is "en".
using Texts = std::vector<std::pair<std::string, std::string>>;
/// The English text, else the first; empty: none.
[[nodiscard]] std::string_view english(const Texts& texts);

/// Something that was not carried over, or only nearly: where it stands and what became of it.
struct ConversionNote {
  std::string at;    ///< path within the source: "properties.temperature.maxLength"
  std::string text;  ///< a sentence
  friend bool operator==(const ConversionNote&, const ConversionNote&) = default;
};

struct ValueShape;

struct EnumValueShape {
  std::string name, value;  ///< value as text, also where the enumeration is of integers
  Texts display, description;
  friend bool operator==(const EnumValueShape&, const EnumValueShape&) = default;
};

struct SchemaShape {
  enum class Kind : uint8_t { kPrimitive, kEnum, kArray, kObject, kMap };
  Kind kind = Kind::kPrimitive;
  std::string primitive = "double";    ///< DTDL term; of an enumeration: string or integer
  std::vector<EnumValueShape> values;  ///< kEnum
  /// kObject: its fields; kArray: the element; kMap: key and value.
  std::vector<ValueShape> children;
  Texts display, description;
  bool operator==(const SchemaShape&) const;
};

/// Anything with a name and a schema: telemetry, property, field, request, response.
struct ValueShape {
  std::string name;
  Texts display, description;
  std::string comment;
  SchemaShape schema;
  std::string semantic_type, unit;  ///< DTDL terms; empty: none
  std::optional<double> minimum, maximum;
  bool writable = false;  ///< properties
  bool nullable = false;  ///< requests and responses (DTDL v4)
  friend bool operator==(const ValueShape&, const ValueShape&) = default;
};

struct ContentShape : ValueShape {
  enum class Kind : uint8_t { kTelemetry, kProperty, kCommand, kRelationship, kComponent };
  Kind kind = Kind::kTelemetry;
  std::optional<ValueShape> request, response;
  std::string target;  ///< DTMI: of a relationship (empty: any), or a component's interface
  std::optional<int64_t> multiplicity_min, multiplicity_max;
  std::vector<ValueShape> properties;  ///< of a relationship
  friend bool operator==(const ContentShape&, const ContentShape&) = default;
};
[[nodiscard]] std::string_view name(ContentShape::Kind kind);  ///< "telemetry", …

struct InterfaceShape {
  std::string id;
  Texts display, description;
  std::string comment;
  std::vector<std::string> extends;
  std::vector<ContentShape> contents;
  friend bool operator==(const InterfaceShape&, const InterfaceShape&) = default;
};

/// Reads one interface of a graph, as it is declared: without what it inherits. What a shape has no
/// place for (other supplemental types, undefined terms) is noted. kNotFound: no such interface.
Result<InterfaceShape> read_shape(const dtdl::Model& model, std::string_view dtmi,
                                  std::vector<ConversionNote>& notes);

/// The same with the contents of its bases, and of its components under dotted names
/// ("motor.current"). `extends` has all bases. Reading stops at 12 levels and 20,000 contents.
Result<InterfaceShape> read_effective_shape(const dtdl::Model& model, std::string_view dtmi);

/// The interface as a DTDL document: v3, or v4 where it has limits or schemas that need it.
[[nodiscard]] Json write_dtdl(const InterfaceShape& shape);

/// A schema in one line for people: "double", "enum of auto, off", "object {x double, y double}".
[[nodiscard]] std::string schema_text(const SchemaShape& schema);

/// "dtmi:dtdl:extension:quantitativeTypes:v3:unit:bar" to "bar".
[[nodiscard]] std::string term_of(std::string_view dtmi);

}  // namespace penstock::twin
