#pragma once
// From nodes that a person picked to an interface and a binding. Pure.

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace penstock::api {

/// One variable of a class of devices, as the connector described it.
struct PickedElement {
  std::string address;  ///< of the binding: `from`
  std::string element;  ///< DTDL name; empty: made from the address
  std::string display_name;
  std::string data_type;  ///< of OPC UA: "Double", "Int32", "Boolean", …
  bool array = false;
  bool writable = false;
  std::string unit;       ///< as the server writes it: "bar"
  std::string unit_code;  ///< UNECE Recommendation 20: "BAR"; may be empty
};

struct PickedCommand {
  std::string name;  ///< DTDL name
  std::string display_name;
};

/// "Discharge Pressure/Value" -> "discharge_pressure_value": a DTDL name.
std::string element_name(std::string_view address);

/// Fills in what is empty and makes the element names unique.
void name_elements(std::vector<PickedElement>& elements);

/// A DTDL v3 interface: telemetry, writable ones as properties.
Json interface_of(std::string_view dtmi, std::string_view display_name,
                  const std::vector<PickedElement>& elements,
                  const std::vector<PickedCommand>& commands);

/// The binding document of the class.
Json binding_of(std::string_view name, std::string_view model,
                const std::vector<PickedElement>& elements);

}  // namespace penstock::api
