// Conversion, export and repositories over the API.

#include "api/testing/world.h"

namespace penstock::api::testing {
namespace {

using ModelExchangeTest = ApiTest;

TEST_F(ModelExchangeTest, AThingDescriptionBecomesAModelThatIsAddedAndExportedAgain) {
  const Json thing = {{"title", "Lamp"},
                      {"properties",
                       {{"power",
                         {{"type", "number"},
                          {"unit", "W"},
                          {"readOnly", true},
                          {"observable", true},
                          {"multipleOf", 2}}}}}};
  const Reply read =
      post("/models/convert", {{"format", "wot"}, {"document", thing}, {"id", "dtmi:test:Lamp;4"}});
  ASSERT_EQ(read.status, 200) << read.body;
  EXPECT_EQ(read.body["documents"][0]["@id"], "dtmi:test:Lamp;4");
  EXPECT_EQ(read.body["notes"][0]["at"], "properties.power.multipleOf");
  EXPECT_TRUE(get("/models").body["items"].empty()) << "nothing is saved";
  ASSERT_EQ(post("/models", read.body["documents"]).status, 201);
  const Json wot = get("/models/dtmi:test:Lamp;4/export?format=wot").body;
  EXPECT_EQ(wot["document"]["@type"], "tm:ThingModel");
  EXPECT_EQ(wot["document"]["properties"]["power"]["unit"], "W");
  const Json aas = get("/models/dtmi:test:Lamp;4/export?format=aas").body;
  EXPECT_EQ(aas["document"]["submodels"][0]["submodelElements"][0]["category"], "VARIABLE");
  EXPECT_EQ(get("/models/dtmi:test:Lamp;4/export").body["document"][0]["@id"], "dtmi:test:Lamp;4");
  EXPECT_EQ(get("/models/dtmi:test:Lamp;4/export?format=xml").status, 400);
  EXPECT_EQ(get("/models/dtmi:test:Lamp;5/export").status, 404);
  const Reply back = post("/models/convert", {{"format", "aas"}, {"document", aas["document"]}});
  EXPECT_EQ(back.body["documents"][0]["contents"], read.body["documents"][0]["contents"]);
}

TEST_F(ModelExchangeTest, WhatIsWrongIsRefused) {
  EXPECT_EQ(post("/models/convert", {{"format", "wot"}, {"document", {{"x", 1}}}}).status, 400);
  EXPECT_EQ(post("/models/convert", {{"format", "dtdl"}, {"document", Json::object()}}).status,
            400);
  EXPECT_EQ(post("/models/convert", {{"format", "xml"}, {"document", Json::object()}}).status, 400);
  EXPECT_EQ(post("/models/convert", {{"format", "aas"}}).status, 400);
  EXPECT_EQ(
      call(Method::kPost, "/models/convert", {{"format", "aas"}, {"document", Json::object()}},
           token_of(access::Role::kOperator))
          .status,
      403);
}

TEST_F(ModelExchangeTest, OnlyRepositoriesOfTheConfigurationAreRead) {
  repositories.files["dtmi/com/example/base-1.json"] =
      R"({"@context":"dtmi:dtdl:context;3","@id":"dtmi:com:example:Base;1","@type":"Interface"})";
  repositories.files["dtmi/com/example/pump-1.json"] =
      R"({"@context":"dtmi:dtdl:context;3","@id":"dtmi:com:example:Pump;1","@type":"Interface","extends":"dtmi:com:example:Base;1"})";
  EXPECT_EQ(get("/models/repositories").body["items"][0]["name"], "memory");
  const Json wanted = {{"repository", "memory"}, {"ids", {"dtmi:com:example:Pump;1"}}};
  Json dry = wanted;
  dry["dry_run"] = true;
  const Reply shown = post("/models/import", dry);
  EXPECT_EQ(shown.status, 200);
  EXPECT_EQ(shown.body["documents"].size(), 2u);
  EXPECT_TRUE(get("/models").body["items"].empty());
  EXPECT_EQ(post("/models/import", wanted).body["added"].size(), 2u);
  EXPECT_EQ(post("/models/import", wanted).status, 201) << "the same again is no error";
  const std::vector<std::string> elsewhere = {"http://169.254.169.254/latest", "file:///etc",
                                              "/etc", "http://127.0.0.1:8080"};
  for (const auto& place : elsewhere)
    EXPECT_EQ(post("/models/import", {{"repository", place}, {"ids", {"dtmi:a:B;1"}}}).status, 403);
  EXPECT_EQ(post("/models/import", {{"repository", "memory"}, {"ids", {"dtmi:a:B;1"}}}).status,
            404);
  EXPECT_EQ(post("/models/import", {{"repository", "memory"}, {"ids", {"../../x"}}}).status, 400);
  EXPECT_EQ(post("/models/import", {{"repository", "memory"}, {"ids", Json::array()}}).status, 400);
}

}  // namespace
}  // namespace penstock::api::testing
