#pragma once
// Bridges to other brokers, wired: the store tells, the shard of each bridge does.

#include <memory>
#include <string>
#include <vector>

#include "app/worker_pool.h"
#include "interop/mqtt/bridge_store.h"
#include "interop/mqtt/bridges.h"
#include "stream/pipeline.h"
#include "twin/registry.h"

namespace penstock::app {

/// Made before recovery, so that bridges remember what they took; ends after the shards' threads.
class BridgeLinks {
 public:
  /// `endpoints`: one a shard, in their order; attached already.
  BridgeLinks(interop::mqtt::BridgeStore& store, const twin::TwinRegistry& twins,
              stream::Pipeline& pipeline, std::vector<interop::mqtt::MqttEndpoint*> endpoints,
              WorkerPool& workers, Random& random, Metrics& metrics);

  /// Once shards run: the bridges connect, and follow every change of the store from then on.
  void start();
  /// How protocols publish through our own broker or a bridge; one a shard, in their order.
  [[nodiscard]] std::vector<interop::mqtt::MessageSender*> senders() const;
  [[nodiscard]] const interop::mqtt::BridgeBoard& board() const { return board_; }

 private:
  interop::mqtt::BridgeStore& store_;
  stream::Pipeline& pipeline_;
  interop::mqtt::BridgeMetrics metrics_;
  interop::mqtt::BridgeBoard board_;
  std::vector<std::unique_ptr<interop::mqtt::Bridges>> bridges_;
};

}  // namespace penstock::app
