#pragma once
// What the OPC UA connector publishes below connectors/opcua/: values to reports, answers and
// states to the link. One a shard; its thread.

#include <functional>

#include "base/metrics.h"
#include "interop/mqtt/message_handler.h"
#include "interop/opcua/link.h"
#include "interop/opcua/store.h"
#include "interop/opcua/values.h"
#include "stream/shard.h"

namespace penstock::interop::opcua {

/// A condition of a server (Part 9) came or went: {"device","condition","active",…}. Any thread.
using OnCondition = std::function<void(const SourcePtr& source, const Json& event)>;

/// Marks the live values of all devices of a source as uncertain, at this moment of the source's
/// own clock: the marks must not be newer than what comes after. From a shard's thread.
void mark_lost(stream::Shard& shard, const Source& source, Duration clock_offset);

class Handler final : public mqtt::MessageHandler {
 public:
  /// All must outlive it.
  Handler(stream::Shard& shard, SourceStore& sources, Link& link, Metrics& metrics,
          OnCondition on_condition);
  bool on_message(const mqtt::InboundMessage& message) override;

 private:
  void take_values(const Source& source, ByteView payload);

  stream::Shard& shard_;
  SourceStore& sources_;
  Link& link_;
  OnCondition on_condition_;
  BatchReader reader_;
  std::string origin_;
  Counter& values_;
  Counter& damaged_;
  Counter& unknown_;
};

}  // namespace penstock::interop::opcua
