// What a kill -9 leaves of sessions and retained messages: all that was promised. The broker starts
// again from the journal alone, or from a checkpoint and the journal behind it, also with another
// number of shards.

#include <set>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "interop/mqtt/test_client.h"

namespace penstock::interop::mqtt {
namespace {

struct Restart {
  uint32_t shards_before, shards_after;
  bool checkpoint;
};

class MqttRestart : public testing::TestWithParam<Restart> {
 protected:
  /// The end of the process. What is still on its way is lost, what was synced is not.
  void crash() {
    if (GetParam().checkpoint)
      world.crash_after_checkpoint(GetParam().shards_after, [] {});
    else
      world.crash(GetParam().shards_after);
  }
  MemoryWorld world{GetParam().shards_before};
};
INSTANTIATE_TEST_SUITE_P(All, MqttRestart,
                         testing::Values(Restart{1, 1, false}, Restart{1, 1, true},
                                         Restart{3, 3, false}, Restart{3, 2, true},
                                         Restart{2, 4, false}));

TEST_P(MqttRestart, KeepsSubscriptionsAndWhatWaits) {
  TestClient c(world, "c", lasting()), brief(world, "brief");
  c.subscribe("t/#", 2, 9);
  c.subscribe("gone", 1);
  c.unsubscribe("gone");
  brief.subscribe("t/#", 1);
  c.cut();
  TestClient p(world, "p");
  p.publish("t/1", "before", 1, 1);
  p.publish("t/2", "twice", 2, 2);
  EXPECT_EQ(p.answers(), "400001 500002");
  crash();
  c.reconnect();
  EXPECT_TRUE(c.session_present());
  auto got = c.messages();
  ASSERT_EQ(got.size(), 2U);
  EXPECT_EQ(got[0].payload + got[1].payload, got[0].qos == 1 ? "beforetwice" : "twicebefore");
  EXPECT_EQ(got[0].properties, "0b09");
  TestClient q(world, "q");
  q.publish("t/3", "after", 1, 1);
  q.publish("gone", "x", 1, 2);
  EXPECT_EQ(c.texts(), "t/3=after");
  brief.reconnect();
  EXPECT_FALSE(brief.session_present());
}

TEST_P(MqttRestart, QosTwoStaysExactlyOnce) {
  TestClient p(world, "p", lasting()), c(world, "c", lasting());
  c.subscribe("t", 2);
  p.publish("t", "x", 2, 7);
  EXPECT_EQ(p.answers(), "500007");
  auto got = c.messages();
  ASSERT_EQ(got.size(), 1U);
  c.ack(PacketType::kPubrec, got[0].id);
  EXPECT_EQ(c.answers().substr(0, 2), "62");
  crash();
  p.reconnect();
  p.publish("t", "x", 2, 7, false, {}, true);  // it had lost the PUBREC
  EXPECT_EQ(p.answers(), "500007");
  p.ack(PacketType::kPubrel, 7);
  EXPECT_EQ(p.answers(), "700007");
  c.reconnect();
  const auto after = c.packets();
  ASSERT_EQ(after.size(), 1U);  // PUBREL again, and no second copy
  EXPECT_EQ(after[0].type, PacketType::kPubrel);
  EXPECT_EQ(hex(ByteView(after[0].body).first(2)),
            hex(Bytes{std::byte(got[0].id >> 8), std::byte(got[0].id & 255)}));
  c.ack(PacketType::kPubcomp, got[0].id);
  world.settle();
  crash();
  c.reconnect();
  EXPECT_TRUE(c.packets().empty());
  p.reconnect();
  p.publish("t", "y", 2, 7);  // released: a new message
  EXPECT_EQ(c.texts(), "t=y");
}

TEST_P(MqttRestart, AnUnacknowledgedQosTwoKeepsItsPacketId) {
  TestClient c(world, "c", lasting()), p(world, "p");
  c.subscribe("t", 2);
  for (uint16_t i = 1; i <= 3; ++i) p.publish("t", std::to_string(i), 2, i);
  const auto before = c.messages();
  ASSERT_EQ(before.size(), 3U);
  c.ack(PacketType::kPubrec, before[0].id);
  c.packets();
  c.ack(PacketType::kPubcomp, before[0].id);
  world.settle();
  crash();
  c.reconnect();
  const auto after = c.messages();
  ASSERT_EQ(after.size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(after[i].id, before[i + 1].id);
    EXPECT_EQ(after[i].payload, before[i + 1].payload);
  }
}

TEST_P(MqttRestart, KeepsRetainedMessagesWithTheirProperties) {
  TestClient p(world, "p");
  Properties q;
  q.content_type = "json";
  p.publish("r/1", "one", 1, 1, true, q);
  p.publish("r/2", "two", 1, 2, true);
  p.publish("r/2", "", 1, 3, true);
  world.settle();
  crash();
  TestClient c(world, "c");
  c.subscribe("r/#", 1);
  const auto got = c.messages();
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].payload, "one");
  EXPECT_EQ(got[0].properties, "0300046a736f6e");
}

