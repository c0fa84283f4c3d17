// The peer's codec against the examples of the specification: what it says to the server must not
// be wrong in the same way as the server.

#include "codec.h"

#include <gtest/gtest.h>

#include "objects.h"

namespace lwm2m_peer {
namespace {

std::string bytes(std::string_view hex) {
  std::string out;
  int high = -1;
  for (const char c : hex) {
    if (c == ' ') continue;
    const int digit = c <= '9' ? c - '0' : (c | 32) - 'a' + 10;
    if (high < 0) {
      high = digit;
    } else {
      out += static_cast<char>(high << 4 | digit);
      high = -1;
    }
  }
  return out;
}

// Core technical specification 1.1.1, 7.4.5.2 "Single object instance request example": GET /3/0.
// The resource 3/0/13 is the time, 3/0/14 the offset, 3/0/16 the binding.
const std::string kDevice = bytes(
    "C8 00 14 4F 70 65 6E 20 4D 6F 62 69 6C 65 20 41 6C 6C 69 61 6E 63 65"
    "C8 01 16 4C 69 67 68 74 77 65 69 67 68 74 20 4D 32 4D 20 43 6C 69 65 6E 74"
    "C8 02 09 33 34 35 30 30 30 31 32 33 C3 03 31 2E 30 86 06 41 00 01 41 01 05"
    "88 07 08 42 00 0E D8 42 01 13 88 87 08 41 00 7D 42 01 03 84 C1 09 64 C1 0A 0F"
    "83 0B 41 00 00 C4 0D 51 82 42 8F C6 0E 2B 30 32 3A 30 30 C1 10 55");

TEST(PeerCodec, ReadsTheSpecificationsTlvOfADevice) {
  const auto records = tlv_decode(Path::parse("/3/0"), kDevice, type_of);
  const auto find = [&](std::string_view path) {
    for (const Record& record : records)
      if (record.path == Path::parse(path)) return record.value;
    return Value{};
  };
  EXPECT_EQ(find("/3/0/0"), Value::of_string("Open Mobile Alliance"));
  EXPECT_EQ(find("/3/0/6/1"), Value::of_integer(5));
  EXPECT_EQ(find("/3/0/7/0"), Value::of_integer(3800));
  EXPECT_EQ(find("/3/0/7/1"), Value::of_integer(5000));
  EXPECT_EQ(find("/3/0/9"), Value::of_integer(100));
  EXPECT_EQ(find("/3/0/13"), Value::of_integer(1367491215, Type::kTime));
  EXPECT_EQ(find("/3/0/14"), Value::of_string("+02:00"));
  EXPECT_EQ(find("/3/0/16"), Value::of_string("U"));
}

TEST(PeerCodec, WritesTlvAsTheSpecificationDoes) {
  const std::vector<Record> records{
      {Path::parse("/3/0/0"), Value::of_string("Open Mobile Alliance"), {}},
      {Path::parse("/3/0/6/0"), Value::of_integer(1), {}},
      {Path::parse("/3/0/6/1"), Value::of_integer(5), {}},
      {Path::parse("/3/0/9"), Value::of_integer(100), {}},
      {Path::parse("/3/0/13"), Value::of_integer(1367491215, Type::kTime), {}}};
  const std::string resources =
      kDevice.substr(0, 23) + bytes("86 06 41 00 01 41 01 05 C1 09 64 C4 0D 51 82 42 8F");
  EXPECT_EQ(tlv_encode(Path::parse("/3/0"), records, is_multiple), resources);
  // Of an object: the resources are within their instance.
  EXPECT_EQ(tlv_encode(Path::parse("/3"), records, is_multiple), bytes("08 00 28") + resources);
  EXPECT_EQ(tlv_decode(Path::parse("/3"), bytes("08 00 28") + resources, type_of).size(),
            records.size());
}

TEST(PeerCodec, TlvOfServerObjectAndLinks) {
  // 7.4.5.2 "Multiple object instance request examples", the ids above 255 take two bytes.
  const auto records =
      tlv_decode(Path::parse("/3303/0"), bytes("E8 16 44 08 40 35 80 00 00 00 00 00"), type_of);
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].path.text(), "/3303/0/5700");
  EXPECT_EQ(records[0].value, Value::of_float(21.5));
  EXPECT_EQ(tlv_encode(Path::parse("/3303/0/5700"), records, is_multiple),
            bytes("E8 16 44 08 40 35 80 00 00 00 00 00"));
  EXPECT_THROW(tlv_decode(Path::parse("/3303/0"), bytes("E8 16 44 08 40 35"), type_of),
               FormatError);
  EXPECT_THROW(tlv_decode(Path::parse("/3303/0"), bytes("E3 16 44 00 00 00"), type_of),
               FormatError);
}

