// Sites, twins, models, search, overview.

#include "api/testing/world.h"

namespace penstock::api::testing {
namespace {

class FleetTest : public ApiTest {};

TEST_F(FleetTest, SitesComeChangeAndGo) {
  const Reply made =
      post("/sites",
           {{"name", "north"}, {"display_name", "North plant"}, {"time_zone", "Europe/Berlin"}});
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(get("/sites/" + made.body["id"].get<std::string>()).body, made.body) << "id or name";
  EXPECT_EQ(post("/sites", {{"name", "north"}}).status, 409);
  EXPECT_EQ(post("/sites", {{"name", "North!"}}).status, 400);
  EXPECT_EQ(post("/sites", {{"name", "south"}, {"time_zone", "Mars/Olympus"}}).status, 400);
  EXPECT_EQ(post("/sites", {{"name", "south"}, {"colour", "red"}}).body["about"], "colour");
  EXPECT_EQ(patch("/sites/north", {{"description", "by the river"}}).body["description"],
            "by the river");
  EXPECT_EQ(remove("/sites/north").status, 204);
  EXPECT_EQ(get("/sites/north").status, 404);
}

TEST_F(FleetTest, ListsPageByPage) {
  for (int i = 0; i < 25; ++i)
    ASSERT_EQ(post("/sites", {{"name", "site-" + std::to_string(100 + i)}}).status, 201);
  std::string cursor;
  std::vector<std::string> names;
  do {
    const Reply page = get("/sites?limit=10" + (cursor.empty() ? "" : "&cursor=" + cursor));
    ASSERT_EQ(page.status, 200);
    for (const Json& site : page.body["items"]) names.push_back(site["name"]);
    cursor = page.body.value("next_cursor", "");
  } while (!cursor.empty());
  EXPECT_EQ(names.size(), 25u);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(get("/sites?limit=1001").status, 400);
  EXPECT_EQ(get("/sites?cursor=%F0%9F%92%A9").status, 400);
}

TEST_F(FleetTest, ATwinShowsItsLiveValues) {
  make_compressor();
  set_live("comp-1", "pressure", 7.25);
  const Reply twin = get("/twins/comp-1");
  ASSERT_EQ(twin.status, 200);
  EXPECT_EQ(twin.body["time_zone"], "Europe/Berlin");
  EXPECT_EQ(twin.body["device"], "comp-1");
  EXPECT_TRUE(twin.body["online"]);
  ASSERT_EQ(twin.body["elements"].size(), 4u);
  EXPECT_EQ(twin.body["elements"][0]["key"], "pressure");
  EXPECT_EQ(twin.body["elements"][0]["value"], 7.25);
  EXPECT_EQ(twin.body["elements"][0]["quality"], "good");
  EXPECT_TRUE(twin.body["elements"][1]["value"].is_null());
  EXPECT_EQ(twin.body["commands"][0]["name"], "reset");
  const Reply list = get("/twins?site=north&q=comp");
  ASSERT_EQ(list.body["items"].size(), 1u);
  EXPECT_EQ(list.body["items"][0]["key_values"][0]["value"], 7.25);
  EXPECT_EQ(get("/twins?online=false").body["items"].size(), 0u);
  EXPECT_EQ(get("/twins?online=maybe").status, 400);
  EXPECT_EQ(get("/twins?site=nowhere").status, 404);
}

TEST_F(FleetTest, TwinsComeChangeAndGo) {
  make_compressor();
  const Reply made = post("/twins", {{"name", "line-1"},
                                     {"site", "north"},
                                     {"model", "dtmi:test:Compressor;1"},
                                     {"labels", {{"vendor", "Acme"}}}});
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.body["labels"]["vendor"], "Acme");
  EXPECT_EQ(patch("/twins/comp-1", {{"parent", "line-1"}}).body["parent"], "line-1");
  EXPECT_EQ(get("/twins/line-1").body["children"], Json({"comp-1"}));
  EXPECT_EQ(remove("/twins/line-1").status, 409) << "it has a part";
  EXPECT_EQ(patch("/twins/comp-1", {{"parent", nullptr}}).body["parent"], nullptr);
  EXPECT_EQ(remove("/twins/line-1").status, 204);
  EXPECT_EQ(post("/twins", {{"name", "x"}, {"site", "north"}, {"model", "dtmi:none;1"}}).status,
            404);
}

TEST_F(FleetTest, ACardShowsOneOfEachQuantityFirst) {
  const auto telemetry = [](const char* name, const char* type, const char* unit) {
    return Json{
        {"@type", {"Telemetry", type}}, {"name", name}, {"schema", "double"}, {"unit", unit}};
  };
  const Json contents = {telemetry("oil", "Temperature", "degreeCelsius"),
                         telemetry("air", "Temperature", "degreeCelsius"),
                         {{"@type", "Telemetry"}, {"name", "count"}, {"schema", "integer"}},
                         telemetry("discharge", "Pressure", "bar"),
                         telemetry("suction", "Pressure", "bar")};
  ASSERT_EQ(post("/models",
                 {{"@context", {"dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"}},
                  {"@id", "dtmi:test:Pump;1"},
                  {"@type", "Interface"},
                  {"contents", contents}})
                .status,
            201);
  ASSERT_EQ(post("/sites", {{"name", "north"}}).status, 201);
  ASSERT_EQ(
      post("/devices", {{"id", "pump-1"}, {"site", "north"}, {"model", "dtmi:test:Pump;1"}}).status,
      201);
  for (const char* key : {"oil", "air", "count", "discharge", "suction"})
    set_live("pump-1", key, 1);
  std::vector<std::string> shown;
  const Reply list = get("/twins");
  for (const Json& value : list.body["items"][0]["key_values"]) shown.push_back(value["element"]);
  EXPECT_EQ(shown, (std::vector<std::string>{"discharge", "oil", "count", "suction"}));
}

TEST_F(FleetTest, CommandsGoToTheDevice) {
  make_compressor();
  const Reply sent = post("/twins/comp-1/commands/reset", {{"delay", 5}});
  EXPECT_EQ(sent.status, 202) << sent.body;
  EXPECT_EQ(sent.body["status"], "sent");
  ASSERT_EQ(views.commands_sent.size(), 1u);
  EXPECT_EQ(views.commands_sent[0], "comp-1 reset {\"delay\":5} Ann");
  EXPECT_EQ(post("/twins/comp-1/commands/explode").status, 404);
  const std::string technician = token_of(access::Role::kTechnician);
  EXPECT_EQ(call(Method::kPost, "/twins/comp-1/commands/reset", nullptr, technician).status, 403);
}

TEST_F(FleetTest, WritablePropertiesGoToTheDevice) {
  make_compressor();
  const auto write = [&](const char* element, Json value) {
    return put("/twins/comp-1/properties/" + std::string(element),
               Json{{"value", std::move(value)}})
        .status;
  };
  EXPECT_EQ(write("setpoint", 7.5), 202);
  ASSERT_EQ(views.commands_sent.size(), 1u);
  EXPECT_EQ(views.commands_sent[0], "comp-1 setpoint=7.5 Ann");
  EXPECT_EQ(write("setpoint", "high"), 400);
  EXPECT_EQ(write("temperature", 20), 409);  // measured, not set
  EXPECT_EQ(write("nothing", 20), 404);
  EXPECT_EQ(views.commands_sent.size(), 1u);
}

TEST_F(FleetTest, ModelsAreDtdl) {
  const Reply made = post("/models", Json::parse(kCompressor));
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.body["items"][0]["elements"], 4);
  EXPECT_EQ(get("/models/dtmi:test:Compressor;1").body["document"]["displayName"], "Compressor");
  EXPECT_EQ(get("/models/dtmi%3Atest%3ACompressor%3B1").status, 200);
  EXPECT_EQ(get("/models?q=compr").body["items"].size(), 1u);
  EXPECT_EQ(post("/models", {{"@type", "Interface"}}).status, 400);
  EXPECT_EQ(remove("/models/dtmi:test:Compressor;1").status, 204);
}

