#include "interop/mqtt/topic.h"

#include <algorithm>
#include <array>

namespace penstock::interop::mqtt {
namespace {

// The level at the front of `rest`, which loses it. `last` says that no more follow.
std::string_view take_level(std::string_view& rest, bool& last) {
  const size_t slash = rest.find('/');
  last = slash == std::string_view::npos;
  const std::string_view level = rest.substr(0, slash);
  rest = last ? std::string_view() : rest.substr(slash + 1);
  return level;
}

bool within(std::string_view text, const TopicLimits& limits) {
  return !text.empty() && text.size() <= limits.length_max &&
         static_cast<size_t>(std::count(text.begin(), text.end(), '/')) < limits.levels_max;
}

// What follows devices/{device}/ where `topic` lies there.
std::optional<std::string_view> below_device(std::string_view topic, std::string_view device) {
  constexpr std::string_view kRoot = "devices/";
  if (!topic.starts_with(kRoot)) return std::nullopt;
  topic.remove_prefix(kRoot.size());
  if (!topic.starts_with(device) || topic.size() <= device.size() || topic[device.size()] != '/')
    return std::nullopt;
  return topic.substr(device.size() + 1);
}

bool written_by_devices(std::string_view rest) {
  return !(rest == "commands" || rest.starts_with("commands/") || rest == "config" ||
           rest.starts_with("config/") || rest == "properties/desired");
}

// The messages of an edge node, for who joins: births, data and deaths, no commands, no STATE.
bool written_by_edge_nodes(std::string_view topic) {
  constexpr std::string_view kRoot = "spBv1.0/";
  if (!topic.starts_with(kRoot)) return false;
  topic.remove_prefix(kRoot.size());
  bool last = false;
  (void)take_level(topic, last);
  const std::string_view type = last ? std::string_view() : take_level(topic, last);
  constexpr std::array<std::string_view, 6> kTypes = {"NBIRTH", "NDATA", "NDEATH",
                                                      "DBIRTH", "DDATA", "DDEATH"};
  return std::find(kTypes.begin(), kTypes.end(), type) != kTypes.end();
}

// What an edge node that joins must hear: whether hosts are there, and that it is to be born again.
bool heard_by_joining(std::string_view filter) {
  if (covers("spBv1.0/STATE/#", filter)) return true;
  if (!covers("spBv1.0/+/NCMD/+/#", filter)) return false;
  const std::string_view named =
      filter.ends_with("/#") ? filter.substr(0, filter.size() - 2) : filter;
  return named.find_first_of("+#") == std::string_view::npos;  // of one node, by its name
}

}  // namespace

bool valid_topic(std::string_view topic, const TopicLimits& limits) {
  return within(topic, limits) && topic.find_first_of("+#") == std::string_view::npos;
}

bool valid_filter(std::string_view filter, const TopicLimits& limits) {
  if (!within(filter, limits)) return false;
  bool last = false;
  for (std::string_view rest = filter; !last;) {
    const std::string_view level = take_level(rest, last);
    if (level.find('#') != std::string_view::npos && (level.size() != 1 || !last)) return false;
    if (level.find('+') != std::string_view::npos && level.size() != 1) return false;
  }
  return true;
}

bool matches(std::string_view filter, std::string_view topic) {
  if (topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#'))) return false;
  bool filter_last = false, topic_last = false;
  while (true) {
    const std::string_view want = take_level(filter, filter_last);
    if (want == "#") return true;
    const std::string_view got = take_level(topic, topic_last);
    if (want != "+" && want != got) return false;
    if (topic_last) return filter_last || filter == "#";
    if (filter_last) return false;
  }
}

bool covers(std::string_view grant, std::string_view filter) {
  bool grant_last = false, filter_last = false;
  if (filter.starts_with('$') && (grant.starts_with('+') || grant.starts_with('#'))) return false;
  while (true) {
    const std::string_view allowed = take_level(grant, grant_last);
    if (allowed == "#") return true;
    const std::string_view wanted = take_level(filter, filter_last);
    if (wanted == "#") return false;
    if (allowed != "+" && allowed != wanted) return false;
    if (filter_last) return grant_last || grant == "#";
    if (grant_last) return false;
  }
}

std::optional<SharedFilter> parse_shared(std::string_view filter) {
  constexpr std::string_view kShare = "$share/";
  if (!filter.starts_with(kShare)) return std::nullopt;
  filter.remove_prefix(kShare.size());
  const size_t slash = filter.find('/');
  if (slash == 0 || slash == std::string_view::npos) return SharedFilter{};
  const std::string_view group = filter.substr(0, slash);
  if (group.find_first_of("+#") != std::string_view::npos) return SharedFilter{};
  return SharedFilter{group, filter.substr(slash + 1)};
}

bool may_publish(const Principal& p, std::string_view topic) {
  if (topic.starts_with("$SYS") || topic.starts_with("$share/")) return false;  // the server's own
  if (p.unrestricted) return true;
  if (topic.starts_with('$')) return false;
  if (!p.device.empty())
    if (const auto rest = below_device(topic, p.device)) return written_by_devices(*rest);
  if (p.may_provision && topic.starts_with("devices/")) {
    const size_t slash = topic.find('/', 8);
    if (slash != std::string_view::npos && slash > 8)
      return written_by_devices(topic.substr(slash + 1));
  }
  if (p.may_provision && written_by_edge_nodes(topic)) return true;
  return std::any_of(p.publish_filters.begin(), p.publish_filters.end(),
                     [&](const std::string& grant) { return matches(grant, topic); });
}

bool may_subscribe(const Principal& p, std::string_view filter) {
  if (p.unrestricted) return true;
  if (!p.device.empty() && below_device(filter, p.device)) return true;
  if (p.may_provision && heard_by_joining(filter)) return true;
  return std::any_of(p.subscribe_filters.begin(), p.subscribe_filters.end(),
                     [&](const std::string& grant) { return covers(grant, filter); });
}

}  // namespace penstock::interop::mqtt
