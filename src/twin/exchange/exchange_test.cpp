// Round trips through the other languages, and documents as others write them.

#include "twin/exchange/exchange.h"

#include <algorithm>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "twin/dtdl/parser.h"
#include "twin/units.h"

namespace penstock::twin {
namespace {

using Kind = ContentShape::Kind;
using Schema = SchemaShape::Kind;

// Interfaces made of everything that both languages have a place for.
struct Limits {
  bool maps, enum_texts;
};

class Maker {
 public:
  explicit Maker(Limits limits) : limits_(limits) {}

  InterfaceShape interface() {
    InterfaceShape shape;
    shape.id = "dtmi:test:Made;" + std::to_string(*rc::gen::inRange(1, 9));
    shape.display = texts(true);
    shape.description = texts(false);
    shape.comment = some() ? "made up" : "";
    if (some()) shape.extends = {"dtmi:test:Base;1"};
    const int count = *rc::gen::inRange(0, 8);
    for (int i = 0; i < count; ++i) shape.contents.push_back(content("c" + std::to_string(i)));
    return shape;
  }

 private:
  static bool some() { return *rc::gen::arbitrary<bool>(); }
  static std::string pick(std::vector<std::string> from) {
    return *rc::gen::elementOf(std::move(from));
  }

  static Texts texts(bool always) {
    if (!always && some()) return {};
    if (some()) return {{"en", "Some “text”"}};
    return {{"de", "Ein Text"}, {"en", "A text"}};
  }

  SchemaShape schema(int depth) {
    SchemaShape out;
    const int what = depth > 2 ? 0 : *rc::gen::inRange(0, limits_.maps ? 6 : 5);
    out.primitive.clear();
    if (what <= 1) {
      out.primitive =
          pick({"double", "float", "integer", "long", "boolean", "string", "date", "dateTime",
                "time", "duration", "short", "unsignedByte", "decimal", "uuid", "bytes", "point"});
    } else if (what == 2) {
      out.kind = Schema::kEnum;
      out.primitive = pick({"string", "integer"});
      for (int i = *rc::gen::inRange(1, 4); i > 0; --i) {
        EnumValueShape value{"v" + std::to_string(i), std::to_string(i * 7), {}, {}};
        if (limits_.enum_texts) value.display = texts(false);
        out.values.push_back(std::move(value));
      }
    } else if (what == 3) {
      out.kind = Schema::kArray;
      ValueShape item;
      item.schema = schema(depth + 1);
      if (item.schema.kind != Schema::kPrimitive) item.schema.display = texts(false);
      out.children.push_back(std::move(item));
    } else if (what == 4) {
      out.kind = Schema::kObject;
      for (int i = *rc::gen::inRange(1, 4); i > 0; --i)
        out.children.push_back(value("f" + std::to_string(i), depth + 1));
    } else {
      out.kind = Schema::kMap;
      ValueShape key;
      key.name = "key";
      key.schema.primitive = "string";
      out.children = {std::move(key), value("entry", depth + 1)};
    }
    return out;
  }

  ValueShape value(const std::string& name, int depth) {
    ValueShape out;
    out.name = name;
    out.display = texts(false);
    out.description = texts(false);
    out.comment = some() ? "no comment" : "";
    if (some()) {
      out.schema = schema(depth);
      return out;
    }
    out.schema.primitive = pick({"double", "long"});
    std::vector<const UnitInfo*> known;
    for (const UnitInfo& unit : units())
      if ((unit.versions & 8) != 0 && !semantic_types_of(unit.name).empty()) known.push_back(&unit);
    const UnitInfo* unit = *rc::gen::elementOf(known);
    out.unit = unit->name;
    out.semantic_type = semantic_types_of(unit->name).front();
    if (some()) out.minimum = *rc::gen::inRange(-100000, 0);
    const double step = out.schema.primitive == "long" ? 4 : 0.25;
    if (some()) out.maximum = *rc::gen::inRange(1, 4000) * step;
    return out;
  }

  ContentShape content(const std::string& name) {
    ContentShape out;
    out.kind = *rc::gen::element(Kind::kTelemetry, Kind::kProperty, Kind::kCommand,
                                 Kind::kRelationship, Kind::kComponent);
    if (out.kind == Kind::kTelemetry || out.kind == Kind::kProperty) {
      static_cast<ValueShape&>(out) = value(name, 0);
      out.writable = out.kind == Kind::kProperty && some();
      return out;
    }
    out.name = name;
    out.display = texts(false);
    out.description = texts(false);
    if (out.kind == Kind::kCommand) {
      if (some()) out.request = value("speed", 0);
      if (some()) out.response = value("result", 0);
      if (out.request) out.request->nullable = some();
    } else if (out.kind == Kind::kComponent) {
      out.target = "dtmi:test:Base;1";
    } else {
      out.target = some() ? "dtmi:test:Base;1" : "";
      if (some()) out.multiplicity_max = *rc::gen::inRange(1, 500);
      out.writable = some();
    }
    return out;
  }

