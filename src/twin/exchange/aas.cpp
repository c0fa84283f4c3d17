// Submodels of the Asset Administration Shell: metamodel V3.0 (IDTA-01001-3-0) and the data
// specification IEC 61360 (IDTA-01003-a-3-0), in JSON. What only DTDL has is a qualifier whose type
// is DTDL's own identifier of the property.

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "twin/dtdl/metamodel.h"
#include "twin/exchange/terms.h"

namespace penstock::twin {
namespace {

using namespace exchange;  // NOLINT(google-build-using-namespace): this file is a part of it
using Kind = ContentShape::Kind;
using Schema = SchemaShape::Kind;

constexpr std::string_view kIec61360 =
    "https://admin-shell.io/DataSpecificationTemplates/DataSpecificationIec61360/3";
constexpr std::string_view kLeast = "dtmi:iotoperations:property:minimum;4";
constexpr std::string_view kMost = "dtmi:iotoperations:property:maximum;4";
constexpr std::string_view kWritable = "dtmi:dtdl:property:writable;4";
constexpr std::string_view kNullable = "dtmi:dtdl:property:nullable;4";
constexpr std::string_view kComment = "dtmi:dtdl:property:comment;4";
constexpr std::string_view kSchema = "dtmi:dtdl:property:schema;4";
constexpr std::string_view kLeastTargets = "dtmi:dtdl:property:minMultiplicity;4";
constexpr std::string_view kMostTargets = "dtmi:dtdl:property:maxMultiplicity;4";
constexpr std::string_view kComponent = "dtmi:dtdl:class:Component;4";
constexpr std::string_view kSemanticPrefix = "dtmi:dtdl:extension:quantitativeTypes:v3:class:";

struct Primitive {
  std::string_view term, xsd;
};
constexpr Primitive kPrimitives[] = {
    {"double", "xs:double"},
    {"float", "xs:float"},
    {"decimal", "xs:decimal"},
    {"integer", "xs:int"},
    {"long", "xs:long"},
    {"short", "xs:short"},
    {"byte", "xs:byte"},
    {"unsignedByte", "xs:unsignedByte"},
    {"unsignedShort", "xs:unsignedShort"},
    {"unsignedInteger", "xs:unsignedInt"},
    {"unsignedLong", "xs:unsignedLong"},
    {"boolean", "xs:boolean"},
    {"string", "xs:string"},
    {"date", "xs:date"},
    {"dateTime", "xs:dateTime"},
    {"time", "xs:time"},
    {"duration", "xs:duration"},
    {"bytes", "xs:base64Binary"},
    // Read only: the nearest that DTDL has.
    {"long", "xs:integer"},
    {"unsignedLong", "xs:nonNegativeInteger"},
    {"unsignedLong", "xs:positiveInteger"},
    {"long", "xs:nonPositiveInteger"},
    {"long", "xs:negativeInteger"},
    {"bytes", "xs:hexBinary"},
    {"string", "xs:anyURI"},
};
constexpr size_t kExactPrimitives = 18;

bool is_number(const SchemaShape& schema) {
  return schema.kind == Schema::kPrimitive &&
         dtdl::has_word(
             "double float decimal integer long short byte unsignedByte unsignedShort "
             "unsignedInteger unsignedLong",
             schema.primitive);
}

// The value of a reference's last key.
std::string reference_value(const Json* reference) {
  const Json* keys = reference ? array_at(*reference, "keys") : nullptr;
  return keys && !keys->empty() ? text_of(keys->back(), "value") : std::string();
}

Json reference_json(std::string_view value) {
  return {{"type", "ExternalReference"},
          {"keys", Json::array({{{"type", "GlobalReference"}, {"value", value}}})}};
}

Texts texts_of(const Json& object, const char* member) {
  Texts out;
  if (const Json* all = array_at(object, member))
    for (const Json& one : *all)
      if (std::string text = text_of(one, "text"); !text.empty()) {
        std::string language = text_of(one, "language");
        out.emplace_back(language.empty() ? "en" : std::move(language), std::move(text));
      }
  std::sort(out.begin(), out.end());
  return out;
}

// -- reading

class AasReader {
 public:
  AasReader(const std::map<std::string, const Json*>& concepts, const ImportOptions& options,
            std::vector<ConversionNote>& out)
      : concepts_(concepts), options_(options), notes_(out) {}

