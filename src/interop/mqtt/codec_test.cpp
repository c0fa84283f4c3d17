#include "interop/mqtt/codec.h"

#include <deque>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "interop/mqtt/test_client.h"

namespace penstock::interop::mqtt {
namespace {

// Keeps the text that the properties view.
struct Words {
  std::deque<std::string> kept;
  std::string_view text() {
    return kept.emplace_back(
        *rc::gen::container<std::string>(rc::gen::element('a', 'Z', ' ', '~', '/')));
  }
  template <class T>
  std::optional<T> maybe(T value) {
    return *rc::gen::arbitrary<bool>() ? std::optional<T>(value) : std::nullopt;
  }
  uint32_t u32() { return *rc::gen::arbitrary<uint32_t>(); }
  uint16_t u16() { return *rc::gen::arbitrary<uint16_t>(); }

  Properties of_publish() {
    Properties p;
    p.payload_format = maybe<uint8_t>(1);
    p.message_expiry_s = maybe(u32());
    p.content_type = maybe(text());
    if (*rc::gen::arbitrary<bool>()) p.response_topic = kept.emplace_back("answers");
    p.correlation_data = maybe(as_bytes(text()));
    p.topic_alias = maybe<uint16_t>(static_cast<uint16_t>(u16() | 1));
    for (int n = *rc::gen::inRange(0, 3); n > 0; --n) {
      const std::string_view key = text();
      p.user.emplace_back(key, text());
    }
    return p;
  }
};

bool same(const Properties& a, const Properties& b) {
  Bytes x, y;
  append_properties(x, a);
  append_properties(y, b);
  return x == y;
}

RC_GTEST_PROP(MqttCodecProperty, APublishComesBack, ()) {
  Words words;
  const uint8_t version = *rc::gen::element<uint8_t>(4, 5);
  const uint8_t qos = *rc::gen::element<uint8_t>(0, 1, 2);
  const bool dup = qos > 0 && *rc::gen::arbitrary<bool>(), retain = *rc::gen::arbitrary<bool>();
  const auto id = static_cast<uint16_t>(*rc::gen::inRange(1, 65'536));
  const std::string topic = "t" + std::string(words.text());
  const std::string payload = *rc::gen::arbitrary<std::string>() +
                              std::string(*rc::gen::element<size_t>(0, 100, 20'000), 'x');
  const Properties properties = version == 5 ? words.of_publish() : Properties{};
  const PublishHeader header{version, dup, retain, qos, id, topic};
  Bytes wire;
  encode_publish(wire, header, properties, as_bytes(payload));
  RC_ASSERT(wire.size() == publish_size(header, properties, as_bytes(payload)));
  RC_ASSERT(read_frame(ByteView(wire).first(wire.size() - 1), SIZE_MAX).kind ==
            FrameResult::Kind::kNeedMore);
  RC_ASSERT(read_frame(wire, wire.size() - 1).kind == FrameResult::Kind::kTooLarge);
  const FrameResult found = read_frame(wire, wire.size());
  RC_ASSERT(found.kind == FrameResult::Kind::kFrame);
  RC_ASSERT(found.frame.size == wire.size());
  Publish p;
  RC_ASSERT(decode_publish(found.frame, version, p) == Reason::kSuccess);
  RC_ASSERT(p.topic == topic);
  RC_ASSERT(as_text(p.payload) == payload);
  RC_ASSERT(p.qos == qos && p.dup == dup && p.retain == retain && (qos == 0 || p.packet_id == id));
  RC_ASSERT(same(p.properties, properties));
}

RC_GTEST_PROP(MqttCodecProperty, AConnectComesBack, ()) {
  Words words;
  const bool five = *rc::gen::arbitrary<bool>();
  Connect sent;
  sent.client_id = words.text();
  Properties& p = sent.properties;
  if (five) {
    p.session_expiry_s = words.maybe(words.u32());
    p.receive_maximum = words.maybe<uint16_t>(static_cast<uint16_t>(words.u16() | 1));
    p.maximum_packet_size = words.maybe(words.u32() | 1);
    p.topic_alias_maximum = words.maybe(words.u16());
    p.request_problem_information = words.maybe<uint8_t>(0);
    p.request_response_information = words.maybe<uint8_t>(1);
  }
  MemoryWorld world;
  ConnectOptions o;
  o.version = five ? 5 : 4;
  o.clean = *rc::gen::arbitrary<bool>();
  o.keep_alive_s = words.u16();
  o.properties = p;
  o.has_will = *rc::gen::arbitrary<bool>();
  o.will_topic = "will";
  o.will_payload = words.text();
  o.will_qos = *rc::gen::element<uint8_t>(0, 1, 2);
  o.will_retain = *rc::gen::arbitrary<bool>();
  o.username = words.text();
  const Bytes wire = TestClient::connect_packet(sent.client_id, o);
  Connect got;
  RC_ASSERT(decode_connect(read_frame(wire, SIZE_MAX).frame, got) == Reason::kSuccess);
  RC_ASSERT(got.version == o.version && got.clean_start == o.clean);
  RC_ASSERT(got.keep_alive_s == o.keep_alive_s);
  RC_ASSERT(got.client_id == sent.client_id);
  RC_ASSERT(got.has_username == !o.username.empty());
  RC_ASSERT(got.username == o.username);
  RC_ASSERT(same(got.properties, p));
  RC_ASSERT(got.has_will == o.has_will);
  if (o.has_will) {
    RC_ASSERT(as_text(got.will_payload) == o.will_payload);
    RC_ASSERT(got.will_qos == o.will_qos && got.will_retain == o.will_retain);
  }
  // Cut anywhere it is malformed, or a shorter whole; never read over its end.
  const size_t cut = *rc::gen::inRange<size_t>(0, wire.size());
  Connect part;
  (void)decode_connect({PacketType::kConnect, 0, ByteView(wire).first(cut), cut}, part);
  RC_ASSERT(peek_connect(wire).client_id == sent.client_id);
  RC_ASSERT(peek_connect(ByteView(wire).first(wire.size() - 1)).kind ==
            ConnectPeek::Kind::kNeedMore);
}

// As 1.5.4 defines it, one code point after the other.
bool plainly_valid(std::string_view s) {
  for (size_t i = 0; i < s.size();) {
    const auto at = [&](size_t k) { return k < s.size() ? static_cast<uint8_t>(s[k]) : 0U; };
    const uint32_t b = at(i);
    uint32_t point = 0;
    size_t n = 0;
    if (b < 0x80)
      point = b, n = 1;
    else if ((b & 0xe0) == 0xc0)
      point = b & 0x1f, n = 2;
    else if ((b & 0xf0) == 0xe0)
      point = b & 0x0f, n = 3;
    else if ((b & 0xf8) == 0xf0)
      point = b & 0x07, n = 4;
    else
      return false;
    for (size_t k = 1; k < n; ++k) {
      if ((at(i + k) & 0xc0) != 0x80) return false;
      point = point << 6 | (at(i + k) & 0x3f);
    }
    if (i + n > s.size()) return false;
    if ((n == 2 && point < 0x80) || (n == 3 && point < 0x800) || (n == 4 && point < 0x10000))
      return false;
    if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return false;
    if (point < 0x20 || (point >= 0x7f && point <= 0x9f)) return false;
    if ((point >= 0xfdd0 && point <= 0xfdef) || (point & 0xffff) >= 0xfffe) return false;
    i += n;
  }
  return true;
}
RC_GTEST_PROP(MqttCodecProperty, Utf8IsWhatTheStandardSays, ()) {
  std::string text;
  for (int n = *rc::gen::inRange(0, 12); n > 0; --n)
    text += *rc::gen::oneOf(
        rc::gen::element<std::string>(
            "a", "plain text", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\xa0\x80",
            "\xc0\x80", "\xef\xbf\xbf", "\xef\xb7\x90", "\x7f", "\xc2\x9f", "\xf4\x90\x80\x80"),
        rc::gen::map(rc::gen::arbitrary<char>(), [](char c) { return std::string(1, c); }));
  RC_ASSERT(valid_utf8(text) == plainly_valid(text));
}

TEST(MqttCodec, ReasonsBecomeReturnCodesOf311) {
  EXPECT_EQ(connack_code_3(Reason::kSuccess), 0);
  EXPECT_EQ(connack_code_3(Reason::kUnsupportedVersion), 1);
  EXPECT_EQ(connack_code_3(Reason::kClientIdNotValid), 2);
  EXPECT_EQ(connack_code_3(Reason::kServerUnavailable), 3);
  EXPECT_EQ(connack_code_3(Reason::kBadUserNameOrPassword), 4);
  EXPECT_EQ(connack_code_3(Reason::kNotAuthorized), 5);
}

TEST(MqttCodec, AcksAreShortWhereAllIsWell) {
  Bytes out;
  encode_ack(out, PacketType::kPuback, 5, 1, Reason::kSuccess);
  encode_ack(out, PacketType::kPubrel, 4, 2, Reason::kSuccess);
  encode_ack(out, PacketType::kPubrec, 5, 3, Reason::kQuotaExceeded);
  encode_ack(out, PacketType::kPubrec, 5, 3, Reason::kQuotaExceeded, "full");
  EXPECT_EQ(hex(out),
            "40020001"
            "62020002"
            "5003000397"
            "500b000397071f000466756c6c");
  Ack ack;
  EXPECT_EQ(decode_ack(read_frame(ByteView(out).subspan(13), SIZE_MAX).frame, 5, ack),
            Reason::kSuccess);
  EXPECT_EQ(ack.properties.reason_string, "full");
}

TEST(MqttCodec, AnUnknownProtocolIsNotAnsweredAnUnknownLevelIs) {
  Connect connect;
  const auto decode = [&](const char* text) {
    const Bytes wire = unhex(text);
    return decode_connect(read_frame(wire, SIZE_MAX).frame, connect);
  };
  EXPECT_EQ(decode("100D 00044D515458 04 02 003C 000178"), Reason::kMalformedPacket);
  EXPECT_EQ(decode("100D 00044D515454 06 02 003C 000178"), Reason::kUnsupportedVersion);
  EXPECT_EQ(decode("100D 00044D515454 04 03 003C 000178"), Reason::kMalformedPacket);  // 3.1.2-3
  EXPECT_EQ(decode("100D 00044D515454 04 42 003C 000178"), Reason::kMalformedPacket);  // 3.1.2-22
}

}  // namespace
}  // namespace penstock::interop::mqtt
