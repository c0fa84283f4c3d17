#include "twin/models.h"

#include <algorithm>
#include <cstdlib>
#include <set>

#include <fmt/format.h>

#include "base/json.h"
#include "twin/dtdl/parser.h"

namespace penstock::twin {
namespace {

constexpr size_t kInterfacesMax = 1000;  // bases and components of one model
constexpr int kDepthMax = 12;            // of extends and components together

bool is_interface(const Json& json) {
  const auto type = json.find("@type");
  if (type == json.end()) return false;
  return *type == "Interface" ||
         (type->is_array() && std::find(type->begin(), type->end(), "Interface") != type->end());
}

std::vector<std::string_view> texts_of(std::span<const ModelDocument> documents) {
  std::vector<std::string_view> texts;
  for (const ModelDocument& document : documents) texts.emplace_back(document.text);
  return texts;
}

std::string id_of(const Json& json) {
  const auto id = json.find("@id");
  return id != json.end() && id->is_string() ? id->get<std::string>() : std::string();
}

// "dtmi:dtdl:extension:quantitativeTypes:v3:unit:bar" to "bar".
std::string short_name(std::string_view id) {
  id = id.substr(0, id.find(';'));
  return std::string(id.substr(id.rfind(':') + 1));
}

// The English text, else the first.
std::string localised(const dtdl::Element& element, std::string_view property) {
  const auto found = element.literals.find(property);
  if (found == element.literals.end() || found->second.empty()) return {};
  for (const dtdl::Literal& text : found->second)
    if (text.language == "en" || text.language.starts_with("en-")) return text.text;
  return found->second.front().text;
}

std::span<const dtdl::Link> links(const dtdl::Element& element, std::string_view property) {
  const auto found = element.objects.find(property);
  return found == element.objects.end() ? std::span<const dtdl::Link>() : found->second;
}

ValueKind kind_of(std::string_view schema) {
  constexpr std::string_view kNumbers = "Double Float Decimal";
  constexpr std::string_view kIntegers =
      "Integer Long Short Byte UnsignedInteger UnsignedLong UnsignedShort UnsignedByte";
  constexpr std::string_view kTexts = "String Date DateTime Time Duration Uuid Bytes Enum";
  if (dtdl::has_word(kNumbers, schema)) return ValueKind::kDouble;
  if (dtdl::has_word(kIntegers, schema)) return ValueKind::kInteger;
  if (dtdl::has_word(kTexts, schema)) return ValueKind::kText;
  return schema == "Boolean" ? ValueKind::kBoolean : ValueKind::kObject;
}

// One interface with its bases and components as one list of elements.
class Flattener {
 public:
  Flattener(const dtdl::Model& graph, std::span<const ModelDocument> documents)
      : graph_(graph), documents_(documents) {}

  Result<ModelInfo> flatten(const ModelDocument& document) {
    ModelInfo model;
    model.id = document.dtmi;
    TRY(add_interface(document.dtmi, "", 0, model));
    const dtdl::Element& interface = *graph_.find(document.dtmi);
    model.display_name = localised(interface, "displayName");
    if (model.display_name.empty()) model.display_name = short_name(document.dtmi);
    model.description = localised(interface, "description");
    for (const dtdl::Link& base : links(interface, "extends")) model.extends.push_back(base.id);
    std::sort(model.ancestors.begin(), model.ancestors.end());
    model.ancestors.erase(std::unique(model.ancestors.begin(), model.ancestors.end()),
                          model.ancestors.end());
    model.document = document.text;
    return model;
  }

 private:
  Status add_interface(const std::string& dtmi, const std::string& prefix, int depth,
                       ModelInfo& model) {
    if (depth > kDepthMax)
      return fail(ErrorCode::kInvalidArgument, "Interfaces extend or contain each other too deep",
                  dtmi);
    const dtdl::Element* interface = graph_.find(dtmi);
    if (!interface || interface->type != "Interface")
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
    const Status done = add_inside(*interface, prefix, depth, model);
    path_.pop_back();
    return done;
  }

  Status add_inside(const dtdl::Element& interface, const std::string& prefix, int depth,
                    ModelInfo& model) {
    for (const dtdl::Link& base : links(interface, "extends")) {
      if (prefix.empty()) model.ancestors.push_back(base.id);
      TRY(add_interface(base.id, prefix, depth + 1, model));
    }
    for (const dtdl::Link& link : links(interface, "contents"))
      if (const dtdl::Element* content = graph_.find(link.id))
        TRY(add_content(*content, prefix, depth, model));
    return {};
  }

