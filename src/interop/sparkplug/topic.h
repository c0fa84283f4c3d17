#pragma once
// spBv1.0/{group}/{type}/{node}[/{device}] and spBv1.0/STATE/{host} (Sparkplug 3.0, chapter 4),
// and what a host says of itself there.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace penstock::interop::sparkplug {

enum class MessageType : uint8_t {
  kNodeBirth,
  kNodeDeath,
  kNodeData,
  kNodeCommand,
  kDeviceBirth,
  kDeviceDeath,
  kDeviceData,
  kDeviceCommand,
  kState,
};
/// "NBIRTH", …
std::string_view name(MessageType type);

struct Topic {
  MessageType type = MessageType::kNodeData;
  std::string_view group, node, device;  ///< views into the topic; device only in D…
  std::string_view host;                 ///< of STATE
};
/// Nothing: no topic of this namespace, or a malformed one.
std::optional<Topic> parse_topic(std::string_view topic);
/// Whether it begins with the namespace, well formed or not.
bool is_sparkplug(std::string_view topic);

std::string command_topic(std::string_view group, std::string_view node, std::string_view device);
std::string state_topic(std::string_view host_id);
/// {"online":true,"timestamp":ms}
std::string state_payload(bool online, uint64_t timestamp_ms);
/// Whether a STATE payload says online; nothing: it is none.
std::optional<bool> read_state(std::string_view payload);

/// How a host opens a session with a broker: the will goes into CONNECT, then the subscriptions,
/// then the birth with the will's timestamp (tck-id-host-topic-phid-birth-payload-timestamp,
/// -birth-sub-required, -birth-required). All at QoS 1, will and birth retained; a new one for each
/// CONNECT. Before an intended DISCONNECT, the death of that moment
/// (…-death-payload-disconnect-clean).
struct HostSession {
  uint64_t timestamp_ms = 0;
  std::string topic, will, birth;
  std::vector<std::string> subscriptions;
};
HostSession host_session(std::string_view host_id, Timestamp now);

}  // namespace penstock::interop::sparkplug
