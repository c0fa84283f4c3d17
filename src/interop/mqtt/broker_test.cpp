// What clients see of the broker, clause by clause; over one and three shards. Survival of a crash:
// broker_state_test.cpp.

#include "interop/mqtt/broker.h"

#include <gtest/gtest.h>

#include "base/testing/allocations.h"
#include "interop/mqtt/test_client.h"

namespace penstock::interop::mqtt {
namespace {

class MqttBroker : public testing::TestWithParam<uint32_t> {
 protected:
  MemoryWorld world{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Shards, MqttBroker, testing::Values(1U, 3U));

// -- CONNECT

TEST_P(MqttBroker, AssignsAClientIdWhereNoneIsGiven) {
  ConnectOptions o;
  TestClient five(world, "", o);
  EXPECT_EQ(five.connack_reason(), 0);
  EXPECT_NE(hex(five.connack.body).find("1200"), std::string::npos);  // 3.2.2.3.7
  TestClient clean(world, "", version4(true));
  EXPECT_EQ(clean.connack_reason(), 0);
  TestClient lasting4(world, "", version4(false));
  EXPECT_EQ(lasting4.connack_reason(), 2);  // 3.1.1, 3.1.3-8
  EXPECT_TRUE(lasting4.closed());
}

TEST_P(MqttBroker, TellsShortenedSessionsAndKeepAlives) {
  ConnectOptions o = lasting(0xFFFFFFFF);
  o.keep_alive_s = 20'000;
  TestClient c(world, "c", o);
  const std::string connack = hex(c.connack.body);
  EXPECT_NE(connack.find("1100093a80"), std::string::npos) << connack;  // seven days
  EXPECT_NE(connack.find("130e10"), std::string::npos) << connack;      // an hour
}

TEST_P(MqttBroker, ANewerConnectionTakesOver) {
  TestClient old(world, "c", lasting());
  TestClient next(world, "c", lasting());
  EXPECT_TRUE(next.session_present());
  EXPECT_EQ(old.answers(), "e08e");  // session taken over
  EXPECT_TRUE(old.closed());
  next.send(unhex("C000"));
  EXPECT_EQ(next.answers(), "d0");
}

TEST_P(MqttBroker, ASessionIsNobodyElses) {
  world.users["eve"] = Principal{OrganisationId(1), "eve", {}, false, true, {}, {}};
  TestClient mine(world, "c", lasting());
  mine.subscribe("secret", 1);
  mine.disconnect();
  ConnectOptions o = lasting();
  o.username = "eve";
  TestClient eve(world, "c", o);
  EXPECT_EQ(eve.connack_reason(), 0x85);
  mine.reconnect();
  EXPECT_TRUE(mine.session_present());
}

TEST_P(MqttBroker, EndsSilentConnections) {
  ConnectOptions o;
  o.keep_alive_s = 10;
  TestClient c(world, "c", o);
  world.advance(Duration::seconds(14));
  EXPECT_FALSE(c.closed());
  world.advance(Duration::seconds(2));
  EXPECT_EQ(c.answers(), "e08d");
  EXPECT_TRUE(c.closed());
}

// -- sessions

TEST_P(MqttBroker, ASessionLivesAsLongAsItsExpiry) {
  TestClient c(world, "c", lasting(10));
  c.subscribe("t", 1);
  c.cut();
  TestClient p(world, "p");
  p.publish("t", "1", 1);
  world.advance(Duration::seconds(9));
  c.reconnect();
  EXPECT_TRUE(c.session_present());
  EXPECT_EQ(c.texts(), "t=1");
  c.cut();
  world.advance(Duration::seconds(11));
  c.reconnect();
  EXPECT_FALSE(c.session_present());
  p.publish("t", "2", 1);
  EXPECT_EQ(c.texts(), "");  // the subscription went with the session
}

TEST_P(MqttBroker, AClockThatIsSetEndsNoSession) {
  TestClient c(world, "c", lasting(100));
  c.cut();
  world.set_clock(Duration::seconds(1'000'000));
  world.advance(Duration::seconds(1));
  world.set_clock(Duration::seconds(-5'000'000));
  world.advance(Duration::seconds(90));
  c.reconnect();
  EXPECT_TRUE(c.session_present());
  c.cut();
  world.advance(Duration::seconds(101));
  c.reconnect();
  EXPECT_FALSE(c.session_present());
}

TEST_P(MqttBroker, CleanStartBeginsAnew) {
  TestClient c(world, "c", version4(false));
  c.subscribe("t", 1);
  c.cut();
  TestClient p(world, "p");
  p.publish("t", "1", 1);
  c.options().clean = true;
  c.reconnect();
  EXPECT_FALSE(c.session_present());
  EXPECT_EQ(c.texts(), "");
}

TEST_P(MqttBroker, DisconnectMayEndTheSessionButNotRaiseIt) {
  TestClient c(world, "c", lasting(100));
  c.disconnect("07 00 05 1100000000");
  c.reconnect();
  EXPECT_FALSE(c.session_present());
  TestClient none(world, "d");
  none.disconnect("07 00 05 1100000001");  // 3.14.2.2.2
  EXPECT_EQ(none.answers(), "e082");
}

TEST_P(MqttBroker, QueuesForWhoIsAwayInOrder) {
  TestClient c(world, "c", lasting());
  c.subscribe("#", 2);
  c.cut();
  TestClient p(world, "p");
  for (uint16_t i = 1; i <= 6; ++i) p.publish("t", std::to_string(i), i % 2 ? 1 : 2, i);
  p.publish("t", "dropped", 0);
  world.settle();
  c.reconnect();
  // 4.6: in order for each QoS; what needs a packet id on record may come a little later.
  std::string one, two;
  for (const Got& g : c.messages()) (g.qos == 1 ? one : two) += g.payload;
  EXPECT_EQ(one, "135");
  EXPECT_EQ(two, "246");
}

// -- QoS

TEST_P(MqttBroker, QosTwoIsTakenOnce) {
  TestClient c(world, "c");
  c.subscribe("t", 2);
  TestClient p(world, "p");
  p.publish("t", "x", 2, 7);
  EXPECT_EQ(p.answers(), "500007");
  p.publish("t", "x", 2, 7, false, {}, true);
  EXPECT_EQ(p.answers(), "500007");
  p.ack(PacketType::kPubrel, 7);
  EXPECT_EQ(p.answers(), "700007");
  p.ack(PacketType::kPubrel, 7);
  EXPECT_EQ(p.answers(), "700007");
  EXPECT_EQ(c.texts(), "t=x");
  p.publish("t", "y", 2, 7);  // the id is free again
  EXPECT_EQ(c.texts(), "t=y");
}

TEST_P(MqttBroker, ResendsWhatIsNotAcknowledged) {
  TestClient c(world, "c", lasting());
  c.subscribe("t", 2);
  TestClient p(world, "p");
  p.publish("t", "one", 1, 1);
  p.publish("t", "two", 2, 2);
  p.publish("t", "released", 2, 3);
  auto first = c.messages();
  ASSERT_EQ(first.size(), 3U);
  c.ack(PacketType::kPubrec, first[2].id);
  EXPECT_EQ(c.answers().substr(0, 2), "62");
  c.cut();
  c.reconnect();
  const auto again = c.packets();
  ASSERT_EQ(again.size(), 3U);
  for (size_t i : {0U, 1U}) {
    EXPECT_TRUE(again[i].dup);
    EXPECT_EQ(again[i].id, first[i].id);
    EXPECT_EQ(again[i].payload, first[i].payload);
  }
  EXPECT_EQ(again[2].type, PacketType::kPubrel);
  c.ack(PacketType::kPuback, first[0].id);
  c.ack(PacketType::kPubcomp, first[2].id);
  c.cut();
  c.reconnect();
  EXPECT_EQ(c.texts(), "t=two");
}

TEST_P(MqttBroker, ResendsNoMoreThanTheNewConnectionTakes) {
  TestClient c(world, "c", lasting());
  c.subscribe("t", 1);
  TestClient p(world, "p");
  for (uint16_t i = 1; i <= 5; ++i) p.publish("t", std::to_string(i), 1, i);
  ASSERT_EQ(c.messages().size(), 5U);
  c.cut();
  c.options().properties.receive_maximum = 2;
  c.reconnect();
  std::vector<std::string> seen;
  for (auto open = c.messages(); !open.empty(); open = c.messages()) {
    EXPECT_LE(open.size(), 2U);
    for (const Got& g : open) {
      seen.push_back(g.payload);
      c.ack(PacketType::kPuback, g.id);
    }
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"1", "2", "3", "4", "5"}));
}

TEST_P(MqttBroker, RespectsTheClientsReceiveMaximum) {
  ConnectOptions o;
  o.properties.receive_maximum = 1;
  TestClient c(world, "c", o);
  c.subscribe("t", 2);
  TestClient p(world, "p");
  p.publish("t", "1", 2, 1);
  p.publish("t", "2", 1, 2);
  auto got = c.messages();
  ASSERT_EQ(got.size(), 1U);
  c.ack(PacketType::kPubrec, got[0].id);
  EXPECT_EQ(c.texts(), "");
  c.ack(PacketType::kPubcomp, got[0].id);
  EXPECT_EQ(c.texts(), "t=2");
}

TEST_P(MqttBroker, DisconnectsWhoOverrunsOurReceiveMaximum) {
  BrokerLimits limits;
  limits.receive_maximum = 3;
  MemoryWorld small(GetParam(), limits);
  TestClient p(small, "p");
  for (uint16_t i = 1; i <= 3; ++i) p.publish("t", "x", 2, i);
  p.publish("t", "x", 2, 3, false, {}, true);  // again: not one more
  EXPECT_EQ(p.answers(), "500001 500002 500003 500003");
  p.ack(PacketType::kPubrel, 1);
  p.publish("t", "x", 2, 4);
  EXPECT_EQ(p.answers(), "700001 500004");
  p.publish("t", "x", 2, 5);
  EXPECT_EQ(p.answers(), "e093");
  EXPECT_TRUE(p.closed());
}

TEST_P(MqttBroker, SaysThatNobodyListens) {
  TestClient p(world, "p");
  p.publish("nobody", "x", 1, 1);
  EXPECT_EQ(p.answers(), "40000110");
  p.publish("devices/d/telemetry", "{}", 1, 2);  // the platform listens
  EXPECT_EQ(p.answers(), "400002");
  TestClient old(world, "o", version4());
  old.publish("nobody", "x", 1, 1);
  EXPECT_EQ(old.answers(), "400001");
}

TEST_P(MqttBroker, AcknowledgesOnlyWhatIsDurable) {
  TestClient p(world, "p");
  p.publish("devices/d/telemetry", "{}", 1, 1);
  EXPECT_TRUE(world.take(p.peer()).empty());
  world.settle();
  EXPECT_EQ(hex(world.take(p.peer())), "40020001");
}

// -- subscriptions

TEST_P(MqttBroker, OverlappingSubscriptionsGiveOneCopyOfTheHighestQos) {
  TestClient c(world, "c");
  c.subscribe("a/#", 0, 11);
  c.subscribe("a/+", 2, 12);
  c.subscribe("a/b", 1, 13);
  TestClient p(world, "p");
  p.publish("a/b", "x", 2);
  const auto got = c.messages();
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].qos, 2);
  EXPECT_EQ(got[0].properties.size(), 12U);
  for (const char* id : {"0b0b", "0b0c", "0b0d"})
    EXPECT_NE(got[0].properties.find(id), std::string::npos) << got[0].properties;
}