  Result<InterfaceShape> run(const Json& submodel, const std::string& id) {
    InterfaceShape shape;
    shape.display = texts_of(submodel, "displayName");
    shape.description = texts_of(submodel, "description");
    shape.comment = qualifier(submodel, kComment);
    shape.id = id.empty() ? own_id(submodel) : id;
    if (const Json* more = array_at(submodel, "supplementalSemanticIds"))
      for (const Json& one : *more)
        if (std::string base = reference_value(&one); dtdl::is_dtmi(base, 3))
          shape.extends.push_back(std::move(base));
    Names names(notes_);
    if (const Json* elements = array_at(submodel, "submodelElements"))
      for (const Json& element : *elements) {
        if (shape.contents.size() >= options_.contents_max)
          return fail(ErrorCode::kResourceExhausted,
                      fmt::format("The submodel has more than {} elements", options_.contents_max));
        add(element, names, shape);
      }
    note_qualifiers(submodel, "");
    notes_.rest(submodel,
                "modelType id idShort kind semanticId supplementalSemanticIds displayName "
                "description administration submodelElements qualifiers",
                "");
    if (values_)
      notes_.add("value", fmt::format("{} values of the instance are left out: a model says what "
                                      "there is, not how much",
                                      values_));
    settle_texts(shape, notes_);
    return shape;
  }

 private:
  std::string own_id(const Json& submodel) {
    const std::string id = text_of(submodel, "id");
    if (dtdl::is_dtmi(id, 3)) return id;
    if (const std::string semantic = reference_value(object_at(submodel, "semanticId"));
        dtdl::is_dtmi(semantic, 3))
      return semantic;
    std::string version;
    if (const Json* administration = object_at(submodel, "administration"))
      version = text_of(*administration, "version");
    const std::string made = made_dtmi("aas", text_of(submodel, "idShort"), version);
    notes_.add("id", fmt::format("{} is no DTMI; the interface is called {}",
                                 id.empty() ? "What identifies it" : id, made));
    return made;
  }

  static std::string qualifier(const Json& element, std::string_view type) {
    if (const Json* all = array_at(element, "qualifiers"))
      for (const Json& one : *all)
        if (text_of(one, "type") == type) return text_of(one, "value");
    return {};
  }
  static std::optional<double> number_qualifier(const Json& element, std::string_view type) {
    const std::string text = qualifier(element, type);
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    return text.empty() || *end != '\0' || !(std::abs(value) < 1e300) ? std::nullopt
                                                                      : std::optional(value);
  }
  void note_qualifiers(const Json& element, const std::string& at) {
    const Json* all = array_at(element, "qualifiers");
    if (!all) return;
    for (const Json& one : *all) {
      const std::string type = text_of(one, "type");
      if (!type.starts_with("dtmi:dtdl:") && !type.starts_with("dtmi:iotoperations:property:"))
        notes_.add(at + ".qualifiers", fmt::format("The qualifier {} is left out", type));
    }
  }

  static std::string id_short(const Json& element) { return text_of(element, "idShort"); }

