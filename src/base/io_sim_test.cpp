#include "base/io_sim.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(SimFileSystem, KeepsWhatWasSyncedAndSometimesLosesTheRest) {
  int lost = 0, kept = 0;
  for (uint64_t seed = 0; seed < 64; ++seed) {
    SimFileSystem files(seed);
    ASSERT_TRUE(files.create_directories("/d"));
    auto file = *files.open("/d/f", OpenMode::kAppend);
    const std::string durable(1000, 'a');
    ASSERT_TRUE(file->append(std::as_bytes(std::span(durable))));
    ASSERT_TRUE(file->sync());
    ASSERT_TRUE(files.sync_directory("/d"));
    ASSERT_TRUE(file->append(std::as_bytes(std::span(durable))));
    files.crash();
    EXPECT_FALSE(file->size());  // the handle died with the machine
    const auto content = read_file(files, "/d/f");
    ASSERT_TRUE(content) << "seed " << seed;
    ASSERT_GE(content->size(), 1000u) << "seed " << seed;
    EXPECT_EQ(content->substr(0, 1000), durable) << "seed " << seed;
    (*content == durable + durable ? kept : lost)++;
  }
  EXPECT_GT(lost, 0);
  EXPECT_GT(kept, 0);
}

TEST(SimFileSystem, MayLoseACreateWhoseFolderWasNotSynced) {
  int lost = 0;
  for (uint64_t seed = 0; seed < 64; ++seed) {
    SimFileSystem files(seed);
    ASSERT_TRUE(files.create_directories("/d"));
    ASSERT_TRUE((*files.open("/d/f", OpenMode::kAppend))->sync());
    files.crash();
    lost += files.exists("/d/f") ? 0 : 1;
  }
  EXPECT_GT(lost, 0);
  EXPECT_LT(lost, 64);
}

TEST(SimFileSystem, AtomicReplacementGivesOldOrNewNeverBetween) {
  for (uint64_t seed = 0; seed < 64; ++seed) {
    SimFileSystem files(seed);
    ASSERT_TRUE(files.create_directories("/d"));
    ASSERT_TRUE(write_file_atomically(files, "/d/f", "old"));
    files.fail_syncs(static_cast<int>(seed % 3));
    const bool done = write_file_atomically(files, "/d/f", "new").has_value();
    files.crash();
    const auto content = *read_file(files, "/d/f");
    EXPECT_TRUE(content == "new" || (!done && content == "old")) << "seed " << seed << content;
  }
}

TEST(SimFileSystem, AFailedSyncLosesPagesThatTheCacheStillShows) {
  int gone = 0;
  for (uint64_t seed = 0; seed < 64; ++seed) {
    SimFileSystem files(seed);
    ASSERT_TRUE(files.create_directories("/d"));
    auto file = *files.open("/d/f", OpenMode::kAppend);
    const std::string text(512, 'x');
    ASSERT_TRUE(file->append(std::as_bytes(std::span(text))));
    files.fail_syncs(1);
    EXPECT_FALSE(file->sync());
    EXPECT_TRUE(file->sync());  // the lie that the journal must not believe
    EXPECT_EQ(*read_file(files, "/d/f"), text);
    file->drop_cache();
    gone += *read_file(files, "/d/f") == text ? 0 : 1;
  }
  EXPECT_GT(gone, 0);
}

TEST(SimFileSystem, RunsFullAndRecovers) {
  SimFileSystem files(1);
  ASSERT_TRUE(files.create_directories("/d"));
  files.set_capacity(100);
  auto file = *files.open("/d/f", OpenMode::kAppend);
  const std::string text(150, 'x');
  const auto full = file->append(std::as_bytes(std::span(text)));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(*file->size(), 100u);
  EXPECT_EQ(*files.free_bytes("/d"), 0u);
  files.set_capacity(1000);
  EXPECT_TRUE(file->append(std::as_bytes(std::span(text))));
}

TEST(SimFileSystem, ALockHasOneOwnerUntilItDies) {
  SimFileSystem files(1);
  auto first = files.lock("/l");
  ASSERT_TRUE(first);
  EXPECT_EQ(files.lock("/l").error().code, ErrorCode::kConflict);
  files.kill();
  EXPECT_TRUE(files.lock("/l"));
}

}  // namespace
}  // namespace penstock