TEST_P(MqttBroker, RetainHandlingDecidesWhatANewSubscriptionBrings) {
  TestClient p(world, "p");
  p.publish("r/1", "one", 1, 1, true);
  p.publish("r/2", "two", 0, 0, true);
  p.publish("s", "three", 0, 0, true);
  p.packets();
  TestClient c(world, "c");
  EXPECT_EQ(c.subscribe("r/#", 0x21), 1);  // 2: never
  EXPECT_EQ(c.texts(), "");
  c.subscribe("r/#", 0x11);  // 1: only when new, and it is not
  EXPECT_EQ(c.texts(), "");
  c.subscribe("r/#", 0x01);  // 0: always
  const auto got = c.messages();
  ASSERT_EQ(got.size(), 2U);
  EXPECT_TRUE(got[0].retain && got[1].retain);
  EXPECT_EQ(got[0].qos, 1);
  EXPECT_EQ(got[1].qos, 0);
  c.subscribe("s", 0x10);
  EXPECT_EQ(c.texts(), "s=three");
  c.subscribe("$share/g/r/#", 0);
  EXPECT_EQ(c.texts(), "");  // 4.8.2
  p.publish("r/1", "", 0, 0, true);
  c.packets();
  TestClient d(world, "d");
  d.subscribe("r/+", 0);
  EXPECT_EQ(d.texts(), "r/2=two");
}

