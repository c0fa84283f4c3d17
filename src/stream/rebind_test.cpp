// Messages of the past become history: through a real pipeline and journal.

#include "stream/rebind.h"

#include <chrono>
#include <filesystem>
#include <future>
#include <set>

#include <gtest/gtest.h>

namespace penstock::stream {
namespace {

constexpr OrganisationId kOurs(1);

class RebindTest : public testing::Test {
 protected:
  RebindTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "penstock-rebind-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    JournalOptions options;
    options.directory = folder_ + "/journal";
    options.free_bytes_min = 0;
    journal_ = std::move(*Journal::open(system_files(), system_clock(), options, metrics_));
    registry_ = std::move(*store::Registry::open(folder_ + "/registry.db"));
    PipelineOptions pipeline;
    pipeline.shards = 2;
    pipeline.checkpoint_directory = folder_ + "/checkpoints";
    pipeline_ = std::make_unique<Pipeline>(pipeline, *journal_, system_files(), system_clock(),
                                           system_net(), metrics_);
    EXPECT_TRUE(pipeline_->recover());
    pipeline_->start();
    rebinder_ = std::move(*Rebinder::open(*registry_, *pipeline_, system_clock(), metrics_, {}));
    rebinder_->start();
  }
  ~RebindTest() override {
    rebinder_->stop();
    pipeline_->stop();
    rebinder_.reset();
    pipeline_.reset();
    journal_.reset();
    registry_.reset();
    std::filesystem::remove_all(folder_);
  }

  static std::shared_ptr<const twin::DeviceConfig> pump() {
    auto config = std::make_shared<twin::DeviceConfig>();
    config->twin = TwinId(1);
    config->organisation = kOurs;
    config->device = "pump-1";
    twin::ElementConfig element;
    element.key = "speed";
    element.series = SeriesId(1);
    config->elements.push_back(element);
    config->index();
    return config;
  }
  std::vector<Receipt> submit(std::vector<Intake> intakes) {
    std::promise<std::vector<Receipt>> done;
    pipeline_->submit(std::move(intakes),
                      [&](std::vector<Receipt> receipts) { done.set_value(std::move(receipts)); });
    return done.get_future().get();
  }
  static Intake message(std::string payload, Timestamp received = {}) {
    Intake intake;
    intake.sender = kOurs;
    intake.device = "pump-1";
    intake.topic = "devices/pump-1/telemetry";
    intake.payload = std::move(payload);
    intake.received = received;
    return intake;
  }
  RebindJob wait_for(uint64_t id) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (std::chrono::steady_clock::now() < give_up) {
      const auto job = rebinder_->rebind_job(kOurs, id);
      if (!job || job->state == RebindState::kDone || job->state == RebindState::kFailed)
        return job.value_or(RebindJob{});
      std::this_thread::yield();
    }
    return {};
  }
  /// Source times of all samples in the journal, each as often as it is there.
  std::multiset<int64_t> times() {
    std::multiset<int64_t> out;
    auto reader = *journal_->read_from(0);
    std::vector<Sample> unpacked;
    while (const auto record = *reader->next()) {
      if (record->type != RecordType::kSamples) continue;
      const auto view = decode_samples(record->body, unpacked);
      for (const Sample& sample : view->samples) out.insert(sample.source_time.us);
    }
    return out;
  }

  std::string folder_;
  Metrics metrics_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<store::Registry> registry_;
  std::unique_ptr<Pipeline> pipeline_;
  std::unique_ptr<Rebinder> rebinder_;
};

TEST_F(RebindTest, WhatAnUnknownDeviceSaidBecomesItsSamplesOnce) {
  // Two with one received time and none of their own, one with its own.
  const Timestamp at{1'750'000'000'000'000};
  const auto receipts = submit({message(R"({"speed":1})", at), message(R"({"speed":2})", at),
                                message(R"({"ts":1740000000000,"values":{"speed":3}})"),
                                message(R"({"speed":"fast"})")});
  for (const Receipt& receipt : receipts) {
    EXPECT_TRUE(receipt.durable);
    EXPECT_FALSE(receipt.known);
  }
  EXPECT_TRUE(times().empty());
  pipeline_->configure(pump());
  const auto first = rebinder_->start_rebind(kOurs, "pump-1", RebindKind::kDiscovery, 0, "Ada");
  ASSERT_TRUE(first) << first.error().text();
  const RebindJob done = wait_for(first->id);
  EXPECT_EQ(done.state, RebindState::kDone) << done.reason;
  EXPECT_EQ(done.messages, 4u);
  EXPECT_EQ(done.samples, 3u);
  EXPECT_EQ(done.refused, 1u);
  EXPECT_EQ(done.reason, "wrong_type: speed");
  const auto once = times();
  EXPECT_EQ(once.size(), 3u);
  EXPECT_EQ(once, (std::multiset<int64_t>{1'740'000'000'000'000, at.us, at.us + 1}));
  // Again: the same samples, by their identity.
  const auto second = rebinder_->start_rebind(kOurs, "pump-1", RebindKind::kDiscovery, 0, "Ada");
  ASSERT_TRUE(second);
  EXPECT_EQ(wait_for(second->id).samples, 3u);
  const auto twice = times();
  EXPECT_EQ(twice.size(), 6u);
  EXPECT_EQ(std::set<int64_t>(twice.begin(), twice.end()).size(), 3u);
  // What was refused is not kept again.
  EXPECT_EQ(pipeline_->raw_views().dead_letter_count(kOurs), 0u);
}

TEST_F(RebindTest, DeadLettersAreReplayedOnceTheDeviceUnderstandsThem) {
  auto config = std::make_shared<twin::DeviceConfig>(*pump());
  config->elements[0].key = "velocity";
  config->index();
  pipeline_->configure(config);
  const auto refused = submit({message(R"({"speed":1})"), message(R"({"speed":2})")});
  EXPECT_EQ(refused[0].rejected, 1u);
  EXPECT_EQ(refused[0].reason, "unknown_element: speed");
  pipeline_->configure(pump());
  const auto job = rebinder_->start_rebind(kOurs, "pump-1", RebindKind::kDeadLetters, 0, "Ada");
  ASSERT_TRUE(job);
  const RebindJob done = wait_for(job->id);
  EXPECT_EQ(done.messages, 2u);
  EXPECT_EQ(done.samples, 2u);
  EXPECT_EQ(times().size(), 2u);
  EXPECT_EQ(rebinder_->needed_from(), UINT64_MAX);
  EXPECT_FALSE(rebinder_->cancel_rebind(kOurs, job->id));
}

TEST_F(RebindTest, AJobSurvivesARestart) {
  submit({message(R"({"speed":1})")});
  pipeline_->configure(pump());
  rebinder_->stop();  // before it could begin
  const auto job = rebinder_->start_rebind(kOurs, "pump-1", RebindKind::kDiscovery, 0, "Ada");
  ASSERT_TRUE(job);
  EXPECT_EQ(rebinder_->needed_from(), 0u);
  rebinder_ = std::move(*Rebinder::open(*registry_, *pipeline_, system_clock(), metrics_, {}));
  EXPECT_EQ(rebinder_->rebind_jobs(kOurs, "pump-1").size(), 1u);
  rebinder_->start();
  EXPECT_EQ(wait_for(job->id).samples, 1u);
}

}  // namespace
}  // namespace penstock::stream
