#pragma once
// Protocols on top of MQTT (Sparkplug, bound topics): how they get their messages and answer,
// whichever broker the message came through: our own, or another that a bridge is a client of.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"

namespace penstock::interop::mqtt {

/// A PUBLISH, its sender's right to publish there checked. Views; not kept beyond the call.
struct InboundMessage {
  /// Where it came in: empty for our own broker, else the bridge's name.
  std::string_view link;
  OrganisationId organisation;  ///< of who sent it
  std::string_view topic;
  ByteView payload;
  uint8_t qos = 0;
  bool joining = false;  ///< sent with a site's join token: not for what is registered
};

/// What the other broker of a bridge is to publish when the bridge's connection breaks.
struct LinkWill {
  std::string topic;
  Bytes payload;
  uint8_t qos = 1;
  bool retain = true;
};

/// Takes the messages of some topics. One a shard; all calls on its thread.
class MessageHandler {
 public:
  virtual ~MessageHandler() = default;
  /// True: the topic is this handler's; it comes to no further one. What it gives the shard within
  /// the call (reports, records, work on other shards) is durable before the PUBACK leaves.
  virtual bool on_message(const InboundMessage& message) = 0;
  /// A bridge's connection came or went. Every shard's handlers are told.
  virtual void on_link(std::string_view /*link*/, bool /*up*/) {}
  /// Before each CONNECT of a bridge, on the bridge's shard: the will that it is to have. The first
  /// handler that has one decides.
  virtual std::optional<LinkWill> link_will(std::string_view /*link*/) { return std::nullopt; }
};

/// The way back. One a shard; all calls on its thread.
class MessageSender {
 public:
  virtual ~MessageSender() = default;
  /// Publishes through the broker that `link` names (InboundMessage::link). A link that is gone or
  /// away: as an MQTT client would, QoS 0 is dropped and counted, the rest waits in its queue.
  virtual void send(std::string_view link, std::string_view topic, ByteView payload, uint8_t qos,
                    bool retain) = 0;
};

}  // namespace penstock::interop::mqtt