TEST_P(MqttBroker, RetainAsPublishedAndNoLocal) {
  TestClient c(world, "c");
  c.subscribe("t", 0x08);
  c.subscribe("u", 0);
  c.subscribe("v", 0x04);
  TestClient p(world, "p");
  p.publish("t", "x", 0, 0, true);
  p.publish("u", "x", 0, 0, true);
  const auto got = c.messages();
  ASSERT_EQ(got.size(), 2U);
  EXPECT_EQ(got[0].retain, got[0].topic == "t");
  EXPECT_EQ(got[1].retain, got[1].topic == "t");
  c.publish("v", "mine");
  p.publish("v", "theirs");
  EXPECT_EQ(c.texts(), "v=theirs");
}

TEST_P(MqttBroker, UnsubscribeStopsAndSaysWhetherThereWasOne) {
  TestClient c(world, "c");
  c.subscribe("t", 1);
  EXPECT_EQ(hex(c.unsubscribe("t")), "004e0000");
  EXPECT_EQ(hex(c.unsubscribe("t")), "004e0011");
  TestClient p(world, "p");
  p.publish("t", "x");
  EXPECT_EQ(c.texts(), "");
}

TEST_P(MqttBroker, SharedSubscriptionsTakeTurnsAmongThoseConnected) {
  TestClient a(world, "a", lasting()), b(world, "b", lasting()), all(world, "all");
  a.subscribe("$share/g/t/#", 1);
  b.subscribe("$share/g/t/#", 1);
  all.subscribe("t/#", 1);
  TestClient p(world, "p");
  for (uint16_t i = 1; i <= 6; ++i) p.publish("t/x", std::to_string(i), 1, i);
  EXPECT_EQ(a.messages().size(), 3U);
  EXPECT_EQ(b.messages().size(), 3U);
  EXPECT_EQ(all.messages().size(), 6U);
  b.cut();
  for (uint16_t i = 7; i <= 10; ++i) p.publish("t/x", std::to_string(i), 1, i);
  EXPECT_EQ(a.messages().size(), 4U);
}

