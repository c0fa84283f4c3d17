// The server over real sockets, with a client that says exactly what the test wants.

#include "interop/lwm2m/server.h"

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <thread>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "interop/lwm2m/content.h"

namespace penstock::interop::lwm2m {
namespace {

using coap::Outgoing;
using coap::Type;

// A message that keeps its bytes.
struct Received {
  std::shared_ptr<Bytes> bytes;
  coap::Message message;
};

class Device {
 public:
  explicit Device(uint16_t port) : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  }
  ~Device() { ::close(fd_); }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  Bytes send(Outgoing message) {
    if (message.id == 0) message.id = ++id_;
    Bytes bytes;
    coap::write_datagram(message, bytes);
    send_bytes(bytes);
    return bytes;
  }
  void send_bytes(ByteView bytes) { EXPECT_GT(::send(fd_, bytes.data(), bytes.size(), 0), 0); }

  std::optional<Received> receive(int timeout_ms = 5000) {
    pollfd waiting{fd_, POLLIN, 0};
    if (::poll(&waiting, 1, timeout_ms) != 1) return std::nullopt;
    Received out{std::make_shared<Bytes>(70'000), {}};
    const ssize_t size = ::recv(fd_, out.bytes->data(), out.bytes->size(), 0);
    if (size < 0) return std::nullopt;
    out.bytes->resize(static_cast<size_t>(size));
    EXPECT_EQ(coap::read_datagram(*out.bytes, out.message), coap::ReadResult::kDone);
    return out;
  }
  /// The next message that `fits`; requests of the server that do not are answered 4.04.
  std::optional<Received> wait_for(const std::function<bool(const coap::Message&)>& fits) {
    for (int i = 0; i < 50; ++i) {
      auto got = receive();
      if (!got) return std::nullopt;
      if (fits(got->message)) return got;
      if (coap::is_request(got->message.code)) answer(got->message, coap::kNotFound);
    }
    return std::nullopt;
  }
  std::optional<Received> response() {
    return wait_for([](const coap::Message& m) { return !coap::is_request(m.code); });
  }
  std::optional<Received> request(uint8_t code, std::string_view path) {
    return wait_for([&](const coap::Message& m) {
      std::string where;
      m.path(where);
      return m.code == code && where == path;
    });
  }
  void answer(const coap::Message& to, uint8_t code, std::string_view text = {},
              std::optional<uint32_t> observe = {}) {
    Outgoing out;
    out.type = Type::kAcknowledgement;
    out.code = code;
    out.id = to.id;
    out.token = to.token;
    if (observe) out.add_number(coap::kObserve, *observe);
    append_bytes(out.payload, as_bytes(text));
    send(out);
  }

  Outgoing post(std::string_view path, std::initializer_list<std::string_view> queries,
                std::string_view body = {}) {
    Outgoing out;
    out.code = coap::kPost;
    out.token = coap::Token::of(++token_, 2);
    out.add_path(path);
    for (const auto query : queries) out.add(coap::kUriQuery, query);
    append_bytes(out.payload, as_bytes(body));
    return out;
  }
  /// Registers; gives the location.
  std::string enroll(std::string_view query = "ep=sensor-1", std::string_view version = "lwm2m=1.0",
                     std::string_view more = "lt=300") {
    send(post("/rd", {query, version, more}, "</1/0>,</3/0>,</3303/0>"));
    const auto got = response();
    if (!got || got->message.code != coap::kCreated) return {};
    std::string location;
    for (const auto& option : got->message.options())
      if (option.number == coap::kLocationPath) location.append("/").append(as_text(option.value));
    return location;
  }
  Outgoing notification(const coap::Token& token, uint32_t sequence, std::string_view text) {
    Outgoing out;
    out.code = coap::kContent;
    out.token = token;
    out.add_number(coap::kObserve, sequence);
    append_bytes(out.payload, as_bytes(text));
    return out;
  }

 private:
  int fd_;
  uint16_t id_ = 100;
  uint64_t token_ = 500;
};

constexpr std::string_view kModel = R"({"@context":"dtmi:dtdl:context;3",
  "@id":"dtmi:test:Sensor;1","@type":"Interface","contents":[
  {"@type":"Telemetry","name":"temperature","schema":"double"},
  {"@type":"Property","name":"place","schema":"string","writable":true}]})";
constexpr std::string_view kBinding = R"({"name":"sensor","protocol":"lwm2m",
  "model":"dtmi:test:Sensor;1","elements":[
  {"element":"temperature","from":"/3303/0/5700","deadband":{"absolute":0.5,"heartbeat_s":60}}]})";

