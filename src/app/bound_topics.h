#pragma once
// Bindings on MQTT: gives every shard the index of the active bindings' topics, anew after each
// change, and the tap while somebody looks.

#include <memory>
#include <vector>

#include "interop/mqtt/endpoint.h"
#include "interop/mqtt/tap.h"
#include "stream/pipeline.h"
#include "twin/registry.h"

namespace penstock::app {

/// Made before the shards start; ends after them.
class BoundTopics {
 public:
  /// `endpoints`: one a shard, in their order. Listens to `twins` from now on.
  BoundTopics(twin::TwinRegistry& twins, stream::Pipeline& pipeline,
              std::vector<interop::mqtt::MqttEndpoint*> endpoints, Clock& clock);

  stream::MessageTapView& tap() { return *tap_; }
  /// Ends taps that nobody reads any more. Now and then.
  void maintain() { tap_->expire(); }

 private:
  [[nodiscard]] std::shared_ptr<const twin::TopicRoutes> routes() const;
  /// Runs `change` on every shard.
  void on_shards(const std::function<void(interop::mqtt::Dispatch&)>& change);

  twin::TwinRegistry& twins_;
  stream::Pipeline& pipeline_;
  std::vector<interop::mqtt::MqttEndpoint*> endpoints_;
  std::shared_ptr<interop::mqtt::MessageTap> tap_;  // shared with the shards that offer to it
};

}  // namespace penstock::app