TEST_P(MqttBroker, WhatAMemberOfAGroupLeavesGoesToAnother) {
  ConnectOptions o;
  o.properties.receive_maximum = 2;
  TestClient a(world, "a", o), b(world, "b");
  a.subscribe("$share/g/t", 2);
  TestClient p(world, "p");
  for (uint16_t i = 1; i <= 4; ++i) p.publish("t", std::to_string(i), i == 1 ? 2 : 1, i);
  EXPECT_EQ(a.texts(), "t=1 t=2");  // two more wait
  b.subscribe("$share/g/t", 2);
  a.cut();
  EXPECT_EQ(b.texts(), "t=2 t=3 t=4");  // and not 1, which may have been taken (4.8.2)
}

TEST_P(MqttBroker, DollarTopicsAreNotMatchedByWildcards) {
  TestClient c(world, "c");
  c.subscribe("#", 0);
  c.subscribe("+/x", 0);
  TestClient p(world, "p");
  p.publish("$mine/x", "x", 1);
  EXPECT_EQ(c.texts(), "");
  p.publish("$SYS/broker/uptime", "x", 1, 2);
  EXPECT_EQ(p.answers().substr(0, 17), "40000110 40000287");  // the server's own
}

TEST_P(MqttBroker, SysTopicsTellOfTheServer) {
  TestClient c(world, "c");
  c.subscribe("$SYS/broker/+", 0);
  world.advance(Duration::seconds(30));
  for (int i = 0; i < 12; ++i) world.advance(Duration::seconds(1));
  EXPECT_NE(c.texts().find("$SYS/broker/uptime="), std::string::npos);
}

// -- properties

TEST_P(MqttBroker, ForwardsPropertiesAndCountsExpiryDown) {
  TestClient c(world, "c", lasting());
  c.subscribe("t", 1);
  TestClient p(world, "p");
  Properties q;
  q.message_expiry_s = 100;
  q.payload_format = 1;
  q.content_type = "json";
  q.response_topic = "answers";
  q.correlation_data = as_bytes("42");
  q.user = {{"a", "b"}, {"a", "c"}};
  p.publish("t", "x", 1, 1, false, q);
  const auto got = c.messages();
  ASSERT_EQ(got.size(), 1U);
  Bytes whole;
  append_properties(whole, q);
  EXPECT_EQ(got[0].properties, hex(ByteView(whole).subspan(1)));
  c.cut();
  world.advance(Duration::seconds(30));
  c.reconnect();
  const auto again = c.messages();
  ASSERT_EQ(again.size(), 1U);
  EXPECT_NE(again[0].properties.find("0200000046"), std::string::npos) << again[0].properties;
}

