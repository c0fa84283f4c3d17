#include "interop/mqtt/codec.h"

#include <cstring>

#include "base/check.h"

namespace penstock::interop::mqtt {
namespace {

// Reads a packet's fields; sticky failure. MQTT numbers are big-endian (1.5.2).
class Reader {
 public:
  explicit Reader(ByteView bytes) : rest_(bytes) {}

  uint8_t u8() { return static_cast<uint8_t>(number(1)); }
  uint16_t u16() { return static_cast<uint16_t>(number(2)); }
  uint32_t u32() { return static_cast<uint32_t>(number(4)); }
  /// 1.5.5; more than four bytes, or more than needed, is malformed.
  uint32_t variable() {
    uint32_t value = 0;
    for (int shift = 0; shift < 28; shift += 7) {
      const uint8_t digit = u8();
      value |= static_cast<uint32_t>(digit & 127) << shift;
      if ((digit & 128) == 0) {
        if (digit == 0 && shift > 0) ok_ = false;  // not the shortest form
        return value;
      }
    }
    ok_ = false;
    return 0;
  }
  ByteView bytes(size_t count) {
    if (rest_.size() < count) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const ByteView out = rest_.first(count);
    rest_ = rest_.subspan(count);
    return out;
  }
  ByteView binary() { return bytes(u16()); }
  std::string_view text() {
    const std::string_view out = as_text(binary());
    if (!valid_utf8(out)) ok_ = false;
    return out;
  }
  void fail() { ok_ = false; }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  [[nodiscard]] ByteView rest() const { return rest_; }

