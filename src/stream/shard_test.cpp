#include "stream/shard.h"

#include <string>

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace penstock::stream