  void add(const Json& element, Names& names, InterfaceShape& shape) {
    const std::string type = text_of(element, "modelType"), at = id_short(element);
    ContentShape content;
    if (type == "Operation") {
      content.kind = Kind::kCommand;
      common(element, content, at);
      content.request = variables(element, "inputVariables", "input", at);
      content.response = variables(element, "outputVariables", "output", at);
      if (const Json* both = array_at(element, "inoutputVariables"); both && !both->empty())
        notes_.add(at + ".inoutputVariables", "Variables for both ways are left out");
    } else if (type == "ReferenceElement") {
      content.kind = Kind::kRelationship;
      common(element, content, at);
      content.target = reference_value(object_at(element, "value"));
      if (!content.target.empty() && !dtdl::is_dtmi(content.target, 3)) {
        notes_.add(at + ".value", fmt::format("It points at {}, which is no model; any target is "
                                              "allowed",
                                              content.target));
        content.target.clear();
      }
      content.writable = qualifier(element, kWritable) == "true";
      if (const auto least = number_qualifier(element, kLeastTargets))
        content.multiplicity_min = static_cast<int64_t>(*least);
      if (const auto most = number_qualifier(element, kMostTargets))
        content.multiplicity_max = static_cast<int64_t>(*most);
    } else if (qualifier(element, kComponent) == "true") {
      content.kind = Kind::kComponent;
      common(element, content, at);
      content.target = reference_value(object_at(element, "semanticId"));
      if (!dtdl::is_dtmi(content.target, 3)) {
        notes_.add(at, "A component whose semanticId is no DTMI is left out");
        return;
      }
    } else {
      if (!value(element, content, at, 0)) return;
      const bool telemetry = text_of(element, "category") == "VARIABLE";
      content.kind = telemetry ? Kind::kTelemetry : Kind::kProperty;
      content.writable = !telemetry && qualifier(element, kWritable) == "true";
    }
    content.name = names.take(at, at);
    shape.contents.push_back(std::move(content));
  }

  // Texts, semantics and qualifiers, which every element has.
  void common(const Json& element, ValueShape& out, const std::string& at) {
    out.display = texts_of(element, "displayName");
    out.description = texts_of(element, "description");
    out.comment = qualifier(element, kComment);
    out.nullable = qualifier(element, kNullable) == "true";
    note_qualifiers(element, at);
    notes_.rest(element,
                "modelType idShort category semanticId supplementalSemanticIds displayName "
                "description qualifiers embeddedDataSpecifications valueType value min max "
                "typeValueListElement valueTypeListElement inputVariables outputVariables "
                "inoutputVariables orderRelevant",
                at);
  }

  std::optional<ValueShape> variables(const Json& operation, const char* member, const char* name,
                                      const std::string& at) {
    const Json* all = array_at(operation, member);
    if (!all || all->empty()) return std::nullopt;
    ValueShape out;
    std::vector<ValueShape> read;
    Names names(notes_);
    for (const Json& one : *all) {
      const Json* element = object_at(one, "value");
      ValueShape value;
      if (!element || !this->value(*element, value, at + "." + id_short(*element), 1)) continue;
      value.name = names.take(id_short(*element), at);
      read.push_back(std::move(value));
    }
    if (read.empty()) return std::nullopt;
    if (read.size() == 1) return std::move(read.front());
    out.name = name;
    out.schema.kind = Schema::kObject;
    out.schema.primitive.clear();
    out.schema.children = std::move(read);
    notes_.add(fmt::format("{}.{}", at, member), "Several variables are taken as one object");
    return out;
  }

  // false: it cannot be mapped, which is noted.
  bool value(const Json& element, ValueShape& out, const std::string& at, int depth) {
    const bool structure = text_of(element, "modelType") != "Property";
    if (depth > options_.depth_max || (structure && depth >= options_.depth_max)) {
      notes_.add(at, "It is nested deeper than DTDL allows and is left out");
      return false;
    }
    common(element, out, at);
    if (!schema(element, out.schema, at, depth)) return false;
    if (const Json* more = array_at(element, "supplementalSemanticIds"))
      for (const Json& one : *more)
        if (std::string type = semantic_type_of_iri(reference_value(&one)); !type.empty())
          out.semantic_type = std::move(type);
    if (const Json* content = data_specification(element)) read_concept(*content, out, at);
    if (!out.semantic_type.empty() && out.unit.empty()) {
      notes_.add(at, "A semantic type without a unit that it knows is left out");
      out.semantic_type.clear();
    }
    out.minimum = number_qualifier(element, kLeast);
    out.maximum = number_qualifier(element, kMost);
    settle_limits(out, notes_, at);
    return true;
  }

