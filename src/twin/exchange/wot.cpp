// W3C Web of Things Thing Description 1.1 (REC 2023-12-05), clause 5 for the vocabulary, clause 10
// for Thing Models. Terms that only DTDL has are written with the prefix "dtdl", which stands for
// "dtmi:dtdl:": "dtdl:class:Telemetry;4" is DTDL's own identifier of the class.

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "twin/dtdl/metamodel.h"
#include "twin/exchange/terms.h"

namespace penstock::twin {
namespace {

using namespace exchange;  // NOLINT(google-build-using-namespace): this file is a part of it
using Kind = ContentShape::Kind;
using Schema = SchemaShape::Kind;

constexpr std::string_view kContext = "https://www.w3.org/2022/wot/td/v1.1";
constexpr std::string_view kTelemetry = "dtdl:class:Telemetry;4";
constexpr std::string_view kRelationship = "dtdl:class:Relationship;4";
constexpr std::string_view kAnything = "dtmi:dtdl:class:Interface;4";  // target of "any"
constexpr const char* kName = "dtdl:property:name;4";
constexpr const char* kComment = "dtdl:property:comment;4";
constexpr const char* kSchema = "dtdl:property:schema;4";
constexpr const char* kNullable = "dtdl:property:nullable;4";
constexpr const char* kLeast = "dtdl:property:minMultiplicity;4";
constexpr const char* kMost = "dtdl:property:maxMultiplicity;4";
constexpr const char* kMapKey = "dtdl:property:mapKey;4";

struct Primitive {
  std::string_view term, type, format;
};
// The first of each type and format needs no hint.
constexpr Primitive kPrimitives[] = {
    {"double", "number", ""},
    {"integer", "integer", ""},
    {"boolean", "boolean", ""},
    {"string", "string", ""},
    {"dateTime", "string", "date-time"},
    {"date", "string", "date"},
    {"time", "string", "time"},
    {"duration", "string", "duration"},
    {"uuid", "string", "uuid"},
    {"float", "number", ""},
    {"decimal", "number", ""},
    {"long", "integer", ""},
    {"short", "integer", ""},
    {"byte", "integer", ""},
    {"unsignedByte", "integer", ""},
    {"unsignedShort", "integer", ""},
    {"unsignedInteger", "integer", ""},
    {"unsignedLong", "integer", ""},
    {"bytes", "string", ""},
};

// -- reading

class WotReader {
 public:
  WotReader(const Json& thing, const ImportOptions& options, std::vector<ConversionNote>& out)
      : thing_(thing), options_(options), notes_(out) {}

  Result<InterfaceShape> run(const std::string& id) {
    read_language();
    InterfaceShape shape;
    shape.display = texts(thing_, "title", "titles");
    shape.description = texts(thing_, "description", "descriptions");
    shape.comment = text_of(thing_, kComment);
    shape.id = id.empty() ? own_id(shape) : id;
    Names names(notes_);
    TRY(read_properties(shape, names));
    TRY(read_actions(shape, names));
    TRY(read_events(shape, names));
    read_links(shape, names);
    if (const Json* forms = array_at(thing_, "forms"); forms && !forms->empty()) note_forms();
    if (forms_)
      notes_.add("forms", "Where and how to reach the thing is said by a device and its binding");
    if (thing_.contains("security") || thing_.contains("securityDefinitions"))
      notes_.add("security", "How to sign in is said by the device's credentials");
    notes_.rest(thing_,
                "@context @type id title titles description descriptions properties actions events "
                "links forms security securityDefinitions version dtdl:property:comment;4",
                "");
    settle_texts(shape, notes_);
    return shape;
  }

 private:
  void note_forms() { forms_ = true; }

  void read_language() {
    const auto context = thing_.find("@context");
    if (context == thing_.end() || !context->is_array()) return;
    for (const Json& entry : *context)
      if (const std::string language = text_of(entry, "@language"); !language.empty())
        language_ = language;
  }

