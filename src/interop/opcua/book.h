#pragma once
// What people do with OPC UA servers: sources, what is read of them, and questions to the running
// connector. The app implements it; tests do it in memory. Any thread.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/json.h"
#include "base/result.h"
#include "base/time.h"

namespace penstock::interop::opcua {

/// One node of a device: what the connector subscribes to.
struct NodePick {
  std::string address;  ///< within the device: `from` of the binding
  std::string node;     ///< "nsu=http://x;s=Pump.Speed"; the root's where there is a path
  Json path;            ///< [{"ns","name"}, …] from `node` on; null: none
  Json parameters;      ///< sampling_ms, queue, deadband, deadband_percent where given
};

/// One device of a source.
struct Asset {
  std::string device;  ///< wire_name({source, name})
  std::string root;    ///< node of the object; may be empty
  std::vector<NodePick> nodes;
  Json commands;  ///< {name: {"object","method","path"}}; null: none
};

/// An OPC UA server, as people configure it.
struct Source {
  uint32_t id = 0;
  OrganisationId organisation;
  std::string name;  ///< slug, unique in its organisation
  Json document;     ///< docs/opcua.md; without secrets
  Json secrets;      ///< password, key; never shown
  std::vector<Asset> assets;
  std::string changed_by;
  Timestamp changed_at;
  [[nodiscard]] const Asset* asset(std::string_view device) const;
};
using SourcePtr = std::shared_ptr<const Source>;

class Book {
 public:
  virtual ~Book() = default;
  virtual std::vector<SourcePtr> sources(OrganisationId organisation) = 0;
  virtual Result<SourcePtr> source(OrganisationId organisation, std::string_view name) = 0;
  /// Makes or replaces it. `secrets` null: those that it had stay.
  virtual Result<SourcePtr> save(OrganisationId organisation, std::string_view name,
                                 const Json& document, const Json& secrets,
                                 std::string_view who) = 0;
  virtual Status remove(OrganisationId organisation, std::string_view name) = 0;
  /// Adds the assets, or replaces those of the same device.
  virtual Result<SourcePtr> add_assets(OrganisationId organisation, std::string_view name,
                                       std::vector<Asset> assets, std::string_view who) = 0;
  virtual Result<SourcePtr> remove_asset(OrganisationId organisation, std::string_view name,
                                         std::string_view device, std::string_view who) = 0;
  /// Asks the running connector and waits for its answer, 30 s at most. `source` null: of none.
  virtual Result<Json> ask(const Source* source, std::string_view operation, Json arguments) = 0;
  /// What the connector last told of a source: {"state","detail",…}; null: nothing yet.
  virtual Json status(const Source& source) = 0;
  /// Of the connector itself: {"running","detail","queue",…}.
  virtual Json connector() = 0;
};

/// Checks a source's document and fills in what it leaves out.
Result<Json> check_source(const Json& document);

}  // namespace penstock::interop::opcua
