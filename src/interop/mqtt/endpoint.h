#pragma once
// MQTT on a shard: sockets on one side, the broker on the other, the shard's journal between
// publish and acknowledgement. One endpoint a shard; its thread only, unless said otherwise.

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/metrics.h"
#include "interop/mqtt/broker.h"
#include "interop/mqtt/dispatch.h"
#include "interop/mqtt/host.h"
#include "interop/tls.h"
#include "stream/shard.h"

namespace penstock::interop::mqtt {

/// Who may come in. Any thread; `done` is called once, on any thread, perhaps before authenticate
/// returns.
class Authenticator {
 public:
  using Outcome = tl::expected<std::shared_ptr<const Principal>, AuthFailure>;
  virtual ~Authenticator() = default;
  virtual void authenticate(const ConnectInfo& info, std::function<void(Outcome)> done) = 0;
};

/// One address that listens for MQTT. The TLS context outlives the endpoints.
struct ListenerOptions {
  NetAddress address;
  TlsContext* tls = nullptr;
  bool websocket = false;
  bool allow_anonymous =
      false;  ///< clients without credentials may do everything: for tests on loopback
};

/// A client in this process, such as a bridge's side towards us: speaks MQTT without a socket. All
/// calls on the shard's thread.
class InnerClient {
 public:
  virtual ~InnerClient() = default;
  /// Packets for it. Called from within the broker: it keeps them and answers later.
  virtual void on_inner_bytes(ByteView bytes) = 0;
  /// The broker has ended the connection; likewise.
  virtual void on_inner_closed() = 0;
  /// Bytes it has taken and not passed on: what holds the broker back.
  [[nodiscard]] virtual size_t inner_unsent() const = 0;
};

struct EndpointLimits {
  size_t connections_max = 100'000;                  ///< a shard
  Duration connect_timeout = Duration::seconds(10);  ///< from accept to CONNECT
  /// After the last packet to a client: until it has closed its side, so that it can read that
  /// packet.
  Duration linger = Duration::seconds(2);
  size_t unsent_bytes_high = 256 << 10;  ///< above: the socket is not read until its peer has read
  size_t unsent_bytes_low = 64 << 10;
  size_t batch_bytes_high = 8 << 20;  ///< waiting for the journal: no socket of the shard is read
};

class MqttEndpoint final : public stream::Endpoint, public Host {
 public:
  MqttEndpoint(stream::Shard& shard, Authenticator& authenticator, Metrics& metrics, Random& random,
               EndpointLimits limits, BrokerLimits broker_limits);
  ~MqttEndpoint() override;
  MqttEndpoint(const MqttEndpoint&) = delete;
  MqttEndpoint& operator=(const MqttEndpoint&) = delete;

  // -- before the shard starts
  /// Joins its shard: sessions are recovered, acknowledgements come.
  void attach() { number_ = shard_.add_endpoint(this); }
  /// Listens; every shard listens on the same address (SO_REUSEPORT). Returns the address with its
  /// real port.
  Result<NetAddress> listen(const ListenerOptions& options);
  void set_siblings(std::vector<MqttEndpoint*> all) { siblings_ = std::move(all); }

  /// Its messages are those that devices/{device}/… does not claim. Asked in the order of adding.
  void add_handler(MessageHandler* handler) { dispatch_.add(handler); }

  /// Publishes on behalf of the platform. The shard's thread; acknowledged when durable.
  void publish(std::string_view topic, ByteView payload, uint8_t qos, bool retain,
               std::function<void(bool delivered)> done);
  [[nodiscard]] size_t connections() const { return open_; }
  Broker& broker() { return *broker_; }
  /// Where messages go; bridges of this shard use it too.
  Dispatch& dispatch() { return dispatch_; }

  // -- clients in this process; the shard's thread, not from within InnerClient's calls
  /// `client` outlives the connection. The client id that it then sends must be at home here.
  ConnectionId open_inner(InnerClient& client, std::shared_ptr<const Principal> principal);
  void from_inner(ConnectionId id, ByteView bytes);
  /// What the client was given is passed on: the broker may go on.
  void inner_writable(ConnectionId id);
  void close_inner(ConnectionId id, std::string_view why);