  std::string own_id(const InterfaceShape& shape) {
    std::string id = text_of(thing_, "id");
    if (dtdl::is_dtmi(id, 3)) return id;
    std::string version;
    if (const Json* given = object_at(thing_, "version")) {
      version = text_of(*given, "model");
      if (version.empty()) version = text_of(*given, "instance");
    }
    const std::string made = made_dtmi("wot", english(shape.display), version);
    notes_.add("id", fmt::format("{} is no DTMI; the interface is called {}",
                                 id.empty() ? "What identifies it" : id, made));
    return made;
  }

  Texts texts(const Json& object, const char* one, const char* many) const {
    Texts out;
    if (const Json* all = object_at(object, many))
      for (const auto& [language, text] : all->items())
        if (text.is_string()) out.emplace_back(language, text.get<std::string>());
    if (const std::string text = text_of(object, one);
        !text.empty() && std::none_of(out.begin(), out.end(),
                                      [&](const auto& known) { return known.first == language_; }))
      out.emplace_back(language_, text);
    std::sort(out.begin(), out.end());
    return out;
  }

  Status check_count(const InterfaceShape& shape) const {
    if (shape.contents.size() < options_.contents_max) return {};
    return fail(ErrorCode::kResourceExhausted,
                fmt::format("The thing has more than {} properties, actions and events",
                            options_.contents_max));
  }

  // What properties, actions and events have in common.
  void read_affordance(const Json& given, ValueShape& out) {
    out.display = texts(given, "title", "titles");
    out.description = texts(given, "description", "descriptions");
    out.comment = text_of(given, kComment);
    if (const Json* forms = array_at(given, "forms"); forms && !forms->empty()) note_forms();
  }

  Status read_properties(InterfaceShape& shape, Names& names) {
    const Json* properties = object_at(thing_, "properties");
    if (!properties) return {};
    for (const auto& [key, given] : properties->items()) {
      TRY(check_count(shape));
      const std::string at = "properties." + key;
      ContentShape content;
      if (!read_value(given, content, at, 0, "observable readOnly writeOnly forms")) continue;
      const auto flag = [&](const char* member) {
        return given.contains(member) && given[member] == true;
      };
      const bool read_only = flag("readOnly");
      const bool telemetry =
          has_type(given, "dtdl:class:Telemetry") ||
          (read_only && flag("observable") && !has_type(given, "dtdl:class:Property"));
      content.kind = telemetry ? Kind::kTelemetry : Kind::kProperty;
      content.writable = !telemetry && !read_only;
      if (flag("writeOnly"))
        notes_.add(at + ".writeOnly", "Taken as a property that can be written");
      // DTDL has arrays in properties from v4 on; every version has them in telemetry.
      content.name = names.take(key, at);
      if (array_at(given, "forms")) note_forms();
      shape.contents.push_back(std::move(content));
    }
    return {};
  }

  Status read_actions(InterfaceShape& shape, Names& names) {
    const Json* actions = object_at(thing_, "actions");
    if (!actions) return {};
    for (const auto& [key, given] : actions->items()) {
      TRY(check_count(shape));
      const std::string at = "actions." + key;
      ContentShape content;
      content.kind = Kind::kCommand;
      read_affordance(given, content);
      content.request = payload(given, "input", at);
      content.response = payload(given, "output", at);
      content.name = names.take(key, at);
      notes_.rest(given,
                  "title titles description descriptions input output forms "
                  "dtdl:property:comment;4",
                  at);
      shape.contents.push_back(std::move(content));
    }
    return {};
  }

  std::optional<ValueShape> payload(const Json& action, const char* member, const std::string& at) {
    if (!action.is_object() || !action.contains(member)) return std::nullopt;
    const Json& given = action[member];
    ValueShape value;
    if (!read_value(given, value, fmt::format("{}.{}", at, member), 0, "")) return std::nullopt;
    value.name = text_of(given, kName);
    if (!is_dtdl_name(value.name)) value.name = member;
    value.nullable = given.contains(kNullable) && given[kNullable] == true;
    return value;
  }

