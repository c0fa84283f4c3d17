#include "api/alarms.h"

#include "api/testing/world.h"

namespace penstock::api::testing {
namespace {

class AlarmsTest : public ApiTest {
 protected:
  AlarmItem& raise(const std::string& twin, Priority priority) {
    const auto record = twins->twin(twins->default_organisation(), twin);
    EXPECT_TRUE(record);
    AlarmItem alarm;
    alarm.id = AlarmId(books.all_alarms.size() + 1);
    alarm.organisation = twins->default_organisation();
    alarm.twin = (*record)->id;
    alarm.site = (*record)->site;
    alarm.source = RuleId(3);
    alarm.from_detector = true;
    alarm.source_name = "spc";
    alarm.priority = priority;
    alarm.raised = clock.now();
    alarm.value = 12.5;
    alarm.limit = 10;
    alarm.message = "behaves unlike itself";
    alarm.contributions = {{"temperature", 0.7}, {"pressure", 0.3}};
    alarm.history = {{clock.now(), "system", "raised", ""}};
    return books.all_alarms.emplace_back(alarm);
  }
};

TEST_F(AlarmsTest, ListsFiltersAndPages) {
  make_compressor();
  for (int i = 0; i < 5; ++i) raise("comp-1", i % 2 ? Priority::kLow : Priority::kCritical);
  books.all_alarms[0].state = AlarmState::kClosed;
  books.all_alarms[1].state = AlarmState::kAcknowledged;
  books.all_alarms[1].acknowledged = clock.now();
  const Reply page = get("/alarms?limit=2");
  ASSERT_EQ(page.body["items"].size(), 2u);
  EXPECT_EQ(page.body["items"][0]["id"], "alm_5") << "newest first";
  EXPECT_EQ(page.body["items"][0]["contributions"][0]["element"], "temperature");
  const Reply next = get("/alarms?limit=2&cursor=" + page.body["next_cursor"].get<std::string>());
  EXPECT_EQ(next.body["items"][0]["id"], "alm_3");
  EXPECT_EQ(get("/alarms?state=open").body["items"].size(), 4u);
  EXPECT_EQ(get("/alarms?state=acknowledged").body["items"].size(), 1u);
  EXPECT_EQ(get("/alarms?priority=low").body["items"].size(), 2u);
  EXPECT_EQ(get("/alarms?twin=comp-1&site=north").body["items"].size(), 5u);
  EXPECT_EQ(get("/alarms?state=loud").status, 400);
  EXPECT_EQ(get("/alarms?priority=loud").status, 400);
  EXPECT_EQ(get("/alarms?twin=nobody").status, 404);

  const Json twin = get("/twins/comp-1").body;
  EXPECT_EQ(twin["alarms"].size(), 4u);
  const Json summary = get("/twins").body["items"][0];
  EXPECT_EQ(summary["worst_priority"], "critical");
  EXPECT_EQ(summary["alarms"]["critical"], 2);
  EXPECT_EQ(summary["alarms"]["unacknowledged"], 3);
  EXPECT_EQ(get("/overview").body["totals"]["alarms"]["low"], 2);
  EXPECT_EQ(get("/search?q=unlike").body["items"].size(), 4u);
}

TEST_F(AlarmsTest, IsAcknowledgedByAPersonWithANote) {
  make_compressor();
  raise("comp-1", Priority::kHigh);
  const Reply done = post("/alarms/alm_1/acknowledge", {{"note", "on my way"}});
  ASSERT_EQ(done.status, 200) << done.body;
  EXPECT_EQ(done.body["state"], "acknowledged");
  EXPECT_EQ(done.body["acknowledged_by"], "Ann");
  EXPECT_EQ(done.body["history"][1]["note"], "on my way");
  EXPECT_EQ(post("/alarms/alm_1/acknowledge").status, 200) << "a body is not needed";
  EXPECT_EQ(post("/alarms/alm_1/notes", {{"text", "bearing ordered"}}).status, 201);
  EXPECT_EQ(post("/alarms/alm_1/notes", {{"text", ""}}).status, 400);
  EXPECT_EQ(post("/alarms/alm_9/acknowledge").status, 404);
  EXPECT_EQ(get("/alarms/nine").status, 404);
}

TEST_F(AlarmsTest, OfOtherSitesAreNotThere) {
  make_compressor();
  raise("comp-1", Priority::kHigh);
  ASSERT_EQ(post("/sites", {{"name", "south"}}).status, 201);
  const auto south = twins->site(twins->default_organisation(), "south");
  const std::string bob = token_of(access::Role::kOperator, {(*south)->id});
  EXPECT_EQ(call(Method::kGet, "/alarms", nullptr, bob).body["items"].size(), 0u);
  EXPECT_EQ(call(Method::kGet, "/alarms/alm_1", nullptr, bob).status, 404);
  EXPECT_EQ(call(Method::kPost, "/alarms/alm_1/acknowledge", nullptr, bob).status, 404);
  EXPECT_EQ(call(Method::kGet, "/search?q=unlike", nullptr, bob).body["items"].size(), 0u);
}

class RulesTest : public ApiTest {
 protected:
  const Json rule_ =
      Json::parse(R"({"scope":{"model":"dtmi:test:Compressor;1"},"element":"temperature",
      "kind":"threshold","comparison":">","limit":90,"hysteresis":2,"on_delay_s":1.5,"priority":"high",
      "message":"too hot"})");
};

TEST_F(RulesTest, ComeChangeAndGo) {
  make_compressor();
  const Reply made = post("/rules", rule_);
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.body["on_delay_s"], 1.5);
  EXPECT_EQ(made.body["enabled"], true);
  const std::string id = made.body["id"];
  EXPECT_GT(views.configuration_changes, 0);
  EXPECT_EQ(get("/rules").body["items"].size(), 1u);
  EXPECT_EQ(get("/rules?twin=comp-1").body["items"].size(), 1u);
  Json changed = rule_;
  changed["limit"] = 95;
  EXPECT_EQ(put("/rules/" + id, changed).body["limit"], 95.0);
  EXPECT_EQ(get("/rules/" + id).body["limit"], 95.0);
  EXPECT_EQ(remove("/rules/" + id).status, 204);
  EXPECT_EQ(get("/rules/" + id).status, 404);
}

