// Devices, applications, join tokens, dead letters, discovery.

#include "api/testing/world.h"

namespace penstock::api::testing {
namespace {

class DevicesTest : public ApiTest {};

TEST_F(DevicesTest, ADeviceIsRegisteredWithItsTwin) {
  const Reply made = make_compressor();
  EXPECT_EQ(made.body["credentials"]["username"], "comp-1");
  const std::string token = made.body["credentials"]["token"];
  EXPECT_TRUE(token.starts_with("pst_"));
  EXPECT_EQ(made.body["topic"], "devices/comp-1/telemetry");
  EXPECT_EQ(made.body["endpoints"][0]["port"], 1883);
  EXPECT_EQ(get("/devices/comp-1").body, made.body["device"]);
  EXPECT_EQ(get("/devices").response.body.find(token), std::string::npos);
  const Reply rotated = post("/devices/comp-1/credentials");
  EXPECT_EQ(rotated.status, 201);
  EXPECT_NE(rotated.body["token"], token);
  EXPECT_EQ(
      post("/devices", {{"id", "comp-1"}, {"site", "north"}, {"model", "dtmi:test:Compressor;1"}})
          .status,
      409);
  EXPECT_EQ(
      post("/devices", {{"id", "a b"}, {"site", "north"}, {"model", "dtmi:test:Compressor;1"}})
          .status,
      400);
  EXPECT_EQ(
      patch("/devices/comp-1", {{"enabled", false}, {"stale_after_s", 90}}).body["stale_after_s"],
      90.0);
  EXPECT_EQ(remove("/devices/comp-1").status, 204);
  EXPECT_EQ(get("/devices/comp-1").status, 404);
  EXPECT_EQ(get("/twins/comp-1").body["device"], nullptr) << "the twin stays";
}

TEST_F(DevicesTest, ShowsTheConnection) {
  make_compressor();
  EXPECT_EQ(get("/devices/comp-1/connection").body["online"], false);
  stream::ConnectionState state;
  state.online = true;
  state.connected_at = state.last_seen = clock.now();
  state.client_id = "comp-1";
  state.messages = 3;
  state.last_rejection = "pressure is a text";
  views.states["comp-1"] = state;
  const Json shown = get("/devices/comp-1/connection").body;
  EXPECT_EQ(shown["messages"], 3);
  EXPECT_EQ(shown["last_rejection"], "pressure is a text");
}

TEST_F(DevicesTest, ApplicationsHaveGrantsAndNoTwin) {
  const Reply made =
      post("/applications", {{"id", "dashboard"}, {"subscribe_filters", {"devices/+/telemetry"}}});
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.body["device"]["kind"], "application");
  EXPECT_EQ(made.body["device"]["twin"], nullptr);
  EXPECT_EQ(post("/applications", {{"id", "bad"}, {"subscribe_filters", {"a/#/b"}}}).status, 400);
}

TEST_F(DevicesTest, JoinTokensBelongToASite) {
  make_compressor();
  const Reply made =
      post("/join-tokens", {{"site", "north"}, {"name", "hall 3"}, {"expires_in_days", 7}});
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_FALSE(made.body["token"].get<std::string>().empty());
  EXPECT_EQ(get("/join-tokens?site=north").body["items"].size(), 1u);
  EXPECT_EQ(remove("/join-tokens/" + made.body["id"].get<std::string>()).status, 204);
  EXPECT_EQ(get("/join-tokens").body["items"].size(), 0u);
  EXPECT_EQ(remove("/join-tokens/join_99").status, 404);
}

TEST_F(DevicesTest, DeadLettersSayWhyAndPageBackwards) {
  for (uint64_t i = 30; i > 0; --i) {
    stream::DeadLetter letter;
    letter.id = i;
    letter.organisation = twins->default_organisation();
    letter.received = clock.now();
    letter.device = i % 2 ? "odd" : "even";
    letter.topic = "devices/x/telemetry";
    letter.reason = "not JSON";
    letter.payload = std::string("\xff{\0", 3);
    views.letters.push_back(letter);
  }
  const Reply page = get("/dead-letters?device=odd&limit=10");
  ASSERT_EQ(page.body["items"].size(), 10u);
  EXPECT_EQ(page.body["items"][0]["id"], "dl_29");
  EXPECT_EQ(page.body["items"][0]["payload"], std::string("\xEF\xBF\xBD{\0", 5));
  const Reply rest = get("/dead-letters?device=odd&limit=10&cursor=" +
                         page.body["next_cursor"].get<std::string>());
  ASSERT_EQ(rest.body["items"].size(), 5u);
  EXPECT_FALSE(rest.body.contains("next_cursor"));
  EXPECT_EQ(get("/dead-letters?reason=nope").body["items"].size(), 0u);
}

TEST_F(DevicesTest, ADiscoveredDeviceIsAccepted) {
  make_compressor();
  stream::DiscoveredDevice device;
  device.organisation = twins->default_organisation();
  device.device = "pump-9";
  device.first_seen = device.last_seen = clock.now();
  device.messages = 4;
  device.topic = "devices/pump-9/telemetry";
  device.sample_payload = R"({"pressure":7.5,"running":true})";
  views.found["pump-9"] = device;
  device.device = "comp-7";
  device.sample_payload = R"({"pressure":7.5,"temperature":60.5})";
  views.found["comp-7"] = device;

  const Json list = get("/discovery").body["items"];
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0]["known_models"], Json({"dtmi:test:Compressor;1"}));
  EXPECT_EQ(list[1]["proposed_interface"]["@type"], "Interface") << list[1];

  EXPECT_EQ(
      post("/discovery/comp-7/accept", {{"site", "nowhere"}, {"model", "dtmi:test:Compressor;1"}})
          .status,
      404);
  const Reply known =
      post("/discovery/comp-7/accept", {{"site", "north"}, {"model", "dtmi:test:Compressor;1"}});
  EXPECT_EQ(known.status, 201) << known.body;
  const Reply proposed = post("/discovery/pump-9/accept", {{"site", "north"}});
  EXPECT_EQ(proposed.status, 201) << proposed.body;
  EXPECT_EQ(get("/twins/pump-9").body["elements"].size(), 2u);
  EXPECT_EQ(get("/discovery").body["items"].size(), 0u);
  EXPECT_EQ(remove("/discovery/pump-9").status, 404);
}

}  // namespace
}  // namespace penstock::api::testing