  Status read_events(InterfaceShape& shape, Names& names) {
    const Json* events = object_at(thing_, "events");
    if (!events) return {};
    for (const auto& [key, given] : events->items()) {
      TRY(check_count(shape));
      const std::string at = "events." + key;
      ContentShape content;
      if (!given.is_object() || !given.contains("data")) {
        notes_.add(at, "An event without data is left out: telemetry has a value");
        continue;
      }
      if (!read_value(given["data"], content, at + ".data", 0, "")) continue;
      ContentShape named;
      read_affordance(given, named);
      if (!named.display.empty()) content.display = std::move(named.display);
      if (!named.description.empty()) content.description = std::move(named.description);
      content.kind = Kind::kTelemetry;
      content.name = names.take(key, at);
      notes_.add(at, "An event is taken as telemetry");
      notes_.rest(given, "@type title titles description descriptions data forms", at);
      shape.contents.push_back(std::move(content));
    }
    return {};
  }

  void read_links(InterfaceShape& shape, Names& names) {
    const Json* links = array_at(thing_, "links");
    if (!links) return;
    for (size_t i = 0; i < links->size() && shape.contents.size() < options_.contents_max; ++i) {
      const Json& link = (*links)[i];
      const std::string rel = text_of(link, "rel"), href = text_of(link, "href");
      const std::string at = fmt::format("links[{}]", i);
      const bool dtmi = dtdl::is_dtmi(href, 3);
      ContentShape content;
      if (rel == "tm:extends" && dtmi) {
        shape.extends.push_back(href);
        continue;
      }
      if (rel == "tm:submodel" && dtmi) {
        content.kind = Kind::kComponent;
        content.target = href;
        content.name = text_of(link, "instanceName");
      } else if (rel == kRelationship && (dtmi || href == kAnything)) {
        content.kind = Kind::kRelationship;
        content.target = href == kAnything ? "" : href;
        content.name = text_of(link, kName);
        content.writable = link.contains("dtdl:property:writable;4");
        if (const auto least = number_at(link, kLeast))
          content.multiplicity_min = static_cast<int64_t>(*least);
        if (const auto most = number_at(link, kMost))
          content.multiplicity_max = static_cast<int64_t>(*most);
      } else {
        notes_.add(at, fmt::format("The link {} to {} is left out: it leads to no DTMI",
                                   rel.empty() ? "without rel" : rel, href));
        continue;
      }
      content.display = texts(link, "title", "titles");
      content.description = texts(link, "description", "descriptions");
      content.comment = text_of(link, kComment);
      content.name = names.take(content.name.empty() ? fmt::format("part{}", i) : content.name, at);
      shape.contents.push_back(std::move(content));
    }
  }

  static bool has_type(const Json& object, std::string_view prefix) {
    bool found = false;
    each_type(object, [&](std::string_view type) { found |= type.starts_with(prefix); });
    return found;
  }
  template <class Use>
  static void each_type(const Json& object, Use&& use) {
    const auto types = object.find("@type");
    if (types == object.end()) return;
    for (const Json& type : types->is_array() ? *types : Json::array({*types}))
      if (type.is_string()) use(std::string_view(type.get_ref<const std::string&>()));
  }

  // A data schema with what stands beside it; false: it cannot be mapped, which is noted.
  bool read_value(const Json& given, ValueShape& out, const std::string& at, int depth,
                  std::string_view also_handled) {
    if (!given.is_object()) {
      notes_.add(at, "This is no data schema and is left out");
      return false;
    }
    out.display = texts(given, "title", "titles");
    out.description = texts(given, "description", "descriptions");
    out.comment = text_of(given, kComment);
    each_type(given, [&](std::string_view type) {
      if (const std::string semantic = semantic_type_of_iri(type); !semantic.empty())
        out.semantic_type = semantic;
      else if (!type.starts_with("dtdl:class:"))
        notes_.add(at + ".@type", fmt::format("The type {} is left out", type));
    });
    if (!read_schema(given, out.schema, at, depth)) return false;
    read_unit(text_of(given, "unit"), out, notes_, at + ".unit");
    if (!out.semantic_type.empty() && out.unit.empty()) {
      notes_.add(at + ".@type", "A semantic type without a unit that it knows is left out");
      out.semantic_type.clear();
    }
    read_limits(given, out, at);
    notes_.rest(given,
                "@type title titles description descriptions type format enum oneOf const items "
                "properties additionalProperties unit minimum maximum exclusiveMinimum "
                "exclusiveMaximum contentEncoding dtdl:property:name;4 dtdl:property:comment;4 "
                "dtdl:property:schema;4 dtdl:property:nullable;4 dtdl:property:mapKey;4 " +
                    std::string(also_handled),
                at);
    return true;
  }

