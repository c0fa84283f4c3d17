#include "stream/bound_payload.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "stream/bind.h"
#include "twin/binding.h"

namespace penstock::stream {
namespace {

using twin::ValueKind;

// A pump with its binding, as a shard would have it.
class BoundPayloadTest : public ::testing::Test {
 protected:
  BoundPayloadTest() {
    model.id = "dtmi:com:acme:Pump;1";
    add("temperature", ValueKind::kDouble);
    add("running", ValueKind::kBoolean);
    add("mode", ValueKind::kText);
    add("starts", ValueKind::kInteger);
    device.index();
    live.resize(device.elements.size());
  }
  void add(const char* key, ValueKind kind) {
    twin::ElementInfo info;
    info.key = key;
    info.kind = kind;
    model.elements.push_back(info);
    twin::ElementConfig element;
    element.key = key;
    element.kind = kind;
    element.series = SeriesId(static_cast<uint32_t>(device.elements.size()) + 1);
    device.elements.push_back(element);
  }
  void use(std::string_view text) {
    const auto json = parse_json(text);
    ASSERT_TRUE(json) << json.error().text();
    const auto document = twin::parse_binding(*json);
    ASSERT_TRUE(document) << document.error().text();
    const auto made = twin::compile_binding(*document, 1, model);
    ASSERT_TRUE(made) << made.error().text();
    device.source = *made;
  }
  Reject read(std::string_view payload, std::string_view topic = "devices/p/telemetry") {
    out.clear();
    const Reject why = reader.read(payload, topic, *device.source);
    if (why == Reject::kNone) outcome = bind_values(reader.values(), device, live, now, {}, out);
    return why;
  }
  double number(size_t i) { return out.samples.at(i).as_number(); }
  std::string_view text(size_t i) {
    return SampleView{out.samples, out.text}.text_of(out.samples.at(i));
  }

  twin::ModelInfo model;
  twin::DeviceConfig device;
  std::vector<LiveValue> live;
  Timestamp now = *parse_rfc3339("2026-03-01T12:00:00Z");
  BoundPayloadReader reader;
  SampleBuffer out;
  BindOutcome outcome;
};

TEST_F(BoundPayloadTest, PointersTimeQualityBitsAndMaps) {
  use(R"({"name":"pump","model":"dtmi:com:acme:Pump;1",
    "payload":{"time":"/meta/t","quality":"/meta/q"},
    "elements":[{"element":"temperature","from":"/d/0/temp","scale":0.1,"offset":-5},
                {"element":"running","from":"/d/0/status","bits":{"first":2,"count":1}},
                {"element":"mode","from":"/d/0/status","bits":{"first":0,"count":2},"values":{"0":"off","1":"auto"}},
                {"element":"starts","from":"n"}]})");
  ASSERT_EQ(read(R"({"meta":{"t":1767225600,"q":64},"d":[{"temp":300,"status":5}],"n":"12"})"),
            Reject::kNone);
  EXPECT_EQ(outcome.accepted, 4u);
  EXPECT_EQ(outcome.rejected, 0u);
  ASSERT_EQ(out.samples.size(), 4u);
  for (const Sample& sample : out.samples) {
    EXPECT_EQ(sample.source_time, *parse_rfc3339("2026-01-01T00:00:00Z"));
    EXPECT_EQ(sample.quality, Quality::kUncertain);
    if (sample.series == SeriesId(1)) {
      EXPECT_DOUBLE_EQ(sample.number, 25);
    }
    if (sample.series == SeriesId(2)) {
      EXPECT_TRUE(sample.boolean);
    }
    if (sample.series == SeriesId(4)) {
      EXPECT_EQ(sample.integer, 12);
    }
  }
  // 2 is no value of the map; the others stay.
  ASSERT_EQ(read(R"({"d":[{"temp":300,"status":2}]})"), Reject::kNone);
  EXPECT_EQ(outcome.first_reject, Reject::kNotInEnum);
  EXPECT_EQ(outcome.accepted, 2u);
  EXPECT_EQ(out.samples[0].source_time, now);
}

TEST_F(BoundPayloadTest, TimesOfEveryUnitAreRecognised) {
  use(R"({"name":"pump","model":"dtmi:com:acme:Pump;1","payload":{"time":"/t"},
          "elements":[{"element":"temperature","from":"v"}]})");
  for (const char* time : {"1767225600", "1767225600.0", "1767225600000", "1767225600000000",
                           "1767225600000000000", "\"2026-01-01T00:00:00Z\"", "\"1767225600\""}) {
    ASSERT_EQ(read(std::string(R"({"v":1,"t":)") + time + "}"), Reject::kNone) << time;
    EXPECT_EQ(out.samples.at(0).source_time, *parse_rfc3339("2026-01-01T00:00:00Z")) << time;
  }
  EXPECT_EQ(read(R"({"v":1,"t":"yesterday"})"), Reject::kBadTime);
  EXPECT_EQ(reader.about(), "/t");
  EXPECT_EQ(read(R"({"v":1,"t":-5})"), Reject::kBadTime);
  EXPECT_EQ(read("{"), Reject::kNotJson);
}

