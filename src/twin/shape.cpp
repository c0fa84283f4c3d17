#include "twin/shape.h"

#include <algorithm>
#include <charconv>
#include <set>

#include <fmt/format.h>

#include "twin/dtdl/metamodel.h"

namespace penstock::twin {

bool SchemaShape::operator==(const SchemaShape& other) const {
  return kind == other.kind && primitive == other.primitive && values == other.values &&
         children == other.children && display == other.display && description == other.description;
}

std::string_view english(const Texts& texts) {
  for (const auto& [language, text] : texts)
    if (language == "en" || language.starts_with("en-")) return text;
  return texts.empty() ? std::string_view() : std::string_view(texts.front().second);
}

std::string_view name(ContentShape::Kind kind) {
  switch (kind) {
    case ContentShape::Kind::kTelemetry:
      return "telemetry";
    case ContentShape::Kind::kProperty:
      return "property";
    case ContentShape::Kind::kCommand:
      return "command";
    case ContentShape::Kind::kRelationship:
      return "relationship";
    case ContentShape::Kind::kComponent:
      return "component";
  }
  return "content";
}

std::string term_of(std::string_view dtmi) {
  dtmi = dtmi.substr(0, dtmi.find(';'));
  return std::string(dtmi.substr(dtmi.rfind(':') + 1));
}

namespace {

constexpr int kSchemaDepthMax = 12;  // DTDL allows 5 to 8
constexpr int kDepthMax = 12;        // of extends and components
constexpr size_t kContentsMax = 20'000;

// What of an element a shape holds; anything else is noted.
constexpr std::string_view kKnown =
    "name displayName description comment schema fields enumValues enumValue valueSchema "
    "elementSchema mapKey mapValue request response target minMultiplicity maxMultiplicity "
    "writable properties extends contents schemas unit minimum maximum nullable commandType "
    "languageMajorVersion";

std::span<const dtdl::Link> links(const dtdl::Element& element, std::string_view property) {
  const auto found = element.objects.find(property);
  return found == element.objects.end() ? std::span<const dtdl::Link>() : found->second;
}

Texts texts_of(const dtdl::Element& element, std::string_view property) {
  Texts out;
  if (const auto found = element.literals.find(property); found != element.literals.end())
    for (const dtdl::Literal& text : found->second)
      out.emplace_back(text.language.empty() ? "en" : text.language, text.text);
  std::sort(out.begin(), out.end());
  return out;
}

std::optional<int64_t> integer_of(const dtdl::Element& element, std::string_view property) {
  const dtdl::Literal* value = element.literal(property);
  int64_t read = 0;
  if (!value ||
      std::from_chars(value->text.data(), value->text.data() + value->text.size(), read).ec !=
          std::errc())
    return std::nullopt;
  return read;
}

class Reader {
 public:
  Reader(const dtdl::Model& model, std::vector<ConversionNote>& notes)
      : model_(model), notes_(notes) {}

  InterfaceShape interface(const dtdl::Element& element) {
    InterfaceShape shape;
    shape.id = element.id;
    shape.display = texts_of(element, "displayName");
    shape.description = texts_of(element, "description");
    shape.comment = element.text("comment");
    for (const dtdl::Link& base : links(element, "extends")) shape.extends.push_back(base.id);
    for (const dtdl::Link& link : links(element, "contents"))
      if (const dtdl::Element* content = model_.find(link.id))
        shape.contents.push_back(this->content(*content));
    note_rest(element, term_of(element.id));
    return shape;
  }

  ContentShape content(const dtdl::Element& element) {
    ContentShape shape;
    static_cast<ValueShape&>(shape) = value(element, element.text("name"), 0);
    const std::string path = shape.name;
    if (element.type == "Property") {
      shape.kind = ContentShape::Kind::kProperty;
    } else if (element.type == "Command") {
      shape.kind = ContentShape::Kind::kCommand;
      shape.request = payload(element, "request", path);
      shape.response = payload(element, "response", path);
      if (const auto type = links(element, "commandType");
          !type.empty() && term_of(type.front().id) != "synchronous")
        notes_.push_back({path + ".commandType", "An asynchronous command is taken as any other"});
    } else if (element.type == "Relationship") {
      shape.kind = ContentShape::Kind::kRelationship;
      shape.target = element.text("target");
      if (const auto target = links(element, "target"); !target.empty())
        shape.target = target.front().id;
      shape.multiplicity_min = integer_of(element, "minMultiplicity");
      shape.multiplicity_max = integer_of(element, "maxMultiplicity");
      for (const dtdl::Link& link : links(element, "properties"))
        if (const dtdl::Element* property = model_.find(link.id))
          shape.properties.push_back(value(*property, path + "." + property->text("name"), 0));
    } else if (element.type == "Component") {
      shape.kind = ContentShape::Kind::kComponent;
      if (const auto schema = links(element, "schema"); !schema.empty())
        shape.target = schema.front().id;
    }
    return shape;
  }