  bool schema(const Json& element, SchemaShape& out, const std::string& at, int depth) {
    const std::string type = text_of(element, "modelType");
    if (type == "Property") return property(element, out, at);
    if (type == "MultiLanguageProperty") {
      out.kind = Schema::kMap;
      ValueShape language, text;
      language.name = "language";
      text.name = "text";
      language.schema.primitive = text.schema.primitive = "string";
      out.primitive.clear();
      out.children = {std::move(language), std::move(text)};
      values_ += element.contains("value");
      return true;
    }
    if (type == "Range") {
      out.kind = Schema::kObject;
      out.primitive.clear();
      for (const char* end : {"min", "max"}) {
        ValueShape field;
        field.name = end;
        if (!primitive(text_of(element, "valueType"), field.schema, at)) return false;
        out.children.push_back(std::move(field));
      }
      return true;
    }
    if (type == "SubmodelElementCollection") return collection(element, out, at, depth);
    if (type == "SubmodelElementList") return list(element, out, at, depth);
    notes_.add(at, fmt::format("{} has no counterpart in DTDL and is left out",
                               type.empty() ? "An element without modelType" : type));
    return false;
  }

  bool property(const Json& element, SchemaShape& out, const std::string& at) {
    values_ += element.contains("value");
    if (const std::string hint = qualifier(element, kSchema); is_primitive(hint)) {
      out.primitive = hint;
      return true;
    }
    if (!primitive(text_of(element, "valueType"), out, at)) return false;
    const Json* content = data_specification(element);
    const Json* list = content ? object_at(*content, "valueList") : nullptr;
    const Json* pairs = list ? array_at(*list, "valueReferencePairs") : nullptr;
    if (!pairs || pairs->empty() || pairs->size() > 1000) return true;
    const bool whole = is_number(out);
    if (out.primitive != "string" && !whole) return true;
    out.kind = Schema::kEnum;
    out.primitive = whole ? "integer" : "string";
    std::vector<ConversionNote> unused;  // how values are called is not what is on the wire
    Notes quiet(unused);
    Names names(quiet);
    for (const Json& pair : *pairs) {
      EnumValueShape one;
      one.value = text_of(pair, "value");
      const std::string name = reference_value(object_at(pair, "valueId"));
      one.name = names.take(is_dtdl_name(name) ? name : one.value, at);
      out.values.push_back(std::move(one));
    }
    return true;
  }

  bool primitive(const std::string& xsd, SchemaShape& out, const std::string& at) {
    const auto* found = std::find_if(std::begin(kPrimitives), std::end(kPrimitives),
                                     [&](const Primitive& one) { return one.xsd == xsd; });
    if (found == std::end(kPrimitives)) {
      notes_.add(at + ".valueType", fmt::format("The type {} is taken as text", xsd));
      out.primitive = "string";
      return true;
    }
    if (found - kPrimitives >= static_cast<std::ptrdiff_t>(kExactPrimitives))
      notes_.add(at + ".valueType", fmt::format("The type {} is taken as {}", xsd, found->term));
    out.primitive = found->term;
    return true;
  }

  bool collection(const Json& element, SchemaShape& out, const std::string& at, int depth) {
    out.kind = Schema::kObject;
    out.primitive.clear();
    Names names(notes_);
    if (const Json* fields = array_at(element, "value"))
      for (const Json& field : *fields) {
        ValueShape value;
        if (!this->value(field, value, at + "." + id_short(field), depth + 1)) continue;
        value.name = names.take(id_short(field), at);
        out.children.push_back(std::move(value));
      }
    if (out.children.empty()) notes_.add(at, "A collection without elements is left out");
    return !out.children.empty();
  }

  bool list(const Json& element, SchemaShape& out, const std::string& at, int depth) {
    out.kind = Schema::kArray;
    out.primitive.clear();
    ValueShape item;
    const Json* values = array_at(element, "value");
    if (values && !values->empty()) {
      if (!value(values->front(), item, at + "[]", depth + 1)) return false;
    } else if (text_of(element, "typeValueListElement") == "Property") {
      if (!primitive(text_of(element, "valueTypeListElement"), item.schema, at)) return false;
    } else {
      notes_.add(at, "A list that does not show what it is of is left out");
      return false;
    }
    if (!item.unit.empty() || item.minimum || item.maximum)
      notes_.add(at + "[]", "Units and limits of a list's elements are left out");
    ValueShape plain;
    plain.schema = std::move(item.schema);
    if (plain.schema.kind != Schema::kPrimitive) {
      plain.schema.display = std::move(item.display);
      plain.schema.description = std::move(item.description);
    }
    out.children.push_back(std::move(plain));
    return true;
  }