TEST_F(BoundPayloadTest, OneValueATopic) {
  use(R"({"name":"pump","model":"dtmi:com:acme:Pump;1","topic":"plant/{device}/{element}",
    "payload":{"format":"scalar"},
    "elements":[{"element":"temperature","from":"temp"},{"element":"running"},{"element":"mode"}]})");
  ASSERT_EQ(read(" 21.5\n", "plant/p1/temp"), Reject::kNone);
  EXPECT_EQ(number(0), 21.5);
  ASSERT_EQ(read("1", "plant/p1/running"), Reject::kNone);
  EXPECT_TRUE(out.samples.at(0).boolean);
  ASSERT_EQ(read("auto", "plant/p1/mode"), Reject::kNone);
  EXPECT_EQ(text(0), "auto");
  ASSERT_EQ(read("7", "plant/p1/humidity"), Reject::kNone);
  EXPECT_EQ(outcome.unbound, 1u);
  EXPECT_EQ(outcome.accepted + outcome.rejected, 0u);
  EXPECT_EQ(read("", "plant/p1/temp"), Reject::kEmpty);
  ASSERT_EQ(read("warm", "plant/p1/temp"), Reject::kNone);
  EXPECT_EQ(outcome.first_reject, Reject::kWrongType);
}

TEST_F(BoundPayloadTest, TheTopicsCaptureBeginsTheAddresses) {
  use(R"({"name":"pump","model":"dtmi:com:acme:Pump;1","topic":"{device}/status/{element#}",
    "elements":[{"element":"temperature","from":"switch:0/temperature/tC"},
                {"element":"running","from":"switch:0/output"},{"element":"mode","from":"sys/fw"},
                {"element":"starts","from":"count"}]})");
  ASSERT_EQ(read(R"({"id":0,"output":true,"temperature":{"tC":41.5}})", "s1/status/switch:0"),
            Reject::kNone);
  EXPECT_EQ(outcome.accepted, 2u);
  EXPECT_EQ(outcome.unbound + outcome.rejected, 0u);
  ASSERT_EQ(read(R"({"fw":"1.2"})", "s1/status/sys"), Reject::kNone);
  EXPECT_EQ(text(0), "1.2");
  ASSERT_EQ(read("12", "s1/status/count"), Reject::kNone) << "all of the payload";
  EXPECT_EQ(out.samples.at(0).integer, 12);
  ASSERT_EQ(read("Online", "s1/status/LWT"), Reject::kNone) << "left out: not even read";
  EXPECT_EQ(outcome.unbound, 1u);
  EXPECT_EQ(outcome.accepted + outcome.rejected, 0u);
  ASSERT_EQ(read("Online", "s1/status/switch:01"), Reject::kNone) << "no prefix of a level";
  EXPECT_EQ(outcome.unbound, 1u);
  EXPECT_EQ(read("Online", "s1/status/switch:0"), Reject::kNotJson);
}

TEST_F(BoundPayloadTest, UnitsAreConvertedExactly) {
  model.elements[0].unit = device.elements[0].unit = "degreeCelsius";
  use(R"({"name":"pump","model":"dtmi:com:acme:Pump;1",
    "elements":[{"element":"temperature","from":"f","unit":"degreeFahrenheit"}]})");
  ASSERT_EQ(read(R"({"f":212})"), Reject::kNone);
  EXPECT_EQ(number(0), 100.0);
  use(R"({"name":"pump","model":"dtmi:com:acme:Pump;1",
    "elements":[{"element":"temperature","from":"f","unit":"°F","scale":0.1,"offset":2}]})");
  ASSERT_EQ(read(R"({"f":300})"), Reject::kNone);
  EXPECT_DOUBLE_EQ(number(0), 0.0);
}

