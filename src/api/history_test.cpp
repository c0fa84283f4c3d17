#include <filesystem>

#include "api/testing/world.h"

namespace penstock::api::testing {
namespace {

class HistoryTest : public ApiTest {
 protected:
  static std::string drain(const Response& response) {
    std::string out;
    char bytes[100];  // small, so that rows are cut anywhere
    for (;;) {
      const auto n = response.source->read(bytes);
      EXPECT_TRUE(n);
      if (!n || *n == 0) return out;
      out.append(bytes, *n);
    }
  }
};

TEST_F(HistoryTest, OfATwinInBuckets) {
  make_compressor();
  const Reply reply = get("/twins/comp-1/history?elements=pressure&from=-2h&to=-1h&bucket=1m");
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.body["bucket_s"], 60.0);
  const Json& series = reply.body["series"][0];
  EXPECT_EQ(series["element"], "pressure");
  EXPECT_EQ(series["t"][0].get<int64_t>(), (now() - Duration::hours(2)).us / 1000);
  EXPECT_TRUE(series["avg"][1].is_null()) << "NaN is no JSON";
  EXPECT_FALSE(series.contains("v"));
  EXPECT_EQ(reply.body["gaps"].size(), 1u);
  EXPECT_EQ(books.last_question.functions.size(), 4u);
  EXPECT_EQ(books.last_question.to, now() - Duration::hours(1));
}

TEST_F(HistoryTest, OfATwinThinned) {
  make_compressor();
  const Reply reply = get("/twins/comp-1/history?points=500");
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(books.last_question.points, 500u);
  EXPECT_EQ(reply.body["series"].size(), 2u) << "all numeric telemetry";
  EXPECT_EQ(reply.body["series"][0]["v"][2], 3.0);
  const Reply text = get("/twins/comp-1/history?elements=mode");
  EXPECT_EQ(text.body["series"][0]["v"][0], "a \"text\", with commas");
}

TEST_F(HistoryTest, RefusesWhatMakesNoSense) {
  make_compressor();
  for (const std::string query :
       {"elements=humidity", "from=yesterday", "from=-1h&to=-2h", "points=1", "points=9999999",
        "points=many", "bucket=1", "bucket=0s", "bucket=1ms", "functions=median",
        "bucket=1s&from=1990-01-01T00:00:00Z"}) {
    const Reply reply = get("/twins/comp-1/history?" + query);
    EXPECT_TRUE(reply.status == 400 || reply.status == 404) << query << " " << reply.status;
  }
}

TEST_F(HistoryTest, StopsWhenCancelled) {
  make_compressor();
  Request request;
  ASSERT_TRUE(parse_target("/api/v1/twins/comp-1/history", request));
  request.headers = {{"authorization", "Bearer " + admin}};
  Cancellation cancellation;
  cancellation.cancel();
  EXPECT_EQ(api->handle(request, cancellation).status, 504);
}

TEST_F(HistoryTest, QueriesAsJsonAndCsv) {
  make_compressor();
  const Json series =
      Json::parse(R"([{"twin":"comp-1","element":"pressure"},{"twin":"comp-1","element":"mode"}])");
  const Reply json = post("/query", {{"series", series}, {"from", "-1h"}});
  ASSERT_EQ(json.status, 200) << json.body;
  EXPECT_EQ(json.body["series"].size(), 2u);
  const Reply csv = post("/query", {{"series", series},
                                    {"from", "2027-01-15T07:00:00Z"},
                                    {"to", "2027-01-15T08:00:00Z"},
                                    {"format", "csv"}});
  ASSERT_EQ(csv.status, 200);
  EXPECT_EQ(drain(csv.response),
            "time,twin,element,unit,value,quality\r\n"
            "2027-01-15T07:00:00Z,comp-1,pressure,,0,good\r\n"
            "2027-01-15T07:00:01Z,comp-1,pressure,,,good\r\n"
            "2027-01-15T07:00:02Z,comp-1,pressure,,3,good\r\n"
            "2027-01-15T07:00:00Z,comp-1,mode,,\"a \"\"text\"\", with commas\",good\r\n"
            "2027-01-15T07:00:01Z,comp-1,mode,,\"a \"\"text\"\", with commas\",good\r\n"
            "2027-01-15T07:00:02Z,comp-1,mode,,\"a \"\"text\"\", with commas\",good\r\n");
  const Reply buckets = post(
      "/query",
      {{"series", series}, {"bucket", "1h"}, {"functions", {"avg", "count"}}, {"format", "csv"}});
  EXPECT_TRUE(drain(buckets.response).starts_with("time,twin,element,unit,avg,count,quality\r\n"));
  books.rows_a_series = 50'000;
  const Reply large = post("/query", {{"series", series}, {"format", "csv"}});
  const std::string text = drain(large.response);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 100'001);
}

TEST_F(HistoryTest, QueriesAsParquetAndLeavesNoFile) {
  make_compressor();
  const Json series = Json::parse(R"([{"twin":"comp-1","element":"pressure"}])");
  const Reply reply = post("/query", {{"series", series}, {"format", "parquet"}});
  ASSERT_EQ(reply.status, 200);
  EXPECT_EQ(reply.response.header("content-type"), "application/vnd.apache.parquet");
  EXPECT_EQ(drain(reply.response), "PAR1");
  books.cancel_queries = true;
  EXPECT_GE(post("/query", {{"series", series}, {"format", "parquet"}}).status, 400);
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    EXPECT_NE(entry.path().extension(), ".parquet") << entry.path();
}

TEST_F(HistoryTest, RefusesBrokenQueries) {
  make_compressor();
  for (const std::string body :
       {R"({})", R"({"series":[]})", R"({"series":[{"twin":"comp-1"}]})",
        R"({"series":[{"twin":"nobody","element":"pressure"}]})",
        R"({"series":[{"twin":"comp-1","element":"pressure"}],"format":"xml"})",
        R"({"series":[{"twin":"comp-1","element":"pressure"}],"functions":["median"]})",
        R"({"series":[{"twin":"comp-1","element":"pressure"}],"limit":0})"}) {
    const Reply reply = post("/query", Json::parse(body));
    EXPECT_TRUE(reply.status == 400 || reply.status == 404) << body << " " << reply.status;
  }
}

}  // namespace
}  // namespace penstock::api::testing
