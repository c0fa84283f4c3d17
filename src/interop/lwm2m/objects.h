#pragma once
// What the objects are: their resources' names, types, operations and units. Built in: objects 0 to
// 9 and the reusable resources; the rest of the OMA registry comes from a folder that scripts/setup
// fills, and from DDF files that people upload.

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/io.h"
#include "base/json.h"
#include "interop/lwm2m/value.h"

namespace penstock::interop::lwm2m {

struct ResourceDefinition {
  uint16_t id = 0;
  std::string name, units, description;
  DataType type = DataType::kNone;
  bool readable = false, writable = false, executable = false;
  bool multiple = false, mandatory = false;
  std::optional<double> minimum, maximum;
};

struct ObjectDefinition {
  uint16_t id = 0;
  std::string name, version = "1.0", description;
  bool multiple = false, mandatory = false;
  std::string source;                         ///< "built in", a file's name, "uploaded"
  std::vector<ResourceDefinition> resources;  ///< by id
  [[nodiscard]] const ResourceDefinition* resource(uint16_t resource_id) const;
};

/// All objects at one moment. Immutable.
class ObjectTable final : public TypeSource {
 public:
  explicit ObjectTable(std::map<uint16_t, ObjectDefinition> objects);
  [[nodiscard]] DataType type_of(uint16_t object, uint16_t resource) const override;
  [[nodiscard]] bool is_multiple(uint16_t object, uint16_t resource) const override;
  [[nodiscard]] const ObjectDefinition* object(uint16_t id) const;
  /// Of the object, else the reusable one (ids from 2048 mean the same everywhere); null: neither.
  [[nodiscard]] const ResourceDefinition* resource(uint16_t object, uint16_t resource_id) const;
  [[nodiscard]] const std::map<uint16_t, ObjectDefinition>& all() const { return objects_; }
  /// "Temperature/0/Sensor Value" for people; numbers where there is no name.
  [[nodiscard]] std::string words(const Path& path) const;

 private:
  std::map<uint16_t, ObjectDefinition> objects_;
};

/// Objects 0 to 9 (Core 1.1.1, appendix E) and what IPSO sensors share.
std::map<uint16_t, ObjectDefinition> built_in_objects();
const std::map<uint16_t, ResourceDefinition>& reusable_resources();

/// {"objects":[{"id":3303,"name":…,"resources":[{"id":5700,"name":…,"operations":"R",…}]}]}
Result<std::vector<ObjectDefinition>> read_object_table(const Json& document);
Json object_json(const ObjectDefinition& object);
/// An OMA DDF file (LWM2M.xsd): one or more <Object>.
Result<std::vector<ObjectDefinition>> read_ddf(std::string_view xml);

/// The table in use and where it comes from. Any thread.
class Objects {
 public:
  /// `folders`: *.json tables and *.xml DDF files, later ones win; missing folders are no error.
  /// Uploads go into the last one.
  static Result<std::unique_ptr<Objects>> open(FileSystem& files, std::vector<std::string> folders);
  [[nodiscard]] std::shared_ptr<const ObjectTable> table() const;
  /// Reads a DDF, keeps it in the folder, durably, and uses it from now on.
  Result<std::vector<ObjectDefinition>> upload(std::string_view xml);

 private:
  Objects(FileSystem& files, std::vector<std::string> folders)
      : files_(files), folders_(std::move(folders)) {}
  Status load();

  FileSystem& files_;
  std::vector<std::string> folders_;
  mutable std::mutex mutex_;
  std::shared_ptr<const ObjectTable> table_;  // shared: readers keep the one they have
};

}  // namespace penstock::interop::lwm2m
