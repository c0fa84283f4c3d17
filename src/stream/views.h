#pragma once
// What people and programs may ask of the running data path: small interfaces, so that those who
// show (api) need not know those who do (shards, journal, views). The platform implements them;
// tests do it in memory. All of them: any thread, blocking for milliseconds at most.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "stream/device_state.h"

namespace penstock::stream {

/// The live side of one twin.
struct TwinLive {
  TwinId twin;
  bool online = false;            ///< a connection is open, or it spoke within its stale time
  bool stale = false;             ///< its newest message is older than its stale time
  Timestamp last_seen;            ///< received time of its newest message; 0: never
  std::vector<LiveValue> values;  ///< only elements that have one; sample.series says which
};

class LiveValues {
 public:
  virtual ~LiveValues() = default;
  /// One entry for each of `twins`, in that order; a twin that no shard knows comes back without
  /// values.
  virtual std::vector<TwinLive> live(std::span<const TwinId> twins) = 0;
  /// All twins that a shard knows, without values: for counting and filtering a fleet.
  virtual std::vector<TwinLive> presence() = 0;
};

/// How one device's connection is. Counts are since the server's start.
struct ConnectionState {
  bool online = false;
  Timestamp connected_at;  ///< of the present or the last connection; 0: never
  Timestamp last_seen;     ///< newest message
  std::string client_id;
  std::string address;
  std::string detail;  ///< why the last one ended; empty while online
  uint64_t messages = 0;
  uint64_t samples = 0;
  uint64_t rejected = 0;
  std::string last_rejection;  ///< reason of the newest dead letter; may be empty
  uint64_t unbound = 0;        ///< values whose address its binding leaves out
  uint64_t suppressed = 0;     ///< values within a deadband
  uint64_t future = 0;         ///< messages refused because their time lies too far ahead
  Duration interval;           ///< between messages, smoothed; 0: not known
  Duration clock_offset;       ///< source time less time of arrival, of its newest samples
};

class Connections {
 public:
  virtual ~Connections() = default;
  virtual std::optional<ConnectionState> connection(std::string_view device) = 0;
};

struct IngestRates {
  double messages_per_s = 0;  ///< over the last few seconds
  double samples_per_s = 0;
};

class IngestStats {
 public:
  virtual ~IngestStats() = default;
  virtual IngestRates rates() = 0;
};

/// A message that was refused, as the dead-letter view keeps it.
struct DeadLetter {
  uint64_t id = 0;  ///< its journal offset: unique, and newer is larger
  OrganisationId organisation;
  Timestamp received;
  std::string device, topic, reason;
  std::string payload;  ///< bytes, cut to the configured maximum
};

class DeadLetterView {
 public:
  virtual ~DeadLetterView() = default;
  struct Filter {
    OrganisationId organisation;
    std::string device;            ///< empty: all
    std::string reason;            ///< a part of it; empty: all
    uint64_t before = UINT64_MAX;  ///< only ids below
  };
  /// Newest first, at most `limit`.
  virtual Result<std::vector<DeadLetter>> dead_letters(const Filter& filter, size_t limit) = 0;
  virtual uint64_t dead_letter_count(OrganisationId organisation) = 0;
};

/// One message of a device that nobody has registered.
struct DiscoverySample {
  Timestamp received;
  std::string topic, payload;
};

/// A device that speaks but that nobody has registered.
struct DiscoveredDevice {
  OrganisationId organisation;
  std::string device;
  Timestamp first_seen, last_seen;
  uint64_t messages = 0;
  std::string topic, sample_payload;     ///< of the newest telemetry message
  std::vector<DiscoverySample> samples;  ///< the first one and the newest, oldest first
  uint64_t first_offset = 0;             ///< the journal's, of its first message; 0: not known
};

class DiscoveryView {
 public:
  virtual ~DiscoveryView() = default;
  /// By name, after `after`, at most `limit`.
  virtual Result<std::vector<DiscoveredDevice>> discovered(OrganisationId organisation,
                                                           std::string_view after,
                                                           size_t limit) = 0;
  virtual Result<DiscoveredDevice> discovered_device(OrganisationId organisation,
                                                     std::string_view device) = 0;
  virtual uint64_t discovered_count(OrganisationId organisation) = 0;
  /// Forgets it, until it speaks again.
  virtual Status dismiss(OrganisationId organisation, std::string_view device) = 0;
};

/// A message as it came, before anything was made of it.
struct TappedMessage {
  uint64_t id = 0;  ///< newer is larger
  Timestamp received;
  std::string device;  ///< whom it is for; empty where its topic does not say
  std::string topic;
  std::string link;     ///< the bridge it came through; empty: our own endpoint
  std::string payload;  ///< bytes, cut to a maximum
  size_t size = 0;      ///< of the whole payload
};

struct TapQuestion {
  OrganisationId organisation;
  std::string filter;  ///< MQTT topic filter; empty: any topic
  std::string device;  ///< empty: any
  uint64_t after = 0;  ///< only newer ones
};

class MessageTapView {
 public:
  virtual ~MessageTapView() = default;
  /// What came since the question was first asked, oldest first, the newest hundred. Asking again
  /// within a minute keeps listening. kInvalidArgument: no topic filter; kResourceExhausted: too
  /// many others listen.
  virtual Result<std::vector<TappedMessage>> tap(const TapQuestion& question) = 0;
};

enum class CommandStatus : uint8_t {
  kSent,    ///< handed to the device's connection
  kQueued,  ///< the device is away; its session keeps the command
};

struct CommandReceipt {
  std::string request_id;  ///< the device repeats it in its response
  CommandStatus status = CommandStatus::kSent;
};

class CommandSender {
 public:
  virtual ~CommandSender() = default;
  /// Hands `payload` (JSON text) to the device in its protocol's way.
  virtual Result<CommandReceipt> send_command(std::string_view device, std::string_view name,
                                              std::string_view payload, std::string_view who) = 0;
  /// Asks the device to take `value` (JSON text, checked against the model) for a writable
  /// property. The twin shows it only once the device reports it.
  virtual Result<CommandReceipt> write_property(std::string_view device, std::string_view element,
                                                std::string_view value, std::string_view who) = 0;
};

enum class HealthStatus : uint8_t { kOk, kDegraded, kFailing };

struct HealthCheck {
  std::string name;  ///< "journal", "history", "disk", …
  HealthStatus status = HealthStatus::kOk;
  std::string detail;  ///< a sentence: what is wrong and what to do
};

class HealthSource {
 public:
  virtual ~HealthSource() = default;
  virtual std::vector<HealthCheck> health() = 0;
};

/// Told after a change of what people configure is stored, so that the data path takes it up.
class ConfigurationListener {
 public:
  virtual ~ConfigurationListener() = default;
  virtual void twin_changed(TwinId twin) = 0;  ///< made, changed or removed, credentials included
  virtual void rules_changed() = 0;            ///< rules and detectors
};

}  // namespace penstock::stream
