#pragma once
// Sources and their assets in the registry's tables; memory answers. Any thread.

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/io.h"
#include "interop/opcua/book.h"
#include "store/registry.h"

namespace penstock::interop::opcua {

struct StoreLimits {
  size_t sources_max = 1000;
  size_t nodes_max = 100'000;  ///< a source
};

class SourceStore {
 public:
  static Result<std::unique_ptr<SourceStore>> open(store::Registry& registry, Clock& clock,
                                                   StoreLimits limits = {});

  [[nodiscard]] std::vector<SourcePtr> all() const;
  [[nodiscard]] std::vector<SourcePtr> of(OrganisationId organisation) const;
  [[nodiscard]] Result<SourcePtr> find(OrganisationId organisation, std::string_view name) const;
  /// Null: no source has that number.
  [[nodiscard]] SourcePtr by_id(uint32_t id) const;
  /// The source and asset that feed the device; nulls: none.
  struct Feed {
    SourcePtr source;
    const Asset* asset = nullptr;  ///< within `source`
  };
  [[nodiscard]] Feed feed(std::string_view device) const;

  Result<SourcePtr> save(OrganisationId organisation, std::string_view name, const Json& document,
                         const Json& secrets, std::string_view who);
  Status remove(OrganisationId organisation, std::string_view name);
  Result<SourcePtr> put_assets(OrganisationId organisation, std::string_view name,
                               std::vector<Asset> assets, std::string_view who);
  Result<SourcePtr> remove_asset(OrganisationId organisation, std::string_view name,
                                 std::string_view device, std::string_view who);

 private:
  SourceStore(store::Registry& registry, Clock& clock, StoreLimits limits)
      : registry_(registry), clock_(clock), limits_(limits) {}
  Status load();
  Result<SourcePtr> write(Source source);

  store::Registry& registry_;
  Clock& clock_;
  StoreLimits limits_;
  std::mutex write_mutex_;
  mutable std::mutex mutex_;
  std::map<uint32_t, SourcePtr> sources_;
  std::map<std::string, uint32_t, std::less<>> by_device_;
};

/// As the registry keeps them and the connector reads them.
Json to_json(const Asset& asset);
Result<Asset> read_asset(const Json& json);

}  // namespace penstock::interop::opcua
