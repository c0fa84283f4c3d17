// Binding documents: versions, activation, try-out, and the devices that use them.

#include "api/testing/world.h"
#include "twin/binding.h"

namespace penstock::api::testing {
namespace {

class BindingsTest : public ApiTest {
 protected:
  static Json document(double scale = 1) {
    return {{"name", "acme"},
            {"model", "dtmi:test:Compressor;1"},
            {"topic", "plant/{site}/{device}/data"},
            {"elements",
             {{{"element", "pressure"}, {"from", "/p"}, {"scale", scale}},
              {{"element", "mode"}, {"from", "/s"}, {"values", {{"0", "off"}, {"1", "on"}}}}}}};
  }
};

TEST_F(BindingsTest, AVersionIsADraftUntilItIsActivated) {
  make_compressor();
  const Reply saved = post("/bindings", {{"document", document()}, {"note", "first"}});
  ASSERT_EQ(saved.status, 201) << saved.body;
  EXPECT_EQ(saved.body["active_version"], nullptr);
  EXPECT_EQ(saved.body["versions"][0]["note"], "first");
  EXPECT_EQ(patch("/devices/comp-1", {{"binding", "acme"}}).status, 409) << "no active version";
  EXPECT_EQ(post("/bindings/acme/activate", {{"version", 1}}).body["active_version"], 1);
  const Reply bound = patch("/devices/comp-1", {{"binding", "acme"}});
  ASSERT_EQ(bound.status, 200) << bound.body;
  EXPECT_EQ(bound.body["binding"], "acme");
  EXPECT_EQ(get("/bindings").body["items"][0]["devices"], 1);
  EXPECT_EQ(remove("/bindings/acme").status, 409) << "a device uses it";

  EXPECT_EQ(post("/bindings", {{"document", document(2)}}).body["latest_version"], 2);
  const Json changes = get("/bindings/acme/changes").body;
  EXPECT_EQ(changes["from"], 1);
  EXPECT_EQ(changes["changes"][0]["path"], "/elements/0/scale");
  const auto config = [&] { return twins->device("comp-1")->config->source; };
  EXPECT_EQ(config()->version, 1u);
  EXPECT_EQ(post("/bindings/acme/activate", {{"version", 2}}).status, 200);
  EXPECT_EQ(config()->version, 2u);
  EXPECT_EQ(post("/bindings/acme/activate", {{"version", 1}}).status, 200) << "back again";
  EXPECT_EQ(config()->version, 1u);
  EXPECT_EQ(post("/bindings/acme/activate", {{"version", 3}}).status, 404);

  EXPECT_EQ(patch("/devices/comp-1", {{"binding", ""}}).body["binding"], nullptr);
  EXPECT_EQ(remove("/bindings/acme").status, 204);
  EXPECT_EQ(get("/bindings/acme").status, 404);
}

TEST_F(BindingsTest, WhatDoesNotFitIsRefusedWithItsPlace) {
  make_compressor();
  Json wrong = document();
  wrong["elements"][0]["element"] = "voltage";
  EXPECT_EQ(post("/bindings", {{"document", wrong}}).status, 201) << "a draft stands alone";
  const Reply refused = post("/bindings/acme/activate", {{"version", 1}});
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.response.body.find("voltage"), std::string::npos);
  Json twice = document();
  twice["elements"][1]["element"] = "pressure";
  EXPECT_NE(post("/bindings", {{"document", twice}}).response.body.find("elements[1].element"),
            std::string::npos);
  Json lwm2m = {{"name", "other"},
                {"protocol", "lwm2m"},
                {"model", "dtmi:test:Compressor;1"},
                {"elements", {{{"element", "pressure"}, {"from", "/3323/0/5700"}}}}};
  EXPECT_EQ(post("/bindings", {{"document", lwm2m}, {"activate", true}}).status, 201);
  EXPECT_EQ(patch("/devices/comp-1", {{"binding", "other"}, {"protocol", "mqtt"}}).status, 400);
  EXPECT_EQ(patch("/devices/comp-1", {{"binding", "other"}}).body["protocol"], "lwm2m");
}

TEST_F(BindingsTest, TwoBindingsOfOneTopicAreRefused) {
  make_compressor();
  ASSERT_EQ(post("/bindings", {{"document", document()}, {"activate", true}}).status, 201);
  Json other = document();
  other["name"] = "other";
  other["topic"] = "plant/north/{device}/{kind}";
  const Reply refused = post("/bindings", {{"document", other}, {"activate", true}});
  EXPECT_EQ(refused.status, 409);
  EXPECT_NE(refused.response.body.find("plant/north/x/data"), std::string::npos)
      << refused.response.body;
  other["topic"] = "plant/{site}/{device}/state";
  EXPECT_EQ(post("/bindings", {{"document", other}, {"activate", true}}).status, 201);
  EXPECT_EQ(post("/bindings", {{"document", document(2)}, {"activate", true}}).status, 201)
      << "itself is no other";
}

TEST_F(BindingsTest, APayloadIsTriedAndEachValueSaysWhatBecameOfIt) {
  make_compressor();
  const Reply tried = post("/bindings/try", {{"document", document(0.5)},
                                             {"topic", "plant/north/c 7/data"},
                                             {"payload", R"({"p":10,"s":2})"}});
  ASSERT_EQ(tried.status, 200) << tried.body;
  EXPECT_EQ(tried.body["device"], "c%207");
  EXPECT_EQ(tried.body["values"][0]["stored"], 5.0);
  EXPECT_EQ(tried.body["values"][1]["reason"], "not_in_enum");
  EXPECT_EQ(
      post("/bindings/try", {{"document", document()}, {"topic", "elsewhere"}, {"payload", "{}"}})
          .body["device"],
      nullptr);
  EXPECT_EQ(post("/bindings/try",
                 {{"document", document()}, {"topic", "plant/north/c7/data"}, {"payload", "{"}})
                .body["reason"],
            "not_json");
  Json bytes = {
      {"name", "b"},
      {"model", "dtmi:test:Compressor;1"},
      {"payload", {{"format", "bytes"}}},
      {"elements", {{{"element", "pressure"}, {"bytes", {{"offset", 0}, {"type", "int16"}}}}}}};
  EXPECT_EQ(post("/bindings/try", {{"document", bytes}, {"payload_hex", "ff fe"}})
                .body["values"][0]["stored"],
            -2.0);
  EXPECT_EQ(post("/bindings/try", {{"document", bytes}, {"payload_hex", "f"}}).status, 400);
}

TEST_F(BindingsTest, AnotherOrganisationSeesNothingOfIt) {
  make_compressor();
  EXPECT_EQ(post("/bindings", {{"document", document()}}).status, 201);
  const auto other = twins->create_organisation("other", "Other");
  ASSERT_TRUE(other);
  EXPECT_FALSE(twins->binding((*other)->id, "acme"));
  EXPECT_EQ(call(Method::kPost, "/bindings", {{"document", document()}},
                 token_of(access::Role::kOperator))
                .status,
            403);
}

}  // namespace
}  // namespace penstock::api::testing
