// The journal on simulated disks: power cuts that keep any part of what was not synced, syncs that
// fail, writes that fail half way, full disks. Every run follows from its seed.

#include <chrono>
#include <future>

#include <gtest/gtest.h>

#include "base/io_sim.h"
#include "stream/journal.h"
#include "stream/journal_inspect.h"

namespace penstock::stream {
namespace {

class FaultyWorld {
 public:
  explicit FaultyWorld(uint64_t seed) : random_(seed), files_(seed * 7919 + 1) {
    options_.directory = "journal";
    options_.free_bytes_min = 0;
    options_.segment_bytes_max = 2000 + random_.below(4000);
    options_.recent_bytes_max = random_.below(3000);
  }

  // Opens what is there and holds it against what was promised.
  void open() {
    auto journal = Journal::open(files_, clock_, options_, metrics_);
    ASSERT_TRUE(journal) << journal.error().text();
    journal_ = std::move(*journal);
    check();
  }

  // Submits some batches at once and waits for all answers.
  void write_some() {
    const auto count = 1 + random_.below(5);
    std::vector<std::future<bool>> answers;
    for (uint64_t i = 0; i < count; ++i) {
      const std::string text = std::to_string(submitted_.size()) + ":" +
                               std::string(random_.below(random_.chance(0.1) ? 1500 : 60), 'x');
      submitted_.push_back(text);
      auto batch = journal_->make_batch();
      batch->append(RecordType::kMqtt, as_bytes(text));
      auto promise = std::make_shared<std::promise<bool>>();
      answers.push_back(promise->get_future());
      journal_->submit(std::move(batch),
                       [promise](const Status& status, JournalOffset, JournalOffset) {
                         promise->set_value(status.has_value());
                       });
    }
    for (size_t i = 0; i < answers.size(); ++i)
      if (answers[i].get()) acknowledged_.push_back(submitted_[submitted_.size() - count + i]);
  }

  void close() { journal_.reset(); }
  void crash() {
    close();
    files_.crash();
  }

  // All that was acknowledged is there, in order, and nothing that was never submitted.
  void check() {
    std::vector<std::string> found;
    auto reader = journal_->read_from(journal_->begin_offset());
    ASSERT_TRUE(reader);
    while (true) {
      const auto record = (*reader)->next();
      ASSERT_TRUE(record) << record.error().text();
      if (!*record) break;
      found.emplace_back(as_text((*record)->body));
    }
    size_t at = 0;
    for (const std::string& promised : acknowledged_) {
      while (at < found.size() && found[at] != promised) ++at;
      ASSERT_LT(at, found.size()) << "lost: " << promised.substr(0, 10);
    }
    size_t in = 0;
    for (const std::string& one : found) {
      while (in < submitted_.size() && submitted_[in] != one) ++in;
      ASSERT_LT(in, submitted_.size())
          << "twice, out of order or never written: " << one.substr(0, 10);
      ++in;
    }
  }

  bool writing_again() {
    for (int i = 0; i < 100 && journal_->state() != JournalState::kWriting; ++i) {
      clock_.advance(Duration::seconds(2));
      write_some();
    }
    return journal_->state() == JournalState::kWriting;
  }

  SimRandom random_;
  SimFileSystem files_;
  SimClock clock_;
  Metrics metrics_;
  JournalOptions options_;
  std::unique_ptr<Journal> journal_;
  std::vector<std::string> submitted_, acknowledged_;
};

TEST(JournalFaults, PowerCutsLoseNothingThatWasAcknowledged) {
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    FaultyWorld world(seed);
    for (int life = 0; life < 4; ++life) {
      ASSERT_NO_FATAL_FAILURE(world.open());
      for (auto n = world.random_.below(8); n > 0; --n) world.write_some();
      ASSERT_NO_FATAL_FAILURE(world.check());
      world.crash();
    }
    ASSERT_NO_FATAL_FAILURE(world.open());
  }
}

TEST(JournalFaults, AFailedSyncIsNeverAcknowledgedAndTheJournalRecovers) {
  for (uint64_t seed = 1; seed <= 80; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    FaultyWorld world(seed);
    ASSERT_NO_FATAL_FAILURE(world.open());
    world.write_some();
    world.files_.fail_syncs(1 + static_cast<int>(world.random_.below(3)));
    world.write_some();
    EXPECT_NE(world.journal_->state(), JournalState::kWriting);
    EXPECT_NE(world.journal_->state_detail(), "the journal takes writes");
    ASSERT_TRUE(world.writing_again());
    world.write_some();
    ASSERT_NO_FATAL_FAILURE(world.check());
    world.crash();
    ASSERT_NO_FATAL_FAILURE(world.open());
  }
}

TEST(JournalFaults, WritesThatFailHalfWay) {
  for (uint64_t seed = 1; seed <= 80; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    FaultyWorld world(seed);
    ASSERT_NO_FATAL_FAILURE(world.open());
    for (int i = 0; i < 4; ++i) {
      world.write_some();
      world.files_.fail_writes(0.3);
      world.write_some();
      world.files_.fail_writes(0);
      ASSERT_TRUE(world.writing_again());
    }
    ASSERT_NO_FATAL_FAILURE(world.check());
    world.crash();
    ASSERT_NO_FATAL_FAILURE(world.open());
  }
}

TEST(JournalFaults, AFullDiskRefusesAndGoesOnOnceThereIsSpace) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    FaultyWorld world(seed);
    ASSERT_NO_FATAL_FAILURE(world.open());
    world.write_some();
    world.files_.set_capacity(4000 + world.random_.below(3000));
    for (int i = 0; i < 200 && world.journal_->state() == JournalState::kWriting; ++i)
      world.write_some();
    ASSERT_NE(world.journal_->state(), JournalState::kWriting);
    ASSERT_NO_FATAL_FAILURE(world.check());
    world.files_.set_capacity(UINT64_MAX);
    ASSERT_TRUE(world.writing_again());
    world.write_some();
    ASSERT_NO_FATAL_FAILURE(world.check());
    world.crash();
    ASSERT_NO_FATAL_FAILURE(world.open());
  }
}

TEST(JournalFaults, ABatchThatIsTooLargeIsRefusedAlone) {
  FaultyWorld world(1);
  world.options_.batch_bytes_max = 500;
  ASSERT_NO_FATAL_FAILURE(world.open());
  auto batch = world.journal_->make_batch();
  batch->append(RecordType::kMqtt, as_bytes(std::string(600, 'x')));
  std::promise<ErrorCode> answer;
  world.journal_->submit(std::move(batch), [&](const Status& status, JournalOffset, JournalOffset) {
    answer.set_value(status ? ErrorCode::kInternal : status.error().code);
  });
  EXPECT_EQ(answer.get_future().get(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(world.journal_->state(), JournalState::kWriting) << "the others go on";
}

TEST(JournalInspect, CountsAndFindsDamage) {
  FaultyWorld world(5);
  ASSERT_NO_FATAL_FAILURE(world.open());
  for (int i = 0; i < 20; ++i) world.write_some();
  world.close();
  const auto report = inspect_journal(world.files_, "journal");
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_TRUE(report->whole());
  EXPECT_GT(report->segments.size(), 1U);
  EXPECT_EQ(report->to_json().at("records").get<size_t>(), world.submitted_.size());
  ASSERT_TRUE(world.files_.remove(report->segments[1].path));
  const auto missing = inspect_journal(world.files_, "journal");
  ASSERT_TRUE(missing);
  EXPECT_FALSE(missing->whole());
  EXPECT_EQ(inspect_journal(world.files_, "nowhere").error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace penstock::stream
