#include "stream/bind.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/testing/allocations.h"

namespace penstock::stream {
namespace {

using twin::ValueKind;

class ReportTest : public ::testing::Test {
 protected:
  ReportTest() {
    add("temperature", ValueKind::kDouble);
    add("count", ValueKind::kInteger);
    add("running", ValueKind::kBoolean);
    add("mode", ValueKind::kText);
    device.elements[0].minimum = -50;
    device.elements[0].maximum = 200;
    device.elements[3].enum_values = {"auto", "manual"};
    device.index();
    live.resize(device.elements.size());
  }
  void add(const char* key, ValueKind kind) {
    twin::ElementConfig element;
    element.key = key;
    element.kind = kind;
    element.series = SeriesId(static_cast<uint32_t>(device.elements.size()) + 1);
    device.elements.push_back(element);
  }
  BindOutcome bind(std::vector<WireValue> values) {
    out.clear();
    return bind_values(values, device, live, now, {}, out);
  }

  twin::DeviceConfig device;
  std::vector<LiveValue> live;
  Timestamp now = *parse_rfc3339("2026-03-01T12:00:00Z");
  Timestamp earlier = *parse_rfc3339("2026-03-01T11:59:00Z");
  SampleBuffer out;
};

TEST_F(ReportTest, ValuesOfEveryKindBecomeSamplesWithTheirTimeAndQuality) {
  auto count = WireValue::of("count", int64_t{7});
  count.quality = Quality::kUncertain;
  const auto outcome = bind({WireValue::of("temperature", 21.5, earlier), count,
                             WireValue::of("running", true), WireValue::of("mode", "auto")});
  EXPECT_EQ(outcome.accepted, 4u);
  EXPECT_EQ(outcome.rejected, 0u);
  EXPECT_EQ(out.samples[0].number, 21.5);
  EXPECT_EQ(out.samples[0].source_time, earlier);
  EXPECT_EQ(out.samples[1].integer, 7);
  EXPECT_EQ(out.samples[1].quality, Quality::kUncertain);
  EXPECT_EQ(out.samples[1].source_time, now);
  EXPECT_TRUE(out.samples[2].boolean);
  EXPECT_EQ((SampleView{out.samples, out.text}.text_of(out.samples[3])), "auto");
}

TEST_F(ReportTest, WhatDoesNotFitIsRefusedWithItsReasonAndItsNeighboursStay) {
  const struct {
    WireValue value;
    Reject why;
  } cases[] = {
      {WireValue::of("humidity", 1.0), Reject::kUnknownElement},
      {WireValue::of("temperature", "hot"), Reject::kWrongType},
      {WireValue::of("temperature", 201.0), Reject::kOutOfRange},
      {WireValue::of("temperature", __builtin_nan("")), Reject::kOutOfRange},
      {WireValue::of("count", 1.5), Reject::kWrongType},
      {WireValue::of("running", int64_t{1}), Reject::kWrongType},
      {WireValue::of("mode", "off"), Reject::kNotInEnum},
      {WireValue::of("count", int64_t{1}, now + Duration::days(2)), Reject::kFutureTime},
  };
  for (const auto& each : cases) {
    const auto outcome = bind({each.value, WireValue::of("count", int64_t{3})});
    EXPECT_EQ(outcome.accepted, 1u) << name(each.why);
    EXPECT_EQ(outcome.rejected, 1u);
    EXPECT_EQ(outcome.first_reject, each.why);
    EXPECT_EQ(outcome.first_about, each.value.address);
  }
}

TEST_F(ReportTest, ASourceWithoutValueRepeatsTheLastOneAsBad) {
  WireValue none = WireValue::of("mode", "");
  none.null = true;
  none.source_time = now;
  EXPECT_EQ(bind({none}).first_reject, Reject::kNoValue);

  live[3].sample.series = device.elements[3].series;
  live[3].sample.kind = ValueKind::kText;
  live[3].sample.source_time = earlier;
  live[3].text = "manual";
  EXPECT_EQ(bind({none}).accepted, 1u);
  EXPECT_EQ(out.samples[0].quality, Quality::kBad);
  EXPECT_EQ(out.samples[0].source_time, now);
  EXPECT_EQ((SampleView{out.samples, out.text}.text_of(out.samples[0])), "manual");
}

TEST_F(ReportTest, AWarmConversionAllocatesNothing) {
  const std::vector<WireValue> values{WireValue::of("mode", "auto"),
                                      WireValue::of("temperature", 20.0),
                                      WireValue::of("count", int64_t{1})};
  bind(values);
  out.clear();
  const uint64_t before = testing_allocations();
  const auto outcome = bind_values(values, device, live, now, {}, out);
  EXPECT_EQ(testing_allocations(), before);
  EXPECT_EQ(outcome.accepted, 3u);
}

TEST_F(ReportTest, AnUnknownDevicesReportIsTelemetryJson) {
  std::string text;
  auto bad = WireValue::of("/3303/0/5700", 21.5, earlier);
  bad.quality = Quality::kBad;
  const std::vector<WireValue> values{bad, WireValue::of("na\"me\n", "te\\xt", earlier),
                                      WireValue::of("n", int64_t{-3}, now)};
  append_json(text, values);
  const auto json = parse_json(text);
  ASSERT_TRUE(json) << text;
  EXPECT_EQ(*json, *parse_json(R"([{"ts":"2026-03-01T11:59:00Z",
      "values":{"/3303/0/5700":21.5,"na\"me\n":"te\\xt"},"quality":{"/3303/0/5700":"bad"}},
      {"ts":"2026-03-01T12:00:00Z","values":{"n":-3}}])"));
}

TEST_F(ReportTest, AnOwnedReportOutlivesWhatItWasMadeOf) {
  OwnedReport owned;
  {
    std::string address = "temperature", device_name = "pump-1", mode(100, 'a');
    const std::vector<WireValue> values{WireValue::of(address, 1.0), WireValue::of("mode", mode)};
    owned = OwnedReport({OrganisationId(1), device_name, "test:", values});
    address.assign("XXXXXXXXXXX");
  }
  const Report view = owned.view();
  EXPECT_EQ(view.device, "pump-1");
  EXPECT_EQ(view.values[0].address, "temperature");
  EXPECT_EQ(view.values[1].text, std::string(100, 'a'));
}

TEST_F(ReportTest, NamesAreMadeFitForTheRegistryAndStayApart) {
  EXPECT_EQ(wire_name({"Plant 1", "Edge", "Pump#1"}), "Plant%201:Edge:Pump%231");
  EXPECT_NE(wire_name({"a:b", "c"}), wire_name({"a", "b:c"}));
  EXPECT_EQ(wire_name("\xc3\xa4"), "%C3%A4");
}

}  // namespace
}  // namespace penstock::stream
