// Codecs against the examples of OMA-TS-LightweightM2M_Core 1.1.1 and RFC 7252, and round trips.

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "interop/lwm2m/coap.h"
#include "interop/lwm2m/content.h"
#include "interop/lwm2m/core_link.h"
#include "interop/lwm2m/objects.h"
#include "interop/lwm2m/senml.h"
#include "interop/lwm2m/tlv.h"

namespace penstock::interop::lwm2m {
namespace {

Bytes hex(std::string_view text) {
  Bytes out;
  std::string digits;
  for (const char c : text) {
    if (c == ' ' || c == '\n') continue;
    digits.push_back(c);
    if (digits.size() == 2) {
      out.push_back(static_cast<std::byte>(std::stoul(digits, nullptr, 16)));
      digits.clear();
    }
  }
  return out;
}

const ObjectTable& table() {
  static const ObjectTable objects(built_in_objects());
  return objects;
}

Path path(std::string_view text) { return *Path::parse(text); }

std::vector<Entry> decode(Format format, ByteView bytes, std::string_view base) {
  std::vector<Entry> out;
  const Status done = decode_content(format, bytes, path(base), table(), {}, out);
  EXPECT_TRUE(done) << (done ? "" : done.error().text());
  return out;
}

Status refuses(Format format, ByteView bytes, std::string_view base) {
  std::vector<Entry> out;
  return decode_content(format, bytes, path(base), table(), {}, out);
}

// Core 1.1.1, 7.4.3.2: the answer to a read of /3/0.
constexpr std::string_view kDeviceTlv = R"(
  C8 00 14 4F 70 65 6E 20 4D 6F 62 69 6C 65 20 41 6C 6C 69 61 6E 63 65
  C8 01 16 4C 69 67 68 74 77 65 69 67 68 74 20 4D 32 4D 20 43 6C 69 65 6E 74
  C8 02 09 33 34 35 30 30 30 31 32 33
  C3 03 31 2E 30
  86 06 41 00 01 41 01 05
  88 07 08 42 00 0E D8 42 01 13 88
  87 08 41 00 7D 42 01 03 84
  C1 09 64
  C1 0A 0F
  83 0B 41 00 00
  C4 0D 51 82 42 8F
  C6 0E 2B 30 32 3A 30 30
  C1 10 55)";

void expect_device(const std::vector<Entry>& entries) {
  ASSERT_EQ(entries.size(), 16u);
  EXPECT_EQ(entries[0].path, path("/3/0/0"));
  EXPECT_EQ(entries[0].value.text, "Open Mobile Alliance");
  EXPECT_EQ(entries[1].value.text, "Lightweight M2M Client");
  EXPECT_EQ(entries[4].path, path("/3/0/6/0"));
  EXPECT_EQ(entries[5].value.integer, 5);
  EXPECT_EQ(entries[6].value.integer, 3800);
  EXPECT_EQ(entries[9].value.integer, 900);
  EXPECT_EQ(entries[10].value.integer, 100);
  EXPECT_EQ(entries[13].value.type, DataType::kTime);
  EXPECT_EQ(entries[13].value.integer, 1'367'491'215);
  EXPECT_EQ(entries[14].value.text, "+02:00");
}

TEST(LwM2MTlv, ReadsTheSpecificationsDevice) {
  const Bytes bytes = hex(kDeviceTlv);
  ASSERT_EQ(bytes.size(), 121u);
  const auto entries = decode(Format::kTlv, bytes, "/3/0");
  expect_device(entries);
  // Written again, it is the same, byte for byte.
  Bytes again;
  ASSERT_TRUE(encode_tlv(entries, path("/3/0"), again));
  EXPECT_EQ(again, bytes);
}

TEST(LwM2MTlv, ReadsObjectsWithInstances) {
  // 7.4.3.2: a read of object 2, two instances of access control.
  const Bytes bytes =
      hex("08 00 0E C1 00 01 C1 01 00 83 02 41 7F 07 C1 03 7F"
          "08 02 12 C1 00 03 C1 01 00 87 02 41 7F 07 61 01 36 01 C1 03 7F");
  const auto entries = decode(Format::kTlv, bytes, "/2");
  ASSERT_EQ(entries.size(), 9u);
  EXPECT_EQ(entries[2].path, path("/2/0/2/127"));
  EXPECT_EQ(entries[7].path, path("/2/2/2/310"));
  EXPECT_EQ(entries[7].value.integer, 1);
  Bytes again;
  ASSERT_TRUE(encode_tlv(entries, path("/2"), again));
  EXPECT_EQ(again, bytes);
}

TEST(LwM2MTlv, AnObjectsOnlyInstanceMayBeLeftOut) {
  const auto entries = decode(Format::kTlv, hex("C1 09 64"), "/3");
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].path, path("/3/0/9"));
}