  Limits limits_;
};

void sort_fields(ValueShape& value);
void sort_fields(SchemaShape& schema) {
  if (schema.kind == Schema::kObject)
    std::sort(schema.children.begin(), schema.children.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
  for (ValueShape& child : schema.children) sort_fields(child);
}
void sort_fields(ValueShape& value) { sort_fields(value.schema); }

// The order of an object's members is not kept in JSON.
InterfaceShape sorted(InterfaceShape shape) {
  std::sort(shape.contents.begin(), shape.contents.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  for (ContentShape& content : shape.contents) {
    sort_fields(content);
    if (content.request) sort_fields(*content.request);
    if (content.response) sort_fields(*content.response);
  }
  return shape;
}

std::string told(const std::vector<ConversionNote>& notes) {
  std::string out;
  for (const auto& note : notes) out += note.at + ": " + note.text + "\n";
  return out;
}

// The document is DTDL, and says what the shape says.
void check_document(const InterfaceShape& shape) {
  const std::string text = write_dtdl(shape).dump();
  const std::string base =
      R"({"@context":"dtmi:dtdl:context;3","@id":"dtmi:test:Base;1","@type":"Interface"})";
  const std::vector<std::string_view> texts{text, base};
  const auto parsed = dtdl::parse(texts);
  if (!parsed.valid())
    RC_FAIL(text + "\n" + (parsed.errors.empty() ? "unresolved" : parsed.errors.front().text()));
  std::vector<ConversionNote> notes;
  const auto read = read_shape(parsed.model, shape.id, notes);
  RC_ASSERT(read.has_value());
  if (!(*read == shape)) RC_FAIL("it reads otherwise: " + text + "\n" + write_dtdl(*read).dump());
}

RC_GTEST_PROP(Exchange, AThingModelSaysTheSameAsTheInterface, ()) {
  const InterfaceShape shape = Maker({.maps = true, .enum_texts = true}).interface();
  check_document(shape);
  const Exported made = to_wot(shape);
  if (!made.notes.empty()) RC_FAIL(told(made.notes));
  const auto back = from_wot(made.document);
  RC_ASSERT(back.has_value());
  if (!back->notes.empty()) RC_FAIL(told(back->notes) + made.document.dump());
  if (!(sorted(back->interfaces.front()) == sorted(shape)))
    RC_FAIL(made.document.dump() + "\n" + write_dtdl(back->interfaces.front()).dump() + "\n" +
            write_dtdl(shape).dump());
}

RC_GTEST_PROP(Exchange, ASubmodelSaysTheSameAsTheInterface, ()) {
  const InterfaceShape shape = Maker({.maps = false, .enum_texts = false}).interface();
  const Exported made = to_aas(shape);
  if (!made.notes.empty()) RC_FAIL(told(made.notes));
  const auto back = from_aas(made.document);
  RC_ASSERT(back.has_value());
  if (!back->notes.empty()) RC_FAIL(told(back->notes) + made.document.dump());
  if (!(sorted(back->interfaces.front()) == sorted(shape)))
    RC_FAIL(made.document.dump() + "\n" + write_dtdl(back->interfaces.front()).dump() + "\n" +
            write_dtdl(shape).dump());
}

bool has_note(const std::vector<ConversionNote>& notes, std::string_view at) {
  return std::any_of(notes.begin(), notes.end(), [&](const auto& note) { return note.at == at; });
}

constexpr std::string_view kThing = R"({
 "@context": ["https://www.w3.org/2022/wot/td/v1.1", {"@language": "de", "saref": "https://w3id.org/saref#"}],
 "id": "urn:dev:ops:32473-Lamp", "title": "Lampe", "titles": {"en": "Room lamp"}, "version": {"instance": "2.1"},
 "securityDefinitions": {"basic_sc": {"scheme": "basic"}}, "security": "basic_sc",
 "properties": {
   "status": {"type": "string", "enum": ["on", "off", "stand-by"], "readOnly": true, "observable": true,
              "forms": [{"href": "https://mylamp.example.com/status"}]},
   "colour-temperature": {"type": "integer", "minimum": 2000, "exclusiveMaximum": 6500, "unit": "unit:K"},
   "power": {"@type": "saref:Power", "type": "number", "unit": "om2:kilowatt", "readOnly": true, "observable": true},
   "serial": {"type": "string", "maxLength": 20, "readOnly": true},
   "energyTotal": {"type": "integer", "maximum": 9000000000.5, "readOnly": true, "unit": "flops"},
   "untyped": {"description": "anything"}},
 "actions": {"toggle": {"safe": false}, "fade": {"input": {"type": "object", "properties": {
   "to": {"type": "number"}, "seconds": {"type": "integer"}}, "required": ["to"]}, "output": {"type": "boolean"}}},
 "events": {"overheated": {"data": {"type": "number", "unit": "Cel"}}, "gone": {}},
 "links": [{"rel": "type", "href": "https://example.com/lamp.tm.json"}]})";

TEST(Wot, AThingOfAnotherMakeBecomesAnInterfaceAndTheRestIsListed) {
  const auto read = from_wot(Json::parse(kThing));
  ASSERT_TRUE(read);
  const InterfaceShape& shape = read->interfaces.front();
  EXPECT_EQ(shape.id, "dtmi:wot:RoomLamp;2");
  EXPECT_EQ(shape.display, (Texts{{"de", "Lampe"}, {"en", "Room lamp"}}));
  const auto content = [&](std::string_view key) -> const ContentShape& {
    return *std::find_if(shape.contents.begin(), shape.contents.end(),
                         [&](const auto& one) { return one.name == key; });
  };
  EXPECT_EQ(shape.contents.size(), 8u);
  EXPECT_EQ(content("status").kind, Kind::kTelemetry);
  EXPECT_EQ(content("status").schema.values[2].name, "stand_by");
  EXPECT_EQ(content("status").schema.values[2].value, "stand-by");
  EXPECT_TRUE(content("colour_temperature").writable);
  EXPECT_EQ(content("colour_temperature").unit, "kelvin");
  EXPECT_EQ(content("colour_temperature").maximum, 6500);
  EXPECT_EQ(content("power").unit, "kilowatt");
  EXPECT_EQ(content("power").semantic_type, "Power");
  EXPECT_EQ(content("energyTotal").schema.primitive, "long");
  EXPECT_EQ(content("fade").request->schema.children.size(), 2u);
  EXPECT_EQ(content("overheated").unit, "degreeCelsius");
  for (const char* at :
       {"id", "forms", "security", "properties.colour-temperature",
        "properties.colour-temperature.exclusiveMaximum", "properties.power.@type",
        "properties.serial.maxLength", "properties.energyTotal.unit",
        "properties.energyTotal.maximum", "properties.untyped", "actions.toggle.safe",
        "actions.fade.input.required", "events.gone", "events.overheated", "links[0]"})
    EXPECT_TRUE(has_note(read->notes, at)) << at << " is not among\n" << told(read->notes);
  const std::string text = read->documents().dump();
  const auto parsed = dtdl::parse(std::vector<std::string_view>{text});
  EXPECT_TRUE(parsed.valid()) << parsed.errors.front().text();
}

TEST(Wot, WhatIsNoThingIsRefused) {
  for (const char* text : {"[]", "{}", "3", "null", R"([{"title":"a"},7])", R"({"id":"x"})"})
    EXPECT_FALSE(from_wot(Json::parse(text))) << text;
  // Members of the wrong kind are left out, and said so.
  const auto odd = from_wot(Json::parse(
      R"({"title":7,"properties":{"a":5,"b":{"type":"array"},"c":{"enum":[1,"x"]},"d":{"type":"object"},
          "e":{"type":"array","items":{"type":"object","properties":{"x":{}}}}},"links":[3],"actions":[],"events":3})"));
  ASSERT_TRUE(odd);
  EXPECT_TRUE(odd->interfaces.front().contents.empty());
  EXPECT_GE(odd->notes.size(), 6u) << told(odd->notes);
}

constexpr std::string_view kEnvironment = R"({
 "assetAdministrationShells": [{"modelType": "AssetAdministrationShell", "id": "https://example.com/shell/1"}],
 "submodels": [{"modelType": "Submodel", "id": "https://example.com/ids/sm/4343_5072_7091_3242", "idShort": "OperationalData",
   "administration": {"version": "3", "revision": "1"}, "displayName": [{"language": "en", "text": "Operational data"}],
   "submodelElements": [
     {"modelType": "Property", "idShort": "RotationSpeed", "category": "VARIABLE", "valueType": "xs:integer", "value": "4370",
      "semanticId": {"type": "ExternalReference", "keys": [{"type": "GlobalReference", "value": "0173-1#02-BAA120#008"}]}},
     {"modelType": "Property", "idShort": "Mode", "valueType": "xs:string", "qualifiers": [{"type": "SMT/Cardinality", "valueType": "xs:string", "value": "One"}]},
     {"modelType": "MultiLanguageProperty", "idShort": "Maker"},
     {"modelType": "Range", "idShort": "Torque", "valueType": "xs:double"},
     {"modelType": "File", "idShort": "Manual", "contentType": "application/pdf"},
     {"modelType": "ReferenceElement", "idShort": "fedBy", "value": {"type": "ModelReference", "keys": [{"type": "Submodel", "value": "urn:other"}]}},
     {"modelType": "Operation", "idShort": "Start", "inputVariables": [
        {"value": {"modelType": "Property", "idShort": "speed", "valueType": "xs:double"}},
        {"value": {"modelType": "Property", "idShort": "ramp", "valueType": "xs:double"}}]},
     {"modelType": "SubmodelElementList", "idShort": "Hours", "typeValueListElement": "Property", "valueTypeListElement": "xs:int"},
     {"modelType": "Capability", "idShort": "CanDrill"}]}],
 "conceptDescriptions": [{"modelType": "ConceptDescription", "id": "0173-1#02-BAA120#008", "embeddedDataSpecifications": [
   {"dataSpecification": {}, "dataSpecificationContent": {"modelType": "DataSpecificationIec61360",
     "preferredName": [{"language": "de", "text": "Drehzahl"}], "unit": "1/min", "dataType": "INTEGER_MEASURE"}}]}]})";

