// /opcua: sources, secrets, questions, and devices made of picked nodes.

#include <gtest/gtest.h>

#include "api/opcua_assets.h"
#include "api/testing/world.h"

namespace penstock::api::testing {
namespace {

const Json kPlant{{"name", "plant"}, {"document", {{"endpoint_url", "opc.tcp://plc:4840"}}}};

TEST_F(ApiTest, AnOpcuaSourceKeepsItsSecretToItself) {
  Json body = kPlant;
  body["secrets"] = {{"password", "gate-5"}};
  const Reply made = post("/opcua/sources", body);
  ASSERT_EQ(made.status, 201) << made.body.dump();
  EXPECT_EQ(made.body["document"]["security_policy"], "Basic256Sha256");
  EXPECT_EQ(made.body["has_secret"], true);
  EXPECT_EQ(get("/opcua/sources").body.dump().find("gate-5"), std::string::npos);
  EXPECT_EQ(post("/opcua/sources", kPlant).status, 409);
  EXPECT_EQ(put("/opcua/sources/plant", {{"document", {{"endpoint_url", "http://plc"}}}}).status,
            400);
  EXPECT_EQ(remove("/opcua/sources/plant").status, 204);
  EXPECT_EQ(get("/opcua/sources/plant").status, 404);
}

TEST_F(ApiTest, OpcuaQuestionsGoToTheConnector) {
  ASSERT_EQ(post("/opcua/sources", kPlant).status, 201);
  EXPECT_EQ(get("/opcua/sources/plant/browse").status, 503);
  opcua.answers["browse"] = {{"node", "i=85"}, {"items", Json::array()}, {"more", 0}};
  opcua.answers["trust"] = {{"own", Json::object()}, {"items", Json::array()}};
  EXPECT_EQ(get("/opcua/sources/plant/browse?node=i%3D85").status, 200);
  EXPECT_EQ(opcua.last_arguments["node"], "i=85");
  EXPECT_EQ(post("/opcua/certificates/ab12", {{"action", "trust"}}).status, 200);
  EXPECT_EQ(opcua.last_arguments["thumbprint"], "ab12");
  EXPECT_EQ(post("/opcua/certificates/ab12", {{"action", "burn"}}).status, 400);
  EXPECT_EQ(call(Method::kPost, "/opcua/certificates/ab12", {{"action", "trust"}},
                 token_of(access::Role::kOperator))
                .status,
            403);
}

TEST_F(ApiTest, PickedNodesBecomeADeviceWithModelAndBinding) {
  ASSERT_EQ(post("/opcua/sources", kPlant).status, 201);
  ASSERT_EQ(post("/sites", {{"name", "north"}}).status, 201);
  const Json body{{"name", "pump"},
                  {"site", "north"},
                  {"elements",
                   {{{"address", "nsu=urn:a;s=P"},
                     {"element", "Discharge Pressure"},
                     {"data_type", "Double"},
                     {"unit", "bar"},
                     {"unit_code", "BAR"}},
                    {{"address", "nsu=urn:a;s=S"},
                     {"element", "setpoint"},
                     {"data_type", "Int32"},
                     {"writable", true}}}},
                  {"assets",
                   {{{"name", "Pump 1"},
                     {"nodes", {{{"address", "nsu=urn:a;s=P"}, {"node", "nsu=urn:a;s=P"}}}}}}}};
  const Reply made = post("/opcua/sources/plant/assets", body);
  ASSERT_EQ(made.status, 201) << made.body.dump();
  EXPECT_EQ(made.body["devices"][0], "plant:Pump%201");
  EXPECT_EQ(made.body["model"], "dtmi:penstock:opcua:plant:pump;1");
  const auto device = twins->device("plant:Pump%201");
  ASSERT_TRUE(device);
  EXPECT_EQ(device->protocol, "opcua");
  ASSERT_TRUE(device->config->source);
  EXPECT_EQ(device->config->elements[0].key, "discharge_pressure");
  EXPECT_EQ(device->config->elements[0].unit, "bar");
  // Once more is no error: the binding gets a version, the device stays.
  EXPECT_EQ(post("/opcua/sources/plant/assets", body).status, 201);
  EXPECT_EQ(remove("/opcua/sources/plant/assets/plant:Pump%25201").status, 204);
}

TEST(OpcuaAssets, NamesAreThoseOfDtdl) {
  EXPECT_EQ(element_name("Motor/Actual Speed"), "motor_actual_speed");
  EXPECT_EQ(element_name("OilTemperature_C"), "oil_temperature_c");
  EXPECT_EQ(element_name("1st"), "v1st");
  EXPECT_EQ(element_name("Größe"), "gr_e");
  EXPECT_EQ(element_name("__"), "v");
}

}  // namespace
}  // namespace penstock::api::testing
