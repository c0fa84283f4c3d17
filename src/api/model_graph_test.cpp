// Graph, usage, comparison and check of models.

#include "api/testing/world.h"

namespace penstock::api::testing {
namespace {

constexpr std::string_view kNext = R"({
    "@context":"dtmi:dtdl:context;3","@id":"dtmi:test:Compressor;2","@type":"Interface",
    "displayName":"Compressor","contents":[
      {"@type":"Telemetry","name":"temperature","schema":"double"},
      {"@type":"Telemetry","name":"mode","schema":"string"},
      {"@type":"Property","name":"setpoint","schema":"double"},
      {"@type":"Command","name":"reset"}]})";
constexpr std::string_view kStation = R"({
    "@context":"dtmi:dtdl:context;3","@id":"dtmi:test:Station;1","@type":"Interface","contents":[
      {"@type":"Component","name":"first","schema":"dtmi:test:Compressor;1"},
      {"@type":"Relationship","name":"feeds","target":"dtmi:elsewhere:Tank;1"}]})";

class ModelGraphTest : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    make_compressor();
    ASSERT_EQ(post("/models", Json::parse(kStation)).status, 201);
  }
  void add_rule(const std::string& element) {
    RuleItem rule;
    rule.scope.model = "dtmi:test:Compressor;1";
    rule.element = element;
    rule.message = "Too much of " + element;
    ASSERT_TRUE(books.create_rule(twins->default_organisation(), rule, "me"));
  }
  void add_binding() {
    const Json document = {{"name", "acme"},
                           {"model", "dtmi:test:Compressor;1"},
                           {"topic", "plant/{device}"},
                           {"elements", {{{"element", "pressure"}}, {{"element", "mode"}}}}};
    ASSERT_EQ(post("/bindings", {{"document", document}, {"activate", true}}).status, 201);
  }
};

TEST_F(ModelGraphTest, ShowsWhoNamesWhomEvenWhatIsNotKnown) {
  const Json graph = get("/models/graph").body;
  ASSERT_EQ(graph["nodes"].size(), 3u) << graph;
  EXPECT_EQ(graph["nodes"][0]["id"], "dtmi:elsewhere:Tank;1");
  EXPECT_EQ(graph["nodes"][0]["known"], false);
  EXPECT_EQ(graph["nodes"][1]["twins"], 1);
  EXPECT_EQ(graph["edges"].size(), 2u);
  EXPECT_EQ(get("/models/graph?model=dtmi:elsewhere:Tank;1").status, 404);
  EXPECT_EQ(get("/models/graph?model=dtmi:test:Compressor;1&depth=1").body["nodes"].size(), 2u);
  EXPECT_EQ(get("/models/graph?model=dtmi:test:Compressor;1").body["nodes"].size(), 3u);
  EXPECT_EQ(get("/models/graph?depth=13").status, 400);
  EXPECT_EQ(get("/models/graph?depth=x").status, 400);
  EXPECT_EQ(remove("/models/dtmi:test:Station;1").status, 204);
  EXPECT_EQ(get("/models/graph").body["nodes"].size(), 1u) << "the graph follows";
}

TEST_F(ModelGraphTest, UsageNamesModelsTwinsBindingsAndRules) {
  add_rule("pressure");
  add_binding();
  const Json usage = get("/models/dtmi:test:Compressor;1/usage").body;
  EXPECT_EQ(usage["twins"]["items"][0]["name"], "comp-1");
  EXPECT_EQ(usage["models"]["items"][0]["id"], "dtmi:test:Station;1");
  EXPECT_EQ(usage["models"]["items"][0]["kind"], "component");
  EXPECT_EQ(usage["bindings"]["items"][0]["name"], "acme");
  EXPECT_EQ(usage["rules"]["items"][0]["text"], "Too much of pressure");
  const Json partner = call(Method::kGet, "/models/dtmi:test:Compressor;1/usage", nullptr,
                            token_of(access::Role::kPartner))
                           .body;
  EXPECT_EQ(partner["twins"]["count"], 1);
  EXPECT_EQ(partner["rules"], nullptr);
  EXPECT_EQ(partner["bindings"], nullptr);
  EXPECT_EQ(get("/models/dtmi:test:Nothing;1/usage").status, 404);
}

