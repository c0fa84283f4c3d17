#pragma once
// Commands to devices: over the MQTT session that is at home on some shard, or by the protocol that
// the device speaks.

#include <map>
#include <string>
#include <vector>

#include "base/io.h"
#include "base/json.h"
#include "interop/mqtt/endpoint.h"
#include "stream/pipeline.h"
#include "stream/views.h"
#include "twin/registry.h"

namespace penstock::app {

/// Any thread; waits for the journal. The device receives
///   {"request_id": "cmd_…", "payload": …}
/// at devices/{device}/commands/{name} and answers with the same request_id at …/responses/{name};
/// a property to take is {"request_id": "cmd_…", "values": {element: value}} at
/// devices/{device}/properties/desired, answered by reporting it.
class MqttCommands final : public stream::CommandSender {
 public:
  /// `endpoints`: one a shard, in their order.
  MqttCommands(stream::Pipeline& pipeline, std::vector<interop::mqtt::MqttEndpoint*> endpoints,
               Random& random)
      : pipeline_(pipeline), endpoints_(std::move(endpoints)), random_(random) {}
  Result<stream::CommandReceipt> send_command(std::string_view device, std::string_view name,
                                              std::string_view payload,
                                              std::string_view who) override;
  Result<stream::CommandReceipt> write_property(std::string_view device, std::string_view element,
                                                std::string_view value,
                                                std::string_view who) override;

 private:
  /// Adds "request_id" to `message`.
  Result<stream::CommandReceipt> send(std::string_view device, std::string_view topic, Json message,
                                      std::string_view who);

  stream::Pipeline& pipeline_;
  std::vector<interop::mqtt::MqttEndpoint*> endpoints_;
  Random& random_;
};

/// Each device's command by the sender of its protocol. Any thread, once the senders are added.
class CommandRouter final : public stream::CommandSender {
 public:
  explicit CommandRouter(const twin::TwinRegistry& twins) : twins_(twins) {}
  /// `sender` must outlive the router.
  void add(std::string protocol, stream::CommandSender& sender) {
    senders_.emplace(std::move(protocol), &sender);
  }
  Result<stream::CommandReceipt> send_command(std::string_view device, std::string_view name,
                                              std::string_view payload,
                                              std::string_view who) override;
  Result<stream::CommandReceipt> write_property(std::string_view device, std::string_view element,
                                                std::string_view value,
                                                std::string_view who) override;

 private:
  [[nodiscard]] Result<stream::CommandSender*> sender_of(std::string_view device) const;

  const twin::TwinRegistry& twins_;
  std::map<std::string, stream::CommandSender*, std::less<>> senders_;
};

}  // namespace penstock::app
