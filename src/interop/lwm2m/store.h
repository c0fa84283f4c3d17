#pragma once
// What the LwM2M server keeps: registrations, credentials, bootstrap documents. In the registry's
// database; the keys of devices sealed with a key of the data folder.

#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/io.h"
#include "base/json.h"
#include "store/registry.h"

namespace penstock::interop::lwm2m {

/// How a device proves who it is. A certificate needs none: its name is the endpoint's.
struct Credential {
  OrganisationId organisation;
  std::string identity;  ///< PSK identity, unique in the server
  std::string endpoint;
  bool bootstrap = false;  ///< for the bootstrap interface only, else for registration only
  std::string key;         ///< 16 to 64 bytes; empty where listed
  Timestamp created_at;
};

struct StoredRegistration {
  std::string location;
  OrganisationId organisation;
  std::string endpoint;
  std::string document;  ///< JSON
};

/// Any thread.
class Store {
 public:
  /// `key_file`: made, readable by its owner only, where it is missing.
  static Result<std::unique_ptr<Store>> open(store::Registry& registry, FileSystem& files,
                                             Random& random, Clock& clock,
                                             const std::string& key_file);

  Result<std::vector<StoredRegistration>> registrations();
  /// One transaction; durable when it returns.
  Status save(const std::vector<StoredRegistration>& changed,
              const std::vector<std::string>& removed);

  /// Adds or replaces. kConflict: the identity belongs to another endpoint.
  Status save_credential(const Credential& credential);
  Status remove_credential(OrganisationId organisation, std::string_view identity);
  [[nodiscard]] std::vector<Credential> credentials(OrganisationId organisation,
                                                    std::string_view endpoint) const;
  /// With its key. Microseconds.
  [[nodiscard]] std::optional<Credential> credential(std::string_view identity) const;
  /// Whether the endpoint has one for registration: it must then use it.
  [[nodiscard]] bool has_credential(std::string_view endpoint) const;

  Status save_bootstrap(OrganisationId organisation, std::string_view endpoint,
                        const Json& document);
  Status remove_bootstrap(OrganisationId organisation, std::string_view endpoint);
  [[nodiscard]] std::optional<Json> bootstrap(OrganisationId organisation,
                                              std::string_view endpoint) const;
  [[nodiscard]] std::string ticket_key() const { return secret_.substr(32); }

 private:
  Store(store::Registry& registry, Random& random, Clock& clock)
      : registry_(registry), random_(random), clock_(clock) {}
  Status load();
  std::string seal(std::string_view key);
  Result<std::string> unseal(std::string_view hex) const;

  store::Registry& registry_;
  Random& random_;
  Clock& clock_;
  std::string secret_;  // 32 bytes seal keys, 48 bytes seal session tickets
  mutable std::shared_mutex mutex_;
  std::unordered_map<std::string, Credential> credentials_;  // by identity
  std::unordered_map<std::string, Json> bootstrap_;          // by organisation and endpoint
};

}  // namespace penstock::interop::lwm2m