  Status add_content(const dtdl::Element& content, const std::string& prefix, int depth,
                     ModelInfo& model) {
    const std::string name = content.text("name"), key = prefix + name;
    if (name.empty() || !seen_.insert(key).second)
      return fail(ErrorCode::kInvalidArgument,
                  name.empty() ? "A content of the interface has no name"
                               : "The interface has two contents of the name " + name,
                  model.id);
    if (content.type == "Telemetry" || content.type == "Property") {
      model.elements.push_back(element_of(content, key));
    } else if (content.type == "Command") {
      model.commands.push_back({key, localised(content, "displayName"),
                                localised(content, "description"), request_of(content)});
    } else if (content.type == "Relationship" && prefix.empty()) {
      RelationshipInfo relationship{name, content.text("target"), std::nullopt};
      if (const dtdl::Literal* most = content.literal("maxMultiplicity")) {
        const auto count = std::strtoull(most->text.c_str(), nullptr, 10);
        relationship.count_max = static_cast<uint32_t>(std::min<uint64_t>(count, UINT32_MAX));
      }
      model.relationships.push_back(std::move(relationship));
    } else if (content.type == "Component") {
      const auto schema = links(content, "schema");
      const std::string dtmi = schema.empty() ? std::string() : schema.front().id;
      if (prefix.empty()) model.components.push_back({name, dtmi});
      return add_interface(dtmi, key + ".", depth + 1, model);
    }
    return {};
  }

  // The schema of the request as it is written.
  std::string request_of(const dtdl::Element& command) const {
    const auto request = links(command, "request");
    const dtdl::Element* payload = request.empty() ? nullptr : graph_.find(request.front().id);
    if (!payload) return {};
    const auto schema = links(*payload, "schema");
    if (schema.empty()) return {};
    const dtdl::Link& link = schema.front();
    return documents_[payload->document].text.substr(link.offset, link.end - link.offset);
  }

  ElementInfo element_of(const dtdl::Element& content, const std::string& key) const {
    ElementInfo element;
    element.key = key;
    element.display_name = localised(content, "displayName");
    element.description = localised(content, "description");
    element.property = content.type == "Property";
    element.writable = element.property && content.text("writable") == "true";
    for (const std::string_view cotype : content.cotypes)
      if (dtdl::find_supplemental(cotype)->kind == dtdl::ExtensionKind::kSemanticType)
        element.semantic_type = short_name(cotype);
    if (element.semantic_type.empty() && !content.undefined_types.empty())
      element.semantic_type = content.undefined_types.front();
    for (const auto& [property, values] : content.objects)
      if (short_name(property) == "unit" && !values.empty())
        element.unit = short_name(values.front().id);
    for (const auto& [property, values] : content.literals) {
      const std::string name = short_name(property);
      if (name == "minimum") element.minimum = std::strtod(values.front().text.c_str(), nullptr);
      if (name == "maximum") element.maximum = std::strtod(values.front().text.c_str(), nullptr);
    }
    if (const auto schema = links(content, "schema"); !schema.empty())
      read_schema(schema.front().id, element);
    return element;
  }

  void read_schema(const std::string& id, ElementInfo& element) const {
    element.kind = kind_of(graph_.type_of(id));
    const dtdl::Element* schema = graph_.find(id);
    if (!schema || schema->type != "Enum") return;
    const auto values = links(*schema, "valueSchema");
    if (!values.empty() && graph_.type_of(values.front().id) == "Integer") {
      element.kind = ValueKind::kInteger;
      return;
    }
    for (const dtdl::Link& link : links(*schema, "enumValues"))
      if (const dtdl::Element* value = graph_.find(link.id))
        element.enum_values.push_back(value->text("enumValue"));
  }

  const dtdl::Model& graph_;
  std::span<const ModelDocument> documents_;
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
    const std::string dtmi = entry.is_object() ? id_of(entry) : "";
    if (!dtmi.starts_with("dtmi:") || !is_interface(entry))
      return fail(ErrorCode::kInvalidArgument,
                  "A model is a DTDL interface: a JSON object with \"@type\": \"Interface\" and a "
                  "DTMI as \"@id\"",
                  dtmi);
    models.push_back({dtmi, entry.dump()});
  }
  if (models.empty()) return fail(ErrorCode::kInvalidArgument, "The document holds no interface");
  return models;
}

Status check_models(std::string_view document, std::span<const ModelDocument> known) {
  std::vector<std::string_view> texts = texts_of(known);
  texts.push_back(document);
  const dtdl::ParseResult result = dtdl::parse(texts);
  const dtdl::ParseError* first = nullptr;
  size_t more = 0;
  for (const dtdl::ParseError& error : result.errors)
    if (error.document == known.size()) first ? void(++more) : void(first = &error);
  if (first)
    return fail(
        ErrorCode::kInvalidArgument,
        more == 0 ? first->text() : fmt::format("{} More mistakes: {}.", first->text(), more),
        first->validation);
  if (!result.unresolved.empty())
    return fail(ErrorCode::kInvalidArgument,
                "The model refers to something that is not known: add both together",
                result.unresolved.front());
  return {};
}

Result<std::map<std::string, ModelPtr, std::less<>>> compile_models(
    std::span<const ModelDocument> documents) {
  const dtdl::ParseResult parsed = dtdl::parse(texts_of(documents));
  std::map<std::string, ModelPtr, std::less<>> models;
  for (const ModelDocument& document : documents) {
    Flattener flattener(parsed.model, documents);
    TRY_ASSIGN(ModelInfo model, flattener.flatten(document));
    models[document.dtmi] = std::make_shared<const ModelInfo>(std::move(model));
  }
  return models;
}

}  // namespace penstock::twin
