#pragma once
// What a protocol read of one device, before the binding: addresses and wire values. The way in for
// every protocol but the JSON of devices/{device}/telemetry, which has a shorter one (telemetry.h).

#include <concepts>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "twin/value.h"

namespace penstock::stream {

using twin::Quality;
using twin::ValueKind;

/// One value as a protocol's codec read it. Views; not kept beyond the call.
struct WireValue {
  /// Within the device: Sparkplug metric name, LwM2M path "/3303/0/5700", OPC UA node, HTTP field.
  std::string_view address;
  ValueKind kind = ValueKind::kDouble;  ///< kText and kObject (JSON text) use `text`
  Quality quality = Quality::kGood;
  /// The source says that it has no value. With quality bad the last one is repeated as bad; else
  /// it is refused as kNoValue.
  bool null = false;
  Timestamp source_time;  ///< 0: none, the time of arrival counts
  union {
    double number = 0;
    int64_t integer;
    bool boolean;
  };
  std::string_view text;

  static WireValue of(std::string_view address, double value, Timestamp time = {});
  static WireValue of(std::string_view address, int64_t value, Timestamp time = {});
  /// Only a bool: a `const char*` would become one otherwise.
  template <std::same_as<bool> Boolean>
  static WireValue of(std::string_view address, Boolean value, Timestamp time = {}) {
    return of_boolean(address, value, time);
  }
  static WireValue of(std::string_view address, std::string_view value, Timestamp time = {});

 private:
  static WireValue of_boolean(std::string_view address, bool value, Timestamp time);
};

/// The values of one device in one message.
struct Report {
  OrganisationId sender;    ///< organisation of who speaks for the device
  std::string_view device;  ///< canonical wire name: see docs/bindings.md
  /// Protocol and address for people: "sparkplug:spBv1.0/Plant/DDATA/Edge/Pump1".
  std::string_view origin;
  std::span<const WireValue> values;
};

/// A report that keeps what it refers to: for other threads.
class OwnedReport {
 public:
  OwnedReport() = default;
  explicit OwnedReport(const Report& report);
  /// Views into this object; valid until it is moved or ends.
  [[nodiscard]] Report view() const;
  [[nodiscard]] std::string_view device() const { return device_; }
  /// Bytes that it holds, about.
  [[nodiscard]] size_t bytes() const;

 private:
  struct Entry {
    WireValue value;  // its views are offsets into text_ until view() is asked
    uint32_t address_at = 0, address_size = 0, text_at = 0, text_size = 0;
  };
  OrganisationId sender_;
  std::string device_, origin_, text_;
  std::vector<Entry> entries_;
  mutable std::vector<WireValue> views_;
};

/// Appends the values as telemetry JSON whose members are the addresses: {"ts":…,"values":{…}}, an
/// array of these where times differ. How an unknown device's report is kept.
void append_json(std::string& out, std::span<const WireValue> values);

/// One value as JSON; text for the numbers that JSON has no word for.
void append_value(std::string& out, const WireValue& value);

/// Percent-encodes what a device's name may not hold: "Line 1/Pump" with '/' kept apart by the
/// caller is "Line%201". ASCII, at most 128 bytes by check_device_name.
std::string wire_name(std::string_view part);
/// Group, node, device and the like as one canonical device name: "Plant:Edge:Pump1".
std::string wire_name(std::initializer_list<std::string_view> parts);

}  // namespace penstock::stream
