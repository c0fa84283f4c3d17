// From unknown traffic to devices: proposals, CSV, claim codes.

#include "api/testing/world.h"

namespace penstock::api::testing {
namespace {

class OnboardingTest : public ApiTest {
 protected:
  void discover(const std::string& name, const std::string& topic,
                const std::vector<std::string>& payloads) {
    stream::DiscoveredDevice device;
    device.organisation = twins->default_organisation();
    device.device = name;
    device.topic = topic;
    device.messages = payloads.size();
    device.first_seen = clock.now();
    device.last_seen =
        clock.now() + Duration::seconds(10 * static_cast<int64_t>(payloads.size() - 1));
    device.sample_payload = payloads.back();
    for (const auto& payload : payloads) device.samples.push_back({clock.now(), topic, payload});
    views.found[name] = device;
  }
};

TEST_F(OnboardingTest, AProposalOfACustomTopicServesItsWholeClass) {
  make_compressor();
  for (const char* name : {"fan-1", "fan-2"})
    discover(name, std::string("plant/") + name + "/data",
             {R"({"timestamp":1750000000,"speed_rpm":900.5})",
              R"({"timestamp":1750000010,"speed_rpm":910})"});
  discover("other", "devices/other/telemetry", {R"({"x":1})"});
  const Reply proposal = get("/discovery/fan-1/proposal");
  ASSERT_EQ(proposal.status, 200) << proposal.body;
  EXPECT_EQ(proposal.body["alike"], Json({"fan-2"}));
  EXPECT_EQ(proposal.body["interval_s"], 10.0);
  EXPECT_EQ(proposal.body["binding"]["topic"], "plant/{device}/data");
  EXPECT_EQ(proposal.body["binding"]["payload"]["time"], "/timestamp");
  ASSERT_EQ(proposal.body["elements"].size(), 1u);
  EXPECT_EQ(proposal.body["elements"][0]["unit"], "revolutionPerMinute");
  const Reply accepted = post("/discovery/fan-1/accept", {{"site", "north"}, {"also", {"fan-2"}}});
  ASSERT_EQ(accepted.status, 201) << accepted.body;
  EXPECT_EQ(accepted.body["device"]["binding"], "fan");
  EXPECT_EQ(accepted.body["also"].size(), 1u);
  EXPECT_EQ(accepted.body["rebind"]["state"], "waiting");
  EXPECT_EQ(views.jobs.size(), 2u);
  EXPECT_EQ(get("/rebind-jobs?device=fan-2").body["items"].size(), 1u);
  EXPECT_EQ(remove("/rebind-jobs/rbd_1").status, 204);
}

TEST_F(OnboardingTest, AnAcceptanceThatFailsLeavesNothingBehind) {
  make_compressor();
  discover("fan-1", "plant/fan-1/data", {R"({"speed_rpm":900.5})"});
  discover("comp-1", "plant/comp-1/data", {R"({"speed_rpm":900.5})"});  // the name is taken
  EXPECT_EQ(post("/discovery/fan-1/accept", {{"site", "north"}, {"also", {"comp-1"}}}).status, 409);
  EXPECT_EQ(get("/bindings").body["items"].size(), 0u);
  EXPECT_EQ(get("/models").body["items"].size(), 1u);
  EXPECT_EQ(get("/devices/fan-1").status, 404);
}

TEST_F(OnboardingTest, ACsvIsImportedWholeOrNotAtAll) {
  make_compressor();
  const std::string model = "dtmi:test:Compressor;1";
  const Reply wrong =
      post("/devices/import", {{"csv", "name,site,model\nc-2,north," + model + "\nc-2,south," +
                                           model + "\ncomp-1,north,dtmi:no;1\nshort\n"}});
  EXPECT_EQ(wrong.body["imported"], 0);
  EXPECT_EQ(wrong.body["errors"].size(), 5u) << wrong.body;
  EXPECT_EQ(get("/devices/c-2").status, 404);
  const Json good{{"csv", "name;site;model;label.hall\nc-2;north;\"" + model + "\";\"A;1\"\n"}};
  Json dry = good;
  dry["dry_run"] = true;
  EXPECT_EQ(post("/devices/import", dry).body["imported"], 0);
  const Reply done = post("/devices/import", good);
  EXPECT_EQ(done.body["imported"], 1) << done.body;
  EXPECT_EQ(get("/twins/c-2").body["labels"]["hall"], "A;1");
  EXPECT_EQ(post("/devices/import", {{"csv", "name,nonsense\n"}}).status, 400);
}

TEST_F(OnboardingTest, AClaimCodeIsUsedOnce) {
  make_compressor();
  const Json draft{{"name", "p-{n}"},
                   {"site", "north"},
                   {"model", "dtmi:test:Compressor;1"},
                   {"count", 2},
                   {"expires_in_days", 1}};
  const Reply codes = post("/claim-codes", draft);
  ASSERT_EQ(codes.status, 201) << codes.body;
  EXPECT_EQ(post("/claim-codes", draft).status, 409);  // those names are promised
  const std::string first = codes.body["items"][0]["code"], second = codes.body["items"][1]["code"];
  const Reply device = call(Method::kPost, "/provision", {{"code", first}, {"serial", "S"}}, "");
  ASSERT_EQ(device.status, 201) << device.body;
  EXPECT_EQ(device.body["username"], "p-1");
  EXPECT_EQ(get("/twins/p-1").body["labels"]["serial"], "S");
  EXPECT_EQ(call(Method::kPost, "/provision", {{"code", first}}, "").status, 403);
  clock.pass(Duration::days(2));
  EXPECT_EQ(call(Method::kPost, "/provision", {{"code", second}}, "").status, 403);
  EXPECT_EQ(get("/claim-codes").body["items"][1]["state"], "expired");
  EXPECT_EQ(remove("/claim-codes/clm_2").status, 204);
  for (int i = 0; i < 12; ++i) call(Method::kPost, "/provision", {{"code", "X"}}, "");
  EXPECT_EQ(call(Method::kPost, "/provision", {{"code", "X"}}, "").status, 429);
}

}  // namespace
}  // namespace penstock::api::testing