TEST_F(FleetTest, APersonSeesOnlyTheirSites) {
  make_compressor();
  ASSERT_EQ(post("/sites", {{"name", "south"}}).status, 201);
  const auto south = twins->site(twins->default_organisation(), "south");
  const std::string bob = token_of(access::Role::kEngineer, {(*south)->id});
  const auto as_bob = [&](Method method, const std::string& target, const Json& body = nullptr) {
    return call(method, target, body, bob);
  };
  EXPECT_EQ(as_bob(Method::kGet, "/sites").body["items"].size(), 1u);
  EXPECT_EQ(as_bob(Method::kGet, "/twins").body["items"].size(), 0u);
  EXPECT_EQ(as_bob(Method::kGet, "/devices").body["items"].size(), 0u);
  for (const std::string target : {"/sites/north", "/twins/comp-1", "/devices/comp-1",
                                   "/devices/comp-1/connection", "/twins?site=north"})
    EXPECT_EQ(as_bob(Method::kGet, target).status, 404) << target;
  EXPECT_EQ(as_bob(Method::kPatch, "/twins/comp-1", {{"display_name", "mine"}}).status, 404);
  EXPECT_EQ(as_bob(Method::kDelete, "/devices/comp-1").status, 404);
  EXPECT_EQ(as_bob(Method::kPost, "/twins/comp-1/commands/reset").status, 404);
  EXPECT_EQ(as_bob(Method::kPost, "/devices",
                   {{"id", "spy"}, {"site", "north"}, {"model", "dtmi:test:Compressor;1"}})
                .status,
            404);
  EXPECT_EQ(as_bob(Method::kPost, "/join-tokens", {{"site", "north"}}).status, 404);
  EXPECT_EQ(as_bob(Method::kGet, "/discovery").status, 403);
  EXPECT_EQ(as_bob(Method::kPost, "/sites", {{"name", "west"}}).status, 403);
  EXPECT_EQ(as_bob(Method::kGet, "/overview").body["totals"]["twins"], 0);
  EXPECT_EQ(as_bob(Method::kGet, "/search?q=comp-1").body["items"].size(), 0u);
  EXPECT_EQ(as_bob(Method::kPost, "/twins",
                   {{"name", "t"}, {"site", "south"}, {"model", "dtmi:test:Compressor;1"}})
                .status,
            201);
  EXPECT_EQ(as_bob(Method::kPatch, "/twins/t", {{"site", "north"}}).status, 404);
}

