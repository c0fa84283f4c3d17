// Births, deaths and data: what they mean for the node, its devices and their values.

#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"
#include "interop/sparkplug/host_internal.h"

namespace penstock::interop::sparkplug {

using stream::EdgeState;
using stream::WireValue;

namespace {

// The protocol's own metrics: what they say is in the node's state, not in a twin.
bool is_protocol(std::string_view address) {
  return address == "bdSeq" || address.starts_with("Node Control/") ||
         address.starts_with("Device Control/");
}

size_t metrics_of(const Node& node) {
  size_t count = node.self.known.size();
  for (const auto& [id, device] : node.devices) count += device.known.size();
  return count;
}

}  // namespace

std::optional<uint64_t> read_bdseq(ByteView payload) {
  MetricReader metrics(payload);
  Metric metric;
  while (metrics.next(metric))
    if (metric.name == "bdSeq" &&
        (metric.value.form == ValueForm::kLong || metric.value.form == ValueForm::kInt))
      return metric.value.bits;
  return std::nullopt;
}

int64_t clock_offset_us(const PayloadInfo& info, Timestamp received) {
  const auto sent = sent_at(info);
  return sent ? sent->us - received.us : 0;
}

std::optional<Timestamp> sent_at(const PayloadInfo& info) {
  constexpr uint64_t kYear9999Ms = 253'402'300'799'999;
  if (!info.has_timestamp || info.timestamp_ms > kYear9999Ms) return std::nullopt;
  return Timestamp::from_millis(static_cast<int64_t>(info.timestamp_ms));
}

// A birth is whole or it is none: the old one stays where this one cannot be read.
bool Host::learn(Node& node, Source& source, const Arrival& a) {
  const size_t others = metrics_of(node) - source.known.size();
  const size_t room =
      options_.metrics_per_node_max - std::min(options_.metrics_per_node_max, others);
  Dictionary known;
  if (!values_.learn(a.payload, std::min(room, options_.metrics_per_birth_max), known)) {
    count_->malformed.add();
    refuse(a, source.device, "a birth that is malformed, or has more metrics than the limit");
    return false;
  }
  source.known = std::move(known);
  return true;
}

void Host::on_node_birth(Node& node, const Arrival& a) {
  // What still waits and was sent before is the old session's; the rest belongs to this one.
  std::vector<Held> held = std::exchange(node.held, {});
  node.held_bytes = 0;
  node.gap_until_us = 0;
  std::vector<uint8_t> settled;
  const auto of_old_session = [&](const Held& one) {
    PayloadInfo info;
    return read_info(one.payload, info) && info.timestamp_ms < a.info.timestamp_ms;
  };
  for (const Held& one : held) {
    if (!of_old_session(one)) continue;
    settled.push_back(one.seq);
    process_held(node, one);
  }
  std::erase_if(held, of_old_session);
  if (!settled.empty()) settle(node, std::move(settled));

  if (!learn(node, node.self, a)) return ask(node, Rebirth::kNoBirth);
  journal(Record::kBirth, a);
  const auto bdseq = read_bdseq(a.payload);
  // After a death it is a new session, and 3.0 wants a new number.
  if (node.self.state == EdgeState::kOffline && bdseq == node.bdseq) ++node.counts.same_bdseq;
  node.bdseq = bdseq;
  node.clock_offset_us = clock_offset_us(a.info, a.received);
  const bool first = node.self.born.us == 0;
  node.self.state = EdgeState::kOnline;
  node.self.confirm_by_us = 0;
  node.self.born = a.received;
  node.asked = node.from_before = false;
  node.ask_later.reset();
  node.ask_after_us = shard_.monotonic_us() + options_.rebirth_interval.us / 2;
  node.late_in_a_row = 0;
  ++node.counts.births;
  const bool ordered = a.info.has_seq && a.info.seq <= 255;
  node.expected = ordered ? static_cast<int>((a.info.seq + 1) & 255) : -1;
  if (ordered) node.last_seq = static_cast<uint8_t>(a.info.seq);
  if (first) log_info("sparkplug", "{}/{} is born", node.group, node.node);
  report(node, node.self, a, first ? Kind::kFirstBirth : Kind::kBirth);
  // Its devices have births of their own to come.
  for (auto& [id, device] : node.devices) unconfirm(device);
  show_presence(node, node.self, true, {});

  for (const Held& one : held) node.held_bytes += one.payload.size();
  node.held = std::move(held);
  if (node.held.empty()) return;
  node.gap_until_us = shard_.monotonic_us() + options_.reorder_timeout.us;
  release_held(node);
}

void Host::on_node_death(Node& node, const Arrival& a) {
  const auto bdseq = read_bdseq(a.payload);
  // tck-id-operational-behavior-edge-node-termination-host-action-ndeath-…: only the death of the
  // present session counts. One without a bdSeq is taken at its word.
  if (bdseq && node.bdseq && bdseq != node.bdseq) {
    ++node.counts.stale_deaths;
    count_->stale_deaths.add();
    return;
  }
  if (!node.held.empty()) give_up_gap(node);
  ++node.counts.deaths;
  if (node.self.state == EdgeState::kOffline || node.self.state == EdgeState::kUnborn) return;
  lose_node(node, a.received + Duration::micros(node.clock_offset_us), "NDEATH");
}

void Host::on_device_birth(Node& node, const Arrival& a) {
  auto it = node.devices.find(a.topic.device);
  if (it == node.devices.end()) {
    if (node.devices.size() >= options_.devices_per_node_max) {
      count_->refused_limit.add();
      return refuse(a, node.self.device, "more devices than the limit behind one edge node");
    }
    Source made;
    made.id = a.topic.device;
    made.device = stream::wire_name({node.group, node.node, a.topic.device});
    it = node.devices.emplace(made.id, std::move(made)).first;
  }
  Source& device = it->second;
  if (!learn(node, device, a)) return ask(node, Rebirth::kNoBirth);
  journal(Record::kBirth, a);
  const bool first = device.born.us == 0;
  device.state = EdgeState::kOnline;
  device.confirm_by_us = 0;
  device.born = a.received;
  report(node, device, a, first ? Kind::kFirstBirth : Kind::kBirth);
  show_presence(node, device, true, {});
  if (node.self.state != EdgeState::kOnline) ask(node, Rebirth::kNoBirth);
}

void Host::on_device_death(Node& node, const Arrival& a) {
  const auto it = node.devices.find(a.topic.device);
  if (it == node.devices.end() || it->second.state == EdgeState::kOffline) return;
  // tck-id-…-host-action-ddeath-devices-tags-stale: with the timestamp of the DDEATH.
  const Timestamp when =
      sent_at(a.info).value_or(a.received + Duration::micros(node.clock_offset_us));
  lose(node, it->second, when, "DDEATH");
}

void Host::on_data(Node& node, const Arrival& a) {
  const bool of_device = !a.topic.device.empty();
  Source* source = &node.self;
  if (of_device) {
    const auto it = node.devices.find(a.topic.device);
    source = it == node.devices.end() ? nullptr : &it->second;
  }
  if (node.self.state == EdgeState::kUnconfirmed) {  // it lives
    node.self.state = EdgeState::kOnline;
    node.self.confirm_by_us = 0;
  }
  // Kept from before the restart, so it can be read; but changes may have been missed meanwhile.
  if (node.from_before) ask(node, Rebirth::kRestart);
  if (!source) {
    Source stranger;
    stranger.id = a.topic.device;
    stranger.device = stream::wire_name({node.group, node.node, a.topic.device});
    report(node, stranger, a, Kind::kData);
    return ask(node, Rebirth::kNoBirth);
  }
  report(node, *source, a, Kind::kData);
  if (source->state == EdgeState::kUnconfirmed && node.from_before) {
    source->state = EdgeState::kOnline;
    source->confirm_by_us = 0;
  }
  if (source->state != EdgeState::kOnline || node.self.state != EdgeState::kOnline)
    ask(node, Rebirth::kNoBirth);
}

// -- values

void Host::report(Node& node, Source& source, const Arrival& a, Kind kind) {
  values_.clear();
  const bool whole = values_.add_all(a.payload, source.known, a.info.timestamp_ms);
  const MetricOutcome& outcome = values_.outcome();
  if (!whole) {
    count_->malformed.add();
    return refuse(a, source.device, "not a Sparkplug B payload");
  }
  count_->transient.add(outcome.transient);
  if (outcome.rejected > 0) {
    node.counts.rejected_metrics += outcome.rejected;
    count_->rejected.add(outcome.rejected);
    std::string reason(name(outcome.first_reject));
    if (outcome.first_reject == MetricReject::kUnknownAlias)
      reason.append(fmt::format(": {}", outcome.first_alias));
    else if (!outcome.first_about.empty())
      reason.append(": ").append(outcome.first_about);
    if (outcome.rejected > 1) reason.append(fmt::format(" and {} more", outcome.rejected - 1));
    refuse(a, source.device, reason);
    if (outcome.first_reject == MetricReject::kUnknownAlias ||
        outcome.first_reject == MetricReject::kUnknownType)
      ask(node, Rebirth::kUnknownMetric);
  }
  // A first birth's nulls say only that there is no value yet.
  again_.clear();
  for (const WireValue& value : values_.values())
    if (!is_protocol(value.address) && !(value.null && kind == Kind::kFirstBirth))
      again_.push_back(value);
  if (kind != Kind::kData) confirm_again(source, a);
  if (again_.empty()) return;
  origin_.assign("sparkplug:").append(a.topic_text);
  shard_.report({a.organisation, source.device, origin_, again_});
}

// Its values were uncertain since `died`. A value that has not changed since comes with its old
// time: the birth says that it holds again, so it is stored at the birth's time too.
void Host::confirm_again(const Source& source, const Arrival& a) {
  if (source.died.us == 0) return;
  const Timestamp sent = sent_at(a.info).value_or(a.received);
  const size_t count = again_.size();
  for (size_t i = 0; i < count; ++i) {
    WireValue value = again_[i];
    if (value.null || value.source_time > source.died) continue;
    value.source_time = std::max(sent, source.died + Duration::micros(1));
    again_.push_back(value);
  }
}

// -- loss

void Host::lose(Node& node, Source& source, Timestamp when, std::string_view why) {
  source.confirm_by_us = 0;
  if (source.state == EdgeState::kOffline || source.state == EdgeState::kUnborn) return;
  source.state = EdgeState::kOffline;
  source.died = when;
  count_->lost.add();
  shard_.lost(node.organisation, source.device, when);
  show_presence(node, source, false, why);
  const std::string topic =
      source.id.empty() ? fmt::format("spBv1.0/{}/NDEATH/{}", node.group, node.node)
                        : fmt::format("spBv1.0/{}/DDEATH/{}/{}", node.group, node.node, source.id);
  Arrival a{node.link, node.organisation, topic, *parse_topic(topic), {}, when, {}};
  journal(Record::kDeath, a);
}

// tck-id-operational-behavior-edge-node-termination-host-action-ndeath-node-offline,
// -node-tags-stale, -devices-offline, -devices-tags-stale.
void Host::lose_node(Node& node, Timestamp when, std::string_view why) {
  log_info("sparkplug", "{}/{} is offline: {}", node.group, node.node, why);
  node.ask_later.reset();  // nobody would hear it
  for (auto& [id, device] : node.devices) lose(node, device, when, why);
  lose(node, node.self, when, why);
  node.expected = -1;
}

void Host::unconfirm(Source& source) const {
  if (source.state != EdgeState::kOnline && source.state != EdgeState::kUnconfirmed) return;
  source.state = EdgeState::kUnconfirmed;
  source.confirm_by_us = shard_.monotonic_us() + options_.confirm_timeout.us;
}

// The node's own connection to our broker shows itself.
void Host::show_presence(const Node& node, Source& source, bool online, std::string_view why) {
  if (source.present == online || (source.id.empty() && node.link.empty())) return;
  source.present = online;
  shard_.presence(source.device, online, source.id.empty() ? node.node : source.id,
                  online ? fmt::format("through {}", node.link.empty() ? node.node : node.link)
                         : std::string(why));
}

}  // namespace penstock::interop::sparkplug
