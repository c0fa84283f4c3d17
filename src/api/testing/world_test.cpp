#include "api/testing/world.h"

#include <filesystem>

namespace penstock::api::testing {

void ApiTest::SetUp() {
  char name[] = "/tmp/penstock_api_XXXXXX";
  directory = ::mkdtemp(name);
  auto opened = store::Registry::open(directory + "/registry.db");
  ASSERT_TRUE(opened) << opened.error().text();
  registry = std::move(*opened);
  twin::TwinRegistry::Options twin_options;
  twin_options.password_memory_bytes = 8192 * 1024;
  twin_options.password_passes = 1;
  auto twin_registry = twin::TwinRegistry::open(*registry, clock, system_random(), twin_options);
  ASSERT_TRUE(twin_registry) << twin_registry.error().text();
  twins = std::move(*twin_registry);
  identities = std::make_unique<twin::Identities>(*twins, clock, system_random());
  auto opened_keys = interop::http::IdempotencyKeys::open(*registry, clock);
  ASSERT_TRUE(opened_keys) << opened_keys.error().text();
  keys = std::move(*opened_keys);
  ingest = std::make_unique<interop::http::Ingest>(
      [this](std::vector<stream::Intake> intakes, const auto& then) {
        std::vector<stream::Receipt> receipts(intakes.size());
        for (size_t i = 0; i < intakes.size(); ++i) {
          receipts[i].durable = journal_writes;
          receipts[i].known = twins->device(intakes[i].device) != nullptr;
          receipts[i].accepted = receipts[i].known ? 1 : 0;
          taken.push_back(std::move(intakes[i]));
        }
        then(std::move(receipts));
      },
      *twins, *keys, clock, metrics);
  auto opened_onboarding = twin::Onboarding::open(*registry, *twins, clock, system_random());
  ASSERT_TRUE(opened_onboarding) << opened_onboarding.error().text();
  onboarding = std::move(*opened_onboarding);
  access::AccessOptions options;
  options.organisation = twins->default_organisation();
  options.cost = {1, 8192};
  auto access = access::AccessControl::open(*registry, clock, system_random(), options);
  ASSERT_TRUE(access) << access.error().text();
  people = std::move(*access);
  auto bridge_store = interop::mqtt::BridgeStore::open(*registry, system_files(), clock,
                                                       system_random(), directory + "/bridge.key");
  ASSERT_TRUE(bridge_store) << bridge_store.error().text();
  bridges = std::move(*bridge_store);
  ApiOptions api_options;
  api_options.version = "0.1.0";
  api_options.export_directory = directory;
  api_options.endpoints = {{"tcp", "127.0.0.1", 1883, ""},
                           {"websocket", "127.0.0.1", 8083, "/mqtt"}};
  api = std::make_unique<Api>(services(), nullptr, api_options, Protocols{&views, readers});

  const auto link = people->make_setup_link();
  ASSERT_TRUE(link && *link);
  const auto in = people->claim_link(**link, "192.0.2.1");
  ASSERT_TRUE(in);
  const auto ann = people->set_password(in->principal, "Ann", "ann@example.org", "correct horse");
  ASSERT_TRUE(ann) << ann.error().text();
  administrator = *ann;
  const auto token = people->create_token(*ann, "tests", access::Role::kAdministrator, Timestamp());
  ASSERT_TRUE(token);
  admin = token->secret;
}

Services ApiTest::services(Clock& other_clock) {
  return {.clock = other_clock,
          .metrics = metrics,
          .access = *people,
          .twins = *twins,
          .live = views,
          .connections = views,
          .ingest = views,
          .dead_letters = views,
          .discovery = views,
          .commands = views,
          .health = views,
          .configuration = views,
          .alarms = books,
          .rules = books,
          .detectors = books,
          .history = books,
          .knocks = knocks,
          .repositories = repositories,
          .identities = *identities,
          .ingest_http = *ingest,
          .rebinds = views,
          .onboarding = *onboarding,
          .taps = views,
          .bridges = *bridges,
          .opcua = opcua};
}

void ApiTest::TearDown() {
  api.reset();
  onboarding.reset();
  ingest.reset();
  keys.reset();
  identities.reset();
  bridges.reset();
  people.reset();
  twins.reset();
  registry.reset();
  std::filesystem::remove_all(directory);
}

Reply ApiTest::call(Method method, std::string_view target, const Json& body,
                    const std::string& token) {
  Request request;
  request.method = method;
  EXPECT_TRUE(parse_target("/api/v1" + std::string(target), request)) << target;
  request.headers.emplace_back("host", "penstock.test");
  if (!token.empty()) request.headers.emplace_back("authorization", "Bearer " + token);
  if (!body.is_null()) {
    request.headers.emplace_back("content-type", "application/json");
    request.body = body.dump();
  }
  return send(std::move(request));
}

Reply ApiTest::send(Request request) {
  request.id = "req_test";
  if (request.peer_address.empty()) request.peer_address = "192.0.2.7";
  const Cancellation cancellation;
  Reply reply;
  reply.response = api->handle(request, cancellation);
  reply.status = reply.response.status;
  if (reply.response.header("content-type").find("json") != std::string_view::npos &&
      !reply.response.body.empty())
    reply.body = Json::parse(reply.response.body, nullptr, false);
  const auto match = api->router().find(request.method, request.raw_path);
  if (match.route != nullptr && reply.status != 304) {
    EXPECT_EQ(broken_contract(match.route->method, match.route->pattern, reply.response), "")
        << name(request.method) << " " << request.raw_path << " " << reply.status << " "
        << reply.response.body.substr(0, 300);
  }
  return reply;
}

std::string ApiTest::token_of(access::Role role, const std::vector<SiteId>& sites) {
  static int number = 0;
  const std::string email = "user" + std::to_string(++number) + "@example.org";
  const auto made = people->create_user("Someone", email, role, sites);
  EXPECT_TRUE(made) << made.error().text();
  const auto in = people->claim_link(made->link_token, "192.0.2.1");
  EXPECT_TRUE(in);
  const auto who = people->set_password(in->principal, "Someone", email, "correct horse");
  EXPECT_TRUE(who);
  const auto token = people->create_token(*who, "tests", role, Timestamp());
  EXPECT_TRUE(token);
  return token->secret;
}

Reply ApiTest::make_compressor() {
  EXPECT_EQ(
      post("/sites", {{"name", "north"}, {"display_name", "North"}, {"time_zone", "Europe/Berlin"}})
          .status,
      201);
  EXPECT_EQ(post("/models", Json::parse(kCompressor)).status, 201);
  Reply made = post("/devices", {{"id", "comp-1"},
                                 {"site", "north"},
                                 {"model", "dtmi:test:Compressor;1"},
                                 {"display_name", "Compressor 1"}});
  EXPECT_EQ(made.status, 201) << made.body;
  return made;
}

void ApiTest::set_live(const std::string& twin, const std::string& element, double value) {
  const auto record = twins->twin(twins->default_organisation(), twin);
  ASSERT_TRUE(record);
  const auto series = (*record)->series_of(element);
  ASSERT_TRUE(series);
  stream::LiveValue live;
  live.sample.series = *series;
  live.sample.source_time = live.sample.received_time = clock.now();
  live.sample.number = value;
  auto& state = views.twins[(*record)->id.value];
  state.online = true;
  state.last_seen = clock.now();
  std::erase_if(state.values, [&](const auto& old) { return old.sample.series == *series; });
  state.values.push_back(live);
}

}  // namespace penstock::api::testing
