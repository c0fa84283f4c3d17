#include "interop/lwm2m/dtdl.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "twin/binding.h"
#include "twin/units.h"

namespace penstock::interop::lwm2m {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// What IPSO sensors measure (their unit is told by a resource, so that the registry names none).
struct Quantity {
  uint16_t object;
  std::string_view semantic_type, unit;
};
constexpr Quantity kQuantities[] = {
    {3301, "Illuminance", "lux"},
    {3303, "Temperature", "degreeCelsius"},
    {3304, "RelativeHumidity", "percent"},
    {3315, "Pressure", "pascal"},
    {3316, "Voltage", "volt"},
    {3317, "Current", "ampere"},
    {3318, "Frequency", "hertz"},
    {3322, "Force", "newton"},
    {3323, "Pressure", "pascal"},
    {3328, "Power", "watt"},
    {3330, "Distance", "metre"},
    {3331, "Energy", "kilowattHour"},
    {3346, "AngularVelocity", "revolutionPerMinute"},
};

std::string_view schema_of(DataType type) {
  switch (type) {
    case DataType::kFloat:
      return "double";
    case DataType::kInteger:
    case DataType::kUnsigned:
    case DataType::kTime:
      return "long";
    case DataType::kBoolean:
      return "boolean";
    default:
      return "string";
  }
}

bool is_measured(uint16_t resource) {
  return resource == 5700 || (resource >= 5601 && resource <= 5604);
}

void add_quantity(Json& content, const ObjectDefinition& object,
                  const ResourceDefinition& resource) {
  const auto type = schema_of(resource.type);
  if (type != "double" && type != "long") return;
  for (const Quantity& quantity : kQuantities)
    if (quantity.object == object.id && is_measured(resource.id)) {
      content["@type"] = Json::array({content["@type"], quantity.semantic_type});
      content["unit"] = quantity.unit;
      return;
    }
}

std::string component_name(const ObjectDefinition& object, const Path& instance,
                           std::span<const Path> instances) {
  std::string name = element_name(object.name, object.id);
  const auto first = std::ranges::find_if(
      instances, [&](const Path& path) { return path.object() == instance.object(); });
  if (first == instances.end() || *first == instance) return name;
  // The first instance has the plain name, whatever its number.
  return fmt::format("{}{}", name, instance.instance());
}

}  // namespace

std::string element_name(std::string_view words, uint16_t id) {
  std::string out;
  bool upper = false;
  for (const char c : words.substr(0, 120)) {
    if (!is_letter(c) && !is_digit(c)) {
      upper = !out.empty();
      continue;
    }
    if (out.empty() && is_digit(c)) out = "r";
    const bool lower_first = out.empty();
    char put = c;
    if (lower_first && c >= 'A' && c <= 'Z') put = static_cast<char>(c - 'A' + 'a');
    if (upper && c >= 'a' && c <= 'z') put = static_cast<char>(c - 'a' + 'A');
    upper = false;
    out.push_back(put);
  }
  return out.empty() ? fmt::format("resource{}", id) : out.substr(0, 60);
}

std::string object_dtmi(const ObjectDefinition& object) {
  std::string name;
  for (const char c : object.name)
    if (is_letter(c) || (is_digit(c) && !name.empty())) name.push_back(c);
  if (name.empty()) name = "Object";
  unsigned major = 1, minor = 0;
  const auto* end = object.version.data() + object.version.size();
  const auto read = std::from_chars(object.version.data(), end, major);
  if (read.ec == std::errc() && read.ptr < end) std::from_chars(read.ptr + 1, end, minor);
  return fmt::format("dtmi:lwm2m:{}_{};{}", name.substr(0, 60), object.id,
                     std::min(major, 1000U) * 100 + std::min(minor, 99U));
}

Json object_interface(const ObjectDefinition& object) {
  Json contents = Json::array();
  std::vector<std::string> names;
  for (const auto& resource : object.resources) {
    std::string name = element_name(resource.name, resource.id);
    if (std::ranges::find(names, name) != names.end()) name += fmt::format("{}", resource.id);
    names.push_back(name);
    Json content{{"name", name}, {"displayName", resource.name.substr(0, 64)}};
    content["comment"] = fmt::format("LwM2M /{}/*/{}", object.id, resource.id);
    if (!resource.description.empty()) content["description"] = resource.description.substr(0, 500);
    if (resource.executable) {
      content["@type"] = "Command";
      contents.push_back(std::move(content));
      continue;
    }
    if (!resource.readable) continue;
    const bool numeric = resource.type == DataType::kFloat || resource.type == DataType::kInteger;
    const bool telemetry = !resource.writable && (numeric || resource.type == DataType::kBoolean) &&
                           (object.id >= 3200 || resource.mandatory || object.id == 6);
    content["@type"] = telemetry ? "Telemetry" : "Property";
    if (resource.writable) content["writable"] = true;
    content["schema"] = schema_of(resource.type);
    add_quantity(content, object, resource);
    contents.push_back(std::move(content));
  }
  return {
      {"@context", Json::array({"dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"})},
      {"@id", object_dtmi(object)},
      {"@type", "Interface"},
      {"displayName", object.name.substr(0, 64)},
      {"contents", std::move(contents)}};
}