TEST(LwM2MTlv, RefusesWhatIsBroken) {
  EXPECT_FALSE(refuses(Format::kTlv, hex("C8"), "/3/0"));
  EXPECT_FALSE(refuses(Format::kTlv, hex("C8 00 14 4F"), "/3/0"));
  EXPECT_FALSE(refuses(Format::kTlv, hex("C0 09"), "/3/0"));  // an integer of no bytes
  EXPECT_FALSE(refuses(Format::kTlv, hex("C3 09 00 00 00 00"), "/"));
  EXPECT_FALSE(refuses(Format::kTlv, hex("41 00 01"), "/3/0"));  // a resource instance without one
  EXPECT_FALSE(refuses(Format::kTlv, hex("E1 FF FF 01"), "/3/0"));  // id 65535
}

TEST(LwM2MSenml, ReadsTheSpecificationsDeviceAsJson) {
  const std::string_view text = R"([{"bn":"/3/0/","n":"0","vs":"Open Mobile Alliance"},
    {"n":"1","vs":"Lightweight M2M Client"},{"n":"2","vs":"345000123"},{"n":"3","vs":"1.0"},
    {"n":"6/0","v":1},{"n":"6/1","v":5},{"n":"7/0","v":3800},{"n":"7/1","v":5000},
    {"n":"8/0","v":125},{"n":"8/1","v":900},{"n":"9","v":100},{"n":"10","v":15},
    {"n":"11/0","v":0},{"n":"13","v":1367491215},{"n":"14","vs":"+02:00"},{"n":"16","vs":"U"}])";
  expect_device(decode(Format::kSenmlJson, as_bytes(text), "/3/0"));
}

TEST(LwM2MSenml, TimesAreRelativeToTheBase) {
  const std::string_view text = R"([{"bn":"/3303/0/5700","bt":1700000000,"v":22.4},
      {"v":22.9,"t":-30},{"v":24,"t":-50.5}])";
  const auto entries = decode(Format::kSenmlJson, as_bytes(text), "/");
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].time, 1'700'000'000);
  EXPECT_EQ(entries[2].time, 1'699'999'949.5);
  EXPECT_EQ(entries[2].value.type, DataType::kFloat);
  EXPECT_EQ(entries[2].value.number, 24);
}

