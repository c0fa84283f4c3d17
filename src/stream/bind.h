#pragma once
// Wire values to samples: what the device's configuration, and its binding where it has one, say.

#include <span>

#include "stream/device_state.h"
#include "stream/report.h"
#include "stream/telemetry.h"

namespace penstock::stream {

/// What became of a report's values.
struct BindOutcome : DecodeOutcome {
  uint32_t unbound = 0;     ///< addresses that the binding leaves out on purpose
  uint32_t suppressed = 0;  ///< within the deadband of the last value
};

/// Appends a sample for each value that the device's configuration knows (by its binding, else by
/// element name), converted, checked, with `received` as source time where it has none. `live`:
/// parallel to device.elements, for deadbands and repeated values. Allocates nothing once warm.
BindOutcome bind_values(std::span<const WireValue> values, const twin::DeviceConfig& device,
                        std::span<const LiveValue> live, Timestamp received,
                        const DecodeLimits& limits, SampleBuffer& out);

}  // namespace penstock::stream