  // IEC 61360 of the element itself, else of the concept that its semanticId names.
  const Json* data_specification(const Json& element) const {
    const auto content_of = [](const Json& owner) -> const Json* {
      if (const Json* all = array_at(owner, "embeddedDataSpecifications"))
        for (const Json& one : *all)
          if (const Json* content = object_at(one, "dataSpecificationContent"))
            if (text_of(*content, "modelType") == "DataSpecificationIec61360") return content;
      return nullptr;
    };
    if (const Json* own = content_of(element)) return own;
    const auto described = concepts_.find(reference_value(object_at(element, "semanticId")));
    return described == concepts_.end() ? nullptr : content_of(*described->second);
  }

  void read_concept(const Json& content, ValueShape& out, const std::string& at) {
    if (out.display.empty() && text_of(content, "sourceOfDefinition") != "dtdl")
      out.display = texts_of(content, "preferredName");
    if (out.description.empty()) out.description = texts_of(content, "definition");
    read_unit(text_of(content, "unit"), out, notes_, at + ".unit");
    if (text_of(content, "unit").empty() && object_at(content, "unitId"))
      notes_.add(at + ".unitId",
                 fmt::format("The unit {} is left out: it is named by reference only",
                             reference_value(object_at(content, "unitId"))));
    notes_.rest(content,
                "modelType preferredName shortName unit unitId dataType definition valueList "
                "sourceOfDefinition",
                at + ".dataSpecification");
  }

  const std::map<std::string, const Json*>& concepts_;
  const ImportOptions& options_;
  Notes notes_;
  size_t values_ = 0;
};

// -- writing

class AasWriter {
 public:
  explicit AasWriter(std::vector<ConversionNote>& out) : notes_(out) {}

  Json run(const InterfaceShape& shape) {
    Json submodel{{"modelType", "Submodel"},
                  {"id", shape.id},
                  {"idShort", term_of(shape.id)},
                  {"kind", "Template"},
                  {"semanticId", reference_json(shape.id)}};
    if (const size_t at = shape.id.find(';'); at != shape.id.npos) {
      const std::string version = shape.id.substr(at + 1);
      const size_t dot = version.find('.');
      submodel["administration"]["version"] = version.substr(0, dot);
      if (dot != version.npos) submodel["administration"]["revision"] = version.substr(dot + 1);
    }
    put_texts(submodel, "displayName", shape.display);
    put_texts(submodel, "description", shape.description);
    if (!shape.comment.empty()) add_qualifier(submodel, kComment, "xs:string", shape.comment);
    for (const std::string& base : shape.extends)
      submodel["supplementalSemanticIds"].push_back(reference_json(base));
    for (const ContentShape& content : shape.contents)
      submodel["submodelElements"].push_back(content_json(content));
    return {{"submodels", Json::array({std::move(submodel)})}};
  }

 private:
  static void put_texts(Json& out, const char* member, const Texts& texts) {
    for (const auto& [language, text] : texts)
      out[member].push_back({{"language", language}, {"text", text}});
  }
  static void add_qualifier(Json& out, std::string_view type, std::string_view xsd,
                            const std::string& value) {
    out["qualifiers"].push_back(
        {{"kind", "TemplateQualifier"}, {"type", type}, {"valueType", xsd}, {"value", value}});
  }
  static void put_common(Json& out, const ValueShape& value) {
    if (!value.name.empty()) out["idShort"] = value.name;
    put_texts(out, "displayName", value.display);
    put_texts(out, "description", value.description);
    if (!value.comment.empty()) add_qualifier(out, kComment, "xs:string", value.comment);
    if (value.nullable) add_qualifier(out, kNullable, "xs:boolean", "true");
  }