 private:
  std::optional<ValueShape> payload(const dtdl::Element& command, std::string_view which,
                                    const std::string& path) {
    const auto link = links(command, which);
    const dtdl::Element* element = link.empty() ? nullptr : model_.find(link.front().id);
    if (!element) return std::nullopt;
    return value(*element, fmt::format("{}.{}", path, which), 0);
  }

  ValueShape value(const dtdl::Element& element, const std::string& path, int depth) {
    ValueShape shape;
    shape.name = element.text("name");
    shape.display = texts_of(element, "displayName");
    shape.description = texts_of(element, "description");
    shape.comment = element.text("comment");
    shape.writable = element.text("writable") == "true";
    shape.nullable = element.text("nullable") == "true";
    for (const std::string_view cotype : element.cotypes) {
      const dtdl::SupplementalFact* fact = dtdl::find_supplemental(cotype);
      if (fact && fact->kind == dtdl::ExtensionKind::kSemanticType && shape.semantic_type.empty())
        shape.semantic_type = term_of(cotype);
      else if (term_of(cotype) != "Limited")
        notes_.push_back({path, fmt::format("The type {} is not carried over", term_of(cotype))});
    }
    for (const auto& [property, values] : element.objects)
      if (term_of(property) == "unit" && !values.empty()) shape.unit = term_of(values.front().id);
    for (const auto& [property, values] : element.literals) {
      if (values.empty()) continue;
      const std::string term = term_of(property);
      if (term == "minimum") shape.minimum = std::strtod(values.front().text.c_str(), nullptr);
      if (term == "maximum") shape.maximum = std::strtod(values.front().text.c_str(), nullptr);
    }
    if (const auto schema = links(element, "schema");
        !schema.empty() && element.type != "Component")
      shape.schema = this->schema(schema.front().id, path, depth + 1);
    note_rest(element, path);
    return shape;
  }

  SchemaShape schema(const std::string& id, const std::string& path, int depth) {
    SchemaShape shape;
    const dtdl::Element* element = model_.find(id);
    if (!element || depth > kSchemaDepthMax) {
      shape.primitive = term_of(id);
      return shape;
    }
    shape.display = texts_of(*element, "displayName");
    shape.description = texts_of(*element, "description");
    if (element->type == "Enum") {
      shape.kind = SchemaShape::Kind::kEnum;
      const auto values = links(*element, "valueSchema");
      shape.primitive = values.empty() ? "string" : term_of(values.front().id);
      for (const dtdl::Link& link : links(*element, "enumValues"))
        if (const dtdl::Element* one = model_.find(link.id))
          shape.values.push_back({one->text("name"), one->text("enumValue"),
                                  texts_of(*one, "displayName"), texts_of(*one, "description")});
    } else if (element->type == "Object") {
      shape.kind = SchemaShape::Kind::kObject;
      for (const dtdl::Link& link : links(*element, "fields"))
        if (const dtdl::Element* field = model_.find(link.id))
          shape.children.push_back(value(*field, path + "." + field->text("name"), depth));
    } else if (element->type == "Array") {
      shape.kind = SchemaShape::Kind::kArray;
      ValueShape item;
      if (const auto of = links(*element, "elementSchema"); !of.empty())
        item.schema = schema(of.front().id, path + "[]", depth + 1);
      shape.children.push_back(std::move(item));
    } else if (element->type == "Map") {
      shape.kind = SchemaShape::Kind::kMap;
      for (const std::string_view part : {"mapKey", "mapValue"})
        if (const auto link = links(*element, part); !link.empty())
          if (const dtdl::Element* one = model_.find(link.front().id))
            shape.children.push_back(value(*one, path + "." + std::string(part), depth));
    } else {
      shape.primitive = term_of(id);
      return shape;
    }
    if (shape.kind != SchemaShape::Kind::kEnum) shape.primitive.clear();
    note_rest(*element, path);
    return shape;
  }

