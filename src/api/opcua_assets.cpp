#include "api/opcua_assets.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "twin/units.h"

namespace penstock::api {
namespace {

// The unit as DTDL has it; null: none that a model may name.
const twin::UnitInfo* unit_of(const PickedElement& element) {
  constexpr unsigned kQuantitativeTypes1 = 1U << 1;
  const twin::UnitInfo* unit = nullptr;
  if (!element.unit_code.empty())
    unit = twin::parse_unit(element.unit_code, {}, twin::Notation::kUnece).value_or(nullptr);
  if (!unit && !element.unit.empty()) unit = twin::parse_unit(element.unit).value_or(nullptr);
  return unit && (unit->versions & kQuantitativeTypes1) != 0 ? unit : nullptr;
}

Json schema_of(const PickedElement& element) {
  const std::string& type = element.data_type;
  Json schema = "string";
  if (type == "Double" || type == "Float") schema = "double";
  if (type == "Boolean") schema = "boolean";
  if (type == "SByte" || type == "Byte" || type == "Int16" || type == "UInt16" || type == "Int32" ||
      type == "UInt32" || type == "Int64" || type == "UInt64")
    schema = "long";
  if (element.array) return {{"@type", "Array"}, {"elementSchema", schema}};
  return schema;
}

Json content_of(const PickedElement& element) {
  Json out{{"@type", element.writable ? "Property" : "Telemetry"},
           {"name", element.element},
           {"schema", schema_of(element)}};
  if (element.writable) out["writable"] = true;
  if (!element.display_name.empty()) out["displayName"] = element.display_name.substr(0, 64);
  const bool number = out["schema"] == "double" || out["schema"] == "long";
  const auto* unit = number ? unit_of(element) : nullptr;
  const auto type = unit ? twin::semantic_type_of(unit->name) : std::string_view();
  if (type.empty()) return out;
  out["@type"] = Json::array({out["@type"], type});
  out["unit"] = unit->name;
  return out;
}

}  // namespace

std::string element_name(std::string_view address) {
  std::string out;
  bool was_lower = false;
  for (const char c : address) {
    const auto u = static_cast<unsigned char>(c);
    if (std::isalnum(u) == 0 || u >= 0x80) {
      if (!out.empty() && out.back() != '_') out += '_';
      was_lower = false;
      continue;
    }
    if (std::isupper(u) != 0 && was_lower) out += '_';
    was_lower = std::islower(u) != 0 || std::isdigit(u) != 0;
    out += static_cast<char>(std::tolower(u));
  }
  while (!out.empty() && out.back() == '_') out.pop_back();
  if (out.empty() || std::isalpha(static_cast<unsigned char>(out[0])) == 0) out = "v" + out;
  out.resize(std::min<size_t>(out.size(), 60));
  while (out.back() == '_') out.pop_back();
  return out;
}

namespace {

// As a model names it, components with dots: left as it is.
bool is_element_key(std::string_view text) {
  return !text.empty() && std::isalpha(static_cast<unsigned char>(text[0])) != 0 &&
         text.back() != '_' && std::ranges::all_of(text, [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.';
         });
}

}  // namespace

void name_elements(std::vector<PickedElement>& elements) {
  std::set<std::string> names;
  for (PickedElement& element : elements) {
    const std::string base =
        is_element_key(element.element)
            ? element.element
            : element_name(element.element.empty() ? element.address : element.element);
    element.element = base;
    for (int n = 2; !names.insert(element.element).second; ++n)
      element.element = base + "_" + std::to_string(n);
  }
}

Json interface_of(std::string_view dtmi, std::string_view display_name,
                  const std::vector<PickedElement>& elements,
                  const std::vector<PickedCommand>& commands) {
  Json contents = Json::array();
  for (const PickedElement& element : elements) contents.push_back(content_of(element));
  for (const PickedCommand& command : commands) {
    Json each{{"@type", "Command"}, {"name", command.name}};
    if (!command.display_name.empty()) each["displayName"] = command.display_name.substr(0, 64);
    contents.push_back(std::move(each));
  }
  return {{"@context", {"dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"}},
          {"@id", dtmi},
          {"@type", "Interface"},
          {"displayName", display_name.substr(0, 64)},
          {"contents", std::move(contents)}};
}

Json binding_of(std::string_view name, std::string_view model,
                const std::vector<PickedElement>& elements) {
  Json list = Json::array();
  for (const PickedElement& element : elements) {
    Json entry{{"element", element.element}, {"from", element.address}};
    if (const auto* unit = unit_of(element); unit && !twin::semantic_type_of(unit->name).empty())
      entry["unit"] = unit->name;
    list.push_back(std::move(entry));
  }
  return {{"name", name}, {"protocol", "opcua"}, {"model", model}, {"elements", std::move(list)}};
}

}  // namespace penstock::api