class LwM2MServer : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/penstock-lwm2m-XXXXXX";
    folder_ = ::mkdtemp(name);
    registry_ = *store::Registry::open(folder_ + "/registry.db");
    twins_ = *twin::TwinRegistry::open(*registry_);
    objects_ = *Objects::open(system_files(), {folder_ + "/objects"});
    start();
  }
  void TearDown() override {
    server_.reset();
    store_.reset();
    twins_.reset();
    registry_.reset();
    std::filesystem::remove_all(folder_);
  }

  void start() {
    store_ = *Store::open(*registry_, system_files(), system_random(), system_clock(),
                          folder_ + "/lwm2m.key");
    ServerOptions options;
    options.coap = NetAddress{"127.0.0.1", port_};
    options.bootstrap = true;
    options.messenger.ack_timeout = Duration::millis(200);
    options.messenger.retransmits = 2;
    ServerHooks hooks;
    hooks.submit = [this](stream::OwnedReport report, std::function<void(bool)> then) {
      const std::lock_guard guard(mutex_);
      std::string text;
      append_json(text, report.view().values);
      reports_.push_back(std::string(report.device()) + " " + text);
      if (hold_)
        held_.push_back(std::move(then));
      else
        then(true);
      changed_.notify_all();
    };
    hooks.presence = [this](std::string_view device, bool connected, std::string_view,
                            std::string_view) {
      const std::lock_guard guard(mutex_);
      presence_.push_back(std::string(device) + (connected ? "+" : "-"));
    };
    hooks.lost = [this](OrganisationId, std::string_view device, Timestamp) {
      const std::lock_guard guard(mutex_);
      lost_.emplace_back(device);
      changed_.notify_all();
    };
    auto started = Server::start(options, hooks, *twins_, *objects_, *store_, system_clock(),
                                 system_random(), metrics_);
    ASSERT_TRUE(started) << started.error().text();
    server_ = *std::move(started);
    port_ = server_->addresses().coap->port;
  }

  void make_device() {
    const auto organisation = twins_->default_organisation();
    ASSERT_TRUE(twins_->create_site(organisation, {.name = "north"}));
    ASSERT_TRUE(twins_->add_models(organisation, kModel));
    const auto saved = twins_->save_binding(organisation, kBinding, "test", "");
    ASSERT_TRUE(saved) << saved.error().text();
    ASSERT_TRUE(twins_->activate_binding(organisation, "sensor", 1, "test"));
    twin::DeviceDraft draft;
    draft.name = "sensor-1";
    draft.site = "north";
    draft.model = "dtmi:test:Sensor;1";
    draft.protocol = "lwm2m";
    draft.binding = "sensor";
    const auto made = twins_->create_device(organisation, draft);
    ASSERT_TRUE(made) << made.error().text();
  }

  bool wait_until(const std::function<bool()>& holds) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), holds);
  }
  size_t report_count() {
    const std::lock_guard guard(mutex_);
    return reports_.size();
  }
  Json client(std::string_view endpoint = "sensor-1") {
    const auto found = server_->client(twins_->default_organisation(), endpoint);
    return found ? *found : Json();
  }
  /// Registers and takes the observation: gives its token.
  coap::Token observed(Device& device) {
    EXPECT_FALSE(device.enroll().empty());
    // pmax and st come first: of the deadband and heartbeat.
    const auto attributes = device.request(coap::kPut, "/3303/0/5700");
    EXPECT_TRUE(attributes);
    if (!attributes) return {};
    EXPECT_EQ(attributes->message.query("pmax"), "60");
    EXPECT_EQ(attributes->message.query("st"), "0.5");
    device.answer(attributes->message, coap::kChanged);
    const auto observe = device.request(coap::kGet, "/3303/0/5700");
    EXPECT_TRUE(observe);
    if (!observe) return {};
    EXPECT_TRUE(observe->message.option(coap::kObserve));
    device.answer(observe->message, coap::kContent, "20.5", 10);
    EXPECT_TRUE(wait_until([&] { return reports_.size() == 1; }));
    return observe->message.token;
  }

  std::string folder_;
  uint16_t port_ = 0;
  Metrics metrics_;
  std::unique_ptr<store::Registry> registry_;
  std::unique_ptr<twin::TwinRegistry> twins_;
  std::unique_ptr<Objects> objects_;
  std::unique_ptr<Store> store_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool hold_ = false;
  std::vector<std::string> reports_, presence_, lost_;
  std::vector<std::function<void(bool)>> held_;
  std::unique_ptr<Server> server_;
};

