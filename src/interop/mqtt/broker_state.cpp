#include <algorithm>

#include "base/check.h"
#include "interop/mqtt/broker_internal.h"

namespace penstock::interop::mqtt {

// -- bytes

void write_message(Bytes& out, const Message& m) {
  append_le<uint64_t>(out, m.id);
  append_text(out, m.topic);
  append_text(out, as_text(m.payload));
  append_text(out, as_text(m.properties));
  append_le<uint8_t>(out, m.qos);
  append_le<uint8_t>(out, m.retain ? 1 : 0);
  append_le<uint32_t>(out, m.expiry_s);
  append_le<int64_t>(out, m.received.us);
  append_text(out, m.publisher);
}

MessagePtr read_message(ByteReader& in) {
  auto m = std::make_shared<Message>();
  m->id = in.le<uint64_t>();
  m->topic = in.text();
  const ByteView payload = as_bytes(in.text());
  m->payload.assign(payload.begin(), payload.end());
  const ByteView properties = as_bytes(in.text());
  m->properties.assign(properties.begin(), properties.end());
  m->qos = in.le<uint8_t>();
  m->retain = in.le<uint8_t>() != 0;
  m->expiry_s = in.le<uint32_t>();
  m->received.us = in.le<int64_t>();
  m->publisher = in.text();
  return m;
}

void write_options(Bytes& out, const SubscriptionOptions& o) {
  append_le<uint8_t>(
      out, static_cast<uint8_t>(o.qos | (o.no_local ? 4 : 0) | (o.retain_as_published ? 8 : 0) |
                                (o.retain_handling << 4)));
  append_le<uint32_t>(out, o.id);
}

SubscriptionOptions read_options(ByteReader& in) {
  const auto bits = in.le<uint8_t>();
  SubscriptionOptions o{static_cast<uint8_t>(bits & 3), (bits & 4) != 0, (bits & 8) != 0,
                        static_cast<uint8_t>(bits >> 4 & 3), 0};
  o.id = in.le<uint32_t>();
  return o;
}

namespace {

constexpr uint32_t kSectionVersion = 3;

std::vector<uint32_t> read_ids(ByteReader& in) {
  std::vector<uint32_t> ids;
  for (auto left = in.le<uint32_t>(); in.ok() && left > 0; --left) ids.push_back(in.le<uint32_t>());
  return ids;
}

}  // namespace

// -- sessions

Session& Broker::make_session(const std::string& client_id) {
  auto& session = sessions_[client_id];
  if (session) return *session;
  session = std::make_unique<Session>();
  session->client_id = client_id;
  auto& subscriber = subscribers_[client_id];
  if (!subscriber) subscriber = std::make_shared<Subscriber>();
  subscriber->client_id = client_id;
  subscriber->shard = host_.shard();
  session->subscriber = subscriber;
  return *session;
}

namespace {

std::vector<Delivery> left_for_others(const Session& session) {
  std::vector<Delivery> left;
  if (!session.outbox) return left;
  for (const uint16_t id : session.outbox->order) {
    const Delivery& delivery = session.outbox->in_flight.at(id).delivery;
    if (delivery.qos == 1 && !delivery.group.empty()) left.push_back(delivery);
  }
  for (const Delivery& delivery : session.outbox->queue)
    if (!delivery.group.empty()) left.push_back(delivery);
  return left;
}

}  // namespace

// 3.1.2.11.2: its subscriptions and messages go with it; a will that still waits is due.
void Broker::end_session(const std::string& client_id) {
  const auto it = sessions_.find(client_id);
  if (it == sessions_.end()) return;
  Session& session = *it->second;
  if (session.will) fire_will(session);
  for (const auto& [filter, options] : session.subscriptions) {
    unindex_subscription(client_id, filter);
    if (replaying_) continue;
    Bytes message;
    append_le<uint8_t>(message, static_cast<uint8_t>(Wire::kUnsubscribe));
    append_text(message, client_id);
    append_text(message, filter);
    tell_shards(message);
  }
  if (session.persistent() || session.gone_since.us != 0) journal(Record::kSessionEnd, client_id);
  session.subscriber->connected = false;
  const std::vector<Delivery> left = left_for_others(session);
  subscribers_.erase(client_id);
  sessions_.erase(it);
  if (!replaying_) pass_on(left);
}

// Rights may have gone since the session subscribed.
void Broker::revoke_subscriptions(Session& session) {
  std::vector<std::string> revoked;
  for (const auto& [filter, options] : session.subscriptions) {
    const auto shared = parse_shared(filter);
    if (!may_subscribe(*session.principal, shared ? shared->filter : std::string_view(filter)))
      revoked.push_back(filter);
  }
  for (const std::string& filter : revoked) {
    count_->denied_subscribe.add();
    drop_subscription(session, filter);
  }
}

bool Broker::drop_subscription(Session& session, std::string_view filter) {
  if (session.subscriptions.erase(std::string(filter)) == 0) return false;
  unindex_subscription(session.client_id, filter);
  Bytes message;
  append_le<uint8_t>(message, static_cast<uint8_t>(Wire::kUnsubscribe));
  append_text(message, session.client_id);
  append_text(message, filter);
  tell_shards(message);
  if (session.persistent())
    journal(Record::kUnsubscribe, session.client_id, [&](Bytes& out) { append_text(out, filter); });
  return true;
}

void Broker::fire_will(Session& session) {
  const auto will = std::move(session.will);
  session.will_due_us = 0;
  if (replaying_ || !will || !session.principal ||
      !host_.may_publish(*session.principal, will->message->topic))
    return;
  auto message = std::make_shared<Message>(*will->message);
  message->received = host_.now();
  message->id = (next_message_id_ += 64) | host_.shard();
  host_.on_publish(*session.principal, message->topic, message->payload, message->qos);
  if (message->retain) set_retained(message, true);
  route(message);
}

// How long it has been away is known by the wall clock from before a restart, since then by the
// monotonic one: a clock that is set ends no sessions.
void Broker::away_since(Session& session, Timestamp since) const {
  session.gone_since = since;
  session.gone_us = host_.monotonic_us() - std::max<int64_t>((host_.now() - since).us, 0);
}

void Broker::expire_sessions() {
  const int64_t now_us = host_.monotonic_us();
  std::vector<std::string> ended;
  std::vector<Session*> due;
  next_due_us_ = INT64_MAX;
  for (const auto& [client_id, session] : sessions_) {
    if (session->connection) continue;
    if (session->will && session->will_due_us != 0) {
      if (now_us >= session->will_due_us)
        due.push_back(session.get());
      else
        next_due_us_ = std::min(next_due_us_, session->will_due_us);
    }
    if (session->expiry_s == kNeverExpires) continue;
    const int64_t end_us = session->gone_us + Duration::seconds(session->expiry_s).us;
    if (now_us >= end_us)
      ended.push_back(client_id);
    else
      next_due_us_ = std::min(next_due_us_, end_us);
  }
  for (Session* session : due) fire_will(*session);
  for (const std::string& client_id : ended) end_session(client_id);
}

// -- shards

void Broker::tell_shards(ByteView message) {
  if (host_.shards() < 2 || replaying_) return;
  const auto shared = std::make_shared<const Bytes>(message.begin(), message.end());
  for (uint32_t shard = 0; shard < host_.shards(); ++shard)
    if (shard != host_.shard()) host_.post(shard, shared);
}

void Broker::tell_facts(const Session& session) {
  session.subscriber->connected = static_cast<bool>(session.connection);
  if (session.subscriptions.empty()) return;
  Bytes message;
  append_le<uint8_t>(message, static_cast<uint8_t>(Wire::kFacts));
  append_text(message, session.client_id);
  append_le<uint32_t>(message, host_.shard());
  append_le<uint8_t>(message, session.persistent() ? 1 : 0);
  append_le<uint8_t>(message, session.connection ? 1 : 0);
  tell_shards(message);
}

void Broker::on_message(uint32_t, ByteView bytes) {
  ByteReader in(bytes);
  const auto kind = static_cast<Wire>(in.le<uint8_t>());
  if (kind == Wire::kRetain) return set_retained(read_message(in), false);
  if (kind == Wire::kDeliver) {
    const MessagePtr message = read_message(in);
    while (in.ok() && !in.done()) {
      const std::string client(in.text());
      Delivery delivery{message, in.le<uint8_t>(), false, {}};
      delivery.retain = in.le<uint8_t>() != 0;
      delivery.subscription_ids = read_ids(in);
      delivery.group = in.text();
      const auto it = sessions_.find(client);
      if (it == sessions_.end()) {
        count_->dropped_no_session.add();
        continue;
      }
      deliver(*it->second, std::move(delivery));
      pump(*it->second);
    }
    return;
  }
  const std::string client(in.text());
  if (kind == Wire::kUnsubscribe) return unindex_subscription(client, in.text());
  auto& subscriber = subscribers_[client];
  if (!subscriber) subscriber = std::make_shared<Subscriber>();
  subscriber->client_id = client;
  subscriber->shard = in.le<uint32_t>();
  subscriber->persistent = in.le<uint8_t>() != 0;
  subscriber->connected = in.le<uint8_t>() != 0;
  if (kind != Wire::kSubscribe) return;
  const std::string_view filter = in.text();
  const SubscriptionOptions options = read_options(in);
  const auto shared = parse_shared(filter);
  index_.add(shared ? shared->filter : filter,
             {subscriber, std::string(shared ? shared->group : ""), options});
}

// -- what survives

void Broker::journal(Record record, std::string_view client_id,
                     const std::function<void(Bytes&)>& fill) {
  if (replaying_) return;
  Bytes body;
  append_le<uint8_t>(body, static_cast<uint8_t>(record));
  append_text(body, client_id);
  if (fill) fill(body);
  host_.journal(body);
}

// A section: u32 version; retained messages; sessions.
void Broker::snapshot(Bytes& out) const {
  append_le<uint32_t>(out, kSectionVersion);
  append_le<uint32_t>(out, static_cast<uint32_t>(retained_.size()));
  for (const auto& [topic, message] : retained_) write_message(out, *message);
  uint32_t kept = 0;
  for (const auto& [id, session] : sessions_) kept += session->persistent();
  append_le<uint32_t>(out, kept);
  for (const auto& [id, session] : sessions_)
    if (session->persistent()) write_session(out, *session);
}

void Broker::write_session(Bytes& out, const Session& s) const {
  append_text(out, s.client_id);
  append_text(out, s.owner);
  append_le<uint32_t>(out, s.expiry_s);
  append_le<int64_t>(out, s.connection ? 0 : s.gone_since.us);
  append_le<uint32_t>(out, static_cast<uint32_t>(s.subscriptions.size()));
  for (const auto& [filter, options] : s.subscriptions) {
    append_text(out, filter);
    write_options(out, options);
  }
  append_le<uint32_t>(out, static_cast<uint32_t>(s.received_qos2.size()));
  for (const uint16_t id : s.received_qos2) append_le<uint16_t>(out, id);
  const auto write_delivery = [&](const Delivery& d, uint16_t id, uint8_t state) {
    write_message(out, *d.message);
    append_le<uint8_t>(out, d.qos);
    append_le<uint8_t>(out, d.retain ? 1 : 0);
    append_le<uint32_t>(out, static_cast<uint32_t>(d.subscription_ids.size()));
    for (const uint32_t sub : d.subscription_ids) append_le<uint32_t>(out, sub);
    append_text(out, d.group);
    append_le<uint16_t>(out, id);
    append_le<uint8_t>(out, state);
  };
  uint32_t count = 0;
  if (s.outbox) {
    count = static_cast<uint32_t>(s.outbox->order.size());
    for (const Delivery& d : s.outbox->queue) count += d.qos > 0;
  }
  append_le<uint32_t>(out, count);
  if (!s.outbox) return;
  for (const uint16_t id : s.outbox->order) {
    const auto& flight = s.outbox->in_flight.at(id);
    write_delivery(flight.delivery, id, static_cast<uint8_t>(flight.state));
  }
  for (const Delivery& d : s.outbox->queue)
    if (d.qos > 0) write_delivery(d, 0, 0);
}

bool Broker::read_session(ByteReader& in) {
  const std::string client(in.text());
  std::string owner(in.text());
  const auto expiry = in.le<uint32_t>();
  const Timestamp gone{in.le<int64_t>()};
  const bool ours = at_home(client);
  Session scratch;
  Session& s = ours ? make_session(client) : scratch;
  if (!ours) {
    s.client_id = client;
    auto& subscriber = subscribers_[client];
    if (!subscriber) subscriber = std::make_shared<Subscriber>();
    subscriber->client_id = client;
    subscriber->shard = home_shard(client, host_.shards());
    s.subscriber = subscriber;
  }
  s.expiry_s = expiry;
  s.owner = std::move(owner);
  // Connected when the snapshot was taken: gone since the crash.
  away_since(s, gone.us == 0 ? host_.now() : gone);
  s.subscriber->persistent = true;
  for (auto left = in.le<uint32_t>(); in.ok() && left > 0; --left) {
    const std::string filter(in.text());
    const SubscriptionOptions options = read_options(in);
    s.subscriptions[filter] = options;
    index_subscription(s, filter, options);
  }
  for (auto left = in.le<uint32_t>(); in.ok() && left > 0; --left)
    s.received_qos2.insert(in.le<uint16_t>());
  for (auto left = in.le<uint32_t>(); in.ok() && left > 0; --left) {
    Delivery d{read_message(in), in.le<uint8_t>(), false, {}};
    d.retain = in.le<uint8_t>() != 0;
    d.subscription_ids = read_ids(in);
    d.group = in.text();
    const auto id = in.le<uint16_t>();
    const auto state = in.le<uint8_t>();
    if (!s.outbox) s.outbox = std::make_unique<Outbox>();
    if (id == 0) {
      s.outbox->queue_bytes += d.message->weight();
      s.outbox->queue.push_back(std::move(d));
      continue;
    }
    s.outbox->in_flight[id] = {std::move(d),
                               static_cast<Outbox::InFlight::State>(std::min<uint8_t>(state, 2))};
    s.outbox->order.push_back(id);
    s.outbox->next_id = static_cast<uint16_t>(id + 1);
  }
  return in.ok();
}

Status Broker::restore(ByteView section, uint32_t) {
  replaying_ = true;
  ByteReader in(section);
  bool good = in.le<uint32_t>() == kSectionVersion;
  for (auto left = in.le<uint32_t>(); good && in.ok() && left > 0; --left)
    set_retained(read_message(in), false);
  for (auto left = in.le<uint32_t>(); good && in.ok() && left > 0; --left) good = read_session(in);
  replaying_ = false;
  if (!good || !in.ok() || !in.done())
    return fail(ErrorCode::kCorrupt, "the MQTT sessions of the checkpoint are damaged");
  return {};
}

void Broker::replay(ByteView record) {
  if (!record.empty() && std::to_integer<uint8_t>(record[0]) >= 100) return;  // a bridge's
  replaying_ = true;
  ByteReader in(record);
  const auto kind = static_cast<Record>(in.le<uint8_t>());
  const std::string client(in.text());
  const auto own = [&]() -> Session* {
    const auto it = sessions_.find(client);
    return it == sessions_.end() ? nullptr : it->second.get();
  };
  switch (kind) {
    case Record::kSessionOpen: {
      const auto expiry = in.le<uint32_t>();
      auto& subscriber = subscribers_[client];
      if (!subscriber) subscriber = std::make_shared<Subscriber>();
      subscriber->client_id = client;
      subscriber->shard = home_shard(client, host_.shards());
      subscriber->persistent = true;
      if (!at_home(client)) break;
      Session& s = make_session(client);
      s.expiry_s = expiry;
      s.owner = in.text();
      away_since(s, host_.now());
      break;
    }
    case Record::kSessionGone:
      if (Session* s = own()) away_since(*s, Timestamp{in.le<int64_t>()});
      break;
    case Record::kSessionEnd:
      end_session(client);
      break;
    case Record::kSubscribe: {
      const std::string filter(in.text());
      const SubscriptionOptions options = read_options(in);
      if (Session* s = own()) {
        s->subscriptions[filter] = options;
        index_subscription(*s, filter, options);
      } else if (const auto it = subscribers_.find(client); it != subscribers_.end()) {
        const auto shared = parse_shared(filter);
        index_.add(shared ? shared->filter : std::string_view(filter),
                   {it->second, std::string(shared ? shared->group : ""), options});
      }
      break;
    }
    case Record::kUnsubscribe: {
      const std::string filter(in.text());
      unindex_subscription(client, filter);
      if (Session* s = own()) s->subscriptions.erase(filter);
      break;
    }
    case Record::kPublish: {
      const MessagePtr message = read_message(in);
      for (auto left = in.le<uint32_t>(); in.ok() && left > 0; --left) {
        const std::string target(in.text());
        Delivery d{message, in.le<uint8_t>(), false, {}};
        d.retain = in.le<uint8_t>() != 0;
        d.subscription_ids = read_ids(in);
        d.group = in.text();
        if (const auto it = sessions_.find(target); it != sessions_.end())
          deliver(*it->second, std::move(d));
      }
      break;
    }
    case Record::kAssigned: {
      Session* s = own();
      const auto message = in.le<uint64_t>();
      const auto id = in.le<uint16_t>();
      if (!s || !s->outbox) break;
      Outbox& box = *s->outbox;
      const auto it = std::find_if(box.queue.begin(), box.queue.end(),
                                   [&](const Delivery& d) { return d.message->id == message; });
      if (it == box.queue.end()) break;
      box.queue_bytes -= it->message->weight();
      box.in_flight[id] = {std::move(*it), Outbox::InFlight::State::kSent};
      box.order.push_back(id);
      box.queue.erase(it);
      box.next_id = static_cast<uint16_t>(id + 1);
      break;
    }
    case Record::kReleased: {
      Session* s = own();
      const auto id = in.le<uint16_t>();
      if (s && s->outbox)
        if (const auto it = s->outbox->in_flight.find(id); it != s->outbox->in_flight.end())
          it->second.state = Outbox::InFlight::State::kReleased;
      break;
    }
    case Record::kDone: {
      Session* s = own();
      const auto message = in.le<uint64_t>();
      if (!s || !s->outbox) break;
      Outbox& box = *s->outbox;
      const auto queued = std::find_if(box.queue.begin(), box.queue.end(),
                                       [&](const Delivery& d) { return d.message->id == message; });
      if (queued != box.queue.end()) {
        box.queue_bytes -= queued->message->weight();
        box.queue.erase(queued);
      }
      for (auto it = box.in_flight.begin(); it != box.in_flight.end(); ++it) {
        if (it->second.delivery.message->id != message) continue;
        box.order.erase(std::find(box.order.begin(), box.order.end(), it->first));
        box.in_flight.erase(it);
        break;
      }
      break;
    }
    case Record::kQos2In:
      if (Session* s = own()) s->received_qos2.insert(in.le<uint16_t>());
      break;
    case Record::kQos2Out:
      if (Session* s = own()) s->received_qos2.erase(in.le<uint16_t>());
      break;
    case Record::kRetain:
      set_retained(read_message(in), false);
      break;
  }
  replaying_ = false;
}

}  // namespace penstock::interop::mqtt
