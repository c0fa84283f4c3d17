#include "interop/sparkplug/topic.h"

#include <array>

#include <fmt/format.h>

#include "base/json.h"

namespace penstock::interop::sparkplug {
namespace {

constexpr std::string_view kNamespace = "spBv1.0/";
constexpr std::array<std::string_view, 9> kTypes = {"NBIRTH", "NDEATH", "NDATA", "NCMD", "DBIRTH",
                                                    "DDEATH", "DDATA",  "DCMD",  "STATE"};

std::string_view take_level(std::string_view& rest) {
  const size_t slash = rest.find('/');
  const std::string_view level = rest.substr(0, slash);
  rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  return level;
}

}  // namespace

std::string_view name(MessageType type) { return kTypes[static_cast<size_t>(type)]; }

bool is_sparkplug(std::string_view topic) { return topic.starts_with(kNamespace); }

std::optional<Topic> parse_topic(std::string_view text) {
  if (!is_sparkplug(text) || text.ends_with('/')) return std::nullopt;
  std::string_view rest = text.substr(kNamespace.size());
  Topic topic;
  topic.group = take_level(rest);
  const std::string_view type = take_level(rest);
  if (topic.group == "STATE") {
    topic.type = MessageType::kState;
    topic.host = type;
    topic.group = {};
    return topic.host.empty() || !rest.empty() ? std::nullopt : std::optional(topic);
  }
  topic.node = take_level(rest);
  topic.device = take_level(rest);
  if (topic.group.empty() || topic.node.empty() || !rest.empty()) return std::nullopt;
  for (size_t i = 0; i + 1 < kTypes.size(); ++i) {
    if (kTypes[i] != type) continue;
    topic.type = static_cast<MessageType>(i);
    const bool of_device = topic.type >= MessageType::kDeviceBirth;
    return of_device == !topic.device.empty() ? std::optional(topic) : std::nullopt;
  }
  return std::nullopt;
}

std::string command_topic(std::string_view group, std::string_view node, std::string_view device) {
  return device.empty() ? fmt::format("spBv1.0/{}/NCMD/{}", group, node)
                        : fmt::format("spBv1.0/{}/DCMD/{}/{}", group, node, device);
}

std::string state_topic(std::string_view host_id) {
  return fmt::format("spBv1.0/STATE/{}", host_id);
}

std::string state_payload(bool online, uint64_t timestamp_ms) {
  return fmt::format("{{\"online\":{},\"timestamp\":{}}}", online, timestamp_ms);
}

std::optional<bool> read_state(std::string_view payload) {
  if (payload.size() > 4096) return std::nullopt;
  const auto json = parse_json(payload, 4);
  if (!json || !json->is_object()) return std::nullopt;
  const auto online = json->find("online");
  if (online == json->end() || !online->is_boolean()) return std::nullopt;
  return online->get<bool>();
}

HostSession host_session(std::string_view host_id, Timestamp now) {
  HostSession session;
  session.timestamp_ms = static_cast<uint64_t>(now.us / 1000);
  session.topic = state_topic(host_id);
  session.will = state_payload(false, session.timestamp_ms);
  session.birth = state_payload(true, session.timestamp_ms);
  // The namespace as a whole would bring our own commands back (tck-id-host-topic-phid-birth-sub-
  // required asks for the own STATE too).
  session.subscriptions = {session.topic,         "spBv1.0/+/NBIRTH/+",   "spBv1.0/+/NDATA/+",
                           "spBv1.0/+/NDEATH/+",  "spBv1.0/+/DBIRTH/+/+", "spBv1.0/+/DDATA/+/+",
                           "spBv1.0/+/DDEATH/+/+"};
  return session;
}

}  // namespace penstock::interop::sparkplug
