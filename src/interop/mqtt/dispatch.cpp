#include "interop/mqtt/dispatch.h"

#include <algorithm>

#include "interop/mqtt/tap.h"

namespace penstock::interop::mqtt {
namespace {

struct DeviceTopic {
  std::string_view device;
  std::string_view kind;  // telemetry, properties, responses, …
};

// devices/{device}/{kind}[/…]
std::optional<DeviceTopic> parse_device_topic(std::string_view topic) {
  constexpr std::string_view kRoot = "devices/";
  if (!topic.starts_with(kRoot)) return std::nullopt;
  topic.remove_prefix(kRoot.size());
  const size_t slash = topic.find('/');
  if (slash == std::string_view::npos || slash == 0) return std::nullopt;
  const std::string_view rest = topic.substr(slash + 1);
  return DeviceTopic{topic.substr(0, slash), rest.substr(0, rest.find('/'))};
}

// What `message` came to, with the caller's record in the same batch, on the shard of the device.
template <class Take>
void on_owner(stream::Shard& shard, std::string_view device, const InboundMessage& message,
              ByteView record, Take take) {
  if (record.empty()) return take(shard, device, message.topic, as_text(message.payload));
  const uint32_t owner = stream::shard_of(device, shard.count());
  if (owner == shard.index()) {
    take(shard, device, message.topic, as_text(message.payload));
    shard.append_record(stream::RecordType::kMqtt, record);
    return;
  }
  shard.run_on(owner, [take, device = std::string(device), topic = std::string(message.topic),
                       payload = Bytes(message.payload.begin(), message.payload.end()),
                       kept = Bytes(record.begin(), record.end())](stream::Shard& there) {
    take(there, device, topic, as_text(payload));
    there.append_record(stream::RecordType::kMqtt, kept);
  });
}

}  // namespace

PublishOutcome Dispatch::take(const InboundMessage& message, ByteView record) {
  if (tap_) [[unlikely]]
    offer(message);
  if (const auto parsed = parse_device_topic(message.topic)) {
    const auto outcome = take_device_topic(message, parsed->device, parsed->kind, record);
    if (outcome != PublishOutcome::kNotOurs) return outcome;
  }
  for (MessageHandler* handler : handlers_) {
    if (!handler->on_message(message)) continue;
    if (!record.empty()) shard_.append_record(stream::RecordType::kMqtt, record);
    return PublishOutcome::kAccepted;
  }
  if (!routes_ || !take_bound(message, record)) return PublishOutcome::kNotOurs;
  return PublishOutcome::kAccepted;
}

PublishOutcome Dispatch::take_device_topic(const InboundMessage& message, std::string_view device,
                                           std::string_view kind, ByteView record) {
  if (kind == "telemetry" || kind == "properties") {
    on_owner(shard_, device, message, record,
             [sender = message.organisation](stream::Shard& shard, std::string_view whose,
                                             std::string_view topic, std::string_view payload) {
               shard.ingest(sender, whose, topic, payload);
             });
    return PublishOutcome::kAccepted;
  }
  if (kind != "responses") return PublishOutcome::kNotOurs;
  Bytes body;
  stream::encode_raw(
      body,
      {shard_.now(), message.organisation, device, message.topic, as_text(message.payload), {}});
  shard_.append_record(stream::RecordType::kCommand, body);
  if (!record.empty()) shard_.append_record(stream::RecordType::kMqtt, record);
  return PublishOutcome::kAccepted;
}

bool Dispatch::take_bound(const InboundMessage& message, ByteView record) {
  if (!routes_->find(message.organisation, message.topic, device_)) return false;
  on_owner(shard_, device_, message, record,
           [sender = message.organisation, joining = message.joining](
               stream::Shard& shard, std::string_view whose, std::string_view topic,
               std::string_view payload) {
             shard.ingest_bound(sender, whose, topic, payload, joining);
           });
  return true;
}

bool Dispatch::take_retained(const InboundMessage& message) {
  if (tap_) [[unlikely]]
    offer(message);
  return std::any_of(handlers_.begin(), handlers_.end(),
                     [&](MessageHandler* handler) { return handler->on_message(message); });
}

void Dispatch::link_changed(std::string_view link, bool up) {
  for (MessageHandler* handler : handlers_) handler->on_link(link, up);
}

std::optional<LinkWill> Dispatch::link_will(std::string_view link) {
  for (MessageHandler* handler : handlers_)
    if (auto will = handler->link_will(link)) return will;
  return std::nullopt;
}

bool Dispatch::may_publish(const Principal& principal, std::string_view topic) {
  if (!routes_ || (principal.device.empty() && !principal.may_provision)) return false;
  if (!routes_->find(principal.organisation, topic, device_)) return false;
  return principal.may_provision || device_ == principal.device;
}

void Dispatch::offer(const InboundMessage& message) {
  std::string_view device;
  if (const auto parsed = parse_device_topic(message.topic))
    device = parsed->device;
  else if (routes_ && routes_->find(message.organisation, message.topic, device_))
    device = device_;
  tap_->offer(message, device, shard_.now());
}

}  // namespace penstock::interop::mqtt
