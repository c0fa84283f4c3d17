#include "api/live_hub.h"

#include <condition_variable>

#include "api/testing/world.h"

namespace penstock::api::testing {
namespace {

/// A client's socket: notes that it was woken, how it was closed.
class FakeConnection : public WebSocketConnection {
 public:
  void wake() override {
    {
      const std::lock_guard lock(mutex_);
      woken_ = true;
    }
    changed_.notify_all();
  }
  void close(uint16_t code, std::string) override {
    {
      const std::lock_guard lock(mutex_);
      closed_ = code;
    }
    changed_.notify_all();
  }
  /// Waits for a message of that type; others are passed over.
  Json wait_for(WebSocketSession& session, const std::string& type) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (std::chrono::steady_clock::now() < end) {
      while (const auto text = session.next_message()) {
        const Json message = Json::parse(*text);
        EXPECT_EQ(
            schema_mismatch(message, contract()["components"]["schemas"]["LiveMessage"], "message"),
            "");
        if (message["type"] == type) return message;
      }
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, std::chrono::milliseconds(50), [&] { return woken_; });
      woken_ = false;
    }
    return {{"type", "timeout"}};
  }
  uint16_t wait_for_close() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(10), [&] { return closed_ != 0; });
    return closed_;
  }
  bool closed() {
    const std::lock_guard lock(mutex_);
    return closed_ != 0;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
  uint16_t closed_ = 0;
};

class LiveHubTest : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    stream::JournalOptions options;
    options.directory = directory + "/journal";
    auto opened = stream::Journal::open(system_files(), system_clock(), options, metrics);
    ASSERT_TRUE(opened) << opened.error().text();
    journal = std::move(*opened);
    limits.update_interval = Duration::millis(10);
    limits.overview_interval = Duration::millis(50);
    limits.heartbeat_interval = Duration::millis(100);
    make_compressor();
  }
  void TearDown() override {
    hub.reset();
    journal.reset();
    ApiTest::TearDown();
  }
  void start() {
    // The hub's thread measures intervals, so it needs a clock that goes.
    hub = std::make_unique<LiveHub>(services(system_clock()), *journal, limits);
  }
  std::shared_ptr<WebSocketSession> join(
      const std::shared_ptr<FakeConnection>& connection, const Json& subscription,
      std::function<bool()> valid = [] { return true; }) {
    auto session = hub->open_session(administrator, std::move(valid));
    session->on_open(connection);
    session->on_message(Json{{"subscribe", subscription}}.dump());
    return session;
  }
  void append(const std::string& element, double value, Timestamp time) {
    const auto series = twins->series(twins->default_organisation(), "comp-1", element);
    ASSERT_TRUE(series);
    stream::Sample sample;
    sample.series = (*series)->id;
    sample.source_time = sample.received_time = time;
    sample.number = value;
    auto batch = journal->make_batch();
    batch->begin(stream::RecordType::kSamples);
    stream::encode_samples(batch->body(), {{&sample, 1}, {}});
    batch->end();
    std::mutex mutex;
    std::condition_variable done;
    bool committed = false;
    journal->submit(std::move(batch), [&](const Status& status, auto, auto) {
      EXPECT_TRUE(status);
      const std::lock_guard lock(mutex);
      committed = true;
      done.notify_all();
    });
    std::unique_lock lock(mutex);
    done.wait(lock, [&] { return committed; });
  }

  LiveLimits limits;
  std::unique_ptr<stream::Journal> journal;
  std::unique_ptr<LiveHub> hub;
};