TEST(LwM2MSenml, ReadsCbor) {
  // The first records of the example of 7.4.5, then a boolean, an object link and bytes.
  const Bytes bytes = hex(
      "85 a3 21 65 2f 33 2f 30 2f 00 61 30 03 74 4f 70 65 6e 20 4d 6f 62 69 6c 65 20 41 6c 6c 69 61"
      "6e 63 65 a2 00 63 37 2f 31 02 19 13 88 a2 00 62 31 33 02 1a 51 82 42 8f"
      "a3 21 64 2f 31 2f 30 00 62 2f 36 04 f5"
      "a3 21 60 00 67 2f 31 2f 30 2f 31 30 63 76 6c 6f 63 31 31 3a");
  std::vector<Entry> out;
  Bytes whole = bytes;
  for (const char c : std::string_view("30")) whole.push_back(static_cast<std::byte>(c));
  whole[whole.size() - 6] = std::byte{0x65};  // "11:30" has five characters
  const Status done = decode_senml_cbor(whole, path("/3/0"), table(), {}, out);
  ASSERT_TRUE(done) << done.error().text();
  ASSERT_EQ(out.size(), 5u);
  EXPECT_EQ(out[0].value.text, "Open Mobile Alliance");
  EXPECT_EQ(out[1].path, path("/3/0/7/1"));
  EXPECT_EQ(out[2].value.integer, 1'367'491'215);
  EXPECT_EQ(out[3].value, Value::of_boolean(true));
  EXPECT_EQ(out[4].value.text, "11:30");
}

TEST(LwM2MSenml, CborNumbersOfAllForms) {
  const auto one = [](std::string_view value) {
    std::vector<Entry> out;
    const Bytes bytes =
        hex(std::string("81 a2 00 6c 2f 33 33 30 33 2f 30 2f 35 37 30 30 02") + std::string(value));
    const Status done = decode_senml_cbor(bytes, path("/"), table(), {}, out);
    return done && out.size() == 1 ? out[0].value.number : -999;
  };
  EXPECT_EQ(one("18 19"), 25);
  EXPECT_EQ(one("38 18"), -25);
  EXPECT_EQ(one("f9 4e 40"), 25);                      // half
  EXPECT_EQ(one("fa 41 cc cc cd"), double{25.6F});     // single
  EXPECT_EQ(one("fb 40 39 99 99 99 99 99 9a"), 25.6);  // double
  EXPECT_EQ(one("c4 82 20 19 01 00"), 25.6);           // decimal fraction 256e-1
}

TEST(LwM2MSenml, RefusesWhatIsBroken) {
  EXPECT_FALSE(refuses(Format::kSenmlCbor, hex("81"), "/3/0"));
  EXPECT_FALSE(refuses(Format::kSenmlCbor, hex("9b ff ff ff ff ff ff ff ff"), "/3/0"));
  EXPECT_FALSE(refuses(Format::kSenmlCbor, hex("81 a1 02 7b ff ff ff ff ff ff ff ff"), "/3/0/9"));
  EXPECT_FALSE(refuses(Format::kSenmlJson, as_bytes("[{\"n\":\"/3/0/9\",\"vs\":\"x\"}]"), "/"));
  EXPECT_FALSE(refuses(Format::kSenmlJson, as_bytes("[{\"n\":\"/3/0/9\",\"x_\":1,\"v\":1}]"), "/"));
  EXPECT_FALSE(refuses(Format::kSenmlJson, as_bytes("[{\"n\":\"/3\",\"v\":1}]"), "/"));
  EXPECT_FALSE(refuses(Format::kSenmlJson, as_bytes("[[[[[[[[[[[["), "/"));
}

TEST(LwM2MSenml, ReadsTheJsonOfVersion1) {
  const std::string_view text =
      R"({"bn":"/3/0/","e":[{"n":"0","sv":"Open Mobile Alliance"},{"n":"9","v":100},{"n":"7/0","v":3800}]})";
  const auto entries = decode(Format::kJson, as_bytes(text), "/3/0");
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[2].path, path("/3/0/7/0"));
}

TEST(LwM2MContent, PlainTextByType) {
  EXPECT_EQ(decode(Format::kText, as_bytes("25.5"), "/3303/0/5700")[0].value.number, 25.5);
  EXPECT_EQ(decode(Format::kText, as_bytes("-3"), "/3/0/9")[0].value.integer, -3);
  EXPECT_FALSE(refuses(Format::kText, as_bytes("warm"), "/3303/0/5700"));
  EXPECT_FALSE(refuses(Format::kText, as_bytes("1"), "/3/0"));
}

TEST(LwM2MLinks, ReadsARegistration) {
  const auto read = parse_registration(
      R"(</>;rt="oma.lwm2m";ct="60 110 112",</1/0>;ver=1.1,</3/0>,</5>,</3303/0>,</3303/1>,</sensors>)");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->root, "");
  EXPECT_EQ(read->formats, (std::vector{Format::kCbor, Format::kSenmlJson, Format::kSenmlCbor}));
  ASSERT_EQ(read->instances.size(), 5u);
  EXPECT_EQ(read->instances[2], path("/5"));
  EXPECT_EQ(read->versions.at(1), "1.1");
  const auto rooted = parse_registration(R"(</lwm2m>;rt="oma.lwm2m", </lwm2m/1/0>,</lwm2m/3/0>)");
  ASSERT_TRUE(rooted);
  EXPECT_EQ(rooted->root, "/lwm2m");
  EXPECT_EQ(rooted->instances.size(), 2u);
  EXPECT_FALSE(parse_registration("3/0"));
  EXPECT_FALSE(parse_registration("</3/0>;ver=\"1"));
}

