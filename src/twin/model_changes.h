#pragma once
// What differs between two interfaces (two versions, or any two), and what it means for twins,
// bindings and rules that rely on the first. Pure; any thread.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "twin/shape.h"

namespace penstock::twin {

enum class Severity : uint8_t {
  kCompatible,  ///< what works goes on working
  kAttention,   ///< it works, and somebody should look: meaning or history changes
  kBreaking,    ///< something that works today is refused, unreachable or wrong afterwards
};
[[nodiscard]] std::string_view name(Severity severity);  ///< "compatible", "attention", "breaking"

/// One difference.
struct ModelChange {
  std::string kind;  ///< stable: "element_removed", "unit_changed", … (docs/models.md)
  Severity severity = Severity::kCompatible;
  std::string element;  ///< key of the content, "motor.current"; empty: the interface itself
  std::string content;  ///< telemetry, property, command, relationship, component; empty: interface
  std::string before, after;  ///< as people read it; empty: nothing
  std::string reason;         ///< why it is of that severity, one sentence
};

/// Compares effective shapes. `is_a(dtmi, base)`: whether an interface is or extends another: it
/// decides whether a relationship's new target still takes the old one's twins. Breaking first,
/// then by element.
std::vector<ModelChange> compare_shapes(
    const InterfaceShape& from, const InterfaceShape& to,
    const std::function<bool(std::string_view dtmi, std::string_view base)>& is_a);

/// The worst of them; compatible where there are none.
[[nodiscard]] Severity worst_of(const std::vector<ModelChange>& changes);

}  // namespace penstock::twin
