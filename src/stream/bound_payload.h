#pragma once
// A payload that a binding describes, as wire values: JSON by pointers, one value a topic, or
// bytes.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "stream/report.h"
#include "stream/telemetry.h"

namespace penstock::twin {
struct SourceConfig;
}

namespace penstock::stream {

/// One a thread; allocates nothing once warm.
class BoundPayloadReader {
 public:
  BoundPayloadReader();
  ~BoundPayloadReader();
  BoundPayloadReader(const BoundPayloadReader&) = delete;
  BoundPayloadReader& operator=(const BoundPayloadReader&) = delete;

  /// The values at the addresses of `source`. A member that is not there gives none: messages may
  /// be partial. kNotJson, kNotAnObject, kBadTime, kBadQuality and kUnknownElement (a topic without
  /// the capture {element}) refuse the whole. Views stay valid until the next call.
  Reject read(std::string_view payload, std::string_view topic, const twin::SourceConfig& source);
  /// Telemetry JSON whose members are addresses, as append_json() writes them: what discovery kept.
  Reject read_report(std::string_view payload);

  [[nodiscard]] std::span<const WireValue> values() const;
  /// What a refusal was about.
  [[nodiscard]] std::string_view about() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock::stream
