#include "interop/mqtt/endpoint.h"

#include <algorithm>

#include "base/check.h"
#include "base/log.h"
#include "interop/mqtt/websocket.h"

namespace penstock::interop::mqtt {
namespace {

constexpr size_t kReadBuffer = 128 << 10;
constexpr size_t kSpareBuffers = 256;
constexpr size_t kSpareBufferMax = 64 << 10;
constexpr int kAcceptsPerTurn = 64;

}  // namespace

class MqttEndpoint::Listener final : public stream::Reactor::Handler {
 public:
  Listener(MqttEndpoint& endpoint, ListenerOptions chosen, SocketHandle listening)
      : options(std::move(chosen)), socket(listening), endpoint_(endpoint) {}
  void on_event(const PollEvent&) override { endpoint_.accept_from(*this); }

  ListenerOptions options;
  SocketHandle socket;
  stream::Reactor::Registration registration = 0;

 private:
  MqttEndpoint& endpoint_;
};

struct MqttEndpoint::Wire {
  SocketHandle socket = kNoSocket;
  size_t listener = 0;  // the same index on every shard
  std::unique_ptr<TlsSession> tls;
  std::unique_ptr<WebSocket> websocket;
  Bytes first;   // plain bytes that came before the owner was known
  Bytes unsent;  // wire bytes the socket has not taken
};

class MqttEndpoint::Connection final : public stream::Reactor::Handler {
 public:
  Connection(MqttEndpoint& endpoint, std::unique_ptr<Wire> taken)
      : wire(std::move(taken)), endpoint_(endpoint) {}
  void on_event(const PollEvent& event) override {
    if (lingering) return endpoint_.linger(*this, event);
    if (event.writable) endpoint_.flush(*this);
    if ((event.readable || event.hung_up) && !closing) endpoint_.read(*this);
  }

  ConnectionId id;
  std::unique_ptr<Wire> wire;
  stream::Reactor::Registration registration = 0;
  int64_t connect_by_us = 0;  // 0 once the broker has it
  bool with_broker = false;
  bool paused = false;  // by the broker
  bool held = false;    // by the journal
  bool choked = false;  // its own unsent bytes
  bool dirty = false;
  bool closing = false;    // nothing more is said to it
  bool peer_gone = false;  // nor heard
  bool lingering = false;  // what was said is on its way; only the peer's end is waited for
  int64_t linger_until_us = 0;
  bool handshake_seen = false;

 private:
  MqttEndpoint& endpoint_;
};

MqttEndpoint::MqttEndpoint(stream::Shard& shard, Authenticator& authenticator, Metrics& metrics,
                           Random& random, EndpointLimits limits, BrokerLimits broker_limits)
    : shard_(shard),
      authenticator_(authenticator),
      random_(random),
      limits_(limits),
      dispatch_(shard),
      read_buffer_(kReadBuffer),
      open_gauge_(metrics.gauge("penstock_mqtt_connections", "Open MQTT connections",
                                {{"shard", std::to_string(shard.index())}})),
      accepted_(metrics.counter("penstock_mqtt_accepted_total", "Sockets accepted")),
      refused_limit_(
          metrics.counter("penstock_mqtt_refused_total", "Sockets refused", {{"reason", "limit"}})),
      timed_out_(metrics.counter("penstock_mqtt_refused_total", "Sockets refused",
                                 {{"reason", "no_connect"}})),
      tls_failed_(
          metrics.counter("penstock_mqtt_refused_total", "Sockets refused", {{"reason", "tls"}})),
      bytes_in_(metrics.counter("penstock_mqtt_received_bytes_total", "Bytes read from sockets")),
      bytes_out_(metrics.counter("penstock_mqtt_sent_bytes_total", "Bytes written to sockets")) {
  broker_ = std::make_unique<Broker>(*this, broker_limits, metrics);
}

MqttEndpoint::~MqttEndpoint() {
  for (auto& listener : listeners_) shard_.reactor().net().close(listener->socket);
  for (auto& connection : slots_)
    if (connection && connection->wire) shard_.reactor().net().close(connection->wire->socket);
}

Result<NetAddress> MqttEndpoint::listen(const ListenerOptions& options) {
  Net& net = shard_.reactor().net();
  TRY_ASSIGN(const SocketHandle socket, net.listen(options.address, true));
  auto& listener = listeners_.emplace_back(std::make_unique<Listener>(*this, options, socket));
  TRY_ASSIGN(listener->registration, shard_.reactor().add(socket, kReadable, *listener));
  return net.local_address(socket);
}

// -- connections come and go

void MqttEndpoint::accept_from(Listener& listener) {
  Net& net = shard_.reactor().net();
  const auto index =
      static_cast<size_t>(std::find_if(listeners_.begin(), listeners_.end(),
                                       [&](const auto& l) { return l.get() == &listener; }) -
                          listeners_.begin());
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    const auto socket = net.accept(listener.socket);
    if (!socket) {
      refused_limit_.add();
      return;
    }
    if (*socket == kNoSocket) return;
    if (open_ >= limits_.connections_max) {
      refused_limit_.add();
      net.close(*socket);
      continue;
    }
    accepted_.add();
    auto wire = std::make_unique<Wire>();
    wire->socket = *socket;
    wire->listener = index;
    if (listener.options.tls) wire->tls = std::make_unique<TlsSession>(*listener.options.tls);
    if (listener.options.websocket) wire->websocket = std::make_unique<WebSocket>();
    adopt(std::move(wire));
  }
}