TEST_P(MqttBroker, ExpiredMessagesAreNotDelivered) {
  TestClient c(world, "c", lasting());
  c.subscribe("t", 1);
  c.cut();
  TestClient p(world, "p");
  Properties q;
  q.message_expiry_s = 5;
  p.publish("t", "gone", 1, 1, true, q);
  p.publish("t", "stays", 1, 2);
  world.advance(Duration::seconds(6));
  c.reconnect();
  EXPECT_EQ(c.texts(), "t=stays");
  TestClient d(world, "d");
  d.subscribe("t", 1);
  EXPECT_EQ(d.texts(), "");  // the retained one has expired too (3.3.2.3.3)
}

TEST_P(MqttBroker, UsesTopicAliasesTowardsWhoGrantsThem) {
  ConnectOptions o;
  o.properties.topic_alias_maximum = 1;
  TestClient c(world, "c", o);
  c.subscribe("#", 0);
  TestClient p(world, "p");
  p.publish("first", "1");
  p.publish("first", "2");
  p.publish("second", "3");
  const auto got = c.messages();
  ASSERT_EQ(got.size(), 3U);
  EXPECT_EQ(got[0].topic + " " + got[0].properties, "first 230001");
  EXPECT_EQ(got[1].topic + " " + got[1].properties, " 230001");
  EXPECT_EQ(got[2].topic + " " + got[2].properties, "second ");
}

TEST_P(MqttBroker, TakesTopicAliasesUpToTheMaximum) {
  TestClient c(world, "c"), p(world, "p");
  c.subscribe("#", 0);
  Properties q;
  q.topic_alias = 10;
  p.publish("t", "1", 0, 0, false, q);
  p.publish("", "2", 0, 0, false, q);
  p.publish("u", "3", 0, 0, false, q);
  p.publish("", "4", 0, 0, false, q);
  EXPECT_EQ(c.texts(), "t=1 t=2 u=3 u=4");
  q.topic_alias = 11;
  p.publish("t", "5", 0, 0, false, q);
  EXPECT_EQ(p.answers(), "e094");
  TestClient r(world, "r");
  q.topic_alias = 3;
  r.publish("", "6", 0, 0, false, q);  // never set on this connection
  EXPECT_EQ(r.answers(), "e082");
}

TEST_P(MqttBroker, SendsNoPacketLargerThanTheClientTakes) {
  ConnectOptions o = lasting();
  o.properties.maximum_packet_size = 40;
  o.properties.topic_alias_maximum = 5;
  TestClient c(world, "c", o);
  c.subscribe("t", 2);
  TestClient p(world, "p");
  p.publish("t", std::string(33, 'x'), 0);  // without an alias 39 bytes, with one 42
  const auto got = c.messages();
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].properties, "");
  for (const uint8_t qos : {uint8_t{0}, uint8_t{1}, uint8_t{2}})
    p.publish("t", std::string(60, 'x'), qos, 5);
  p.publish("t", "after", 1, 6);
  EXPECT_EQ(c.texts().find("after"), 2U);
}

TEST_P(MqttBroker, RefusesPacketsLargerThanItTakes) {
  BrokerLimits limits;
  limits.packet_size_max = 200;
  MemoryWorld small(GetParam(), limits);
  TestClient p(small, "p");
  EXPECT_NE(hex(p.connack.body).find("27000000c8"), std::string::npos);
  p.publish("t", std::string(300, 'x'));
  EXPECT_EQ(p.answers(), "e095");
}

// -- wills

ConnectOptions with_will(uint32_t delay_s, uint32_t expiry_s) {
  ConnectOptions o = lasting(expiry_s, true);
  o.has_will = true;
  o.will_topic = "will";
  o.will_payload = "gone";
  o.will_qos = 1;
  if (delay_s) o.will_properties.will_delay_s = delay_s;
  return o;
}

