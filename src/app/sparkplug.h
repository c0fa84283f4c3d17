#pragma once
// The Sparkplug hosts of all shards as one: what the API and the commands ask, and how they reach
// our own broker and the bridges.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "interop/mqtt/endpoint.h"
#include "interop/sparkplug/host.h"
#include "stream/edge_nodes.h"
#include "stream/pipeline.h"
#include "stream/try_binding.h"
#include "stream/views.h"
#include "twin/registry.h"

namespace penstock::app {

/// Any thread, unless said otherwise. A device of the protocol "sparkplug" is named by its wire
/// name: group:node, or group:node:device.
class Sparkplug final : public stream::EdgeNodes, public stream::CommandSender {
 public:
  /// One host a shard, which joins it. REQUIRES: the endpoints are attached, nothing recovered yet.
  Sparkplug(stream::Pipeline& pipeline, const std::vector<interop::mqtt::MqttEndpoint*>& endpoints,
            const twin::TwinRegistry& twins, Random& random, Metrics& metrics,
            interop::sparkplug::HostOptions options);
  ~Sparkplug() override;
  Sparkplug(const Sparkplug&) = delete;
  Sparkplug& operator=(const Sparkplug&) = delete;

  /// For what has another link than our own broker; one a shard. Before the shards start.
  void set_bridges(const std::vector<interop::mqtt::MessageSender*>& bridges);

  /// STATE online, with the shards' first turn.
  void say_online();
  /// STATE offline, on the brokers of bridges too; waits until it is on its way, a second at most.
  void say_offline();

  // -- stream::EdgeNodes
  std::vector<stream::EdgeNode> edge_nodes(OrganisationId organisation) override;
  Status ask_rebirth(OrganisationId organisation, std::string_view group, std::string_view node,
                     std::string_view who) override;

  // -- stream::CommandSender
  /// "rebirth" asks the node for its births. Else the payload is written to the metric of that
  /// name, or of "Node Control/{Name}" or "Device Control/{Name}"; {} writes true, and
  /// {"metric": …, "value": …} any metric.
  Result<stream::CommandReceipt> send_command(std::string_view device, std::string_view name,
                                              std::string_view payload,
                                              std::string_view who) override;
  Result<stream::CommandReceipt> write_property(std::string_view device, std::string_view element,
                                                std::string_view value,
                                                std::string_view who) override;

 private:
  class Sender;
  struct Address;
  /// Runs `ask` on the shard that the node is at home on.
  Status on_home(const Address& address, std::function<Status(interop::sparkplug::Host& host)> ask);
  Result<Address> address_of(std::string_view device) const;
  stream::CommandReceipt receipt(std::string_view what, std::string_view device,
                                 std::string_view who);

  stream::Pipeline& pipeline_;
  const twin::TwinRegistry& twins_;
  Random& random_;
  std::vector<std::unique_ptr<Sender>> senders_;
  std::vector<std::unique_ptr<interop::sparkplug::Host>> hosts_;
};

/// A Sparkplug payload (NBIRTH, DBIRTH, NDATA or DDATA at `topic`, or any where it is empty) as a
/// report, for trying a binding.
Result<stream::OwnedReport> read_sparkplug(std::string_view topic, std::string_view payload);

}  // namespace penstock::app