TEST_F(LwM2MServer, RegistersUpdatesAndLeaves) {
  Device device(port_);
  const std::string location = device.enroll();
  ASSERT_TRUE(location.starts_with("/rd/"));
  EXPECT_EQ(store_->registrations()->size(), 1u);  // 2.01 came after it was stored
  device.send(device.post(location, {"lt=600"}));
  EXPECT_EQ(device.response()->message.code, coap::kChanged);
  EXPECT_EQ(client()["lifetime_s"], 600);
  Outgoing leave;
  leave.code = coap::kDelete;
  leave.add_path(location);
  device.send(leave);
  EXPECT_EQ(device.response()->message.code, coap::kDeleted);
  EXPECT_TRUE(client().is_null());
  device.send(device.post(location, {}));
  EXPECT_EQ(device.response()->message.code, coap::kNotFound);
}

TEST_F(LwM2MServer, RefusesWhatIsNoRegistration) {
  Device device(port_);
  device.send(device.post("/rd", {"lt=300"}, "</3/0>"));
  EXPECT_EQ(device.response()->message.code, coap::kBadRequest);
  device.send(device.post("/rd", {"ep=a", "lt=soon"}, "</3/0>"));
  EXPECT_EQ(device.response()->message.code, coap::kBadRequest);
  device.send(device.post("/rd", {"ep=a"}, "3/0"));
  EXPECT_EQ(device.response()->message.code, coap::kBadRequest);
  device.send(device.post("/elsewhere", {}));
  EXPECT_EQ(device.response()->message.code, coap::kNotFound);
}

TEST_F(LwM2MServer, ANotificationIsAcknowledgedOnceItIsDurable) {
  make_device();
  Device device(port_);
  const coap::Token token = observed(device);
  {
    const std::lock_guard guard(mutex_);
    hold_ = true;
    EXPECT_NE(reports_[0].find("20.5"), std::string::npos) << reports_[0];
  }
  device.send(device.notification(token, 11, "21.5"));
  ASSERT_TRUE(wait_until([&] { return held_.size() == 1; }));
  EXPECT_FALSE(device.receive(200));
  {
    const std::lock_guard guard(mutex_);
    held_[0](true);
  }
  const auto ack = device.receive();
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->message.type, Type::kAcknowledgement);
  EXPECT_EQ(ack->message.code, coap::kEmpty);
}

TEST_F(LwM2MServer, OlderAndRepeatedNotificationsAreNotTakenAgain) {
  make_device();
  Device device(port_);
  const coap::Token token = observed(device);
  const Bytes sent = device.send(device.notification(token, 12, "22.5"));
  ASSERT_TRUE(device.receive());
  device.send_bytes(sent);  // a replay: acknowledged again, taken once
  ASSERT_TRUE(device.receive());
  device.send(device.notification(token, 11, "99"));  // overtaken
  ASSERT_TRUE(device.receive());
  device.send(device.notification(token, 13, "23.5"));
  ASSERT_TRUE(device.receive());
  EXPECT_EQ(report_count(), 3u);  // 20.5, 22.5, 23.5
  EXPECT_EQ(client()["observations"][0]["out_of_order"], 1);
}

TEST_F(LwM2MServer, ANotificationThatNobodyAskedForIsReset) {
  Device device(port_);
  ASSERT_FALSE(device.enroll().empty());
  device.send(device.notification(coap::Token::of(77, 5), 1, "1"));
  const auto got = device.response();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->message.type, Type::kReset);
}