TEST_F(RulesTest, ThatCouldNeverFireAreRefused) {
  make_compressor();
  const auto refused = [&](const std::string& member, const Json& value) {
    Json wrong = rule_;
    wrong[member] = value;
    const Reply reply = post("/rules", wrong);
    EXPECT_GE(reply.status, 400) << member;
    return reply.body.value("about", "");
  };
  EXPECT_EQ(refused("element", "humidity"), "element");
  EXPECT_EQ(refused("scope", Json::object()), "scope");
  EXPECT_EQ(refused("scope", {{"model", "dtmi:test:Compressor;1"}, {"site", "north"}}), "scope");
  EXPECT_EQ(refused("kind", "magic"), "kind");
  EXPECT_EQ(refused("comparison", ">="), "comparison");
  EXPECT_EQ(refused("limit", "hot"), "limit");
  EXPECT_EQ(refused("hysteresis", -1), "hysteresis");
  EXPECT_EQ(refused("on_delay_s", 1e9), "on_delay_s");
  EXPECT_EQ(refused("priority", "urgent"), "priority");
  EXPECT_EQ(refused("message", ""), "message");
  refused("scope", {{"site", "nowhere"}});
  EXPECT_EQ(get("/rules").body["items"].size(), 0u);
}

TEST_F(RulesTest, APersonOfOneSiteDoesNotRuleOthers) {
  make_compressor();
  ASSERT_EQ(post("/rules", rule_).status, 201);
  ASSERT_EQ(post("/sites", {{"name", "south"}}).status, 201);
  const auto south = twins->site(twins->default_organisation(), "south");
  const std::string bob = token_of(access::Role::kEngineer, {(*south)->id});
  EXPECT_EQ(call(Method::kPost, "/rules", rule_, bob).status, 403);
  EXPECT_EQ(call(Method::kDelete, "/rules/rule_1", nullptr, bob).status, 403);
  Json on_twin = rule_;
  on_twin["scope"] = {{"twin", "comp-1"}};
  EXPECT_EQ(call(Method::kPost, "/rules", on_twin, bob).status, 404);
  Json on_site = rule_;
  on_site["scope"] = {{"site", "south"}};
  EXPECT_EQ(call(Method::kPost, "/rules", on_site, bob).status, 201);
}

TEST_F(RulesTest, DetectorsLearnFromAHealthyWindow) {
  make_compressor();
  const Reply made = post("/detectors", {{"twin", "comp-1"},
                                         {"elements", {"pressure", "temperature"}},
                                         {"from", "2027-01-01T00:00:00Z"},
                                         {"to", "2027-01-02T00:00:00Z"}});
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.body["state"], "learning");
  EXPECT_EQ(made.body["healthy_from"], "2027-01-01T00:00:00Z");
  const std::string id = made.body["id"];
  EXPECT_EQ(post("/detectors/" + id + "/learn", {{"from", "-2h"}, {"to", "-1h"}}).status, 202);
  EXPECT_EQ(post("/detectors/" + id + "/learn", {{"from", "-1h"}, {"to", "-2h"}}).status, 400);
  EXPECT_EQ(post("/detectors", {{"twin", "comp-1"}, {"elements", {"humidity"}}}).status, 400);
  EXPECT_EQ(post("/detectors", {{"twin", "nobody"}}).status, 404);
  EXPECT_EQ(get("/detectors?twin=comp-1").body["items"].size(), 1u);
  EXPECT_EQ(remove("/detectors/" + id).status, 204);
  EXPECT_EQ(get("/detectors/" + id).status, 404);
}

}  // namespace
}  // namespace penstock::api::testing
