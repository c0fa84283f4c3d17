// OMA device description files, as the LwM2M editor and the registry publish them. pugixml reads
// no external entities and expands none of a document type.

#include <charconv>

#include <fmt/format.h>
#include <pugixml.hpp>

#include "interop/lwm2m/objects.h"

namespace penstock::interop::lwm2m {
namespace {

constexpr size_t kDdfBytesMax = 4U << 20;
constexpr size_t kResourcesMax = 4000;

std::optional<uint16_t> number_of(std::string_view text) {
  uint16_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number == 65'535) return {};
  return number;
}

std::string trimmed(const char* text) {
  std::string_view view(text);
  while (!view.empty() && static_cast<unsigned char>(view.front()) <= ' ') view.remove_prefix(1);
  while (!view.empty() && static_cast<unsigned char>(view.back()) <= ' ') view.remove_suffix(1);
  return std::string(view.substr(0, 2000));
}

// "0..100", "-10-50" is not told apart from a range of words: only ".." is read.
void read_range(std::string_view text, ResourceDefinition& out) {
  const size_t dots = text.find("..");
  if (dots == std::string_view::npos) return;
  const auto number = [](std::string_view part) -> std::optional<double> {
    double value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (part.empty() || error != std::errc() || end != part.data() + part.size()) return {};
    return value;
  };
  out.minimum = number(text.substr(0, dots));
  out.maximum = number(text.substr(dots + 2));
}

Result<ResourceDefinition> read_item(const pugi::xml_node& item) {
  const auto id = number_of(item.attribute("ID").value());
  if (!id) return fail(ErrorCode::kInvalidArgument, "an <Item> has no ID from 0 to 65534");
  ResourceDefinition out;
  out.id = *id;
  out.name = trimmed(item.child_value("Name"));
  out.units = trimmed(item.child_value("Units"));
  out.description = trimmed(item.child_value("Description"));
  out.type = parse_data_type(trimmed(item.child_value("Type")));
  const std::string operations = trimmed(item.child_value("Operations"));
  out.readable = operations.find('R') != std::string::npos;
  out.writable = operations.find('W') != std::string::npos;
  out.executable = operations.find('E') != std::string::npos;
  out.multiple = trimmed(item.child_value("MultipleInstances")) == "Multiple";
  out.mandatory = trimmed(item.child_value("Mandatory")) == "Mandatory";
  const bool numeric = out.type == DataType::kFloat || out.type == DataType::kInteger ||
                       out.type == DataType::kUnsigned;
  if (numeric) read_range(trimmed(item.child_value("RangeEnumeration")), out);
  return out;
}

Result<ObjectDefinition> read_object(const pugi::xml_node& node) {
  const std::string id_text = trimmed(node.child_value("ObjectID"));
  const auto id = number_of(id_text);
  if (!id) return fail(ErrorCode::kInvalidArgument, "<ObjectID> is no number", id_text);
  ObjectDefinition out;
  out.id = *id;
  out.name = trimmed(node.child_value("Name"));
  out.description = trimmed(node.child_value("Description1"));
  if (const auto version = trimmed(node.child_value("ObjectVersion")); !version.empty())
    out.version = version.substr(0, 16);
  out.multiple = trimmed(node.child_value("MultipleInstances")) == "Multiple";
  out.mandatory = trimmed(node.child_value("Mandatory")) == "Mandatory";
  out.source = "uploaded";
  for (const pugi::xml_node& item : node.child("Resources").children("Item")) {
    auto resource = read_item(item);
    if (!resource) {
      resource.error().about = fmt::format("object {}", *id);
      return fail(std::move(resource).error());
    }
    if (out.resources.size() == kResourcesMax)
      return fail(ErrorCode::kResourceExhausted, "the object has more resources than are taken");
    out.resources.push_back(*std::move(resource));
  }
  if (out.name.empty())
    return fail(ErrorCode::kInvalidArgument, "the object has no <Name>", id_text);
  return out;
}

}  // namespace

Result<std::vector<ObjectDefinition>> read_ddf(std::string_view xml) {
  if (xml.size() > kDdfBytesMax)
    return fail(ErrorCode::kInvalidArgument, "a DDF file has at most 4 MiB");
  pugi::xml_document document;
  const auto parsed = document.load_buffer(xml.data(), xml.size(), pugi::parse_default);
  if (!parsed)
    return fail(ErrorCode::kInvalidArgument, fmt::format("the DDF is no XML: {} at byte {}",
                                                         parsed.description(), parsed.offset));
  std::vector<ObjectDefinition> out;
  for (const pugi::xml_node& node : document.child("LWM2M").children("Object")) {
    TRY_ASSIGN(auto object, read_object(node));
    out.push_back(std::move(object));
  }
  if (out.empty())
    return fail(ErrorCode::kInvalidArgument,
                "the file is no LwM2M DDF: it needs <LWM2M><Object> with an <ObjectID>");
  return out;
}

}  // namespace penstock::interop::lwm2m
