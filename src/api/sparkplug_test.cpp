// Edge nodes as the API shows them.

#include <gtest/gtest.h>

#include "api/testing/world.h"

namespace penstock::api::testing {
namespace {

class SparkplugApi : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    stream::EdgeNode node;
    node.group = "Plant 1";
    node.node = "Edge";
    node.device = "Plant%201:Edge";
    node.state = stream::EdgeState::kOnline;
    node.bdseq = 3;
    node.seq = 17;
    node.born = now();
    node.devices.push_back(
        {"Pump", "Plant%201:Edge:Pump", stream::EdgeState::kOffline, {}, now(), 2});
    views.nodes.push_back(node);
  }
};

TEST_F(SparkplugApi, ShowsNodes) {
  const Reply reply = get("/sparkplug/nodes");
  ASSERT_EQ(reply.status, 200);
  const Json& node = reply.body["items"][0];
  EXPECT_EQ(node["state"], "online");
  EXPECT_EQ(node["bdseq"], 3);
  EXPECT_EQ(node["registered"], false);
  EXPECT_EQ(node["devices"][0]["stale"], true);
  EXPECT_EQ(node["devices"][0]["last_birth"], nullptr);
}

TEST_F(SparkplugApi, HidesStrangersFromWhoSeesSomeSitesOnly) {
  const Reply site = post("/sites", {{"name", "north"}, {"display_name", "North"}});
  ASSERT_EQ(site.status, 201);
  const auto north = *twins->site(twins->default_organisation(), "north");
  const std::string token = token_of(access::Role::kEngineer, {north->id});
  EXPECT_EQ(call(Method::kGet, "/sparkplug/nodes", nullptr, token).body["items"].size(), 0U);
  EXPECT_EQ(call(Method::kPost, "/sparkplug/nodes/Plant%201/Edge/rebirth", nullptr, token).status,
            404);
}

TEST_F(SparkplugApi, AsksForARebirth) {
  EXPECT_EQ(post("/sparkplug/nodes/Plant%201/Edge/rebirth").status, 204);
  ASSERT_EQ(views.rebirths.size(), 1U);
  EXPECT_TRUE(views.rebirths[0].starts_with("Plant 1/Edge "));
  EXPECT_EQ(post("/sparkplug/nodes/Plant%201/Other/rebirth").status, 404);
  const std::string token = token_of(access::Role::kExecutive);
  EXPECT_EQ(call(Method::kPost, "/sparkplug/nodes/Plant%201/Edge/rebirth", nullptr, token).status,
            403);
}

}  // namespace
}  // namespace penstock::api::testing
