#pragma once
// What the data path must know about one device, compiled from registry, model and binding,
// immutable once made. The control plane makes a new one at each change and posts it to the shard
// that owns the device.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "twin/value.h"

namespace penstock::twin {

struct SourceConfig;

/// One element of a twin as it arrives on the wire.
struct ElementConfig {
  std::string key;  ///< the JSON member: "temperature", nested components as "motor.current"
  SeriesId series;  ///< where its samples go; dense, never reused
  ValueKind kind = ValueKind::kDouble;
  bool writable_property = false;
  double scale = 1, offset = 0;  ///< stored = wire * scale + offset (numeric kinds)
  std::optional<double> minimum,
      maximum;                           ///< of the stored value; outside goes to the dead letters
  std::vector<std::string> enum_values;  ///< kText enums: allowed values; empty means any text
  std::string unit;                      ///< DTDL unit name of the stored value; may be empty
};

struct DeviceConfig {
  TwinId twin;
  OrganisationId organisation;
  SiteId site;
  std::string device;  ///< its name on the wire: the {device} of devices/{device}/telemetry
  std::string model;   ///< DTMI of its interface
  std::string protocol = "mqtt";
  std::vector<ElementConfig> elements;
  std::vector<uint32_t> by_key;       ///< indexes of `elements` in the order of their keys
  std::vector<std::string> commands;  ///< names of the commands the model declares
  int64_t stale_after_ms = 0;  ///< silent for longer means offline; 0: the configured default
  /// Its binding document, compiled for its model. Null: members are elements, by name.
  std::shared_ptr<const SourceConfig> source;

  /// Sorts by_key; after `elements` is whole.
  void index();
  /// The element that this wire key feeds; null: none. `hint` is where to look first, and moves on.
  /// REQUIRES: index().
  [[nodiscard]] const ElementConfig* find(std::string_view key, size_t& hint) const;
};

}  // namespace penstock::twin
