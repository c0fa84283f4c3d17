#include "api/diagnosis.h"

#include <gtest/gtest.h>

#include "api/testing/world.h"

namespace penstock::api {
namespace {

using stream::ConnectionState;

class DiagnosisTest : public ::testing::Test {
 protected:
  DiagnosisTest() {
    device.name = "pump";
    device.enabled = true;
    facts.now = Timestamp::from_seconds(1'000'000);
    facts.device = &device;
  }
  ConnectionState& connection() {
    if (!facts.connection) facts.connection.emplace();
    return *facts.connection;
  }
  void spoke(Duration ago, uint64_t messages = 100) {
    connection().last_seen = facts.now - ago;
    connection().messages = messages;
    connection().samples = messages * 4;
    connection().online = true;
  }
  std::vector<std::string> codes() {
    std::vector<std::string> out;
    for (const Cause& cause : diagnose(facts).causes) out.push_back(cause.code);
    return out;
  }
  twin::DeviceRecord device;
  DiagnosisFacts facts;
};

using Codes = std::vector<std::string>;

TEST_F(DiagnosisTest, NothingIsWrongWithADeviceThatSpeaks) {
  spoke(Duration::seconds(2));
  EXPECT_EQ(codes(), Codes{});
  EXPECT_EQ(diagnose(facts).state, "ok");
}

TEST_F(DiagnosisTest, NothingOfThatNameHasCome) {
  EXPECT_EQ(codes(), Codes{"never_knocked"});
  EXPECT_EQ(diagnose(facts).state, "never_seen");
}

TEST_F(DiagnosisTest, WrongCredentialsCountOnlySinceItLastSpoke) {
  facts.refusals = {{"bad_credentials", 14, facts.now - Duration::seconds(5), "10.0.0.7"}};
  EXPECT_EQ(codes(), Codes{"bad_credentials"});
  EXPECT_NE(diagnose(facts).causes[0].detail.find("14 attempts, the last 5 s ago from 10.0.0.7"),
            std::string::npos);
  spoke(Duration::seconds(2));
  EXPECT_EQ(codes(), Codes{});
}

TEST_F(DiagnosisTest, ConnectedAndSilentSaysWhereItShouldPublish) {
  connection().online = true;
  facts.binding_topic = "plant/{device}/data";
  const Diagnosis found = diagnose(facts);
  ASSERT_EQ(found.causes.size(), 1u);
  EXPECT_EQ(found.causes[0].code, "connected_silent");
  EXPECT_NE(found.causes[0].remedy.find("plant/{device}/data"), std::string::npos);
}

TEST_F(DiagnosisTest, WhatHasGoneSaysHowTheConnectionEnded) {
  spoke(Duration::hours(3));
  connection().online = false;
  connection().detail = "keep alive timed out";
  EXPECT_EQ(codes(), Codes{"away"});
  EXPECT_EQ(diagnose(facts).state, "silent");
  EXPECT_NE(diagnose(facts).causes[0].detail.find("keep alive timed out"), std::string::npos);
}

TEST_F(DiagnosisTest, AllRefusedIsWorseThanSome) {
  spoke(Duration::seconds(1));
  connection().rejected = 3;
  connection().last_rejection = "wrong_type: mode";
  EXPECT_EQ(codes(), Codes{"some_refused"});
  EXPECT_EQ(diagnose(facts).state, "ok");
  connection().samples = 0;
  EXPECT_EQ(codes(), Codes{"all_refused"});
  EXPECT_EQ(diagnose(facts).state, "failing");
}

TEST_F(DiagnosisTest, BindingClockDeadbandAndCertificate) {
  spoke(Duration::seconds(1));
  connection().suppressed = 4000;
  connection().clock_offset = Duration::hours(-9);
  connection().future = 2;
  facts.binding_inactive = true;
  facts.certificate_expires = facts.now + Duration::days(3);
  // Errors first, then warnings, then hints.
  EXPECT_EQ(codes(),
            (Codes{"binding_inactive", "future_time", "certificate_expires", "clock", "deadband"}));
  facts.certificate_expires = facts.now - Duration::days(3);
  EXPECT_EQ(codes()[1], "certificate_expired");
}

TEST_F(DiagnosisTest, ASwitchedOffDeviceIsNotCalledSilent) {
  device.enabled = false;
  EXPECT_EQ(codes(), Codes{"disabled"});
  EXPECT_EQ(diagnose(facts).state, "disabled");
}

// -- over HTTP

using DiagnosisApi = testing::ApiTest;

TEST_F(DiagnosisApi, AnswersWhatTheServerKnows) {
  make_compressor();
  knocks.refused("comp-1", "bad_credentials", "10.0.0.7", now());
  const auto answer = get("/devices/comp-1/diagnosis");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.body["causes"][0]["code"], "bad_credentials");
  EXPECT_EQ(answer.body["authentication"]["failures"][0]["count"], 1);
  EXPECT_EQ(get("/devices/nobody/diagnosis").status, 404);
}

TEST_F(DiagnosisApi, ADeviceIsReplacedAndItsTwinStays) {
  make_compressor();
  const auto before = twins->device("comp-1");
  const auto series = twins->twin(before->twin)->series;
  ASSERT_EQ(post("/devices/comp-1/replace", Json::object()).status, 400);
  const auto made = post("/devices/comp-1/replace",
                         {{"reason", "motor burnt"}, {"serial", "SC-2"}, {"name", "comp-1b"}});
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.body["device"]["id"], "comp-1b");
  EXPECT_FALSE(made.body["credentials"]["token"].get<std::string>().empty());
  EXPECT_EQ(get("/devices/comp-1").status, 404);
  const auto twin = twins->twin(before->twin);
  EXPECT_EQ(twin->device, "comp-1b");
  EXPECT_EQ(twin->series, series);
  EXPECT_EQ(twin->labels.at("serial"), "SC-2");
  // Again, with the same name: only the credentials are new.
  const auto again = post("/devices/comp-1b/replace", {{"reason", "hit by a fork lift"}});
  ASSERT_EQ(again.status, 201);
  EXPECT_NE(again.body["credentials"]["token"], made.body["credentials"]["token"]);
  const auto list = get("/devices/comp-1b/replacements");
  ASSERT_EQ(list.body["items"].size(), 2u);
  EXPECT_EQ(list.body["items"][0]["old_serial"], "SC-2");
  EXPECT_EQ(list.body["items"][1]["old_device"], "comp-1");
  EXPECT_EQ(list.body["items"][1]["by"], "Ann");
}

TEST_F(DiagnosisApi, LabelsAreQrCodes) {
  make_compressor();
  const auto label = get("/twins/comp-1/label?base=https://plant.example/");
  ASSERT_EQ(label.status, 200);
  EXPECT_EQ(label.response.header("content-type"), "image/svg+xml");
  EXPECT_NE(label.response.body.find("<path"), std::string::npos);
  EXPECT_EQ(get("/twins/comp-1/label?base=javascript:alert(1)").status, 400);
  const auto sheet = post("/labels", {{"items", {{{"title", "<b>&"}, {"text", "abc"}}}}});
  ASSERT_EQ(sheet.status, 200);
  EXPECT_NE(sheet.response.body.find("&lt;b&gt;&amp;"), std::string::npos);
  EXPECT_EQ(post("/labels", {{"items", Json::array()}}).status, 400);
}

}  // namespace
}  // namespace penstock::api
