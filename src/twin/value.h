#pragma once
// What a value is: its kind and its quality. The vocabulary that models, samples and history share.

#include <cstdint>
#include <string_view>

namespace penstock::twin {

/// OPC UA Part 8 status severity, the three that matter to people.
enum class Quality : uint8_t { kGood = 0, kUncertain = 1, kBad = 2 };

/// How a value is stored. DTDL double/float/… -> kDouble; integer/long/… -> kInteger; boolean ->
/// kBoolean; string, enum, date, time, duration -> kText; Object, Map, Array and geospatial ->
/// kObject (JSON text).
enum class ValueKind : uint8_t { kDouble = 0, kInteger = 1, kBoolean = 2, kText = 3, kObject = 4 };

constexpr std::string_view name(Quality quality) {
  switch (quality) {
    case Quality::kGood:
      return "good";
    case Quality::kUncertain:
      return "uncertain";
    case Quality::kBad:
      break;
  }
  return "bad";
}
constexpr std::string_view name(ValueKind kind) {
  switch (kind) {
    case ValueKind::kDouble:
      return "double";
    case ValueKind::kInteger:
      return "integer";
    case ValueKind::kBoolean:
      return "boolean";
    case ValueKind::kText:
      return "text";
    case ValueKind::kObject:
      break;
  }
  return "object";
}

}  // namespace penstock::twin
