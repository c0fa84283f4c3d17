#include "interop/mqtt/dispatch.h"

#include <filesystem>
#include <future>
#include <optional>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/testing/allocations.h"
#include "interop/mqtt/tap.h"

namespace penstock::interop::mqtt {
namespace {

constexpr OrganisationId kOurs(1);

std::shared_ptr<const twin::BindingDocument> document() {
  const auto json = parse_json(R"({"name":"plant","model":"dtmi:x:Pump;1",
      "topic":"plant/{site}/{device}/data","device":"{site}-{device}",
      "elements":[{"element":"temperature","from":"/t"}]})");
  auto made = twin::parse_binding(*json);
  EXPECT_TRUE(made) << made.error().text();
  return std::make_shared<const twin::BindingDocument>(*std::move(made));
}

std::shared_ptr<const twin::DeviceConfig> device(const char* name, uint32_t number, bool bound) {
  twin::ModelInfo model;
  model.id = "dtmi:x:Pump;1";
  model.elements.emplace_back().key = "temperature";
  auto config = std::make_shared<twin::DeviceConfig>();
  config->twin = TwinId(number);
  config->organisation = kOurs;
  config->device = name;
  auto& element = config->elements.emplace_back();
  element.key = "temperature";
  element.series = SeriesId(number);
  config->index();
  if (bound) config->source = *twin::compile_binding(*document(), 1, model);
  return config;
}

class DispatchTest : public testing::Test {
 protected:
  DispatchTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "penstock-dispatch-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    stream::JournalOptions options;
    options.directory = folder_ + "/journal";
    options.free_bytes_min = 0;
    journal_ = std::move(*stream::Journal::open(system_files(), system_clock(), options, metrics_));
    shard_ = std::make_unique<stream::Shard>(stream::ShardOptions{}, *journal_, system_clock(),
                                             system_net(), ingest_, metrics_);
    dispatch_.emplace(*shard_);
    shard_->configure(device("north-p1", 1, true));
    shard_->configure(device("north-p2", 2, false));
    twin::BindingRecord record;
    record.organisation = kOurs;
    record.active = document();
    const std::vector<twin::BindingPtr> all{std::make_shared<const twin::BindingRecord>(record)};
    dispatch_->set_routes(std::make_shared<const twin::TopicRoutes>(all));
    shard_->start();
  }
  ~DispatchTest() override {
    shard_->stop();
    journal_.reset();
    std::filesystem::remove_all(folder_);
  }
  void on_shard(std::function<void()> work) {
    std::promise<void> done;
    shard_->post([&] {
      work();
      done.set_value();
    });
    done.get_future().get();
  }
  PublishOutcome take(std::string_view topic, std::string_view payload, ByteView record = {}) {
    return dispatch_->take({{}, kOurs, topic, std::as_bytes(std::span(payload)), 1}, record);
  }
  /// Kinds of what the journal holds, with reasons and devices.
  std::vector<std::string> journalled() {
    shard_->stop();
    std::vector<std::string> out;
    std::vector<stream::Sample> samples;
    auto reader = *journal_->read_from(0);
    while (const auto record = *reader->next()) {
      if (record->type == stream::RecordType::kSamples) {
        const auto view = stream::decode_samples(record->body, samples);
        for (const auto& sample : view->samples)
          out.push_back(fmt::format("sample {} {}", sample.series.value, sample.number));
      } else if (record->type == stream::RecordType::kMqtt)
        out.push_back("record " + std::string(as_text(record->body)));
      else if (const auto raw = stream::decode_raw(record->body))
        out.push_back(fmt::format("{} {}", raw->device, raw->reason));
    }
    return out;
  }

  std::string folder_;
  Metrics metrics_;
  stream::IngestMetrics ingest_{metrics_};
  std::unique_ptr<stream::Journal> journal_;
  std::unique_ptr<stream::Shard> shard_;
  std::optional<Dispatch> dispatch_;
};

TEST_F(DispatchTest, ABoundTopicReachesItsDevice) {
  const std::string record = "r1";
  on_shard([&] {
    EXPECT_EQ(take("plant/north/p1/data", R"({"t":21.5})", std::as_bytes(std::span(record))),
              PublishOutcome::kAccepted);
    EXPECT_EQ(take("plant/north/p2/data", R"({"t":21.5})"), PublishOutcome::kAccepted);
    EXPECT_EQ(take("plant/north/p9/data", R"({"t":21.5})"), PublishOutcome::kAccepted);
    EXPECT_EQ(take("plant/north/p1/other", "{}"), PublishOutcome::kNotOurs);
    const std::string_view join = R"({"t":9})";
    EXPECT_EQ(dispatch_->take({{}, kOurs, "plant/north/p1/data", as_bytes(join), 1, true}),
              PublishOutcome::kAccepted);
    EXPECT_EQ(take("devices/north-p1/telemetry", R"({"temperature":7})"),
              PublishOutcome::kAccepted);
  });
  EXPECT_EQ(journalled(),
            (std::vector<std::string>{
                "sample 1 21.5", "record r1", "north-p2 other_binding: plant/north/p2/data",
                "north-p9 ", "north-p1 needs_credentials: plant/north/p1/data", "sample 1 7"}));
}