  // -- stream::Endpoint
  [[nodiscard]] std::string_view section() const override { return "endpoint"; }
  void on_durable(std::span<const stream::DurableAck> acks, bool ok) override;
  void on_turn_end() override;
  void on_tick() override;
  void on_stop() override;
  void snapshot(Bytes& out) const override;
  Status restore(ByteView section, uint32_t shard) override;
  void replay(stream::RecordType type, ByteView body) override;

  // -- Host
  void send(ConnectionId connection, ByteView bytes) override;
  size_t unsent_bytes(ConnectionId connection) const override;
  void close(ConnectionId connection) override;
  void pause_reading(ConnectionId connection, bool pause) override;
  Timestamp now() const override { return shard_.now(); }
  int64_t monotonic_us() const override { return shard_.monotonic_us(); }
  Random& random() override { return random_; }
  void journal(ByteView body) override;
  void when_durable(std::function<void(bool ok)> then) override;
  void ack_when_durable(ConnectionId connection, uint8_t packet_type, uint16_t packet_id) override;
  void authenticate(const ConnectInfo& info,
                    std::function<void(Authenticator::Outcome)> then) override;
  bool may_publish(const Principal& sender, std::string_view topic) override;
  PublishOutcome on_publish(const Principal& sender, std::string_view topic, ByteView payload,
                            uint8_t qos) override;
  void on_presence(const Principal& principal, std::string_view client_id, bool connected,
                   std::string_view why) override;
  uint32_t shard() const override { return shard_.index(); }
  uint32_t shards() const override { return shard_.count(); }
  void post(uint32_t shard, std::shared_ptr<const Bytes> message) override;

 private:
  class Listener;
  class Connection;
  struct Wire;  // what moves between shards: socket, codecs, first bytes

  void accept_from(Listener& listener);
  void adopt(std::unique_ptr<Wire> wire);
  Connection* find(ConnectionId id) const;
  void read(Connection& connection);
  void on_plain(Connection& connection, ByteView bytes);
  void before_connect(Connection& connection, ByteView bytes);
  void hand_over(Connection& connection, uint32_t owner);
  void flush(Connection& connection);
  void send_plain(Connection& connection, ByteView plain);
  void transmit(Connection& connection, ByteView wire_bytes);
  void drop(Connection& connection, std::string_view why);
  void say_goodbye(Connection& connection);
  void linger(Connection& connection, const PollEvent& event);
  void remove(Connection& connection);
  void update_interest(Connection& connection);
  bool hold_if_congested(Connection& connection);
  void read_again();

  struct Inner {
    InnerClient* client = nullptr;
    std::shared_ptr<const Principal> principal;  // shared with its session
  };
  [[nodiscard]] const Inner* inner(ConnectionId id) const;

  stream::Shard& shard_;
  Authenticator& authenticator_;
  Random& random_;
  EndpointLimits limits_;
  std::unique_ptr<Broker> broker_;
  uint8_t number_ = 0;  // among the shard's endpoints
  Dispatch dispatch_;
  std::vector<MqttEndpoint*> siblings_;
  std::vector<std::unique_ptr<Listener>> listeners_;

  std::vector<std::unique_ptr<Connection>> slots_;
  std::unordered_map<uint64_t, Inner> inner_;  // ids with the highest bit
  uint64_t next_inner_ = 1ULL << 63;
  std::vector<uint32_t> generations_;
  std::vector<uint32_t> free_;
  size_t open_ = 0;
  std::vector<ConnectionId> dirty_;    // have something to write
  std::vector<ConnectionId> closing_;  // to be deleted at the end of the turn
  std::vector<ConnectionId> held_;     // not read until the journal has caught up
  std::vector<Bytes> buffers_;         // spare output buffers
  Bytes read_buffer_;
  Bytes plain_buffer_;

  Gauge& open_gauge_;
  Counter& accepted_;
  Counter& refused_limit_;
  Counter& timed_out_;
  Counter& tls_failed_;
  Counter& bytes_in_;
  Counter& bytes_out_;
  uint64_t bytes_in_turn_ = 0, bytes_out_turn_ = 0;
};

}  // namespace penstock::interop::mqtt
