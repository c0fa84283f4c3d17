#pragma once
// The way back of a binding: what to write on the wire so that an element takes a value.

#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "twin/device_config.h"

namespace penstock::stream {

struct WireWrite {
  std::string address;  ///< as in WireValue
  std::string value;    ///< JSON text, in the wire's unit and words
};

/// Undoes the binding's map, scale, offset and unit; without a binding the address is the element's
/// key. Refused with a sentence: elements that the binding leaves out, that are some bits of a
/// value, or whose value stands for none on the wire.
Result<WireWrite> unbind_value(const twin::DeviceConfig& device, std::string_view element,
                               const nlohmann::json& value);

}  // namespace penstock::stream