TEST(Aas, ASubmodelOfAnotherMakeBecomesAnInterfaceAndTheRestIsListed) {
  const auto read = from_aas(Json::parse(kEnvironment));
  ASSERT_TRUE(read);
  const InterfaceShape& shape = read->interfaces.front();
  EXPECT_EQ(shape.id, "dtmi:aas:OperationalData;3");
  ASSERT_EQ(shape.contents.size(), 7u) << told(read->notes);
  EXPECT_EQ(shape.contents[0].name, "RotationSpeed");
  EXPECT_EQ(shape.contents[0].kind, Kind::kTelemetry);
  EXPECT_EQ(shape.contents[0].schema.primitive, "long");
  EXPECT_EQ(shape.contents[0].unit, "reciprocalMinute");
  EXPECT_EQ(shape.contents[0].display, (Texts{{"de", "Drehzahl"}}));
  EXPECT_EQ(shape.contents[4].kind, Kind::kRelationship);
  EXPECT_EQ(shape.contents[5].request->name, "input");
  EXPECT_EQ(shape.contents[6].schema.kind, Schema::kArray);
  for (const char* at :
       {"assetAdministrationShells", "id", "value", "RotationSpeed.valueType", "Mode.qualifiers",
        "Manual", "CanDrill", "fedBy.value", "Start.inputVariables"})
    EXPECT_TRUE(has_note(read->notes, at)) << at << " is not among\n" << told(read->notes);
  const std::string text = read->documents().dump();
  const auto parsed = dtdl::parse(std::vector<std::string_view>{text});
  EXPECT_TRUE(parsed.valid()) << parsed.errors.front().text() << text;
}

