#include "interop/mqtt/broker.h"

#include <algorithm>

#include "base/check.h"
#include "base/log.h"
#include "interop/mqtt/broker_internal.h"
#include "stream/shard.h"

namespace penstock::interop::mqtt {

uint32_t home_shard(std::string_view client_id, uint32_t shards) {
  return stream::shard_of(client_id, shards);
}

Broker::Counters::Counters(Metrics& m)
    : publishes_in(m.counter("penstock_mqtt_publishes_received_total",
                             "PUBLISH packets accepted from clients")),
      publishes_out(
          m.counter("penstock_mqtt_publishes_sent_total", "PUBLISH packets sent to clients")),
      connects(m.counter("penstock_mqtt_connects_total", "CONNECTs accepted")),
      refused_auth(m.counter("penstock_mqtt_connects_refused_total", "CONNECTs refused",
                             {{"reason", "auth"}})),
      refused_protocol(m.counter("penstock_mqtt_connects_refused_total", "CONNECTs refused",
                                 {{"reason", "protocol"}})),
      malformed(m.counter("penstock_mqtt_protocol_errors_total",
                          "Connections ended for a packet that is not allowed")),
      taken_over(m.counter("penstock_mqtt_sessions_taken_over_total",
                           "Connections ended by a newer one of the client")),
      kept_alive_out(
          m.counter("penstock_mqtt_keep_alive_timeouts_total", "Connections ended for silence")),
      dropped_slow(m.counter("penstock_mqtt_dropped_total", "Messages not delivered",
                             {{"reason", "slow_qos0"}})),
      dropped_full(m.counter("penstock_mqtt_dropped_total", "Messages not delivered",
                             {{"reason", "queue_full"}})),
      dropped_expired(m.counter("penstock_mqtt_dropped_total", "Messages not delivered",
                                {{"reason", "expired"}})),
      dropped_too_large(m.counter("penstock_mqtt_dropped_total", "Messages not delivered",
                                  {{"reason", "too_large"}})),
      dropped_no_session(m.counter("penstock_mqtt_dropped_total", "Messages not delivered",
                                   {{"reason", "session_ended"}})),
      denied_publish(m.counter("penstock_mqtt_denied_total", "Not allowed", {{"what", "publish"}})),
      denied_subscribe(
          m.counter("penstock_mqtt_denied_total", "Not allowed", {{"what", "subscribe"}})),
      quota(m.counter("penstock_mqtt_denied_total", "Not allowed", {{"what", "quota"}})) {}

Broker::Broker(Host& host, BrokerLimits limits, Metrics& metrics)
    : host_(host), limits_(limits), count_(std::make_unique<Counters>(metrics)) {
  // Message ids rise over restarts: they begin with the time, in steps that no shard shares.
  next_message_id_ = static_cast<uint64_t>(system_clock().now().us) << 6;
  started_us_ = system_clock().monotonic_us();
}

Broker::~Broker() = default;

Broker::Connection* Broker::find(ConnectionId id) {
  const auto it = connections_.find(id.value);
  return it == connections_.end() ? nullptr : it->second.get();
}

bool Broker::at_home(std::string_view client_id) const {
  return home_shard(client_id, host_.shards()) == host_.shard();
}

void Broker::on_open(ConnectionId id, PeerInfo peer) {
  auto c = std::make_unique<Connection>();
  c->id = id;
  c->peer = std::move(peer);
  c->last_heard_us = host_.monotonic_us();
  connections_[id.value] = std::move(c);
}

// -- packets

void Broker::on_bytes(ConnectionId id, ByteView bytes) {
  Connection* c = find(id);
  if (!c || c->state == Connection::State::kClosed) return;
  c->last_heard_us = host_.monotonic_us();
  if (c->partial.empty()) {
    const size_t used = take_packets(*c, bytes);
    c = find(id);
    if (!c || c->state == Connection::State::kClosed) return;
    c->partial.assign(bytes.begin() + static_cast<ptrdiff_t>(used), bytes.end());
    return;
  }
  append_bytes(c->partial, bytes);
  if (c->state == Connection::State::kAuthenticating) {
    if (c->partial.size() > limits_.packet_size_max) protocol_failure(*c, Reason::kPacketTooLarge);
    return;
  }
  // Taken out while packets are handled: one of them may end the connection.
  Bytes whole = std::exchange(c->partial, {});
  const size_t used = take_packets(*c, whole);
  c = find(id);
  if (!c || c->state == Connection::State::kClosed || used == whole.size()) return;
  whole.erase(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(used));
  c->partial = std::move(whole);
}

// Handles whole packets from the front; returns how many bytes they were.
size_t Broker::take_packets(Connection& c, ByteView bytes) {
  const ConnectionId id = c.id;
  size_t used = 0;
  while (used < bytes.size()) {
    if (c.state == Connection::State::kAuthenticating) return used;
    const bool first = c.state == Connection::State::kNew;
    const FrameResult next =
        read_frame(bytes.subspan(used), first ? limits_.connect_size_max : limits_.packet_size_max);
    if (next.kind == FrameResult::Kind::kNeedMore) return used;
    if (next.kind == FrameResult::Kind::kMalformed) {
      protocol_failure(c, Reason::kMalformedPacket);
      return used;
    }
    if (next.kind == FrameResult::Kind::kTooLarge) {
      protocol_failure(c, Reason::kPacketTooLarge);
      return used;
    }
    handle(c, next.frame);
    used += next.frame.size;
    const Connection* still = find(id);
    if (!still || still->state == Connection::State::kClosed) return used;
  }
  return used;
}

void Broker::handle(Connection& c, const Frame& frame) {
  if (c.state == Connection::State::kNew) {
    if (frame.type == PacketType::kConnect)
      on_connect(c, frame);
    else
      protocol_failure(c, Reason::kProtocolError);
    return;
  }
  switch (frame.type) {
    case PacketType::kPublish:
      return on_publish(c, frame);
    case PacketType::kPuback:
      return on_puback(c, frame);
    case PacketType::kPubrec:
      return on_pubrec(c, frame);
    case PacketType::kPubrel:
      return on_pubrel(c, frame);
    case PacketType::kPubcomp:
      return on_pubcomp(c, frame);
    case PacketType::kSubscribe:
      return on_subscribe(c, frame);
    case PacketType::kUnsubscribe:
      return on_unsubscribe(c, frame);
    case PacketType::kDisconnect:
      return on_disconnect(c, frame);
    case PacketType::kPingreq: {
      if (!frame.body.empty()) {
        // The header already says that this is none. Others do not answer it either.
        count_->malformed.add();
        return end_connection(c, true, "PINGREQ with a body");
      }
      if (decode_ping(frame) != Reason::kSuccess)
        return protocol_failure(c, Reason::kMalformedPacket);
      Bytes out;
      encode_pingresp(out);
      host_.send(c.id, out);
      return;
    }
    default:
      // Reserved, what only a server sends, a second CONNECT (3.1.0-2); and AUTH, which was not
      // agreed on in CONNECT (4.12): whatever is in them, they have no place.
      return protocol_failure(c, Reason::kProtocolError);
  }
}

// -- ending a connection

// A packet that may not be: 5.0 says why in DISCONNECT (4.13), 3.1.1 just closes (4.8).
void Broker::protocol_failure(Connection& c, Reason reason) {
  count_->malformed.add();
  if (c.state == Connection::State::kNew || c.state == Connection::State::kAuthenticating) {
    count_->refused_protocol.add();
    end_connection(c, false, "not a valid CONNECT");
    return;
  }
  disconnect(c, reason, true);
}

void Broker::disconnect(Connection& c, Reason reason, bool with_will) {
  if (c.version == 5) {
    Bytes out;
    encode_disconnect_5(out, reason);
    host_.send(c.id, out);
  }
  end_connection(c, with_will,
                 "ended by the server, reason " + std::to_string(static_cast<int>(reason)));
}

void Broker::disconnect_device(std::string_view device) {
  std::vector<ConnectionId> ended;
  for (const auto& [id, c] : connections_)
    if (c->state == Connection::State::kOpen && c->session->principal->device == device)
      ended.push_back(c->id);
  for (const ConnectionId id : ended)
    if (Connection* c = find(id)) disconnect(*c, Reason::kNotAuthorized, true);
}

void Broker::on_closed(ConnectionId id, std::string_view why) {
  Connection* c = find(id);
  if (!c) return;
  if (c->state == Connection::State::kOpen) end_connection(*c, true, why);
  connections_.erase(id.value);
}

// Detaches the session and closes the socket. `c` is gone afterwards.
void Broker::end_connection(Connection& c, bool with_will, std::string_view why) {
  const ConnectionId id = c.id;
  const bool was_open = c.state == Connection::State::kOpen;
  c.state = Connection::State::kClosed;
  if (was_open && c.session) {
    Session& session = *c.session;
    host_.on_presence(*session.principal, session.client_id, false, why);
    session.connection = {};
    away_since(session, host_.now());
    if (!with_will) session.will.reset();
    if (session.will) {
      // 3.1.3.2.2: after the delay, or when the session ends, whichever is first.
      const uint32_t delay = std::min(session.will->delay_s, session.expiry_s);
      if (delay == 0)
        fire_will(session);
      else
        session.will_due_us = session.gone_us + Duration::seconds(delay).us;
    }
    next_due_us_ = 0;  // found by the next tick
    if (session.persistent()) {
      journal(Record::kSessionGone, session.client_id,
              [&](Bytes& out) { append_le<int64_t>(out, host_.now().us); });
      tell_facts(session);
    } else {
      end_session(session.client_id);
    }
  }
  host_.close(id);
  connections_.erase(id.value);
}

void Broker::on_disconnect(Connection& c, const Frame& frame) {
  Ack packet;
  const Reason reason = decode_disconnect(frame, c.version, packet);
  if (reason != Reason::kSuccess) return protocol_failure(c, reason);
  if (packet.properties.session_expiry_s) {
    // 3.14.2.2.2: what was 0 in CONNECT may not be raised now.
    if (c.session->expiry_s == 0 && *packet.properties.session_expiry_s > 0)
      return protocol_failure(c, Reason::kProtocolError);
    c.session->expiry_s =
        std::min(*packet.properties.session_expiry_s, limits_.session_expiry_max_s);
    c.session->subscriber->persistent = c.session->persistent();
    journal(c.session->persistent() ? Record::kSessionOpen : Record::kSessionEnd,
            c.session->client_id, [&](Bytes& out) {
              if (!c.session->persistent()) return;
              append_le<uint32_t>(out, c.session->expiry_s);
              append_text(out, c.session->owner);
            });
  }
  end_connection(c, packet.reason == Reason::kDisconnectWithWill, "client said goodbye");
}

// -- CONNECT

namespace {

Reason to_reason(AuthFailure failure) {
  switch (failure) {
    case AuthFailure::kBadCredentials:
      return Reason::kBadUserNameOrPassword;
    case AuthFailure::kNotAuthorized:
      return Reason::kNotAuthorized;
    case AuthFailure::kServerBusy:
      return Reason::kServerUnavailable;
  }
  return Reason::kNotAuthorized;
}

}  // namespace

void Broker::refuse_connect(Connection& c, Reason reason) {
  Bytes out;
  if (c.version == 5) {
    Properties p;
    if (const std::string_view why = explain(reason); !why.empty()) p.reason_string = why;
    encode_connack_5(out, false, reason, p);
    if (c.packet_size_max > 0 && out.size() > c.packet_size_max) {
      out.clear();
      encode_connack_5(out, false, reason, {});
    }
  } else
    encode_connack_3(out, false, connack_code_3(reason));
  host_.send(c.id, out);
  end_connection(c, false, "refused");
}

void Broker::on_connect(Connection& c, const Frame& frame) {
  Connect packet;
  const Reason reason = decode_connect(frame, packet);
  c.version = packet.version;
  if (reason == Reason::kUnsupportedVersion) {
    count_->refused_protocol.add();
    c.version = 4;  // answered in the form that any client reads (5.0, 3.1.2.2; 3.1.1, 3.1.2.2)
    return refuse_connect(c, reason);
  }
  if (reason != Reason::kSuccess) {
    if (packet.version != 5 || reason == Reason::kMalformedPacket)
      return protocol_failure(c, reason);
    count_->refused_protocol.add();
    return refuse_connect(c, reason);
  }
  const Properties& p = packet.properties;
  if (p.authentication_method) return refuse_connect(c, Reason::kBadAuthenticationMethod);
  if (packet.client_id.empty() &&
      (packet.version == 3 || (packet.version == 4 && !packet.clean_start)))
    return refuse_connect(c, Reason::kClientIdNotValid);
  if (packet.client_id.size() > 256) return refuse_connect(c, Reason::kClientIdNotValid);
  if (packet.has_will && !valid_topic(packet.will_topic, limits_.topics))
    return refuse_connect(c, Reason::kTopicNameInvalid);

  c.receive_maximum =
      p.receive_maximum.value_or(packet.version == 5 ? 65'535 : limits_.in_flight_max);
  c.packet_size_max = p.maximum_packet_size.value_or(0);
  c.alias_maximum = std::min(p.topic_alias_maximum.value_or(0), limits_.topic_alias_maximum);
  c.problem_information = p.request_problem_information.value_or(1) != 0;
  c.keep_alive_s = packet.keep_alive_s;
  if (packet.version == 5 && c.keep_alive_s > limits_.keep_alive_max_s) {
    c.keep_alive_s = limits_.keep_alive_max_s;
    c.keep_alive_set = true;
  }
  c.state = Connection::State::kAuthenticating;
  // The frame's bytes do not outlive this call, the answer may come later.
  c.connect = std::make_unique<Bytes>(frame.body.begin(), frame.body.end());
  ConnectInfo info;
  info.connection = c.id;
  info.client_id = packet.client_id;
  info.username = packet.username;
  info.password = as_text(packet.password);
  info.has_username = packet.has_username;
  info.has_password = packet.has_password;
  info.certificate_subject = c.peer.certificate_subject;
  info.certificate_expires = c.peer.certificate_expires;
  info.peer_address = c.peer.address;
  info.allow_anonymous = c.peer.allow_anonymous;
  host_.authenticate(info,
                     [this, id = c.id](auto outcome) { on_authenticated(id, std::move(outcome)); });
}

void Broker::on_authenticated(ConnectionId id,
                              tl::expected<std::shared_ptr<const Principal>, AuthFailure> outcome) {
  Connection* c = find(id);
  if (!c || c->state != Connection::State::kAuthenticating) return;  // gone meanwhile
  if (!outcome) {
    count_->refused_auth.add();
    return refuse_connect(*c, to_reason(outcome.error()));
  }
  const std::unique_ptr<Bytes> body = std::move(c->connect);
  Connect packet;
  const Reason reason = decode_connect({PacketType::kConnect, 0, *body, body->size()}, packet);
  CHECK(reason == Reason::kSuccess);
  std::string client_id(packet.client_id);
  if (client_id.empty()) {
    // Assigned (3.1.3.1); one that is at home on this shard, since the connection already is here.
    do client_id = "auto-" + host_.random().hex(12);
    while (!at_home(client_id));
    c->id_assigned = true;
  }
  if (packet.has_will && !host_.may_publish(**outcome, packet.will_topic)) {
    count_->denied_publish.add();
    return refuse_connect(*c, Reason::kNotAuthorized);
  }

  // 3.1.4-3: an older connection of this client gives way.
  const auto known = sessions_.find(client_id);
  const std::string owner = std::to_string((*outcome)->organisation.value) + '/' + (*outcome)->name;
  if (known != sessions_.end() && !known->second->owner.empty() && known->second->owner != owner) {
    count_->refused_auth.add();
    return refuse_connect(*c, Reason::kClientIdNotValid);  // somebody else's, with its messages
  }
  if (known != sessions_.end() && known->second->connection) {
    count_->taken_over.add();
    // Ends the session too where it does not outlive its connection, or is unwanted now.
    if (Connection* old = find(known->second->connection))
      disconnect(*old, Reason::kSessionTakenOver, true);
  }
  bool present = sessions_.contains(client_id);
  if (present && packet.clean_start) {
    end_session(client_id);
    present = false;
  }
  if (!present && sessions_.size() >= limits_.sessions_max) {
    count_->quota.add();
    return refuse_connect(*c, Reason::kQuotaExceeded);
  }
  Session& session = make_session(client_id);
  c->session = &session;
  session.principal = *outcome;
  session.owner = owner;
  session.connection = c->id;
  revoke_subscriptions(session);
  session.will_due_us = 0;
  session.will.reset();
  if (packet.has_will) {
    Publish will;
    will.topic = packet.will_topic;
    will.payload = packet.will_payload;
    will.qos = packet.will_qos;
    will.retain = packet.will_retain;
    will.properties = packet.will_properties;
    Bytes raw;
    Properties forwarded = packet.will_properties;
    forwarded.will_delay_s.reset();
    append_properties(raw, forwarded);
    // Without the length in front: that is how a PUBLISH keeps its block.
    size_t length_bytes = 1;
    while (std::to_integer<uint8_t>(raw[length_bytes - 1]) & 128) ++length_bytes;
    will.raw_properties = ByteView(raw).subspan(length_bytes);
    session.will = std::make_unique<Will>(
        Will{make_message(will, client_id), packet.will_properties.will_delay_s.value_or(0)});
  }
  // 3.1.1: a session that is not clean lives on, as long as we allow.
  uint32_t expiry = packet.version == 5 ? packet.properties.session_expiry_s.value_or(0)
                                        : (packet.clean_start ? 0 : kNeverExpires);
  c->expiry_shortened = packet.version == 5 && expiry > limits_.session_expiry_max_s;
  session.expiry_s = std::min(expiry, limits_.session_expiry_max_s);
  session.subscriber->persistent = session.persistent();
  session.subscriber->connected = true;
  c->state = Connection::State::kOpen;
  count_->connects.add();
  if (session.persistent())
    journal(Record::kSessionOpen, client_id, [&](Bytes& out) {
      append_le<uint32_t>(out, session.expiry_s);
      append_text(out, session.owner);
    });
  tell_facts(session);
  host_.on_presence(*session.principal, client_id, true, c->peer.address);
  if (!send_connack(*c, present)) return end_connection(*c, false, "no packet fits its limit");
  begin_resend(session);
  resend(session, *c);
  pump(session);
  // Packets the client sent behind CONNECT without waiting.
  if (c->partial.empty()) return;
  Bytes whole = std::exchange(c->partial, {});
  const size_t used = take_packets(*c, whole);
  c = find(id);
  if (!c || c->state == Connection::State::kClosed) return;
  c->partial.assign(whole.begin() + static_cast<ptrdiff_t>(used), whole.end());
}

// What the client's maximum packet size leaves no room for is left out where the client can do
// without; false where not even the rest fits (3.1.2-24).
bool Broker::send_connack(Connection& c, bool session_present) {
  Bytes out;
  if (c.version < 5) {
    encode_connack_3(out, session_present && c.version == 4, 0);
  } else {
    Properties p;
    p.receive_maximum = limits_.receive_maximum;
    p.topic_alias_maximum = limits_.topic_alias_maximum;
    p.maximum_packet_size = static_cast<uint32_t>(limits_.packet_size_max);
    if (c.expiry_shortened) p.session_expiry_s = c.session->expiry_s;
    if (c.id_assigned) p.assigned_client_id = c.session->client_id;
    if (c.keep_alive_set) p.server_keep_alive = c.keep_alive_s;
    encode_connack_5(out, session_present, Reason::kSuccess, p);
    if (c.packet_size_max > 0 && out.size() > c.packet_size_max) {
      out.clear();
      p.maximum_packet_size.reset();
      encode_connack_5(out, session_present, Reason::kSuccess, p);
    }
    if (c.packet_size_max > 0 && out.size() > c.packet_size_max) return false;
  }
  host_.send(c.id, out);
  return true;
}

// -- time

void Broker::on_tick() {
  if (host_.monotonic_us() >= next_due_us_) expire_sessions();
  if (host_.monotonic_us() < next_second_us_) return;
  next_second_us_ = host_.monotonic_us() + 1'000'000;
  std::vector<ConnectionId> silent;
  for (const auto& [id, c] : connections_) {
    // 3.1.2.10: one and a half times the keep alive.
    if (c->state != Connection::State::kOpen || c->keep_alive_s == 0) continue;
    if (host_.monotonic_us() - c->last_heard_us > static_cast<int64_t>(c->keep_alive_s) * 1'500'000)
      silent.push_back(c->id);
  }
  for (const ConnectionId id : silent) {
    count_->kept_alive_out.add();
    if (Connection* c = find(id)) disconnect(*c, Reason::kKeepAliveTimeout, true);
  }
  if (--sys_countdown_ == 0) {
    sys_countdown_ = 10;
    publish_sys();
    std::erase_if(retained_, [this](const auto& entry) {
      if (!entry.second->expired(host_.now())) return false;
      retained_bytes_ -= entry.second->weight();
      return true;
    });
  }
}

void Broker::on_stop() {
  std::vector<ConnectionId> open;
  open.reserve(connections_.size());
  for (const auto& [id, c] : connections_) open.push_back(c->id);
  for (const ConnectionId id : open)
    if (Connection* c = find(id)) {
      if (c->state == Connection::State::kOpen)
        disconnect(*c, Reason::kServerShuttingDown, false);
      else
        end_connection(*c, false, "server stops");
    }
}

}  // namespace penstock::interop::mqtt
