#include "twin/models.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/json.h"

namespace penstock::twin {
namespace {

constexpr size_t kInterfacesMax = 1000;  // bases and components of one model
constexpr int kDepthMax = 12;  // of extends and components, as DTDL v2 limits extends to 10

// A language map gives its English text, else its first.
std::string text_of(const Json& json, const char* member) {
  const auto found = json.find(member);
  if (found == json.end()) return {};
  if (found->is_string()) return found->get<std::string>();
  if (!found->is_object() || found->empty()) return {};
  const auto english = found->find("en");
  const Json& text = english != found->end() ? *english : *found->begin();
  return text.is_string() ? text.get<std::string>() : std::string();
}

std::vector<std::string> types_of(const Json& json) {
  std::vector<std::string> types;
  const auto found = json.find("@type");
  if (found == json.end()) return types;
  if (found->is_string()) types.push_back(found->get<std::string>());
  if (found->is_array())
    for (const Json& type : *found)
      if (type.is_string()) types.push_back(type.get<std::string>());
  return types;
}

bool has_type(const std::vector<std::string>& types, std::string_view type) {
  return std::find(types.begin(), types.end(), type) != types.end();
}

std::vector<std::string> list_of(const Json& json, const char* member) {
  std::vector<std::string> list;
  const auto found = json.find(member);
  if (found == json.end()) return list;
  for (const Json& entry : found->is_array() ? *found : Json::array({*found})) {
    if (entry.is_string()) list.push_back(entry.get<std::string>());
    if (entry.is_object()) list.push_back(text_of(entry, "@id"));
  }
  return list;
}

class Compiler {
 public:
  explicit Compiler(const std::map<std::string, Json, std::less<>>& documents)
      : documents_(documents) {}

  Result<ModelInfo> compile(const std::string& dtmi) {
    ModelInfo model;
    model.id = dtmi;
    TRY(add_interface(dtmi, "", 0, model));
    const Json& json = documents_.find(dtmi)->second;
    model.display_name = text_of(json, "displayName");
    if (model.display_name.empty()) {
      const size_t from = dtmi.rfind(':') + 1;
      model.display_name = dtmi.substr(from, dtmi.rfind(';') - from);
    }
    model.description = text_of(json, "description");
    model.extends = list_of(json, "extends");
    std::sort(model.ancestors.begin(), model.ancestors.end());
    model.ancestors.erase(std::unique(model.ancestors.begin(), model.ancestors.end()),
                          model.ancestors.end());
    model.document = json.dump();
    return model;
  }

 private:
  Status add_interface(const std::string& dtmi, const std::string& prefix, int depth,
                       ModelInfo& model) {
    if (depth > kDepthMax)
      return fail(ErrorCode::kInvalidArgument, "Interfaces extend or contain each other too deep",
                  dtmi);
    const auto found = documents_.find(dtmi);
    if (found == documents_.end())
      return fail(ErrorCode::kInvalidArgument,
                  "The model refers to an interface that is not known: add both together", dtmi);
    if (std::find(path_.begin(), path_.end(), dtmi) != path_.end())
      return fail(ErrorCode::kInvalidArgument, "The interface extends or contains itself", dtmi);
    // By two ways to one base (a diamond): its contents come once.
    if (!visited_.insert(prefix + "\n" + dtmi).second) return {};
    if (visited_.size() > kInterfacesMax)
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("The model is made of more than {} interfaces", kInterfacesMax),
                  model.id);
    path_.push_back(dtmi);
    const Status done = add_inside(dtmi, found->second, prefix, depth, model);
    path_.pop_back();
    return done;
  }

  Status add_inside(const std::string& dtmi, const Json& interface, const std::string& prefix,
                    int depth, ModelInfo& model) {
    for (const std::string& base : list_of(interface, "extends")) {
      if (prefix.empty()) model.ancestors.push_back(base);
      TRY(add_interface(base, prefix, depth + 1, model));
    }
    const auto contents = interface.find("contents");
    if (contents == interface.end()) return {};
    for (const Json& content : contents->is_array() ? *contents : Json::array({*contents}))
      TRY(add_content(dtmi, content, interface, prefix, depth, model));
    return {};
  }

