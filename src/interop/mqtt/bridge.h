#pragma once
// One bridge: Penstock as a client of another broker. Lives on one shard; its thread only.
//
// Towards the other broker it keeps a session: what it takes is acknowledged only when durable, and
// what comes again is known (bridge_memory.h). Towards our own it is a client too, without a
// socket: that session is its durable, bounded queue of what the other broker is to get.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "interop/mqtt/bridge_config.h"
#include "interop/mqtt/bridge_memory.h"
#include "interop/mqtt/client_codec.h"
#include "interop/mqtt/endpoint.h"

namespace penstock::interop::mqtt {

struct BridgeLimits {
  Duration connect_timeout = Duration::seconds(15);  ///< TCP, TLS and CONNACK together
  Duration retry_min = Duration::millis(500);        ///< doubles, with jitter …
  Duration retry_max = Duration::seconds(30);        ///< … up to this
  size_t packet_size_max = 4 << 20;
  size_t unsent_bytes_high = 256 << 10;  ///< more waits in the session towards our own broker
  size_t batch_bytes_high = 8 << 20;     ///< waiting for the journal: the socket is not read
  size_t direct_messages_max = 1000;     ///< of send(), while the other broker is away
};

/// What bridges need of the rest.
struct BridgeContext {
  stream::Shard& shard;
  MqttEndpoint& endpoint;
  Random& random;
  BridgeLimits limits;
  /// Asks for the numeric addresses of a name; the answer comes to on_resolved().
  std::function<void(uint32_t bridge, uint32_t attempt, const NetAddress&)> resolve;
  /// Whether a device belongs to an organisation: what a bridge may carry outwards.
  std::function<bool(OrganisationId, std::string_view device)> owns_device;
  /// Its connection is ready for use, or gone. Not from within calls of it.
  std::function<void(std::string_view link, bool up)> on_link;
  uint8_t endpoint_number = 0;  ///< among the shard's, for acknowledgements
  Bytes read_buffer;            ///< of whoever reads
};

/// Of all bridges together.
struct BridgeMetrics {
  explicit BridgeMetrics(Metrics& metrics);
  Counter &in, &out, &unmatched, &redelivered, &retained, &dropped_out, &connects, &failures;
};

class Bridge final : public stream::Reactor::Handler, public InnerClient {
 public:
  /// `number`: unique on the shard, never used again.
  Bridge(BridgeContext& context, BridgeMetrics& metrics, uint32_t number,
         std::shared_ptr<BridgeMemory> memory, BridgeRecord record, BridgeSecrets secrets);
  ~Bridge() override;
  Bridge(const Bridge&) = delete;
  Bridge& operator=(const Bridge&) = delete;

  [[nodiscard]] uint32_t number() const { return number_; }
  [[nodiscard]] const std::string& name() const { return record_.config.name; }
  /// New settings: the connection is made anew.
  void apply(BridgeRecord record, BridgeSecrets secrets);
  void on_tick();
  void on_turn_end();
  void on_durable(const stream::DurableAck& ack, bool ok);
  /// Says goodbye to the other broker, which keeps the session.
  void stop();
  /// For good: our own broker keeps nothing for it any more.
  void retire();
  /// Publishes on the other broker. QoS 0 is dropped while it is away; the rest waits in memory,
  /// bounded, and is sent until it is acknowledged.
  void send(std::string_view topic, ByteView payload, uint8_t qos, bool retain);
  [[nodiscard]] const BridgeStatus& status() const { return status_; }
  void on_resolved(uint32_t attempt, Result<std::vector<NetAddress>> addresses);

  // -- stream::Reactor::Handler, InnerClient
  void on_event(const PollEvent& event) override;
  void on_inner_bytes(ByteView bytes) override;
  void on_inner_closed() override;
  [[nodiscard]] size_t inner_unsent() const override;

 private:
  enum class Phase : uint8_t { kIdle, kResolving, kConnecting, kTls, kConnack, kOpen };

  // -- the connection (bridge.cpp)
  void begin();
  void dial(const NetAddress& address);
  void on_dialled();
  void fail_with(std::string why);
  void say_goodbye();
  void drop();
  void wait_for_retry();
  void set_state(BridgeStatus::State state);
  void read();
  void on_plain(ByteView bytes);
  void say_connect();
  void transmit(ByteView plain);
  void flush();
  void update_interest();
  bool hold_if_congested();
  void check_times();

  // -- packets of the other broker (bridge_packets.cpp)
  void on_packet(const Frame& frame);
  void on_connack(const Frame& frame);
  void on_publish(const Frame& frame);
  void on_pubrel(const Frame& frame);
  void on_puback(const Frame& frame);
  void on_suback(const Frame& frame);
  void subscribe(bool session_present);
  void ready();
  void take(const Publish& p);
  void acknowledge_when_durable(PacketType type, uint16_t packet_id);

  // -- towards our own broker (bridge_local.cpp)
  void prepare_local();
  void open_local();
  void end_local();
  void connect_local(Connect& packet);
  void close_local(std::string_view why);
  void drain_local();
  void on_local_packet(const Frame& frame);
  void on_local_publish(const Publish& p);
  void acknowledge_local(uint16_t local_id);
  void send_direct();
  uint16_t new_packet_id();

  BridgeContext& context_;
  BridgeMetrics& metrics_;
  const uint32_t number_;
  std::shared_ptr<BridgeMemory> memory_;  // shared with Bridges, which snapshots it
  BridgeRecord record_;
  BridgeSecrets secrets_;
  BridgeStatus status_;

  Phase phase_ = Phase::kIdle;
  uint32_t attempt_ = 0;   // of this bridge, ever: answers to an older one are late
  uint32_t failures_ = 0;  // in a row
  int64_t next_attempt_us_ = 0, connect_by_us_ = 0;
  int64_t heard_us_ = 0, said_us_ = 0, pinged_us_ = 0;
  uint16_t keep_alive_s_ = 0;
  SocketHandle socket_ = kNoSocket;
  stream::Reactor::Registration registration_ = 0;
  std::unique_ptr<TlsClientContext> tls_context_;
  std::unique_ptr<TlsSession> tls_;
  uint8_t interest_ = 0;
  bool held_ = false;  // the journal is behind
  Bytes in_, out_;
  uint8_t maximum_qos_ = 2;
  bool retain_available_ = true;
  uint32_t packet_size_max_ = 0;     // of the other broker; 0: none
  std::vector<std::string> wanted_;  // filters of the SUBSCRIBE on its way
  bool up_told_ = false;

  ConnectionId local_;
  bool local_closed_ = false, local_prepared_ = false;
  Bytes local_in_;
  uint16_t next_id_ = 0;
  struct Outgoing {
    uint16_t local_id = 0;  // 0: of send()
    size_t direct = 0;      // which one of send()
  };
  std::map<uint16_t, Outgoing> outgoing_;
  struct Direct {
    size_t number = 0;
    std::string topic;
    Bytes payload;
    bool retain = false, sent = false;
  };
  std::deque<Direct> direct_;
  size_t next_direct_ = 0;
  Publish publish_;  // reused
  Bytes scratch_;
};

}  // namespace penstock::interop::mqtt
