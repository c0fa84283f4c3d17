#include "app/wall_time.h"

#include <gtest/gtest.h>

namespace penstock::app {
namespace {

std::string utc(std::string_view text, std::string_view zone = "UTC") {
  const auto wall = WallTime::in_zone(zone);
  if (!wall) return wall.error().message;
  const auto time = wall->parse(text);
  return time ? to_rfc3339(*time) : "no time";
}

TEST(WallTime, ReadsWhatFilesHold) {
  EXPECT_EQ(utc("2020-03-09 10:34:33"), "2020-03-09T10:34:33Z");
  EXPECT_EQ(utc(" 2020-03-09T10:34:33.250 "), "2020-03-09T10:34:33.250Z");
  EXPECT_EQ(utc("2020-03-09T10:34:33+02:00"), "2020-03-09T08:34:33Z");
  EXPECT_EQ(utc("2020-03-09"), "2020-03-09T00:00:00Z");
  EXPECT_EQ(utc("2020-03-09 10:34"), "2020-03-09T10:34:00Z");
  EXPECT_EQ(utc("1583750073"), "2020-03-09T10:34:33Z");
  EXPECT_EQ(utc("1583750073250"), "2020-03-09T10:34:33.250Z");
  EXPECT_EQ(utc("1583750073250000"), "2020-03-09T10:34:33.250Z");
  for (const char* wrong : {"", "yesterday", "2020-13-01", "10:34:33"})
    EXPECT_EQ(utc(wrong), "no time") << wrong;
}

TEST(WallTime, KnowsSummerTime) {
  EXPECT_EQ(utc("2026-07-01 12:00:00", "Europe/Berlin"), "2026-07-01T10:00:00Z");
  EXPECT_EQ(utc("2026-01-01 12:00:00", "Europe/Berlin"), "2026-01-01T11:00:00Z");
  EXPECT_EQ(utc("2026-10-25 02:30:00", "Europe/Berlin"), "2026-10-25T00:30:00Z") << "the first";
  EXPECT_EQ(utc("2026-10-25 03:30:00", "Europe/Berlin"), "2026-10-25T02:30:00Z");
  EXPECT_EQ(utc("2026-07-01 12:00:00", "Asia/Kolkata"), "2026-07-01T06:30:00Z");
  EXPECT_NE(utc("2026-07-01", "Mars/Olympus"), "no time");
}

}  // namespace
}  // namespace penstock::app
