#pragma once
// The plain shape that nearly every message has, read in a third of the general decoder's time.

#include <optional>
#include <string_view>

#include "base/time.h"
#include "stream/telemetry.h"
#include "twin/device_config.h"

namespace penstock::stream {

/// Reads {"a":1,…}, {"ts":T,"values":{…}} and arrays of these whose keys are the model's, without
/// escapes, and whose values are short decimal numbers, true or false, all of them right: true, and
/// `out` has one sample a value. Anything else, be it legal or not: false, `out` is as it was, and
/// TelemetryDecoder's general part decides. So it never refuses, and never differs from that part
/// in what it takes.
[[nodiscard]] bool decode_plain(std::string_view payload, const twin::DeviceConfig& device,
                                Timestamp received, const DecodeLimits& limits, SampleBuffer& out);

/// A number "ts": milliseconds since 1970, up to the year 2261; below 1971 it is almost surely
/// seconds, which we do not guess.
std::optional<Timestamp> time_from_millis(double millis);

}  // namespace penstock::stream
