#pragma once
// The twin registry: organisations, sites, models, twins, their series, and the devices that feed
// them. SQL is the truth, memory answers: reads never touch the disk, a write is durable when it
// returns.
//
// Any thread. Tenancy: everything is asked for within an organisation; what belongs to another one
// is not found. References (`site`, `twin` as text) are a slug or an id ("site_3", "twn_12").

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/io.h"
#include "base/result.h"
#include "store/registry.h"
#include "twin/query.h"
#include "twin/records.h"

namespace penstock::twin {

struct SiteDraft {
  std::string name;
  std::string display_name;  ///< empty: the name
  std::string time_zone = "UTC";
  std::string description;
};
struct SitePatch {
  std::optional<std::string> display_name, time_zone, description;
};

struct TwinDraft {
  std::string name;
  std::string display_name;  ///< empty: the name
  std::string site;          ///< reference
  std::string model;         ///< DTMI
  std::string parent;        ///< reference; empty: none
  std::map<std::string, std::string> labels;
};
struct RelationshipDraft {
  std::string name;
  std::string target;  ///< reference
};
struct TwinPatch {
  std::optional<std::string> display_name;
  std::optional<std::string> site;
  std::optional<std::string> model;   ///< another version or model: see set_model rules below
  std::optional<std::string> parent;  ///< empty text: none
  std::optional<std::map<std::string, std::string>> labels;     ///< replaces all
  std::optional<std::vector<RelationshipDraft>> relationships;  ///< replaces all
};

struct DeviceDraft {
  std::string name;          ///< on the wire; its twin's slug too, unless `twin` says otherwise
  std::string display_name;  ///< of the twin
  std::string site, model, parent;
  std::string twin;      ///< an existing twin to feed (reference); site, model, parent are unused
  std::string password;  ///< instead of a generated token
  bool certificate_only = false;  ///< neither token nor password
  int64_t stale_after_ms = 0;
  std::string protocol = "mqtt";  ///< mqtt, sparkplug, lwm2m, opcua or http
  std::string binding;            ///< a binding document's name; empty: none
  std::vector<BindingEntry> bindings;
  std::map<std::string, std::string> labels;
};
struct DevicePatch {
  std::optional<bool> enabled;
  std::optional<int64_t> stale_after_ms;
  std::optional<std::string> protocol, binding;
  std::optional<std::vector<BindingEntry>> bindings;
  std::optional<std::vector<std::string>> publish_filters, subscribe_filters;
};
/// What takes a broken device's place.
struct ReplacementDraft {
  std::string name;      ///< another name on the wire; empty: the same
  std::string serial;    ///< of the new hardware: the twin's label "serial"; empty: none
  std::string password;  ///< instead of a generated token
  std::string reason, who;
};
/// `token` is shown here once and never again; empty where a password was given.
struct DeviceCreated {
  DevicePtr device;
  TwinPtr twin;  ///< null for an application client
  std::string token;
};
struct JoinTokenCreated {
  JoinTokenPtr record;
  std::string token;
};

/// To which twins a rule, detector or contract applies: exactly one is set.
struct Scope {
  std::string model, site, twin;
};

/// What changed for the data path.
struct DeviceChange {
  std::string device;
  TwinId twin;
  std::shared_ptr<const DeviceConfig> config;  ///< null: forget it (removed or disabled)
  bool disconnect = false;  ///< its credentials no longer hold: end its connections
};

class TwinRegistry {
 public:
  struct Options {
    size_t twins_max = 1'000'000;
    size_t models_max = 10'000;
    size_t model_bytes_max = 1 << 20;                ///< one document, as JSON
    uint64_t password_memory_bytes = 19'456 * 1024;  ///< Argon2id; OWASP 2023: 19 MiB, 2 passes
    uint64_t password_passes = 2;
  };

  /// migrates its tables, loads everything, and makes the organisation "default" in
  /// an empty registry. `registry`, `clock` and `random` must outlive it.
  static Result<std::unique_ptr<TwinRegistry>> open(store::Registry& registry, Clock& clock,
                                                    Random& random, Options options);
  static Result<std::unique_ptr<TwinRegistry>> open(store::Registry& registry) {
    return open(registry, system_clock(), system_random(), Options());
  }
  ~TwinRegistry();
  TwinRegistry(const TwinRegistry&) = delete;
  TwinRegistry& operator=(const TwinRegistry&) = delete;