void MqttEndpoint::adopt(std::unique_ptr<Wire> wire) {
  uint32_t slot = 0;
  if (free_.empty()) {
    slot = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
    generations_.push_back(0);
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  auto connection = std::make_unique<Connection>(*this, std::move(wire));
  connection->id = ConnectionId((static_cast<uint64_t>(++generations_[slot]) << 32) | slot);
  connection->connect_by_us = shard_.monotonic_us() + limits_.connect_timeout.us;
  auto registration = shard_.reactor().add(connection->wire->socket, kReadable, *connection);
  if (!registration) {
    log_error("mqtt", "cannot watch a socket: {}", registration.error().text());
    shard_.reactor().net().close(connection->wire->socket);
    free_.push_back(slot);
    return;
  }
  connection->registration = *registration;
  Connection& placed = *connection;
  slots_[slot] = std::move(connection);
  ++open_;
  if (!placed.wire->unsent.empty()) transmit(placed, {});
  if (placed.wire->first.empty()) return;
  const Bytes first = std::exchange(placed.wire->first, {});
  before_connect(placed, first);  // handed over by another shard
}

MqttEndpoint::Connection* MqttEndpoint::find(ConnectionId id) const {
  const auto slot = static_cast<uint32_t>(id.value);
  if (slot >= slots_.size() || !slots_[slot] || slots_[slot]->id != id) return nullptr;
  return slots_[slot].get();
}

// The socket is gone or unwanted. What is queued is still offered to it at the end of the turn.
void MqttEndpoint::drop(Connection& connection, std::string_view why) {
  if (connection.closing) return;
  connection.closing = true;
  closing_.push_back(connection.id);
  if (connection.with_broker) {
    connection.with_broker = false;
    broker_->on_closed(connection.id, why);
  }
}

void MqttEndpoint::close(ConnectionId id) {
  Connection* connection = find(id);
  if (!connection && inner(id)) {
    InnerClient* const client = inner(id)->client;
    inner_.erase(id.value);
    client->on_inner_closed();
    return;
  }
  if (!connection || connection->closing) return;
  connection->with_broker = false;  // the broker knows
  drop(*connection, {});
}

// -- reading

// The journal is behind: this socket waits. True: it must not be read now.
bool MqttEndpoint::hold_if_congested(Connection& connection) {
  if (connection.held) return true;
  if (connection.closing || shard_.pending_bytes() <= limits_.batch_bytes_high) return false;
  connection.held = true;
  held_.push_back(connection.id);
  update_interest(connection);
  return true;
}

void MqttEndpoint::read(Connection& connection) {
  // Before reading: many sockets that are ready in one turn must not fill a batch without end.
  if (hold_if_congested(connection)) return;
  const IoOutcome outcome = shard_.reactor().net().read(connection.wire->socket, read_buffer_);
  if (outcome.kind == IoOutcome::Kind::kWouldBlock) return;
  if (outcome.kind != IoOutcome::Kind::kDone) {
    connection.peer_gone = true;
    drop(connection,
         outcome.kind == IoOutcome::Kind::kClosed ? "closed by peer" : "connection lost");
    return;
  }
  bytes_in_turn_ += outcome.bytes;
  const ByteView wire(read_buffer_.data(), outcome.bytes);
  if (!connection.wire->tls) {
    on_plain(connection, wire);
    return;
  }
  plain_buffer_.clear();
  Bytes reply;
  const Status status = connection.wire->tls->on_wire(wire, plain_buffer_, reply);
  if (!reply.empty()) transmit(connection, reply);
  if (!status) {
    if (!connection.handshake_seen) tls_failed_.add();
    drop(connection, status.error().message);
    return;
  }
  connection.handshake_seen = connection.handshake_seen || connection.wire->tls->handshake_done();
  if (!plain_buffer_.empty()) {
    Bytes plain = std::exchange(plain_buffer_, {});
    on_plain(connection, plain);
    plain_buffer_ = std::move(plain);
  }
  if (!connection.closing && connection.wire->tls->peer_closed())
    drop(connection, "closed by peer");
}

void MqttEndpoint::on_plain(Connection& connection, ByteView bytes) {
  if (!connection.wire->websocket) {
    if (connection.with_broker)
      broker_->on_bytes(connection.id, bytes);
    else
      before_connect(connection, bytes);
  } else {
    Bytes payload, reply;
    const Status status = connection.wire->websocket->on_bytes(bytes, payload, reply);
    if (!reply.empty()) send_plain(connection, reply);
    if (!payload.empty()) {
      if (connection.with_broker)
        broker_->on_bytes(connection.id, payload);
      else
        before_connect(connection, payload);
    }
    if (!status && !connection.closing) drop(connection, status.error().message);
  }
  (void)hold_if_congested(connection);
}

// Until CONNECT is whole the connection belongs to whoever accepted it; then to the shard of its
// client.
void MqttEndpoint::before_connect(Connection& connection, ByteView bytes) {
  Bytes& first = connection.wire->first;
  append_bytes(first, bytes);
  const ConnectPeek peek = peek_connect(first);
  if (peek.kind == ConnectPeek::Kind::kNeedMore) return;
  // What is no CONNECT is answered by the broker of the shard it came to.
  const uint32_t owner = peek.kind == ConnectPeek::Kind::kConnect && !peek.client_id.empty()
                             ? home_shard(peek.client_id, shard_.count())
                             : shard_.index();
  if (owner != shard_.index()) {
    hand_over(connection, owner);
    return;
  }
  connection.with_broker = true;
  connection.connect_by_us = 0;
  const ListenerOptions& listener = listeners_[connection.wire->listener]->options;
  PeerInfo peer;
  peer.address = shard_.reactor().net().peer_address(connection.wire->socket);
  if (connection.wire->tls) {
    peer.certificate_subject = connection.wire->tls->client_common_name();
    peer.certificate_expires = connection.wire->tls->client_certificate_expires();
  }
  peer.allow_anonymous = listener.allow_anonymous;
  const Bytes taken = std::exchange(first, {});
  broker_->on_open(connection.id, peer);
  broker_->on_bytes(connection.id, taken);
}

void MqttEndpoint::hand_over(Connection& connection, uint32_t owner) {
  flush(connection);
  if (connection.closing) return;
  shard_.reactor().remove(connection.registration);
  auto wire = std::move(connection.wire);
  // The shell stays until the end of the turn: those who called us still hold it.
  connection.closing = true;
  closing_.push_back(connection.id);
  MqttEndpoint* to = siblings_[owner];
  // std::function must be copyable; the socket is not, so it travels in a shared pointer that one
  // task empties.
  auto parcel = std::make_shared<std::unique_ptr<Wire>>(std::move(wire));
  to->shard_.post([to, parcel] { to->adopt(std::move(*parcel)); });
}

void MqttEndpoint::pause_reading(ConnectionId id, bool pause) {
  Connection* connection = find(id);
  if (!connection || connection->closing || connection->paused == pause) return;
  connection->paused = pause;
  update_interest(*connection);
}

void MqttEndpoint::update_interest(Connection& c) {
  uint8_t interest = 0;
  if (!c.paused && !c.held && !c.choked) interest |= kReadable;
  if (!c.wire->unsent.empty()) interest |= kWritable;
  shard_.reactor().set_interest(c.registration, interest);
}

// -- writing

void MqttEndpoint::transmit(Connection& connection, ByteView wire_bytes) {
  Bytes& out = connection.wire->unsent;
  if (out.capacity() == 0 && !buffers_.empty()) {
    out = std::move(buffers_.back());
    buffers_.pop_back();
  }
  append_bytes(out, wire_bytes);
  if (connection.dirty) return;
  connection.dirty = true;
  dirty_.push_back(connection.id);
}

void MqttEndpoint::send(ConnectionId id, ByteView bytes) {
  Connection* connection = find(id);
  if (!connection) {
    if (const Inner* in = inner(id)) in->client->on_inner_bytes(bytes);
    return;
  }
  if (connection->closing) return;
  if (!connection->wire->websocket) return send_plain(*connection, bytes);
  Bytes framed;
  connection->wire->websocket->frame(bytes, framed);
  send_plain(*connection, framed);
}

// What TLS, where there is one, is still to wrap.
void MqttEndpoint::send_plain(Connection& connection, ByteView plain) {
  if (!connection.wire->tls) return transmit(connection, plain);
  Bytes sealed;
  if (auto status = connection.wire->tls->seal(plain, sealed); !status) {
    drop(connection, status.error().message);
    return;
  }
  transmit(connection, sealed);
}

size_t MqttEndpoint::unsent_bytes(ConnectionId id) const {
  const Connection* connection = find(id);
  if (connection) return connection->wire->unsent.size();
  const Inner* in = inner(id);
  return in ? in->client->inner_unsent() : 0;
}

void MqttEndpoint::flush(Connection& connection) {
  Bytes& out = connection.wire->unsent;
  size_t done = 0;
  while (done < out.size()) {
    const IoOutcome outcome =
        shard_.reactor().net().write(connection.wire->socket, ByteView(out).subspan(done));
    if (outcome.kind == IoOutcome::Kind::kDone) {
      done += outcome.bytes;
      continue;
    }
    if (outcome.kind == IoOutcome::Kind::kWouldBlock) break;
    out.clear();
    connection.peer_gone = true;
    drop(connection, "connection lost");
    return;
  }
  bytes_out_turn_ += done;
  const bool was_full = connection.choked;
  if (done == out.size()) {
    out.clear();
    if (out.capacity() <= kSpareBufferMax && buffers_.size() < kSpareBuffers)
      buffers_.push_back(std::move(out));
    out = Bytes();
  } else {
    out.erase(out.begin(), out.begin() + static_cast<ptrdiff_t>(done));
  }
  connection.choked =
      out.size() > (was_full ? limits_.unsent_bytes_low : limits_.unsent_bytes_high);
  if (!connection.closing) {
    update_interest(connection);
    if (done > 0 && out.empty() && connection.with_broker) broker_->on_writable(connection.id);
  }
}

void MqttEndpoint::read_again() {
  if (held_.empty() || shard_.pending_bytes() > limits_.batch_bytes_high / 2) return;
  for (const ConnectionId id : held_) {
    Connection* connection = find(id);
    if (!connection || connection->closing) continue;
    connection->held = false;
    update_interest(*connection);
  }
  held_.clear();
}

void MqttEndpoint::on_turn_end() {
  read_again();
  // Writing may make the broker queue more for the next turn; dirty_ is walked by index for that.
  for (size_t i = 0; i < dirty_.size(); ++i) {
    Connection* connection = find(dirty_[i]);
    if (!connection) continue;
    connection->dirty = false;
    if (connection->wire) flush(*connection);
  }
  dirty_.clear();
  for (size_t i = 0; i < closing_.size(); ++i) {
    Connection* connection = find(closing_[i]);
    if (!connection) continue;
    if (connection->wire && !connection->lingering && !connection->peer_gone)
      say_goodbye(*connection);
    if (!connection->wire || connection->peer_gone) remove(*connection);
  }
  closing_.clear();
}

// A close with unread bytes would reset the connection and could take the last packet, the reason
// of a DISCONNECT, away from the client: so our side ends first, and the socket is closed when the
// client's side has ended too, or had its time.
void MqttEndpoint::say_goodbye(Connection& connection) {
  if (connection.wire->tls) connection.wire->tls->shutdown(connection.wire->unsent);
  connection.lingering = true;
  connection.linger_until_us = shard_.monotonic_us() + limits_.linger.us;
  flush(connection);
  if (connection.peer_gone) return;
  const bool written = connection.wire->unsent.empty();
  if (written) shard_.reactor().net().end_writes(connection.wire->socket);
  shard_.reactor().set_interest(connection.registration,
                                static_cast<uint8_t>(kReadable | (written ? 0 : kWritable)));
}

void MqttEndpoint::linger(Connection& connection, const PollEvent& event) {
  if (event.writable && !connection.wire->unsent.empty()) {
    flush(connection);
    if (!connection.peer_gone && connection.wire->unsent.empty()) {
      shard_.reactor().net().end_writes(connection.wire->socket);
      shard_.reactor().set_interest(connection.registration, kReadable);
    }
  }
  if (event.readable || event.hung_up) {
    const IoOutcome outcome = shard_.reactor().net().read(connection.wire->socket, read_buffer_);
    if (outcome.kind == IoOutcome::Kind::kClosed || outcome.kind == IoOutcome::Kind::kFailed)
      connection.peer_gone = true;
  }
  if (connection.peer_gone) closing_.push_back(connection.id);  // removed at the end of the turn
}

void MqttEndpoint::remove(Connection& connection) {
  const auto slot = static_cast<uint32_t>(connection.id.value);
  if (connection.wire) {  // else it lives on with another shard
    shard_.reactor().remove(connection.registration);
    shard_.reactor().net().close(connection.wire->socket);
  }
  slots_[slot].reset();
  free_.push_back(slot);
  --open_;
}

void MqttEndpoint::on_tick() {
  broker_->on_tick();
  const int64_t now_us = shard_.monotonic_us();
  for (auto& connection : slots_) {
    if (!connection) continue;
    if (connection->lingering && now_us >= connection->linger_until_us) {
      connection->peer_gone = true;
      closing_.push_back(connection->id);
    }
    if (connection->closing || connection->connect_by_us == 0) continue;
    if (now_us < connection->connect_by_us) continue;
    timed_out_.add();
    drop(*connection, "no CONNECT in time");
  }
  open_gauge_.set(static_cast<double>(open_));
  bytes_in_.add(std::exchange(bytes_in_turn_, 0));
  bytes_out_.add(std::exchange(bytes_out_turn_, 0));
}

void MqttEndpoint::on_stop() {
  broker_->on_stop();
  on_turn_end();
}

// -- durability

void MqttEndpoint::journal(ByteView body) { shard_.append_record(stream::RecordType::kMqtt, body); }

void MqttEndpoint::when_durable(std::function<void(bool)> then) {
  shard_.when_durable(std::move(then));
}

void MqttEndpoint::ack_when_durable(ConnectionId connection, uint8_t packet_type,
                                    uint16_t packet_id) {
  shard_.ack_when_durable({connection.value, packet_id, packet_type, number_});
}

void MqttEndpoint::on_durable(std::span<const stream::DurableAck> acks, bool ok) {
  for (const stream::DurableAck& ack : acks) {
    const ConnectionId id(ack.connection);
    if (!ok) {
      // The client keeps what it has no acknowledgement for, and sends it again when it comes back.
      if (Connection* connection = find(id)) drop(*connection, "the journal takes no writes");
      continue;
    }
    const std::array<std::byte, 4> packet{std::byte{ack.packet_type}, std::byte{2},
                                          static_cast<std::byte>(ack.packet_id >> 8),
                                          static_cast<std::byte>(ack.packet_id & 255)};
    send(id, packet);
    broker_->on_acknowledged(id, ack.packet_type, ack.packet_id);
  }
}

void MqttEndpoint::snapshot(Bytes& out) const { broker_->snapshot(out); }
Status MqttEndpoint::restore(ByteView section, uint32_t shard) {
  return broker_->restore(section, shard);
}
void MqttEndpoint::replay(stream::RecordType type, ByteView body) {
  if (type == stream::RecordType::kMqtt) broker_->replay(body);
}

// -- identity and the platform

void MqttEndpoint::authenticate(const ConnectInfo& info,
                                std::function<void(Authenticator::Outcome)> then) {
  if (const Inner* in = inner(info.connection)) return then(in->principal);
  if (!shard_.accepting()) {
    then(tl::unexpected(AuthFailure::kServerBusy));
    return;
  }
  authenticator_.authenticate(info, [this, then = std::move(then)](Authenticator::Outcome outcome) {
    shard_.post([then, outcome = std::move(outcome)] { then(outcome); });
  });
}

bool MqttEndpoint::may_publish(const Principal& sender, std::string_view topic) {
  return mqtt::may_publish(sender, topic) || dispatch_.may_publish(sender, topic);
}

PublishOutcome MqttEndpoint::on_publish(const Principal& sender, std::string_view topic,
                                        ByteView payload, uint8_t qos) {
  return dispatch_.take({{}, sender.organisation, topic, payload, qos, sender.may_provision});
}

void MqttEndpoint::on_presence(const Principal& principal, std::string_view client_id,
                               bool connected, std::string_view why) {
  if (!principal.device.empty()) shard_.presence(principal.device, connected, client_id, why);
}

// -- clients in this process

const MqttEndpoint::Inner* MqttEndpoint::inner(ConnectionId id) const {
  const auto it = inner_.find(id.value);
  return it == inner_.end() ? nullptr : &it->second;
}

ConnectionId MqttEndpoint::open_inner(InnerClient& client,
                                      std::shared_ptr<const Principal> principal) {
  const ConnectionId id(next_inner_++);
  PeerInfo peer;
  peer.address = principal->name;
  inner_[id.value] = {&client, std::move(principal)};
  broker_->on_open(id, peer);
  return id;
}

void MqttEndpoint::from_inner(ConnectionId id, ByteView bytes) {
  if (inner(id)) broker_->on_bytes(id, bytes);
}

void MqttEndpoint::inner_writable(ConnectionId id) {
  if (inner(id)) broker_->on_writable(id);
}

void MqttEndpoint::close_inner(ConnectionId id, std::string_view why) {
  if (inner_.erase(id.value) > 0) broker_->on_closed(id, why);
}

void MqttEndpoint::post(uint32_t shard, std::shared_ptr<const Bytes> message) {
  MqttEndpoint* to = siblings_[shard];
  to->shard_.post([to, from = shard_.index(), message = std::move(message)] {
    to->broker_->on_message(from, *message);
  });
}

void MqttEndpoint::publish(std::string_view topic, ByteView payload, uint8_t qos, bool retain,
                           std::function<void(bool)> done) {
  broker_->publish_from_platform(topic, payload, qos, retain, std::move(done));
}

}  // namespace penstock::interop::mqtt
