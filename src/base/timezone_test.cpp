#include "base/timezone.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

Timestamp at(std::string_view text) { return *parse_rfc3339(text); }
const TimeZone& zone(std::string_view name) { return **TimeZone::find(name); }

TEST(TimeZone, KnowsWhatDoesNotExist) {
  EXPECT_FALSE(TimeZone::find("Europe/Atlantis"));
  EXPECT_FALSE(TimeZone::find(""));
  EXPECT_FALSE(TimeZone::find("../../etc/passwd"));
}

TEST(TimeZone, DaysOf23And25Hours) {
  const TimeZone& berlin = zone("Europe/Berlin");
  const Timestamp spring = at("2026-03-29T10:00:00Z");
  EXPECT_EQ(to_rfc3339(berlin.day_start(spring)), "2026-03-28T23:00:00Z");
  EXPECT_EQ(berlin.day_end(spring) - berlin.day_start(spring), Duration::hours(23));
  const Timestamp autumn = at("2026-10-25T10:00:00Z");
  EXPECT_EQ(to_rfc3339(berlin.day_start(autumn)), "2026-10-24T22:00:00Z");
  EXPECT_EQ(berlin.day_end(autumn) - berlin.day_start(autumn), Duration::hours(25));
  EXPECT_EQ(berlin.day_start(berlin.day_end(autumn)), berlin.day_end(autumn));
}

TEST(TimeZone, HalfHourOffsets) {
  EXPECT_EQ(to_rfc3339(zone("Asia/Kolkata").day_start(at("2026-06-01T12:00:00Z"))),
            "2026-05-31T18:30:00Z");
  EXPECT_EQ(
      to_rfc3339(zone("Asia/Kolkata").bucket_start(at("2026-06-01T12:10:00Z"), Duration::hours(1))),
      "2026-06-01T11:30:00Z");
  EXPECT_EQ(to_rfc3339(zone("America/St_Johns").day_start(at("2026-03-08T12:00:00Z"))),
            "2026-03-08T03:30:00Z");
  EXPECT_EQ(to_rfc3339(zone("America/St_Johns").day_end(at("2026-03-08T12:00:00Z"))),
            "2026-03-09T02:30:00Z");
}

TEST(TimeZone, ADayMayBeginAtOne) {
  // Cairo: DST began on 2024-04-26 at 00:00, clocks showed 01:00.
  const TimeZone& cairo = zone("Africa/Cairo");
  EXPECT_EQ(to_rfc3339(cairo.day_start(at("2024-04-26T12:00:00Z"))), "2024-04-25T22:00:00Z");
  EXPECT_EQ(cairo.day_end(at("2024-04-26T12:00:00Z")) - at("2024-04-25T22:00:00Z"),
            Duration::hours(23));
}

TEST(TimeZone, AnHourLivedTwiceIsTwoBuckets) {
  const TimeZone& berlin = zone("Europe/Berlin");
  EXPECT_EQ(to_rfc3339(berlin.bucket_start(at("2026-10-25T00:30:00Z"), Duration::hours(1))),
            "2026-10-25T00:00:00Z");
  EXPECT_EQ(to_rfc3339(berlin.bucket_start(at("2026-10-25T01:30:00Z"), Duration::hours(1))),
            "2026-10-25T01:00:00Z");
  // Six hours of local clock are seven hours long that night.
  EXPECT_EQ(to_rfc3339(berlin.bucket_start(at("2026-10-25T03:00:00Z"), Duration::hours(6))),
            "2026-10-24T22:00:00Z");
  EXPECT_EQ(to_rfc3339(berlin.bucket_end(at("2026-10-24T23:00:00Z"), Duration::hours(6))),
            "2026-10-25T05:00:00Z");
}

// Whatever the zone and the bucket: buckets follow each other without hole or overlap.
TEST(TimeZone, BucketsCoverTimeWithoutHoles) {
  for (const char* name :
       {"Europe/Berlin", "America/St_Johns", "Asia/Kolkata", "Australia/Lord_Howe",
        "America/Sao_Paulo", "America/Havana", "Africa/Cairo", "Pacific/Apia", "Etc/UTC"}) {
    const TimeZone& z = zone(name);
    for (const Duration bucket : {Duration::minutes(1), Duration::minutes(7), Duration::hours(1),
                                  Duration::hours(2), Duration::hours(3), Duration::hours(6),
                                  Duration::hours(12), Duration::days(1), Duration::days(7)}) {
      for (const char* from :
           {"2011-12-27T00:00:00Z", "2018-10-30T00:00:00Z", "2018-02-13T00:00:00Z",
            "2026-03-25T00:00:00Z", "2026-10-20T00:00:00Z", "2026-03-30T00:00:00Z"}) {
        Timestamp t = at(from);
        Timestamp start = z.bucket_start(t, bucket);
        for (int i = 0; i < 3000; ++i, t = t + Duration::minutes(7)) {
          const Timestamp mine = z.bucket_start(t, bucket);
          const Timestamp end = z.bucket_end(t, bucket);
          ASSERT_LE(mine, t) << name << bucket.us << to_rfc3339(t);
          ASSERT_GT(end, t) << name << " " << bucket.us << " " << to_rfc3339(t);
          ASSERT_EQ(z.bucket_start(end, bucket), end)
              << name << " " << bucket.us << " " << to_rfc3339(t);
          ASSERT_EQ(z.bucket_start(mine, bucket), mine)
              << name << " " << bucket.us << " " << to_rfc3339(t);
          ASSERT_EQ(z.bucket_end(mine, bucket), end)
              << name << " " << bucket.us << " " << to_rfc3339(t);
          ASSERT_GE(mine, start);
          start = mine;
        }
      }
    }
  }
}

}  // namespace
}  // namespace penstock