TEST_F(ModelGraphTest, AComparisonSaysWhomItBreaks) {
  add_rule("pressure");
  add_rule("temperature");
  add_binding();
  ASSERT_EQ(post("/models", Json::parse(kNext)).status, 201);
  const Json found =
      get("/models/compare?from=dtmi:test:Compressor;1&to=dtmi:test:Compressor;2").body;
  EXPECT_EQ(found["verdict"], "breaking");
  EXPECT_EQ(found["breaking"], 2) << "pressure is gone, setpoint is no longer writable";
  EXPECT_EQ(found["affected"]["twins"]["items"][0]["name"], "comp-1");
  const Json& bindings = found["affected"]["bindings"];
  ASSERT_EQ(bindings["count"], 2) << bindings;
  EXPECT_EQ(bindings["items"][0]["element"], nullptr) << "it is for version 1";
  EXPECT_EQ(bindings["items"][1]["element"], "pressure");
  const Json& rules = found["affected"]["rules"];
  ASSERT_EQ(rules["count"], 3) << rules;
  EXPECT_EQ(rules["items"][1]["element"], "pressure");
  EXPECT_EQ(found["affected"]["models"]["items"][0]["id"], "dtmi:test:Station;1");
  EXPECT_EQ(get("/models/compare?from=dtmi:test:Compressor;1").status, 400);
  EXPECT_EQ(get("/models/compare?from=dtmi:test:Compressor;1&to=dtmi:test:X;1").status, 404);
}

TEST_F(ModelGraphTest, AConfinedPersonSeesOnlyTheirTwins) {
  ASSERT_EQ(
      post("/sites", {{"name", "south"}, {"display_name", "South"}, {"time_zone", "UTC"}}).status,
      201);
  const auto south = twins->site(twins->default_organisation(), "south");
  ASSERT_TRUE(south);
  const Json usage = call(Method::kGet, "/models/dtmi:test:Compressor;1/usage", nullptr,
                          token_of(access::Role::kEngineer, {(*south)->id}))
                         .body;
  EXPECT_EQ(usage["twins"]["count"], 0) << usage;
}

TEST_F(ModelGraphTest, ACheckPointsAtTheMistakeAndSavesNothing) {
  const Json wrong = post("/models/check", {{"text",
                                             "{\n  \"@context\": \"dtmi:dtdl:context;3\",\n"
                                             "  \"@id\": \"dtmi:test:A;1\",\n"
                                             "  \"@type\": \"Interfaces\"\n}"}})
                         .body;
  EXPECT_EQ(wrong["valid"], false);
  ASSERT_GE(wrong["errors"].size(), 1u);
  EXPECT_EQ(wrong["errors"][0]["line"], 4) << wrong;
  EXPECT_FALSE(wrong["errors"][0]["remedy"].get<std::string>().empty());
  const Json broken = post("/models/check", {{"text", "{\n  \"@id\": "}}).body;
  EXPECT_EQ(broken["errors"][0]["line"], 2) << broken;
  const Json empty = post("/models/check", {{"text", "[]"}}).body;
  EXPECT_EQ(empty["valid"], false) << empty;
  EXPECT_EQ(post("/models/check", {{"text", ""}}).status, 400);
  std::string lonely(kStation);
  lonely.replace(lonely.find("Compressor"), 10, "Unheard0fs");
  EXPECT_EQ(post("/models/check", {{"text", lonely}}).body["unresolved"][0],
            "dtmi:test:Unheard0fs;1");
  EXPECT_EQ(get("/models").body["items"].size(), 2u);
}

TEST_F(ModelGraphTest, ACheckComparesWithTheVersionBefore) {
  const Json checked = post("/models/check", {{"text", kNext}}).body;
  ASSERT_EQ(checked["valid"], true) << checked;
  EXPECT_EQ(checked["models"][0]["state"], "new");
  EXPECT_EQ(checked["models"][0]["comparison"]["from"], "dtmi:test:Compressor;1");
  EXPECT_EQ(checked["models"][0]["comparison"]["affected"]["twins"]["count"], 1);
  EXPECT_EQ(post("/models/check", {{"text", kCompressor}}).body["models"][0]["state"], "same");
  std::string other(kCompressor);
  other.replace(other.find("\"reset\""), 7, "\"again\"");
  EXPECT_EQ(post("/models/check", {{"text", other}}).body["models"][0]["state"], "conflict");
}

}  // namespace
}  // namespace penstock::api::testing
