// An interface's shape as a DTDL document.

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "twin/dtdl/metamodel.h"
#include "twin/shape.h"

namespace penstock::twin {
namespace {

// DTDL v4 brought these; v3 has the others.
constexpr std::string_view kFourPrimitives =
    "byte bytes decimal short unsignedByte unsignedInteger unsignedLong unsignedShort uuid";

constexpr std::string_view kQuantitiesOfThree = "dtmi:dtdl:extension:quantitativeTypes;1";
constexpr std::string_view kQuantitiesOfFour = "dtmi:dtdl:extension:quantitativeTypes;3";

struct Needs {
  bool quantities = false, four = false, limits = false;
};

void look_at(const SchemaShape& schema, Needs& needs);

void look_at(const ValueShape& value, Needs& needs) {
  needs.quantities |= !value.semantic_type.empty() || !value.unit.empty();
  for (const std::string& term : {value.semantic_type, value.unit})
    needs.four |= !term.empty() && dtdl::find_term(kQuantitiesOfThree, term).empty();
  needs.limits |= value.minimum || value.maximum;
  needs.four |= value.nullable;
  look_at(value.schema, needs);
}

void look_at(const SchemaShape& schema, Needs& needs) {
  needs.four |= dtdl::has_word(kFourPrimitives, schema.primitive);
  for (const ValueShape& child : schema.children) look_at(child, needs);
}

Needs needs_of(const InterfaceShape& shape) {
  Needs needs;
  for (const ContentShape& content : shape.contents) {
    look_at(content, needs);
    if (content.request) look_at(*content.request, needs);
    if (content.response) look_at(*content.response, needs);
    for (const ValueShape& property : content.properties) look_at(property, needs);
  }
  needs.four |= needs.limits;
  return needs;
}

// One English text stands alone; others as a map of languages.
void put_texts(Json& out, const char* member, const Texts& texts) {
  if (texts.empty()) return;
  if (texts.size() == 1 && texts.front().first == "en") {
    out[member] = texts.front().second;
    return;
  }
  for (const auto& [language, text] : texts) out[member][language] = text;
}

Json number_json(double value) {
  if (value == std::floor(value) && std::abs(value) < 9e15)
    return Json(static_cast<int64_t>(value));
  return Json(value);
}

Json schema_json(const SchemaShape& schema);

void put_value(Json& out, const ValueShape& value, std::string_view type, bool with_schema) {
  Json types = Json::array();
  if (!type.empty()) types.push_back(type);
  if (!value.semantic_type.empty()) types.push_back(value.semantic_type);
  if (value.minimum || value.maximum) types.push_back("Limited");
  // A field or payload names its class only where it stands beside another type.
  const bool implied = type == "Field" || type == "MapValue" || type == "CommandRequest" ||
                       type == "CommandResponse";
  if (types.size() == 1 && !implied)
    out["@type"] = types.front();
  else if (types.size() > 1)
    out["@type"] = std::move(types);
  if (!value.name.empty()) out["name"] = value.name;
  put_texts(out, "displayName", value.display);
  put_texts(out, "description", value.description);
  if (!value.comment.empty()) out["comment"] = value.comment;
  if (with_schema) out["schema"] = schema_json(value.schema);
  if (!value.unit.empty()) out["unit"] = value.unit;
  if (value.minimum) out["minimum"] = number_json(*value.minimum);
  if (value.maximum) out["maximum"] = number_json(*value.maximum);
  if (value.writable) out["writable"] = true;
  if (value.nullable) out["nullable"] = true;
}

Json enum_json(const SchemaShape& schema) {
  Json out{{"@type", "Enum"}, {"valueSchema", schema.primitive}, {"enumValues", Json::array()}};
  for (const EnumValueShape& value : schema.values) {
    Json one{{"name", value.name}};
    if (schema.primitive == "integer")
      one["enumValue"] = std::strtoll(value.value.c_str(), nullptr, 10);
    else
      one["enumValue"] = value.value;
    put_texts(one, "displayName", value.display);
    put_texts(one, "description", value.description);
    out["enumValues"].push_back(std::move(one));
  }
  return out;
}

Json schema_json(const SchemaShape& schema) {
  Json out;
  switch (schema.kind) {
    case SchemaShape::Kind::kPrimitive:
      return schema.primitive;
    case SchemaShape::Kind::kEnum:
      out = enum_json(schema);
      break;
    case SchemaShape::Kind::kArray:
      out = {{"@type", "Array"}};
      if (!schema.children.empty())
        out["elementSchema"] = schema_json(schema.children.front().schema);
      break;
    case SchemaShape::Kind::kObject:
      out = {{"@type", "Object"}, {"fields", Json::array()}};
      for (const ValueShape& field : schema.children) {
        Json one = Json::object();
        put_value(one, field, "Field", true);
        out["fields"].push_back(std::move(one));
      }
      break;
    case SchemaShape::Kind::kMap:
      out = {{"@type", "Map"}};
      for (size_t i = 0; i < schema.children.size() && i < 2; ++i) {
        Json one = Json::object();
        put_value(one, schema.children[i], i == 0 ? "" : "MapValue", true);
        out[i == 0 ? "mapKey" : "mapValue"] = std::move(one);
      }
      break;
  }
  put_texts(out, "displayName", schema.display);
  put_texts(out, "description", schema.description);
  return out;
}

Json content_json(const ContentShape& content) {
  Json out = Json::object();
  switch (content.kind) {
    case ContentShape::Kind::kTelemetry:
      put_value(out, content, "Telemetry", true);
      break;
    case ContentShape::Kind::kProperty:
      put_value(out, content, "Property", true);
      break;
    case ContentShape::Kind::kCommand:
      put_value(out, content, "Command", false);
      for (const auto& [member, type, payload] :
           {std::tuple("request", "CommandRequest", &content.request),
            std::tuple("response", "CommandResponse", &content.response)})
        if (*payload) {
          out[member] = Json::object();
          put_value(out[member], **payload, type, true);
        }
      break;
    case ContentShape::Kind::kRelationship:
      put_value(out, content, "Relationship", false);
      if (!content.target.empty()) out["target"] = content.target;
      if (content.multiplicity_min) out["minMultiplicity"] = *content.multiplicity_min;
      if (content.multiplicity_max) out["maxMultiplicity"] = *content.multiplicity_max;
      for (const ValueShape& property : content.properties) {
        Json one = Json::object();
        put_value(one, property, "Property", true);
        out["properties"].push_back(std::move(one));
      }
      break;
    case ContentShape::Kind::kComponent:
      put_value(out, content, "Component", false);
      out["schema"] = content.target;
      break;
  }
  return out;
}

}  // namespace

Json write_dtdl(const InterfaceShape& shape) {
  const Needs needs = needs_of(shape);
  Json contexts = Json::array({needs.four ? "dtmi:dtdl:context;4" : "dtmi:dtdl:context;3"});
  if (needs.quantities) contexts.push_back(needs.four ? kQuantitiesOfFour : kQuantitiesOfThree);
  if (needs.limits) contexts.push_back("dtmi:iotoperations:context;4");
  Json out{{"@context", contexts.size() == 1 ? contexts.front() : contexts},
           {"@id", shape.id},
           {"@type", "Interface"}};
  put_texts(out, "displayName", shape.display);
  put_texts(out, "description", shape.description);
  if (!shape.comment.empty()) out["comment"] = shape.comment;
  if (shape.extends.size() == 1)
    out["extends"] = shape.extends.front();
  else if (!shape.extends.empty())
    out["extends"] = shape.extends;
  if (!shape.contents.empty()) out["contents"] = Json::array();
  for (const ContentShape& content : shape.contents)
    out["contents"].push_back(content_json(content));
  return out;
}

}  // namespace penstock::twin