  Status add_content(const std::string& dtmi, const Json& content, const Json& interface,
                     const std::string& prefix, int depth, ModelInfo& model) {
    const auto types = types_of(content);
    const std::string name = text_of(content, "name");
    if (!content.is_object())
      return fail(ErrorCode::kInvalidArgument, "A content of the interface is no object", dtmi);
    if (name.empty() || !seen_.insert(model.id + "\n" + prefix + name).second)
      return fail(ErrorCode::kInvalidArgument,
                  name.empty() ? "A content of the interface has no name"
                               : "The interface has two contents of the name " + name,
                  dtmi);
    if (has_type(types, "Telemetry") || has_type(types, "Property"))
      return add_element(content, types, interface, prefix + name, model);
    if (has_type(types, "Command")) {
      CommandInfo command{prefix + name, text_of(content, "displayName"),
                          text_of(content, "description"), ""};
      if (content.contains("request") && content["request"].is_object() &&
          content["request"].contains("schema"))
        command.request_schema = content["request"]["schema"].dump();
      model.commands.push_back(std::move(command));
      return {};
    }
    if (has_type(types, "Relationship")) {
      if (!prefix.empty()) return {};
      RelationshipInfo relationship{name, text_of(content, "target"), std::nullopt};
      if (content.contains("maxMultiplicity") && content["maxMultiplicity"].is_number_unsigned())
        relationship.count_max = content["maxMultiplicity"].get<uint32_t>();
      model.relationships.push_back(std::move(relationship));
      return {};
    }
    if (has_type(types, "Component")) {
      const std::string schema = text_of(content, "schema");
      if (prefix.empty()) model.components.push_back({name, schema});
      return add_interface(schema, prefix + name + ".", depth + 1, model);
    }
    return fail(ErrorCode::kInvalidArgument, "The content " + name + " is of no known type", dtmi);
  }

  Status add_element(const Json& content, const std::vector<std::string>& types,
                     const Json& interface, const std::string& key, ModelInfo& model) {
    ElementInfo element;
    element.key = key;
    element.display_name = text_of(content, "displayName");
    element.description = text_of(content, "description");
    element.property = has_type(types, "Property");
    const auto writable = content.find("writable");
    element.writable = element.property && writable != content.end() && *writable == true;
    element.unit = text_of(content, "unit");
    for (const std::string& type : types)
      if (type != "Telemetry" && type != "Property") element.semantic_type = type;
    for (const auto& [member, bound] :
         {std::pair{"minimum", &element.minimum}, std::pair{"maximum", &element.maximum}})
      if (content.contains(member) && content[member].is_number())
        *bound = content[member].get<double>();
    const auto schema = content.find("schema");
    if (schema == content.end())
      return fail(ErrorCode::kInvalidArgument, "The content " + key + " has no schema", model.id);
    TRY(read_schema(*schema, interface, element, model.id));
    model.elements.push_back(std::move(element));
    return {};
  }