TEST_P(MqttBroker, AWillComesAfterItsDelay) {
  TestClient w(world, "w");
  w.subscribe("will", 1);
  TestClient c(world, "c", with_will(5, 60));
  c.cut();
  world.advance(Duration::seconds(4));
  EXPECT_EQ(w.texts(), "");
  world.advance(Duration::seconds(2));
  EXPECT_EQ(w.texts(), "will=gone");
  world.advance(Duration::seconds(100));
  EXPECT_EQ(w.texts(), "");
}

TEST_P(MqttBroker, AWillComesWhenTheSessionEndsBeforeItsDelay) {
  TestClient w(world, "w");
  w.subscribe("will", 1);
  TestClient c(world, "c", with_will(50, 3));
  c.cut();
  world.advance(Duration::seconds(4));
  EXPECT_EQ(w.texts(), "will=gone");
}

TEST_P(MqttBroker, AWillIsWithdrawnByWhoComesBackInTime) {
  TestClient w(world, "w");
  w.subscribe("will", 1);
  TestClient c(world, "c", with_will(5, 60));
  c.cut();
  c.options() = lasting(60);
  c.reconnect();
  world.advance(Duration::seconds(10));
  EXPECT_EQ(w.texts(), "");
}

TEST_P(MqttBroker, AWillIsDueWhenACleanStartEndsTheSession) {
  TestClient w(world, "w");
  w.subscribe("will", 1);
  TestClient c(world, "c", with_will(50, 60));
  c.cut();
  c.options() = lasting(60, true);
  c.reconnect();
  EXPECT_EQ(w.texts(), "will=gone");
}

TEST_P(MqttBroker, AGoodbyeTakesTheWillAlongUnlessItAsksForIt) {
  TestClient w(world, "w");
  w.subscribe("will", 1);
  TestClient c(world, "c", with_will(0, 0));
  c.disconnect();
  EXPECT_EQ(w.texts(), "");
  c.reconnect();
  c.disconnect("01 04");
  EXPECT_EQ(w.texts(), "will=gone");
  c.reconnect();
  c.send(unhex("0000"));  // a reserved packet
  EXPECT_EQ(w.texts(), "will=gone");
}

TEST_P(MqttBroker, ARetainedWillStays) {
  ConnectOptions o = with_will(0, 0);
  o.will_retain = true;
  TestClient c(world, "c", o);
  c.cut();
  TestClient w(world, "w");
  w.subscribe("will", 1);
  EXPECT_EQ(w.texts(), "will=gone");
}

// -- rights

TEST_P(MqttBroker, ADeviceStaysInItsNamespace) {
  world.users["pump"] = Principal{OrganisationId(1), "pump", "pump", false, false, {}, {}};
  ConnectOptions o;
  o.username = "pump";
  TestClient c(world, "pump", o);
  EXPECT_EQ(c.subscribe("devices/pump/commands/#", 1), 1);
  EXPECT_EQ(c.subscribe("#", 1), 0x87);
  EXPECT_EQ(c.subscribe("$share/g/#", 1), 0x87);
  c.publish("devices/other/telemetry", "{}", 1, 3);
  EXPECT_EQ(c.answers().substr(0, 8), "40000387");
  EXPECT_FALSE(c.closed());
  c.publish("devices/other/telemetry", "{}", 0);  // nothing can be answered, so it must be noticed
  EXPECT_EQ(c.answers(), "e087");
  o.version = 4;
  TestClient old(world, "pump", o);
  old.publish("devices/other/telemetry", "{}", 1, 3);
  EXPECT_EQ(old.answers(), "");
  EXPECT_TRUE(old.closed());
  for (uint32_t s = 0; s < world.count(); ++s) EXPECT_TRUE(world.shard(s).ingested.empty());
}

TEST_P(MqttBroker, RightsThatAreGoneEndSubscriptions) {
  world.users["app"] = Principal{OrganisationId(1), "app", {}, false, false, {"#"}, {"a/#", "b/#"}};
  ConnectOptions o = lasting();
  o.username = "app";
  TestClient c(world, "app", o);
  EXPECT_EQ(c.subscribe("a/#", 1), 1);
  EXPECT_EQ(c.subscribe("b/#", 1), 1);
  c.cut();
  world.users["app"].subscribe_filters = {"b/#"};
  c.reconnect();
  TestClient p(world, "p");
  p.publish("a/x", "1", 1, 1);
  p.publish("b/x", "2", 1, 2);
  EXPECT_EQ(c.texts(), "b/x=2");
}

// -- limits

