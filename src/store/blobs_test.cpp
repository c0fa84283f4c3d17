#include "store/blobs.h"

#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "store/digest.h"

namespace penstock::store {
namespace {

class BlobTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/penstock-blobs-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

TEST(Digest, GivesTheValuesOfFips180) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_F(BlobTest, NamesContentByItsDigest) {
  BlobStore blobs(system_files(), folder_ + "/blobs");
  EXPECT_TRUE(blobs.list()->empty());
  const std::string content("a\0b", 3);
  const auto name = blobs.put(content);
  ASSERT_TRUE(name) << name.error().text();
  EXPECT_EQ(*name, sha256_hex(content));
  EXPECT_EQ(blobs.put(content), name);
  EXPECT_EQ(blobs.get(*name), content);
  EXPECT_EQ(blobs.list()->size(), 1u);
  EXPECT_TRUE(blobs.remove(*name));
  EXPECT_TRUE(blobs.remove(*name));
  EXPECT_EQ(blobs.get(*name).error().code, ErrorCode::kNotFound);
}

TEST_F(BlobTest, NoticesDamageAndHealsItByWritingAgain) {
  BlobStore blobs(system_files(), folder_);
  const auto name = blobs.put("the firmware");
  ASSERT_TRUE(name);
  std::ofstream(folder_ + "/" + name->substr(0, 2) + "/" + name->substr(2)) << "the firmwarf";
  EXPECT_EQ(blobs.get(*name).error().code, ErrorCode::kCorrupt);
  ASSERT_TRUE(blobs.put("the firmware"));
  EXPECT_EQ(blobs.get(*name), "the firmware");
}

TEST_F(BlobTest, RefusesNamesThatLeaveItsFolder) {
  BlobStore blobs(system_files(), folder_, 10);
  EXPECT_EQ(blobs.get("../../etc/passwd").error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(blobs.contains(""));
  EXPECT_EQ(blobs.put("eleven byte").error().code, ErrorCode::kResourceExhausted);
}

TEST_F(BlobTest, TakesTheSameContentFromManyThreads) {
  BlobStore blobs(system_files(), folder_);
  std::vector<std::thread> threads;
  std::atomic<int> failed{0};
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int j = 0; j < 5; ++j)
        if (!blobs.put(std::to_string(j))) ++failed;
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(blobs.list()->size(), 5u);
}

}  // namespace
}  // namespace penstock::store
