#pragma once
// Messages that come from other threads than the shards' (HTTP, re-binding), with an answer for
// each: what it came to, once that is durable.

#include <string>

#include "base/ids.h"
#include "base/time.h"
#include "stream/report.h"

namespace penstock::stream {

/// One message of one device: a codec's report, or a payload as the device wrote it.
struct Intake {
  OrganisationId sender;
  std::string device;
  OwnedReport report;          ///< used where `payload` is empty
  std::string topic, payload;  ///< as of Shard::ingest()
  /// What a value without a time gets, so that the same message again is the same samples; 0: the
  /// moment it reaches the shard.
  Timestamp received;
  /// A message of the past, read again: it becomes history and, where it is the newest, the live
  /// value. No rule judges it, and what is refused is not kept a second time.
  bool history_only = false;
  /// The codec could not read `payload`, because of this: it goes to the dead letters as it is.
  std::string refusal;

  [[nodiscard]] size_t bytes() const {
    return sizeof *this + device.size() + topic.size() + payload.size() + report.bytes();
  }
};

/// What one Intake came to.
struct Receipt {
  bool durable = false;  ///< false: the journal did not take it; send it again
  bool known = true;     ///< false: an unregistered device, kept for discovery
  uint32_t accepted = 0, rejected = 0, suppressed = 0, unbound = 0;  ///< values
  std::string reason;  ///< of the first refusal: "out_of_range: pressure"; empty: none
};

}  // namespace penstock::stream