  // -- what the data path listens to
  /// First tells `listener` of every enabled device, then of each change, in order, on the thread
  /// that made it. The listener may read from the registry, and must not write to it.
  void subscribe(std::function<void(const DeviceChange&)> listener);
  /// Every enabled device's configuration.
  [[nodiscard]] std::vector<std::shared_ptr<const DeviceConfig>> device_configs() const;

  // -- organisations
  [[nodiscard]] OrganisationId default_organisation() const;
  Result<OrganisationPtr> create_organisation(std::string_view name, std::string_view display_name);
  [[nodiscard]] std::vector<OrganisationPtr> organisations() const;

  // -- sites
  Result<SitePtr> create_site(OrganisationId organisation, const SiteDraft& draft);
  Result<SitePtr> update_site(OrganisationId organisation, std::string_view site,
                              const SitePatch& patch);
  /// kConflict while twins stand there. Its join tokens go with it.
  Status delete_site(OrganisationId organisation, std::string_view site);
  [[nodiscard]] Result<SitePtr> site(OrganisationId organisation, std::string_view site) const;
  [[nodiscard]] SitePtr site(SiteId id) const;  ///< null: gone
  [[nodiscard]] Page<SitePtr> sites(OrganisationId organisation, std::string_view text,
                                    const PageRequest& page) const;
  /// How many twins stand there.
  [[nodiscard]] size_t twin_count(SiteId site) const;

  // -- models
  /// Adds a DTDL document (JSON text: an interface or an array of them) that may refer to known
  /// ones. All or nothing. The same text again is no error; another text under a known DTMI is
  /// kAlreadyExists: a version never changes.
  Result<std::vector<ModelPtr>> add_models(OrganisationId organisation, std::string_view document);
  /// kConflict while a twin or another model uses it.
  Status delete_model(OrganisationId organisation, std::string_view dtmi);
  [[nodiscard]] Result<ModelPtr> model(OrganisationId organisation, std::string_view dtmi) const;
  [[nodiscard]] Page<ModelPtr> models(OrganisationId organisation, std::string_view text,
                                      const PageRequest& page) const;
  [[nodiscard]] size_t twin_count(OrganisationId organisation, std::string_view dtmi) const;

  // -- twins
  Result<TwinPtr> create_twin(OrganisationId organisation, const TwinDraft& draft);
  /// A new model keeps the series of every element whose kind and unit stay; others get a new one,
  /// and what the model no longer has retires (its history stays readable).
  Result<TwinPtr> update_twin(OrganisationId organisation, std::string_view twin,
                              const TwinPatch& patch);
  /// kConflict while others are part of it. Its device and relationships go with it; its series
  /// retire, their numbers are never used again.
  Status delete_twin(OrganisationId organisation, std::string_view twin);
  [[nodiscard]] Result<TwinPtr> twin(OrganisationId organisation, std::string_view twin) const;
  [[nodiscard]] TwinPtr twin(TwinId id) const;  ///< null: gone
  /// By name.
  [[nodiscard]] Result<Page<TwinPtr>> twins(OrganisationId organisation, const TwinFilter& filter,
                                            const PageRequest& page) const;
  [[nodiscard]] Result<size_t> count_twins(OrganisationId organisation,
                                           const TwinFilter& filter) const;
  /// The twins that are part of it, by name. `parent` none: those at the top of `site`.
  [[nodiscard]] std::vector<TwinPtr> children(TwinId parent) const;
  [[nodiscard]] std::vector<TwinPtr> top_of(SiteId site) const;
  /// The twins a scope names today.
  [[nodiscard]] Result<std::vector<TwinId>> resolve_scope(OrganisationId organisation,
                                                          const Scope& scope) const;

  // -- series, for history, alarms and the live view
  /// In O(1); null for a number that was never given.
  [[nodiscard]] SeriesPtr series(SeriesId id) const;
  /// The series of an element, also one that has retired.
  [[nodiscard]] Result<SeriesPtr> series(OrganisationId organisation, std::string_view twin,
                                         std::string_view element) const;
  /// Every series, retired ones too.
  [[nodiscard]] std::vector<SeriesPtr> all_series() const;

