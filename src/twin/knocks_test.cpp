#include "twin/knocks.h"

#include <gtest/gtest.h>

namespace penstock::twin {
namespace {

TEST(Knocks, CountsByReasonAndKeepsTheNewest) {
  Knocks knocks;
  knocks.refused("pump", "bad_credentials", "10.0.0.7", Timestamp::from_seconds(1));
  knocks.refused("pump", "too_many_attempts", "10.0.0.7", Timestamp::from_seconds(2));
  knocks.refused("pump", "bad_credentials", "10.0.0.8", Timestamp::from_seconds(3));
  const auto all = knocks.refusals("pump");
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].reason, "bad_credentials");
  EXPECT_EQ(all[0].count, 2u);
  EXPECT_EQ(all[0].peer, "10.0.0.8");
  EXPECT_EQ(all[0].last, Timestamp::from_seconds(3));
  EXPECT_TRUE(knocks.refusals("other").empty());
}

TEST(Knocks, AStrangerWhoTriesManyNamesPushesOutTheOldestOnly) {
  Knocks knocks(3);
  for (const char* name : {"a", "b", "c"}) knocks.refused(name, "bad_credentials", "p", {1});
  knocks.refused("a", "bad_credentials", "p", {2});
  knocks.refused("d", "bad_credentials", "p", {3});
  EXPECT_TRUE(knocks.refusals("b").empty());
  EXPECT_EQ(knocks.refusals("a").front().count, 2u);
  EXPECT_FALSE(knocks.refusals("d").empty());
}

TEST(Knocks, RemembersTheCertificateShownLast) {
  Knocks knocks;
  EXPECT_EQ(knocks.certificate_expires("pump"), Timestamp());
  knocks.admitted("pump", Timestamp::from_seconds(10));
  knocks.admitted("pump", Timestamp::from_seconds(20));
  EXPECT_EQ(knocks.certificate_expires("pump"), Timestamp::from_seconds(20));
}

}  // namespace
}  // namespace penstock::twin
