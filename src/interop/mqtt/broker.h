#pragma once
// The MQTT server of one shard: protocol state of the connections placed here and of the sessions
// that are at home here. Speaks to the world through Host only. The shard's thread.
//
// Durability: a session with an expiry interval survives kill -9. What it must remember is
// journalled before the acknowledgement that promises it; docs/mqtt-conformance.md lists the
// records.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/metrics.h"
#include "interop/mqtt/codec.h"
#include "interop/mqtt/host.h"
#include "interop/mqtt/session.h"
#include "interop/mqtt/subscription_index.h"
#include "interop/mqtt/topic.h"

namespace penstock::interop::mqtt {

struct BrokerLimits {
  size_t packet_size_max = 1 << 20;
  size_t connect_size_max = 64 << 10;
  TopicLimits topics;
  size_t sessions_max = 100'000;
  size_t subscriptions_per_session_max = 1000;
  size_t queued_messages_max = 10'000;  ///< a session
  size_t queued_bytes_max = 16 << 20;   ///< a session
  size_t unsent_bytes_max = 1 << 20;  ///< a connection; above, QoS 0 is dropped and the rest queued
  uint16_t in_flight_max = 1000;      ///< QoS 1 and 2 to a 3.1.1 client without an acknowledgement
  uint16_t receive_maximum = 1000;    ///< what a 5.0 client may have open towards us
  uint16_t topic_alias_maximum = 10;  ///< each way
  uint32_t session_expiry_max_s =
      7 * 86'400;  ///< longer ones are shortened, and the client is told
  uint16_t keep_alive_max_s = 3600;
  size_t retained_messages_max = 100'000;
  size_t retained_bytes_max = 64 << 20;
  size_t user_properties_max = 64;  ///< a packet
};

/// What the transport knows of the other end.
struct PeerInfo {
  std::string address;
  std::string certificate_subject;
  Timestamp certificate_expires;
  bool allow_anonymous = false;
};

/// The shard a client's session is at home on.
uint32_t home_shard(std::string_view client_id, uint32_t shards);

class Broker {
 public:
  Broker(Host& host, BrokerLimits limits, Metrics& metrics);
  ~Broker();
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  void on_open(ConnectionId id, PeerInfo peer);
  /// Bytes from the wire, in any pieces.
  void on_bytes(ConnectionId id, ByteView bytes);
  /// The connection is gone, without our doing.
  void on_closed(ConnectionId id, std::string_view why);
  /// Its socket has taken all that was queued.
  void on_writable(ConnectionId id);
  /// An acknowledgement of ack_when_durable went out.
  void on_acknowledged(ConnectionId id, uint8_t packet_type, uint16_t packet_id);
  /// About every 100 ms.
  void on_tick();
  void on_stop();
  void on_message(uint32_t from_shard, ByteView bytes);

  /// For commands and the like. `done(delivered)`: once durable; true where a connected client was
  /// addressed. A retained message that finds no room is delivered, not kept, and counted.
  void publish_from_platform(std::string_view topic, ByteView payload, uint8_t qos, bool retain,
                             std::function<void(bool)> done);

  /// Ends the connections of a device whose credentials no longer hold. Its sessions stay.
  void disconnect_device(std::string_view device);

  void snapshot(Bytes& out) const;
  [[nodiscard]] Status restore(ByteView section, uint32_t shard);
  void replay(ByteView record);

  [[nodiscard]] size_t sessions() const { return sessions_.size(); }
  [[nodiscard]] size_t retained() const { return retained_.size(); }

 private:
  struct Connection;
  struct Counters;
  struct Target;
  enum class Record : uint8_t;
  enum class Wire : uint8_t;

  // -- connections (broker.cpp)
  Connection* find(ConnectionId id);
  size_t take_packets(Connection& c, ByteView bytes);
  void handle(Connection& c, const Frame& frame);
  void on_connect(Connection& c, const Frame& frame);
  void on_authenticated(ConnectionId id,
                        tl::expected<std::shared_ptr<const Principal>, AuthFailure> outcome);
  void refuse_connect(Connection& c, Reason reason);
  void open_session(Connection& c);
  [[nodiscard]] bool send_connack(Connection& c, bool session_present);
  void protocol_failure(Connection& c, Reason reason);
  void disconnect(Connection& c, Reason reason, bool with_will);
  void end_connection(Connection& c, bool with_will, std::string_view why);
  void on_disconnect(Connection& c, const Frame& frame);

