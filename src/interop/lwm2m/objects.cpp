#include "interop/lwm2m/objects.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"

namespace penstock::interop::lwm2m {

const ResourceDefinition* ObjectDefinition::resource(uint16_t resource_id) const {
  const auto at = std::ranges::lower_bound(resources, resource_id, {}, &ResourceDefinition::id);
  return at != resources.end() && at->id == resource_id ? &*at : nullptr;
}

ObjectTable::ObjectTable(std::map<uint16_t, ObjectDefinition> objects)
    : objects_(std::move(objects)) {
  for (auto& [id, object] : objects_)
    std::ranges::sort(object.resources, {}, &ResourceDefinition::id);
}

const ObjectDefinition* ObjectTable::object(uint16_t id) const {
  const auto at = objects_.find(id);
  return at == objects_.end() ? nullptr : &at->second;
}

const ResourceDefinition* ObjectTable::resource(uint16_t object_id, uint16_t resource_id) const {
  if (const auto* known = object(object_id))
    if (const auto* found = known->resource(resource_id)) return found;
  if (resource_id < 2048) return nullptr;
  const auto at = reusable_resources().find(resource_id);
  return at == reusable_resources().end() ? nullptr : &at->second;
}

DataType ObjectTable::type_of(uint16_t object_id, uint16_t resource_id) const {
  const auto* found = resource(object_id, resource_id);
  return found ? found->type : DataType::kNone;
}

bool ObjectTable::is_multiple(uint16_t object_id, uint16_t resource_id) const {
  const auto* found = resource(object_id, resource_id);
  return found && found->multiple;
}

std::string ObjectTable::words(const Path& path) const {
  if (path.depth == 0) return "/";
  const auto* known = object(path.object());
  std::string out = known ? known->name : fmt::format("{}", path.object());
  if (path.depth >= 2) out += fmt::format("/{}", path.instance());
  if (path.depth >= 3) {
    const auto* found = resource(path.object(), path.resource());
    out += "/" + (found ? found->name : fmt::format("{}", path.resource()));
  }
  if (path.depth == 4) out += fmt::format("/{}", path.ids[3]);
  return out;
}

// -- tables

namespace {

tl::unexpected<Error> bad_table(std::string about) {
  return fail(ErrorCode::kInvalidArgument, "the table of objects is not as docs/lwm2m.md shows it",
              std::move(about));
}

std::optional<uint16_t> id_of(const Json& from) {
  if (!from.is_object() || !from.contains("id") || !from["id"].is_number_unsigned()) return {};
  const auto id = from["id"].get<uint64_t>();
  return id < 65'535 ? std::optional(static_cast<uint16_t>(id)) : std::nullopt;
}

std::string text_of(const Json& from, const char* member) {
  const auto at = from.find(member);
  return at != from.end() && at->is_string() ? at->get<std::string>() : std::string();
}

bool flag_of(const Json& from, const char* member) {
  const auto at = from.find(member);
  return at != from.end() && at->is_boolean() && at->get<bool>();
}

std::optional<double> number_of(const Json& from, const char* member) {
  const auto at = from.find(member);
  return at != from.end() && at->is_number() ? std::optional(at->get<double>()) : std::nullopt;
}

Result<ResourceDefinition> read_resource(const Json& from) {
  const auto id = id_of(from);
  if (!id) return bad_table("a resource without an id");
  ResourceDefinition out;
  out.id = *id;
  out.name = text_of(from, "name");
  out.units = text_of(from, "units");
  out.description = text_of(from, "description");
  out.type = parse_data_type(text_of(from, "type"));
  const std::string operations = text_of(from, "operations");
  out.readable = operations.find('R') != std::string::npos;
  out.writable = operations.find('W') != std::string::npos;
  out.executable = operations.find('E') != std::string::npos;
  out.multiple = flag_of(from, "multiple");
  out.mandatory = flag_of(from, "mandatory");
  out.minimum = number_of(from, "min");
  out.maximum = number_of(from, "max");
  return out;
}

}  // namespace

Result<std::vector<ObjectDefinition>> read_object_table(const Json& document) {
  if (!document.is_object() || !document.contains("objects") || !document["objects"].is_array())
    return bad_table("objects");
  std::vector<ObjectDefinition> out;
  for (const Json& from : document["objects"]) {
    const auto id = id_of(from);
    if (!id || !from.contains("resources") || !from["resources"].is_array())
      return bad_table(fmt::format("objects[{}]", out.size()));
    ObjectDefinition object;
    object.id = *id;
    object.name = text_of(from, "name");
    object.description = text_of(from, "description");
    if (const auto version = text_of(from, "version"); !version.empty()) object.version = version;
    object.multiple = flag_of(from, "multiple");
    object.mandatory = flag_of(from, "mandatory");
    for (const Json& resource : from["resources"]) {
      TRY_ASSIGN(auto read, read_resource(resource));
      object.resources.push_back(std::move(read));
    }
    out.push_back(std::move(object));
  }
  return out;
}

Json object_json(const ObjectDefinition& object) {
  Json resources = Json::array();
  for (const auto& resource : object.resources) {
    std::string operations;
    if (resource.readable) operations += "R";
    if (resource.writable) operations += "W";
    if (resource.executable) operations += "E";
    resources.push_back({{"id", resource.id},
                         {"name", resource.name},
                         {"operations", operations},
                         {"type", name(resource.type)},
                         {"multiple", resource.multiple},
                         {"mandatory", resource.mandatory},
                         {"units", resource.units},
                         {"description", resource.description},
                         {"min", resource.minimum ? Json(*resource.minimum) : Json()},
                         {"max", resource.maximum ? Json(*resource.maximum) : Json()}});
  }
  return {{"id", object.id},
          {"name", object.name},
          {"version", object.version},
          {"description", object.description},
          {"multiple", object.multiple},
          {"mandatory", object.mandatory},
          {"source", object.source},
          {"resources", std::move(resources)}};
}

// -- where they come from

namespace {

constexpr uint64_t kFileBytesMax = 16ULL << 20;

Result<std::vector<ObjectDefinition>> read_object_file(FileSystem& files, const std::string& path) {
  TRY_ASSIGN(const std::string text, read_file(files, path, kFileBytesMax));
  if (path.ends_with(".xml")) return read_ddf(text);
  TRY_ASSIGN(const Json document, parse_json(text));
  return read_object_table(document);
}

// A table that comes with the registry says less of some objects than we know: what is built in
// stays, and gains what is new.
void merge(std::map<uint16_t, ObjectDefinition>& into, ObjectDefinition object, bool replace) {
  auto& known = into[object.id];
  if (replace || known.resources.empty()) {
    known = std::move(object);
    return;
  }
  for (auto& resource : object.resources) {
    if (const auto* have = known.resource(resource.id)) {
      auto& mine = const_cast<ResourceDefinition&>(*have);
      if (mine.description.empty()) mine.description = resource.description;
      if (mine.units.empty()) mine.units = resource.units;
      if (!mine.minimum) mine.minimum = resource.minimum;
      if (!mine.maximum) mine.maximum = resource.maximum;
    } else {
      known.resources.push_back(std::move(resource));
      std::ranges::sort(known.resources, {}, &ResourceDefinition::id);
    }
  }
  if (known.description.empty()) known.description = object.description;
}

}  // namespace

Result<std::unique_ptr<Objects>> Objects::open(FileSystem& files,
                                               std::vector<std::string> folders) {
  std::unique_ptr<Objects> out(new Objects(files, std::move(folders)));
  TRY(out->load());
  return out;
}

Status Objects::load() {
  auto all = built_in_objects();
  for (const std::string& folder : folders_) {
    const auto names = files_.list(folder);
    if (!names) continue;
    for (const std::string& file : *names) {
      const bool ddf = file.ends_with(".xml");
      if (!ddf && !file.ends_with(".json")) continue;
      auto objects = read_object_file(files_, folder + "/" + file);
      if (!objects) {
        log_warning("lwm2m", "{} is left out: {}", file, objects.error().text());
        continue;
      }
      for (auto& object : *objects) {
        object.source = file;
        merge(all, std::move(object), ddf);
      }
    }
  }
  auto table = std::make_shared<const ObjectTable>(std::move(all));
  const std::lock_guard guard(mutex_);
  table_ = std::move(table);
  return {};
}

std::shared_ptr<const ObjectTable> Objects::table() const {
  const std::lock_guard guard(mutex_);
  return table_;
}

Result<std::vector<ObjectDefinition>> Objects::upload(std::string_view xml) {
  TRY_ASSIGN(auto objects, read_ddf(xml));
  if (folders_.empty())
    return fail(ErrorCode::kUnavailable, "this server keeps no folder for uploaded objects");
  std::string file = "uploaded";
  for (const auto& object : objects) file += fmt::format("-{}", object.id);
  TRY(files_.create_directories(folders_.back()));
  TRY(write_file_atomically(files_, folders_.back() + "/" + file.substr(0, 200) + ".xml", xml));
  TRY(load());
  return objects;
}

}  // namespace penstock::interop::lwm2m
