#include "stream/raw_views.h"

#include <gtest/gtest.h>

namespace penstock::stream {
namespace {

const OrganisationId kOurs(1), kTheirs(2);

void feed(RawViews& views, RecordType type, uint64_t at, OrganisationId who,
          std::string_view device, std::string_view reason = {}) {
  Bytes body;
  encode_raw(body, {Timestamp::from_seconds(static_cast<int64_t>(at)), who, device,
                    "devices/x/telemetry", "{}", reason});
  views.apply(type, at, body);
}

TEST(RawViewsTest, ShowsTheNewestFirstAndOnlyOnesOwn) {
  RawViews views({.dead_letters_max = 3});
  for (uint64_t at = 1; at <= 5; ++at)
    feed(views, RecordType::kDeadLetter, at, kOurs, "pump", "out_of_range: t");
  feed(views, RecordType::kDeadLetter, 6, kTheirs, "fan", "not_json");
  const auto ours = *views.dead_letters({.organisation = kOurs}, 10);
  ASSERT_EQ(ours.size(), 2u);  // 5 and 4: three are kept in all
  EXPECT_EQ(ours[0].id, 5u);
  EXPECT_EQ(views.dead_letter_count(kOurs), 5u);
  EXPECT_EQ(views.dead_letters({.organisation = kOurs, .before = 5}, 10)->size(), 1u);
  EXPECT_TRUE(views.dead_letters({.organisation = kOurs, .reason = "json"}, 10)->empty());
}

TEST(RawViewsTest, CountsADiscoveredDeviceAndForgetsItOnRequest) {
  RawViews views;
  feed(views, RecordType::kDiscovery, 1, kOurs, "b");
  feed(views, RecordType::kDiscovery, 2, kOurs, "b");
  feed(views, RecordType::kDiscovery, 3, kOurs, "a");
  EXPECT_EQ(views.discovered_device(kOurs, "b")->messages, 2u);
  EXPECT_FALSE(views.discovered_device(kTheirs, "b"));
  EXPECT_EQ(views.discovered(kOurs, "a", 10)->size(), 1u);
  EXPECT_TRUE(views.dismiss(kOurs, "b"));
  EXPECT_EQ(views.discovered_count(kOurs), 1u);
}

TEST(RawViewsTest, ComesBackFromASnapshotAndRefusesHalfOfOne) {
  RawViews views;
  feed(views, RecordType::kDiscovery, 1, kOurs, "b");
  feed(views, RecordType::kDeadLetter, 2, kOurs, "c", "empty");
  Bytes bytes;
  views.snapshot(bytes);
  RawViews again;
  ASSERT_TRUE(again.restore(bytes));
  Bytes second;
  again.snapshot(second);
  EXPECT_EQ(bytes, second);
  for (size_t cut = 0; cut < bytes.size(); ++cut)
    EXPECT_FALSE(RawViews().restore(ByteView(bytes).first(cut)));
}

}  // namespace
}  // namespace penstock::stream