  void read_limits(const Json& given, ValueShape& out, const std::string& at) {
    out.minimum = number_at(given, "minimum");
    out.maximum = number_at(given, "maximum");
    for (const auto& [member, limit] :
         {std::pair("exclusiveMinimum", &out.minimum), std::pair("exclusiveMaximum", &out.maximum)})
      if (const auto exclusive = number_at(given, member)) {
        if (!*limit) *limit = exclusive;
        notes_.add(fmt::format("{}.{}", at, member), "The limit itself is taken as allowed");
      }
    // DTDL's integer has 32 bits; a number of a thing has as many as its limits say.
    const double far =
        std::max(std::abs(out.minimum.value_or(0)), std::abs(out.maximum.value_or(0)));
    if (out.schema.primitive == "integer" && far > 2147483647.0) out.schema.primitive = "long";
    settle_limits(out, notes_, at);
  }

  bool read_schema(const Json& given, SchemaShape& out, const std::string& at, int depth) {
    const std::string kind = text_of(given, "type");
    const bool structure = kind == "array" || kind == "object" || given.contains("enum") ||
                           given.contains("oneOf") || given.contains("const");
    if (depth > options_.depth_max || (structure && depth >= options_.depth_max)) {
      notes_.add(at, "It is nested deeper than DTDL allows and is left out");
      return false;
    }
    std::string hint = text_of(given, kSchema);
    hint = term_of(hint);
    if (is_primitive(hint)) {
      out.primitive = hint;
      return true;
    }
    if (array_at(given, "enum") || array_at(given, "oneOf") || given.contains("const"))
      return read_enum(given, out, at);
    const std::string type = text_of(given, "type"), format = text_of(given, "format");
    if (type == "array") return read_array(given, out, at, depth);
    if (type == "object") return read_object(given, out, at, depth);
    const Primitive* best = nullptr;
    for (const Primitive& one : kPrimitives)
      if (one.type == type && (one.format == format || (!best && one.format.empty())) &&
          (!best || (best->format != format && one.format == format)))
        best = &one;
    if (!best) {
      notes_.add(at, type.empty() ? "It says no type and is left out"
                                  : fmt::format("The type {} is left out", type));
      return false;
    }
    if (best->format != format)
      notes_.add(at + ".format", fmt::format("The format {} is taken as any {}", format, type));
    out.primitive = best->term;
    if (text_of(given, "contentEncoding") == "base64") out.primitive = "bytes";
    return true;
  }

  bool read_array(const Json& given, SchemaShape& out, const std::string& at, int depth) {
    const Json* items = object_at(given, "items");
    if (!items) {
      notes_.add(at + ".items", "An array without one schema for its items is left out");
      return false;
    }
    out.kind = Schema::kArray;
    out.primitive.clear();
    ValueShape item;
    if (!read_value(*items, item, at + ".items", depth + 1, "")) return false;
    ValueShape element;
    element.schema = std::move(item.schema);
    element.schema.display = std::move(item.display);
    element.schema.description = std::move(item.description);
    // A primitive schema is a name in DTDL and has no texts of its own.
    if (element.schema.kind == Schema::kPrimitive)
      element.schema.display.clear(), element.schema.description.clear();
    if (!item.unit.empty() || item.minimum || item.maximum)
      notes_.add(at + ".items", "Units and limits of an array's items are left out");
    out.children.push_back(std::move(element));
    return true;
  }