TEST_P(MqttBroker, ASlowSubscriberIsBoundedAndItsLossCounted) {
  BrokerLimits limits;
  limits.unsent_bytes_max = 1000;
  limits.queued_messages_max = 10;
  MemoryWorld small(GetParam(), limits);
  TestClient c(small, "c", lasting());
  c.subscribe("t", 1);
  c.socket().clogged = true;
  TestClient p(small, "p");
  for (uint16_t i = 1; i <= 100; ++i) p.publish("t", std::string(100, 'x'), i % 2, i);
  small.settle();
  EXPECT_LT(c.socket().unsent, 2000U);
  const double dropped = static_cast<double>(
      small.metrics.counter("penstock_mqtt_dropped_total", "", {{"reason", "slow_qos0"}}).value() +
      small.metrics.counter("penstock_mqtt_dropped_total", "", {{"reason", "queue_full"}}).value());
  EXPECT_GT(dropped, 70);
  EXPECT_EQ(dropped + static_cast<double>(c.messages().size()) + 10, 100);
  // Once it reads again it gets what was kept.
  c.socket().clogged = false;
  c.socket().unsent = 0;
  small.shard(c.peer()).broker->on_writable(c.peer().id);
  EXPECT_EQ(c.messages().size(), 10U);
}

TEST_P(MqttBroker, QuotasRefuseWithAReason) {
  BrokerLimits limits;
  limits.subscriptions_per_session_max = 2;
  limits.retained_messages_max = 1;
  limits.user_properties_max = 3;
  MemoryWorld small(GetParam(), limits);
  TestClient c(small, "c");
  EXPECT_EQ(c.subscribe("1", 0), 0);
  EXPECT_EQ(c.subscribe("2", 0), 0);
  EXPECT_EQ(c.subscribe("3", 0), 0x97);
  EXPECT_EQ(c.subscribe("2", 1), 1);  // replaces
  c.publish("r1", "x", 1, 1, true);
  c.publish("r2", "x", 1, 2, true);
  EXPECT_NE(c.answers().find("40000297"), std::string::npos);
  c.publish("r1", "", 1, 3, true);
  c.publish("r2", "x", 1, 4, true);
  EXPECT_EQ(c.answers(), "40000310 40000410");
  Properties q;
  for (int i = 0; i < 4; ++i) q.user.emplace_back("k", "v");
  c.publish("1", "x", 0, 0, false, q);
  EXPECT_EQ(c.answers(), "e097");
}

// The journal and the sockets of the real host have tests of their own; this is the broker's part.
TEST_P(MqttBroker, AWarmPublishOfTelemetryAllocatesNothing) {
  for (const uint8_t version : {uint8_t{4}, uint8_t{5}}) {
    ConnectOptions o;
    o.version = version;
    TestClient c(world, "d", o);
    MemoryShard& shard = world.shard(c.peer());
    Bytes wire;
    Properties properties;
    if (version == 5) {
      properties.message_expiry_s = 10;
      properties.user = {{"a", "b"}};
    }
    for (uint16_t i = 1; i <= 100; ++i)
      encode_publish(
          wire, {version, false, false, 1, i, "devices/d/telemetry"}, properties,
          as_bytes(R"({"temperature":61.5,"pressure":7.2,"current":31.25,"vibration":2.5})"));
    shard.keep_acks = shard.keep_ingested = false;
    c.send(wire);  // warm
    const uint64_t before = testing_allocations();
    for (int i = 0; i < 5; ++i) {
      for (uint16_t k = 1; k <= 100; ++k) shard.broker->on_acknowledged(c.peer().id, 0x40, k);
      c.send(wire);
    }
    EXPECT_EQ(testing_allocations() - before, 0U) << "version " << int{version};
    shard.keep_acks = shard.keep_ingested = true;
    EXPECT_FALSE(c.closed());
    c.cut();
  }
}

TEST_P(MqttBroker, ByteByByteIsTheSame) {
  TestClient c(world, "c");
  Bytes out = unhex("82 07 0001 00 0001 74 01");
  encode_publish(out, {5, false, false, 1, 9, "t"}, {}, as_bytes("slow"));
  for (const std::byte b : out) c.send(ByteView(&b, 1));
  const auto got = c.packets();
  ASSERT_EQ(got.size(), 3U);
  EXPECT_EQ(got[0].type, PacketType::kSuback);
}

}  // namespace
}  // namespace penstock::interop::mqtt