Result<Json> propose_device(std::string_view device, std::span<const Path> instances,
                            const ObjectTable& table) {
  Json documents = Json::array(), components = Json::array(), elements = Json::array(),
       left_out = Json::array();
  std::vector<uint16_t> described;
  for (const Path& instance : instances) {
    const auto* object = table.object(instance.object());
    if (instance.object() <= 2 || instance.depth < 2 || object == nullptr) {
      left_out.push_back(instance.text());
      continue;
    }
    const std::string component = component_name(*object, instance, instances);
    const Json interface = object_interface(*object);
    components.push_back(
        {{"@type", "Component"}, {"name", component}, {"schema", object_dtmi(*object)}});
    if (std::ranges::find(described, object->id) == described.end()) {
      described.push_back(object->id);
      documents.push_back(interface);
    }
    size_t at = 0;
    for (const auto& resource : object->resources) {
      if (!resource.executable && !resource.readable) continue;
      const Json& content = interface["contents"][at++];
      if (resource.executable) continue;
      const std::string key = component + "." + content["name"].get<std::string>();
      const std::string from = instance.child(resource.id).text();
      Json element{{"element", key}, {"from", resource.multiple ? from + "/0" : from}};
      elements.push_back(std::move(element));
    }
  }
  if (components.empty())
    return fail(ErrorCode::kInvalidArgument,
                "none of the device's objects has a definition: upload their DDF files",
                std::string(device));
  std::string name;
  for (const char c : device)
    if (is_letter(c) || (is_digit(c) && !name.empty())) name.push_back(c);
  if (name.empty()) name = "Device";
  const std::string dtmi = fmt::format("dtmi:penstock:lwm2m:{};1", name.substr(0, 64));
  documents.push_back({{"@context", "dtmi:dtdl:context;3"},
                       {"@id", dtmi},
                       {"@type", "Interface"},
                       {"displayName", std::string(device.substr(0, 64))},
                       {"contents", std::move(components)}});
  std::string slug = "lwm2m-";
  for (const char c : name.substr(0, 50)) slug.push_back(static_cast<char>(std::tolower(c)));
  return Json{
      {"dtmi", dtmi},
      {"interface", std::move(documents)},
      {"binding",
       {{"name", slug}, {"protocol", "lwm2m"}, {"model", dtmi}, {"elements", std::move(elements)}}},
      {"left_out", std::move(left_out)}};
}

Result<Path> command_path(std::string_view command, std::span<const Path> instances,
                          const ObjectTable& table) {
  std::vector<Path> found;
  const size_t dot = command.rfind('.');
  const std::string_view component = dot == std::string_view::npos ? "" : command.substr(0, dot);
  const std::string_view resource_name =
      dot == std::string_view::npos ? command : command.substr(dot + 1);
  for (const Path& instance : instances) {
    const auto* object = table.object(instance.object());
    if (object == nullptr || instance.depth < 2) continue;
    if (!component.empty() && component_name(*object, instance, instances) != component) continue;
    for (const auto& resource : object->resources)
      if (resource.executable && element_name(resource.name, resource.id) == resource_name)
        found.push_back(instance.child(resource.id));
  }
  if (found.size() == 1) return found.front();
  return fail(found.empty() ? ErrorCode::kNotFound : ErrorCode::kInvalidArgument,
              found.empty() ? "no executable resource of the device's objects has that name"
                            : "several executable resources have that name: name the component too",
              std::string(command));
}

Result<OperationRequest> property_write(const twin::DeviceConfig& config, std::string_view element,
                                        const Json& value) {
  const auto& source = *config.source;
  for (const auto& rule : source.rules) {
    if (rule.element >= config.elements.size() || config.elements[rule.element].key != element)
      continue;
    if (rule.bits.count > 0)
      return fail(ErrorCode::kUnsupported, "a part of a resource's bits cannot be written alone",
                  std::string(element));
    OperationRequest request;
    request.kind = OperationKind::kWrite;
    TRY_ASSIGN(const Path path, Path::parse(rule.address));
    request.paths = {path};
    request.value = value;
    if (value.is_string())
      for (const auto& [wire, stored] : rule.values)
        if (stored == value.get<std::string>()) request.value = wire;
    if (value.is_number() && (rule.scale != 1 || rule.offset != 0)) {
      if (rule.scale == 0)
        return fail(ErrorCode::kUnsupported, "the binding's scale has no way back",
                    std::string(element));
      request.value = (value.get<double>() - rule.offset) / rule.scale;
    }
    return request;
  }
  return fail(ErrorCode::kNotFound, "the device's binding has no address for the element",
              std::string(element));
}

}  // namespace penstock::interop::lwm2m
