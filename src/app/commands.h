#pragma once
// Commands to devices, over the MQTT session that is at home on some shard.

#include <vector>

#include "base/io.h"
#include "interop/mqtt/endpoint.h"
#include "stream/pipeline.h"
#include "stream/views.h"

namespace penstock::app {

/// Any thread; waits for the journal. The device receives
///   {"request_id": "cmd_…", "payload": …}
/// at devices/{device}/commands/{name} and answers with the same request_id at …/responses/{name}.
class MqttCommands final : public stream::CommandSender {
 public:
  /// `endpoints`: one a shard, in their order.
  MqttCommands(stream::Pipeline& pipeline, std::vector<interop::mqtt::MqttEndpoint*> endpoints,
               Random& random)
      : pipeline_(pipeline), endpoints_(std::move(endpoints)), random_(random) {}
  Result<stream::CommandReceipt> send_command(std::string_view device, std::string_view name,
                                              std::string_view payload,
                                              std::string_view who) override;

 private:
  stream::Pipeline& pipeline_;
  std::vector<interop::mqtt::MqttEndpoint*> endpoints_;
  Random& random_;
};

}  // namespace penstock::app