TEST_F(LwM2MServer, AGigabyteInBlocksIsRefusedEarly) {
  Device device(port_);
  Outgoing first = device.post("/rd", {"ep=big"}, std::string(1024, 'x'));
  first.add_block(coap::kBlock1, {0, true, 6});
  first.add_number(coap::kSize1, 1 << 30);
  device.send(first);
  auto got = device.response();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->message.code, coap::kTooLarge);
  // Without saying so it comes to 64 KiB.
  uint32_t block = 0;
  for (; block < 100; ++block) {
    Outgoing next = device.post("/rd", {"ep=big"}, std::string(1024, 'x'));
    next.add_block(coap::kBlock1, {block, true, 6});
    device.send(next);
    got = device.response();
    ASSERT_TRUE(got);
    if (got->message.code != coap::kContinue) break;
  }
  EXPECT_EQ(got->message.code, coap::kTooLarge);
  EXPECT_EQ(block, 64u);
  EXPECT_EQ(got->message.number(coap::kSize1), 65'536u);
}

TEST_F(LwM2MServer, ARegistrationInBlocksIsWhole) {
  std::string links = "</1/0>,</3/0>";
  for (int i = 0; i < 200; ++i) links += ",</3303/" + std::to_string(i) + ">";
  Device device(port_);
  for (size_t at = 0, number = 0; at < links.size(); at += 256, ++number) {
    Outgoing block = device.post("/rd", {"ep=sensor-1"}, links.substr(at, 256));
    const bool more = at + 256 < links.size();
    block.add_block(coap::kBlock1, {static_cast<uint32_t>(number), more, 4});
    device.send(block);
    EXPECT_EQ(device.response()->message.code, more ? coap::kContinue : coap::kCreated);
  }
  EXPECT_EQ(client()["objects"].size(), 202u);
  // A block that is missing is told.
  Outgoing late = device.post("/rd", {"ep=other"}, std::string(256, 'x'));
  late.add_block(coap::kBlock1, {3, true, 4});
  device.send(late);
  EXPECT_EQ(device.response()->message.code, coap::kIncomplete);
}

TEST_F(LwM2MServer, ADeviceMayComeFromAnotherAddress) {
  make_device();
  Device device(port_);
  const coap::Token token = observed(device);
  const std::string location = [&] { return store_->registrations()->front().location; }();
  Device moved(port_);
  moved.send(moved.post("/rd/" + location, {}));
  EXPECT_EQ(moved.response()->message.code, coap::kChanged);
  EXPECT_EQ(client()["address_changes"], 1);
  // Observed anew there, by the same token.
  const auto attributes = moved.request(coap::kPut, "/3303/0/5700");
  ASSERT_TRUE(attributes);
  moved.answer(attributes->message, coap::kChanged);
  const auto observe = moved.request(coap::kGet, "/3303/0/5700");
  ASSERT_TRUE(observe);
  EXPECT_EQ(observe->message.token, token);
  moved.answer(observe->message, coap::kContent, "24.5", 20);
  ASSERT_TRUE(wait_until([&] { return reports_.size() == 2; }));
  // From the old address nothing is taken any more.
  device.send(device.notification(token, 30, "0"));
  EXPECT_EQ(device.response()->message.type, Type::kReset);
}

TEST_F(LwM2MServer, ARestartForgetsNobody) {
  make_device();
  Device device(port_);
  const coap::Token token = observed(device);
  server_.reset();
  store_.reset();
  start();
  EXPECT_EQ(client()["endpoint"], "sensor-1");
  device.send(device.notification(token, 11, "25.5"));
  const auto ack =
      device.wait_for([](const coap::Message& m) { return m.type == Type::kAcknowledgement; });
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->message.code, coap::kEmpty);
  ASSERT_TRUE(wait_until([&] { return reports_.size() >= 2; }));
  const std::string location = store_->registrations()->front().location;
  device.send(device.post("/rd/" + location, {}));
  const auto updated = device.wait_for(
      [](const coap::Message& m) { return m.code == coap::kChanged || m.code == coap::kNotFound; });
  ASSERT_TRUE(updated);
  EXPECT_EQ(updated->message.code, coap::kChanged);
}

