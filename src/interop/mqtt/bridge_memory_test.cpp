#include "interop/mqtt/bridge_memory.h"

#include <gtest/gtest.h>

namespace penstock::interop::mqtt {
namespace {

TEST(BridgeMemoryTest, ARedeliveryIsKnownByIdContentAndDup) {
  BridgeMemory memory;
  memory.note(7, 1, false, 0xAB);
  EXPECT_TRUE(memory.taken(7, 1, true, 0xAB));
  EXPECT_FALSE(memory.taken(7, 1, false, 0xAB)) << "not marked: a new message";
  EXPECT_FALSE(memory.taken(7, 1, true, 0xAC)) << "another content";
  EXPECT_FALSE(memory.taken(8, 1, true, 0xAB));
  memory.remove(7);
  EXPECT_FALSE(memory.taken(7, 1, true, 0xAB));
}

TEST(BridgeMemoryTest, ABrokerThatUsesIdsAgainAtOnceIsNotSecondGuessed) {
  BridgeMemory memory;
  memory.note(1, 1, false, 0xAB);
  memory.note(1, 1, false, 0xCD);
  EXPECT_FALSE(memory.taken(1, 1, true, 0xCD)) << "may be a third message with the same content";
  memory.forget();
  memory.note(1, 1, false, 0xCD);
  EXPECT_TRUE(memory.taken(1, 1, true, 0xCD));
}

TEST(BridgeMemoryTest, AnIdComesAgainAfterTheWindow) {
  BridgeMemory memory;
  for (uint32_t i = 0; i < 200'000; ++i)
    memory.note(static_cast<uint16_t>(i % 65'535 + 1), 1, false, i);
  EXPECT_TRUE(memory.taken(static_cast<uint16_t>(199'999 % 65'535 + 1), 1, true, 199'999));
  EXPECT_TRUE(memory.taken(static_cast<uint16_t>(197'952 % 65'535 + 1), 1, true, 197'952));
  EXPECT_FALSE(memory.taken(static_cast<uint16_t>(197'951 % 65'535 + 1), 1, true, 197'951));
}

TEST(BridgeMemoryTest, Qos2IsOpenUntilItIsReleased) {
  BridgeMemory memory;
  memory.note(5, 2, false, 1);
  EXPECT_TRUE(memory.taken(5, 2, false, 2)) << "the id alone decides (4.3.3)";
  memory.release(5);
  EXPECT_FALSE(memory.taken(5, 2, true, 1));
}

TEST(BridgeMemoryTest, TheJournalAndACheckpointGiveItBack) {
  BridgeMemory memory;
  Bytes record;
  memory.taken_record(record, "north", 9, 1, 0xFE);
  ASSERT_TRUE(BridgeMemory::is_record(record));
  EXPECT_EQ(BridgeMemory::bridge_of(record), "north");
  BridgeMemory replayed;
  replayed.replay(record);
  EXPECT_TRUE(replayed.taken(9, 1, true, 0xFE));
  record.clear();
  memory.taken_record(record, "north", 10, 2, 0xFD);
  replayed.replay(record);
  replayed.subscribed = {"1 plant/#"};
  Bytes section;
  replayed.snapshot(section);
  BridgeMemory restored;
  ByteReader in(section);
  ASSERT_TRUE(restored.restore(in));
  EXPECT_TRUE(in.done());
  EXPECT_TRUE(restored.taken(9, 1, true, 0xFE));
  EXPECT_TRUE(restored.taken(10, 2, false, 0));
  EXPECT_EQ(restored.subscribed, replayed.subscribed);
  record.clear();
  BridgeMemory::released_record(record, "north", 10);
  restored.replay(record);
  EXPECT_FALSE(restored.taken(10, 2, false, 0));
  record.clear();
  restored.subscribed_record(record, "north");
  BridgeMemory other;
  other.replay(record);
  EXPECT_EQ(other.subscribed, replayed.subscribed);
  record.clear();
  BridgeMemory::forgotten_record(record, "north");
  restored.replay(record);
  EXPECT_FALSE(restored.taken(9, 1, true, 0xFE));
  for (size_t cut = 0; cut < section.size(); ++cut) {  // torn: no crash
    ByteReader torn(ByteView(section).first(cut));
    BridgeMemory again;
    EXPECT_FALSE(again.restore(torn) && cut == 0);
  }
}

}  // namespace
}  // namespace penstock::interop::mqtt
