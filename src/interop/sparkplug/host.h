#pragma once
// A Sparkplug 3.0 Host Application on a shard: the edge nodes that are at home here, their births,
// deaths and order, and what they report. The shard's thread only. Knows no transport: messages
// come from a MessageHandler's caller, answers go to a MessageSender.
//
// The rules are those of the specification's chapters 5 and 6; tests cite its assertions by their
// tck-id. docs/sparkplug.md says it for people, ADR 120 why.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/metrics.h"
#include "interop/mqtt/message_handler.h"
#include "interop/sparkplug/node.h"
#include "interop/sparkplug/topic.h"
#include "interop/sparkplug/values.h"
#include "stream/edge_nodes.h"
#include "stream/shard.h"

namespace penstock::interop::sparkplug {

struct HostOptions {
  std::string host_id = "penstock";
  /// How long a missing sequence number is waited for (tck-id-operational-behavior-host-reordering-
  /// param).
  Duration reorder_timeout = Duration::seconds(2);
  /// What is known from before is lost when it is not heard of for so long.
  Duration confirm_timeout = Duration::seconds(30);
  Duration rebirth_interval = Duration::seconds(5);      ///< between two requests to one node …
  Duration rebirth_interval_max = Duration::minutes(5);  ///< … doubled while it does not answer
  size_t nodes_max = 20'000;                             ///< a shard
  size_t devices_per_node_max = 2'000;
  size_t metrics_per_birth_max = 50'000;
  size_t metrics_per_node_max = 200'000;  ///< the node's and its devices'
  size_t held_messages_max = 128;         ///< a node; fewer than half the sequence numbers
  size_t held_bytes_max = 4U << 20;       ///< a node
  ValueLimits values;
};

class Host final : public stream::Endpoint, public mqtt::MessageHandler {
 public:
  Host(stream::Shard& shard, mqtt::MessageSender& sender, Metrics& metrics, HostOptions options);
  ~Host() override;
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  // -- before the shard starts
  /// Joins its shard. `all`: one host a shard, in their order.
  void attach(std::vector<Host*> all);

  // -- mqtt::MessageHandler
  bool on_message(const mqtt::InboundMessage& message) override;
  void on_link(std::string_view link, bool up) override;

  // -- what people ask
  void describe(OrganisationId organisation, std::vector<stream::EdgeNode>& out) const;
  Status ask_rebirth(OrganisationId organisation, std::string_view group, std::string_view node);
  /// Writes a metric of the last birth. `device` empty: the node's own. `value`: JSON text.
  Status write(OrganisationId organisation, std::string_view group, std::string_view node,
               std::string_view device, std::string_view metric, std::string_view value);

  /// Says on our own broker that this host is there, or goes: STATE, retained. One shard's host
  /// does it for all.
  void say_state(bool online);
  [[nodiscard]] uint32_t owner_of(std::string_view group, std::string_view node);

  // -- stream::Endpoint
  [[nodiscard]] std::string_view section() const override { return "sparkplug"; }
  void on_durable(std::span<const stream::DurableAck>, bool) override {}
  void on_turn_end() override {}
  void on_tick() override;
  void on_stop() override {}
  void snapshot(Bytes& out) const override;
  Status restore(ByteView section, uint32_t shard) override;
  void replay(stream::RecordType type, ByteView body) override;

 private:
  struct Counters;

  // -- messages (host.cpp)
  void begin();
  void take(Arrival arrival);
  void on_own_state(const mqtt::InboundMessage& message, const Topic& topic);
  Node* find(OrganisationId organisation, std::string_view group, std::string_view node);
  Node* find_or_make(const Arrival& arrival);
  void in_sequence(Node& node, const Arrival& arrival);
  bool hold(Node& node, const Arrival& arrival);
  void release_held(Node& node);
  void give_up_gap(Node& node);
  void settle(Node& node, std::vector<uint8_t> seqs);
  void process_held(Node& node, const Held& held);
  void process(Node& node, const Arrival& arrival);
  void refuse(const Arrival& arrival, std::string_view device, std::string_view reason);
  void ask(Node& node, Rebirth reason);

  // -- births, deaths, data (host_session.cpp)
  enum class Kind : uint8_t { kData, kBirth, kFirstBirth };
  void on_node_birth(Node& node, const Arrival& arrival);
  void on_node_death(Node& node, const Arrival& arrival);
  void on_device_birth(Node& node, const Arrival& arrival);
  void on_device_death(Node& node, const Arrival& arrival);
  void on_data(Node& node, const Arrival& arrival);
  bool learn(Node& node, Source& source, const Arrival& arrival);
  void report(Node& node, Source& source, const Arrival& arrival, Kind kind);
  void confirm_again(const Source& source, const Arrival& arrival);
  void lose(Node& node, Source& source, Timestamp when, std::string_view why);
  void lose_node(Node& node, Timestamp when, std::string_view why);
  void unconfirm(Source& source) const;
  void show_presence(const Node& node, Source& source, bool online, std::string_view why);
  void check_timers(Node& node);

  // -- what survives (host_state.cpp)
  enum class Record : uint8_t;
  void journal(Record kind, const Arrival& arrival);
  void write_node(Bytes& out, const Node& node) const;
  bool read_node(ByteReader& in);
  void replay_settled(ByteReader& in);
  void replay_birth(Node& node, const Arrival& arrival);
  [[nodiscard]] bool at_home(std::string_view group, std::string_view node);

  stream::Shard& shard_;
  mqtt::MessageSender& sender_;
  HostOptions options_;
  std::unique_ptr<Counters> count_;
  std::vector<Host*> siblings_;
  std::map<NodeKey, std::unique_ptr<Node>, NodeKeyLess> nodes_;
  std::unordered_map<std::string, uint32_t> owners_;  // "group/node" -> shard; a cache
  MetricValues values_;
  std::vector<stream::WireValue> again_;  // reused
  std::string origin_, key_, text_;       // reused
  uint64_t state_timestamp_ms_ = 0;
  bool says_state_ = false;
  bool begun_ = false;
};

}  // namespace penstock::interop::sparkplug