  Json content_json(const ContentShape& content) {
    switch (content.kind) {
      case Kind::kTelemetry:
      case Kind::kProperty: {
        Json out = value_json(content, content.name);
        out["category"] = content.kind == Kind::kTelemetry ? "VARIABLE" : "PARAMETER";
        if (content.writable) add_qualifier(out, kWritable, "xs:boolean", "true");
        return out;
      }
      case Kind::kCommand: {
        Json out{{"modelType", "Operation"}};
        put_common(out, content);
        for (const auto& [member, payload] : {std::pair("inputVariables", &content.request),
                                              std::pair("outputVariables", &content.response)})
          if (*payload)
            out[member] = Json::array(
                {{{"value", value_json(**payload, content.name + "." + (*payload)->name)}}});
        return out;
      }
      case Kind::kComponent: {
        Json out{{"modelType", "SubmodelElementCollection"},
                 {"semanticId", reference_json(content.target)}};
        put_common(out, content);
        add_qualifier(out, kComponent, "xs:boolean", "true");
        return out;
      }
      case Kind::kRelationship:
        return relationship_json(content);
    }
    return Json::object();
  }

  Json relationship_json(const ContentShape& content) {
    Json out{{"modelType", "ReferenceElement"}};
    put_common(out, content);
    if (!content.target.empty()) out["value"] = reference_json(content.target);
    if (content.writable) add_qualifier(out, kWritable, "xs:boolean", "true");
    if (content.multiplicity_min)
      add_qualifier(out, kLeastTargets, "xs:long", fmt::format("{}", *content.multiplicity_min));
    if (content.multiplicity_max)
      add_qualifier(out, kMostTargets, "xs:long", fmt::format("{}", *content.multiplicity_max));
    for (const ValueShape& property : content.properties)
      notes_.add(content.name + "." + property.name,
                 "Properties of relationships have no place in a ReferenceElement");
    return out;
  }

  Json value_json(const ValueShape& value, const std::string& at) {
    Json out = schema_json(value.schema, at);
    put_common(out, value);
    if (!value.semantic_type.empty()) {
      // AASd-118: supplemental semantics only beside a main one.
      const std::string type = fmt::format("{}{}", kSemanticPrefix, value.semantic_type);
      out["semanticId"] = reference_json(type);
      out["supplementalSemanticIds"] = Json::array({reference_json(type)});
    }
    put_concept(out, value, at);
    const auto limit = [&](std::string_view type, std::optional<double> number) {
      if (number) add_qualifier(out, type, "xs:double", number_json(*number).dump());
    };
    limit(kLeast, value.minimum);
    limit(kMost, value.maximum);
    if (value.schema.kind != Schema::kPrimitive &&
        (!value.schema.display.empty() || !value.schema.description.empty()))
      notes_.add(at, "Texts of the schema itself have no place beside those of what has it");
    return out;
  }

  void put_concept(Json& out, const ValueShape& value, const std::string& at) {
    const bool choice = value.schema.kind == Schema::kEnum;
    if (value.unit.empty() && !choice) return;
    Json content{{"modelType", "DataSpecificationIec61360"}, {"sourceOfDefinition", "dtdl"}};
    // preferredName is required, in English (AASc-3a-002).
    content["preferredName"] = Json::array(
        {{{"language", "en"},
          {"text", value.display.empty() ? value.name : std::string(english(value.display))}}});
    if (!value.unit.empty()) {
      content["unit"] = unit_text(value.unit, value.semantic_type);
      content["dataType"] = dtdl::has_word("double float decimal", value.schema.primitive)
                                ? "REAL_MEASURE"
                                : "INTEGER_MEASURE";
    }
    if (choice) {
      content["dataType"] = value.schema.primitive == "integer" ? "INTEGER_COUNT" : "STRING";
      Json pairs = Json::array();
      for (const EnumValueShape& one : value.schema.values) {
        pairs.push_back({{"value", one.value}, {"valueId", reference_json(one.name)}});
        if (!one.display.empty() || !one.description.empty())
          notes_.add(at + "." + one.name, "Texts of an enumeration's value have no place");
      }
      content["valueList"]["valueReferencePairs"] = std::move(pairs);
    }
    out["embeddedDataSpecifications"] =
        Json::array({{{"dataSpecification", reference_json(kIec61360)},
                      {"dataSpecificationContent", std::move(content)}}});
  }