TEST_F(LwM2MServer, WhatASleepingDeviceIsAskedWaits) {
  Device device(port_);
  const std::string location = device.enroll("ep=sensor-1", "lwm2m=1.0", "b=UQ");
  ASSERT_FALSE(location.empty());
  // What discovery asks.
  for (int i = 0; i < 2; ++i) {
    const auto asked =
        device.wait_for([](const coap::Message& m) { return coap::is_request(m.code); });
    ASSERT_TRUE(asked);
    device.answer(asked->message, coap::kNotFound);
  }
  OperationRequest request;
  request.paths = {Path{3, 0, 9}};
  request.who = "test";
  // It does not answer: the operation waits for its next word.
  const auto organisation = twins_->default_organisation();
  auto asked = server_->operate(organisation, "sensor-1", request, Duration::seconds(0));
  ASSERT_TRUE(asked);
  const std::string id = asked->value("id", "");
  const auto status = [&] {
    return server_->operation(organisation, "sensor-1", id)->value("status", "");
  };
  for (int i = 0; i < 300 && status() != "waiting"; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(status(), "waiting");
  while (device.receive(10)) {
  }
  device.send(device.post(location, {}));
  const auto read = device.request(coap::kGet, "/3/0/9");
  ASSERT_TRUE(read);
  device.answer(read->message, coap::kContent, "87");
  for (int i = 0; i < 300 && status() != "done"; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const auto done = server_->operation(organisation, "sensor-1", id);
  EXPECT_EQ((*done)["values"][0]["value"], 87);
  EXPECT_EQ((*done)["values"][0]["name"], "Device/0/Battery Level");
}

TEST_F(LwM2MServer, SendIsAnsweredOnceItIsDurableAndTakenOnce) {
  make_device();
  Device device(port_);
  observed(device);
  Outgoing send = device.post(
      "/dp", {}, R"([{"bn":"/3303/0/5700","bt":1700000000,"v":21.5},{"t":-60,"v":20}])");
  send.add_number(coap::kContentFormat, 110);
  const Bytes bytes = device.send(send);
  const auto got = device.response();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->message.code, coap::kChanged);
  device.send_bytes(bytes);
  EXPECT_EQ(device.response()->message.code, coap::kChanged);
  EXPECT_EQ(report_count(), 2u);
  {
    const std::lock_guard guard(mutex_);
    EXPECT_NE(reports_[1].find("1699999940"), std::string::npos + 1) << reports_[1];
    EXPECT_NE(reports_[1].find("2023-11-14T22:12:20"), std::string::npos) << reports_[1];
  }
  Outgoing broken = device.post("/dp", {}, "[{\"n\":");
  broken.add_number(coap::kContentFormat, 110);
  device.send(broken);
  EXPECT_EQ(device.response()->message.code, coap::kBadRequest);
  Outgoing foreign = device.post("/dp", {}, R"([{"n":"/3304/0/5700","v":1}])");
  foreign.add_number(coap::kContentFormat, 110);
  device.send(foreign);
  EXPECT_EQ(device.response()->message.code, coap::kNotFound);
}

TEST_F(LwM2MServer, ADeviceWithCredentialsMustUseThem) {
  ASSERT_TRUE(server_->add_credential(twins_->default_organisation(),
                                      {.endpoint = "sensor-1", .identity = "", .key_hex = ""}));
  Device device(port_);
  device.send(device.post("/rd", {"ep=sensor-1"}, "</3/0>"));
  EXPECT_EQ(device.response()->message.code, coap::kForbidden);
  const auto listed = server_->credentials(twins_->default_organisation(), "");
  EXPECT_EQ(listed->dump().find("key"), std::string::npos);
}

TEST_F(LwM2MServer, ALifetimeThatRunsOutLosesTheDevice) {
  make_device();
  Device device(port_);
  ASSERT_FALSE(device.enroll("ep=sensor-1", "lwm2m=1.0", "lt=1").empty());
  EXPECT_TRUE(wait_until([&] { return lost_ == std::vector<std::string>{"sensor-1"}; }));
  EXPECT_TRUE(client().is_null());
}

TEST_F(LwM2MServer, BootstrapsAFreshDevice) {
  const auto organisation = twins_->default_organisation();
  ASSERT_TRUE(server_->set_bootstrap(
      organisation, "fresh", {{"server_uri", "coaps://127.0.0.1:5684"}, {"lifetime_s", 60}}));
  EXPECT_FALSE(server_->set_bootstrap(organisation, "fresh", {{"server_url", "coaps://x"}}));
  Device device(port_);
  device.send(device.post("/bs", {"ep=fresh"}));
  EXPECT_EQ(device.response()->message.code, coap::kChanged);
  std::vector<std::string> steps;
  std::string key;
  for (int i = 0; i < 5; ++i) {
    const auto step =
        device.wait_for([](const coap::Message& m) { return coap::is_request(m.code); });
    ASSERT_TRUE(step);
    std::string path;
    step->message.path(path);
    steps.push_back(coap::code_words(step->message.code) + " " + path);
    if (path == "/0/1") {
      const ObjectTable table(built_in_objects());
      std::vector<Entry> entries;
      ASSERT_TRUE(
          decode_content(Format::kTlv, step->message.payload, Path{0, 1}, table, {}, entries));
      for (const Entry& entry : entries)
        if (entry.path.resource() == 5) key = entry.value.text;
    }
    device.answer(step->message, path == "/bs" ? coap::kChanged : coap::kChanged);
  }
  EXPECT_EQ(steps, (std::vector<std::string>{"DELETE /0", "DELETE /1", "PUT /0/1", "PUT /1/0",
                                             "POST /bs"}));
  EXPECT_EQ(store_->credential("fresh")->key, key);
  EXPECT_EQ(key.size(), 16u);
}

TEST_F(LwM2MServer, UpdatesFirmwareByPush) {
  Device device(port_);
  device.send(device.post("/rd", {"ep=sensor-1", "lwm2m=1.0"}, "</1/0>,</5/0>"));
  ASSERT_EQ(device.response()->message.code, coap::kCreated);
  const auto organisation = twins_->default_organisation();
  FirmwareRequest request;
  request.package = std::string(5000, 'f');
  ASSERT_TRUE(server_->start_firmware(organisation, "sensor-1", request));
  int state = 0, result = 0;
  size_t got = 0;
  for (int i = 0; i < 60; ++i) {
    const auto step =
        device.wait_for([](const coap::Message& m) { return coap::is_request(m.code); });
    ASSERT_TRUE(step);
    std::string path;
    step->message.path(path);
    if (path == "/5/0") {
      Outgoing out;
      out.type = Type::kAcknowledgement;
      out.code = coap::kContent;
      out.id = step->message.id;
      out.token = step->message.token;
      out.add_number(coap::kContentFormat, 110);
      append_bytes(out.payload,
                   as_bytes("[{\"bn\":\"/5/0/\",\"n\":\"3\",\"v\":" + std::to_string(state) +
                            "},{\"n\":\"5\",\"v\":" + std::to_string(result) + "}]"));
      device.send(out);
      if (result == 1) break;
    } else if (path == "/5/0/0") {
      const auto block = step->message.block(coap::kBlock1);
      ASSERT_TRUE(block);
      EXPECT_EQ(block->offset(), got);
      got += step->message.payload.size();
      Outgoing out;
      out.type = Type::kAcknowledgement;
      out.code = block->more ? coap::kContinue : coap::kChanged;
      out.id = step->message.id;
      out.token = step->message.token;
      out.add_block(coap::kBlock1, *block);
      device.send(out);
      if (!block->more) state = 2;
    } else if (path == "/5/0/2") {
      device.answer(step->message, coap::kChanged);
      state = 0;
      result = 1;
    }
  }
  EXPECT_EQ(got, 5000u);
  for (int i = 0; i < 200; ++i) {
    const auto job = server_->firmware(organisation, "sensor-1");
    if ((*job)["step"] == "done") break;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_EQ((*server_->firmware(organisation, "sensor-1"))["detail"],
            "firmware updated successfully");
}

}  // namespace
}  // namespace penstock::interop::lwm2m
