#include "app/bridge_links.h"

namespace penstock::app {

using interop::mqtt::BridgePorts;
using interop::mqtt::BridgeRecord;
using interop::mqtt::Bridges;
using interop::mqtt::BridgeSecrets;

BridgeLinks::BridgeLinks(interop::mqtt::BridgeStore& store, const twin::TwinRegistry& twins,
                         stream::Pipeline& pipeline,
                         std::vector<interop::mqtt::MqttEndpoint*> endpoints, WorkerPool& workers,
                         Random& random, Metrics& metrics)
    : store_(store), pipeline_(pipeline), metrics_(metrics) {
  BridgePorts ports;
  ports.resolve = [&workers](const NetAddress& address,
                             std::function<void(Result<std::vector<NetAddress>>)> then) {
    const bool queued = workers.submit([address, then] { then(system_net().resolve(address)); });
    if (!queued) then(fail(ErrorCode::kResourceExhausted, "too much waits for the worker threads"));
  };
  ports.owns_device = [&twins](OrganisationId organisation, std::string_view device) {
    const twin::DevicePtr known = twins.device(device);
    return known && known->organisation == organisation;
  };
  std::vector<Bridges*> all;
  for (uint32_t i = 0; i < endpoints.size(); ++i) {
    bridges_.push_back(std::make_unique<Bridges>(pipeline.shard(i), *endpoints[i], random, metrics,
                                                 metrics_, board_, ports));
    bridges_.back()->attach();
    all.push_back(bridges_.back().get());
  }
  for (Bridges* each : all) each->set_siblings(all);
  store_.set_status([this](std::string_view name) { return board_.of(name); });
}

std::vector<interop::mqtt::MessageSender*> BridgeLinks::senders() const {
  std::vector<interop::mqtt::MessageSender*> all;
  for (const auto& bridges : bridges_) all.push_back(bridges.get());
  return all;
}

void BridgeLinks::start() {
  store_.subscribe(
      [this](const std::string& name, const BridgeRecord* now, const BridgeSecrets& secrets) {
        const auto record = now ? std::make_shared<const BridgeRecord>(*now) : nullptr;
        for (uint32_t i = 0; i < bridges_.size(); ++i)
          pipeline_.shard(i).post([bridges = bridges_[i].get(), name, record, secrets] {
            bridges->configure(name, record.get(), secrets);
          });
      });
}

}  // namespace penstock::app
