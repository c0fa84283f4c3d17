#include "twin/binding.h"

#include <cmath>

#include <gtest/gtest.h>

#include "base/io.h"
#include "base/json.h"

namespace penstock::twin {
namespace {

ModelInfo pump() {
  ModelInfo model;
  model.id = "dtmi:com:acme:Pump;1";
  const auto add = [&](const char* key, ValueKind kind, const char* unit = "") {
    ElementInfo element;
    element.key = key;
    element.kind = kind;
    element.unit = unit;
    model.elements.push_back(std::move(element));
  };
  add("temperature", ValueKind::kDouble, "degreeCelsius");
  add("running", ValueKind::kBoolean);
  add("mode", ValueKind::kText);
  add("starts", ValueKind::kInteger);
  model.elements[2].enum_values = {"auto", "manual"};
  return model;
}

Json document(std::string_view elements) {
  Json out = *parse_json(R"({"name":"pump","model":"dtmi:com:acme:Pump;1"})");
  out["elements"] = *parse_json(elements);
  return out;
}

std::string problem(const Json& json) {
  const auto read = parse_binding(json);
  if (!read) return read.error().text();
  const auto made = compile_binding(*read, 1, pump());
  return made ? "" : made.error().text();
}

TEST(BindingTest, MistakesAreNamedWithTheirPlace) {
  const struct {
    const char* elements;
    const char* says;
  } cases[] = {
      {R"([{"element":"humidity"}])", "has no element of that name"},
      {R"([{"element":"mode","from":"a"},{"element":"mode","from":"b"}])",
       "Two sources would write"},
      {R"([{"element":"temperature","scal":2}])", "elements[0].scal"},
      {R"([{"element":"temperature","scale":0}])", "elements[0].scale"},
      {R"([{"element":"temperature","scale":"2"}])", "finite number"},
      {R"([{"element":"mode","scale":2}])", "is no number"},
      {R"([{"element":"mode","values":{"0":"off"}}])", "one of auto, manual"},
      {R"([{"element":"running","values":{"0":"no"}}])", "cannot be no"},
      {R"([{"element":"starts","bits":{"first":60,"count":8}}])", "ends within 64 bits"},
      {R"([{"element":"starts","bytes":{"offset":0,"type":"uint16"}}])", "format is bytes"},
      {R"([{"element":"temperature","unit":"bar"}])", "emperature"},
      {R"([{"element":"temperature","unit":"furlong"}])", "furlong"},
      {R"([{"element":"starts","unit":"bar"}])", "no unit to convert to"},
      {R"([])", "nothing would be stored"},
      {R"([7])", "elements[0]"},
      {R"({"a":1})", "array"},
  };
  for (const auto& each : cases)
    EXPECT_NE(problem(document(each.elements)).find(each.says), std::string::npos)
        << each.elements << " -> " << problem(document(each.elements));
  EXPECT_EQ(problem(document(R"([{"element":"temperature","from":"/t"}])")), "");
}

TEST(BindingTest, ADocumentOfAnotherShapeIsRefused) {
  Json json = document(R"([{"element":"temperature"}])");
  json["topic"] = "plant/{site}/{site}";
  EXPECT_NE(problem(json).find("stands twice"), std::string::npos);
  json["topic"] = "plant/{site}/data";
  EXPECT_NE(problem(json).find("no capture of that name"), std::string::npos);  // {device}
  json["device"] = "pump-{site}";
  EXPECT_EQ(problem(json), "");
  json["protocol"] = "lwm2m";
  EXPECT_NE(problem(json).find("for the protocol mqtt"), std::string::npos);
  EXPECT_NE(problem(Json(3)).find("not an object"), std::string::npos);
  json = document(R"([{"element":"temperature"}])");
  json["model"] = "dtmi:com:acme:Valve;1";
  EXPECT_NE(problem(json).find("neither is nor extends it"), std::string::npos);
}

TEST(BindingTest, OneAddressMayFeedSeveralElements) {
  const auto read = parse_binding(document(
      R"([{"element":"running","from":"/status","bits":{"first":0,"count":1}},
          {"element":"mode","from":"/status","bits":{"first":1,"count":1},"values":{"0":"manual","1":"auto"}},
          {"element":"temperature","from":"/t"}])"));
  ASSERT_TRUE(read) << read.error().text();
  const auto made = compile_binding(*read, 3, pump());
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_EQ((*made)->rules_of("/status").size(), 2u);
  EXPECT_EQ((*made)->rules_of("/t").size(), 1u);
  EXPECT_EQ((*made)->rules_of("/u").size(), 0u);
  EXPECT_EQ((*made)->version, 3u);
}

TEST(TopicPatternTest, CapturesWhatItNames) {
  const auto pattern = TopicPattern::parse("plant/{site}/line-{line}/+/{device}/data");
  ASSERT_TRUE(pattern) << pattern.error().text();
  TopicPattern::Captures captures;
  ASSERT_TRUE(pattern->match("plant/north/line-7/x/pump 1/data", captures));
  EXPECT_EQ(captures.values[0], "north");
  EXPECT_EQ(captures.values[1], "7");
  EXPECT_EQ(captures.values[2], "pump 1");
  EXPECT_EQ(pattern->filter(), "plant/+/+/+/+/data");
  for (const char* other :
       {"plant/north/line-/x/p/data", "plant/north/line-7/x/p", "plant/north/line-7/x/p/data/more",
        "", "plant", "plant//line-7/x/p/data"})
    EXPECT_FALSE(pattern->match(other, captures)) << other;
  const auto name = NameTemplate::parse("{site}:{device}", *pattern);
  ASSERT_TRUE(name);
  std::string text;
  ASSERT_TRUE(pattern->match("plant/north/line-7/x/pump 1/data", captures));
  name->expand(captures, text);
  EXPECT_EQ(text, "north:pump%201");
}

TEST(TopicPatternTest, TheRestIsAnything) {
  const auto pattern = TopicPattern::parse("a/{b}/#");
  ASSERT_TRUE(pattern);
  TopicPattern::Captures captures;
  EXPECT_TRUE(pattern->match("a/x", captures));
  EXPECT_TRUE(pattern->match("a/x/y/z", captures));
  EXPECT_FALSE(pattern->match("a", captures));
  for (const char* wrong : {"", "a/#/b", "a/{B}", "a/{b}{c}", "a/{b", "a/x+", "{a}/{a}"})
    EXPECT_FALSE(TopicPattern::parse(wrong)) << wrong;
}

ByteView bytes_of(const char* text, size_t size) { return std::as_bytes(std::span(text, size)); }

TEST(ByteFieldTest, ReadsWhatModbusPeopleWrite) {
  const auto read = [](const char* type, const char* order, const char* text, size_t size) {
    const auto field = parse_byte_field(1, type, order);
    EXPECT_TRUE(field) << type << field.error().text();
    const auto value = read_field(*field, bytes_of(text, size));
    EXPECT_TRUE(value) << type;
    if (const auto* whole = std::get_if<int64_t>(&*value)) return static_cast<double>(*whole);
    return std::get<double>(*value);
  };
  EXPECT_EQ(read("uint16", "big", "\0\x12\x34", 3), 0x1234);
  EXPECT_EQ(read("uint16", "little", "\0\x34\x12", 3), 0x1234);
  EXPECT_EQ(read("int16", "", "\0\xff\xfe", 3), -2);
  EXPECT_EQ(read("int24", "big", "\0\xff\xff\xfe", 4), -2);
  EXPECT_EQ(read("uint32", "big_swapped", "\0\x56\x78\x12\x34", 5), 0x12345678);
  EXPECT_EQ(read("uint32", "little_swapped", "\0\x34\x12\x78\x56", 5), 0x12345678);
  EXPECT_EQ(read("float32", "big", "\0\x41\xac\0\0", 5), 21.5);
  EXPECT_EQ(read("float32", "big_swapped", "\0\0\0\x41\xac", 5), 21.5);
  EXPECT_EQ(read("float64", "little", "\0\0\0\0\0\0\x80\x35\x40", 9), 21.5);
  EXPECT_EQ(read("float16", "big", "\0\x4d\x60", 3), 21.5);
  EXPECT_EQ(read("bcd32", "big", "\0\x12\x34\x56\x78", 5), 12345678);
  EXPECT_EQ(read("uint64", "big", "\0\xff\xff\xff\xff\xff\xff\xff\xff", 9), std::ldexp(1, 64));
}

TEST(ByteFieldTest, WhatIsNotThereIsNoValue) {
  const auto field = parse_byte_field(2, "uint16", "big");
  EXPECT_FALSE(read_field(*field, bytes_of("abc", 3)));
  EXPECT_FALSE(read_field(*field, {}));
  const auto bcd = parse_byte_field(0, "bcd8", "");
  EXPECT_FALSE(read_field(*bcd, bytes_of("\x1a", 1)));
  const auto text = parse_byte_field(1, "text4", "");
  EXPECT_EQ(std::get<std::string_view>(*read_field(*text, bytes_of("xab\0c", 5))), "ab");
  for (const char* wrong : {"uint", "uint7", "int72", "float24", "text300", "double", ""})
    EXPECT_FALSE(parse_byte_field(0, wrong, "")) << wrong;
  EXPECT_FALSE(parse_byte_field(0, "uint24", "big_swapped"));
  EXPECT_FALSE(parse_byte_field(0, "uint16", "middle"));
}

// What docs/bindings.md shows is what is read.
TEST(BindingTest, TheExamplesOfTheDocumentationAreDocuments) {
  const auto text = read_file(system_files(), PENSTOCK_SOURCE_DIR "/docs/bindings.md");
  ASSERT_TRUE(text) << text.error().text();
  int examples = 0;
  constexpr std::string_view kFence = "```json\n";
  for (size_t at = text->find(kFence); at != std::string::npos; at = text->find(kFence, at)) {
    at += kFence.size();
    const size_t end = text->find("```", at);
    ASSERT_NE(end, std::string::npos);
    const auto json = parse_json(std::string_view(*text).substr(at, end - at));
    ASSERT_TRUE(json) << text->substr(at, 200);
    const auto read = parse_binding(*json);
    EXPECT_TRUE(read) << (*json)["name"] << ": " << read.error().text();
    ++examples;
  }
  EXPECT_GE(examples, 6);
}

}  // namespace
}  // namespace penstock::twin
