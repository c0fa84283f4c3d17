#pragma once
// What is this device? From messages of a device that nobody has registered, a DTDL interface that
// fits them, for a person to check. Pure: text in, text out.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "twin/records.h"

namespace penstock::twin {

/// One value that the messages carry.
struct ProposedElement {
  std::string wire_key;  ///< as it came; inside objects with dots
  std::string name;      ///< the same as a DTDL name
  std::string schema;    ///< "double", "long", "boolean", "string", "dateTime", "Array", "Object"
  std::string semantic_type, unit;  ///< guessed from the name; empty: no guess
  bool unit_written = false;        ///< the name says the unit ("pressure_bar"), else it is custom
  std::optional<double> minimum, maximum;  ///< physical limits of the quantity, not what was seen
  double seen_minimum = 0, seen_maximum = 0;  ///< numbers only
  uint64_t seen = 0;                          ///< in how many messages
};

struct Proposal {
  std::string dtmi;
  std::string document;  ///< DTDL v3 interface, JSON text
  std::vector<ProposedElement> elements;
  size_t messages_read = 0;     ///< of those given
  size_t messages_skipped = 0;  ///< no telemetry that we understand

  /// The members whose name is not the element's, for the device that gets this model.
  [[nodiscard]] std::vector<BindingEntry> bindings() const;
};

/// `device` gives the interface its name; `payloads` are telemetry messages of any of the three
/// forms (docs/device-protocol). kInvalidArgument: none of them carries a value.
/// Numbers become double unless the name says that they count; a unit written in the name
/// ("motor_current_a") is taken, otherwise the custom one of the quantity, with a comment to check.
Result<Proposal> propose_interface(std::string_view device, std::span<const std::string> payloads);

/// How the members of such messages come to the elements of a model that was there before, or that
/// a person edited, where the names differ only in case and punctuation: "Discharge-Pressure" is
/// discharge_pressure. Members of equal name need no binding and give none.
std::vector<BindingEntry> match_bindings(const ModelInfo& model,
                                         std::span<const std::string> wire_keys);

}  // namespace penstock::twin
