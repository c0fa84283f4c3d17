#include "interop/sparkplug/host.h"

#include <chrono>
#include <filesystem>
#include <future>
#include <thread>

#include <gtest/gtest.h>

#include "base/json.h"
#include "interop/sparkplug/command.h"
#include "stream/history.h"

namespace penstock::interop::sparkplug {
namespace {

using stream::EdgeState;
using stream::RecordType;

struct Sent {
  std::string link, topic, payload;
  uint8_t qos = 0;
  bool retain = false;
};

class Recorder final : public mqtt::MessageSender {
 public:
  void send(std::string_view link, std::string_view topic, ByteView payload, uint8_t qos,
            bool retain) override {
    sent.push_back(
        {std::string(link), std::string(topic), std::string(as_text(payload)), qos, retain});
  }
  std::vector<Sent> sent;
};

struct MetricIn {
  std::string name;
  DataType type = DataType::kUnknown;
  WireScalar value;
  std::optional<uint64_t> alias;
  bool null = false;
  uint64_t ms = 0;
};

constexpr uint64_t kStart = 1'700'000'000'000;  // a node's clock: any

Bytes payload(std::optional<uint64_t> seq, std::vector<MetricIn> metrics, uint64_t ms = kStart) {
  Bytes out;
  PayloadInfo info;
  info.has_timestamp = true;
  info.timestamp_ms = ms;
  info.has_seq = seq.has_value();
  info.seq = seq.value_or(0);
  write_info(out, info);
  for (const MetricIn& in : metrics) {
    Metric metric;
    metric.has_name = !in.name.empty();
    metric.name = in.name;
    metric.type = in.type;
    metric.value = in.value;
    metric.has_alias = in.alias.has_value();
    metric.alias = in.alias.value_or(0);
    metric.null = in.null;
    metric.has_timestamp = in.ms != 0;
    metric.timestamp_ms = in.ms;
    write_metric(out, metric);
  }
  return out;
}

MetricIn bdseq(uint64_t number) {
  return {"bdSeq", DataType::kInt64, WireScalar::of_long(number), {}};
}
MetricIn value(const std::string& name, double number, std::optional<uint64_t> alias = {},
               uint64_t ms = 0) {
  return {name, DataType::kDouble, WireScalar::of_double(number), alias, false, ms};
}
MetricIn by_alias(uint64_t alias, double number, uint64_t ms = 0) {
  return {"", DataType::kUnknown, WireScalar::of_double(number), alias, false, ms};
}

/// One shard with its journal; devices "G:N" and "G:N:D" with the elements temp and level.
class SparkplugHost : public testing::Test {
 protected:
  SparkplugHost() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "penstock-sparkplug-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    stream::JournalOptions options;
    options.directory = folder_ + "/journal";
    options.free_bytes_min = 0;
    journal_ = std::move(*stream::Journal::open(system_files(), system_clock(), options, metrics_));
    options_.reorder_timeout = Duration::millis(60);
    options_.rebirth_interval = Duration::millis(20);
    options_.values = {};
  }
  ~SparkplugHost() override {
    if (shard_) shard_->stop();
    shard_.reset();
    journal_.reset();
    std::filesystem::remove_all(folder_);
  }

  void start() {
    shard_ = std::make_unique<stream::Shard>(stream::ShardOptions{}, *journal_, system_clock(),
                                             system_net(), ingest_, metrics_);
    uint32_t series = 0;
    for (const char* name : {"G:N", "G:N:D"}) {
      auto config = std::make_shared<twin::DeviceConfig>();
      config->twin = TwinId(++series);
      config->organisation = OrganisationId(1);
      config->device = name;
      for (const char* key : {"temp", "level"}) {
        twin::ElementConfig element;
        element.key = key;
        element.series = SeriesId(++series);
        config->elements.push_back(element);
      }
      config->index();
      shard_->configure(config);
    }
    host_ = std::make_unique<Host>(*shard_, sender_, metrics_, options_);
    host_->attach({host_.get()});
    replay();
    shard_->start();
  }
  /// As kill -9 does: nothing but the journal is left.
  void restart() {
    settle();
    shard_->stop();
    sender_.sent.clear();
    shard_.reset();
    host_.reset();
    start();
  }
  void replay() {
    auto reader = *journal_->read_from(0);
    std::vector<stream::Sample> unpacked;
    while (const auto record = *reader->next()) {
      if (record->type == RecordType::kSamples)
        shard_->replay_samples(*stream::decode_samples(record->body, unpacked));
      else
        host_->replay(record->type, record->body);
    }
  }