  Json schema_json(const SchemaShape& schema, const std::string& at) {
    switch (schema.kind) {
      case Schema::kPrimitive:
      case Schema::kEnum:
        return property_json(schema.primitive);
      case Schema::kObject: {
        Json out{{"modelType", "SubmodelElementCollection"}, {"value", Json::array()}};
        for (const ValueShape& field : schema.children)
          out["value"].push_back(value_json(field, at + "." + field.name));
        return out;
      }
      case Schema::kArray:
        return list_json(schema, at);
      case Schema::kMap: {
        const bool languages =
            schema.children.size() == 2 && schema.children[0].name == "language" &&
            schema.children[1].name == "text" && schema.children[1].schema.primitive == "string";
        if (languages) return {{"modelType", "MultiLanguageProperty"}};
        notes_.add(at, "A map has no counterpart; it is an unordered collection without elements");
        return {{"modelType", "SubmodelElementCollection"}};
      }
    }
    return Json::object();
  }

  static Json property_json(const std::string& term) {
    Json out{{"modelType", "Property"}, {"valueType", "xs:string"}};
    for (size_t i = 0; i < kExactPrimitives; ++i)
      if (kPrimitives[i].term == term) {
        out["valueType"] = kPrimitives[i].xsd;
        return out;
      }
    add_qualifier(out, kSchema, "xs:string", term);  // uuid, and GeoJSON as text
    return out;
  }

  Json list_json(const SchemaShape& schema, const std::string& at) {
    Json out{{"modelType", "SubmodelElementList"}};
    if (schema.children.empty()) return out;
    const SchemaShape& of = schema.children.front().schema;
    ValueShape item;
    item.schema = of;
    item.display = of.display;
    item.description = of.description;
    item.schema.display.clear();
    item.schema.description.clear();
    Json shown = value_json(item, at + "[]");  // AASd-120: without idShort
    out["typeValueListElement"] = shown["modelType"];
    if (shown.contains("valueType")) out["valueTypeListElement"] = shown["valueType"];
    out["value"] = Json::array({std::move(shown)});
    return out;
  }

  Notes notes_;
};

}  // namespace

Result<Imported> from_aas(const Json& document, const ImportOptions& options) {
  Json submodels = Json::array();
  std::map<std::string, const Json*> concepts;
  Imported out;
  if (document.is_array()) {
    submodels = document;
  } else if (document.is_object() && document.contains("submodels")) {
    if (const Json* all = array_at(document, "submodels")) submodels = *all;
    if (const Json* all = array_at(document, "conceptDescriptions"))
      for (const Json& one : *all) concepts.emplace(text_of(one, "id"), &one);
    if (const Json* shells = array_at(document, "assetAdministrationShells");
        shells && !shells->empty())
      out.notes.push_back({"assetAdministrationShells",
                           "Shells are of single assets and are left out; submodels are taken"});
  } else {
    submodels.push_back(document);
  }
  if (submodels.empty() || submodels.size() > 1000)
    return fail(ErrorCode::kInvalidArgument, "Give from 1 to 1000 submodels at once");
  for (const Json& submodel : submodels) {
    if (text_of(submodel, "modelType") != "Submodel")
      return fail(ErrorCode::kInvalidArgument,
                  "This is no submodel of an Asset Administration Shell V3: it is a JSON object "
                  "with \"modelType\": \"Submodel\" and submodelElements");
    AasReader reader(concepts, options, out.notes);
    TRY_ASSIGN(InterfaceShape shape,
               reader.run(submodel, out.interfaces.empty() ? options.id : ""));
    out.interfaces.push_back(std::move(shape));
  }
  return out;
}

Exported to_aas(const InterfaceShape& shape) {
  Exported out;
  out.document = AasWriter(out.notes).run(shape);
  return out;
}

}  // namespace penstock::twin
