#include "stream/shard.h"

#include <atomic>
#include <chrono>
#include <filesystem>
#include <future>
#include <string>

#include <gtest/gtest.h>

#include "base/testing/allocations.h"

namespace penstock::stream {
namespace {

TEST(ShardOf, SpreadsNamesThatDifferOnlyInTheirLastDigits) {
  for (const char* pattern : {"bench-", "compressor-", "north-c", "x"})
    for (const uint32_t shards : {2U, 3U, 8U}) {
      std::vector<int> counts(shards);
      for (int i = 0; i < 1000; ++i) ++counts[shard_of(pattern + std::to_string(i), shards)];
      for (const int count : counts) {
        EXPECT_GT(count, 700 / static_cast<int>(shards)) << pattern;
        EXPECT_LT(count, 1400 / static_cast<int>(shards)) << pattern;
      }
    }
}

TEST(ShardOf, StaysWhereItIs) {
  // Checkpoints name shards: another placement would look for a device's state in the wrong one.
  EXPECT_EQ(shard_of("compressor-1", 2), shard_of("compressor-1", 2));
  EXPECT_EQ(shard_of("anything", 1), 0U);
}

class ShardTest : public testing::Test {
 protected:
  ShardTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "penstock-shard-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    JournalOptions options;
    options.directory = folder_ + "/journal";
    options.free_bytes_min = 0;
    journal_ = std::move(*Journal::open(system_files(), system_clock(), options, metrics_));
    shard_ = std::make_unique<Shard>(ShardOptions{}, *journal_, system_clock(), system_net(),
                                     ingest_, metrics_);
    auto config = std::make_shared<twin::DeviceConfig>();
    config->twin = TwinId(1);
    config->organisation = OrganisationId(1);
    config->device = "pump-1";
    for (uint32_t i = 0; i < 4; ++i) {
      twin::ElementConfig element;
      element.key = "value" + std::to_string(i);
      element.series = SeriesId(i + 1);
      config->elements.push_back(element);
    }
    shard_->configure(config);
    shard_->start();
  }
  ~ShardTest() override {
    shard_->stop();
    journal_.reset();
    std::filesystem::remove_all(folder_);
  }
  /// Runs on the shard's thread, in a turn.
  void on_shard(std::function<void()> work) {
    std::promise<void> done;
    shard_->post([&] {
      work();
      done.set_value();
    });
    done.get_future().get();
  }

  std::string folder_;
  Metrics metrics_;
  IngestMetrics ingest_{metrics_};
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Shard> shard_;
};

TEST_F(ShardTest, TheWarmPathAllocatesNothing) {
  const auto send = [&] {
    for (int i = 0; i < 500; ++i)
      shard_->ingest(OrganisationId(1), "pump-1", "devices/pump-1/telemetry",
                     R"({"value0":1.5,"value1":2,"value2":-3.25,"value3":1e3})");
  };
  for (int round = 0; round < 10; ++round) on_shard(send);  // batches and buffers reach their size
  uint64_t allocated = 0;
  on_shard([&] {
    const uint64_t before = testing_allocations();
    send();
    allocated = testing_allocations() - before;
  });
  EXPECT_EQ(allocated, 0U);
}

// A message that goes from one shard to another and on to the first: its acknowledgement waits for
// both batches, and neither waits for the other's turn.
TEST_F(ShardTest, ShardsThatHandToEachOtherDoNotWaitForEver) {
  Shard second(ShardOptions{.index = 1, .count = 2}, *journal_, system_clock(), system_net(),
               ingest_, metrics_);
  Shard first(ShardOptions{.index = 0, .count = 2}, *journal_, system_clock(), system_net(),
              ingest_, metrics_);
  first.set_siblings({&first, &second});
  second.set_siblings({&first, &second});
  first.start();
  second.start();
  const auto record = as_bytes("note");
  std::atomic<int> written = 0;
  std::vector<std::promise<bool>> done(200);
  for (auto& promise : done)
    first.post([&] {
      first.run_on(1, [&](Shard& there) {
        there.append_record(RecordType::kMqtt, record);
        there.run_on(0, [&](Shard& back) {
          back.append_record(RecordType::kMqtt, record);
          ++written;
        });
      });
      first.when_durable([&](bool ok) { promise.set_value(ok && written > 0); });
    });
  for (auto& promise : done) {
    auto outcome = promise.get_future();
    ASSERT_EQ(outcome.wait_for(std::chrono::seconds(30)), std::future_status::ready);
    EXPECT_TRUE(outcome.get());
  }
  EXPECT_EQ(written, 200);
  first.stop();
  second.stop();
}

TEST_F(ShardTest, KeepsWhatItCannotUseWithItsReason) {
  on_shard([&] {
    shard_->ingest(OrganisationId(1), "pump-1", "devices/pump-1/telemetry", R"({"value0":"hot"})");
    shard_->ingest(OrganisationId(1), "pump-1", "devices/pump-1/telemetry", "no JSON");
    shard_->ingest(OrganisationId(1), "stranger", "devices/stranger/telemetry", "{}");
    shard_->ingest(OrganisationId(2), "pump-1", "devices/pump-1/telemetry", R"({"value0":1})");
  });
  shard_->stop();
  auto reader = *journal_->read_from(0);
  std::vector<std::string> reasons;
  int discoveries = 0;
  while (const auto record = *reader->next()) {
    if (record->type == RecordType::kDeadLetter)
      reasons.emplace_back(decode_raw(record->body)->reason);
    if (record->type == RecordType::kDiscovery) ++discoveries;
    EXPECT_NE(record->type, RecordType::kSamples) << "another organisation's device is no device";
  }
  ASSERT_EQ(reasons.size(), 2U);
  EXPECT_NE(reasons[0].find("value0"), std::string::npos) << reasons[0];
  EXPECT_EQ(discoveries, 2);
}

}  // namespace
}  // namespace penstock::stream
