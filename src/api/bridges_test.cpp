// Bridges to other brokers: settings, secrets that stay inside, versions.

#include "api/testing/world.h"

namespace penstock::api::testing {
namespace {

class BridgesTest : public ApiTest {
 protected:
  static Json bridge() {
    return {{"name", "hall-2"},
            {"host", "127.0.0.1"},
            {"username", "penstock"},
            {"password", "very secret"},
            {"subscribe", {{{"filter", "plant/#"}, {"qos", 2}}, "devices/+/telemetry"}},
            {"publish", {"devices/+/commands/#"}}};
  }
};

TEST_F(BridgesTest, AreMadeChangedAndRemovedWithEveryVersionKept) {
  const Reply made = post("/bridges", bridge());
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.body["port"], 1883);
  EXPECT_EQ(made.body["subscribe"][0]["qos"], 2);
  EXPECT_EQ(made.body["subscribe"][1]["qos"], 1);
  EXPECT_EQ(made.body["has_password"], true);
  EXPECT_EQ(made.body["status"]["state"], "disabled") << "nothing runs here";
  EXPECT_EQ(made.response.body.find("very secret"), std::string::npos);
  EXPECT_EQ(post("/bridges", bridge()).status, 409);
  const Reply changed = patch("/bridges/hall-2", {{"enabled", false}, {"password", nullptr}});
  ASSERT_EQ(changed.status, 200) << changed.body;
  EXPECT_EQ(changed.body["version"], 2);
  EXPECT_EQ(changed.body["has_password"], false);
  EXPECT_EQ(changed.body["username"], "penstock") << "what is not said stays";
  const Reply detail = get("/bridges/hall-2");
  ASSERT_EQ(detail.body["versions"].size(), 2u);
  EXPECT_EQ(detail.body["versions"][0]["version"], 2);
  EXPECT_EQ(detail.body["versions"][1]["document"]["enabled"], true);
  EXPECT_EQ(detail.response.body.find("very secret"), std::string::npos);
  EXPECT_EQ(get("/bridges").body["items"].size(), 1u);
  EXPECT_EQ(remove("/bridges/hall-2").status, 204);
  EXPECT_EQ(get("/bridges/hall-2").status, 404);
}

TEST_F(BridgesTest, MistakesAreNamed) {
  const auto wrong = [&](const char* member, Json value) {
    Json document = bridge();
    document[member] = std::move(value);
    const Reply reply = post("/bridges", document);
    EXPECT_EQ(reply.status, 400) << reply.body;
    return reply.response.body;
  };
  EXPECT_NE(wrong("host", "").find("host"), std::string::npos);
  EXPECT_NE(wrong("subscribe", {"a/#/b"}).find("no MQTT topic filter"), std::string::npos);
  EXPECT_NE(wrong("publish", {"plant/1/set"}).find("circles"), std::string::npos);
  EXPECT_NE(wrong("qos", 1).find("check its spelling"), std::string::npos);
  EXPECT_NE(wrong("keep_alive_s", 1).find("from 5 to 3600"), std::string::npos);
  EXPECT_NE(wrong("ca_pem", "x").find("set tls to true"), std::string::npos);
  EXPECT_NE(wrong("mqtt", "3.1").find("3.1.1"), std::string::npos);
  Json tls = bridge();
  tls["tls"] = true;
  tls["ca_pem"] = "no PEM";
  EXPECT_NE(post("/bridges", tls).response.body.find("PEM"), std::string::npos);
}

TEST_F(BridgesTest, SecretsSurviveSealedAndOnlyWithTheirKey) {
  ASSERT_EQ(post("/bridges", bridge()).status, 201);
  const auto again = interop::mqtt::BridgeStore::open(*registry, system_files(), clock,
                                                      system_random(), directory + "/bridge.key");
  ASSERT_TRUE(again) << again.error().text();
  std::string password;
  (*again)->subscribe(
      [&](const std::string&, const interop::mqtt::BridgeRecord*,
          const interop::mqtt::BridgeSecrets& secrets) { password = secrets.password; });
  EXPECT_EQ(password, "very secret");
  const auto rows = registry->read(
      [](store::Session& s) { return s.query<std::string>("SELECT secrets FROM bridge"); });
  ASSERT_TRUE(rows);
  EXPECT_EQ(std::get<0>(rows->front()).find("very"), std::string::npos);
  const auto other = interop::mqtt::BridgeStore::open(*registry, system_files(), clock,
                                                      system_random(), directory + "/other.key");
  ASSERT_TRUE(other) << "another key does not keep the server from starting";
  (*other)->subscribe(
      [&](const std::string&, const interop::mqtt::BridgeRecord*,
          const interop::mqtt::BridgeSecrets& secrets) { password = secrets.password; });
  EXPECT_EQ(password, "");
}

TEST_F(BridgesTest, AnotherRoleLooksAndDoesNotTouch) {
  const auto ask = [&](Method method, access::Role role) {
    return call(method, "/bridges", method == Method::kGet ? Json() : bridge(), token_of(role))
        .status;
  };
  EXPECT_EQ(ask(Method::kGet, access::Role::kTechnician), 200);
  EXPECT_EQ(ask(Method::kPost, access::Role::kOperator), 403);
  EXPECT_EQ(ask(Method::kPost, access::Role::kEngineer), 201);
}

}  // namespace
}  // namespace penstock::api::testing
