// The parsers of HTTP ingest, against bodies as the field writes them.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "interop/http/csv_rows.h"
#include "interop/http/influx_line.h"
#include "interop/http/json_rows.h"
#include "interop/http/otlp.h"

namespace penstock::interop::http {
namespace {

// "device: address=value @time" of each value.
std::vector<std::string> shown(const Rows& rows) {
  std::vector<std::string> out;
  for (const Row& row : rows.rows) {
    if (!row.payload.empty()) out.push_back(fmt::format("{}: {}", row.device, row.payload));
    for (uint32_t i = row.first; i < row.first + row.count; ++i) {
      std::string json;
      stream::append_value(json, rows.values[i]);
      out.push_back(fmt::format("{}: {}={} @{}", row.device, rows.values[i].address, json,
                                rows.values[i].source_time.us));
    }
  }
  return out;
}

using Lines = std::vector<std::string>;

TEST(InfluxLineTest, ReadsWhatTelegrafWrites) {
  Rows rows;
  parse_influx_lines(
      "cpu,cpu=cpu0,host=web\\ 1 usage_user=1.5,busy=t,n=2i,name=\"a \\\"b\\\", c\" "
      "1700000000123456789\n"
      "# a comment\r\n"
      "\n"
      "weather,device=north temperature=21.5\r\n",
      {}, {}, rows);
  EXPECT_EQ(shown(rows), (Lines{"web 1: cpu.usage_user[cpu=cpu0]=1.5 @1700000000123456",
                                "web 1: cpu.busy[cpu=cpu0]=true @1700000000123456",
                                "web 1: cpu.n[cpu=cpu0]=2 @1700000000123456",
                                "web 1: cpu.name[cpu=cpu0]=\"a \\\"b\\\", c\" @1700000000123456",
                                "north: weather.temperature=21.5 @0"}));
  EXPECT_EQ(rows.refused, 0u);
  EXPECT_EQ(rows.shorter.back(), "temperature");
  EXPECT_EQ(rows.shorter.front(), "");  // the tag cpu tells series apart
}

TEST(InfluxLineTest, AWrongLineIsNamedAndItsNeighboursStay) {
  Rows rows;
  parse_influx_lines("a x=1\nb\nc x=1.2.3\nd,t x=1\ne x=\"open\nf x=1 yesterday\ng x=1i 5\n",
                     {.precision_ns = 1'000'000'000}, {}, rows);
  EXPECT_EQ(shown(rows), (Lines{": a.x=1 @0", ": g.x=1 @5000000"}));
  ASSERT_EQ(rows.errors.size(), 5u);
  EXPECT_EQ(rows.errors[0].number, 2u);
  EXPECT_EQ(rows.errors[0].text, "b");
  EXPECT_EQ(rows.errors[3].number, 5u);
  EXPECT_EQ(rows.errors[3].reason, "a text has no closing quote");
}

TEST(InfluxLineTest, PrecisionsOfBothVersions) {
  EXPECT_EQ(nanos_of_precision(""), 1);
  EXPECT_EQ(nanos_of_precision("ms"), 1'000'000);
  EXPECT_EQ(nanos_of_precision("h"), 3'600'000'000'000);
  EXPECT_EQ(nanos_of_precision("days"), std::nullopt);
}

TEST(CsvRowsTest, WideAndLong) {
  Rows wide;
  ASSERT_TRUE(
      parse_csv_rows("device,time,temp,mode\n"
                     "p1,2026-01-01T00:00:00Z,21.5,\"a,b\"\n"
                     "p2,1767225600000,,on\n"
                     "p3,yesterday,1,2\n"
                     "p4,1\n",
                     {}, wide));
  EXPECT_EQ(shown(wide),
            (Lines{"p1: temp=21.5 @1767225600000000", "p1: mode=\"a,b\" @1767225600000000",
                   "p2: mode=\"on\" @1767225600000000"}));
  ASSERT_EQ(wide.errors.size(), 2u);
  EXPECT_EQ(wide.errors[0].number, 4u);
  Rows long_form;
  ASSERT_TRUE(parse_csv_rows("ts;element;value\n1767225600;temp;3\n", {}, long_form));
  EXPECT_EQ(shown(long_form), (Lines{": temp=3 @1767225600000000"}));
  Rows none;
  EXPECT_FALSE(parse_csv_rows("device,time\n", {}, none));
}

TEST(JsonRowsTest, OneDeviceOrMany) {
  Rows one;
  ASSERT_TRUE(parse_json_rows(R"({"temp":1})", {}, one));
  EXPECT_EQ(shown(one), (Lines{R"(: {"temp":1})"}));
  Rows many;
  ASSERT_TRUE(parse_json_rows(
      R"([{"device":"a","ts":5,"values":{"t":1}},{"x":1},{"device":"b","q\"":true}])", {}, many));
  EXPECT_EQ(shown(many), (Lines{R"(a: {"ts":5,"values":{"t":1}})", R"(b: {"q\"":true})"}));
  EXPECT_EQ(many.refused, 1u);
  Rows broken;
  EXPECT_FALSE(parse_json_rows("{", {}, broken));
  Rows lines;
  parse_json_lines("{\"a\":1}\nnope\n\n{\"device\":\"d\",\"a\":2}\n", {}, lines);
  EXPECT_EQ(shown(lines), (Lines{R"(: {"a":1})", R"(d: {"a":2})"}));
  EXPECT_EQ(lines.errors.front().number, 2u);
}

TEST(OtlpTest, GaugesSumsAndWhatIsRefused) {
  Rows rows;
  ASSERT_TRUE(parse_otlp_json(
      R"({"resourceMetrics":[{"resource":{"attributes":[
          {"key":"service.name","value":{"stringValue":"svc"}},
          {"key":"device","value":{"stringValue":"pump"}}]},
        "scopeMetrics":[{"metrics":[
          {"name":"temp","gauge":{"dataPoints":[{"asDouble":2.5,"timeUnixNano":"1700000000000000000",
            "attributes":[{"key":"zone","value":{"intValue":"3"}}]}]}},
          {"name":"starts","sum":{"dataPoints":[{"asInt":"7"}]}},
          {"name":"h","histogram":{"dataPoints":[{}]}}]}]}]})",
      {}, rows));
  EXPECT_EQ(shown(rows), (Lines{"pump: temp[zone=3]=2.5 @1700000000000000", "pump: starts=7 @0"}));
  EXPECT_EQ(rows.refused, 1u);
  Rows none;
  EXPECT_FALSE(parse_otlp_json("{}", {}, none));
  EXPECT_FALSE(parse_otlp_protobuf("\x0a\xff", {}, none));
}

TEST(RowsTest, TimesSayTheirUnitByTheirSize) {
  EXPECT_EQ(parse_any_time("1700000000")->us, 1'700'000'000'000'000);
  EXPECT_EQ(parse_any_time("1700000000.25")->us, 1'700'000'000'250'000);
  EXPECT_EQ(parse_any_time("1700000000000")->us, 1'700'000'000'000'000);
  EXPECT_EQ(parse_any_time("1700000000000000")->us, 1'700'000'000'000'000);
  EXPECT_EQ(parse_any_time("soon"), std::nullopt);
}

}  // namespace
}  // namespace penstock::interop::http