  bool read_object(const Json& given, SchemaShape& out, const std::string& at, int depth) {
    const Json* properties = object_at(given, "properties");
    out.primitive.clear();
    if (const Json* more = object_at(given, "additionalProperties"); more && !properties) {
      ValueShape key, value;
      if (!read_value(*more, value, at + ".additionalProperties", depth + 1, "")) return false;
      const Json* named = object_at(given, kMapKey);
      key.name = named ? text_of(*named, kName) : "";
      if (!is_dtdl_name(key.name)) key.name = "key";
      key.schema.primitive = "string";
      if (named) key.display = texts(*named, "title", "titles");
      value.name = text_of(*more, kName);
      if (!is_dtdl_name(value.name) || value.name == key.name) value.name = "value";
      out.kind = Schema::kMap;
      out.children = {std::move(key), std::move(value)};
      return true;
    }
    out.kind = Schema::kObject;
    Names names(notes_);
    if (properties)
      for (const auto& [key, field] : properties->items()) {
        ValueShape value;
        if (!read_value(field, value, at + "." + key, depth + 1, "readOnly")) continue;
        value.name = names.take(key, at + "." + key);
        out.children.push_back(std::move(value));
      }
    if (out.children.empty()) notes_.add(at, "An object without properties is left out");
    return !out.children.empty();
  }

  bool read_enum(const Json& given, SchemaShape& out, const std::string& at) {
    out.kind = Schema::kEnum;
    Json choices = Json::array();
    if (const Json* values = array_at(given, "enum"))
      for (const Json& value : *values) choices.push_back({{"const", value}});
    else if (const Json* any = array_at(given, "oneOf"))
      choices = *any;
    else
      choices.push_back({{"const", given["const"]}});
    const auto all = [&](auto&& fits) {
      return !choices.empty() && choices.size() <= 1000 &&
             std::all_of(choices.begin(), choices.end(), [&](const Json& one) {
               return one.is_object() && one.contains("const") && fits(one["const"]);
             });
    };
    if (all([](const Json& value) { return value.is_string(); }))
      out.primitive = "string";
    else if (all([](const Json& value) { return value.is_number_integer(); }))
      out.primitive = "integer";
    else {
      notes_.add(at, "Choices that are neither all texts nor all whole numbers are left out");
      return false;
    }
    std::vector<ConversionNote> renamed;  // how values are called is not what is on the wire
    Notes quiet(renamed);
    Names names(quiet);
    for (const Json& one : choices) {
      const Json& value = one["const"];
      EnumValueShape made;
      made.value = value.is_string() ? value.get<std::string>() : value.dump();
      made.name = text_of(one, kName);
      made.name = names.take(made.name.empty() ? made.value : made.name, at);
      made.display = texts(one, "title", "titles");
      made.description = texts(one, "description", "descriptions");
      out.values.push_back(std::move(made));
    }
    return true;
  }

  const Json& thing_;
  const ImportOptions& options_;
  Notes notes_;
  std::string language_ = "en";
  bool forms_ = false;
};

// -- writing

class WotWriter {
 public:
  explicit WotWriter(std::vector<ConversionNote>& out) : notes_(out) {}

  Json run(const InterfaceShape& shape) {
    Json out{{"@context", Json::array({kContext, {{"dtdl", "dtmi:dtdl:"}}})},
             {"@type", "tm:ThingModel"},
             {"id", shape.id}};
    put_texts(out, "title", "titles", shape.display);
    if (!out.contains("title")) out["title"] = term_of(shape.id);
    put_texts(out, "description", "descriptions", shape.description);
    if (!shape.comment.empty()) out[kComment] = shape.comment;
    if (const size_t at = shape.id.find(';'); at != shape.id.npos)
      out["version"] = {{"model", shape.id.substr(at + 1)}};
    if (shape.display.empty())
      notes_.add("title", "A thing needs a title: it is that of its identifier");
    for (const std::string& base : shape.extends) add_link(out, "tm:extends", base);
    for (const ContentShape& content : shape.contents) add(out, content);
    return out;
  }

