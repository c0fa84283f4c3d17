#pragma once
// The binding: a document that says how wire addresses become elements of a twin, for a whole class
// of devices. Pure: text in, structures out. docs/bindings.md shows it for people.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "twin/byte_field.h"
#include "twin/records.h"
#include "twin/topic_pattern.h"

namespace penstock::twin {

/// How a payload is read where the protocol itself does not say (MQTT, HTTP).
enum class PayloadFormat : uint8_t {
  /// Addresses are JSON Pointers ("/d/temp") or member names ("temp", "motor.current"). Where the
  /// topic has a capture {element}, they begin with its text: "switch:0/apower", or "temp" for all
  /// of the payload.
  kJson,
  kScalar,  ///< the payload is one value; its address is the topic's capture {element}
  kBytes,   ///< each entry has a byte field
};

enum class TimeFormat : uint8_t {
  kAuto,  ///< RFC 3339 text, or a number whose size says s, ms, µs or ns since the epoch
  kRfc3339,
  kSeconds,
  kMillis,
  kMicros,
  kNanos,
};

/// `count` bits of an integer from bit `first`, 0 being the lowest.
struct BitRange {
  uint8_t first = 0, count = 0;
  friend bool operator==(const BitRange&, const BitRange&) = default;
};

/// Values this near to the last stored one are not stored, unless it is older than `heartbeat`.
struct Deadband {
  double absolute = 0;  ///< in the element's unit
  double percent = 0;   ///< of the last value
  int64_t heartbeat_us = 0;
  friend bool operator==(const Deadband&, const Deadband&) = default;
};

/// One entry of the document.
struct BindingElement {
  std::string element;           ///< key in the model
  std::string from;              ///< wire address; empty: as the element
  std::string unit;              ///< of the wire value; empty: that of the element
  double scale = 1, offset = 0;  ///< value in `unit` = wire * scale + offset
  std::optional<BitRange> bits;
  std::vector<std::pair<std::string, std::string>> values;  ///< wire text -> stored text
  std::optional<ByteField> bytes;
  Deadband deadband;
};

/// Entries of an array that carry their own address: [{"n":"temp","v":21.5}].
struct ListRule {
  std::string at, name, value, time, quality;  ///< JSON Pointers; `name` empty: no list
};

struct PayloadRule {
  PayloadFormat format = PayloadFormat::kJson;
  std::string messages;  ///< JSON Pointer to an array of messages; empty: the payload is one
  std::string value;     ///< kScalar: JSON Pointer to the value; empty: the payload itself
  ListRule list;
  std::string time;  ///< JSON Pointer; empty: the time of arrival
  TimeFormat time_format = TimeFormat::kAuto;
  std::string quality;                                     ///< JSON Pointer; empty: good
  std::vector<std::pair<std::string, Quality>> qualities;  ///< wire text -> quality
};

struct BindingDocument {
  std::string name;
  std::string description;
  std::string protocol = "mqtt";
  std::string model;    ///< DTMI of the interface that its devices' models are or extend
  TopicPattern topic;   ///< MQTT only; empty: devices/{device}/telemetry
  NameTemplate device;  ///< of the topic's captures; {device} where the document says nothing
  std::string device_text;
  PayloadRule payload;
  std::vector<BindingElement> elements;
  bool by_name = false;  ///< elements without an entry come under their own name
};

/// Reads a document. Errors name the member: "elements[3].unit". No two entries write one element.
Result<BindingDocument> parse_binding(const nlohmann::json& document);

/// What the data path needs of an entry.
struct WireRule {
  std::string address;
  uint32_t element = 0;  ///< index in the model's elements
  /// stored = (wire * scale + offset) / divisor, unit conversion included: 212 °F is 100 °C.
  double scale = 1, offset = 0, divisor = 1;
  BitRange bits;                                            ///< count 0: all
  std::vector<std::pair<std::string, std::string>> values;  ///< sorted
  std::optional<ByteField> bytes;
  Deadband deadband;
};

/// A binding compiled for one model. Immutable; shared by all devices of that binding and model.
struct SourceConfig {
  std::string binding;
  uint32_t version = 0;
  std::string protocol;
  TopicPattern topic;
  size_t element_capture = SIZE_MAX;  ///< index of {element} among the topic's captures
  PayloadRule payload;
  std::vector<WireRule> rules;  ///< by address; several may share one

  [[nodiscard]] std::span<const WireRule> rules_of(std::string_view address) const;
  /// Those whose address is `element`, or begins with it and a '/'. Of all that lies between.
  [[nodiscard]] std::span<const WireRule> rules_below(std::string_view element) const;
};

/// Checks the document against a model: elements exist, units convert, mapped values fit.
Result<std::shared_ptr<const SourceConfig>> compile_binding(const BindingDocument& document,
                                                            uint32_t version,
                                                            const ModelInfo& model);

}  // namespace penstock::twin