  void on_shard(const std::function<void()>& work) {
    std::promise<void> done;
    shard_->post([&] {
      work();
      done.set_value();
    });
    done.get_future().get();
  }
  /// Returns once what was sent is durable.
  void settle() {
    std::promise<void> done;
    shard_->post([&] { shard_->when_durable([&](bool) { done.set_value(); }); });
    done.get_future().get();
    on_shard([] {});
  }
  void send(const std::string& topic, const Bytes& bytes, bool joining = false) {
    on_shard([&] { host_->on_message({{}, OrganisationId(1), topic, bytes, 1, joining}); });
  }
  void node_birth(uint64_t bd = 0, uint64_t ms = kStart) {
    send("spBv1.0/G/NBIRTH/N",
         payload(0, {bdseq(bd), value("temp", 20, 1), value("level", 5, 2)}, ms));
  }
  stream::EdgeNode node() {
    std::vector<stream::EdgeNode> all;
    on_shard([&] { host_->describe(OrganisationId(1), all); });
    EXPECT_EQ(all.size(), 1U);
    return all.empty() ? stream::EdgeNode{} : all.front();
  }
  double live(const std::string& device, size_t element) {
    double out = 0;
    on_shard([&] { out = shard_->find(device)->live[element].sample.number; });
    return out;
  }
  stream::Quality quality(const std::string& device, size_t element) {
    stream::Quality out{};
    on_shard([&] { out = shard_->find(device)->live[element].sample.quality; });
    return out;
  }
  uint64_t samples(const std::string& device) {
    uint64_t out = 0;
    on_shard([&] { out = shard_->find(device)->samples; });
    return out;
  }
  std::string rejection(const std::string& device) {
    std::string out;
    on_shard([&] { out = shard_->find(device)->last_rejection; });
    return out;
  }
  size_t rebirths_sent() {
    size_t count = 0;
    on_shard([&] {
      for (const Sent& sent : sender_.sent) count += sent.topic == "spBv1.0/G/NCMD/N";
    });
    return count;
  }
  void until(const char* what, const std::function<bool()>& truth) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!truth()) {
      ASSERT_LT(std::chrono::steady_clock::now(), end) << what;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

  std::string folder_;
  Metrics metrics_;
  stream::IngestMetrics ingest_{metrics_};
  HostOptions options_;
  Recorder sender_;
  std::unique_ptr<stream::Journal> journal_;
  std::unique_ptr<stream::Shard> shard_;
  std::unique_ptr<Host> host_;
};

TEST_F(SparkplugHost, BirthGivesNamesToAliases) {
  start();
  node_birth();
  send("spBv1.0/G/DBIRTH/N/D", payload(1, {value("temp", 1, 11), value("level", 2, 12)}));
  send("spBv1.0/G/NDATA/N", payload(2, {by_alias(1, 21, kStart + 5)}, kStart + 5));
  send("spBv1.0/G/DDATA/N/D", payload(3, {by_alias(12, 3, kStart + 5)}, kStart + 5));
  EXPECT_EQ(live("G:N", 0), 21);
  EXPECT_EQ(live("G:N:D", 0), 1);
  EXPECT_EQ(live("G:N:D", 1), 3);
  const auto info = node();
  EXPECT_EQ(info.state, EdgeState::kOnline);
  EXPECT_EQ(info.bdseq, 0U);
  EXPECT_EQ(info.seq, 3U);
  ASSERT_EQ(info.devices.size(), 1U);
  EXPECT_EQ(info.devices[0].device, "G:N:D");
  EXPECT_EQ(rebirths_sent(), 0U);
  EXPECT_EQ(rejection("G:N"), "") << "bdSeq is the protocol's, not an unknown element";
}

// tck-id-operational-behavior-data-commands-ncmd-rebirth-verb, -name, -value;
// tck-id-topics-ncmd-mqtt (QoS 0, not retained).
TEST_F(SparkplugHost, DataBeforeABirthAsksForOne) {
  start();
  send("spBv1.0/G/NDATA/N", payload(7, {by_alias(1, 21), value("level", 4)}));
  EXPECT_EQ(live("G:N", 1), 4) << "what has its name and datatype is read all the same";
  EXPECT_NE(rejection("G:N").find("unknown_alias: 1"), std::string::npos) << rejection("G:N");
  ASSERT_EQ(rebirths_sent(), 1U);
  const Sent& sent = sender_.sent.front();
  EXPECT_EQ(sent.qos, 0);
  EXPECT_FALSE(sent.retain);
  MetricReader metrics(as_bytes(sent.payload));
  Metric metric;
  ASSERT_TRUE(metrics.next(metric));
  EXPECT_EQ(metric.name, "Node Control/Rebirth");
  EXPECT_EQ(metric.type, DataType::kBoolean);
  EXPECT_EQ(metric.value.bits, 1U);
  EXPECT_EQ(node().state, EdgeState::kUnborn);
}

// tck-id-operational-behavior-host-reordering-start, -success.
TEST_F(SparkplugHost, WaitsForWhatIsMissing) {
  options_.reorder_timeout = Duration::seconds(60);
  start();
  node_birth();
  send("spBv1.0/G/DDATA/N/D", payload(2, {by_alias(11, 9)}, kStart + 2));
  EXPECT_EQ(node().held, 1U);
  send("spBv1.0/G/DBIRTH/N/D", payload(1, {value("temp", 1, 11)}, kStart + 1));
  EXPECT_EQ(node().held, 0U);
  EXPECT_EQ(live("G:N:D", 0), 9);
  EXPECT_EQ(node().out_of_order, 1U);
  EXPECT_EQ(node().gaps, 0U);
  EXPECT_EQ(rebirths_sent(), 0U);
}

// tck-id-operational-behavior-host-reordering-param, -rebirth.
TEST_F(SparkplugHost, GivesUpTheGapAndAsks) {
  start();
  node_birth();
  send("spBv1.0/G/NDATA/N", payload(3, {by_alias(1, 33)}, kStart + 3));
  send("spBv1.0/G/NDATA/N", payload(2, {by_alias(1, 32)}, kStart + 2));
  until("the gap is given up", [&] { return node().gaps == 1; });
  EXPECT_EQ(live("G:N", 0), 33) << "what came is used all the same";
  EXPECT_EQ(samples("G:N"), 4U);
  EXPECT_EQ(node().seq, 3U);
  EXPECT_EQ(rebirths_sent(), 1U);
  EXPECT_EQ(node().rebirth_reason, "a sequence number is missing");
}

TEST_F(SparkplugHost, SequenceNumbersWrapAndRepeat) {
  start();
  node_birth();
  for (uint64_t i = 1; i < 300; ++i)
    send("spBv1.0/G/NDATA/N", payload(i & 255, {by_alias(1, static_cast<double>(i))}, kStart + i));
  EXPECT_EQ(live("G:N", 0), 299);
  EXPECT_EQ(node().out_of_order, 0U);
  send("spBv1.0/G/NDATA/N", payload(299 & 255, {by_alias(1, 299)}, kStart + 299));
  EXPECT_EQ(node().late, 1U) << "a message that was sent again";
  EXPECT_EQ(rebirths_sent(), 0U);
}

// tck-id-operational-behavior-edge-node-termination-host-action-ndeath-node-offline,
// -node-tags-stale, -devices-offline, -devices-tags-stale; bdSeq: tck-id-payloads-ndeath-bdseq.
TEST_F(SparkplugHost, DeathIsThatOfTheSession) {
  start();
  node_birth(4);
  send("spBv1.0/G/DBIRTH/N/D", payload(1, {value("temp", 1, 11)}));
  send("spBv1.0/G/NDEATH/N", payload({}, {bdseq(3)}));
  EXPECT_EQ(node().state, EdgeState::kOnline);
  EXPECT_EQ(node().stale_deaths, 1U);
  EXPECT_EQ(quality("G:N", 0), stream::Quality::kGood);
  send("spBv1.0/G/NDEATH/N", payload({}, {bdseq(4)}));
  EXPECT_EQ(node().state, EdgeState::kOffline);
  EXPECT_EQ(node().devices[0].state, EdgeState::kOffline);
  EXPECT_EQ(quality("G:N", 0), stream::Quality::kUncertain);
  EXPECT_EQ(quality("G:N:D", 0), stream::Quality::kUncertain);
  EXPECT_EQ(live("G:N", 0), 20);
}

// A value that has not changed since comes back with its old time: it holds again all the same.
TEST_F(SparkplugHost, ABirthMakesOldValuesGoodAgain) {
  start();
  send("spBv1.0/G/NBIRTH/N", payload(0, {bdseq(0), value("temp", 20, 1, kStart - 60'000)}));
  send("spBv1.0/G/NDEATH/N", payload({}, {bdseq(0)}, kStart));
  EXPECT_EQ(quality("G:N", 0), stream::Quality::kUncertain);
  send("spBv1.0/G/NBIRTH/N",
       payload(0, {bdseq(1), value("temp", 20, 1, kStart - 60'000)}, kStart + 10'000));
  EXPECT_EQ(quality("G:N", 0), stream::Quality::kGood);
  EXPECT_EQ(node().same_bdseq, 0U);
  // sparkplug-client, before 3.0: its bdSeq never moves.
  send("spBv1.0/G/NDEATH/N", payload({}, {bdseq(1)}, kStart));
  send("spBv1.0/G/NBIRTH/N", payload(0, {bdseq(1), value("temp", 21, 1)}, kStart + 20'000));
  EXPECT_EQ(node().same_bdseq, 1U);
  EXPECT_EQ(live("G:N", 0), 21);
}

// tck-id-operational-behavior-edge-node-termination-host-action-ddeath-devices-offline,
// -tags-stale.
TEST_F(SparkplugHost, ADeviceDiesAlone) {
  options_.rebirth_interval = {};
  start();
  node_birth();
  send("spBv1.0/G/DBIRTH/N/D", payload(1, {value("temp", 1, 11)}));
  send("spBv1.0/G/DDEATH/N/D", payload(2, {}, kStart + 50));
  EXPECT_EQ(node().state, EdgeState::kOnline);
  EXPECT_EQ(node().devices[0].state, EdgeState::kOffline);
  EXPECT_EQ(node().devices[0].died, Timestamp::from_millis(kStart + 50));
  EXPECT_EQ(quality("G:N:D", 0), stream::Quality::kUncertain);
  EXPECT_EQ(quality("G:N", 0), stream::Quality::kGood);
  // Data of a dead device: used, and a birth is asked for.
  send("spBv1.0/G/DDATA/N/D", payload(3, {by_alias(11, 8, kStart + 60)}, kStart + 60));
  EXPECT_EQ(live("G:N:D", 0), 8);
  EXPECT_EQ(rebirths_sent(), 1U);
}

TEST_F(SparkplugHost, DevicesThatTheNodesNewBirthDoesNotBringBackAreLost) {
  options_.confirm_timeout = Duration::millis(120);
  start();
  node_birth(0);
  send("spBv1.0/G/DBIRTH/N/D", payload(1, {value("temp", 1, 11)}));
  node_birth(1, kStart + 10);
  EXPECT_EQ(node().devices[0].state, EdgeState::kUnconfirmed);
  EXPECT_EQ(quality("G:N:D", 0), stream::Quality::kGood);
  until("the device is lost", [&] { return node().devices[0].state == EdgeState::kOffline; });
  EXPECT_EQ(node().state, EdgeState::kOnline);
}

TEST_F(SparkplugHost, RequestsAreRare) {
  options_.rebirth_interval = Duration::minutes(1);
  start();
  for (uint64_t i = 0; i < 50; ++i)
    send("spBv1.0/G/NDATA/N", payload(i * 9 & 255, {by_alias(1, 2)}));
  EXPECT_EQ(rebirths_sent(), 1U);
}

TEST_F(SparkplugHost, RubbishIsADeadLetterAndNothingElse) {
  start();
  node_birth();
  send("spBv1.0/G/NDATA/N", Bytes(40, std::byte{0xFF}));
  EXPECT_EQ(rejection("G:N"), "not a Sparkplug B payload");
  send("spBv1.0/G/NBIRTH/N",
       Bytes{std::byte{0x12}, std::byte{2}, std::byte{0xFF}, std::byte{0xFF}});
  EXPECT_EQ(node().state, EdgeState::kOnline) << "the birth before it stays";
  send("spBv1.0/G/NDATA/N", payload(1, {by_alias(1, 22)}, kStart + 1));
  EXPECT_EQ(live("G:N", 0), 22);
  send("spBv1.0/G/NDATA", payload(1, {}));
  send("spBv1.0/G/NDATA/N/D", payload(1, {}));
  EXPECT_EQ(node().messages, 3U);
}

TEST_F(SparkplugHost, WhoJoinsIsNoRegisteredNode) {
  start();
  on_shard([&] {
    host_->on_message({{},
                       OrganisationId(1),
                       "spBv1.0/G/NBIRTH/N",
                       payload(0, {bdseq(0), value("temp", 1)}),
                       1,
                       true});
  });
  EXPECT_EQ(samples("G:N"), 0U);
  EXPECT_NE(rejection("G:N").find("join token"), std::string::npos);
}

// -- restarts

TEST_F(SparkplugHost, KnowsItsAliasesAfterARestart) {
  start();
  node_birth(5);
  send("spBv1.0/G/DBIRTH/N/D", payload(1, {value("temp", 1, 11)}));
  restart();
  until("what was online must show itself",
        [&] { return node().state == EdgeState::kUnconfirmed; });
  EXPECT_EQ(node().bdseq, 5U);
  send("spBv1.0/G/DDATA/N/D", payload(77, {by_alias(11, 42, kStart + 9)}, kStart + 9));
  EXPECT_EQ(live("G:N:D", 0), 42);
  EXPECT_EQ(node().state, EdgeState::kOnline);
  EXPECT_EQ(node().rebirth_reason, "the server restarted") << "changes may have been missed";
  EXPECT_EQ(rebirths_sent(), 1U);
  EXPECT_EQ(node().out_of_order, 0U) << "the next number is not known";
}

TEST_F(SparkplugHost, WhatNeverComesBackAfterARestartIsLost) {
  options_.confirm_timeout = Duration::millis(100);
  start();
  node_birth();
  restart();
  until("the node is lost", [&] { return node().state == EdgeState::kOffline; });
  EXPECT_EQ(quality("G:N", 0), stream::Quality::kUncertain);
  restart();
  EXPECT_EQ(node().state, EdgeState::kOffline) << "the death is on disk too";
}

TEST_F(SparkplugHost, WhatWaitsForItsTurnSurvives) {
  options_.reorder_timeout = Duration::minutes(5);
  start();
  node_birth();
  send("spBv1.0/G/NDATA/N", payload(2, {by_alias(1, 99, kStart + 7)}, kStart + 7));
  EXPECT_EQ(live("G:N", 0), 20);
  restart();
  until("it had its turn", [&] { return live("G:N", 0) == 99; });
  restart();
  EXPECT_EQ(samples("G:N"), 0U) << "and only once";
}

TEST_F(SparkplugHost, ACheckpointIsTheSame) {
  start();
  node_birth(5);
  send("spBv1.0/G/DBIRTH/N/D", payload(1, {value("temp", 1, 11)}));
  Bytes section, again;
  on_shard([&] { host_->snapshot(section); });
  Host other(*shard_, sender_, metrics_, options_);
  ASSERT_TRUE(other.restore(section, 0));
  other.snapshot(again);
  EXPECT_EQ(section, again);
  for (size_t cut = 0; cut + 1 < section.size(); ++cut)
    EXPECT_FALSE(
        Host(*shard_, sender_, metrics_, options_).restore(ByteView(section).first(cut), 0));
}

// -- STATE and commands

// tck-id-host-topic-phid-birth-payload, -birth-qos, -birth-retain, -birth-topic;
// tck-id-message-flow-hid-sparkplug-state-message-delivered.
TEST_F(SparkplugHost, SaysThatItIsThereAndSaysItAgain) {
  start();
  on_shard([&] { host_->say_state(true); });
  ASSERT_EQ(sender_.sent.size(), 1U);
  EXPECT_EQ(sender_.sent[0].topic, "spBv1.0/STATE/penstock");
  EXPECT_EQ(sender_.sent[0].qos, 1);
  EXPECT_TRUE(sender_.sent[0].retain);
  const Json said = *parse_json(sender_.sent[0].payload);
  EXPECT_EQ(said["online"], true);
  EXPECT_EQ(said.size(), 2U);
  const auto hear = [&](const std::string& topic, std::string_view text) {
    const ByteView bytes = as_bytes(text);
    send(topic, Bytes(bytes.begin(), bytes.end()));
  };
  hear("spBv1.0/STATE/penstock", sender_.sent[0].payload);
  hear("spBv1.0/STATE/other", R"({"online":false,"timestamp":1})");
  EXPECT_EQ(sender_.sent.size(), 1U);
  hear("spBv1.0/STATE/penstock", R"({"online":false,"timestamp":1})");
  ASSERT_EQ(sender_.sent.size(), 2U);
  EXPECT_EQ((*parse_json(sender_.sent[1].payload))["online"], true);
}

// tck-id-host-topic-phid-death-payload-timestamp-connect, -birth-payload-timestamp.
TEST(SparkplugSession, WillAndBirthHaveOneTime) {
  const HostSession session = host_session("h", Timestamp::from_millis(123));
  EXPECT_EQ(session.topic, "spBv1.0/STATE/h");
  EXPECT_EQ(session.will, R"({"online":false,"timestamp":123})");
  EXPECT_EQ(session.birth, R"({"online":true,"timestamp":123})");
  EXPECT_EQ(session.subscriptions.front(), session.topic);
}

// tck-id-operational-behavior-data-commands-ncmd-metric-name, -metric-value; dcmd likewise;
// tck-id-payloads-alias-data-cmd-requirement.
TEST_F(SparkplugHost, WritesInTheDatatypeOfTheBirth) {
  start();
  node_birth();
  send("spBv1.0/G/DBIRTH/N/D",
       payload(1, {{"run", DataType::kBoolean, WireScalar::of_boolean(false), {}},
                   {"steps", DataType::kInt16, WireScalar::of_int(3), 15}}));
  const auto write = [&](std::string_view metric, std::string_view json) {
    Status out;
    on_shard([&] { out = host_->write(OrganisationId(1), "G", "N", "D", metric, json); });
    return out;
  };
  EXPECT_TRUE(write("steps", "-7"));
  EXPECT_TRUE(write("run", "true"));
  EXPECT_FALSE(write("steps", "40000"));
  EXPECT_FALSE(write("steps", "\"up\""));
  EXPECT_FALSE(write("speed", "1"));
  ASSERT_EQ(sender_.sent.size(), 2U);
  EXPECT_EQ(sender_.sent[0].topic, "spBv1.0/G/DCMD/N/D");
  MetricReader first(as_bytes(sender_.sent[0].payload));
  Metric metric;
  ASSERT_TRUE(first.next(metric));
  EXPECT_EQ(metric.alias, 15U);
  EXPECT_FALSE(metric.has_name);
  EXPECT_EQ(static_cast<int32_t>(metric.value.bits), -7);
  MetricReader second(as_bytes(sender_.sent[1].payload));
  ASSERT_TRUE(second.next(metric));
  EXPECT_EQ(metric.name, "run");
  send("spBv1.0/G/DDEATH/N/D", payload(2, {}));
  EXPECT_FALSE(write("run", "true")) << "nobody would keep it";
}

}  // namespace
}  // namespace penstock::interop::sparkplug