  void note_rest(const dtdl::Element& element, const std::string& path) {
    const auto note = [&](const std::string& property) {
      if (!dtdl::has_word(kKnown, term_of(property)))
        notes_.push_back(
            {fmt::format("{}.{}", path, term_of(property)), "This property is not carried over"});
    };
    for (const auto& [property, values] : element.objects) note(property);
    for (const auto& [property, values] : element.literals) note(property);
    for (const std::string& type : element.undefined_types)
      notes_.push_back({path, fmt::format("The undefined type {} is not carried over", type)});
  }

  const dtdl::Model& model_;
  std::vector<ConversionNote>& notes_;
};

const dtdl::Element* interface_of(const dtdl::Model& model, std::string_view dtmi) {
  const dtdl::Element* element = model.find(dtmi);
  return element && element->type == "Interface" ? element : nullptr;
}

// Bases first, then what the interface says itself, as ModelInfo has its elements.
class Flattener {
 public:
  explicit Flattener(const dtdl::Model& model) : model_(model) {}

  void add(std::string_view dtmi, const std::string& prefix, int depth, InterfaceShape& out) {
    const dtdl::Element* element = interface_of(model_, dtmi);
    if (!element || depth > kDepthMax || out.contents.size() > kContentsMax ||
        !seen_.insert(prefix + "\n" + std::string(dtmi)).second)
      return;
    for (const dtdl::Link& base : links(*element, "extends")) {
      if (prefix.empty()) out.extends.push_back(base.id);
      add(base.id, prefix, depth + 1, out);
    }
    std::vector<ConversionNote> unused;
    Reader reader(model_, unused);
    for (const dtdl::Link& link : links(*element, "contents")) {
      const dtdl::Element* content = model_.find(link.id);
      if (!content) continue;
      ContentShape shape = reader.content(*content);
      shape.name = prefix + shape.name;
      const bool component = shape.kind == ContentShape::Kind::kComponent;
      const std::string target = shape.target, inner = shape.name + ".";
      out.contents.push_back(std::move(shape));
      if (component) add(target, inner, depth + 1, out);
    }
  }

 private:
  const dtdl::Model& model_;
  std::set<std::string> seen_;
};

}  // namespace

Result<InterfaceShape> read_shape(const dtdl::Model& model, std::string_view dtmi,
                                  std::vector<ConversionNote>& notes) {
  const dtdl::Element* element = interface_of(model, dtmi);
  if (!element)
    return fail(ErrorCode::kNotFound, "No interface of that identifier is known",
                std::string(dtmi));
  return Reader(model, notes).interface(*element);
}

Result<InterfaceShape> read_effective_shape(const dtdl::Model& model, std::string_view dtmi) {
  std::vector<ConversionNote> unused;
  TRY_ASSIGN(InterfaceShape shape, read_shape(model, dtmi, unused));
  shape.extends.clear();
  shape.contents.clear();
  Flattener(model).add(dtmi, "", 0, shape);
  std::sort(shape.extends.begin(), shape.extends.end());
  shape.extends.erase(std::unique(shape.extends.begin(), shape.extends.end()), shape.extends.end());
  return shape;
}

std::string schema_text(const SchemaShape& schema) {
  constexpr size_t kShown = 8;
  switch (schema.kind) {
    case SchemaShape::Kind::kPrimitive:
      return schema.primitive;
    case SchemaShape::Kind::kArray:
      return "array of " +
             (schema.children.empty() ? "?" : schema_text(schema.children.front().schema));
    case SchemaShape::Kind::kMap:
      return "map of " +
             (schema.children.size() < 2 ? "?" : schema_text(schema.children[1].schema));
    case SchemaShape::Kind::kEnum: {
      std::string out = "enum of ";
      for (size_t i = 0; i < schema.values.size() && i < kShown; ++i)
        out += (i ? ", " : "") + schema.values[i].value;
      return schema.values.size() > kShown ? out + ", …" : out;
    }
    case SchemaShape::Kind::kObject: {
      std::string out = "object {";
      for (size_t i = 0; i < schema.children.size() && i < kShown; ++i)
        out += fmt::format("{}{} {}", i ? ", " : "", schema.children[i].name,
                           schema_text(schema.children[i].schema));
      return out + (schema.children.size() > kShown ? ", …}" : "}");
    }
  }
  return {};
}

}  // namespace penstock::twin
