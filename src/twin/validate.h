#pragma once
// Is this value one that the element may have? The rule that every way in applies: telemetry,
// properties written by people, replayed files. Inline: it runs once a sample.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "twin/device_config.h"

namespace penstock::twin {

/// Why a value is refused. The names are metric labels: stable.
enum class Refusal : uint8_t {
  kNone,
  kUnknownElement,
  kWrongType,
  kNotFinite,
  kOutOfRange,
  kNotInEnum
};

constexpr std::string_view name(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNone:
      return "none";
    case Refusal::kUnknownElement:
      return "unknown_element";
    case Refusal::kWrongType:
      return "wrong_type";
    case Refusal::kNotFinite:
      return "not_finite";
    case Refusal::kOutOfRange:
      return "out_of_range";
    case Refusal::kNotInEnum:
      break;
  }
  return "not_in_enum";
}

/// A number for a numeric element, in stored units (after scale and offset). Integers beyond 2^53
/// come by the int64_t form.
inline Refusal validate(const ElementConfig& element, double value) {
  if (element.kind != ValueKind::kDouble && element.kind != ValueKind::kInteger)
    return Refusal::kWrongType;
  if (!std::isfinite(value)) return Refusal::kNotFinite;
  if (element.kind == ValueKind::kInteger && value != std::floor(value)) return Refusal::kWrongType;
  if ((element.minimum && value < *element.minimum) ||
      (element.maximum && value > *element.maximum))
    return Refusal::kOutOfRange;
  return Refusal::kNone;
}

inline Refusal validate(const ElementConfig& element, int64_t value) {
  if (element.kind != ValueKind::kDouble && element.kind != ValueKind::kInteger)
    return Refusal::kWrongType;
  const auto number = static_cast<double>(value);
  if ((element.minimum && number < *element.minimum) ||
      (element.maximum && number > *element.maximum))
    return Refusal::kOutOfRange;
  return Refusal::kNone;
}

inline Refusal validate(const ElementConfig& element, bool) {
  return element.kind == ValueKind::kBoolean ? Refusal::kNone : Refusal::kWrongType;
}

inline Refusal validate(const ElementConfig& element, std::string_view value) {
  if (element.kind != ValueKind::kText) return Refusal::kWrongType;
  if (!element.enum_values.empty() &&
      std::find(element.enum_values.begin(), element.enum_values.end(), value) ==
          element.enum_values.end())
    return Refusal::kNotInEnum;
  return Refusal::kNone;
}

}  // namespace penstock::twin
