#include "stream/journal.h"

#include <filesystem>
#include <future>

#include <gtest/gtest.h>

#include "stream/checkpoint.h"

namespace penstock::stream {
namespace {

class JournalTest : public testing::Test {
 protected:
  JournalTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "penstock-journal-XXXXXX").string();
    folder = ::mkdtemp(pattern.data());
    options.directory = folder + "/journal";
    options.free_bytes_min = 0;
  }
  ~JournalTest() override { std::filesystem::remove_all(folder); }

  std::unique_ptr<Journal> open() {
    auto journal = Journal::open(system_files(), system_clock(), options, metrics);
    EXPECT_TRUE(journal) << (journal ? "" : journal.error().text());
    return journal ? std::move(*journal) : nullptr;
  }
  // Submits one batch with one record and waits until it is durable.
  static JournalOffset write(Journal& journal, std::string_view text) {
    auto batch = journal.make_batch();
    batch->append(RecordType::kMqtt, as_bytes(text));
    std::promise<JournalOffset> done;
    journal.submit(std::move(batch), [&](const Status& status, JournalOffset, JournalOffset end) {
      EXPECT_TRUE(status);
      done.set_value(end);
    });
    return done.get_future().get();
  }
  static std::vector<std::string> read(Journal& journal, JournalOffset from) {
    std::vector<std::string> out;
    auto reader = *journal.read_from(from);
    while (auto record = *reader->next()) out.emplace_back(as_text(record->body));
    return out;
  }
  std::string only_segment() {
    std::string found;
    for (const auto& entry : std::filesystem::directory_iterator(options.directory))
      found = entry.path();
    return found;
  }

  std::string folder;
  JournalOptions options;
  Metrics metrics;
};

TEST_F(JournalTest, GivesBackWhatWasCommittedInOrderAndAfterReopening) {
  std::vector<std::string> expected;
  {
    auto journal = open();
    for (int i = 0; i < 100; ++i)
      write(*journal, expected.emplace_back("record " + std::to_string(i)));
    EXPECT_EQ(read(*journal, 0), expected);
  }
  auto journal = open();
  EXPECT_EQ(read(*journal, 0), expected);
  EXPECT_EQ(journal->state(), JournalState::kWriting);
}

TEST_F(JournalTest, AReaderGoesOnFromAnyRecordInMemoryAndFromSegments) {
  options.segment_bytes_max = 300;  // several segments
  options.recent_bytes_max = 100;   // most of it only in files
  auto journal = open();
  for (int i = 0; i < 30; ++i) write(*journal, "r" + std::to_string(i));
  auto reader = *journal->read_from(0);
  for (int i = 0; i < 30; ++i) {
    const auto record = *reader->next();
    ASSERT_TRUE(record);
    EXPECT_EQ(read(*journal, record->next).size(), static_cast<size_t>(29 - i));
  }
}

TEST_F(JournalTest, CutsATornTailWhereverItWasTorn) {
  {
    auto journal = open();
    write(*journal, "first");
    write(*journal, "second");
  }
  const std::string path = only_segment();
  const auto size = std::filesystem::file_size(path);
  const std::string copy = folder + "/copy";
  std::filesystem::copy_file(path, copy);
  for (uint64_t cut = size - 48; cut < size;
       ++cut) {  // within the second frame: 32 bytes of header, 16 of record
    std::filesystem::copy_file(copy, path, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(path, cut);
    auto journal = open();
    ASSERT_TRUE(journal);
    EXPECT_EQ(read(*journal, 0), std::vector<std::string>{"first"});
    write(*journal, "third");
    EXPECT_EQ(read(*journal, 0), (std::vector<std::string>{"first", "third"}));
  }
}

TEST_F(JournalTest, RefusesADamagedMiddleAndNamesTheByte) {
  {
    auto journal = open();
    write(*journal, "first");
    write(*journal, "second");
  }
  const std::string path = only_segment();
  auto content = *read_file(system_files(), path);
  content[32 + 32 + 9] ^= 1;  // in the body of the first frame
  ASSERT_TRUE(write_file_atomically(system_files(), path, content));
  const auto journal = Journal::open(system_files(), system_clock(), options, metrics);
  ASSERT_FALSE(journal);
  EXPECT_EQ(journal.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(journal.error().message.find("byte 32"), std::string::npos) << journal.error().text();
}

TEST_F(JournalTest, TrimsWholeSegmentsOnly) {
  options.segment_bytes_max = 200;
  auto journal = open();
  JournalOffset middle = 0;
  for (int i = 0; i < 20; ++i) {
    const auto end = write(*journal, "0123456789");
    if (i == 10) middle = end;
  }
  ASSERT_TRUE(journal->trim(middle));
  EXPECT_GT(journal->begin_offset(), 0u);
  EXPECT_LE(journal->begin_offset(), middle);
  EXPECT_EQ(read(*journal, middle).size(), 9u);
  EXPECT_FALSE(journal->read_from(0));
}

TEST_F(JournalTest, StopsBelowTheFreeSpaceItWasTold) {
  options.free_bytes_min = UINT64_MAX;
  auto journal = open();
  auto batch = journal->make_batch();
  batch->append(RecordType::kMqtt, as_bytes("x"));
  std::promise<bool> ok;
  journal->submit(std::move(batch), [&](const Status& s, JournalOffset, JournalOffset) {
    ok.set_value(s.has_value());
  });
  EXPECT_FALSE(ok.get_future().get());
  EXPECT_EQ(journal->state(), JournalState::kDiskFull);
  EXPECT_EQ(journal->durable_offset(), 0u);
}

TEST_F(JournalTest, ACheckpointFallsBackToTheOneBefore) {
  const std::string directory = folder + "/checkpoints";
  ASSERT_TRUE(system_files().create_directories(directory));
  for (const JournalOffset offset : {8u, 16u, 24u}) {
    CheckpointWriter writer(offset);
    writer.add("live", 1, {std::byte{7}});
    ASSERT_TRUE(writer.write(system_files(), directory));
  }
  EXPECT_EQ(system_files().list(directory)->size(), 2u);
  auto latest = *load_latest_checkpoint(system_files(), directory);
  ASSERT_TRUE(latest);
  EXPECT_EQ(latest->offset, 24u);
  EXPECT_EQ(latest->sections.at(0).name, "live");
  const std::string path = directory + "/" + system_files().list(directory)->back();
  auto content = *read_file(system_files(), path);
  content[20] ^= 1;
  ASSERT_TRUE(write_file_atomically(system_files(), path, content));
  EXPECT_EQ((*load_latest_checkpoint(system_files(), directory))->offset, 16u);
}

}  // namespace
}  // namespace penstock::stream
