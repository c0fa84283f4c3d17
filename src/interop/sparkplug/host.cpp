#include "interop/sparkplug/host.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/json.h"
#include "base/log.h"
#include "interop/sparkplug/command.h"
#include "interop/sparkplug/host_internal.h"
#include "interop/sparkplug/text.h"

namespace penstock::interop::sparkplug {

using stream::EdgeState;

std::string_view name(Rebirth reason) {
  switch (reason) {
    case Rebirth::kNoBirth:
      return "data before a birth";
    case Rebirth::kGap:
      return "a sequence number is missing";
    case Rebirth::kUnknownMetric:
      return "a metric that no birth told";
    case Rebirth::kRestart:
      return "the server restarted";
    case Rebirth::kLink:
      return "the bridge was away";
    case Rebirth::kAsked:
      break;
  }
  return "asked by a person";
}

Host::Counters::Counters(Metrics& m)
    : malformed(m.counter("penstock_sparkplug_refused_total", "Sparkplug messages refused whole",
                          {{"reason", "malformed"}})),
      out_of_order(m.counter("penstock_sparkplug_out_of_order_total",
                             "Sparkplug messages ahead of their turn")),
      gaps(m.counter("penstock_sparkplug_gaps_total",
                     "Sequence numbers given up after the reorder time-out")),
      late(m.counter("penstock_sparkplug_late_total", "Sparkplug messages behind their turn")),
      stale_deaths(m.counter("penstock_sparkplug_stale_deaths_total",
                             "NDEATH messages of an older session, by their bdSeq")),
      rejected(m.counter("penstock_sparkplug_rejected_metrics_total",
                         "Sparkplug metrics that gave no value")),
      transient(m.counter("penstock_sparkplug_transient_metrics_total",
                          "Sparkplug metrics that their node asks not to store")),
      refused_limit(m.counter("penstock_sparkplug_refused_total",
                              "Sparkplug messages refused whole", {{"reason", "limit"}})),
      lost(m.counter("penstock_sparkplug_lost_total",
                     "Nodes and devices whose values became uncertain")) {
  for (size_t i = 0; i < std::size(messages); ++i)
    messages[i] = &m.counter("penstock_sparkplug_messages_total", "Sparkplug messages by type",
                             {{"type", std::string(name(static_cast<MessageType>(i)))}});
  constexpr std::string_view kReasons[kRebirths] = {"no_birth", "gap",  "unknown_metric",
                                                    "restart",  "link", "asked"};
  for (size_t i = 0; i < kRebirths; ++i)
    rebirths[i] = &m.counter("penstock_sparkplug_rebirths_asked_total", "Rebirths asked for",
                             {{"reason", std::string(kReasons[i])}});
}

Host::Host(stream::Shard& shard, mqtt::MessageSender& sender, Metrics& metrics, HostOptions options)
    : shard_(shard),
      sender_(sender),
      options_(std::move(options)),
      count_(std::make_unique<Counters>(metrics)),
      values_(options_.values) {}
Host::~Host() = default;

void Host::attach(std::vector<Host*> all) {
  siblings_ = std::move(all);
  shard_.add_endpoint(this);
}

// -- where a node is at home

// By its canonical name, as the shard of the device of that name: the node's own samples stay here.
uint32_t Host::owner_of(std::string_view group, std::string_view node) {
  if (shard_.count() <= 1) return 0;
  key_.assign(group).append("/").append(node);
  const auto it = owners_.find(key_);
  if (it != owners_.end()) return it->second;
  if (owners_.size() > 100'000) owners_.clear();
  const uint32_t owner = stream::shard_of(stream::wire_name({group, node}), shard_.count());
  owners_.emplace(key_, owner);
  return owner;
}

bool Host::at_home(std::string_view group, std::string_view node) {
  return owner_of(group, node) == shard_.index();
}

bool Host::on_message(const mqtt::InboundMessage& message) {
  if (!is_sparkplug(message.topic)) return false;
  const auto topic = parse_topic(message.topic);
  if (!topic) {
    count_->malformed.add();
    shard_.refuse(message.organisation, {}, message.topic, as_text(message.payload),
                  "not a topic of Sparkplug B");
    return true;
  }
  count_->messages[static_cast<size_t>(topic->type)]->add();
  if (topic->type == MessageType::kState) {
    on_own_state(message, *topic);
    return false;
  }
  // Commands of another host on our broker: for the node, not for us.
  if (topic->type == MessageType::kNodeCommand || topic->type == MessageType::kDeviceCommand)
    return false;
  const uint32_t owner = owner_of(topic->group, topic->node);
  if (owner == shard_.index() || owner >= siblings_.size()) {
    take({message.link,
          message.organisation,
          message.topic,
          *topic,
          message.payload,
          shard_.now(),
          {},
          message.joining});
    return true;
  }
  auto parcel = std::make_shared<Held>();  // std::function must be copyable
  parcel->link = message.link;
  parcel->topic = message.topic;
  parcel->joining = message.joining;
  parcel->payload.assign(message.payload.begin(), message.payload.end());
  shard_.run_on(owner, [host = siblings_[owner], parcel,
                        organisation = message.organisation](stream::Shard& there) {
    host->take({parcel->link,
                organisation,
                parcel->topic,
                *parse_topic(parcel->topic),
                parcel->payload,
                there.now(),
                {},
                parcel->joining});
  });
  return true;
}

Node* Host::find(OrganisationId organisation, std::string_view group, std::string_view node) {
  const auto it = nodes_.find(NodeKeyView{organisation, group, node});
  return it == nodes_.end() ? nullptr : it->second.get();
}

Node* Host::find_or_make(const Arrival& a) {
  if (Node* known = find(a.organisation, a.topic.group, a.topic.node)) return known;
  if (nodes_.size() >= options_.nodes_max) return nullptr;
  auto node = std::make_unique<Node>();
  node->organisation = a.organisation;
  node->group = a.topic.group;
  node->node = a.topic.node;
  node->self.device = stream::wire_name({a.topic.group, a.topic.node});
  Node* made = node.get();
  nodes_.emplace(NodeKey{a.organisation, node->group, node->node}, std::move(node));
  return made;
}

void Host::refuse(const Arrival& a, std::string_view device, std::string_view reason) {
  text_.clear();
  const bool readable = append_payload(text_, a.payload);
  origin_.assign("sparkplug:").append(a.topic_text);
  shard_.refuse(a.organisation, device, origin_,
                readable ? std::string_view(text_) : as_text(a.payload), reason);
}

// -- order (5.9, and tck-id-operational-behavior-host-reordering-…)

void Host::take(Arrival a) {
  if (!begun_) begin();
  if (a.joining) {
    const std::string device = stream::wire_name({a.topic.group, a.topic.node});
    if (shard_.knows(device))
      return refuse(a, device,
                    "the edge node is registered, and this came with a join token: give the node "
                    "its own");
  }
  Node* node = find_or_make(a);
  if (!node || !read_info(a.payload, a.info)) {
    (node ? count_->malformed : count_->refused_limit).add();
    refuse(a, stream::wire_name({a.topic.group, a.topic.node}),
           node ? "not a Sparkplug B payload" : "more edge nodes than the limit");
    return;
  }
  // Of Tahu's implementations, not of the specification: the payload is within, deflated.
  if (a.info.uuid == "SPBV1.0_COMPRESSED")
    return refuse(a, node->self.device, "a compressed payload: turn compression off at the node");
  node->link = a.link;
  node->last_message = a.received;
  ++node->counts.messages;
  if (a.topic.type == MessageType::kNodeBirth) return on_node_birth(*node, a);
  // The will was written at CONNECT: its time is not that of the death.
  if (a.topic.type == MessageType::kNodeDeath) return on_node_death(*node, a);
  if (sent_at(a.info)) node->clock_offset_us = clock_offset_us(a.info, a.received);
  in_sequence(*node, a);
}

void Host::in_sequence(Node& node, const Arrival& a) {
  if (!a.info.has_seq || a.info.seq > 255) return process(node, a);  // it cannot be put in order
  const auto seq = static_cast<uint8_t>(a.info.seq);
  if (node.expected < 0) node.expected = seq;
  const auto ahead = static_cast<uint8_t>(seq - node.expected);
  if (ahead == 0) {
    node.expected = static_cast<uint8_t>(seq + 1);
    node.last_seq = seq;
    node.late_in_a_row = 0;
    process(node, a);
    if (!node.held.empty()) release_held(node);
    return;
  }
  if (ahead < 128) {
    ++node.counts.out_of_order;
    count_->out_of_order.add();
    if (hold(node, a)) return;
    give_up_gap(node);  // no room, or no time-out: as if it were over
    node.expected = static_cast<uint8_t>(seq + 1);
    node.last_seq = seq;
    return process(node, a);
  }
  // A repeat, or a message whose gap was given up: its values have their own times. A node that
  // began again without a birth never catches up, and is asked for one.
  ++node.counts.late;
  count_->late.add();
  if (++node.late_in_a_row >= 3) {
    node.late_in_a_row = 0;
    node.expected = static_cast<uint8_t>(seq + 1);
    node.last_seq = seq;
    ask(node, Rebirth::kGap);
  }
  if (a.topic.type != MessageType::kDeviceDeath) process(node, a);
}

// On disk before its PUBACK leaves: a restart gives it its turn.
bool Host::hold(Node& node, const Arrival& a) {
  if (options_.reorder_timeout.us <= 0) return false;
  const auto seq = static_cast<uint8_t>(a.info.seq);
  for (const Held& held : node.held)
    if (held.seq == seq) return held.payload.size() == a.payload.size();  // sent again
  if (node.held.size() >= options_.held_messages_max ||
      node.held_bytes + a.payload.size() > options_.held_bytes_max)
    return false;
  journal(Record::kHeld, a);
  if (node.gap_until_us == 0)
    node.gap_until_us = shard_.monotonic_us() + options_.reorder_timeout.us;
  node.held.push_back({seq, std::string(a.link), std::string(a.topic_text),
                       Bytes(a.payload.begin(), a.payload.end()), a.received});
  node.held_bytes += a.payload.size();
  return true;
}

void Host::process_held(Node& node, const Held& held) {
  Arrival a{held.link,    node.organisation, held.topic, *parse_topic(held.topic),
            held.payload, held.received,     {}};
  if (read_info(a.payload, a.info)) process(node, a);
}

// What stands next in order; the gap is over when nothing is left.
void Host::release_held(Node& node) {
  std::vector<uint8_t> settled;
  while (true) {
    const auto next = std::find_if(node.held.begin(), node.held.end(), [&](const Held& held) {
      return held.seq == static_cast<uint8_t>(node.expected);
    });
    if (next == node.held.end()) break;
    const Held held = std::move(*next);
    node.held.erase(next);
    node.held_bytes -= held.payload.size();
    node.expected = static_cast<uint8_t>(held.seq + 1);
    node.last_seq = held.seq;
    settled.push_back(held.seq);
    process_held(node, held);
  }
  if (settled.empty()) return;
  node.gap_until_us =
      node.held.empty() ? 0 : shard_.monotonic_us() + options_.reorder_timeout.us;  // another one
  settle(node, std::move(settled));
}

// The missing one does not come: the others go on in their order, and a birth is asked for.
void Host::give_up_gap(Node& node) {
  ++node.counts.gaps;
  count_->gaps.add();
  node.gap_until_us = 0;
  std::vector<Held> held = std::exchange(node.held, {});
  node.held_bytes = 0;
  std::sort(held.begin(), held.end(), [&](const Held& a, const Held& b) {
    return static_cast<uint8_t>(a.seq - node.expected) <
           static_cast<uint8_t>(b.seq - node.expected);
  });
  std::vector<uint8_t> settled;
  for (const Held& one : held) {
    node.expected = static_cast<uint8_t>(one.seq + 1);
    node.last_seq = one.seq;
    settled.push_back(one.seq);
    process_held(node, one);
  }
  ask(node, Rebirth::kGap);
  if (!settled.empty()) settle(node, std::move(settled));
}

// Forgotten on disk only once what it reported is durable, on whichever shard.
void Host::settle(Node& node, std::vector<uint8_t> seqs) {
  Bytes body;
  append_le<uint8_t>(body, static_cast<uint8_t>(Record::kSettled));
  append_le<uint32_t>(body, node.organisation.value);
  append_text(body, node.group);
  append_text(body, node.node);
  append_le<uint32_t>(body, static_cast<uint32_t>(seqs.size()));
  for (const uint8_t seq : seqs) append_le<uint8_t>(body, seq);
  shard_.when_durable([this, body = std::move(body)](bool ok) {
    if (ok) shard_.append_record(stream::RecordType::kSparkplug, body);
  });
}

void Host::process(Node& node, const Arrival& a) {
  switch (a.topic.type) {
    case MessageType::kDeviceBirth:
      return on_device_birth(node, a);
    case MessageType::kDeviceDeath:
      return on_device_death(node, a);
    default:
      return on_data(node, a);
  }
}

// -- asking (tck-id-operational-behavior-data-commands-ncmd-rebirth-…)

void Host::ask(Node& node, Rebirth reason) {
  const int64_t now_us = shard_.monotonic_us();
  if (reason != Rebirth::kAsked && now_us < node.ask_after_us) {
    node.ask_later = reason;  // unless a birth comes first
    return;
  }
  node.ask_later.reset();
  node.ask_interval_us =
      node.asked ? std::min(std::max(node.ask_interval_us, options_.rebirth_interval.us) * 2,
                            options_.rebirth_interval_max.us)
                 : options_.rebirth_interval.us;
  node.ask_after_us = now_us + node.ask_interval_us;
  node.asked = true;
  node.reason = reason;
  ++node.counts.rebirths_asked;
  count_->rebirths[static_cast<size_t>(reason)]->add();
  log_info("sparkplug", "asked {}/{} for a rebirth: {}", node.group, node.node, name(reason));
  Bytes payload;
  encode_rebirth(payload, shard_.now());
  sender_.send(node.link, command_topic(node.group, node.node, {}), payload, 0, false);
}

Status Host::ask_rebirth(OrganisationId organisation, std::string_view group,
                         std::string_view node_id) {
  Node* node = find(organisation, group, node_id);
  if (!node)
    return fail(ErrorCode::kNotFound, "no edge node of that name has been heard of",
                fmt::format("{}/{}", group, node_id));
  if (node->asked && node->reason == Rebirth::kAsked && shard_.monotonic_us() < node->ask_after_us)
    return fail(ErrorCode::kConflict, "it was asked a moment ago and has not answered yet",
                fmt::format("{}/{}", group, node_id));
  ask(*node, Rebirth::kAsked);
  return {};
}

Status Host::write(OrganisationId organisation, std::string_view group, std::string_view node_id,
                   std::string_view device, std::string_view metric, std::string_view value) {
  Node* node = find(organisation, group, node_id);
  Source* source = node ? &node->self : nullptr;
  if (node && !device.empty()) {
    const auto it = node->devices.find(device);
    source = it == node->devices.end() ? nullptr : &it->second;
  }
  if (!source || source->state == EdgeState::kUnborn)
    return fail(ErrorCode::kNotFound, "the edge node has not sent a birth of it yet",
                fmt::format("{}/{}/{}", group, node_id, device));
  if (source->state == EdgeState::kOffline)
    return fail(ErrorCode::kUnavailable, "it is offline, and Sparkplug keeps no commands",
                source->device);
  Bytes payload;
  TRY(encode_write(payload, source->known, metric, value, shard_.now()));
  sender_.send(node->link, command_topic(node->group, node->node, source->id), payload, 0, false);
  return {};
}

// -- STATE

void Host::say_state(bool online) {
  // Each birth is a new session with our own broker; its death repeats no older time.
  state_timestamp_ms_ =
      std::max(state_timestamp_ms_ + 1, static_cast<uint64_t>(shard_.now().us / 1000));
  says_state_ = online;
  const std::string payload = state_payload(online, state_timestamp_ms_);
  sender_.send({}, state_topic(options_.host_id), as_bytes(payload), 1, true);
}

// tck-id-message-flow-hid-sparkplug-state-message-delivered: who says that we are gone is told
// otherwise at once. A will of ours that another broker published late looks like this.
void Host::on_own_state(const mqtt::InboundMessage& message, const Topic& topic) {
  if (topic.host != options_.host_id || read_state(as_text(message.payload)) != false) return;
  if (message.link.empty() && shard_.index() != 0 && !siblings_.empty()) {
    Host* first = siblings_.front();
    shard_.run_on(0, [first](stream::Shard&) {
      if (first->says_state_) first->say_state(true);
    });
    return;
  }
  if (message.link.empty()) {
    if (says_state_) say_state(true);
    return;
  }
  const std::string payload = state_payload(true, static_cast<uint64_t>(shard_.now().us / 1000));
  sender_.send(message.link, state_topic(options_.host_id), as_bytes(payload), 1, true);
}

// -- time

// Before the first message or tick after a start: what was online then must show itself.
void Host::begin() {
  begun_ = true;
  for (auto& [key, node] : nodes_) {
    for (auto& [id, device] : node->devices) unconfirm(device);
    unconfirm(node->self);
    if (!node->held.empty()) node->gap_until_us = shard_.monotonic_us();
  }
}

void Host::on_tick() {
  if (!begun_) begin();
  for (auto& [key, node] : nodes_) check_timers(*node);
}

void Host::check_timers(Node& node) {
  const int64_t now_us = shard_.monotonic_us();
  if (node.gap_until_us != 0 && now_us >= node.gap_until_us) give_up_gap(node);
  if (node.ask_later && now_us >= node.ask_after_us) ask(node, *node.ask_later);
  const Timestamp now_there = shard_.now() + Duration::micros(node.clock_offset_us);
  if (node.self.confirm_by_us != 0 && now_us >= node.self.confirm_by_us)
    return lose_node(node, now_there, "not heard of since the server or its bridge came back");
  for (auto& [id, device] : node.devices)
    if (device.confirm_by_us != 0 && now_us >= device.confirm_by_us)
      lose(node, device, now_there, "its node did not bring it back");
}

void Host::on_link(std::string_view link, bool up) {
  for (auto& [key, node] : nodes_) {
    if (node->link != link || node->self.state == EdgeState::kOffline) continue;
    if (up) {
      ask(*node, Rebirth::kLink);
      continue;
    }
    for (auto& [id, device] : node->devices) unconfirm(device);
    unconfirm(node->self);
    node->expected = -1;
  }
}

// -- for people

void Host::describe(OrganisationId organisation, std::vector<stream::EdgeNode>& out) const {
  for (const auto& [key, node] : nodes_) {
    if (node->organisation != organisation) continue;
    stream::EdgeNode& info = out.emplace_back(node->counts);
    info.group = node->group;
    info.node = node->node;
    info.device = node->self.device;
    info.link = node->link;
    info.state = node->self.state;
    info.born = node->self.born;
    info.died = node->self.died;
    info.last_message = node->last_message;
    info.bdseq = node->bdseq;
    if (node->last_seq) info.seq = *node->last_seq;
    info.metrics = node->self.known.size();
    info.clock_offset_ms = node->clock_offset_us / 1000;
    info.held = node->held.size();
    if (node->counts.rebirths_asked > 0) info.rebirth_reason = name(node->reason);
    for (const auto& [id, device] : node->devices)
      info.devices.push_back(
          {id, device.device, device.state, device.born, device.died, device.known.size()});
  }
}

}  // namespace penstock::interop::sparkplug
