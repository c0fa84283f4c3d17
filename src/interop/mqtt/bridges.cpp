#include "interop/mqtt/bridges.h"

#include <algorithm>

#include "base/log.h"

namespace penstock::interop::mqtt {
namespace {

constexpr uint32_t kSectionVersion = 1;
constexpr size_t kReadBuffer = 64 << 10;

}  // namespace

void BridgeBoard::put(const std::string& name, const BridgeStatus& status) {
  const std::lock_guard lock(mutex_);
  statuses_[name] = status;
}

void BridgeBoard::erase(const std::string& name) {
  const std::lock_guard lock(mutex_);
  statuses_.erase(name);
}

BridgeStatus BridgeBoard::of(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto known = statuses_.find(name);
  return known == statuses_.end() ? BridgeStatus{} : known->second;
}

std::map<std::string, BridgeStatus, std::less<>> BridgeBoard::all() const {
  const std::lock_guard lock(mutex_);
  return statuses_;
}

Bridges::Bridges(stream::Shard& shard, MqttEndpoint& endpoint, Random& random, Metrics& metrics,
                 BridgeMetrics& bridge_metrics, BridgeBoard& board, BridgePorts ports,
                 BridgeLimits limits)
    : context_{shard, endpoint, random, limits, {}, ports.owns_device, {}, 0, Bytes(kReadBuffer)},
      metrics_(bridge_metrics),
      board_(board),
      ports_(std::move(ports)),
      connected_(metrics.gauge("penstock_bridges_connected", "Bridges with an open connection",
                               {{"shard", std::to_string(shard.index())}})) {
  context_.resolve = [this](uint32_t number, uint32_t attempt, const NetAddress& address) {
    ports_.resolve(address, [this, number, attempt](Result<std::vector<NetAddress>> addresses) {
      context_.shard.post([this, number, attempt, addresses = std::move(addresses)] {
        if (Bridge* bridge = find(number)) bridge->on_resolved(attempt, addresses);
      });
    });
  };
  context_.on_link = [this](std::string_view link, bool up) {
    for (Bridges* each : siblings_)
      each->context_.shard.post([each, name = std::string(link), up] {
        each->context_.endpoint.dispatch().link_changed(name, up);
      });
  };
}

Bridges::~Bridges() = default;

uint32_t Bridges::home_of(std::string_view name) const {
  return home_shard("bridge/" + std::string(name), context_.shard.count());
}

Bridge* Bridges::find(uint32_t number) {
  for (const auto& [name, bridge] : bridges_)
    if (bridge->number() == number) return bridge.get();
  return nullptr;
}

std::shared_ptr<BridgeMemory>& Bridges::memory_of(std::string_view name) {
  const auto known = memories_.find(name);
  if (known != memories_.end()) return known->second;
  return memories_.emplace(std::string(name), std::make_shared<BridgeMemory>()).first->second;
}

void Bridges::configure(const std::string& name, const BridgeRecord* record,
                        const BridgeSecrets& secrets) {
  if (home_of(name) != context_.shard.index()) return;
  const auto known = bridges_.find(name);
  if (!record) {
    memories_.erase(name);
    board_.erase(name);
    if (known == bridges_.end()) return;
    known->second->retire();
    bridges_.erase(known);
    return;
  }
  if (known != bridges_.end()) {
    known->second->apply(*record, secrets);
  } else {
    bridges_[name] = std::make_unique<Bridge>(context_, metrics_, next_number_++, memory_of(name),
                                              *record, secrets);
  }
  board_.put(name, bridges_[name]->status());
}

void Bridges::send(std::string_view link, std::string_view topic, ByteView payload, uint8_t qos,
                   bool retain) {
  if (link.empty()) return context_.endpoint.publish(topic, payload, qos, retain, [](bool) {});
  const uint32_t home = home_of(link);
  if (home != context_.shard.index()) {
    Bridges* there = siblings_[home];
    there->context_.shard.post([there, link = std::string(link), topic = std::string(topic),
                                payload = Bytes(payload.begin(), payload.end()), qos,
                                retain] { there->send(link, topic, payload, qos, retain); });
    return;
  }
  if (const auto bridge = bridges_.find(link); bridge != bridges_.end())
    bridge->second->send(topic, payload, qos, retain);
  else
    metrics_.dropped_out.add();
}

// -- stream::Endpoint

void Bridges::on_durable(std::span<const stream::DurableAck> acks, bool ok) {
  Bridge* bridge = nullptr;
  for (const stream::DurableAck& ack : acks) {
    const auto number = static_cast<uint32_t>(ack.connection >> 32);
    if (!bridge || bridge->number() != number) bridge = find(number);
    if (bridge) bridge->on_durable(ack, ok);
  }
}

void Bridges::on_turn_end() {
  for (const auto& [name, bridge] : bridges_) bridge->on_turn_end();
}

void Bridges::on_tick() {
  size_t connected = 0;
  for (const auto& [name, bridge] : bridges_) {
    bridge->on_tick();
    connected += bridge->status().state == BridgeStatus::State::kConnected;
    board_.put(name, bridge->status());
  }
  connected_.set(static_cast<double>(connected));
}

void Bridges::on_stop() {
  for (const auto& [name, bridge] : bridges_) bridge->stop();
}

void Bridges::snapshot(Bytes& out) const {
  append_le<uint32_t>(out, kSectionVersion);
  append_le<uint32_t>(out, static_cast<uint32_t>(memories_.size()));
  for (const auto& [name, memory] : memories_) {
    append_text(out, name);
    memory->snapshot(out);
  }
}

Status Bridges::restore(ByteView section, uint32_t) {
  ByteReader in(section);
  const auto version = in.le<uint32_t>();
  if (version != kSectionVersion)
    return fail(ErrorCode::kUnsupported,
                "the checkpoint's bridges were written by another version of Penstock");
  for (auto left = in.le<uint32_t>(); left > 0 && in.ok(); --left) {
    const std::string name(in.text());
    BridgeMemory passed_over;
    const bool here = home_of(name) == context_.shard.index();
    if (!(here ? *memory_of(name) : passed_over).restore(in)) break;
  }
  if (!in.ok()) return fail(ErrorCode::kCorrupt, "the checkpoint's bridges end early");
  return {};
}

void Bridges::replay(stream::RecordType type, ByteView body) {
  if (type != stream::RecordType::kMqtt || !BridgeMemory::is_record(body)) return;
  const std::string_view name = BridgeMemory::bridge_of(body);
  if (home_of(name) == context_.shard.index()) memory_of(name)->replay(body);
}

}  // namespace penstock::interop::mqtt