  static Status read_schema(const Json& schema, const Json& interface, ElementInfo& element,
                            const std::string& dtmi) {
    if (schema.is_string()) {
      const std::string& name = schema.get_ref<const std::string&>();
      static const std::map<std::string, ValueKind, std::less<>> kPrimitives = {
          {"double", ValueKind::kDouble},        {"float", ValueKind::kDouble},
          {"decimal", ValueKind::kDouble},       {"integer", ValueKind::kInteger},
          {"long", ValueKind::kInteger},         {"short", ValueKind::kInteger},
          {"byte", ValueKind::kInteger},         {"unsignedInteger", ValueKind::kInteger},
          {"unsignedLong", ValueKind::kInteger}, {"unsignedShort", ValueKind::kInteger},
          {"unsignedByte", ValueKind::kInteger}, {"boolean", ValueKind::kBoolean},
          {"string", ValueKind::kText},          {"date", ValueKind::kText},
          {"dateTime", ValueKind::kText},        {"time", ValueKind::kText},
          {"duration", ValueKind::kText},        {"uuid", ValueKind::kText},
          {"bytes", ValueKind::kText},           {"point", ValueKind::kObject},
          {"lineString", ValueKind::kObject},    {"polygon", ValueKind::kObject},
          {"multiPoint", ValueKind::kObject},    {"multiLineString", ValueKind::kObject},
          {"multiPolygon", ValueKind::kObject}};
      if (const auto primitive = kPrimitives.find(name); primitive != kPrimitives.end()) {
        element.kind = primitive->second;
        return {};
      }
      if (const auto own = interface.find("schemas"); own != interface.end() && own->is_array())
        for (const Json& candidate : *own)
          if (candidate.is_object() && text_of(candidate, "@id") == name)
            return read_schema(candidate, interface, element, dtmi);
      return fail(ErrorCode::kInvalidArgument, "The schema " + name + " is not known", dtmi);
    }
    const auto types = types_of(schema);
    if (has_type(types, "Enum")) {
      element.kind = ValueKind::kText;
      if (text_of(schema, "valueSchema") == "integer") element.kind = ValueKind::kInteger;
      if (element.kind == ValueKind::kText && schema.contains("enumValues"))
        for (const Json& value : schema["enumValues"])
          element.enum_values.push_back(text_of(value, "enumValue"));
      return {};
    }
    element.kind = ValueKind::kObject;
    if (has_type(types, "Object") || has_type(types, "Map") || has_type(types, "Array")) return {};
    return fail(ErrorCode::kInvalidArgument,
                "The schema of " + element.key + " is of no known type", dtmi);
  }

  const std::map<std::string, Json, std::less<>>& documents_;
  std::set<std::string> seen_;     // names of contents
  std::vector<std::string> path_;  // from the model to the interface that is being read
  std::set<std::string> visited_;  // interfaces, each in its component
};

}  // namespace

Result<std::vector<ModelDocument>> split_models(std::string_view document, size_t bytes_max) {
  if (document.size() > bytes_max)
    return fail(ErrorCode::kResourceExhausted,
                fmt::format("A model document has at most {} bytes", bytes_max));
  TRY_ASSIGN(const Json json, parse_json(document));
  std::vector<ModelDocument> models;
  for (const Json& entry : json.is_array() ? json : Json::array({json})) {
    const std::string dtmi = entry.is_object() ? text_of(entry, "@id") : "";
    if (!dtmi.starts_with("dtmi:") || !has_type(types_of(entry), "Interface"))
      return fail(ErrorCode::kInvalidArgument,
                  "A model is a DTDL interface: a JSON object with \"@type\": \"Interface\" and a "
                  "DTMI as \"@id\"",
                  dtmi);
    models.push_back({dtmi, entry.dump()});
  }
  if (models.empty()) return fail(ErrorCode::kInvalidArgument, "The document holds no interface");
  return models;
}

Result<std::map<std::string, ModelPtr, std::less<>>> compile_models(
    std::span<const ModelDocument> documents) {
  std::map<std::string, Json, std::less<>> parsed;
  for (const ModelDocument& document : documents) {
    TRY_ASSIGN(parsed[document.dtmi], parse_json(document.text));
  }
  std::map<std::string, ModelPtr, std::less<>> models;
  for (const ModelDocument& document : documents) {
    Compiler compiler(parsed);
    TRY_ASSIGN(ModelInfo model, compiler.compile(document.dtmi));
    models[document.dtmi] = std::make_shared<const ModelInfo>(std::move(model));
  }
  return models;
}

}  // namespace penstock::twin