 private:
  uint32_t number(size_t count) {
    const ByteView raw = bytes(count);
    uint32_t value = 0;
    for (const std::byte b : raw) value = value << 8 | std::to_integer<uint32_t>(b);
    return value;
  }
  ByteView rest_;
  bool ok_ = true;
};

// -- properties (2.2.2.2)

enum PropertyId : uint8_t {
  kPayloadFormat = 0x01,
  kMessageExpiry = 0x02,
  kContentType = 0x03,
  kResponseTopic = 0x08,
  kCorrelationData = 0x09,
  kSubscriptionId = 0x0B,
  kSessionExpiry = 0x11,
  kAssignedClientId = 0x12,
  kServerKeepAlive = 0x13,
  kAuthMethod = 0x15,
  kAuthData = 0x16,
  kRequestProblem = 0x17,
  kWillDelay = 0x18,
  kRequestResponse = 0x19,
  kResponseInformation = 0x1A,
  kServerReference = 0x1C,
  kReasonString = 0x1F,
  kReceiveMaximum = 0x21,
  kTopicAliasMaximum = 0x22,
  kTopicAlias = 0x23,
  kMaximumQos = 0x24,
  kRetainAvailable = 0x25,
  kUserProperty = 0x26,
  kMaximumPacketSize = 0x27,
  kWildcardAvailable = 0x28,
  kSubscriptionIdsAvailable = 0x29,
  kSharedAvailable = 0x2A,
};

// Which packets may carry which property: a bit a packet type, bit 0 for a will.
constexpr uint32_t in(PacketType type) { return 1U << static_cast<unsigned>(type); }
constexpr uint32_t kInWill = 1;
constexpr uint32_t kInAcks = in(PacketType::kPuback) | in(PacketType::kPubrec) |
                             in(PacketType::kPubrel) | in(PacketType::kPubcomp);

constexpr uint32_t allowed_in(uint32_t id) {
  using enum PacketType;
  switch (id) {
    case kPayloadFormat:
    case kMessageExpiry:
    case kContentType:
    case kResponseTopic:
    case kCorrelationData:
      return in(kPublish) | kInWill;
    case kSubscriptionId:
      return in(kPublish) | in(kSubscribe);
    case kSessionExpiry:
      return in(kConnect) | in(kConnack) | in(kDisconnect);
    case kAuthMethod:
    case kAuthData:
      return in(kConnect) | in(kConnack) | in(kAuth);
    case kRequestProblem:
    case kRequestResponse:
      return in(kConnect);
    case kWillDelay:
      return kInWill;
    case kServerReference:
      return in(kConnack) | in(kDisconnect);
    case kReasonString:
      return in(kConnack) | kInAcks | in(kSuback) | in(kUnsuback) | in(kDisconnect) | in(kAuth);
    case kReceiveMaximum:
    case kTopicAliasMaximum:
    case kMaximumPacketSize:
      return in(kConnect) | in(kConnack);
    case kTopicAlias:
      return in(kPublish);
    case kUserProperty:
      return ~0U;
    case kAssignedClientId:
    case kServerKeepAlive:
    case kResponseInformation:
    case kMaximumQos:
    case kRetainAvailable:
    case kWildcardAvailable:
    case kSubscriptionIdsAvailable:
    case kSharedAvailable:
      return in(kConnack);
    default:
      return 0;
  }
}

// Sets a property once; twice is a protocol error (2.2.2.2, each property's paragraph).
template <class T>
Reason set_once(std::optional<T>& field, T value, bool good = true) {
  if (field || !good) return Reason::kProtocolError;
  field = value;
  return Reason::kSuccess;
}
Reason set_flag(std::optional<uint8_t>& field, uint8_t value) {
  return set_once(field, value, value <= 1);
}

Reason read_property(uint32_t id, Reader& in, Properties& p) {
  switch (id) {
    case kPayloadFormat:
      return set_flag(p.payload_format, in.u8());
    case kMessageExpiry:
      return set_once(p.message_expiry_s, in.u32());
    case kContentType:
      return set_once(p.content_type, in.text());
    case kResponseTopic: {
      const std::string_view topic = in.text();
      return set_once(p.response_topic, topic,
                      !topic.empty() && topic.find_first_of("+#") == std::string_view::npos);
    }
    case kCorrelationData:
      return set_once(p.correlation_data, in.binary());
    case kSubscriptionId: {
      const uint32_t value = in.variable();
      if (in.ok() && value == 0) return Reason::kProtocolError;
      p.subscription_ids.push_back(value);
      return Reason::kSuccess;
    }
    case kSessionExpiry:
      return set_once(p.session_expiry_s, in.u32());
    case kAssignedClientId:
      return set_once(p.assigned_client_id, in.text());
    case kServerKeepAlive:
      return set_once(p.server_keep_alive, in.u16());
    case kAuthMethod:
      return set_once(p.authentication_method, in.text());
    case kAuthData:
      return set_once(p.authentication_data, in.binary());
    case kRequestProblem:
      return set_flag(p.request_problem_information, in.u8());
    case kWillDelay:
      return set_once(p.will_delay_s, in.u32());
    case kRequestResponse:
      return set_flag(p.request_response_information, in.u8());
    case kResponseInformation:
      return set_once(p.response_information, in.text());
    case kServerReference:
      return set_once(p.server_reference, in.text());
    case kReasonString:
      return set_once(p.reason_string, in.text());
    case kReceiveMaximum: {
      const uint16_t value = in.u16();
      return set_once(p.receive_maximum, value, value > 0);
    }
    case kTopicAliasMaximum:
      return set_once(p.topic_alias_maximum, in.u16());
    case kTopicAlias:
      return set_once(p.topic_alias, in.u16());
    case kMaximumQos:
      return set_flag(p.maximum_qos, in.u8());
    case kRetainAvailable:
      return set_flag(p.retain_available, in.u8());
    case kUserProperty: {
      const std::string_view key = in.text();
      p.user.emplace_back(key, in.text());
      return Reason::kSuccess;
    }
    case kMaximumPacketSize: {
      const uint32_t value = in.u32();
      return set_once(p.maximum_packet_size, value, value > 0);
    }
    case kWildcardAvailable:
      return set_flag(p.wildcard_available, in.u8());
    case kSubscriptionIdsAvailable:
      return set_flag(p.subscription_ids_available, in.u8());
    case kSharedAvailable:
      return set_flag(p.shared_available, in.u8());
    default:
      return Reason::kMalformedPacket;
  }
}

// Form comes before rules: a block that is both malformed and against a rule is malformed, and of
// several broken rules the first counts.
Reason read_block(ByteView block, uint32_t where, Properties& out) {
  Reader properties(block);
  Reason broken = Reason::kSuccess;
  while (!properties.empty()) {
    const uint32_t id = properties.variable();
    if (!properties.ok()) return Reason::kMalformedPacket;
    const Reason reason = read_property(id, properties, out);
    if (!properties.ok() || reason == Reason::kMalformedPacket) return Reason::kMalformedPacket;
    if (broken != Reason::kSuccess) continue;
    broken = (allowed_in(id) & where) == 0 ? Reason::kProtocolError : reason;
  }
  if (broken != Reason::kSuccess) return broken;
  if (out.authentication_data && !out.authentication_method) return Reason::kProtocolError;
  // A client may not send the identifiers of its subscriptions; one that a server before us added
  // is read over, as other servers do. More than one says that somebody misunderstood (3.3.2.3.8).
  if (out.subscription_ids.size() > 1) return Reason::kProtocolError;
  return Reason::kSuccess;
}

Reason read_properties(Reader& in, uint32_t where, Properties& out, ByteView* raw = nullptr) {
  const uint32_t length = in.variable();
  const ByteView block = in.bytes(length);
  if (!in.ok()) return Reason::kMalformedPacket;
  if (raw) *raw = block;
  return read_block(block, where, out);
}

bool topic_name_valid(std::string_view topic) {
  return topic.find_first_of("+#") == std::string_view::npos;
}

}  // namespace

Reason read_property_block(ByteView& rest, PacketType where, Properties& out) {
  Reader in(rest);
  const Reason reason = read_properties(in, mqtt::in(where), out);
  rest = in.ok() ? in.rest() : ByteView();
  return reason;
}

bool valid_utf8(std::string_view text) {
  size_t i = 0;
  const size_t size = text.size();
  // Plain ASCII, eight bytes at a time: no high bit, nothing below 0x20, no 0x7f.
  while (i + 8 <= size) {
    uint64_t word = 0;
    std::memcpy(&word, text.data() + i, 8);
    constexpr uint64_t kHigh = 0x8080808080808080, kOnes = 0x0101010101010101;
    const uint64_t below_space = (word - kOnes * 0x20) & ~word & kHigh;
    const uint64_t del = word ^ (kOnes * 0x7f);
    const uint64_t is_del = (del - kOnes) & ~del & kHigh;
    if ((word & kHigh) | below_space | is_del) break;
    i += 8;
  }
  while (i < size) {
    const auto lead = static_cast<uint8_t>(text[i]);
    if (lead < 0x80) {
      if (lead < 0x20 || lead == 0x7f) return false;
      ++i;
      continue;
    }
    const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || i + length > size) return false;
    uint32_t point = lead & (0xffU >> (length + 1));
    for (size_t k = 1; k < length; ++k) {
      const auto next = static_cast<uint8_t>(text[i + k]);
      if ((next & 0xc0) != 0x80) return false;
      point = point << 6 | (next & 0x3f);
    }
    constexpr uint32_t kShortest[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < kShortest[length] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
      return false;
    if (point <= 0x9f || (point >= 0xfdd0 && point <= 0xfdef) || (point & 0xfffe) == 0xfffe)
      return false;
    i += length;
  }
  return true;
}

FrameResult read_frame(ByteView bytes, size_t packet_size_max) {
  using enum FrameResult::Kind;
  if (bytes.empty()) return {kNeedMore, {}};
  size_t length = 0, header = 1;
  for (int shift = 0;; shift += 7) {
    if (shift == 28) return {kMalformed, {}};
    if (header >= bytes.size()) return {kNeedMore, {}};
    const auto digit = std::to_integer<size_t>(bytes[header++]);
    length |= (digit & 127) << shift;
    if ((digit & 128) == 0) break;
  }
  const auto first = std::to_integer<uint8_t>(bytes[0]);
  if (header + length > packet_size_max) return {kTooLarge, {}};
  if (header + length > bytes.size()) return {kNeedMore, {}};
  return {kFrame,
          {static_cast<PacketType>(first >> 4), static_cast<uint8_t>(first & 15),
           bytes.subspan(header, length), header + length}};
}

// -- decoding

namespace {

Reason decode_will(Reader& in, uint8_t flags, Connect& out) {
  out.will_qos = (flags >> 3) & 3;
  out.will_retain = (flags & 0x20) != 0;
  if (out.version == 5)
    if (const Reason reason = read_properties(in, kInWill, out.will_properties);
        reason != Reason::kSuccess)
      return reason;
  out.will_topic = in.text();
  out.will_payload = in.binary();
  if (!in.ok() || out.will_topic.empty() || !topic_name_valid(out.will_topic))
    return Reason::kMalformedPacket;
  return Reason::kSuccess;
}

}  // namespace

Reason decode_connect(const Frame& frame, Connect& out) {
  Reader in(frame.body);
  const std::string_view protocol = in.text();
  out.version = in.u8();
  if (!in.ok()) return Reason::kMalformedPacket;
  const bool old = protocol == "MQIsdp";
  if (protocol != "MQTT" && !old) return Reason::kMalformedPacket;
  if (old ? out.version != 3 : (out.version != 4 && out.version != 5))
    return Reason::kUnsupportedVersion;
  const uint8_t flags = in.u8();
  out.keep_alive_s = in.u16();
  if (!in.ok()) return Reason::kMalformedPacket;
  // 3.1 leaves the header's flags and the reserved flag unused; later versions demand 0 (2.1.3,
  // 3.1.2-3).
  if (!old && (frame.flags != 0 || (flags & 1) != 0)) return Reason::kMalformedPacket;
  out.clean_start = (flags & 2) != 0;
  out.has_will = (flags & 4) != 0;
  out.has_password = (flags & 0x40) != 0;
  out.has_username = (flags & 0x80) != 0;
  if (!out.has_will && (flags & 0x38) != 0) return Reason::kMalformedPacket;
  if ((flags & 0x18) == 0x18) return Reason::kMalformedPacket;
  if (out.version < 5 && out.has_password && !out.has_username) return Reason::kMalformedPacket;
  if (out.version == 5)
    if (const Reason reason = read_properties(in, mqtt::in(PacketType::kConnect), out.properties);
        reason != Reason::kSuccess)
      return reason;
  out.client_id = in.text();
  if (!in.ok()) return Reason::kMalformedPacket;
  if (out.has_will)
    if (const Reason reason = decode_will(in, flags, out); reason != Reason::kSuccess)
      return reason;
  if (out.has_username) out.username = in.text();
  if (out.has_password) out.password = in.binary();
  return in.ok() && in.empty() ? Reason::kSuccess : Reason::kMalformedPacket;
}

Reason decode_publish(const Frame& frame, uint8_t version, Publish& out) {
  out.dup = (frame.flags & 8) != 0;
  out.qos = (frame.flags >> 1) & 3;
  out.retain = (frame.flags & 1) != 0;
  if (out.qos == 3 || (out.qos == 0 && out.dup)) return Reason::kMalformedPacket;
  Reader in(frame.body);
  out.topic = in.text();
  if (!in.ok() || !topic_name_valid(out.topic)) return Reason::kMalformedPacket;
  if (out.qos > 0) {
    out.packet_id = in.u16();
    if (!in.ok()) return Reason::kMalformedPacket;
    if (out.packet_id == 0) return Reason::kProtocolError;
  }
  if (version == 5) {
    const Reason reason =
        read_properties(in, mqtt::in(PacketType::kPublish), out.properties, &out.raw_properties);
    if (reason != Reason::kSuccess) return reason;
    out.properties.subscription_ids.clear();  // not for those who receive it: theirs are their own
    if (out.properties.topic_alias && *out.properties.topic_alias == 0)
      return Reason::kTopicAliasInvalid;
    if (out.topic.empty() && !out.properties.topic_alias) return Reason::kMalformedPacket;
  } else if (out.topic.empty()) {
    return Reason::kMalformedPacket;
  }
  out.payload = in.rest();
  return Reason::kSuccess;
}

Reason decode_publish_properties(ByteView block, Properties& out) {
  const Reason reason = read_block(block, in(PacketType::kPublish), out);
  out.subscription_ids.clear();
  return reason;
}

namespace {

bool reason_allowed(PacketType type, Reason reason) {
  using enum Reason;
  switch (type) {
    case PacketType::kPuback:
    case PacketType::kPubrec:
      switch (reason) {
        case kSuccess:
        case kNoMatchingSubscribers:
        case kUnspecified:
        case kImplementationError:
        case kNotAuthorized:
        case kTopicNameInvalid:
        case kPacketIdInUse:
        case kQuotaExceeded:
        case kPayloadFormatInvalid:
          return true;
        default:
          return false;
      }
    case PacketType::kPubrel:
    case PacketType::kPubcomp:
      return reason == kSuccess || reason == kPacketIdNotFound;
    case PacketType::kAuth:
      return reason == kSuccess || reason == kContinueAuthentication || reason == kReAuthenticate;
    default:
      return false;
  }
}

}  // namespace

Reason decode_ack(const Frame& frame, uint8_t version, Ack& out) {
  const uint8_t wanted = frame.type == PacketType::kPubrel ? 2 : 0;
  // 3.1 set DUP on a PUBREL sent again.
  if ((version == 3 ? frame.flags & 7 : frame.flags) != wanted) return Reason::kMalformedPacket;
  Reader in(frame.body);
  out.packet_id = in.u16();
  if (!in.ok() || (version < 5 && !in.empty())) return Reason::kMalformedPacket;
  if (out.packet_id == 0) return Reason::kProtocolError;
  if (in.empty()) return Reason::kSuccess;
  out.reason = static_cast<Reason>(in.u8());
  if (!in.empty())
    if (const Reason reason = read_properties(in, mqtt::in(frame.type), out.properties);
        reason != Reason::kSuccess)
      return reason;
  if (!in.empty()) return Reason::kMalformedPacket;
  return reason_allowed(frame.type, out.reason) ? Reason::kSuccess : Reason::kProtocolError;
}

Reason decode_disconnect(const Frame& frame, uint8_t version, Ack& out) {
  if (frame.flags != 0 || (version < 5 && !frame.body.empty())) return Reason::kMalformedPacket;
  Reader in(frame.body);
  if (in.empty()) return Reason::kSuccess;
  out.reason = static_cast<Reason>(in.u8());
  if (!in.empty())
    if (const Reason reason = read_properties(in, mqtt::in(frame.type), out.properties);
        reason != Reason::kSuccess)
      return reason;
  if (!in.empty()) return Reason::kMalformedPacket;
  // A reason that only a server may give still says that the client leaves: no answer helps it.
  return Reason::kSuccess;
}

Reason decode_auth(const Frame& frame, Ack& out) {
  if (frame.flags != 0) return Reason::kMalformedPacket;
  Reader in(frame.body);
  if (in.empty()) return Reason::kSuccess;
  out.reason = static_cast<Reason>(in.u8());
  if (!in.empty())
    if (const Reason reason = read_properties(in, mqtt::in(frame.type), out.properties);
        reason != Reason::kSuccess)
      return reason;
  if (!in.empty()) return Reason::kMalformedPacket;
  return reason_allowed(frame.type, out.reason) ? Reason::kSuccess : Reason::kProtocolError;
}

namespace {

// Flags, packet id and properties of SUBSCRIBE and UNSUBSCRIBE. With filters behind the block, a
// property that has no place there makes the whole packet doubtful: malformed. One that comes twice
// is a protocol error (3.8.2.1.2).
Reason decode_subscribe_head(const Frame& frame, uint8_t version, Reader& in, uint16_t& packet_id,
                             Properties& properties) {
  if ((version == 3 ? frame.flags & 7 : frame.flags) != 2) return Reason::kMalformedPacket;
  packet_id = in.u16();
  if (!in.ok() || packet_id == 0) return Reason::kMalformedPacket;
  if (version == 5) {
    const Reason reason = read_properties(in, mqtt::in(frame.type), properties);
    const bool twice = reason == Reason::kProtocolError && properties.subscription_ids.size() > 1 &&
                       frame.type == PacketType::kSubscribe;
    if (reason != Reason::kSuccess) return twice ? reason : Reason::kMalformedPacket;
  }
  return in.empty() ? Reason::kMalformedPacket : Reason::kSuccess;
}

// "$share/group/filter" needs both (4.8.2); wildcards have their places (4.7.1).
Reason check_filter(std::string_view filter) {
  if (filter.empty()) return Reason::kMalformedPacket;
  for (size_t i = 0; i < filter.size(); ++i) {
    if (filter[i] != '+' && filter[i] != '#') continue;
    const bool starts = i == 0 || filter[i - 1] == '/', last = i + 1 == filter.size();
    if (!starts || !(last || (filter[i] == '+' && filter[i + 1] == '/')))
      return Reason::kMalformedPacket;
  }
  constexpr std::string_view kShare = "$share/";
  if (!filter.starts_with(kShare)) return Reason::kSuccess;
  const std::string_view rest = filter.substr(kShare.size());
  const size_t slash = rest.find('/');
  const bool whole = slash != 0 && slash != std::string_view::npos && slash + 1 < rest.size() &&
                     rest.substr(0, slash).find_first_of("+#") == std::string_view::npos;
  return whole ? Reason::kSuccess : Reason::kProtocolError;
}

}  // namespace

Reason decode_subscribe(const Frame& frame, uint8_t version, Subscribe& out) {
  Reader in(frame.body);
  if (const Reason head = decode_subscribe_head(frame, version, in, out.packet_id, out.properties);
      head != Reason::kSuccess)
    return head;
  while (!in.empty()) {
    SubscribeEntry entry;
    entry.filter = in.text();
    if (!in.ok()) return Reason::kMalformedPacket;
    const Reason reason = check_filter(entry.filter);
    if (reason == Reason::kMalformedPacket) return reason;
    const uint8_t options = in.u8();
    if (!in.ok()) return Reason::kMalformedPacket;
    entry.qos = options & 3;
    entry.no_local = (options & 4) != 0;
    entry.retain_as_published = (options & 8) != 0;
    entry.retain_handling = (options >> 4) & 3;
    if (entry.qos == 3 || entry.retain_handling == 3) return Reason::kMalformedPacket;
    if ((version < 5 ? options & 0xfc : options & 0xc0) != 0) return Reason::kMalformedPacket;
    if (reason != Reason::kSuccess) return reason;
    if (entry.no_local && entry.filter.starts_with("$share/"))
      return Reason::kProtocolError;  // 3.8.3-4
    out.entries.push_back(entry);
  }
  return Reason::kSuccess;
}

Reason decode_unsubscribe(const Frame& frame, uint8_t version, Unsubscribe& out) {
  Reader in(frame.body);
  if (const Reason head = decode_subscribe_head(frame, version, in, out.packet_id, out.properties);
      head != Reason::kSuccess)
    return head;
  while (!in.empty()) {
    out.filters.push_back(in.text());
    if (!in.ok()) return Reason::kMalformedPacket;
    if (const Reason reason = check_filter(out.filters.back()); reason != Reason::kSuccess)
      return reason;
  }
  return Reason::kSuccess;
}

Reason decode_ping(const Frame& frame) {
  return frame.flags == 0 && frame.body.empty() ? Reason::kSuccess : Reason::kMalformedPacket;
}

ConnectPeek peek_connect(ByteView bytes, size_t packet_size_max) {
  using enum ConnectPeek::Kind;
  if (!bytes.empty() && (std::to_integer<uint8_t>(bytes[0]) >> 4) != 1) return {kOther, {}};
  const FrameResult found = read_frame(bytes, packet_size_max);
  if (found.kind == FrameResult::Kind::kNeedMore) return {kNeedMore, {}};
  if (found.kind != FrameResult::Kind::kFrame) return {kOther, {}};
  Connect connect;
  if (decode_connect(found.frame, connect) != Reason::kSuccess) return {kOther, {}};
  return {kConnect, connect.client_id};
}

// -- encoding

namespace {

void put_u8(Bytes& out, uint8_t n) { out.push_back(static_cast<std::byte>(n)); }
void put_u16(Bytes& out, uint16_t n) {
  put_u8(out, static_cast<uint8_t>(n >> 8));
  put_u8(out, static_cast<uint8_t>(n));
}
void put_u32(Bytes& out, uint32_t n) {
  put_u16(out, static_cast<uint16_t>(n >> 16));
  put_u16(out, static_cast<uint16_t>(n));
}
void put_variable(Bytes& out, size_t n) {
  CHECK(n < (1U << 28));
  do {
    const auto digit = static_cast<uint8_t>(n & 127);
    n >>= 7;
    put_u8(out, n ? digit | 128 : digit);
  } while (n);
}
size_t variable_size(size_t n) { return n < 128 ? 1 : n < 16'384 ? 2 : n < 2'097'152 ? 3 : 4; }
void put_binary(Bytes& out, ByteView bytes) {
  put_u16(out, static_cast<uint16_t>(bytes.size()));
  append_bytes(out, bytes);
}

// Calls visit(id, value) for each property present.
template <class Visit>
void visit_properties(const Properties& p, Visit&& visit) {
  const auto each = [&](uint8_t id, const auto& field) {
    if (field) visit(id, *field);
  };
  each(kPayloadFormat, p.payload_format);
  each(kMessageExpiry, p.message_expiry_s);
  each(kContentType, p.content_type);
  each(kResponseTopic, p.response_topic);
  each(kCorrelationData, p.correlation_data);
  each(kSessionExpiry, p.session_expiry_s);
  each(kAssignedClientId, p.assigned_client_id);
  each(kServerKeepAlive, p.server_keep_alive);
  each(kAuthMethod, p.authentication_method);
  each(kAuthData, p.authentication_data);
  each(kRequestProblem, p.request_problem_information);
  each(kRequestResponse, p.request_response_information);
  each(kResponseInformation, p.response_information);
  each(kServerReference, p.server_reference);
  each(kReasonString, p.reason_string);
  each(kReceiveMaximum, p.receive_maximum);
  each(kTopicAliasMaximum, p.topic_alias_maximum);
  each(kTopicAlias, p.topic_alias);
  each(kMaximumQos, p.maximum_qos);
  each(kRetainAvailable, p.retain_available);
  each(kMaximumPacketSize, p.maximum_packet_size);
  each(kWillDelay, p.will_delay_s);
  each(kWildcardAvailable, p.wildcard_available);
  each(kSubscriptionIdsAvailable, p.subscription_ids_available);
  each(kSharedAvailable, p.shared_available);
}

struct PropertySize {
  size_t size = 0;
  void operator()(uint8_t, uint8_t) { size += 2; }
  void operator()(uint8_t, uint16_t) { size += 3; }
  void operator()(uint8_t, uint32_t) { size += 5; }
  void operator()(uint8_t, std::string_view text) { size += 3 + text.size(); }
  void operator()(uint8_t, ByteView bytes) { size += 3 + bytes.size(); }
};
struct PropertyWriter {
  Bytes& out;
  void operator()(uint8_t id, uint8_t n) const { put_u8(out, id), put_u8(out, n); }
  void operator()(uint8_t id, uint16_t n) const { put_u8(out, id), put_u16(out, n); }
  void operator()(uint8_t id, uint32_t n) const { put_u8(out, id), put_u32(out, n); }
  void operator()(uint8_t id, std::string_view text) const {
    put_u8(out, id), put_binary(out, as_bytes(text));
  }
  void operator()(uint8_t id, ByteView bytes) const { put_u8(out, id), put_binary(out, bytes); }
};

size_t properties_size(const Properties& p) {
  PropertySize counter;
  visit_properties(p, counter);
  for (const uint32_t id : p.subscription_ids) counter.size += 1 + variable_size(id);
  for (const auto& [key, value] : p.user) counter.size += 5 + key.size() + value.size();
  return counter.size;
}

}  // namespace

void append_properties(Bytes& out, const Properties& p) {
  put_variable(out, properties_size(p));
  visit_properties(p, PropertyWriter{out});
  for (const uint32_t id : p.subscription_ids) {
    put_u8(out, kSubscriptionId);
    put_variable(out, id);
  }
  for (const auto& [key, value] : p.user) {
    put_u8(out, kUserProperty);
    put_binary(out, as_bytes(key));
    put_binary(out, as_bytes(value));
  }
}

void encode_connack_3(Bytes& out, bool session_present, uint8_t code) {
  put_u16(out, 0x2002);
  put_u8(out, session_present ? 1 : 0);
  put_u8(out, code);
}

void encode_connack_5(Bytes& out, bool session_present, Reason reason,
                      const Properties& properties) {
  const size_t size = properties_size(properties);
  put_u8(out, 0x20);
  put_variable(out, 2 + variable_size(size) + size);
  put_u8(out, session_present ? 1 : 0);
  put_u8(out, static_cast<uint8_t>(reason));
  append_properties(out, properties);
}

namespace {

size_t publish_body_size(const PublishHeader& h, const Properties& properties, ByteView payload) {
  size_t size = 2 + h.topic.size() + (h.qos > 0 ? 2 : 0) + payload.size();
  if (h.version == 5) {
    const size_t block = properties_size(properties);
    size += variable_size(block) + block;
  }
  return size;
}

}  // namespace

size_t publish_size(const PublishHeader& h, const Properties& properties, ByteView payload) {
  const size_t body = publish_body_size(h, properties, payload);
  return 1 + variable_size(body) + body;
}

void encode_publish(Bytes& out, const PublishHeader& h, const Properties& properties,
                    ByteView payload) {
  const size_t body = publish_body_size(h, properties, payload);
  out.reserve(out.size() + body + 5);
  put_u8(out, static_cast<uint8_t>(0x30 | (h.dup ? 8 : 0) | (h.qos << 1) | (h.retain ? 1 : 0)));
  put_variable(out, body);
  put_binary(out, as_bytes(h.topic));
  if (h.qos > 0) put_u16(out, h.packet_id);
  if (h.version == 5) append_properties(out, properties);
  append_bytes(out, payload);
}

void encode_ack(Bytes& out, PacketType type, uint8_t version, uint16_t packet_id, Reason reason,
                std::string_view why) {
  const bool with_reason = version == 5 && reason != Reason::kSuccess;
  Properties properties;
  if (with_reason && !why.empty()) properties.reason_string = why;
  const size_t block = properties_size(properties);
  put_u8(out, static_cast<uint8_t>(static_cast<unsigned>(type) << 4 |
                                   (type == PacketType::kPubrel ? 2U : 0U)));
  put_variable(out, (with_reason ? 3 : 2) + (block > 0 ? variable_size(block) + block : 0));
  put_u16(out, packet_id);
  if (with_reason) put_u8(out, static_cast<uint8_t>(reason));
  if (block > 0) append_properties(out, properties);
}

void encode_suback(Bytes& out, uint8_t version, uint16_t packet_id,
                   std::span<const Reason> reasons) {
  put_u8(out, 0x90);
  put_variable(out, 2 + (version == 5 ? 1 : 0) + reasons.size());
  put_u16(out, packet_id);
  if (version == 5) put_u8(out, 0);
  for (const Reason r : reasons)
    put_u8(out, version < 5 && static_cast<uint8_t>(r) > 2 ? 0x80 : static_cast<uint8_t>(r));
}

void encode_unsuback(Bytes& out, uint8_t version, uint16_t packet_id,
                     std::span<const Reason> reasons) {
  put_u8(out, 0xB0);
  put_variable(out, version == 5 ? 3 + reasons.size() : 2);
  put_u16(out, packet_id);
  if (version < 5) return;
  put_u8(out, 0);
  for (const Reason r : reasons) put_u8(out, static_cast<uint8_t>(r));
}

void encode_disconnect_5(Bytes& out, Reason reason, std::string_view reason_string) {
  put_u8(out, 0xE0);
  if (reason_string.empty()) {
    put_u8(out, 1);
    put_u8(out, static_cast<uint8_t>(reason));
    return;
  }
  Properties properties;
  properties.reason_string = reason_string;
  const size_t size = properties_size(properties);
  put_variable(out, 1 + variable_size(size) + size);
  put_u8(out, static_cast<uint8_t>(reason));
  append_properties(out, properties);
}

void encode_pingresp(Bytes& out) { put_u16(out, 0xD000); }

std::string_view explain(Reason reason) {
  switch (reason) {
    case Reason::kBadUserNameOrPassword:
      return "unknown user name or device, or wrong password or token";
    case Reason::kNotAuthorized:
      return "not permitted here: a device has the topics below devices/{its id}/";
    case Reason::kClientIdNotValid:
      return "this client id is not usable: it is too long, or another client's";
    case Reason::kBadAuthenticationMethod:
      return "enhanced authentication is not offered; use user name and password or a certificate";
    case Reason::kQuotaExceeded:
      return "a limit of the server is reached";
    case Reason::kTopicNameInvalid:
      return "the topic is too long, too deep, or has wildcards";
    case Reason::kServerUnavailable:
      return "the server cannot take clients now; try again later";
    default:
      return {};
  }
}

uint8_t connack_code_3(Reason reason) {
  switch (reason) {
    case Reason::kSuccess:
      return 0;
    case Reason::kUnsupportedVersion:
      return 1;
    case Reason::kClientIdNotValid:
      return 2;
    case Reason::kBadUserNameOrPassword:
      return 4;
    case Reason::kNotAuthorized:
    case Reason::kBanned:
      return 5;
    default:
      return 3;
  }
}

}  // namespace penstock::interop::mqtt