TEST(LwM2MLinks, ReadsADiscovery) {
  // Core 1.1.1, 6.3.3.
  const auto links =
      parse_links(R"(</3>;pmin=10,</3/0>;pmax=60,</3/0/6>;dim=8,</3/0/7>;dim=8;gt=50;lt=42.2)");
  ASSERT_TRUE(links);
  ASSERT_EQ(links->size(), 4u);
  EXPECT_EQ((*links)[3].parameter("lt"), "42.2");
}

TEST(LwM2MAttributes, ContradictionsAreRefused) {
  Attributes attributes;
  ASSERT_TRUE(attributes.set("lt", "20"));
  ASSERT_TRUE(attributes.set("gt", "30"));
  ASSERT_TRUE(attributes.check());
  ASSERT_TRUE(attributes.set("st", "5"));
  EXPECT_FALSE(attributes.check());
  EXPECT_FALSE(attributes.set("pmin", "-1"));
  EXPECT_FALSE(attributes.set("colour", "1"));
  EXPECT_EQ(attributes.queries(), (std::vector<std::string>{"gt=30", "lt=20", "st=5"}));
}

TEST(LwM2MPath, ParsesAndPrints) {
  EXPECT_EQ(path("/3303/0/5700").text(), "/3303/0/5700");
  EXPECT_EQ(path("3/0").depth, 2);
  EXPECT_EQ(path("/").depth, 0);
  for (const char* bad : {"//", "/a", "/1//2", "/65535", "/1/2/3/4/5", "/-1", "/1 "})
    EXPECT_FALSE(Path::parse(bad)) << bad;
  EXPECT_TRUE(path("/3/0/9").within(path("/3")));
  EXPECT_FALSE(path("/30/0").within(path("/3")));
}

TEST(LwM2MCoap, ReadsTheExampleOfRfc7252) {
  // Appendix A, figure 16: GET coap://server/temperature, MID 0x7d34; with a token (figure 18).
  coap::Message message;
  const Bytes bytes = hex("41 01 7d 35 20 bb 74 65 6d 70 65 72 61 74 75 72 65");
  ASSERT_EQ(coap::read_datagram(bytes, message), coap::ReadResult::kDone);
  EXPECT_EQ(message.code, coap::kGet);
  EXPECT_EQ(message.id, 0x7d35);
  EXPECT_EQ(message.token.number(), 0x20u);
  std::string where;
  message.path(where);
  EXPECT_EQ(where, "/temperature");
  EXPECT_EQ(coap::read_datagram(hex("40 01 00 01 ff"), message), coap::ReadResult::kBroken);
  EXPECT_EQ(coap::read_datagram(hex("4f 01 00 01"), message), coap::ReadResult::kBroken);
  EXPECT_EQ(coap::read_datagram(hex("c0 01 00 01"), message), coap::ReadResult::kIgnore);
}

