#pragma once
// What the MQTT broker needs of the world, and nothing more. The shard implements it for real;
// tests implement it in memory with a hand-turned clock. One broker and one host a shard; all calls
// on the shard's thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/io.h"
#include "base/result.h"

namespace penstock::interop::mqtt {

using ConnectionId = Id<struct MqttConnectionTag, uint64_t>;

/// Who is at the other end, as CONNECT and the transport tell.
struct ConnectInfo {
  ConnectionId connection;
  std::string client_id;
  std::string username;
  std::string password;  ///< bytes
  bool has_username = false;
  bool has_password = false;
  std::string certificate_subject;  ///< CN of a verified client certificate; empty without
  Timestamp certificate_expires;    ///< of that certificate; 0 without one
  std::string peer_address;
  bool allow_anonymous = false;  ///< the listener takes clients without credentials
};

/// What an authenticated client is and may do. Immutable; shared by the session and calls in
/// flight.
struct Principal {
  OrganisationId organisation;
  std::string name;    ///< device or user name, for logs and $SYS
  std::string device;  ///< set for devices: their own namespace is devices/{device}/#
  bool may_provision =
      false;  ///< a site's join token: any device below devices/ that is not registered yet
  bool unrestricted = false;                 ///< the anonymous test listener
  std::vector<std::string> publish_filters;  ///< further grants, MQTT topic filters
  std::vector<std::string> subscribe_filters;
};

enum class AuthFailure : uint8_t { kBadCredentials, kNotAuthorized, kServerBusy };

/// The outcome of handing a PUBLISH to the platform.
enum class PublishOutcome : uint8_t {
  kAccepted,      ///< journalled with the current batch (samples, or a dead letter: both are kept)
  kNotOurs,       ///< an ordinary topic: only subscribers and the retained store care
  kRefusedQuota,  ///< a limit; reason code 0x97
};

class Host {
 public:
  virtual ~Host() = default;

  // -- the connection
  /// Queues bytes to the socket; copies them. The host bounds what a slow peer may hold back (see
  /// on_writable).
  virtual void send(ConnectionId connection, ByteView bytes) = 0;
  /// Bytes still waiting to be written to that socket.
  [[nodiscard]] virtual size_t unsent_bytes(ConnectionId connection) const = 0;
  /// Sends what is queued, then closes. No more calls for this connection from either side.
  virtual void close(ConnectionId connection) = 0;
  /// Stops / resumes reading this socket: back-pressure.
  virtual void pause_reading(ConnectionId connection, bool pause) = 0;

  // -- time
  [[nodiscard]] virtual Timestamp now() const = 0;         ///< wall clock of this turn
  [[nodiscard]] virtual int64_t monotonic_us() const = 0;  ///< of this turn
  virtual Random& random() = 0;

  // -- durability
  /// Appends a kMqtt record to the turn's batch.
  virtual void journal(ByteView body) = 0;
  /// Runs `then` on this thread once everything journalled so far is durable (ok) or cannot be (not
  /// ok).
  virtual void when_durable(std::function<void(bool ok)> then) = 0;
  /// The hot-path form for a PUBACK or PUBREC: once durable, sends the 4-byte acknowledgement
  /// `packet`. Allocates nothing.
  virtual void ack_when_durable(ConnectionId connection, uint8_t packet_type,
                                uint16_t packet_id) = 0;

  // -- identity and the platform
  /// Calls back on this thread, now or later: a principal, or why not. The connection may be gone
  /// by then.
  virtual void authenticate(
      const ConnectInfo& info,
      std::function<void(tl::expected<std::shared_ptr<const Principal>, AuthFailure>)> then) = 0;
  /// Whether that sender may publish there: by its own namespace, its grants, or a binding's topic.
  virtual bool may_publish(const Principal& sender, std::string_view topic) = 0;
  /// Every PUBLISH that its sender may send passes here first; telemetry becomes samples.
  virtual PublishOutcome on_publish(const Principal& sender, std::string_view topic,
                                    ByteView payload, uint8_t qos) = 0;
  /// A device's connection came or went, for the connection view.
  virtual void on_presence(const Principal& principal, std::string_view client_id, bool connected,
                           std::string_view why) = 0;

  // -- other shards
  [[nodiscard]] virtual uint32_t shard() const = 0;
  [[nodiscard]] virtual uint32_t shards() const = 0;
  /// Hands `message` to the broker of another shard (its on_message), in order for each pair of
  /// shards.
  virtual void post(uint32_t shard, std::shared_ptr<const Bytes> message) = 0;
};

}  // namespace penstock::interop::mqtt
