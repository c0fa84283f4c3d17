#include "stream/telemetry.h"

#include <gtest/gtest.h>

#include "stream/device_state.h"

namespace penstock::stream {
namespace {

twin::ElementConfig element(const char* key, uint32_t series, ValueKind kind) {
  twin::ElementConfig e;
  e.key = key;
  e.series = SeriesId(series);
  e.kind = kind;
  return e;
}

class TelemetryTest : public testing::Test {
 protected:
  TelemetryTest() {
    device.elements = {element("temperature", 1, ValueKind::kDouble),
                       element("count", 2, ValueKind::kInteger),
                       element("running", 3, ValueKind::kBoolean),
                       element("mode", 4, ValueKind::kText),
                       element("position", 5, ValueKind::kObject),
                       element("motor.current", 6, ValueKind::kDouble)};
    device.elements[0].minimum = -40;
    device.elements[0].maximum = 150;
    device.elements[3].enum_values = {"auto", "manual"};
  }
  DecodeOutcome decode(std::string_view payload) {
    out.clear();
    return decoder.decode(payload, device, now, out);
  }
  std::string_view text_of(size_t i) {
    return SampleView{out.samples, out.text}.text_of(out.samples[i]);
  }

  twin::DeviceConfig device;
  Timestamp now = *parse_rfc3339("2026-03-01T12:00:00Z");
  TelemetryDecoder decoder;
  SampleBuffer out;
};

TEST_F(TelemetryTest, ReadsAFlatObjectOfEveryKind) {
  const auto outcome = decode(
      R"({"temperature":21.5,"count":7,"running":true,"mode":"auto","position":{"x":1,"y":[2]},"motor":{"current":3.5}})");
  EXPECT_EQ(outcome.accepted, 6u);
  EXPECT_EQ(outcome.rejected, 0u);
  EXPECT_EQ(out.samples[0].number, 21.5);
  EXPECT_EQ(out.samples[1].integer, 7);
  EXPECT_TRUE(out.samples[2].boolean);
  EXPECT_EQ(text_of(3), "auto");
  EXPECT_EQ(text_of(4), R"({"x":1,"y":[2]})");
  EXPECT_EQ(out.samples[5].series, SeriesId(6));
  EXPECT_EQ(out.samples[5].source_time, now);
}

TEST_F(TelemetryTest, TakesTheTimeFromBeforeOrAfterTheValues) {
  decode(R"({"ts":1767225600000,"values":{"temperature":1}})");
  EXPECT_EQ(out.samples[0].source_time, *parse_rfc3339("2026-01-01T00:00:00Z"));
  decode(R"({"values":{"temperature":1},"ts":"2026-01-01T01:00:00+01:00"})");
  EXPECT_EQ(out.samples[0].source_time, *parse_rfc3339("2026-01-01T00:00:00Z"));
  EXPECT_EQ(out.samples[0].received_time, now);
}

TEST_F(TelemetryTest, MarksTheQualityOfAllOrOfSomeValues) {
  decode(R"({"values":{"temperature":1,"count":2},"quality":"uncertain"})");
  EXPECT_EQ(out.samples[0].quality, Quality::kUncertain);
  EXPECT_EQ(out.samples[1].quality, Quality::kUncertain);
  decode(R"({"quality":{"count":"bad"},"values":{"temperature":1,"count":2}})");
  EXPECT_EQ(out.samples[0].quality, Quality::kGood);
  EXPECT_EQ(out.samples[1].quality, Quality::kBad);
  // OPC UA StatusCodes: Uncertain_LastUsableValue, Bad_NoCommunication.
  decode(
      R"({"values":{"temperature":1,"count":2},"quality":{"temperature":1083179008,"count":2150694912}})");
  EXPECT_EQ(out.samples[0].quality, Quality::kUncertain);
  EXPECT_EQ(out.samples[1].quality, Quality::kBad);
  // The next message of a batch begins anew.
  decode(R"([{"values":{"count":1},"quality":"bad"},{"values":{"count":2}}])");
  EXPECT_EQ(out.samples[0].quality, Quality::kBad);
  EXPECT_EQ(out.samples[1].quality, Quality::kGood);
  const auto outcome = decode(R"({"values":{"count":2},"quality":"excellent"})");
  EXPECT_EQ(outcome.first_reject, Reject::kBadQuality);
}

TEST_F(TelemetryTest, NullIsTheLastValueAgainAsBad) {
  const auto none = decode(R"({"temperature":null,"count":1})");
  EXPECT_EQ(none.first_reject, Reject::kNoValue);
  EXPECT_EQ(none.accepted, 1u);
  std::vector<LiveValue> live(device.elements.size());
  live[0].sample.series = device.elements[0].series;
  live[0].sample.number = 19;
  live[0].sample.source_time = now;
  out.clear();
  const auto outcome = decoder.decode(R"({"temperature":null})", device, now, out, live);
  EXPECT_EQ(outcome.accepted, 1u);
  EXPECT_EQ(out.samples[0].number, 19);
  EXPECT_EQ(out.samples[0].quality, Quality::kBad);
}

TEST_F(TelemetryTest, ReadsABatchOfLateMessages) {
  const auto outcome = decode(
      R"([{"ts":1767225600000,"values":{"count":1}},{"ts":1767225601000,"values":{"count":2.0}}, {"count":3}])");
  EXPECT_EQ(outcome.accepted, 3u);
  EXPECT_EQ(out.samples[1].integer, 2);
  EXPECT_EQ(out.samples[1].source_time - out.samples[0].source_time, Duration::seconds(1));
  EXPECT_EQ(out.samples[2].source_time, now);
}

TEST_F(TelemetryTest, KeepsTheGoodValuesOfAMessageAndSaysWhatIsWrongWithTheRest) {
  const struct {
    const char* payload;
    Reject why;
    const char* about;
  } cases[] = {
      {R"({"count":1,"pressure":2})", Reject::kUnknownElement, "pressure"},
      {R"({"count":1,"temperature":"hot"})", Reject::kWrongType, "temperature"},
      {R"({"temperature":151,"count":1})", Reject::kOutOfRange, "temperature"},
      {R"({"count":1,"mode":"off"})", Reject::kNotInEnum, "mode"},
      {R"({"count":1,"running":1})", Reject::kWrongType, "running"},
      {R"({"count":1,"motor":{"speed":1}})", Reject::kUnknownElement, "motor.speed"},
      {R"({"count":1,"temperature":null})", Reject::kNoValue, "temperature"},
      {R"({"count":1,"position":3})", Reject::kWrongType, "position"},
      {R"({"count":1,"temperature":tru})", Reject::kWrongType, "temperature"},
  };
  for (const auto& c : cases) {
    const auto outcome = decode(c.payload);
    EXPECT_EQ(outcome.accepted, 1u) << c.payload;
    EXPECT_EQ(outcome.rejected, 1u) << c.payload;
    EXPECT_EQ(name(outcome.first_reject), name(c.why)) << c.payload;
    EXPECT_EQ(outcome.first_about, c.about) << c.payload;
  }
}

TEST_F(TelemetryTest, TakesNothingOfAMessageThatIsBrokenOrHasNoPlaceInTime) {
  const struct {
    const char* payload;
    Reject why;
  } cases[] = {
      {"", Reject::kNotJson},
      {"{", Reject::kNotJson},
      {R"({"count":1)", Reject::kNotJson},
      {R"({"count":1}})", Reject::kNotJson},
      {R"([{"count":1}J)", Reject::kNotJson},  // simdjson gives no array then
      {"7", Reject::kNotAnObject},
      {"\"x\"", Reject::kNotAnObject},
      {"[1]", Reject::kNotAnObject},
      {"{}", Reject::kEmpty},
      {"[]", Reject::kEmpty},
      {R"({"ts":"soon","values":{"count":1}})", Reject::kBadTime},
      {R"({"ts":1767225600,"values":{"count":1}})", Reject::kBadTime},
      {R"({"values":{"count":1},"ts":"2036-01-01T00:00:00Z"})", Reject::kFutureTime},
  };
  for (const auto& c : cases) {
    const auto outcome = decode(c.payload);
    EXPECT_EQ(outcome.accepted, 0u) << c.payload;
    EXPECT_TRUE(out.samples.empty()) << c.payload;
    EXPECT_EQ(name(outcome.first_reject), name(c.why)) << c.payload;
  }
}

TEST_F(TelemetryTest, ScalesBeforeItChecksTheRange) {
  device.elements[0].scale = 5.0 / 9;
  device.elements[0].offset = -160.0 / 9;  // °F on the wire, °C in the model
  decode(R"({"temperature":212})");
  EXPECT_NEAR(out.samples.at(0).number, 100, 1e-9);
}

TEST_F(TelemetryTest, DepthAndCountAreLimited) {
  std::string deep;
  for (int i = 0; i < 2000; ++i) deep += R"({"motor":)";
  EXPECT_EQ(decode(deep).accepted, 0u);
  TelemetryDecoder strict({.values_per_message_max = 2});
  out.clear();
  EXPECT_EQ(strict.decode(R"([{"count":1},{"count":2},{"count":3}])", device, now, out).rejected,
            1u);
}

}  // namespace
}  // namespace penstock::stream
