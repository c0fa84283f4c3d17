#include "stream/unbind.h"

#include <cmath>

#include "base/json.h"
#include "twin/binding.h"

namespace penstock::stream {
namespace {

using twin::DeviceConfig;
using twin::ElementConfig;

// A number that came out whole but for rounding is whole: integers on the wire are.
Json number_of(double wire) {
  const double whole = std::round(wire);
  if (std::fabs(whole) <= 9e15 && std::fabs(wire - whole) <= 1e-9 * std::max(1.0, std::fabs(wire)))
    return static_cast<int64_t>(whole);
  return wire;
}

Json unscaled(const Json& value, double scale, double offset) {
  if ((scale == 1 && offset == 0) || !value.is_number() || scale == 0) return value;
  return number_of((value.get<double>() - offset) / scale);
}

std::string as_text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

// "1" as 1 and "true" as true: the binding's map is text on both sides.
Json spelled(const std::string& text) {
  auto json = parse_json(text, 1);
  return json && (json->is_number() || json->is_boolean()) ? *json : Json(text);
}

}  // namespace

Result<WireWrite> unbind_value(const DeviceConfig& device, std::string_view element,
                               const Json& value) {
  size_t hint = 0;
  const ElementConfig* known = device.find(element, hint);
  if (!known)
    return fail(ErrorCode::kNotFound, "the model has no such element", std::string(element));
  if (!device.source)
    return WireWrite{known->key, unscaled(value, known->scale, known->offset).dump()};
  const auto index = static_cast<uint32_t>(known - device.elements.data());
  for (const twin::WireRule& rule : device.source->rules) {
    if (rule.element != index) continue;
    if (rule.bits.count > 0 || rule.bytes)
      return fail(ErrorCode::kConflict,
                  "the binding reads it from some bits of a value, so it cannot be written alone",
                  std::string(element));
    const Json wire = unscaled(value, rule.scale, rule.offset);
    if (rule.values.empty()) return WireWrite{rule.address, wire.dump()};
    for (const auto& [on_wire, stored] : rule.values)
      if (stored == as_text(wire)) return WireWrite{rule.address, spelled(on_wire).dump()};
    return fail(ErrorCode::kInvalidArgument, "the binding has no wire value that stands for it",
                std::string(element));
  }
  return fail(ErrorCode::kConflict,
              "the binding " + device.source->binding +
                  " does not say where it is on the wire: add an entry for it",
              std::string(element));
}

}  // namespace penstock::stream