 private:
  static Json& add_link(Json& out, std::string_view rel, const std::string& href) {
    out["links"].push_back({{"rel", rel}, {"href", href}, {"type", "application/tm+json"}});
    return out["links"].back();
  }

  static void put_texts(Json& out, const char* one, const char* many, const Texts& texts) {
    if (texts.empty()) return;
    const std::string_view first = english(texts);
    const bool plain = texts.size() == 1 && texts.front().first == "en";
    out[one] = first;
    if (!plain)
      for (const auto& [language, text] : texts) out[many][language] = text;
  }

  void add(Json& out, const ContentShape& content) {
    switch (content.kind) {
      case Kind::kTelemetry:
      case Kind::kProperty: {
        Json one = value_json(content, content.name);
        const bool telemetry = content.kind == Kind::kTelemetry;
        if (telemetry) {
          add_type(one, kTelemetry);
          one["observable"] = true;
        }
        if (telemetry || !content.writable) one["readOnly"] = true;
        out["properties"][content.name] = std::move(one);
        return;
      }
      case Kind::kCommand: {
        Json one = Json::object();
        put_common(one, content);
        for (const auto& [member, payload] :
             {std::pair("input", &content.request), std::pair("output", &content.response)})
          if (*payload) {
            one[member] = value_json(**payload, content.name + "." + member);
            one[member][kName] = (*payload)->name;
            if ((*payload)->nullable) one[member][kNullable] = true;
          }
        out["actions"][content.name] = std::move(one);
        return;
      }
      case Kind::kComponent: {
        Json& link = add_link(out, "tm:submodel", content.target);
        link["instanceName"] = content.name;
        put_common(link, content);
        return;
      }
      case Kind::kRelationship: {
        Json& link = add_link(out, kRelationship,
                              content.target.empty() ? std::string(kAnything) : content.target);
        link[kName] = content.name;
        if (content.multiplicity_min) link[kLeast] = *content.multiplicity_min;
        if (content.multiplicity_max) link[kMost] = *content.multiplicity_max;
        if (content.writable) link["dtdl:property:writable;4"] = true;
        put_common(link, content);
        for (const ValueShape& property : content.properties)
          notes_.add(content.name + "." + property.name,
                     "Properties of relationships have no place in a Thing Model");
        return;
      }
    }
  }

  static void put_common(Json& out, const ValueShape& value) {
    put_texts(out, "title", "titles", value.display);
    put_texts(out, "description", "descriptions", value.description);
    if (!value.comment.empty()) out[kComment] = value.comment;
  }
  static void add_type(Json& out, std::string_view type) {
    if (!out.contains("@type")) out["@type"] = Json::array();
    out["@type"].push_back(type);
  }

  Json value_json(const ValueShape& value, const std::string& at) {
    Json out = schema_json(value.schema, at);
    put_common(out, value);
    if (!value.semantic_type.empty())
      add_type(out, fmt::format("dtdl:{}{}", kQuantity, value.semantic_type));
    if (!value.unit.empty()) out["unit"] = unit_text(value.unit, value.semantic_type);
    if (value.minimum) out["minimum"] = number_json(*value.minimum);
    if (value.maximum) out["maximum"] = number_json(*value.maximum);
    if (value.schema.kind != Schema::kPrimitive &&
        (!value.schema.display.empty() || !value.schema.description.empty()))
      notes_.add(at, "Texts of the schema itself have no place beside those of what has it");
    return out;
  }

