// What the other broker sends.
#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"
#include "interop/mqtt/bridge.h"

namespace penstock::interop::mqtt {
namespace {

constexpr uint16_t kSubscribeId = 65'535;  // publishes count up to one less
constexpr uint16_t kUnsubscribeId = 65'534;

std::string filter_key(const BridgeFilter& filter) {
  return fmt::format("{} {}", filter.qos, filter.filter);
}

}  // namespace

void Bridge::on_packet(const Frame& frame) {
  if (phase_ == Phase::kConnack) {
    if (frame.type == PacketType::kConnack) return on_connack(frame);
    return fail_with("the broker answers CONNECT with something else: is it an MQTT broker?");
  }
  switch (frame.type) {
    case PacketType::kPublish:
      return on_publish(frame);
    case PacketType::kPubrel:
      return on_pubrel(frame);
    case PacketType::kPuback:
      return on_puback(frame);
    case PacketType::kSuback:
      return on_suback(frame);
    case PacketType::kUnsuback:
    case PacketType::kPingresp:
      return;
    case PacketType::kDisconnect: {
      Ack ack;
      const bool read = record_.config.version == 5 &&
                        decode_disconnect(frame, record_.config.version, ack) == Reason::kSuccess;
      if (read && ack.reason == Reason::kSessionTakenOver)
        return fail_with("another client has connected with this bridge's client id");
      const std::string_view why = read ? explain(ack.reason) : std::string_view();
      return fail_with(why.empty() ? "the broker ended the connection"
                                   : fmt::format("the broker ended the connection: {}", why));
    }
    default:
      return fail_with("the broker sends packets that only clients send");
  }
}

void Bridge::on_connack(const Frame& frame) {
  Connack answer;
  if (decode_connack(frame, record_.config.version, answer) != Reason::kSuccess)
    return fail_with("the broker's answer to CONNECT cannot be read");
  if (answer.reason != Reason::kSuccess) {
    std::string why(connack_sentence(answer.reason));
    if (answer.properties.reason_string)
      why += fmt::format(" ({})", answer.properties.reason_string->substr(0, 200));
    return fail_with(std::move(why));
  }
  metrics_.connects.add();
  log_info("bridge", "{}: connected to {}{}", name(), record_.config.broker.text(),
           answer.session_present ? ", which kept our session" : "");
  phase_ = Phase::kOpen;
  failures_ = 0;
  status_.session_present = answer.session_present;
  status_.last_error.clear();
  maximum_qos_ = answer.properties.maximum_qos.value_or(2);
  retain_available_ = answer.properties.retain_available.value_or(1) != 0;
  packet_size_max_ = answer.properties.maximum_packet_size.value_or(0);
  keep_alive_s_ = answer.properties.server_keep_alive.value_or(record_.config.keep_alive_s);
  if (!answer.session_present) {
    memory_->forget();
    scratch_.clear();
    BridgeMemory::forgotten_record(scratch_, name());
    context_.shard.append_record(stream::RecordType::kMqtt, scratch_);
  }
  subscribe(answer.session_present);
  if (!record_.config.publish.empty()) open_local();
}

// A session that was kept has its subscriptions: only what changed is said. Subscribing again would
// bring retained messages again.
void Bridge::subscribe(bool session_present) {
  const BridgeConfig& config = record_.config;
  wanted_.clear();
  for (const BridgeFilter& filter : config.subscribe) wanted_.push_back(filter_key(filter));
  std::vector<SubscribeEntry> fresh;
  for (const BridgeFilter& filter : config.subscribe) {
    const auto& known = memory_->subscribed;
    if (session_present && std::find(known.begin(), known.end(), filter_key(filter)) != known.end())
      continue;
    SubscribeEntry entry;
    entry.filter = filter.filter;
    entry.qos = std::min(filter.qos, maximum_qos_);
    entry.no_local = !parse_shared(filter.filter);
    entry.retain_handling = 1;
    fresh.push_back(entry);
  }
  std::vector<std::string_view> stale;
  for (const std::string& known : memory_->subscribed) {
    const std::string_view filter =
        std::string_view(known).substr(std::min<size_t>(2, known.size()));
    const bool still = std::any_of(config.subscribe.begin(), config.subscribe.end(),
                                   [&](const BridgeFilter& one) { return one.filter == filter; });
    if (!still && !filter.empty()) stale.push_back(filter);
  }
  Bytes out;
  if (!stale.empty()) encode_unsubscribe(out, config.version, kUnsubscribeId, stale);
  if (!fresh.empty()) encode_subscribe(out, config.version, kSubscribeId, fresh);
  transmit(out);
  if (fresh.empty()) {
    scratch_.clear();
    memory_->subscribed = wanted_;
    memory_->subscribed_record(scratch_, name());
    context_.shard.append_record(stream::RecordType::kMqtt, scratch_);
    ready();
  }
  flush();
}

void Bridge::on_suback(const Frame& frame) {
  Suback answer;
  if (decode_suback(frame, record_.config.version, answer) != Reason::kSuccess)
    return fail_with("the broker's answer to SUBSCRIBE cannot be read");
  const auto refused = std::find_if(answer.reasons.begin(), answer.reasons.end(),
                                    [](Reason r) { return static_cast<uint8_t>(r) >= 0x80; });
  if (refused != answer.reasons.end()) {
    memory_->subscribed.clear();  // asked for again with the next connection
    status_.last_error =
        fmt::format("the broker refused {} of {} subscriptions: {}",
                    std::count_if(answer.reasons.begin(), answer.reasons.end(),
                                  [](Reason r) { return static_cast<uint8_t>(r) >= 0x80; }),
                    answer.reasons.size(),
                    explain(*refused).empty() ? "it does not say why" : explain(*refused));
    status_.last_error_at = context_.shard.now();
    log_warning("bridge", "{}: {}", name(), status_.last_error);
  } else {
    memory_->subscribed = wanted_;
  }
  scratch_.clear();
  memory_->subscribed_record(scratch_, name());
  context_.shard.append_record(stream::RecordType::kMqtt, scratch_);
  ready();
}

// Subscribed: from here on the other broker keeps for us what we miss.
void Bridge::ready() {
  set_state(BridgeStatus::State::kConnected);
  if (!std::exchange(up_told_, true)) context_.on_link(name(), true);
  send_direct();
}

void Bridge::on_publish(const Frame& frame) {
  Publish& p = publish_;
  p.properties.subscription_ids.clear();
  p.properties.user.clear();
  auto ids = std::move(p.properties.subscription_ids);
  auto user = std::move(p.properties.user);
  p = Publish{};
  p.properties.subscription_ids = std::move(ids);
  p.properties.user = std::move(user);
  if (decode_publish(frame, record_.config.version, p) != Reason::kSuccess || p.topic.empty())
    return fail_with("the broker sends a message that cannot be read");
  if (p.qos > 0) {
    ++status_.unacknowledged_in;
    const uint32_t digest = BridgeMemory::digest(p.topic, p.payload);
    if (memory_->taken(p.packet_id, p.qos, p.dup, digest)) {
      ++status_.redelivered;
      metrics_.redelivered.add();
    } else {
      take(p);
    }
    return acknowledge_when_durable(p.qos == 1 ? PacketType::kPuback : PacketType::kPubrec,
                                    p.packet_id);
  }
  take(p);
}

void Bridge::take(const Publish& p) {
  ++status_.messages_in;
  metrics_.in.add();
  const InboundMessage message{name(), record_.organisation, p.topic, p.payload, p.qos};
  if (p.retain) {
    metrics_.retained.add();
    (void)context_.endpoint.dispatch().take_retained(message);
    return;
  }
  scratch_.clear();
  if (p.qos > 0) {
    const uint32_t digest = BridgeMemory::digest(p.topic, p.payload);
    memory_->note(p.packet_id, p.qos, p.dup, digest);
    memory_->taken_record(scratch_, name(), p.packet_id, p.qos, digest);
  }
  const auto outcome = context_.endpoint.dispatch().take(message, scratch_);
  if (outcome == PublishOutcome::kAccepted) return;
  ++status_.unmatched;
  metrics_.unmatched.add();
  status_.unmatched_topic.assign(p.topic.substr(0, 256));
  if (p.qos == 2) context_.shard.append_record(stream::RecordType::kMqtt, scratch_);
}

// 4.3.3: from here on the id may be another message's.
void Bridge::on_pubrel(const Frame& frame) {
  Ack ack;
  if (decode_ack(frame, record_.config.version, ack) != Reason::kSuccess)
    return fail_with("the broker sends a PUBREL that cannot be read");
  memory_->release(ack.packet_id);
  scratch_.clear();
  BridgeMemory::released_record(scratch_, name(), ack.packet_id);
  context_.shard.append_record(stream::RecordType::kMqtt, scratch_);
  ++status_.unacknowledged_in;
  acknowledge_when_durable(PacketType::kPubcomp, ack.packet_id);
}

void Bridge::acknowledge_when_durable(PacketType type, uint16_t packet_id) {
  // The attempt tells later connections apart: packet ids are a connection's.
  context_.shard.ack_when_durable({static_cast<uint64_t>(number_) << 32 | attempt_, packet_id,
                                   static_cast<uint8_t>(static_cast<unsigned>(type) << 4),
                                   context_.endpoint_number});
}

void Bridge::on_durable(const stream::DurableAck& ack, bool ok) {
  const auto type = static_cast<PacketType>(ack.packet_type >> 4);
  if (!ok && type != PacketType::kPubcomp) memory_->remove(ack.packet_id);
  if (static_cast<uint32_t>(ack.connection) != attempt_ || phase_ != Phase::kOpen) return;
  if (status_.unacknowledged_in > 0) --status_.unacknowledged_in;
  if (!ok) return fail_with("the journal takes no writes: messages stay with the broker");
  Bytes& out = tls_ ? scratch_ : out_;
  if (tls_) scratch_.clear();
  encode_ack(out, type, record_.config.version, ack.packet_id, Reason::kSuccess);
  if (tls_)
    transmit(scratch_);
  else
    said_us_ = context_.shard.monotonic_us();
}

}  // namespace penstock::interop::mqtt
