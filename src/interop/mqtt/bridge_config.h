#pragma once
// What people say about a bridge: which broker, as whom, what to take from it and what to give it.
// docs/bridge.md has the document.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/json.h"
#include "base/net.h"
#include "base/result.h"
#include "base/time.h"

namespace penstock::interop::mqtt {

struct BridgeFilter {
  std::string filter;
  uint8_t qos = 1;
  friend bool operator==(const BridgeFilter&, const BridgeFilter&) = default;
};

/// Secrets are not part of the document: they are sealed, and never shown.
struct BridgeSecrets {
  std::string password;
  std::string key_pem;
};

struct BridgeConfig {
  std::string name;  ///< slug, unique in the server
  std::string description;
  bool enabled = true;
  NetAddress broker;
  uint8_t version = 5;    ///< 5, or 4 for 3.1.1
  std::string client_id;  ///< empty: "penstock-" and the name
  std::string username;   ///< empty: none
  bool tls = false;
  std::string server_name;              ///< what the broker's certificate names; empty: the host
  std::string ca_pem;                   ///< empty: the authorities of the system
  std::string certificate_pem;          ///< the bridge's own; its key is a secret
  std::vector<BridgeFilter> subscribe;  ///< taken from the other broker
  std::vector<std::string> publish;     ///< given to it: filters of topics on our own endpoint
  uint16_t keep_alive_s = 30;
  uint32_t session_expiry_s = 7 * 86'400;  ///< how long the other broker keeps what we missed
  uint16_t receive_maximum = 1000;         ///< messages that it may have open towards us (5.0)
};

/// A member that is absent stays as it is in `config`. Errors name the member.
/// `secrets`: those given; null removes one.
Status read_bridge(const Json& document, BridgeConfig& config, BridgeSecrets& secrets);
/// All but the secrets.
Json bridge_json(const BridgeConfig& config);

/// How a bridge is doing.
struct BridgeStatus {
  enum class State : uint8_t { kDisabled, kConnecting, kConnected, kWaiting };
  State state = State::kDisabled;
  Timestamp since;         ///< of the state
  std::string last_error;  ///< a sentence; empty: none since it was connected
  Timestamp last_error_at;
  Timestamp next_attempt;                      ///< kWaiting
  bool session_present = false;                ///< the other broker had kept our session
  uint64_t messages_in = 0, messages_out = 0;  ///< since the server's start
  uint64_t unmatched = 0;                      ///< came to topics that are nobody's
  uint64_t redelivered = 0;                    ///< came twice and were taken once
  uint64_t dropped_out = 0;        ///< refused by the other broker, or QoS 0 while it was away
  uint32_t unacknowledged_in = 0;  ///< waits for the journal
  uint32_t waiting_out = 0;        ///< on its way to the other broker, without its acknowledgement
  std::string unmatched_topic;     ///< the newest of them
  Timestamp certificate_expires;   ///< of the bridge's own; 0: none
};
std::string_view name(BridgeStatus::State state);

/// A bridge as it is kept.
struct BridgeRecord {
  OrganisationId organisation;
  BridgeConfig config;
  bool has_password = false, has_key = false;
  uint32_t version = 1;
  std::string changed_by;
  Timestamp changed_at;
};
struct BridgeVersion {
  uint32_t version = 0;
  std::string document;  ///< JSON without secrets
  std::string changed_by;
  Timestamp changed_at;
};

/// What people ask of bridges. Any thread.
class BridgeBook {
 public:
  virtual ~BridgeBook() = default;
  virtual std::vector<BridgeRecord> bridges(OrganisationId organisation) = 0;
  virtual Result<BridgeRecord> bridge(OrganisationId organisation, std::string_view name) = 0;
  virtual Result<std::vector<BridgeVersion>> versions(OrganisationId organisation,
                                                      std::string_view name) = 0;
  /// kAlreadyExists: the name is taken.
  virtual Result<BridgeRecord> create(OrganisationId organisation, const Json& document,
                                      std::string_view who) = 0;
  /// Takes effect at once; a connection whose settings changed is made anew.
  virtual Result<BridgeRecord> change(OrganisationId organisation, std::string_view name,
                                      const Json& document, std::string_view who) = 0;
  /// The other broker keeps its session of us until that expires.
  virtual Status remove(OrganisationId organisation, std::string_view name,
                        std::string_view who) = 0;
  virtual BridgeStatus status(std::string_view name) = 0;
};

}  // namespace penstock::interop::mqtt