RC_GTEST_PROP(LwM2MCoap, WhatIsWrittenIsRead, ()) {
  coap::Outgoing out;
  out.code = *rc::gen::inRange<uint8_t>(1, 200);
  out.id = *rc::gen::arbitrary<uint16_t>();
  out.token = coap::Token::of(*rc::gen::arbitrary<uint64_t>(), *rc::gen::inRange<uint8_t>(0, 9));
  const auto options = *rc::gen::inRange<size_t>(0, 20);
  for (size_t i = 0; i < options; ++i)
    out.add(*rc::gen::inRange<uint16_t>(1, 3000),
            std::string(*rc::gen::inRange<size_t>(0, 400), 'x'));
  out.payload = Bytes(*rc::gen::inRange<size_t>(0, 70'000), std::byte{7});
  for (const bool stream : {false, true}) {
    Bytes bytes;
    coap::Message read;
    if (stream) {
      coap::write_frame(out, bytes);
      size_t size = 0;
      RC_ASSERT(coap::read_frame(bytes, 1 << 20, read, size) == coap::ReadResult::kDone);
      RC_ASSERT(size == bytes.size());
    } else {
      coap::write_datagram(out, bytes);
      RC_ASSERT(coap::read_datagram(bytes, read) == coap::ReadResult::kDone);
      RC_ASSERT(read.id == out.id);
    }
    RC_ASSERT(read.code == out.code);
    RC_ASSERT(read.token == out.token);
    RC_ASSERT(read.options().size() == out.options.size());
    RC_ASSERT(std::equal(read.payload.begin(), read.payload.end(), out.payload.begin(),
                         out.payload.end()));
  }
}

Value any_value() {
  switch (*rc::gen::inRange(0, 6)) {
    case 0:
      return Value::of_integer(*rc::gen::arbitrary<int64_t>());
    case 1:
      return Value::of_float(*rc::gen::arbitrary<double>());
    case 2:
      return Value::of_boolean(*rc::gen::arbitrary<bool>());
    case 3:
      return Value::of_text(*rc::gen::string<std::string>(), DataType::kOpaque);
    case 4:
      return Value::of_integer(*rc::gen::arbitrary<int32_t>(), DataType::kTime);
    default:
      return Value::of_text(*rc::gen::container<std::string>(rc::gen::inRange('a', 'z')));
  }
}

// A table that knows the types of what was made.
class MadeTypes final : public TypeSource {
 public:
  std::map<uint16_t, DataType> types;
  DataType type_of(uint16_t, uint16_t resource) const override { return types.at(resource); }
  bool is_multiple(uint16_t, uint16_t) const override { return false; }
};

RC_GTEST_PROP(LwM2MContent, EachFormatGivesBackWhatWasWritten, ()) {
  MadeTypes types;
  std::vector<Entry> entries;
  const auto count = *rc::gen::inRange<uint16_t>(1, 12);
  for (uint16_t i = 0; i < count; ++i) {
    entries.push_back({Path{10, 2, static_cast<uint16_t>(i * 37)}, any_value(), 0});
    types.types[static_cast<uint16_t>(i * 37)] = entries.back().value.type;
  }
  for (const Format format : {Format::kTlv, Format::kSenmlJson, Format::kSenmlCbor}) {
    const auto bytes = encode_content(format, entries, Path{10, 2});
    RC_ASSERT(bytes.has_value());
    std::vector<Entry> again;
    const Status done = decode_content(format, *bytes, Path{10, 2}, types, {}, again);
    RC_ASSERT(done.has_value());
    RC_ASSERT(again.size() == entries.size());
    for (size_t i = 0; i < entries.size(); ++i) {
      RC_ASSERT(again[i].path == entries[i].path);
      RC_ASSERT(again[i].value == entries[i].value);
    }
  }
}

TEST(LwM2MObjects, ReadsADdf) {
  const auto objects = read_ddf(R"(<?xml version="1.0"?><LWM2M><Object ObjectType="MODefinition">
    <Name>Vibration</Name><Description1>Of a bearing.</Description1><ObjectID>26241</ObjectID>
    <ObjectVersion>1.2</ObjectVersion><MultipleInstances>Multiple</MultipleInstances>
    <Mandatory>Optional</Mandatory><Resources>
    <Item ID="1"><Name>Velocity RMS</Name><Operations>R</Operations>
      <MultipleInstances>Single</MultipleInstances><Mandatory>Mandatory</Mandatory>
      <Type>Float</Type><RangeEnumeration>0..50</RangeEnumeration><Units>mm/s</Units></Item>
    <Item ID="2"><Name>Calibrate</Name><Operations>E</Operations><Type/></Item>
    </Resources></Object></LWM2M>)");
  ASSERT_TRUE(objects);
  const auto& object = objects->front();
  EXPECT_EQ(object.id, 26'241);
  EXPECT_EQ(object.version, "1.2");
  EXPECT_TRUE(object.multiple);
  ASSERT_EQ(object.resources.size(), 2u);
  EXPECT_EQ(object.resources[0].type, DataType::kFloat);
  EXPECT_EQ(object.resources[0].maximum, 50);
  EXPECT_TRUE(object.resources[1].executable);
  EXPECT_FALSE(read_ddf("<LWM2M>"));
  EXPECT_FALSE(read_ddf("<LWM2M><Object><Name>x</Name></Object></LWM2M>"));
}

TEST(LwM2MObjects, TheBuiltInOnesAreWhole) {
  EXPECT_EQ(table().all().size(), 10u);
  EXPECT_EQ(table().type_of(3, 13), DataType::kTime);
  EXPECT_TRUE(table().is_multiple(3, 6));
  EXPECT_EQ(table().type_of(3303, 5700), DataType::kFloat);  // reusable, whatever the object
  EXPECT_EQ(table().type_of(3303, 1), DataType::kNone);
  EXPECT_EQ(table().words(path("/3/0/9")), "Device/0/Battery Level");
}

}  // namespace
}  // namespace penstock::interop::lwm2m
