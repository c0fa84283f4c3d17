#include "api/history_shape.h"

#include <cmath>

#include <gtest/gtest.h>

namespace penstock::api {
namespace {

Timestamp at(std::string_view text) { return *parse_rfc3339(text); }

TEST(Buckets, OfHoursAreMultiplesSinceTheEpoch) {
  const auto found = bucket_boundaries(at("2026-03-01T12:34:00Z"), at("2026-03-01T14:00:00Z"),
                                       Duration::hours(1), "Asia/Kolkata");
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(to_rfc3339(found[0]), "2026-03-01T12:00:00Z");
  EXPECT_EQ(to_rfc3339(found[2]), "2026-03-01T14:00:00Z");
}

TEST(Buckets, OfDaysAreTheSitesDays) {
  const auto found = bucket_boundaries(at("2026-03-28T12:00:00Z"), at("2026-03-30T12:00:00Z"),
                                       Duration::days(1), "Europe/Berlin");
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(to_rfc3339(found[0]), "2026-03-27T23:00:00Z");
  EXPECT_EQ(to_rfc3339(found[1]), "2026-03-28T23:00:00Z");
  EXPECT_EQ((found[2] - found[1]).us, Duration::hours(23).us) << "clocks go forward";
  const auto autumn = bucket_boundaries(at("2026-10-25T00:00:00Z"), at("2026-10-25T20:00:00Z"),
                                        Duration::days(1), "Europe/Berlin");
  ASSERT_EQ(autumn.size(), 2u);
  EXPECT_EQ((autumn[1] - autumn[0]).us, Duration::hours(25).us);
}

TEST(Buckets, WhereMidnightDoesNotExist) {
  // Santiago's clocks jumped from 24:00 on 2026-09-05 to 01:00: the day begins at 04:00 UTC all the
  // same.
  const auto found = bucket_boundaries(at("2026-09-06T12:00:00Z"), at("2026-09-06T13:00:00Z"),
                                       Duration::days(1), "America/Santiago");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(to_rfc3339(found[0]), "2026-09-06T04:00:00Z");
}

TEST(Buckets, OfWeeksAgreeBetweenQueries) {
  const auto one = bucket_boundaries(at("2026-03-02T00:00:00Z"), at("2026-03-20T00:00:00Z"),
                                     Duration::days(7), "UTC");
  const auto two = bucket_boundaries(at("2026-03-12T00:00:00Z"), at("2026-03-20T00:00:00Z"),
                                     Duration::days(7), "UTC");
  EXPECT_NE(std::find(one.begin(), one.end(), two.front()), one.end());
  EXPECT_EQ(bucket_boundaries(at("2026-03-02T00:00:00Z"), at("2026-03-02T01:00:00Z"),
                              Duration::days(1), "No/Where")
                .size(),
            2u);
}

TEST(LargestTriangles, KeepsPeaksAndEnds) {
  std::vector<Timestamp> time;
  std::vector<double> value;
  for (int i = 0; i < 10'000; ++i) {
    time.push_back(Timestamp::from_seconds(i));
    value.push_back(std::sin(i / 500.0));
  }
  value[4321] = 50;  // one peak among ten thousand
  value[7000] = std::nan("");
  const auto chosen = largest_triangles(time, value, 200);
  EXPECT_LE(chosen.size(), 200u);
  EXPECT_GT(chosen.size(), 190u);
  EXPECT_TRUE(std::is_sorted(chosen.begin(), chosen.end()));
  EXPECT_EQ(chosen.front(), 0u);
  EXPECT_EQ(chosen.back(), 9999u);
  EXPECT_NE(std::find(chosen.begin(), chosen.end(), 4321u), chosen.end());
  EXPECT_EQ(std::adjacent_find(chosen.begin(), chosen.end()), chosen.end());
}

TEST(LargestTriangles, LeavesFewPointsAlone) {
  const std::vector<Timestamp> time{{1}, {2}, {3}};
  const std::vector<double> value{1, std::nan(""), 3};
  EXPECT_EQ(largest_triangles(time, value, 100), (std::vector<size_t>{0, 2}));
  EXPECT_TRUE(largest_triangles({}, {}, 100).empty());
}

TEST(Gaps, BetweenSamples) {
  std::vector<Timestamp> time;
  for (int i = 0; i < 100; ++i) time.push_back(Timestamp::from_seconds(i < 50 ? i : i + 60));
  const auto gaps = gaps_of_samples(time);
  ASSERT_EQ(gaps.size(), 1u);
  EXPECT_EQ(gaps[0].from, Timestamp::from_seconds(49));
  EXPECT_EQ(gaps[0].to, Timestamp::from_seconds(110));
  EXPECT_TRUE(gaps_of_samples(std::span(time).first(2)).empty());
}

TEST(Gaps, BetweenBuckets) {
  const auto boundaries = bucket_boundaries(
      Timestamp::from_seconds(0), Timestamp::from_seconds(600), Duration::minutes(1), "UTC");
  std::vector<Timestamp> filled;
  for (const int minute : {0, 1, 2, 5, 6}) filled.push_back(Timestamp::from_seconds(minute * 60));
  const auto gaps = gaps_of_buckets(boundaries, filled, std::vector<uint64_t>(5, 60));
  ASSERT_EQ(gaps.size(), 1u);
  EXPECT_EQ(gaps[0].from, Timestamp::from_seconds(180));
  EXPECT_EQ(gaps[0].to, Timestamp::from_seconds(300));
  EXPECT_TRUE(gaps_of_buckets(boundaries, filled, std::vector<uint64_t>(5, 1)).empty())
      << "one sample a bucket: a missing one may be a slow sensor";
}

}  // namespace
}  // namespace penstock::api