TEST_F(DispatchTest, AMessageToABoundTopicAllocatesNothing) {
  const auto send = [&] {
    for (int i = 0; i < 500; ++i) take("plant/north/p1/data", R"({"t":21.5})");
  };
  for (int round = 0; round < 10; ++round) on_shard(send);
  uint64_t allocated = 0;
  on_shard([&] {
    const uint64_t before = testing_allocations();
    send();
    allocated = testing_allocations() - before;
  });
  EXPECT_EQ(allocated, 0U);
}

TEST_F(DispatchTest, ADeviceMayPublishWhereItsBindingSays) {
  Principal principal;
  principal.organisation = kOurs;
  principal.device = "north-p1";
  EXPECT_TRUE(dispatch_->may_publish(principal, "plant/north/p1/data"));
  EXPECT_FALSE(dispatch_->may_publish(principal, "plant/north/p2/data"));
  EXPECT_FALSE(dispatch_->may_publish(principal, "plant/north/p1/else"));
  principal.device.clear();
  EXPECT_FALSE(dispatch_->may_publish(principal, "plant/north/p1/data"));
  principal.may_provision = true;
  EXPECT_TRUE(dispatch_->may_publish(principal, "plant/north/p7/data"));
  principal.organisation = OrganisationId(2);
  EXPECT_FALSE(dispatch_->may_publish(principal, "plant/north/p7/data"));
}

// A protocol on topics of its own.
class Own final : public MessageHandler {
 public:
  bool on_message(const InboundMessage& message) override {
    if (!message.topic.starts_with("own/")) return false;
    taken.emplace_back(message.topic);
    return true;
  }
  std::vector<std::string> taken;
};

TEST_F(DispatchTest, AHandlerTakesItsTopics) {
  Own own;
  dispatch_->add(&own);
  on_shard([&] {
    EXPECT_EQ(take("own/a", ""), PublishOutcome::kAccepted);
    EXPECT_EQ(take("other/a", ""), PublishOutcome::kNotOurs);
  });
  EXPECT_EQ(own.taken, std::vector<std::string>{"own/a"});
}

TEST_F(DispatchTest, ATapHearsWhatItAskedForWhileItAsks) {
  bool listening = false;
  const auto tap = std::make_shared<MessageTap>(system_clock(), TapLimits{.messages_max = 2},
                                                [&](bool now) { listening = now; });
  stream::TapQuestion all{kOurs, "plant/#", "", 0}, one{kOurs, "", "north-p1", 0};
  EXPECT_TRUE(tap->tap(all)->empty());
  EXPECT_TRUE(tap->tap(one)->empty());
  EXPECT_TRUE(listening);
  EXPECT_FALSE(tap->tap({kOurs, "a/#/b", "", 0}));
  on_shard([&] {
    dispatch_->set_tap(tap);
    take("plant/north/p1/data", "a");
    take("plant/nobody", "b");
    take("plant/nobody", "c");
    take("devices/north-p1/telemetry", "{}");
    dispatch_->set_tap(nullptr);
    take("plant/north/p1/data", "d");
  });
  const auto heard = *tap->tap(all);
  ASSERT_EQ(heard.size(), 2u) << "the newest";
  EXPECT_EQ(heard[0].payload, "b");
  EXPECT_EQ(heard[0].device, "");
  EXPECT_EQ(heard[1].payload, "c");
  all.after = heard[1].id;
  EXPECT_TRUE(tap->tap(all)->empty());
  const auto of_device = *tap->tap(one);
  ASSERT_EQ(of_device.size(), 2u);
  EXPECT_EQ(of_device[0].payload, "a");
  EXPECT_EQ(of_device[1].topic, "devices/north-p1/telemetry");
}

TEST(MessageTapTest, EndsWhenNobodyReads) {
  std::vector<bool> told;
  MessageTap tap(system_clock(), TapLimits{.listeners_max = 1, .idle_max = Duration::micros(-1)},
                 [&](bool now) { told.push_back(now); });
  ASSERT_TRUE(tap.tap({kOurs, "a", "", 0}));
  tap.expire();
  EXPECT_EQ(told, (std::vector<bool>{true, false}));
  MessageTap full(system_clock(), TapLimits{.listeners_max = 1}, [](bool) {});
  ASSERT_TRUE(full.tap({kOurs, "a", "", 0}));
  EXPECT_FALSE(full.tap({kOurs, "b", "", 0}));
}

}  // namespace
}  // namespace penstock::interop::mqtt
