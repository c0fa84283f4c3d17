#pragma once
// From a device's JSON to samples: the binding step of a sample's life (docs/life-of-a-sample.md,
// station 2 and 3).

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "stream/sample.h"
#include "twin/device_config.h"

namespace penstock::stream {

struct LiveValue;

/// Why a message or one of its values did not become a sample. The names are metric labels: stable.
enum class Reject : uint8_t {
  kNone,
  kNotJson,
  kNotAnObject,
  kUnknownElement,
  kWrongType,
  kOutOfRange,
  kNotInEnum,
  kBadTime,
  kFutureTime,
  kTooManyValues,
  kEmpty,
  kBadQuality,
  kNoValue,
  kOtherBinding,      ///< came to a binding's topic that is not that of the device's own binding
  kNeedsCredentials,  ///< sent with a join token for a device that is registered
};
inline constexpr size_t kRejects = 15;
std::string_view name(Reject reject);

/// What decode() appends to: the samples of a turn and the text they refer to.
struct SampleBuffer {
  std::vector<Sample> samples;
  std::string text;

  void clear() {
    samples.clear();
    text.clear();
  }
};

struct DecodeLimits {
  size_t values_per_message_max = 100'000;
  Duration future_max = Duration::hours(24);
  bool plain_first = true;  ///< see telemetry_plain.h; false: the general part decides alone
};

/// The quality that a StatusCode's severity stands for (OPC UA Part 4, 7.39: bits 30 and 31).
inline Quality quality_of_status(uint32_t status_code) {
  const uint32_t severity = status_code >> 30;
  return severity == 0 ? Quality::kGood : severity == 1 ? Quality::kUncertain : Quality::kBad;
}

/// A sample that repeats `last` at another moment, or nothing where there has been none.
std::optional<Sample> repeated(const LiveValue& last, Quality quality, Timestamp source,
                               Timestamp received, SampleBuffer& out);

/// What a message came to. Values that are right are kept even where their neighbours are not.
struct DecodeOutcome {
  uint32_t accepted = 0;
  uint32_t rejected = 0;
  Reject first_reject = Reject::kNone;
  std::string_view first_about;  ///< the member it was about; valid until the next decode
};

/// Accepts {"a":1,…}, {"ts":T,"values":{…}} and arrays of these; T is RFC 3339 or epoch
/// milliseconds. A member "quality" that the model does not know marks the values: "good",
/// "uncertain", "bad", an OPC UA StatusCode (Part 4, 7.39: its two highest bits), or an object of
/// these by member. A member that is an object descends into the component of that name
/// ("motor":{"current":1} is "motor.current"), unless the model types the member itself as an
/// object. One decoder a thread; allocates nothing once warm.
class TelemetryDecoder {
 public:
  explicit TelemetryDecoder(DecodeLimits limits = {});
  ~TelemetryDecoder();
  TelemetryDecoder(const TelemetryDecoder&) = delete;
  TelemetryDecoder& operator=(const TelemetryDecoder&) = delete;

  /// Appends one sample a value. `received` is also the source time where the message gives none.
  /// A null says that the device has no value: the last of `live` (parallel to device.elements)
  /// again with quality bad; kNoValue where there is none.
  DecodeOutcome decode(std::string_view payload, const twin::DeviceConfig& device,
                       Timestamp received, SampleBuffer& out, std::span<const LiveValue> live = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock::stream