TEST(PeerCodec, SenmlJson) {
  // 7.4.4: the response of a read of /3/0, shortened, with a base name.
  const auto records = senml_json_decode(
      R"([{"bn":"/3/0/","n":"0","vs":"Open Mobile Alliance"},{"n":"6/0","v":1},{"n":"7/0","v":3800},{"n":"16","vs":"U"}])");
  ASSERT_EQ(records.size(), 4U);
  EXPECT_EQ(records[1].path.text(), "/3/0/6/0");
  EXPECT_EQ(records[2].value, Value::of_integer(3800));
  // Notifications with times, and what RFC 8428 clause 5.1.3 calls resolved.
  const auto timed = senml_json_decode(
      R"([{"bn":"/72/","bt":25462634,"n":"1/2","v":22.4,"t":-5},{"n":"1/2","v":22.9,"t":-30}])");
  EXPECT_DOUBLE_EQ(timed[1].time.value(), 25462604);
  EXPECT_EQ(senml_json_encode(Path::parse("/3303/0/5700"),
                              {{Path::parse("/3303/0/5700"), Value::of_float(21.5), {}}}),
            R"([{"bn":"/3303/0/5700","v":21.5}])");
  EXPECT_THROW(senml_json_decode("{}"), FormatError);
  EXPECT_THROW(senml_json_decode(R"([{"n":"x","v":1}])"), FormatError);
}

TEST(PeerCodec, SenmlCbor) {
  // 7.4.6, "read of /3/0": [{-2:"/3/0/", 0:"0", 3:"Open Mobile Alliance"}, {0:"9", 2:95}]
  const std::string pack = bytes("82 A3 21 65 2F 33 2F 30 2F 00 61 30 03 74") +
                           "Open Mobile Alliance" + bytes("A2 00 61 39 02 18 5F");
  const std::vector<Record> records{
      {Path::parse("/3/0/0"), Value::of_string("Open Mobile Alliance"), {}},
      {Path::parse("/3/0/9"), Value::of_integer(95), {}}};
  EXPECT_EQ(senml_cbor_encode(Path::parse("/3/0"), records), pack);
  const auto back = senml_cbor_decode(pack);
  ASSERT_EQ(back.size(), 2U);
  EXPECT_EQ(back[0].value, records[0].value);
  EXPECT_EQ(back[1].value, records[1].value);
  // Half and single floats, indefinite lengths, a decimal fraction (RFC 8949, appendix A).
  EXPECT_EQ(
      senml_cbor_decode(bytes("9F BF 00 68 2F 31 2F 30 2F 39 39 39 02 F9 3C 00 FF FF"))[0].value,
      Value::of_float(1));
  EXPECT_EQ(senml_cbor_decode(bytes("81 A2 00 64 2F 31 2F 30 02 FA 47 C3 50 00"))[0].value,
            Value::of_float(100000));
  EXPECT_NEAR(
      senml_cbor_decode(bytes("81 A2 00 64 2F 31 2F 30 02 C4 82 21 19 6A B3"))[0].value.number,
      273.15, 1e-9);
  EXPECT_THROW(senml_cbor_decode(bytes("82 A2 00 61 39 02 18 5F")), FormatError);
  EXPECT_THROW(senml_cbor_decode(bytes("81 A1 00 7F FF FF")), FormatError);
}

TEST(PeerCodec, TextAndBase64) {
  EXPECT_EQ(text_encode(Value::of_float(0.1)), "0.1");
  EXPECT_EQ(text_decode("-5", Type::kInteger), Value::of_integer(-5));
  EXPECT_EQ(text_decode("1", Type::kBoolean), Value::of_boolean(true));
  EXPECT_EQ(text_decode("10:1", Type::kObjectLink), Value::of_link("10:1"));
  EXPECT_THROW(text_decode("21,5", Type::kFloat), FormatError);
  EXPECT_THROW(text_decode("2", Type::kBoolean), FormatError);
  for (const char* text : {"", "f", "fo", "foo", "foob"})
    EXPECT_EQ(base64url_decode(base64url(text)), text);
  EXPECT_EQ(base64url(bytes("FB FF")), "-_8");
}

TEST(PeerObjects, AccessIsThatOfTheRegistry) {
  Objects objects;
  EXPECT_THROW((void)objects.read(Path::parse("/0"), false), Refused);
  EXPECT_THROW((void)objects.read(Path::parse("/3/0/4"), false), Refused);
  EXPECT_THROW(objects.write(Path::parse("/3/0"),
                             {{Path::parse("/3/0/0"), Value::of_string("x"), {}}}, false, false),
               Refused);
  objects.write(Path::parse("/3/0"), {{Path::parse("/3/0/14"), Value::of_string("+01:00"), {}}},
                false, false);
  EXPECT_EQ(objects.get(Path::parse("/3/0/14"))->text, "+01:00");
  EXPECT_EQ(objects.create(3303, -1, {}), 1);
  EXPECT_EQ(objects.links({}, false).find("</3303/1>") != std::string::npos, true);
  objects.erase(Path::parse("/3303/1"), false);
  EXPECT_FALSE(objects.exists(Path::parse("/3303/1")));
  objects.set_attributes(Path::parse("/3303/0"), "pmin=2");
  objects.set_attributes(Path::parse("/3303/0/5700"), "pmin=1");
  EXPECT_EQ(objects.attributes(Path::parse("/3303/0/5700"))["pmin"], 1);
  EXPECT_EQ(objects.attributes(Path::parse("/3303/0/5701"))["pmin"], 2);
}

}  // namespace
}  // namespace lwm2m_peer
