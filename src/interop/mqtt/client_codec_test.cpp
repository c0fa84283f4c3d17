#include "interop/mqtt/client_codec.h"

#include <gtest/gtest.h>

namespace penstock::interop::mqtt {
namespace {

Frame frame_of(const Bytes& bytes) {
  const FrameResult result = read_frame(bytes, 1 << 20);
  EXPECT_EQ(result.kind, FrameResult::Kind::kFrame);
  EXPECT_EQ(result.frame.size, bytes.size());
  return result.frame;
}

ByteView bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

// What a client writes is what the server's half reads.
TEST(ClientCodecTest, AConnectIsReadBackAsItWas) {
  for (const uint8_t version : {uint8_t{4}, uint8_t{5}}) {
    Connect given;
    given.version = version;
    given.keep_alive_s = 30;
    given.client_id = "penstock-north";
    given.has_will = true;
    given.will_qos = 1;
    given.will_retain = true;
    given.will_topic = "spBv1.0/STATE/host";
    given.will_payload = bytes_of(R"({"online":false,"timestamp":1})");
    given.has_username = given.has_password = true;
    given.username = "u";
    given.password = bytes_of("p\xff");
    if (version == 5) {
      given.properties.session_expiry_s = 86'400;
      given.properties.receive_maximum = 500;
    }
    Bytes out;
    encode_connect(out, given);
    Connect read;
    ASSERT_EQ(decode_connect(frame_of(out), read), Reason::kSuccess);
    EXPECT_EQ(read.version, version);
    EXPECT_FALSE(read.clean_start);
    EXPECT_EQ(read.keep_alive_s, 30);
    EXPECT_EQ(read.client_id, given.client_id);
    EXPECT_EQ(read.will_topic, given.will_topic);
    EXPECT_EQ(as_text(read.will_payload), as_text(given.will_payload));
    EXPECT_EQ(read.will_qos, 1);
    EXPECT_TRUE(read.will_retain);
    EXPECT_EQ(read.username, "u");
    EXPECT_EQ(as_text(read.password), "p\xff");
    EXPECT_EQ(read.properties.session_expiry_s, given.properties.session_expiry_s);
    EXPECT_EQ(read.properties.receive_maximum, given.properties.receive_maximum);
  }
}

TEST(ClientCodecTest, SubscriptionsAreReadBackAsTheyWere) {
  const SubscribeEntry entries[] = {{"plant/+/data", 1, true, false, 2}, {"#", 2}};
  Bytes out;
  encode_subscribe(out, 5, 7, entries);
  Subscribe read;
  ASSERT_EQ(decode_subscribe(frame_of(out), 5, read), Reason::kSuccess);
  EXPECT_EQ(read.packet_id, 7);
  ASSERT_EQ(read.entries.size(), 2u);
  EXPECT_EQ(read.entries[0].filter, "plant/+/data");
  EXPECT_TRUE(read.entries[0].no_local);
  EXPECT_EQ(read.entries[0].retain_handling, 2);
  EXPECT_EQ(read.entries[1].qos, 2);
  out.clear();
  encode_subscribe(out, 4, 8, entries);
  Subscribe old;
  ASSERT_EQ(decode_subscribe(frame_of(out), 4, old), Reason::kSuccess) << "no 5.0 options";
  out.clear();
  const std::string_view filters[] = {"a", "b"};
  encode_unsubscribe(out, 5, 9, filters);
  Unsubscribe gone;
  ASSERT_EQ(decode_unsubscribe(frame_of(out), 5, gone), Reason::kSuccess);
  EXPECT_EQ(gone.filters.size(), 2u);
  out.clear();
  encode_pingreq(out);
  EXPECT_EQ(decode_ping(frame_of(out)), Reason::kSuccess);
}

TEST(ClientCodecTest, AServersAnswersAreRead) {
  Bytes out;
  encode_connack_3(out, true, 4);
  Connack connack;
  ASSERT_EQ(decode_connack(frame_of(out), 4, connack), Reason::kSuccess);
  EXPECT_TRUE(connack.session_present);
  EXPECT_EQ(connack.reason, Reason::kBadUserNameOrPassword);
  Connack five;
  ASSERT_EQ(decode_connack(frame_of(out), 5, five), Reason::kSuccess) << "a 3.1.1 refusal to a 5";
  EXPECT_EQ(five.reason, Reason::kUnsupportedVersion);
  out.clear();
  Properties properties;
  properties.receive_maximum = 20;
  properties.reason_string = "no";
  encode_connack_5(out, false, Reason::kNotAuthorized, properties);
  Connack refused;
  ASSERT_EQ(decode_connack(frame_of(out), 5, refused), Reason::kSuccess);
  EXPECT_EQ(refused.properties.receive_maximum, 20);
  EXPECT_EQ(refused.properties.reason_string, "no");
  out.clear();
  const Reason reasons[] = {Reason::kGrantedQos1, Reason::kNotAuthorized};
  encode_suback(out, 5, 7, reasons);
  Suback suback;
  ASSERT_EQ(decode_suback(frame_of(out), 5, suback), Reason::kSuccess);
  EXPECT_EQ(suback.packet_id, 7);
  EXPECT_EQ(suback.reasons, (std::vector<Reason>(std::begin(reasons), std::end(reasons))));
}

TEST(ClientCodecTest, WhatIsNoAnswerIsMalformed) {
  const auto connack = [](const Bytes& body, uint8_t version) {
    Connack out;
    return decode_connack({PacketType::kConnack, 0, body, body.size() + 2}, version, out);
  };
  EXPECT_EQ(connack({}, 5), Reason::kMalformedPacket);
  EXPECT_EQ(connack({std::byte{2}, std::byte{0}}, 4), Reason::kMalformedPacket);
  EXPECT_EQ(connack({std::byte{0}, std::byte{0}, std::byte{0}}, 4), Reason::kMalformedPacket);
  EXPECT_EQ(connack({std::byte{0}, std::byte{0}, std::byte{9}}, 5), Reason::kMalformedPacket);
  EXPECT_EQ(connack({std::byte{0}, std::byte{0}}, 5), Reason::kMalformedPacket);
  Suback suback;
  const Bytes none{std::byte{0}, std::byte{1}};
  EXPECT_EQ(decode_suback({PacketType::kSuback, 0, none, 4}, 4, suback), Reason::kMalformedPacket);
  const Bytes zero{std::byte{0}, std::byte{0}, std::byte{0}};
  EXPECT_EQ(decode_suback({PacketType::kSuback, 0, zero, 5}, 4, suback), Reason::kProtocolError);
}

}  // namespace
}  // namespace penstock::interop::mqtt