TEST_F(FleetTest, TheOverviewCounts) {
  make_compressor();
  ASSERT_EQ(
      post("/devices", {{"id", "comp-2"}, {"site", "north"}, {"model", "dtmi:test:Compressor;1"}})
          .status,
      201);
  set_live("comp-1", "pressure", 7);
  const Json totals = get("/overview").body["totals"];
  EXPECT_EQ(totals["twins"], 2);
  EXPECT_EQ(totals["online"], 1);
  EXPECT_EQ(totals["offline"], 1);
  const Json overview = get("/overview").body;
  EXPECT_EQ(overview["sites"][0]["name"], "north");
  EXPECT_EQ(overview["ingest"]["messages_per_s"], 12.5);
}

TEST_F(FleetTest, SearchFindsEverythingByName) {
  make_compressor();
  const auto kinds = [&](const std::string& text) {
    std::string out;
    const Reply found = get("/search?q=" + text);
    EXPECT_EQ(found.status, 200) << found.body;
    for (const Json& item : found.body["items"]) out += item["kind"].get<std::string>() + " ";
    return out;
  };
  EXPECT_EQ(kinds("comp"), "twin model ");
  EXPECT_EQ(kinds("north"), "site ");
  EXPECT_EQ(kinds("alarms"), "page ");
  EXPECT_EQ(get("/search").status, 400);
  EXPECT_EQ(get("/search?q=zzz").body["items"].size(), 0u);
}

}  // namespace
}  // namespace penstock::api::testing
