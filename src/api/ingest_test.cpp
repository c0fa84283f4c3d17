// Samples over HTTP through the API: who may, in which formats, and what comes back.

#include "api/testing/world.h"

namespace penstock::api::testing {
namespace {

class IngestTest : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    token = make_compressor().body["credentials"]["token"].get<std::string>();
  }
  Reply send_body(std::string_view target, std::string body, std::string_view type,
                  Fields headers = {}) {
    Request request;
    request.method = Method::kPost;
    EXPECT_TRUE(parse_target(target, request));
    request.headers = std::move(headers);
    request.headers.emplace_back("host", "h");
    request.headers.emplace_back("content-type", type);
    if (request.header("authorization").empty())
      request.headers.emplace_back("authorization", "Bearer " + token);
    request.body = std::move(body);
    return send(std::move(request));
  }
  std::string token;
};

TEST_F(IngestTest, EachFormatReachesTheDevice) {
  EXPECT_EQ(send_body("/api/v1/ingest", R"({"pressure":1})", "application/json").status, 200);
  EXPECT_EQ(send_body("/api/v1/ingest", "pressure\n1\n2\n", "text/csv").body["accepted"], 2);
  EXPECT_EQ(send_body("/api/v1/ingest/comp-1", "x pressure=1\n", "text/plain").status, 200);
  EXPECT_EQ(send_body("/write", "x pressure=1\n", "").status, 204);
  EXPECT_EQ(send_body("/v1/metrics", "{\"resourceMetrics\":[]}", "application/json").status, 200);
  ASSERT_EQ(taken.size(), 5u);
  for (const auto& intake : taken) EXPECT_EQ(intake.device, "comp-1");
  // The model knows the field, not measurement.field.
  EXPECT_EQ(taken.back().report.view().values.front().address, "pressure");
  EXPECT_EQ(send_body("/api/v1/ingest", "?", "image/png").status, 400);
  EXPECT_EQ(send_body("/api/v1/ingest", "{", "application/json").status, 400);
  EXPECT_EQ(send_body("/api/v1/ingest", "x", "text/plain", {{"content-encoding", "gzip"}}).status,
            400);
}

TEST_F(IngestTest, OnlyForItselfAndWithItsOwnCredentials) {
  EXPECT_EQ(send_body("/api/v1/ingest/other", R"({"pressure":1})", "application/json").status, 403);
  EXPECT_EQ(
      send_body("/api/v1/ingest", "{}", "application/json", {{"authorization", "Bearer " + admin}})
          .status,
      401);
  const Reply app =
      post("/applications", {{"id", "gateway"}, {"publish_filters", {"devices/+/telemetry"}}});
  ASSERT_EQ(app.status, 201) << app.body;
  const std::string gateway = app.body["credentials"]["token"];
  EXPECT_EQ(send_body("/write", "m,device=comp-1 pressure=1\n", "text/plain",
                      {{"authorization", "Token " + gateway}})
                .status,
            204);
  EXPECT_EQ(taken.back().device, "comp-1");
}

TEST_F(IngestTest, AKeyIsAnsweredOnceAndFixesTheTime) {
  const Fields key{{"idempotency-key", "k1"}};
  const Reply first = send_body("/api/v1/ingest", "pressure\n1\n2\n", "text/csv", key);
  EXPECT_EQ(first.body["repeated"], false);
  ASSERT_EQ(taken.size(), 2u);
  EXPECT_NE(taken[0].received.us, 0);
  EXPECT_LT(taken[0].received, taken[1].received);
  const Reply second = send_body("/api/v1/ingest", "pressure\n1\n2\n", "text/csv", key);
  EXPECT_EQ(second.body["repeated"], true);
  EXPECT_EQ(taken.size(), 2u);
  EXPECT_EQ(send_body("/api/v1/ingest", "pressure\n3\n", "text/csv", key).status, 400);
  // What could not be made durable is sent again, with the same times.
  journal_writes = false;
  const Fields other{{"idempotency-key", "k2"}};
  EXPECT_EQ(send_body("/api/v1/ingest", "pressure\n5\n", "text/csv", other).status, 503);
  journal_writes = true;
  clock.pass(Duration::minutes(1));
  EXPECT_EQ(send_body("/api/v1/ingest", "pressure\n5\n", "text/csv", other).status, 200);
  ASSERT_EQ(taken.size(), 4u);
  EXPECT_EQ(taken[2].received, taken[3].received);
}

TEST_F(IngestTest, WhatIsRefusedIsNamedAndKept) {
  const Reply reply =
      send_body("/api/v1/ingest", "{\"pressure\":1}\nnope\n", "application/x-ndjson");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body["refused_rows"], 1);
  EXPECT_EQ(reply.body["errors"][0]["row"], 2);
  EXPECT_EQ(taken.back().payload, "nope");
  EXPECT_FALSE(taken.back().refusal.empty());
  EXPECT_EQ(send_body("/api/v1/ingest", "nope\n", "application/x-ndjson").status, 422);
  EXPECT_EQ(send_body("/write", "m pressure=1\nbroken\n", "text/plain").status, 400);
}

}  // namespace
}  // namespace penstock::api::testing
