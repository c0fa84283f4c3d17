// What of a host survives: births and deaths by the journal, whole nodes by the checkpoint.

#include "base/log.h"
#include "interop/sparkplug/host_internal.h"

namespace penstock::interop::sparkplug {

using stream::EdgeState;

namespace {

constexpr uint32_t kSectionVersion = 1;

void write_source(Bytes& out, const Source& s) {
  append_text(out, s.id);
  append_le<uint8_t>(out, static_cast<uint8_t>(s.state));
  append_le<int64_t>(out, s.born.us);
  append_le<int64_t>(out, s.died.us);
  append_le<uint32_t>(out, static_cast<uint32_t>(s.known.size()));
  for (const KnownMetric& metric : s.known.metrics()) {
    append_text(out, metric.address);
    append_le<uint8_t>(out, static_cast<uint8_t>(metric.type));
    append_le<uint8_t>(out,
                       static_cast<uint8_t>((metric.has_alias ? 1 : 0) | (metric.member ? 2 : 0)));
    append_le<uint64_t>(out, metric.alias);
  }
}

Source read_source(ByteReader& in) {
  Source s;
  s.id = in.text();
  const auto state = in.le<uint8_t>();
  s.state = state <= static_cast<uint8_t>(EdgeState::kOffline) ? static_cast<EdgeState>(state)
                                                               : EdgeState::kUnborn;
  s.born.us = in.le<int64_t>();
  s.died.us = in.le<int64_t>();
  for (auto left = in.le<uint32_t>(); in.ok() && left > 0; --left) {
    KnownMetric metric;
    metric.address = in.text();
    const auto type = in.le<uint8_t>();
    metric.type = type < kDataTypes ? static_cast<DataType>(type) : DataType::kUnknown;
    const auto flags = in.le<uint8_t>();
    metric.has_alias = (flags & 1) != 0;
    metric.member = (flags & 2) != 0;
    metric.alias = in.le<uint64_t>();
    s.known.add(std::move(metric));
  }
  return s;
}

}  // namespace

void Host::journal(Record kind, const Arrival& a) {
  Bytes body;
  append_le<uint8_t>(body, static_cast<uint8_t>(kind));
  append_text(body, a.link);
  append_le<uint32_t>(body, a.organisation.value);
  append_le<int64_t>(body, a.received.us);
  append_text(body, a.topic_text);
  append_text(body, as_text(a.payload));
  shard_.append_record(stream::RecordType::kSparkplug, body);
}

// A section: u32 version, u32 nodes, then each node with its devices and what waits.
void Host::snapshot(Bytes& out) const {
  append_le<uint32_t>(out, kSectionVersion);
  append_le<uint32_t>(out, static_cast<uint32_t>(nodes_.size()));
  for (const auto& [key, node] : nodes_) write_node(out, *node);
}

void Host::write_node(Bytes& out, const Node& node) const {
  append_le<uint32_t>(out, node.organisation.value);
  append_text(out, node.group);
  append_text(out, node.node);
  append_text(out, node.link);
  append_le<uint8_t>(out, node.bdseq ? 1 : 0);
  append_le<uint64_t>(out, node.bdseq.value_or(0));
  append_le<int64_t>(out, node.last_message.us);
  append_le<int64_t>(out, node.clock_offset_us);
  write_source(out, node.self);
  append_le<uint32_t>(out, static_cast<uint32_t>(node.devices.size()));
  for (const auto& [id, device] : node.devices) write_source(out, device);
  append_le<uint32_t>(out, static_cast<uint32_t>(node.held.size()));
  for (const Held& held : node.held) {
    append_le<uint8_t>(out, held.seq);
    append_text(out, held.link);
    append_text(out, held.topic);
    append_text(out, as_text(held.payload));
    append_le<int64_t>(out, held.received.us);
  }
}

bool Host::read_node(ByteReader& in) {
  auto node = std::make_unique<Node>();
  node->organisation = OrganisationId(in.le<uint32_t>());
  node->group = in.text();
  node->node = in.text();
  node->link = in.text();
  const bool has_bdseq = in.le<uint8_t>() != 0;
  const auto bdseq = in.le<uint64_t>();
  if (has_bdseq) node->bdseq = bdseq;
  node->last_message.us = in.le<int64_t>();
  node->clock_offset_us = in.le<int64_t>();
  node->self = read_source(in);
  node->self.device = stream::wire_name({node->group, node->node});
  for (auto left = in.le<uint32_t>(); in.ok() && left > 0; --left) {
    Source device = read_source(in);
    device.device = stream::wire_name({node->group, node->node, device.id});
    std::string id = device.id;
    node->devices.insert_or_assign(std::move(id), std::move(device));
  }
  for (auto left = in.le<uint32_t>(); in.ok() && left > 0; --left) {
    Held held;
    held.seq = in.le<uint8_t>();
    held.link = in.text();
    held.topic = in.text();
    const ByteView payload = as_bytes(in.text());
    held.payload.assign(payload.begin(), payload.end());
    held.received.us = in.le<int64_t>();
    if (!parse_topic(held.topic)) return false;
    node->held_bytes += held.payload.size();
    node->held.push_back(std::move(held));
  }
  if (!in.ok()) return false;
  node->from_before = true;
  // With another number of shards nodes have moved: each host reads all and keeps its own.
  if (!at_home(node->group, node->node)) return true;
  NodeKey key{node->organisation, node->group, node->node};
  nodes_.insert_or_assign(std::move(key), std::move(node));
  return true;
}

Status Host::restore(ByteView section, uint32_t) {
  ByteReader in(section);
  bool good = in.le<uint32_t>() == kSectionVersion;
  for (auto left = in.le<uint32_t>(); good && in.ok() && left > 0; --left) good = read_node(in);
  if (!good || !in.ok() || !in.done())
    return fail(ErrorCode::kCorrupt, "the Sparkplug nodes of the checkpoint are damaged");
  return {};
}

// -- from the journal

void Host::replay_birth(Node& node, const Arrival& a) {
  Source* source = &node.self;
  if (!a.topic.device.empty()) {
    const auto [it, fresh] = node.devices.try_emplace(std::string(a.topic.device));
    source = &it->second;
    if (fresh) {
      source->id = a.topic.device;
      source->device = stream::wire_name({node.group, node.node, a.topic.device});
    }
  } else {
    PayloadInfo info;
    if (read_info(a.payload, info) && info.has_timestamp)
      node.clock_offset_us = clock_offset_us(info, a.received);
    node.bdseq = read_bdseq(a.payload);
  }
  Dictionary known;
  if (values_.learn(a.payload, options_.metrics_per_birth_max, known))
    source->known = std::move(known);
  source->state = EdgeState::kOnline;
  source->born = a.received;
}

void Host::replay(stream::RecordType type, ByteView body) {
  if (type != stream::RecordType::kSparkplug) return;
  ByteReader in(body);
  const auto kind = static_cast<Record>(in.le<uint8_t>());
  if (kind == Record::kSettled) return replay_settled(in);
  Arrival a;
  a.link = in.text();
  a.organisation = OrganisationId(in.le<uint32_t>());
  a.received.us = in.le<int64_t>();
  a.topic_text = in.text();
  a.payload = as_bytes(in.text());
  const auto topic = parse_topic(a.topic_text);
  if (!in.ok() || !topic || !at_home(topic->group, topic->node)) return;
  a.topic = *topic;
  Node* node = find_or_make(a);
  if (!node) return;
  node->link = a.link;
  node->last_message = std::max(node->last_message, a.received);
  node->from_before = true;
  if (kind == Record::kBirth) return replay_birth(*node, a);
  if (kind == Record::kHeld) {
    PayloadInfo info;
    if (!read_info(a.payload, info)) return;
    node->held.push_back({static_cast<uint8_t>(info.seq), std::string(a.link),
                          std::string(a.topic_text), Bytes(a.payload.begin(), a.payload.end()),
                          a.received});
    node->held_bytes += a.payload.size();
    return;
  }
  if (kind != Record::kDeath) return;
  Source* source = &node->self;
  if (!a.topic.device.empty()) {
    const auto it = node->devices.find(a.topic.device);
    if (it == node->devices.end()) return;
    source = &it->second;
  }
  source->state = EdgeState::kOffline;
  source->died = a.received;
}

void Host::replay_settled(ByteReader& in) {
  const OrganisationId organisation(in.le<uint32_t>());
  const std::string_view group = in.text();
  const std::string_view name_text = in.text();
  Node* node = find(organisation, group, name_text);
  for (auto left = in.le<uint32_t>(); node && in.ok() && left > 0; --left) {
    const auto seq = in.le<uint8_t>();
    std::erase_if(node->held, [&](const Held& held) {
      if (held.seq == seq) node->held_bytes -= held.payload.size();
      return held.seq == seq;
    });
  }
}

}  // namespace penstock::interop::sparkplug
