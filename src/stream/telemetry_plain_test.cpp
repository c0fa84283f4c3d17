#include "stream/telemetry_plain.h"

#include <algorithm>
#include <functional>

#include <gtest/gtest.h>

#include "base/io_sim.h"

namespace penstock::stream {
namespace {

class PlainTelemetryTest : public testing::Test {
 protected:
  PlainTelemetryTest() {
    const auto add = [&](const char* key, ValueKind kind) -> twin::ElementConfig& {
      twin::ElementConfig element;
      element.key = key;
      element.series = SeriesId(static_cast<uint32_t>(device.elements.size()) + 1);
      element.kind = kind;
      return device.elements.emplace_back(std::move(element));
    };
    add("temperature", ValueKind::kDouble).minimum = -40;
    device.elements[0].maximum = 150;
    add("count", ValueKind::kInteger);
    add("running", ValueKind::kBoolean);
    add("mode", ValueKind::kText);
    add("speed", ValueKind::kDouble).scale = 0.1;
  }
  bool plain(std::string_view payload) {
    out.clear();
    return decode_plain(payload, device, now, {}, out);
  }
  // Both ways come to the same.
  void compare(std::string_view payload) {
    out.clear();
    SampleBuffer other;
    const DecodeOutcome a = decoder.decode(payload, device, now, out);
    const DecodeOutcome b = general.decode(payload, device, now, other);
    ASSERT_EQ(a.accepted, b.accepted) << payload;
    ASSERT_EQ(a.rejected, b.rejected) << payload;
    ASSERT_EQ(name(a.first_reject), name(b.first_reject)) << payload;
    ASSERT_EQ(out.text, other.text) << payload;
    ASSERT_EQ(out.samples.size(), other.samples.size()) << payload;
    ASSERT_TRUE(std::ranges::equal(std::as_bytes(std::span(out.samples)),
                                   std::as_bytes(std::span(other.samples))))
        << payload;
  }

  twin::DeviceConfig device;
  Timestamp now = *parse_rfc3339("2026-03-01T12:00:00Z");
  TelemetryDecoder decoder;
  TelemetryDecoder general{{.plain_first = false}};
  SampleBuffer out;
};

TEST_F(PlainTelemetryTest, TakesWhatMostDevicesSend) {
  for (const char* payload :
       {R"({"temperature":21.5,"count":7,"running":true})",
        R"( { "speed" : -12.50 , "temperature" : 0 } )",
        R"({"ts":1767225600000,"values":{"temperature":21.5,"speed":0.001}})",
        R"({"values":{"count":-3},"ts":"2026-01-01T01:00:00.25+01:00"})",
        R"([{"ts":1767225600000,"values":{"count":1}},{"ts":1767225601000,"count":2}])"}) {
    EXPECT_TRUE(plain(payload)) << payload;
    compare(payload);
  }
}

TEST_F(PlainTelemetryTest, LeavesTheRestAsItWas) {
  for (const std::string_view payload :
       std::initializer_list<std::string_view>{"",
                                               "{",
                                               "{}",
                                               "[]",
                                               "7",
                                               R"({"temperature":21.5)",
                                               R"({"temperature":21.5}})",
                                               R"({"temperature":1e1})",
                                               R"({"temperature":01})",
                                               R"({"temperature":1.})",
                                               R"({"temperature":-0})",
                                               R"({"temperature":-})",
                                               R"({"temperature":.5})",
                                               R"({"temperature":1.2345678901234567})",
                                               R"({"count":1234567890123456})",
                                               R"({"temperature":151})",
                                               R"({"count":5.0})",
                                               R"({"count":1,"unknown":2})",
                                               R"({"mode":"auto"})",
                                               R"({"running":1})",
                                               R"({"running":truex})",
                                               R"({"temp\u0065rature":1})",
                                               R"({"ts":1767225600,"count":1})",
                                               R"({"ts":"2036-01-01T00:00:00Z","count":1})",
                                               R"({"count":1,})",
                                               R"({"count":1 "speed":2})",
                                               R"([{"count":1}{"count":2}])",
                                               R"({"values":[1]})",
                                               R"({"values":{}})",
                                               std::string_view("{\"count\":1}\0", 12)}) {
    EXPECT_FALSE(plain(payload)) << payload;
    EXPECT_TRUE(out.samples.empty());
    compare(payload);
  }
}

// Messages made of right and wrong pieces, then one byte of some changed.
TEST_F(PlainTelemetryTest, NeverDiffersFromTheGeneralDecoder) {
  SimRandom random(7);
  const auto pick = [&](auto& list) { return list[random.below(std::size(list))]; };
  static const char* const kKeys[] = {"temperature", "count", "running", "mode",
                                      "speed",       "ts",    "values",  "odd"};
  static const char* const kValues[] = {"1",
                                        "-2.75",
                                        "0",
                                        "true",
                                        "false",
                                        "\"x\"",
                                        "null",
                                        "1e3",
                                        "12345.678",
                                        "1767225600123",
                                        "-0.0",
                                        "0.1",
                                        "{}",
                                        "[1]",
                                        "\"2026-02-01T00:00:00Z\"",
                                        "99999999999999999999",
                                        "0.30000000000000004"};
  static const char* const kSpaces[] = {"", "", "", " ", "\n\t"};
  const std::function<std::string(int)> object = [&](int depth) {
    std::string text = "{";
    const uint64_t members = 1 + random.below(4);
    for (uint64_t i = 0; i < members; ++i) {
      if (i > 0) text += ",";
      const std::string key = pick(kKeys);
      text += std::string(pick(kSpaces)) + '"' + key + '"' + pick(kSpaces) + ":" + pick(kSpaces);
      text += key == "values" && depth == 0 && random.below(4) > 0 ? object(1) : pick(kValues);
    }
    return text + "}";
  };
  for (int round = 0; round < 50'000; ++round) {
    std::string payload = object(0);
    if (random.below(5) == 0) payload = "[" + payload + "," + object(0) + "]";
    if (random.below(3) == 0)
      payload[random.below(payload.size())] = static_cast<char>(random.below(256));
    ASSERT_NO_FATAL_FAILURE(compare(payload));
  }
}

}  // namespace
}  // namespace penstock::stream