TEST(Aas, WhatIsNoSubmodelIsRefused) {
  for (const char* text : {"[]", "{}", "3", R"({"submodels":[]})", R"([{"modelType":"File"}])"})
    EXPECT_FALSE(from_aas(Json::parse(text))) << text;
  const auto odd = from_aas(Json::parse(
      R"({"modelType":"Submodel","submodelElements":[3,{},{"modelType":"Property","idShort":5},
          {"modelType":"SubmodelElementCollection"},{"modelType":"Operation","inputVariables":[4]}]})"));
  ASSERT_TRUE(odd);
  EXPECT_FALSE(odd->notes.empty());
}

TEST(Exchange, LimitsHold) {
  Json thing{{"title", "big"}};
  for (int i = 0; i < 60; ++i) thing["properties"]["p" + std::to_string(i)] = {{"type", "number"}};
  ImportOptions options;
  options.contents_max = 50;
  EXPECT_FALSE(from_wot(thing, options));
  Json deep{{"type", "number"}};
  for (int i = 0; i < 30; ++i) deep = {{"type", "array"}, {"items", deep}};
  const auto read = from_wot({{"title", "deep"}, {"properties", {{"p", deep}}}});
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->interfaces.front().contents.empty());
  EXPECT_FALSE(read->notes.empty());
}

TEST(Exchange, WhatHasNoPlaceIsNoted) {
  InterfaceShape shape;
  shape.id = "dtmi:test:A;1";
  ContentShape relationship;
  relationship.kind = Kind::kRelationship;
  relationship.name = "near";
  relationship.properties.emplace_back().name = "distance";
  shape.contents = {relationship};
  EXPECT_TRUE(has_note(to_wot(shape).notes, "near.distance"));
  EXPECT_TRUE(has_note(to_aas(shape).notes, "near.distance"));
}

}  // namespace
}  // namespace penstock::twin