  Json schema_json(const SchemaShape& schema, const std::string& at) {
    switch (schema.kind) {
      case Schema::kPrimitive:
        return primitive_json(schema.primitive);
      case Schema::kEnum:
        return enum_json(schema);
      case Schema::kArray: {
        Json out{{"type", "array"}};
        if (schema.children.empty()) return out;
        const SchemaShape& of = schema.children.front().schema;
        out["items"] = schema_json(of, at + "[]");
        put_texts(out["items"], "title", "titles", of.display);
        put_texts(out["items"], "description", "descriptions", of.description);
        return out;
      }
      case Schema::kObject: {
        Json out{{"type", "object"}, {"properties", Json::object()}};
        for (const ValueShape& field : schema.children)
          out["properties"][field.name] = value_json(field, at + "." + field.name);
        return out;
      }
      case Schema::kMap: {
        Json out{{"type", "object"}};
        if (schema.children.size() < 2) return out;
        const ValueShape& key = schema.children.front();
        out["additionalProperties"] = value_json(schema.children[1], at + "{}");
        out["additionalProperties"][kName] = schema.children[1].name;
        out[kMapKey] = {{kName, key.name}};
        put_texts(out[kMapKey], "title", "titles", key.display);
        if (!key.description.empty() || !key.comment.empty())
          notes_.add(at + "{key}", "The description of a map's key has no place");
        return out;
      }
    }
    return Json::object();
  }

  static Json primitive_json(const std::string& term) {
    for (const Primitive& one : kPrimitives) {
      if (one.term != term) continue;
      Json out{{"type", one.type}};
      if (!one.format.empty()) out["format"] = one.format;
      const bool plain = !one.format.empty() || &one < kPrimitives + 4;
      if (term == "bytes") out["contentEncoding"] = "base64";
      if (!plain) out[kSchema] = fmt::format("dtdl:instance:Schema:{};4", term);
      return out;
    }
    // Geospatial schemas: GeoJSON objects (RFC 7946).
    return {{"type", "object"},
            {kSchema, fmt::format("dtmi:standard:schema:geospatial:{};4", term)}};
  }

  static Json enum_json(const SchemaShape& schema) {
    const bool whole = schema.primitive == "integer";
    Json out{{"type", whole ? "integer" : "string"}};
    std::vector<ConversionNote> unused;
    Notes quiet(unused);
    Names names(quiet);
    bool plain = true;
    for (const EnumValueShape& value : schema.values)
      plain = plain && names.take(value.value, "") == value.name && value.display.empty() &&
              value.description.empty();
    const auto constant = [&](const EnumValueShape& value) {
      return whole ? Json(std::strtoll(value.value.c_str(), nullptr, 10)) : Json(value.value);
    };
    for (const EnumValueShape& value : schema.values) {
      if (plain) {
        out["enum"].push_back(constant(value));
        continue;
      }
      Json one{{"const", constant(value)}, {kName, value.name}};
      put_texts(one, "title", "titles", value.display);
      put_texts(one, "description", "descriptions", value.description);
      out["oneOf"].push_back(std::move(one));
    }
    return out;
  }

  Notes notes_;
};

bool is_thing(const Json& json) {
  return json.is_object() &&
         (json.contains("properties") || json.contains("actions") || json.contains("events") ||
          json.contains("title") || json.contains("links"));
}

}  // namespace

Result<Imported> from_wot(const Json& document, const ImportOptions& options) {
  Imported out;
  for (const Json& thing : document.is_array() ? document : Json::array({document})) {
    if (!is_thing(thing))
      return fail(ErrorCode::kInvalidArgument,
                  "This is no Thing Description: it is a JSON object with title and properties, "
                  "actions or events");
    WotReader reader(thing, options, out.notes);
    TRY_ASSIGN(InterfaceShape shape, reader.run(out.interfaces.empty() ? options.id : ""));
    out.interfaces.push_back(std::move(shape));
    if (out.interfaces.size() > 1000)
      return fail(ErrorCode::kResourceExhausted, "At most 1000 things are taken at once");
  }
  if (out.interfaces.empty())
    return fail(ErrorCode::kInvalidArgument, "The document holds no thing");
  return out;
}

Exported to_wot(const InterfaceShape& shape) {
  Exported out;
  out.document = WotWriter(out.notes).run(shape);
  return out;
}

}  // namespace penstock::twin
