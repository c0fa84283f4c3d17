#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/json.h"
#include "base/metrics.h"
#include "base/time.h"

namespace penstock {
namespace {

TEST(Crc32c, GivesTheValuesOfRfc3720) {
  const Bytes zeros(32);
  EXPECT_EQ(crc32c(zeros), 0x8A9136AAu);
  const Bytes ones(32, std::byte{0xFF});
  EXPECT_EQ(crc32c(ones), 0x62A8AB43u);
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xE3069283u);
}

TEST(Crc32c, ContinuesFromASeed) {
  const std::string text = "a penstock is a gate and a pipe";
  const uint32_t whole = crc32c(as_bytes(text));
  EXPECT_EQ(crc32c(as_bytes(text.substr(11)), crc32c(as_bytes(text.substr(0, 11)))), whole);
}

TEST(Time, ReadsOffsetsAndFractions) {
  EXPECT_EQ(parse_rfc3339("1970-01-01T00:00:00Z")->us, 0);
  EXPECT_EQ(parse_rfc3339("2026-03-29T03:00:00.5+02:00"),
            parse_rfc3339("2026-03-29T01:00:00.500000Z"));
  EXPECT_EQ(to_rfc3339(*parse_rfc3339("2024-02-29T23:59:59.000001Z")),
            "2024-02-29T23:59:59.000001Z");
  EXPECT_EQ(to_rfc3339(Timestamp::from_millis(1500)), "1970-01-01T00:00:01.500Z");
}

TEST(Time, RefusesWhatIsNoTime) {
  for (const char* bad : {"", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
                          "2026-01-01T24:00:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00+2:00",
                          "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00Zz", "yesterday"})
    EXPECT_FALSE(parse_rfc3339(bad)) << bad;
}

TEST(Time, RoundTripsEveryMicrosecond) {
  EXPECT_TRUE(rc::check([] {
    const Timestamp t{*rc::gen::inRange<int64_t>(0, 9'000'000'000'000'000)};
    RC_ASSERT(parse_rfc3339(to_rfc3339(t)) == t);
  }));
}

TEST(Time, DurationsCarryTheirUnit) {
  EXPECT_EQ(parse_duration("250ms")->us, 250'000);
  EXPECT_EQ(parse_duration("1.5h")->us, 5'400'000'000);
  EXPECT_FALSE(parse_duration("10"));
  EXPECT_FALSE(parse_duration("-1s"));
}

TEST(ByteReaderTest, StopsAtTheEndForGood) {
  Bytes bytes;
  append_le<uint16_t>(bytes, 7);
  append_text(bytes, "abc");
  ByteReader reader(bytes);
  EXPECT_EQ(reader.le<uint16_t>(), 7);
  EXPECT_EQ(reader.text(), "abc");
  EXPECT_TRUE(reader.ok() && reader.done());
  EXPECT_EQ(reader.le<uint32_t>(), 0u);
  EXPECT_FALSE(reader.ok());
}

TEST(JsonTest, NamesTheByteAndLimitsDepth) {
  EXPECT_NE(parse_json("{\"a\":}").error().message.find("byte 6"), std::string::npos);
  EXPECT_TRUE(parse_json(std::string(60, '[') + std::string(60, ']')));
  EXPECT_FALSE(parse_json(std::string(5000, '[') + std::string(5000, ']')));
  EXPECT_NE(parse_json("[2e999999]").error().message.find("too large"), std::string::npos);
}

TEST(MetricsTest, RendersPrometheusText) {
  Metrics metrics;
  metrics.counter("penstock_x_total", "things", {{"kind", "a\"b"}}).add(3);
  metrics.histogram("penstock_wait_seconds", "waiting").observe_us(3);
  const std::string text = metrics.render();
  EXPECT_NE(text.find("# TYPE penstock_x_total counter\npenstock_x_total{kind=\"a\\\"b\"} 3\n"),
            std::string::npos);
  EXPECT_NE(text.find("penstock_wait_seconds_bucket{le=\"4e-06\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("penstock_wait_seconds_count 1\n"), std::string::npos);
}

}  // namespace
}  // namespace penstock
