#pragma once
// What a shard keeps of each of its devices: its configuration and its live values.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "stream/sample.h"
#include "twin/device_config.h"

namespace penstock::stream {

/// The newest value of one element.
struct LiveValue {
  Sample sample;     ///< source_time 0: none yet
  std::string text;  ///< of kText and kObject
};

/// Shard's thread only.
struct DeviceState {
  std::shared_ptr<const twin::DeviceConfig> config;
  std::vector<LiveValue> live;  ///< parallel to config->elements
  Timestamp last_seen;          ///< received time of its newest message
  uint64_t messages = 0;
  uint64_t samples = 0;
  uint64_t rejected = 0;  ///< values
  std::string last_rejection;
  uint64_t unbound = 0;     ///< values whose address its binding leaves out
  uint64_t suppressed = 0;  ///< values within a deadband
  uint64_t future = 0;      ///< messages refused because their time lies too far ahead
  Duration interval;        ///< between messages, smoothed; 0: fewer than two since the start
  Duration clock_offset;    ///< source time less time of arrival, of its newest samples

  uint32_t connections = 0;  ///< open now
  Timestamp connected_at;
  std::string client_id, address;
  std::string disconnect_reason;

  /// Takes a newer configuration and keeps the live values of the elements that stay.
  void reconfigure(std::shared_ptr<const twin::DeviceConfig> next);
};

}  // namespace penstock::stream
