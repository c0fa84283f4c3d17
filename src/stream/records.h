#pragma once
// What the journal holds: records, each of one type. Bodies are described byte by byte in
// docs/journal-format.md.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/time.h"
#include "stream/sample.h"

namespace penstock::stream {

/// Numbers on disk: never reuse one.
enum class RecordType : uint8_t {
  kPadding = 0,
  kSamples = 1,     ///< packed; see encode_samples()
  kDeadLetter = 2,  ///< a rejected message with its reason
  kDiscovery = 3,   ///< a message of a device that nobody has registered
  kSignal = 4,      ///< a rule or detector changed its mind
  kMqtt = 5,        ///< session state; body owned by interop/mqtt
  kCommand = 6,     ///< a command sent to a device, or its response
  kSparkplug = 7,   ///< edge nodes' births and what waits for its turn; owned by interop/sparkplug
};

/// kDeadLetter, kDiscovery.
struct RawMessage {
  Timestamp received;
  OrganisationId organisation;  ///< of who sent it
  std::string_view device;
  std::string_view topic;
  std::string_view payload;  ///< cut to the configured maximum
  std::string_view reason;   ///< empty for discovery
};

/// kSignal: the condition `source` of `twin` became active or inactive at `time`.
struct Signal {
  TwinId twin;
  RuleId source;  ///< rule or detector
  bool active = false;
  Timestamp time;           ///< source time of the sample that decided it
  double value = 0;         ///< what was compared
  double limit = 0;         ///< with what
  std::string_view detail;  ///< JSON for people and pictures:
                            ///< {"contributions":[{"series":1,"share":0.5}]}; may be empty
};

void encode_samples(Bytes& out, const SampleView& view);
void encode_raw(Bytes& out, const RawMessage& message);
void encode_signal(Bytes& out, const Signal& signal);
/// Decoders return nothing for bytes that are no such record. Views point into `body`; samples are
/// unpacked into `into`, whose memory stays.
std::optional<SampleView> decode_samples(ByteView body, std::vector<Sample>& into);
std::optional<RawMessage> decode_raw(ByteView body);
std::optional<Signal> decode_signal(ByteView body);

}  // namespace penstock::stream
