// What the other broker is to get: from a session of our own broker, which keeps it durably, and
// from protocols that answer (send()).
#include <algorithm>

#include <fmt/format.h>

#include "interop/mqtt/bridge.h"

namespace penstock::interop::mqtt {
namespace {

constexpr uint16_t kPacketIdLast = 65'533;  // two are for SUBSCRIBE and UNSUBSCRIBE
constexpr uint16_t kInFlight = 100;         // of the session towards our own broker

// The {device} of devices/{device}/…; empty: another topic.
std::string_view device_of(std::string_view topic) {
  constexpr std::string_view kRoot = "devices/";
  if (!topic.starts_with(kRoot)) return {};
  topic.remove_prefix(kRoot.size());
  return topic.substr(0, topic.find('/'));
}

}  // namespace

uint16_t Bridge::new_packet_id() {
  do next_id_ = next_id_ >= kPacketIdLast ? uint16_t{1} : static_cast<uint16_t>(next_id_ + 1);
  while (outgoing_.contains(next_id_));
  return next_id_;
}

// -- from our own broker

// What our broker is to keep for the other one, it keeps from the start on, connected or not.
void Bridge::prepare_local() {
  local_prepared_ = true;
  if (record_.config.publish.empty())
    end_local();
  else
    open_local();  // until SUBACK
}

// The session goes, and what waits in it: nobody is to get it any more.
void Bridge::end_local() {
  close_local("the bridge gives nothing any more");
  Connect packet;
  packet.version = 5;
  packet.clean_start = true;
  connect_local(packet);
  close_local("the bridge gives nothing any more");
}

void Bridge::open_local() {
  close_local("the bridge connects anew");
  Connect packet;
  packet.version = 5;
  packet.properties.session_expiry_s = record_.config.session_expiry_s;
  packet.properties.receive_maximum = kInFlight;
  connect_local(packet);
}

void Bridge::connect_local(Connect& packet) {
  auto principal = std::make_shared<Principal>();
  principal->organisation = record_.organisation;
  principal->name = "bridge " + name();
  principal->subscribe_filters = record_.config.publish;
  local_closed_ = false;
  local_in_.clear();
  local_ = context_.endpoint.open_inner(*this, std::move(principal));
  const std::string id = "bridge/" + name();
  packet.client_id = id;
  Bytes out;
  encode_connect(out, packet);
  context_.endpoint.from_inner(local_, out);
}

void Bridge::close_local(std::string_view why) {
  if (!local_) return;
  context_.endpoint.close_inner(std::exchange(local_, {}), why);
  local_in_.clear();
}

void Bridge::on_inner_bytes(ByteView bytes) { append_bytes(local_in_, bytes); }
void Bridge::on_inner_closed() { local_closed_ = true; }
size_t Bridge::inner_unsent() const { return local_in_.size() + out_.size(); }

void Bridge::drain_local() {
  if (local_closed_) {
    local_ = {};
    local_closed_ = false;
    return fail_with("our own broker ended the bridge's session: is its client id in use?");
  }
  if (!local_ || local_in_.empty() || out_.size() > context_.limits.unsent_bytes_high) return;
  // Handled while more may come: what is handed to our broker answers at once.
  Bytes taken = std::exchange(local_in_, {});
  size_t at = 0;
  const uint32_t attempt = attempt_;
  while (out_.size() <= context_.limits.unsent_bytes_high) {
    const FrameResult next = read_frame(ByteView(taken).subspan(at), SIZE_MAX);
    if (next.kind != FrameResult::Kind::kFrame) break;
    on_local_packet(next.frame);
    if (attempt != attempt_) return;
    at += next.frame.size;
  }
  taken.erase(taken.begin(), taken.begin() + static_cast<ptrdiff_t>(at));
  append_bytes(taken, local_in_);
  local_in_ = std::move(taken);
  if (local_in_.empty()) context_.endpoint.inner_writable(local_);
  if (at > 0) context_.shard.post([] {});  // what our broker journalled goes with another turn
}

void Bridge::on_local_packet(const Frame& frame) {
  switch (frame.type) {
    case PacketType::kConnack: {
      Connack answer;
      if (decode_connack(frame, 5, answer) != Reason::kSuccess || answer.reason != Reason::kSuccess)
        return fail_with("our own broker refuses the bridge's session: is its client id taken?");
      std::vector<SubscribeEntry> entries;
      for (const std::string& filter : record_.config.publish) {
        SubscribeEntry entry;
        entry.filter = filter;
        entry.qos = 1;
        entry.retain_handling = 2;
        entries.push_back(entry);
      }
      Bytes out;
      encode_subscribe(out, 5, 1, entries);
      return context_.endpoint.from_inner(local_, out);
    }
    case PacketType::kPublish: {
      Publish p;
      if (decode_publish(frame, 5, p) != Reason::kSuccess) return;
      return on_local_publish(p);
    }
    case PacketType::kSuback:
      if (phase_ != Phase::kOpen) close_local("the bridge is away");
      return;
    default:
      return;
  }
}

void Bridge::on_local_publish(const Publish& p) {
  if (phase_ != Phase::kOpen) return;  // stays in its session
  // A topic names no organisation: another's devices are not this bridge's to speak to.
  const std::string_view device = device_of(p.topic);
  const bool foreign = !device.empty() && !context_.owns_device(record_.organisation, device);
  PublishHeader header{record_.config.version,        false, false,
                       std::min(p.qos, maximum_qos_), 0,     p.topic};
  const Properties properties = header.version == 5 ? p.properties : Properties{};
  const bool fits =
      packet_size_max_ == 0 || publish_size(header, properties, p.payload) <= packet_size_max_;
  if (foreign || !fits) {
    ++status_.dropped_out;
    metrics_.dropped_out.add();
    if (p.qos > 0) acknowledge_local(p.packet_id);
    return;
  }
  if (header.qos > 0) {
    header.packet_id = new_packet_id();
    outgoing_[header.packet_id] = {p.packet_id, 0};
  }
  Bytes out;
  encode_publish(out, header, properties, p.payload);
  transmit(out);
  ++status_.messages_out;
  metrics_.out.add();
  if (header.qos == 0 && p.qos > 0) acknowledge_local(p.packet_id);
  status_.waiting_out = static_cast<uint32_t>(outgoing_.size() + direct_.size());
}

void Bridge::acknowledge_local(uint16_t local_id) {
  Bytes out;
  encode_ack(out, PacketType::kPuback, 5, local_id, Reason::kSuccess);
  context_.endpoint.from_inner(local_, out);
}

void Bridge::on_puback(const Frame& frame) {
  Ack ack;
  if (decode_ack(frame, record_.config.version, ack) != Reason::kSuccess)
    return fail_with("the broker sends a PUBACK that cannot be read");
  const auto known = outgoing_.find(ack.packet_id);
  if (known == outgoing_.end()) return;
  const Outgoing sent = known->second;
  outgoing_.erase(known);
  if (static_cast<uint8_t>(ack.reason) >= 0x80) {
    ++status_.dropped_out;
    metrics_.dropped_out.add();
    status_.last_error = fmt::format("the broker refused a message: {}", explain(ack.reason));
    status_.last_error_at = context_.shard.now();
  }
  if (sent.local_id != 0)
    acknowledge_local(sent.local_id);
  else
    std::erase_if(direct_, [&](const Direct& direct) { return direct.number == sent.direct; });
  status_.waiting_out = static_cast<uint32_t>(outgoing_.size() + direct_.size());
}

// -- from protocols

void Bridge::send(std::string_view topic, ByteView payload, uint8_t qos, bool retain) {
  if (qos == 0 || maximum_qos_ == 0) {
    if (phase_ != Phase::kOpen) {
      ++status_.dropped_out;
      metrics_.dropped_out.add();
      return;
    }
    Bytes out;
    encode_publish(out, {record_.config.version, false, retain && retain_available_, 0, 0, topic},
                   {}, payload);
    transmit(out);
    ++status_.messages_out;
    metrics_.out.add();
    return;
  }
  if (direct_.size() >= context_.limits.direct_messages_max) {
    direct_.pop_front();
    ++status_.dropped_out;
    metrics_.dropped_out.add();
  }
  direct_.push_back(
      {++next_direct_, std::string(topic), Bytes(payload.begin(), payload.end()), retain, false});
  if (up_told_) send_direct();
}

void Bridge::send_direct() {
  if (phase_ != Phase::kOpen) return;
  for (Direct& direct : direct_) {
    if (direct.sent) continue;
    direct.sent = true;
    const uint16_t id = new_packet_id();
    outgoing_[id] = {0, direct.number};
    Bytes out;
    encode_publish(
        out,
        {record_.config.version, false, direct.retain && retain_available_, 1, id, direct.topic},
        {}, direct.payload);
    transmit(out);
    ++status_.messages_out;
    metrics_.out.add();
  }
  status_.waiting_out = static_cast<uint32_t>(outgoing_.size());
}

}  // namespace penstock::interop::mqtt
