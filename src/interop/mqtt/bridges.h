#pragma once
// The bridges of one shard, beside its MQTT endpoint. A bridge is at home where its session towards
// our own broker is: home_shard("bridge/" + name).

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "interop/mqtt/bridge.h"

namespace penstock::interop::mqtt {

/// How all bridges are doing, for people. Any thread.
class BridgeBoard {
 public:
  void put(const std::string& name, const BridgeStatus& status);
  void erase(const std::string& name);
  [[nodiscard]] BridgeStatus of(std::string_view name) const;
  [[nodiscard]] std::map<std::string, BridgeStatus, std::less<>> all() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, BridgeStatus, std::less<>> statuses_;
};

/// What Bridges need of the rest; any thread calls these from a shard.
struct BridgePorts {
  /// Looks up a host's addresses on a thread that may wait; `then` on any thread.
  std::function<void(const NetAddress&, std::function<void(Result<std::vector<NetAddress>>)> then)>
      resolve;
  std::function<bool(OrganisationId, std::string_view device)> owns_device;
};

class Bridges final : public stream::Endpoint, public MessageSender {
 public:
  Bridges(stream::Shard& shard, MqttEndpoint& endpoint, Random& random, Metrics& metrics,
          BridgeMetrics& bridge_metrics, BridgeBoard& board, BridgePorts ports,
          BridgeLimits limits = {});
  ~Bridges() override;
  Bridges(const Bridges&) = delete;
  Bridges& operator=(const Bridges&) = delete;

  // -- before the shard starts
  /// Joins its shard, after the MQTT endpoint: recovery gives what bridges remember.
  void attach() { context_.endpoint_number = context_.shard.add_endpoint(this); }
  void set_siblings(std::vector<Bridges*> all) { siblings_ = std::move(all); }

  // -- the shard's thread
  /// A bridge as it is to be from now on; null: it is gone, with what it remembered.
  void configure(const std::string& name, const BridgeRecord* record, const BridgeSecrets& secrets);

  // -- MessageSender: to our own broker where `link` is empty
  void send(std::string_view link, std::string_view topic, ByteView payload, uint8_t qos,
            bool retain) override;

  // -- stream::Endpoint
  [[nodiscard]] std::string_view section() const override { return "bridges"; }
  void on_durable(std::span<const stream::DurableAck> acks, bool ok) override;
  void on_turn_end() override;
  void on_tick() override;
  void on_stop() override;
  void snapshot(Bytes& out) const override;
  Status restore(ByteView section, uint32_t shard) override;
  void replay(stream::RecordType type, ByteView body) override;

 private:
  [[nodiscard]] uint32_t home_of(std::string_view name) const;
  [[nodiscard]] Bridge* find(uint32_t number);
  std::shared_ptr<BridgeMemory>& memory_of(std::string_view name);

  BridgeContext context_;
  BridgeMetrics& metrics_;
  BridgeBoard& board_;
  BridgePorts ports_;
  Gauge& connected_;
  std::vector<Bridges*> siblings_;
  std::map<std::string, std::unique_ptr<Bridge>, std::less<>> bridges_;
  // shared_ptr: a bridge uses it, and it outlives one that is made anew
  std::map<std::string, std::shared_ptr<BridgeMemory>, std::less<>> memories_;
  uint32_t next_number_ = 1;
};

}  // namespace penstock::interop::mqtt