TEST_F(BoundPayloadTest, ListsOfNamedValues) {
  use(R"({"name":"pump","model":"dtmi:com:acme:Pump;1",
    "payload":{"list":{"at":"/e","name":"/n","value":"/v","time":"/t"}},
    "elements":[{"element":"temperature","from":"temp"},{"element":"running","from":"on"}]})");
  ASSERT_EQ(
      read(
          R"({"e":[{"n":"temp","v":20,"t":1767225600},{"n":"on","v":true},{"n":"else","v":0},{"x":1}]})"),
      Reject::kNone);
  EXPECT_EQ(outcome.accepted, 2u);
  EXPECT_EQ(outcome.unbound, 1u);
  EXPECT_EQ(out.samples[0].source_time, *parse_rfc3339("2026-01-01T00:00:00Z"));
  EXPECT_EQ(out.samples[1].source_time, now);
  EXPECT_EQ(read(R"({"f":[]})"), Reject::kNotAnObject);
}

TEST_F(BoundPayloadTest, BytesWithoutCode) {
  use(R"({"name":"pump","model":"dtmi:com:acme:Pump;1","payload":{"format":"bytes"},
    "elements":[{"element":"temperature","bytes":{"offset":0,"type":"int16"},"scale":0.1},
                {"element":"running","bytes":{"offset":2,"type":"uint8"},"bits":{"first":7,"count":1}},
                {"element":"starts","bytes":{"offset":3,"type":"bcd16"}}]})");
  ASSERT_EQ(read(std::string_view("\xff\x9c\x80\x12\x34", 5)), Reject::kNone);
  ASSERT_EQ(out.samples.size(), 3u);
  for (const Sample& sample : out.samples) {
    if (sample.series == SeriesId(1)) {
      EXPECT_DOUBLE_EQ(sample.number, -10);
    }
    if (sample.series == SeriesId(2)) {
      EXPECT_TRUE(sample.boolean);
    }
    if (sample.series == SeriesId(4)) {
      EXPECT_EQ(sample.integer, 1234);
    }
  }
  EXPECT_EQ(read("ab"), Reject::kWrongType);
}

TEST_F(BoundPayloadTest, ADeadbandKeepsWhatMattersAndAHeartbeat) {
  use(R"({"name":"pump","model":"dtmi:com:acme:Pump;1","payload":{"time":"/t"},
    "elements":[{"element":"temperature","from":"v","deadband":{"absolute":0.5,"heartbeat_s":60}}]})");
  live[0].sample.series = SeriesId(1);
  live[0].sample.number = 20;
  live[0].sample.source_time = *parse_rfc3339("2026-01-01T00:00:00Z");
  const auto stored = [&](const char* payload) {
    EXPECT_EQ(read(payload), Reject::kNone);
    EXPECT_EQ(outcome.accepted + outcome.suppressed, 1u);
    return outcome.accepted == 1;
  };
  EXPECT_FALSE(stored(R"({"v":20.4,"t":1767225601})"));
  EXPECT_TRUE(stored(R"({"v":20.5,"t":1767225601})"));
  EXPECT_TRUE(stored(R"({"v":20.1,"t":1767225660})"));
  EXPECT_TRUE(stored(R"({"v":20.1,"t":1767225500})"));  // late: history's business
}

TEST_F(BoundPayloadTest, WhatDiscoveryKeptReadsBackAsItCame) {
  auto bad = WireValue::of("/3303/0/5700", 21.5, now);
  bad.quality = Quality::kBad;
  const std::vector<WireValue> given{bad, WireValue::of("on", true, now),
                                     WireValue::of("n", int64_t{7}, now + Duration::seconds(1)),
                                     WireValue::of("s", "x", now + Duration::seconds(1))};
  std::string json;
  append_json(json, given);
  ASSERT_EQ(reader.read_report(json), Reject::kNone);
  const auto read_back = reader.values();
  ASSERT_EQ(read_back.size(), given.size());
  for (size_t i = 0; i < given.size(); ++i) {
    EXPECT_EQ(read_back[i].address, given[i].address);
    EXPECT_EQ(read_back[i].kind, given[i].kind);
    EXPECT_EQ(read_back[i].quality, given[i].quality);
    EXPECT_EQ(read_back[i].source_time, given[i].source_time);
    EXPECT_EQ(read_back[i].integer, given[i].integer);  // all eight bytes, whatever they are
    EXPECT_EQ(read_back[i].text, given[i].text);
  }
}

}  // namespace
}  // namespace penstock::stream
