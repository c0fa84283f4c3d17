#include "interop/mqtt/client_codec.h"

#include "base/check.h"

namespace penstock::interop::mqtt {
namespace {

void put_u8(Bytes& out, unsigned n) { out.push_back(static_cast<std::byte>(n)); }
void put_u16(Bytes& out, unsigned n) {
  put_u8(out, n >> 8 & 255);
  put_u8(out, n & 255);
}
void put_text(Bytes& out, std::string_view text) {
  CHECK(text.size() <= 65'535);
  put_u16(out, static_cast<unsigned>(text.size()));
  append_bytes(out, std::as_bytes(std::span(text)));
}

void put_packet(Bytes& out, unsigned first, ByteView body) {
  CHECK(body.size() < (1U << 28));
  put_u8(out, first);
  size_t left = body.size();
  do {
    const size_t digit = left & 127;
    left >>= 7;
    put_u8(out, static_cast<unsigned>(left > 0 ? digit | 128 : digit));
  } while (left > 0);
  append_bytes(out, body);
}

// 3.1.1 table 3.1.
Reason reason_of_code_3(uint8_t code) {
  switch (code) {
    case 0:
      return Reason::kSuccess;
    case 1:
      return Reason::kUnsupportedVersion;
    case 2:
      return Reason::kClientIdNotValid;
    case 3:
      return Reason::kServerUnavailable;
    case 4:
      return Reason::kBadUserNameOrPassword;
    case 5:
      return Reason::kNotAuthorized;
    default:
      return Reason::kUnspecified;
  }
}

uint8_t u8_at(ByteView bytes, size_t at) { return std::to_integer<uint8_t>(bytes[at]); }

}  // namespace

void encode_connect(Bytes& out, const Connect& c) {
  Bytes body;
  put_text(body, "MQTT");
  put_u8(body, c.version);
  unsigned flags = c.clean_start ? 2 : 0;
  if (c.has_will) flags |= 4U | static_cast<unsigned>(c.will_qos) << 3;
  if (c.has_will && c.will_retain) flags |= 0x20;
  if (c.has_password) flags |= 0x40;
  if (c.has_username) flags |= 0x80;
  put_u8(body, flags);
  put_u16(body, c.keep_alive_s);
  if (c.version == 5) append_properties(body, c.properties);
  put_text(body, c.client_id);
  if (c.has_will) {
    if (c.version == 5) append_properties(body, c.will_properties);
    put_text(body, c.will_topic);
    put_text(body, as_text(c.will_payload));
  }
  if (c.has_username) put_text(body, c.username);
  if (c.has_password) put_text(body, as_text(c.password));
  put_packet(out, 0x10, body);
}

void encode_subscribe(Bytes& out, uint8_t version, uint16_t packet_id,
                      std::span<const SubscribeEntry> entries) {
  Bytes body;
  put_u16(body, packet_id);
  if (version == 5) put_u8(body, 0);
  for (const SubscribeEntry& entry : entries) {
    put_text(body, entry.filter);
    unsigned options = entry.qos;
    if (version == 5)
      options |= (entry.no_local ? 4U : 0U) | (entry.retain_as_published ? 8U : 0U) |
                 static_cast<unsigned>(entry.retain_handling) << 4;
    put_u8(body, options);
  }
  put_packet(out, 0x82, body);
}

void encode_unsubscribe(Bytes& out, uint8_t version, uint16_t packet_id,
                        std::span<const std::string_view> filters) {
  Bytes body;
  put_u16(body, packet_id);
  if (version == 5) put_u8(body, 0);
  for (const std::string_view filter : filters) put_text(body, filter);
  put_packet(out, 0xA2, body);
}

void encode_pingreq(Bytes& out) { put_u16(out, 0xC000); }

void encode_disconnect(Bytes& out, uint8_t version) {
  (void)version;  // in 5.0 too: reason 0 is left out (3.14.2.1)
  put_u16(out, 0xE000);
}

Reason decode_connack(const Frame& frame, uint8_t version, Connack& out) {
  if (frame.flags != 0 || frame.body.size() < 2) return Reason::kMalformedPacket;
  const uint8_t flags = u8_at(frame.body, 0);
  if (flags > 1) return Reason::kMalformedPacket;
  out.session_present = flags == 1;
  if (version < 5) {
    if (frame.body.size() != 2) return Reason::kMalformedPacket;
    out.reason = reason_of_code_3(u8_at(frame.body, 1));
    return Reason::kSuccess;
  }
  out.reason = static_cast<Reason>(u8_at(frame.body, 1));
  ByteView rest = frame.body.subspan(2);
  // A server that refuses version 5 may answer as 3.1.1 does.
  if (rest.empty()) {
    if (out.reason != Reason::kSuccess) out.reason = Reason::kUnsupportedVersion;
    return out.reason == Reason::kSuccess ? Reason::kMalformedPacket : Reason::kSuccess;
  }
  const Reason reason = read_property_block(rest, PacketType::kConnack, out.properties);
  if (reason != Reason::kSuccess) return reason;
  return rest.empty() ? Reason::kSuccess : Reason::kMalformedPacket;
}

Reason decode_suback(const Frame& frame, uint8_t version, Suback& out) {
  if (frame.flags != 0 || frame.body.size() < 2) return Reason::kMalformedPacket;
  out.packet_id = static_cast<uint16_t>(u8_at(frame.body, 0) << 8 | u8_at(frame.body, 1));
  if (out.packet_id == 0) return Reason::kProtocolError;
  ByteView rest = frame.body.subspan(2);
  if (version == 5) {
    Properties properties;
    const Reason reason = read_property_block(rest, frame.type, properties);
    if (reason != Reason::kSuccess) return reason;
  }
  out.reasons.clear();
  for (const std::byte code : rest) out.reasons.push_back(static_cast<Reason>(code));
  if (out.reasons.empty() && (version == 5 || frame.type == PacketType::kSuback))
    return Reason::kMalformedPacket;
  return Reason::kSuccess;
}

std::string_view connack_sentence(Reason reason) {
  switch (reason) {
    case Reason::kUnsupportedVersion:
      return "the broker does not speak this version of MQTT: choose the other one";
    case Reason::kClientIdNotValid:
      return "the broker does not take this client id";
    case Reason::kBadUserNameOrPassword:
      return "the broker says that the user name or password is wrong";
    case Reason::kNotAuthorized:
      return "the broker does not let this user or certificate in";
    case Reason::kServerUnavailable:
    case Reason::kServerBusy:
    case Reason::kServerShuttingDown:
      return "the broker is busy or shutting down";
    case Reason::kBanned:
      return "the broker has banned this client";
    case Reason::kUseAnotherServer:
    case Reason::kServerMoved:
      return "the broker says that it has moved: ask its people for the new address";
    case Reason::kConnectionRateExceeded:
      return "the broker says that connections come too often";
    case Reason::kQuotaExceeded:
      return "the broker says that a quota is exceeded";
    default: {
      const std::string_view known = explain(reason);
      return known.empty() ? "the broker refused the connection" : known;
    }
  }
}

}  // namespace penstock::interop::mqtt
