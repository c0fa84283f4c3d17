#pragma once
// The registry's memory: records by every key they are asked by. No locks, no SQL: what is asked of
// it is a pure function of what was put in. Part of registry.cpp, apart for its tests.

#include <functional>
#include <initializer_list>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "twin/query.h"
#include "twin/records.h"

namespace penstock::twin {

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
template <class T>
using ByText = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

/// What one organisation has, in the order of names.
struct Tenant {
  OrganisationPtr record;
  std::map<std::string, SitePtr, std::less<>> sites;
  std::map<std::string, ModelPtr, std::less<>> models;
  std::map<std::string, TwinPtr, std::less<>> twins;
  std::map<std::string, DevicePtr, std::less<>> devices;
  std::map<std::string, size_t, std::less<>> twins_of_model;
  std::map<std::string, BindingPtr, std::less<>> bindings;
};

struct Secret {
  CredentialKind kind = CredentialKind::kNone;
  std::string text;  // SHA-256 or Argon2id string
};

struct State {
  std::map<OrganisationId, Tenant> tenants;
  std::unordered_map<SiteId, SitePtr> sites;
  std::unordered_map<SiteId, size_t> twins_at;
  std::unordered_map<TwinId, TwinPtr> twins;
  std::unordered_map<TwinId, std::map<std::string, TwinId>> children;  // of a twin, by name
  std::unordered_map<TwinId, std::multiset<TwinId>> related_from;      // target -> sources
  std::vector<SeriesPtr> series;                                       // by number
  std::unordered_map<TwinId, std::vector<SeriesId>> series_of;         // retired ones too
  ByText<DevicePtr> devices;
  ByText<std::string> device_of_token;  // SHA-256 -> device
  ByText<Secret> secrets;               // device -> secret
  std::map<uint32_t, JoinTokenPtr> join_tokens;
  ByText<uint32_t> join_token_of;  // SHA-256 -> id

  // -- changes: each keeps all indexes true
  void put(SitePtr site);
  void erase(const SiteRecord& site);
  void put(TwinPtr twin);
  void erase(const TwinRecord& twin);
  void put(SeriesPtr info);
  void put(DevicePtr device);
  void erase(const DeviceRecord& device);
  void set_secret(const std::string& device, Secret secret);
  void put(JoinTokenPtr token, const std::string& digest);
  void erase_join_token(uint32_t id);

  // -- questions; a reference is a slug or an id
  [[nodiscard]] const Tenant* tenant(OrganisationId id) const;
  [[nodiscard]] Result<SitePtr> site(OrganisationId organisation, std::string_view reference) const;
  [[nodiscard]] Result<TwinPtr> twin(OrganisationId organisation, std::string_view reference) const;
  [[nodiscard]] Result<ModelPtr> model(OrganisationId organisation, std::string_view dtmi) const;
  [[nodiscard]] Result<DevicePtr> device(OrganisationId organisation, std::string_view name) const;
  [[nodiscard]] Result<BindingPtr> binding(OrganisationId organisation,
                                           std::string_view name) const;
  [[nodiscard]] SeriesPtr series_by(SeriesId id) const;
  /// Whether `twin` is part of `ancestor`, at any depth.
  [[nodiscard]] bool is_below(const TwinRecord& twin, TwinId ancestor) const;
  /// Calls `take` with each twin that matches, by name, after the name `after`, until it says no.
  Status each_twin(OrganisationId organisation, const TwinFilter& filter, std::string_view after,
                   const std::function<bool(const TwinPtr&)>& take) const;
};

/// Which series a twin of `model` has, given those it ever had.
struct SeriesPlan {
  std::vector<SeriesId> series;  ///< one an element; none where a fresh one is needed
  std::vector<size_t> fresh;     ///< indexes of those elements
  std::vector<SeriesId> revive, retire;
  [[nodiscard]] bool changes() const {
    return !fresh.empty() || !revive.empty() || !retire.empty();
  }
};
SeriesPlan plan_series(const ModelInfo& model, const std::vector<SeriesPtr>& had);

/// What the data path needs of a device, its twin and its binding (null: none).
std::shared_ptr<const DeviceConfig> make_config(const DeviceRecord& device, const TwinRecord& twin,
                                                std::shared_ptr<const SourceConfig> source);

/// Whether every word of `words` (lower case, divided by spaces) occurs in one of `texts`.
bool contains_words(std::string_view words, std::initializer_list<std::string_view> texts);

}  // namespace penstock::twin
