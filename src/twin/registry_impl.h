#pragma once
// Inside the registry: one writer at a time checks against memory, writes SQL, then puts the new
// records into memory. Shared by registry*.cpp only.

#include <algorithm>
#include <map>
#include <mutex>
#include <shared_mutex>

#include "store/registry.h"
#include "twin/registry.h"
#include "twin/state.h"

namespace penstock::twin {

struct TwinRegistry::Impl {
  store::Registry& store;
  Clock& clock;
  Random& random;
  Options options;

  /// Held by whoever changes anything, from the check to the notification: changes are seen in the
  /// order of their commits. Its holder reads `state` without `guard`, since nobody else writes it.
  std::mutex writing;
  mutable std::shared_mutex guard;
  State state;
  std::vector<std::function<void(const DeviceChange&)>> listeners;  ///< guarded by `writing`
  std::vector<std::function<void()>> binding_listeners;             ///< guarded by `writing`

  Impl(store::Registry& store_, Clock& clock_, Random& random_, Options options_)
      : store(store_), clock(clock_), random(random_), options(options_) {}

  // -- registry_load.cpp
  Status load();
  Status match_series(std::unordered_map<TwinId, TwinRecord>& twins);

  // -- all others; REQUIRES: `writing` is held
  /// Puts what is committed into memory.
  template <class Change>
  void apply(Change&& change) {
    const std::unique_lock lock(guard);
    change(state);
  }
  void tell(const DeviceChange& change) const {
    for (const auto& listener : listeners) listener(change);
  }
  // -- registry_bindings.cpp
  /// The device's binding, compiled for a model; null where it has none.
  [[nodiscard]] Result<std::shared_ptr<const SourceConfig>> source_of(const DeviceRecord& device,
                                                                      const ModelInfo& model) const;
  /// The same, of a document that may not be the active one. Remembers what it compiled.
  [[nodiscard]] Result<std::shared_ptr<const SourceConfig>> compiled(
      const BindingDocument& document, uint32_t version, OrganisationId organisation,
      const ModelInfo& model) const;
  mutable std::map<std::string, std::weak_ptr<const SourceConfig>> sources;
  /// kConflict: a topic could be of another active binding too.
  [[nodiscard]] Status check_topic(const BindingDocument& document,
                                   OrganisationId organisation) const;

  /// The device with its configuration made anew from its twin.
  [[nodiscard]] DevicePtr with_config(DeviceRecord device, const TwinPtr& twin) const;
  /// What the data path hears of `device`: its configuration, or that it is to be forgotten.
  void tell(const DeviceRecord& device, bool disconnect) const;

  [[nodiscard]] std::vector<SeriesPtr> series_had(TwinId twin) const;
  [[nodiscard]] Result<TwinRecord> plan_twin(OrganisationId organisation,
                                             const TwinDraft& draft) const;
  [[nodiscard]] Status check_parent(const TwinRecord& twin, const TwinRecord& parent) const;
  [[nodiscard]] Status check_relationships(const TwinRecord& twin) const;
  [[nodiscard]] std::string new_token();
};

// -- rows of twins, shared by those who write them (registry_twins.cpp)
/// Gives `twin` its id and series, and writes all its rows. Adds its new series to `made`.
Status insert_twin(store::Session& session, TwinRecord& twin, const std::string& time_zone,
                   Timestamp now, std::vector<SeriesInfo>& made);
Status insert_relationships(store::Session& session, const TwinRecord& twin);
/// Carries a plan out: allots fresh numbers into `twin.series`, writes rows; the changed series go
/// to `changed`.
Status carry_out(store::Session& session, const SeriesPlan& plan, const std::vector<SeriesPtr>& had,
                 TwinRecord& twin, const std::string& time_zone, Timestamp now,
                 std::vector<SeriesInfo>& changed);

// -- documents kept as text in columns
std::string labels_to_text(const std::map<std::string, std::string>& labels);
std::map<std::string, std::string> labels_from_text(const std::string& text);
std::string bindings_to_text(const std::vector<BindingEntry>& bindings);
std::vector<BindingEntry> bindings_from_text(const std::string& text);
std::string grants_to_text(const DeviceRecord& device);
void grants_from_text(const std::string& text, DeviceRecord& device);

Status check_labels(const std::map<std::string, std::string>& labels);

/// A page of the values of an ordered map whose name comes after the cursor and that `keep` keeps.
template <class Map, class Keep>
Page<typename Map::mapped_type> page_of(const Map& map, const PageRequest& request, Keep&& keep) {
  Page<typename Map::mapped_type> page;
  const size_t limit = std::clamp<size_t>(request.limit, 1, 1000);
  auto at = request.cursor.empty() ? map.begin() : map.upper_bound(request.cursor);
  std::string last;
  for (; at != map.end(); ++at) {
    if (!keep(*at->second)) continue;
    if (page.items.size() == limit) {
      page.next_cursor = last;
      break;
    }
    page.items.push_back(at->second);
    last = at->first;
  }
  return page;
}

}  // namespace penstock::twin