  // -- publishing (broker_publish.cpp)
  void on_publish(Connection& c, const Frame& frame);
  bool resolve_alias(Connection& c, Publish& p);
  void accept_publish(Connection& c, const Publish& p);
  void acknowledge_publish(Connection& c, const Publish& p, Reason reason, bool journalled);
  MessagePtr make_message(const Publish& p, std::string_view publisher);
  /// Finds who wants it and hands it out; what must survive is journalled first. True where anybody
  /// wants it.
  bool route(const MessagePtr& message);
  void collect_targets(std::string_view topic, std::string_view publisher,
                       std::vector<Target>& targets);
  static void add_shared(const SubscriptionIndex::Entry& entry, std::vector<Target>& targets);
  void pass_on(const std::vector<Delivery>& left);
  void journal_publish(const Message& message, const std::vector<Target>& targets,
                       bool from_retained);
  void hand_out(const MessagePtr& message, std::vector<Target>& targets);
  void dispatch(const MessagePtr& message, const std::vector<Target>& targets);
  [[nodiscard]] bool retained_fits(const Publish& p) const;
  void set_retained(const MessagePtr& message, bool tell_others);
  void deliver(Session& session, Delivery delivery);
  void pump(Session& session);
  [[nodiscard]] Properties properties_for(const Delivery& delivery) const;
  [[nodiscard]] bool fits(const Connection& c, const Delivery& delivery) const;
  static void use_alias(Connection& c, PublishHeader& header, Properties& properties,
                        ByteView payload);
  void transmit(Connection& c, const Delivery& delivery, uint16_t packet_id, bool dup);
  static void begin_resend(Session& session);
  void resend(Session& session, Connection& c);
  void on_puback(Connection& c, const Frame& frame);
  void on_pubrec(Connection& c, const Frame& frame);
  void on_pubrel(Connection& c, const Frame& frame);
  void on_pubcomp(Connection& c, const Frame& frame);
  void finish_in_flight(Session& session, uint16_t packet_id);
  void remove_in_flight(Session& session, uint16_t packet_id);

  // -- subscriptions (broker_subscribe.cpp)
  void on_subscribe(Connection& c, const Frame& frame);
  void on_unsubscribe(Connection& c, const Frame& frame);
  void index_subscription(const Session& session, std::string_view filter,
                          const SubscriptionOptions& options);
  void revoke_subscriptions(Session& session);
  bool drop_subscription(Session& session, std::string_view filter);
  void unindex_subscription(std::string_view client_id, std::string_view filter);
  void send_retained(Session& session, std::string_view filter, const SubscriptionOptions& options);
  void publish_sys();

  // -- sessions and what survives (broker_state.cpp)
  Session& make_session(const std::string& client_id);
  void end_session(const std::string& client_id);
  void fire_will(Session& session);
  void expire_sessions();
  void away_since(Session& session, Timestamp since) const;
  void tell_shards(ByteView message);
  void tell_facts(const Session& session);
  void journal(Record record, std::string_view client_id,
               const std::function<void(Bytes&)>& fill = {});
  void write_session(Bytes& out, const Session& session) const;
  bool read_session(ByteReader& in);
  bool at_home(std::string_view client_id) const;

  Host& host_;
  BrokerLimits limits_;
  std::unique_ptr<Counters> count_;
  std::unordered_map<uint64_t, std::unique_ptr<Connection>> connections_;
  std::unordered_map<std::string, std::unique_ptr<Session>> sessions_;  // at home here
  std::unordered_map<std::string, std::shared_ptr<Subscriber>>
      subscribers_;  // of all shards, as the index knows them
  SubscriptionIndex index_;
  std::map<std::string, MessagePtr, std::less<>> retained_;
  size_t retained_bytes_ = 0;
  uint64_t next_message_id_ = 0;
  int64_t next_second_us_ = 0;
  int64_t next_due_us_ = 0;  ///< no session or will of who is away is due before
  int64_t started_us_ = 0;
  uint32_t sys_countdown_ = 1;
  bool replaying_ = false;
  Publish publish_;  // reused, so that its vectors keep their memory
  Bytes scratch_;
  std::vector<Target> targets_;  // likewise
};

}  // namespace penstock::interop::mqtt
