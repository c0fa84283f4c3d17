#include <algorithm>

#include "interop/mqtt/broker_internal.h"

namespace penstock::interop::mqtt {
namespace {

// Where a filter lies in the index: shared ones by their inner filter and group.
struct IndexKey {
  std::string_view filter, group;
};
IndexKey index_key(std::string_view filter) {
  if (const auto shared = parse_shared(filter)) return {shared->filter, shared->group};
  return {filter, {}};
}

}  // namespace

void Broker::on_subscribe(Connection& c, const Frame& frame) {
  Subscribe packet;
  const Reason bad = decode_subscribe(frame, c.version, packet);
  if (bad != Reason::kSuccess) return protocol_failure(c, bad);
  Session& session = *c.session;
  std::vector<Reason> reasons;
  struct Wanted {
    std::string filter;
    SubscriptionOptions options;
    bool fresh;
  };
  std::vector<Wanted> accepted;
  for (const SubscribeEntry& entry : packet.entries) {
    const auto shared = parse_shared(entry.filter);
    if (shared && shared->filter.empty()) return protocol_failure(c, Reason::kMalformedPacket);
    if (!valid_filter(shared ? shared->filter : entry.filter, limits_.topics)) {
      // 4.7.1: '#' and '+' in the wrong place make the packet malformed; a limit of ours only the
      // filter.
      if (!valid_filter(shared ? shared->filter : entry.filter, {65'535, 65'535}))
        return protocol_failure(c, Reason::kMalformedPacket);
      reasons.push_back(Reason::kTopicFilterInvalid);
      continue;
    }
    if (shared && entry.no_local) return protocol_failure(c, Reason::kProtocolError);  // 3.8.3.1
    if (!may_subscribe(*session.principal, shared ? shared->filter : entry.filter)) {
      count_->denied_subscribe.add();
      reasons.push_back(Reason::kNotAuthorized);
      continue;
    }
    const bool fresh = !session.subscriptions.contains(std::string(entry.filter));
    if (fresh && session.subscriptions.size() >= limits_.subscriptions_per_session_max) {
      count_->quota.add();
      reasons.push_back(Reason::kQuotaExceeded);
      continue;
    }
    SubscriptionOptions options{entry.qos, entry.no_local, entry.retain_as_published,
                                entry.retain_handling, 0};
    if (!packet.properties.subscription_ids.empty())
      options.id = packet.properties.subscription_ids[0];
    session.subscriptions[std::string(entry.filter)] = options;
    index_subscription(session, entry.filter, options);
    if (session.persistent())
      journal(Record::kSubscribe, session.client_id, [&](Bytes& out) {
        append_text(out, entry.filter);
        write_options(out, options);
      });
    reasons.push_back(static_cast<Reason>(entry.qos));
    accepted.push_back({std::string(entry.filter), options, fresh});
  }
  std::erase_if(accepted, [](const Wanted& w) {  // 4.8.2: no retained messages for shared ones
    return parse_shared(w.filter) || w.options.retain_handling == 2 ||
           (w.options.retain_handling == 1 && !w.fresh);
  });
  Bytes out;
  encode_suback(out, c.version, packet.packet_id, reasons);
  const auto answer = [this](Session& to, ConnectionId id, ByteView suback,
                             const std::vector<Wanted>& retained) {
    host_.send(id, suback);
    for (const Wanted& w : retained) send_retained(to, w.filter, w.options);
  };
  if (!session.persistent()) return answer(session, c.id, out, accepted);
  host_.when_durable([this, id = c.id, out, accepted, answer](bool ok) {
    Connection* still = find(id);
    if (still && ok) answer(*still->session, id, out, accepted);
    if (still && !ok) host_.close(id);
  });
}

void Broker::on_unsubscribe(Connection& c, const Frame& frame) {
  Unsubscribe packet;
  const Reason bad = decode_unsubscribe(frame, c.version, packet);
  if (bad != Reason::kSuccess) return protocol_failure(c, bad);
  Session& session = *c.session;
  std::vector<Reason> reasons;
  for (const std::string_view filter : packet.filters) {
    const auto shared = parse_shared(filter);
    if ((shared && shared->filter.empty()) ||
        !valid_filter(shared ? shared->filter : filter, {65'535, 65'535}))
      return protocol_failure(c, Reason::kMalformedPacket);
    const bool had = drop_subscription(session, filter);
    reasons.push_back(had ? Reason::kSuccess : Reason::kNoSubscriptionExisted);
  }
  Bytes out;
  encode_unsuback(out, c.version, packet.packet_id, reasons);
  if (!session.persistent()) return host_.send(c.id, out);
  host_.when_durable([this, id = c.id, out](bool ok) {
    if (!find(id)) return;
    if (ok)
      host_.send(id, out);
    else
      host_.close(id);
  });
}

void Broker::index_subscription(const Session& session, std::string_view filter,
                                const SubscriptionOptions& options) {
  const IndexKey key = index_key(filter);
  index_.add(key.filter, {session.subscriber, std::string(key.group), options});
  Bytes message;
  append_le<uint8_t>(message, static_cast<uint8_t>(Wire::kSubscribe));
  append_text(message, session.client_id);
  append_le<uint32_t>(message, session.subscriber->shard);
  append_le<uint8_t>(message, session.subscriber->persistent ? 1 : 0);
  append_le<uint8_t>(message, session.subscriber->connected ? 1 : 0);
  append_text(message, filter);
  write_options(message, options);
  tell_shards(message);
}

void Broker::unindex_subscription(std::string_view client_id, std::string_view filter) {
  const IndexKey key = index_key(filter);
  index_.remove(key.filter, key.group, client_id);
}

void Broker::send_retained(Session& session, std::string_view filter,
                           const SubscriptionOptions& options) {
  const auto give = [&](const MessagePtr& message) {
    if (message->expired(host_.now())) return;
    Delivery delivery{message, std::min(message->qos, options.qos), true, {}};
    if (options.id) delivery.subscription_ids.push_back(options.id);
    if (delivery.qos == 0 || !session.persistent()) return deliver(session, std::move(delivery));
    // On record before it is sent, as every message of a session that survives.
    std::vector<Target> one(1);
    one[0].subscriber = session.subscriber;
    one[0].qos = delivery.qos;
    one[0].ids = delivery.subscription_ids;
    journal_publish(*message, one, true);
    host_.when_durable([this, client = session.client_id, delivery](bool ok) {
      const auto it = sessions_.find(client);
      if (!ok || it == sessions_.end()) return;
      deliver(*it->second, delivery);
      pump(*it->second);
    });
  };
  const size_t wildcard = filter.find_first_of("+#");
  if (wildcard == std::string_view::npos) {
    if (const auto it = retained_.find(filter); it != retained_.end()) give(it->second);
  } else {
    const std::string_view prefix = filter.substr(0, wildcard > 0 ? wildcard - 1 : 0);
    for (auto it = retained_.lower_bound(prefix);
         it != retained_.end() && it->first.starts_with(prefix); ++it)
      if (matches(filter, it->first)) give(it->second);
  }
  pump(session);
}

// 4.7.2 leaves $SYS to the server; these are the names that other brokers made common.
void Broker::publish_sys() {
  if (host_.shard() != 0 || index_.empty()) return;
  const auto say = [&](std::string_view topic, const std::string& value) {
    auto message = std::make_shared<Message>();
    message->id = next_message_id_ += 64;
    message->topic = topic;
    message->payload.assign(as_bytes(value).begin(), as_bytes(value).end());
    message->received = host_.now();
    route(message);
  };
  say("$SYS/broker/version", "penstock");
  say("$SYS/broker/uptime",
      std::to_string((host_.monotonic_us() - started_us_) / 1'000'000) + " seconds");
  say("$SYS/broker/subscriptions/count", std::to_string(index_.size()));
  say("$SYS/broker/retained messages/count", std::to_string(retained_.size()));
  say("$SYS/broker/publish/messages/received", std::to_string(count_->publishes_in.value()));
  say("$SYS/broker/publish/messages/sent", std::to_string(count_->publishes_out.value()));
}

}  // namespace penstock::interop::mqtt
