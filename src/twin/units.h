#pragma once
// Units of measurement (docs/units.md): DTDL's semantic types and units, what else devices send,
// how all of it is written in the field, and conversions. Pure; any thread.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace penstock::twin {

struct UnitInfo {
  std::string_view name;      ///< as in DTDL: "degreeCelsius"
  std::string_view symbol;    ///< for people: "°C"
  std::string_view quantity;  ///< what it measures: "Temperature"
  unsigned versions = 0;      ///< bit 0: DTDL v2; bits 1 to 3: QuantitativeTypes 1 to 3
  /// Whether a model may name it; else it is known on the wire only (megapascal).
  [[nodiscard]] bool in_dtdl() const { return versions != 0; }
};

/// From a value in one unit to the value in another: value * scale + offset.
struct UnitConversion {
  double scale = 1, offset = 0;
  /// Whether the two units are related by exact definition; else by a rounded number (π).
  bool exact = true;
  // The same as (value * numerator + shift) / denominator, in whole numbers where these fit: what
  // keeps 212 °F at 100 °C, where scale and offset give 100.00000000000001.
  double numerator = 1, shift = 0, denominator = 1;

  [[nodiscard]] double apply(double value) const {
    return (value * numerator + shift) / denominator;
  }
  [[nodiscard]] bool identity() const { return scale == 1 && offset == 0; }
};

/// How a unit is written.
enum class Notation : uint8_t {
  kField,  ///< DTDL name, symbol, or as devices and people write it
  kUnece,  ///< code of UNECE Recommendation 20: "CEL"
  kSenml,  ///< RFC 8428, RFC 8798: "Cel"
  kUcum,   ///< "[degF]"
};

/// The unit of that DTDL name (or name on the wire); null: none.
[[nodiscard]] const UnitInfo* find_unit(std::string_view name);
/// All units, by name.
[[nodiscard]] std::span<const UnitInfo> units();

/// Reads a unit. `quantity` is what is expected, as a quantity, a semantic type or another unit;
/// it decides where a notation has several meanings ("C", "min⁻¹"); empty: the common one.
/// kNotFound: no such unit; kInvalidArgument: several, which the sentence names.
Result<const UnitInfo*> parse_unit(std::string_view text, std::string_view quantity = {},
                                   Notation notation = Notation::kField);
/// The unit of OPC UA's EUInformation.unitId, the Recommendation 20 code as a number; null: none.
[[nodiscard]] const UnitInfo* unit_of_opcua(int32_t unit_id);

/// What a unit (in any notation) or a semantic type measures: "Pressure"; empty: not known.
[[nodiscard]] std::string_view quantity_of(std::string_view unit_or_type);
/// DTDL semantic types whose values have such a unit: "Temperature"; of unity 8 of them.
[[nodiscard]] std::vector<std::string_view> semantic_types_of(std::string_view unit);
/// The one of them to name where nothing else is known: "Length" for metre; empty: none (percent).
[[nodiscard]] std::string_view semantic_type_of(std::string_view unit);
/// The units that a model may give an element of a semantic type.
[[nodiscard]] std::vector<const UnitInfo*> units_of(std::string_view semantic_type);

/// From one unit to another, each in any field notation. kNotFound: a unit is not known;
/// kInvalidArgument: they measure different things; the sentence names both.
Result<UnitConversion> conversion(std::string_view from, std::string_view to);

}  // namespace penstock::twin