  // -- devices
  /// Registers a device and the twin it feeds. The password is hashed here: ~20 ms, not on a shard.
  Result<DeviceCreated> create_device(OrganisationId organisation, const DeviceDraft& draft);
  /// The same for many in one transaction: all or nothing.
  Result<std::vector<DeviceCreated>> create_devices(OrganisationId organisation,
                                                    std::span<const DeviceDraft> drafts);
  /// A client without a twin: a dashboard, a bridge. It may do what its grants say.
  Result<DeviceCreated> create_application(OrganisationId organisation, std::string_view name,
                                           std::vector<std::string> publish_filters,
                                           std::vector<std::string> subscribe_filters);
  Result<DevicePtr> update_device(OrganisationId organisation, std::string_view device,
                                  const DevicePatch& patch);
  /// Removes the device and keeps its twin with its history, unless `with_twin`.
  Status delete_device(OrganisationId organisation, std::string_view device, bool with_twin);
  /// A new token (or `password` instead); the old credentials stop working at once. Gives the
  /// token, empty where a password was given.
  Result<std::string> rotate_credentials(OrganisationId organisation, std::string_view device,
                                         std::string_view password);
  /// Puts other hardware in a device's place: twin, series, history, binding and grants stay; the
  /// old credentials stop working at once. The password is hashed here: not on a shard.
  Result<DeviceCreated> replace_device(OrganisationId organisation, std::string_view device,
                                       const ReplacementDraft& draft);
  /// What was replaced at a twin, newest first.
  [[nodiscard]] Result<std::vector<ReplacementRecord>> replacements(OrganisationId organisation,
                                                                    TwinId twin) const;
  [[nodiscard]] Result<DevicePtr> device(OrganisationId organisation, std::string_view name) const;
  [[nodiscard]] DevicePtr device(std::string_view name) const;  ///< null: unknown
  [[nodiscard]] Result<Page<DevicePtr>> devices(OrganisationId organisation, std::string_view text,
                                                std::string_view site,
                                                const PageRequest& page) const;

  // -- bindings: versioned documents (twin/binding.h), saved as drafts, then made active
  /// A new version of the document named within it; the first one makes the binding. The text is
  /// checked as far as it stands alone.
  Result<BindingPtr> save_binding(OrganisationId organisation, std::string_view document,
                                  std::string_view who, std::string_view note);
  /// Makes a version the one that devices use: a newer one, or an older one again. Refused where it
  /// does not fit the model of a device that uses it.
  Result<BindingPtr> activate_binding(OrganisationId organisation, std::string_view name,
                                      uint32_t version, std::string_view who);
  /// kConflict while devices use it.
  Status delete_binding(OrganisationId organisation, std::string_view name);
  [[nodiscard]] Result<BindingPtr> binding(OrganisationId organisation,
                                           std::string_view name) const;
  [[nodiscard]] std::vector<BindingPtr> bindings(OrganisationId organisation) const;
  [[nodiscard]] std::vector<BindingPtr> all_bindings() const;
  /// Devices that use it, by name.
  [[nodiscard]] std::vector<DevicePtr> devices_of_binding(OrganisationId organisation,
                                                          std::string_view name) const;
  /// Told after a version became active or a binding went, on the thread that made the change.
  void on_bindings(std::function<void()> listener);

  // -- join tokens
  /// `expires_at` 0: never.
  Result<JoinTokenCreated> create_join_token(OrganisationId organisation, std::string_view site,
                                             std::string_view name, Timestamp expires_at);
  Status delete_join_token(OrganisationId organisation, uint32_t id);
  [[nodiscard]] std::vector<JoinTokenPtr> join_tokens(OrganisationId organisation) const;

  // -- what identity.h asks: secrets are looked up by digest, never listed
  /// The device whose token has this SHA-256; null: none.
  [[nodiscard]] DevicePtr device_by_token(std::string_view token_sha256) const;
  /// The join token of this SHA-256; expiry is the caller's to check. Null: none.
  [[nodiscard]] JoinTokenPtr join_token_by_digest(std::string_view token_sha256) const;
  /// The Argon2id string of a device's password; empty: it has none.
  [[nodiscard]] std::string password_hash(std::string_view device) const;

  /// What an accepted discovery becomes: model (where `interface_document` is given), twin and
  /// device. See twin/proposal.h.
  Result<DeviceCreated> accept_discovered(OrganisationId organisation, DeviceDraft draft,
                                          std::string_view interface_document);
  /// Known models that have every element of `keys`, those with the fewest others first.
  [[nodiscard]] std::vector<ModelPtr> models_with(OrganisationId organisation,
                                                  std::span<const std::string> keys) const;

 private:
  struct Impl;
  explicit TwinRegistry(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock::twin