TEST_F(LiveHubTest, BringsPresentValuesThenNewOnes) {
  start();
  set_live("comp-1", "pressure", 7);
  auto connection = std::make_shared<FakeConnection>();
  const auto session = join(connection, {{"twins", {"comp-1"}}});
  EXPECT_EQ(connection->wait_for(*session, "subscribed")["twins"], 1);
  EXPECT_EQ(connection->wait_for(*session, "values")["values"]["pressure"]["v"], 7.0);
  // Until the hub reads the journal a sample may pass unseen: it starts at the durable end.
  Json values;
  for (int i = 0; i < 100 && values["values"]["temperature"]["v"] != 61.5; ++i) {
    append("temperature", 61.5, Timestamp::from_seconds(1'800'000'100 + i));
    values = connection->wait_for(*session, "values");
  }
  EXPECT_EQ(values["twin"], "comp-1");
  EXPECT_EQ(values["values"]["temperature"]["v"], 61.5);
  EXPECT_EQ(values["values"]["temperature"]["q"], "good");
  session->on_close();
  EXPECT_EQ(hub->clients(), 0u);
}

TEST_F(LiveHubTest, ASlowClientGetsTheNewestValueNotAll) {
  start();
  auto connection = std::make_shared<FakeConnection>();
  const auto session = join(connection, {{"sites", {"north"}}});
  connection->wait_for(*session, "subscribed");
  append("pressure", 0, Timestamp::from_seconds(1'800'000'000));
  connection->wait_for(*session, "heartbeat");  // reads by now
  for (int i = 1; i <= 500; ++i) append("pressure", i, Timestamp::from_seconds(1'800'000'000 + i));
  size_t messages = 0;
  double newest = 0;
  for (int i = 0; i < 500 && newest < 500; ++i) {
    const Json values = connection->wait_for(*session, "values");
    if (values["type"] == "timeout") break;
    newest = values["values"]["pressure"]["v"];
    ++messages;
  }
  EXPECT_EQ(newest, 500);
  EXPECT_LT(messages, 400u) << "coalesced";
}

TEST_F(LiveHubTest, AlarmsGoToThoseWhoSeeTheSite) {
  start();
  auto ann = std::make_shared<FakeConnection>(), bob = std::make_shared<FakeConnection>();
  const auto ann_session = join(ann, {{"alarms", true}});
  ann->wait_for(*ann_session, "subscribed");
  ASSERT_EQ(post("/sites", {{"name", "south"}}).status, 201);
  access::Principal confined = administrator;
  confined.sites = {(*twins->site(twins->default_organisation(), "south"))->id};
  auto bob_session = hub->open_session(confined, [] { return true; });
  bob_session->on_open(bob);
  bob_session->on_message(R"({"subscribe":{"alarms":true}})");
  bob->wait_for(*bob_session, "subscribed");

  const auto twin = *twins->twin(twins->default_organisation(), "comp-1");
  AlarmItem alarm;
  alarm.id = AlarmId(1);
  alarm.twin = twin->id;
  alarm.site = twin->site;
  alarm.raised = now();
  hub->alarm_changed(alarm);
  EXPECT_EQ(ann->wait_for(*ann_session, "alarm")["alarm"]["id"], "alm_1");
  while (const auto text = bob_session->next_message())
    EXPECT_NE(Json::parse(*text)["type"], "alarm");
  bob_session->on_message(R"({"subscribe":{"twins":["comp-1"]}})");
  EXPECT_EQ(bob->wait_for(*bob_session, "error")["code"], "not_found");
}

TEST_F(LiveHubTest, TellsPresenceAndOverview) {
  start();
  set_live("comp-1", "pressure", 7);
  auto connection = std::make_shared<FakeConnection>();
  const auto session = join(connection, {{"twins", {"comp-1"}}, {"overview", true}});
  EXPECT_EQ(connection->wait_for(*session, "overview")["overview"]["totals"]["twins"], 1);
  connection->wait_for(*session, "heartbeat");
}

TEST_F(LiveHubTest, RefusesNonsense) {
  start();
  auto connection = std::make_shared<FakeConnection>();
  const auto session = join(connection, {{"twins", {"nobody"}}});
  EXPECT_EQ(connection->wait_for(*session, "error")["code"], "not_found");
  for (const std::string_view text :
       {"", "{", "[]", "{\"subscribe\":5}", "{\"subscribe\":{\"x\":1}}",
        "{\"subscribe\":{\"twins\":\"all\"}}"}) {
    session->on_message(text);
    EXPECT_EQ(connection->wait_for(*session, "error")["code"], "invalid_argument") << text;
  }
}

TEST_F(LiveHubTest, ClosesWhoSignedOutAndWhoTakesNothing) {
  limits.slow_max = Duration::millis(50);
  limits.events_max = 10;
  start();
  auto out = std::make_shared<FakeConnection>(), slow = std::make_shared<FakeConnection>(),
       flooded = std::make_shared<FakeConnection>();
  const auto out_session = join(out, Json::object(), [] { return false; });
  EXPECT_EQ(out->wait_for_close(), 4001);
  const auto slow_session = join(slow, {{"overview", true}});
  slow->wait_for(*slow_session, "overview");  // takes one, then no more
  EXPECT_EQ(slow->wait_for_close(), 4008);
  const auto flooded_session = join(flooded, {{"alarms", true}});
  const auto twin = *twins->twin(twins->default_organisation(), "comp-1");
  AlarmItem alarm;
  alarm.twin = twin->id;
  alarm.site = twin->site;
  for (int i = 0; i < 20; ++i) hub->alarm_changed(alarm);
  EXPECT_EQ(flooded->wait_for_close(), 4008);
}

TEST_F(LiveHubTest, LetsInOnlyPeopleOfThisPage) {
  start();
  ApiOptions options;
  options.export_directory = directory;
  Api with_live(services(), hub.get(), options);
  const auto status = [&](Fields headers, const std::string& target = "/api/v1/live") {
    Request request;
    EXPECT_TRUE(parse_target(target, request));
    request.headers = std::move(headers);
    request.headers.emplace_back("host", "penstock.test");
    request.peer_address = "192.0.2.8";
    const auto session = with_live.upgrade(request);
    return session ? 101 : session.error().status;
  };
  const std::string bearer = "Bearer " + admin;
  EXPECT_EQ(status({}), 401);
  EXPECT_EQ(status({{"authorization", bearer}}), 101);
  EXPECT_EQ(status({{"authorization", bearer}, {"origin", "http://evil.example"}}), 403);
  EXPECT_EQ(status({{"authorization", bearer}, {"origin", "http://penstock.test"}}), 101);
  EXPECT_EQ(status({{"authorization", bearer}}, "/api/v1/dead"), 404);
  const auto in = people->sign_in("ann@example.org", "correct horse", "x");
  ASSERT_TRUE(in);
  const std::string cookie = "penstock_session=" + in->session_token;
  EXPECT_EQ(status({{"cookie", cookie}}), 403) << "a browser always says where it comes from";
  EXPECT_EQ(status({{"cookie", cookie}, {"origin", "http://penstock.test"}}), 101);
  EXPECT_EQ(hub->clients(), 0u) << "none of them was opened";
}

}  // namespace
}  // namespace penstock::api::testing
