#include "app/bound_topics.h"

namespace penstock::app {

using interop::mqtt::Dispatch;
using interop::mqtt::MessageTap;
using interop::mqtt::MqttEndpoint;

BoundTopics::BoundTopics(twin::TwinRegistry& twins, stream::Pipeline& pipeline,
                         std::vector<MqttEndpoint*> endpoints, Clock& clock)
    : twins_(twins), pipeline_(pipeline), endpoints_(std::move(endpoints)) {
  tap_ = std::make_shared<MessageTap>(clock, interop::mqtt::TapLimits{}, [this](bool listening) {
    on_shards([tap = listening ? tap_ : nullptr](Dispatch& dispatch) { dispatch.set_tap(tap); });
  });
  for (MqttEndpoint* endpoint : endpoints_) endpoint->dispatch().set_routes(routes());
  twins_.on_bindings([this] {
    on_shards([index = routes()](Dispatch& dispatch) { dispatch.set_routes(index); });
  });
}

std::shared_ptr<const twin::TopicRoutes> BoundTopics::routes() const {
  const auto bindings = twins_.all_bindings();
  return std::make_shared<const twin::TopicRoutes>(bindings);
}

void BoundTopics::on_shards(const std::function<void(Dispatch&)>& change) {
  for (uint32_t i = 0; i < endpoints_.size(); ++i)
    pipeline_.shard(i).post([endpoint = endpoints_[i], change] { change(endpoint->dispatch()); });
}

}  // namespace penstock::app