TEST_P(MqttRestart, ARetainedDeliveryIsOnRecordToo) {
  TestClient p(world, "p"), c(world, "c", lasting());
  p.publish("r", "kept", 1, 1, true);
  world.settle();
  c.subscribe("r", 1);
  ASSERT_EQ(c.messages().size(), 1U);  // and not acknowledged
  crash();
  c.reconnect();
  const auto got = c.messages();
  ASSERT_EQ(got.size(), 1U);
  EXPECT_TRUE(got[0].retain);
}

TEST_P(MqttRestart, ExpiryGoesOnWhileTheServerIsDown) {
  TestClient c(world, "c", lasting(10));
  c.subscribe("t", 1);
  c.cut();
  crash();
  world.advance(Duration::seconds(11));
  c.reconnect();
  EXPECT_FALSE(c.session_present());
}

TEST_P(MqttRestart, ASessionStaysItsOwners) {
  world.users["eve"] = Principal{OrganisationId(1), "eve", {}, false, true, {}, {}};
  TestClient c(world, "c", lasting());
  c.subscribe("t", 1);
  crash();
  ConnectOptions o = lasting();
  o.username = "eve";
  TestClient eve(world, "c", o);
  EXPECT_EQ(eve.connack_reason(), 0x85);
}

TEST_P(MqttRestart, ACleanSessionEndedStaysEnded) {
  TestClient c(world, "c", lasting());
  c.subscribe("t", 1);
  c.options().clean = true;
  c.options().properties.session_expiry_s = 0;
  c.reconnect();
  c.cut();
  crash();
  c.options().clean = false;
  c.reconnect();
  EXPECT_FALSE(c.session_present());
}

// Random lives: acknowledged messages arrive at least once at QoS 1 and exactly once at QoS 2,
// whenever the process dies. The publisher and the subscriber behave: they keep what they must,
// send again what has no acknowledgement, and know a QoS 2 packet id again.
RC_GTEST_PROP(MqttRestartProperty, NothingAcknowledgedIsLostAndQosTwoComesOnce, ()) {
  MemoryWorld world(*rc::gen::inRange(1U, 4U));
  TestClient c(world, "c", lasting());
  c.subscribe("t", 2);
  TestClient p(world, "p", lasting());
  std::multiset<std::string> received;
  std::set<std::string> acknowledged, sent_one, sent_two;
  std::set<uint16_t> known_two;  // the subscriber's, between PUBREC and PUBCOMP
  uint16_t next = 1;
  const auto subscriber = [&] {
    for (const Got& g : c.packets()) {
      if (g.type == PacketType::kPubrel) {
        const auto id = static_cast<uint16_t>(std::to_integer<unsigned>(g.body[0]) << 8 |
                                              std::to_integer<unsigned>(g.body[1]));
        known_two.erase(id);
        c.ack(PacketType::kPubcomp, id);
      }
      if (g.type != PacketType::kPublish) continue;
      if (g.qos == 1) received.insert(g.payload);
      if (g.qos == 2 && known_two.insert(g.id).second) received.insert(g.payload);
      if (*rc::gen::inRange(0, 4) == 0) continue;  // acknowledged later, after a reconnect
      c.ack(g.qos == 1 ? PacketType::kPuback : PacketType::kPubrec, g.id);
    }
  };
  const auto publisher = [&](uint8_t qos) {
    const uint16_t id = next++;
    const std::string text = std::to_string(id);
    (qos == 1 ? sent_one : sent_two).insert(text);
    p.publish("t", text, qos, id);
    if (*rc::gen::inRange(0, 3) == 0) return;  // it never looks whether there is an answer
    for (const Got& g : p.packets())
      if (g.type == PacketType::kPuback || g.type == PacketType::kPubrec)
        acknowledged.insert(std::to_string(std::to_integer<unsigned>(g.body[0]) << 8 |
                                           std::to_integer<unsigned>(g.body[1])));
    if (qos == 2 && acknowledged.contains(text)) p.ack(PacketType::kPubrel, id);
  };
  const int steps = *rc::gen::inRange(1, 40);
  for (int i = 0; i < steps; ++i) {
    switch (*rc::gen::inRange(0, 8)) {
      case 0:
        world.crash(*rc::gen::inRange(1U, 4U));
        c.reconnect();
        p.reconnect();
        RC_ASSERT(c.session_present());
        break;
      case 1:
        world.crash_after_checkpoint(*rc::gen::inRange(1U, 4U), [&] {
          p.publish("t", std::to_string(next), 1, next);
          sent_one.insert(std::to_string(next++));
        });
        c.reconnect();
        p.reconnect();
        break;
      case 2:
        c.cut();
        c.reconnect();
        break;
      case 3:
        subscriber();
        break;
      default:
        publisher(*rc::gen::inRange(0, 2) ? 1 : 2);
    }
  }
  for (int i = 0; i < 50; ++i) {
    subscriber();
    c.cut();
    c.reconnect();
  }
  for (const std::string& text : acknowledged) RC_ASSERT(received.contains(text));
  for (const std::string& text : sent_two) RC_ASSERT(received.count(text) <= 1U);
  for (const std::string& text : received)
    RC_ASSERT(sent_one.contains(text) || sent_two.contains(text));
}

}  // namespace
}  // namespace penstock::interop::mqtt
