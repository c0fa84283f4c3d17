#include <algorithm>

#include "base/check.h"
#include "interop/mqtt/broker_internal.h"

namespace penstock::interop::mqtt {
namespace {

void clear(Publish& p) {
  auto ids = std::move(p.properties.subscription_ids);
  auto user = std::move(p.properties.user);
  ids.clear();
  user.clear();
  p = Publish{};
  p.properties.subscription_ids = std::move(ids);
  p.properties.user = std::move(user);
}

}  // namespace

void Broker::on_publish(Connection& c, const Frame& frame) {
  Publish& p = publish_;
  clear(p);
  const Reason bad = decode_publish(frame, c.version, p);
  if (bad != Reason::kSuccess) return protocol_failure(c, bad);
  if (p.properties.user.size() > limits_.user_properties_max) {
    count_->quota.add();
    return protocol_failure(c, Reason::kQuotaExceeded);
  }
  if (c.version == 5 && !resolve_alias(c, p)) return;
  if (p.qos > 0 && c.version == 5) {
    const bool again = p.qos == 2 && c.session->received_qos2.contains(p.packet_id);
    if (!again && ++c.open_publishes > limits_.receive_maximum)
      return protocol_failure(c, Reason::kReceiveMaximumExceeded);  // 3.3.4-9
  }
  accept_publish(c, p);
}

// 3.3.2.3.4. False where the connection was ended.
bool Broker::resolve_alias(Connection& c, Publish& p) {
  if (!p.properties.topic_alias) return true;
  const uint16_t alias = *p.properties.topic_alias;
  if (alias > limits_.topic_alias_maximum) {
    protocol_failure(c, Reason::kTopicAliasInvalid);
    return false;
  }
  if (c.aliases_in.size() < alias) c.aliases_in.resize(alias);
  std::string& known = c.aliases_in[alias - 1U];
  if (!p.topic.empty()) {
    known = p.topic;
  } else if (known.empty()) {
    protocol_failure(c, Reason::kProtocolError);
    return false;
  }
  p.topic = known;
  return true;
}

void Broker::acknowledge_publish(Connection& c, const Publish& p, Reason reason, bool journalled) {
  if (p.qos == 0) return;
  const PacketType type = p.qos == 1 ? PacketType::kPuback : PacketType::kPubrec;
  if (reason == Reason::kSuccess && journalled) {
    host_.ack_when_durable(c.id, static_cast<uint8_t>(static_cast<unsigned>(type) << 4),
                           p.packet_id);
    return;
  }
  Bytes out;
  encode_ack(out, type, c.version, p.packet_id, reason,
             c.problem_information ? explain(reason) : std::string_view());
  if (c.packet_size_max > 0 && out.size() > c.packet_size_max) {
    out.clear();  // without the sentence (3.4.2.2.2)
    encode_ack(out, type, c.version, p.packet_id, reason);
  }
  if (p.qos == 1 || static_cast<uint8_t>(reason) >= 0x80)
    if (c.open_publishes > 0) --c.open_publishes;
  // Acknowledgements keep the order of their publishes: this one may not overtake those that wait
  // (4.6.0-2).
  host_.when_durable([this, id = c.id, out = std::move(out)](bool ok) {
    if (ok)
      host_.send(id, out);
    else
      host_.close(id);
  });
}

void Broker::accept_publish(Connection& c, const Publish& p) {
  Session& session = *c.session;
  if (p.qos == 2 && session.received_qos2.contains(p.packet_id))
    return acknowledge_publish(c, p, Reason::kSuccess,
                               true);  // sent again: it was taken the first time
  if (!valid_topic(p.topic, limits_.topics)) {
    if (c.version < 5 || p.qos == 0) return protocol_failure(c, Reason::kTopicNameInvalid);
    return acknowledge_publish(c, p, Reason::kTopicNameInvalid, false);
  }
  if (!host_.may_publish(*session.principal, p.topic)) {
    count_->denied_publish.add();
    // 3.1.1 has no refusal: taken and dropped would be silent loss, so the connection ends
    // (3.3.5-2).
    if (c.version < 5) return protocol_failure(c, Reason::kNotAuthorized);
    if (p.qos == 0) return disconnect(c, Reason::kNotAuthorized, true);
    return acknowledge_publish(c, p, Reason::kNotAuthorized, false);
  }
  if (p.retain && !retained_fits(p)) {
    count_->quota.add();
    if (c.version == 5 && p.qos > 0)
      return acknowledge_publish(c, p, Reason::kQuotaExceeded, false);
  }
  count_->publishes_in.add();
  const PublishOutcome outcome = host_.on_publish(*session.principal, p.topic, p.payload, p.qos);
  if (outcome == PublishOutcome::kRefusedQuota) {
    count_->quota.add();
    if (c.version < 5) return protocol_failure(c, Reason::kQuotaExceeded);
    return acknowledge_publish(c, p, Reason::kQuotaExceeded, false);
  }
  if (p.qos == 2) {
    session.received_qos2.insert(p.packet_id);
    if (session.persistent())
      journal(Record::kQos2In, session.client_id,
              [&](Bytes& out) { append_le<uint16_t>(out, p.packet_id); });
  }
  bool wanted = outcome == PublishOutcome::kAccepted;
  std::vector<Target> targets = std::exchange(targets_, {});
  targets.clear();
  collect_targets(p.topic, session.client_id, targets);
  if (p.retain || !targets.empty()) {
    const MessagePtr message = make_message(p, session.client_id);
    if (p.retain) set_retained(message, true);
    wanted = !targets.empty() || wanted;
    hand_out(message, targets);
  }
  targets_ = std::move(targets);
  // Reason 0x10 tells a 5.0 client that nobody listens; it is optional, and says nothing of QoS 2
  // yet.
  const bool nobody = !wanted && c.version == 5 && p.qos == 1;
  acknowledge_publish(c, p, nobody ? Reason::kNoMatchingSubscribers : Reason::kSuccess, !nobody);
}

void Broker::on_acknowledged(ConnectionId id, uint8_t packet_type, uint16_t) {
  if (packet_type != 0x40) return;  // after PUBREC the publish stays open until PUBREL
  if (Connection* c = find(id); c && c->open_publishes > 0) --c->open_publishes;
}

MessagePtr Broker::make_message(const Publish& p, std::string_view publisher) {
  auto message = std::make_shared<Message>();
  message->id = (next_message_id_ += 64) | host_.shard();
  message->topic = p.topic;
  message->payload.assign(p.payload.begin(), p.payload.end());
  message->properties.assign(p.raw_properties.begin(), p.raw_properties.end());
  message->qos = p.qos;
  message->retain = p.retain;
  message->expiry_s = p.properties.message_expiry_s.value_or(0);
  // Expiry 0 is legal and means at once; we keep it for a second rather than confuse it with none.
  if (p.properties.message_expiry_s && message->expiry_s == 0) message->expiry_s = 1;
  message->received = host_.now();
  message->publisher = publisher;
  return message;
}

// -- routing

namespace {

// One member of a shared subscription gets it, by turns; those who are connected come first
// (4.8.2).
const SubscriptionIndex::Entry& choose(const std::vector<const SubscriptionIndex::Entry*>& members,
                                       uint32_t turn) {
  const auto connected = [](const auto* member) { return member->subscriber->connected; };
  const auto here = static_cast<size_t>(std::count_if(members.begin(), members.end(), connected));
  if (here == 0) return *members[turn % members.size()];
  size_t skip = turn % here;
  for (const auto* member : members)
    if (connected(member) && skip-- == 0) return *member;
  return *members.front();  // not reached
}

}  // namespace

void Broker::collect_targets(std::string_view topic, std::string_view publisher,
                             std::vector<Target>& targets) {
  if (index_.empty()) return;
  struct Group {
    std::string_view name;
    std::vector<const SubscriptionIndex::Entry*> members;
  };
  std::vector<Group> groups;
  const auto add = [&](const SubscriptionIndex::Entry& entry) {
    // Overlapping filters: one copy, the highest QoS, all identifiers (3.3.4).
    const auto it = std::find_if(targets.begin(), targets.end(),
                                 [&](const Target& t) { return t.subscriber == entry.subscriber; });
    const bool fresh = it == targets.end();
    Target& target = fresh ? targets.emplace_back() : *it;
    if (fresh) target.subscriber = entry.subscriber;
    target.qos = std::max(target.qos, entry.options.qos);
    target.retain_as_published = target.retain_as_published || entry.options.retain_as_published;
    if (entry.options.id) target.ids.push_back(entry.options.id);
  };
  index_.match(topic, [&](const SubscriptionIndex::Entry& entry) {
    if (entry.options.no_local && entry.subscriber->client_id == publisher) return;
    if (entry.group.empty()) return add(entry);
    const auto it = std::find_if(groups.begin(), groups.end(),
                                 [&](const Group& g) { return g.name == entry.group; });
    if (it == groups.end())
      groups.push_back({entry.group, {&entry}});
    else
      it->members.push_back(&entry);
  });
  for (const Group& group : groups)
    add_shared(choose(group.members, index_.next_turn(group.name, topic)), targets);
}

void Broker::add_shared(const SubscriptionIndex::Entry& entry, std::vector<Target>& targets) {
  Target& target = targets.emplace_back();
  target.subscriber = entry.subscriber;
  target.qos = entry.options.qos;
  target.retain_as_published = entry.options.retain_as_published;
  if (entry.options.id) target.ids.push_back(entry.options.id);
  target.group = entry.group;
}

// 4.8.2: what a session leaves behind when it ends goes to another of the group. Not what it may
// have taken already at QoS 2.
void Broker::pass_on(const std::vector<Delivery>& left) {
  for (const Delivery& delivery : left) {
    const Message& m = *delivery.message;
    std::vector<const SubscriptionIndex::Entry*> members;
    index_.match(m.topic, [&](const SubscriptionIndex::Entry& entry) {
      if (entry.group == delivery.group) members.push_back(&entry);
    });
    if (members.empty() || m.expired(host_.now())) {
      count_->dropped_no_session.add();
      continue;
    }
    std::vector<Target> targets;
    add_shared(choose(members, index_.next_turn(delivery.group, m.topic)), targets);
    hand_out(delivery.message, targets);
  }
}

bool Broker::route(const MessagePtr& message) {
  std::vector<Target> targets;
  collect_targets(message->topic, message->publisher, targets);
  hand_out(message, targets);
  return !targets.empty();
}

void Broker::journal_publish(const Message& message, const std::vector<Target>& targets,
                             bool from_retained) {
  journal(Record::kPublish, {}, [&](Bytes& out) {
    write_message(out, message);
    append_le<uint32_t>(out, static_cast<uint32_t>(targets.size()));
    for (const Target& t : targets) {
      append_text(out, t.subscriber->client_id);
      append_le<uint8_t>(out, std::min(t.qos, message.qos));
      const bool retain = from_retained || (t.retain_as_published && message.retain);
      append_le<uint8_t>(out, retain ? 1 : 0);
      append_le<uint32_t>(out, static_cast<uint32_t>(t.ids.size()));
      for (const uint32_t id : t.ids) append_le<uint32_t>(out, id);
      append_text(out, t.group);
    }
  });
}

// `targets` keeps those who need no record.
void Broker::hand_out(const MessagePtr& message, std::vector<Target>& targets) {
  if (targets.empty()) return;
  const auto survives = [&](const Target& t) {
    return t.subscriber->persistent && std::min(t.qos, message->qos) > 0;
  };
  std::vector<Target> persistent;
  for (const Target& target : targets)
    if (survives(target)) persistent.push_back(target);
  if (!persistent.empty()) {
    journal_publish(*message, persistent, false);
    // Only what is on record is handed on: whatever a subscriber answers comes after it in the
    // journal.
    host_.when_durable([this, message, persistent](bool ok) {
      if (ok) dispatch(message, persistent);
    });
    std::erase_if(targets, survives);
  }
  dispatch(message, targets);
}

void Broker::dispatch(const MessagePtr& message, const std::vector<Target>& targets) {
  std::vector<Bytes> elsewhere(host_.shards());
  for (const Target& target : targets) {
    const uint8_t qos = std::min(target.qos, message->qos);
    const bool retain = target.retain_as_published && message->retain;
    if (target.subscriber->shard == host_.shard()) {
      const auto it = sessions_.find(target.subscriber->client_id);
      // A session that began while the record was written did not subscribe to this.
      if (it == sessions_.end() || it->second->subscriber != target.subscriber) {
        count_->dropped_no_session.add();
        continue;
      }
      deliver(*it->second, {message, qos, retain, target.ids, target.group});
      pump(*it->second);
      continue;
    }
    Bytes& out = elsewhere[target.subscriber->shard];
    if (out.empty()) {
      append_le<uint8_t>(out, static_cast<uint8_t>(Wire::kDeliver));
      write_message(out, *message);
    }
    append_text(out, target.subscriber->client_id);
    append_le<uint8_t>(out, qos);
    append_le<uint8_t>(out, retain ? 1 : 0);
    append_le<uint32_t>(out, static_cast<uint32_t>(target.ids.size()));
    for (const uint32_t id : target.ids) append_le<uint32_t>(out, id);
    append_text(out, target.group);
  }
  for (uint32_t shard = 0; shard < elsewhere.size(); ++shard)
    if (!elsewhere[shard].empty())
      host_.post(shard, std::make_shared<const Bytes>(std::move(elsewhere[shard])));
}

bool Broker::retained_fits(const Publish& p) const {
  if (p.payload.empty()) return true;  // clears
  const auto it = retained_.find(p.topic);
  const size_t old = it == retained_.end() ? 0 : it->second->weight();
  const size_t weight =
      sizeof(Message) + p.topic.size() + p.payload.size() + p.raw_properties.size();
  return (it != retained_.end() || retained_.size() < limits_.retained_messages_max) &&
         retained_bytes_ - old + weight <= limits_.retained_bytes_max;
}

void Broker::set_retained(const MessagePtr& message, bool tell_others) {
  const auto it = retained_.find(message->topic);
  const size_t old = it == retained_.end() ? 0 : it->second->weight();
  if (message->payload.empty()) {  // 3.3.1-6, 3.3.1-7
    if (it == retained_.end()) return;
    retained_bytes_ -= old;
    retained_.erase(it);
  } else {
    const bool fits = (it != retained_.end() || retained_.size() < limits_.retained_messages_max) &&
                      retained_bytes_ - old + message->weight() <= limits_.retained_bytes_max;
    if (!fits) return;  // the publisher was told, or it is counted (retained_fits)
    retained_bytes_ += message->weight() - old;
    if (it == retained_.end())
      retained_.emplace(message->topic, message);
    else
      it->second = message;
  }
  if (!tell_others) return;
  journal(Record::kRetain, {}, [&](Bytes& out) { write_message(out, *message); });
  Bytes wire;
  append_le<uint8_t>(wire, static_cast<uint8_t>(Wire::kRetain));
  write_message(wire, *message);
  tell_shards(wire);
}

// -- towards the subscriber

void Broker::deliver(Session& session, Delivery delivery) {
  Connection* c = session.connection ? find(session.connection) : nullptr;
  if (delivery.qos == 0) {
    if (!c) return;  // 3.1.2-5 lets a server drop QoS 0 for who is away
    if (host_.unsent_bytes(c->id) > limits_.unsent_bytes_max) {
      count_->dropped_slow.add();
      return;
    }
    if (!fits(*c, delivery)) {
      count_->dropped_too_large.add();
      return;
    }
    // Behind what is queued, so that messages of one topic keep their order.
    if (!session.outbox || session.outbox->queue.empty()) return transmit(*c, delivery, 0, false);
  }
  if (!session.outbox) session.outbox = std::make_unique<Outbox>();
  Outbox& box = *session.outbox;
  if (box.queue.size() >= limits_.queued_messages_max ||
      box.queue_bytes + delivery.message->weight() > limits_.queued_bytes_max) {
    count_->dropped_full.add();
    if (delivery.qos > 0 && session.persistent())
      journal(Record::kDone, session.client_id,
              [&](Bytes& out) { append_le<uint64_t>(out, delivery.message->id); });
    return;
  }
  box.queue_bytes += delivery.message->weight();
  box.queue.push_back(std::move(delivery));
}

void Broker::pump(Session& session) {
  if (!session.outbox || !session.connection) return;
  Connection* c = find(session.connection);
  if (!c || c->state != Connection::State::kOpen) return;
  Outbox& box = *session.outbox;
  while (!box.queue.empty() && host_.unsent_bytes(c->id) <= limits_.unsent_bytes_max) {
    if (box.queue.front().qos > 0 && box.in_flight.size() >= c->receive_maximum) return;
    Delivery delivery = std::move(box.queue.front());
    box.queue.pop_front();
    box.queue_bytes -= delivery.message->weight();
    const auto drop = [&](Counter& counter) {
      counter.add();
      if (delivery.qos > 0 && session.persistent())
        journal(Record::kDone, session.client_id,
                [&](Bytes& out) { append_le<uint64_t>(out, delivery.message->id); });
    };
    if (delivery.message->expired(host_.now())) {
      drop(count_->dropped_expired);
      continue;
    }
    if (!fits(*c, delivery)) {  // as if it had been delivered (3.1.2-25)
      drop(count_->dropped_too_large);
      continue;
    }
    if (delivery.qos == 0) {
      transmit(*c, delivery, 0, false);
      continue;
    }
    while (box.in_flight.contains(box.next_id) || box.next_id == 0) ++box.next_id;
    const uint16_t id = box.next_id++;
    box.order.push_back(id);
    auto& entry = box.in_flight[id];
    entry.delivery = delivery;
    if (delivery.qos == 2 && session.persistent()) {
      // The client remembers the packet id of QoS 2, so must we, before it sees it.
      entry.state = Outbox::InFlight::State::kWaitsForJournal;
      journal(Record::kAssigned, session.client_id, [&](Bytes& out) {
        append_le<uint64_t>(out, delivery.message->id);
        append_le<uint16_t>(out, id);
      });
      host_.when_durable([this, client = session.client_id, connection = c->id, id](bool ok) {
        const auto it = sessions_.find(client);
        if (!ok || it == sessions_.end() || it->second->connection != connection ||
            !it->second->outbox)
          return;
        Connection* now = find(connection);
        const auto flight = it->second->outbox->in_flight.find(id);
        if (!now || flight == it->second->outbox->in_flight.end()) return;
        flight->second.state = Outbox::InFlight::State::kSent;
        transmit(*now, flight->second.delivery, id, false);
      });
      continue;
    }
    transmit(*c, delivery, id, false);
  }
}

// What goes with a message to a 5.0 client: the publisher's properties without the alias, the time
// that is left (3.3.2.3.3), the client's own identifiers. Views into the message.
Properties Broker::properties_for(const Delivery& delivery) const {
  const Message& m = *delivery.message;
  Properties properties;
  if (!m.properties.empty()) {
    CHECK(decode_publish_properties(m.properties, properties) == Reason::kSuccess);  // was decoded
    properties.topic_alias.reset();
  }
  if (m.expiry_s > 0) {
    const auto waited =
        static_cast<uint32_t>(std::max<int64_t>((host_.now() - m.received).us / 1'000'000, 0));
    properties.message_expiry_s = m.expiry_s > waited ? m.expiry_s - waited : 1;
  }
  properties.subscription_ids = delivery.subscription_ids;
  return properties;
}

bool Broker::fits(const Connection& c, const Delivery& delivery) const {
  if (c.packet_size_max == 0) return true;
  const Message& m = *delivery.message;
  const PublishHeader header{c.version, false, delivery.retain, delivery.qos, 1, m.topic};
  const Properties properties = c.version == 5 ? properties_for(delivery) : Properties{};
  return publish_size(header, properties, m.payload) <= c.packet_size_max;
}

// A topic that the client has seen becomes a number, as long as it grants numbers (3.3.2.3.4).
void Broker::use_alias(Connection& c, PublishHeader& header, Properties& properties,
                       ByteView payload) {
  const auto known = c.aliases_out.find(header.topic);
  const std::string_view topic = header.topic;
  if (known != c.aliases_out.end()) {
    properties.topic_alias = known->second;
    header.topic = {};
  } else if (c.aliases_out.size() < c.alias_maximum) {
    properties.topic_alias = static_cast<uint16_t>(c.aliases_out.size() + 1);
  } else {
    return;
  }
  if (c.packet_size_max > 0 && publish_size(header, properties, payload) > c.packet_size_max) {
    properties.topic_alias.reset();
    header.topic = topic;
    return;
  }
  if (known == c.aliases_out.end()) c.aliases_out.emplace(topic, *properties.topic_alias);
}

void Broker::transmit(Connection& c, const Delivery& delivery, uint16_t packet_id, bool dup) {
  const Message& m = *delivery.message;
  Properties properties;
  PublishHeader header{c.version, dup, delivery.retain, delivery.qos, packet_id, m.topic};
  if (c.version == 5) {
    properties = properties_for(delivery);
    if (c.alias_maximum > 0) use_alias(c, header, properties, m.payload);
  }
  scratch_.clear();
  encode_publish(scratch_, header, properties, m.payload);
  count_->publishes_out.add();
  host_.send(c.id, scratch_);
}

// 4.4: after a reconnect everything unacknowledged goes out again, in order; no more of it at once
// than the client wants open (3.1.2.11.3).
void Broker::begin_resend(Session& session) {
  if (!session.outbox) return;
  session.outbox->to_resend = 0;
  for (auto& [id, flight] : session.outbox->in_flight) {
    flight.to_resend = true;
    ++session.outbox->to_resend;
  }
}

void Broker::resend(Session& session, Connection& c) {
  if (!session.outbox || session.outbox->to_resend == 0) return;
  Outbox& box = *session.outbox;
  std::vector<uint16_t> given_up;
  size_t open = box.in_flight.size() - box.to_resend;
  for (const uint16_t id : box.order) {
    Outbox::InFlight& flight = box.in_flight.at(id);
    if (!flight.to_resend) continue;
    if (open >= c.receive_maximum) break;
    flight.to_resend = false;
    --box.to_resend;
    if (flight.state == Outbox::InFlight::State::kReleased) {
      Bytes out;
      encode_ack(out, PacketType::kPubrel, c.version, id, Reason::kSuccess);
      host_.send(c.id, out);
    } else if (!fits(c, flight.delivery)) {
      count_->dropped_too_large.add();
      given_up.push_back(id);
      continue;
    } else {
      flight.state = Outbox::InFlight::State::kSent;
      transmit(c, flight.delivery, id, true);
    }
    ++open;
  }
  for (const uint16_t id : given_up) remove_in_flight(session, id);
}

void Broker::on_writable(ConnectionId id) {
  Connection* c = find(id);
  if (c && c->session && c->state == Connection::State::kOpen) pump(*c->session);
}

// -- acknowledgements from the subscriber

void Broker::finish_in_flight(Session& session, uint16_t packet_id) {
  remove_in_flight(session, packet_id);
  if (Connection* c = find(session.connection)) resend(session, *c);
  pump(session);
}

void Broker::remove_in_flight(Session& session, uint16_t packet_id) {
  Outbox& box = *session.outbox;
  const auto it = box.in_flight.find(packet_id);
  const uint64_t message = it->second.delivery.message->id;
  if (it->second.to_resend) --box.to_resend;
  box.in_flight.erase(it);
  box.order.erase(std::find(box.order.begin(), box.order.end(), packet_id));
  if (session.persistent())
    journal(Record::kDone, session.client_id,
            [&](Bytes& out) { append_le<uint64_t>(out, message); });
}

void Broker::on_puback(Connection& c, const Frame& frame) {
  Ack packet;
  const Reason bad = decode_ack(frame, c.version, packet);
  if (bad != Reason::kSuccess) return protocol_failure(c, bad);
  Session& session = *c.session;
  if (!session.outbox) return;
  const auto it = session.outbox->in_flight.find(packet.packet_id);
  if (it == session.outbox->in_flight.end()) return;  // late, or never sent: nothing hangs on it
  if (it->second.delivery.qos != 1) return protocol_failure(c, Reason::kProtocolError);
  finish_in_flight(session, packet.packet_id);
}

void Broker::on_pubrec(Connection& c, const Frame& frame) {
  Ack packet;
  const Reason bad = decode_ack(frame, c.version, packet);
  if (bad != Reason::kSuccess) return protocol_failure(c, bad);
  Session& session = *c.session;
  const bool refused = static_cast<uint8_t>(packet.reason) >= 0x80;
  Outbox::InFlight* flight = nullptr;
  if (session.outbox)
    if (const auto it = session.outbox->in_flight.find(packet.packet_id);
        it != session.outbox->in_flight.end())
      flight = &it->second;
  if (flight && flight->delivery.qos != 2) return protocol_failure(c, Reason::kProtocolError);
  if (refused) {
    if (flight) finish_in_flight(session, packet.packet_id);
    return;
  }
  if (flight && flight->state != Outbox::InFlight::State::kReleased) {
    flight->state = Outbox::InFlight::State::kReleased;
    if (session.persistent())
      journal(Record::kReleased, session.client_id,
              [&](Bytes& out) { append_le<uint16_t>(out, packet.packet_id); });
  }
  Bytes out;
  encode_ack(out, PacketType::kPubrel, c.version, packet.packet_id, Reason::kSuccess);
  host_.send(c.id, out);
}

void Broker::on_pubrel(Connection& c, const Frame& frame) {
  Ack packet;
  const Reason bad = decode_ack(frame, c.version, packet);
  if (bad != Reason::kSuccess) return protocol_failure(c, bad);
  Session& session = *c.session;
  if (session.received_qos2.erase(packet.packet_id) > 0) {
    if (c.open_publishes > 0) --c.open_publishes;
    if (session.persistent())
      journal(Record::kQos2Out, session.client_id,
              [&](Bytes& out) { append_le<uint16_t>(out, packet.packet_id); });
  }
  Bytes out;
  encode_ack(out, PacketType::kPubcomp, c.version, packet.packet_id, Reason::kSuccess);
  if (!session.persistent()) {
    host_.send(c.id, out);
    return;
  }
  host_.when_durable([this, id = c.id, out](bool ok) {
    if (ok)
      host_.send(id, out);
    else
      host_.close(id);
  });
}

void Broker::on_pubcomp(Connection& c, const Frame& frame) {
  Ack packet;
  const Reason bad = decode_ack(frame, c.version, packet);
  if (bad != Reason::kSuccess) return protocol_failure(c, bad);
  Session& session = *c.session;
  if (!session.outbox) return;
  const auto it = session.outbox->in_flight.find(packet.packet_id);
  if (it == session.outbox->in_flight.end()) return;
  if (it->second.state != Outbox::InFlight::State::kReleased)
    return protocol_failure(c, Reason::kProtocolError);
  finish_in_flight(session, packet.packet_id);
}

void Broker::publish_from_platform(std::string_view topic, ByteView payload, uint8_t qos,
                                   bool retain, std::function<void(bool)> done) {
  Publish p;
  p.topic = topic;
  p.payload = payload;
  p.qos = qos;
  p.retain = retain;
  const MessagePtr message = make_message(p, {});
  if (retain && !retained_fits(p)) count_->quota.add();
  if (retain) set_retained(message, true);
  std::vector<Target> targets;
  collect_targets(topic, {}, targets);
  const bool connected = std::any_of(targets.begin(), targets.end(),
                                     [](const Target& t) { return t.subscriber->connected; });
  hand_out(message, targets);
  host_.when_durable([connected, done = std::move(done)](bool ok) { done(ok && connected); });
}

}  // namespace penstock::interop::mqtt
