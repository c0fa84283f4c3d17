#pragma once
// The client's half of MQTT 3.1.1 and 5.0, for bridges: what a client sends and a server answers.
// No I/O, no state. codec.h has the packets that both sides send.

#include <span>

#include "interop/mqtt/codec.h"

namespace penstock::interop::mqtt {

/// A CONNECT (3.1). `connect.version` is 4 or 5.
void encode_connect(Bytes& out, const Connect& connect);
/// A SUBSCRIBE (3.8) without identifiers.
void encode_subscribe(Bytes& out, uint8_t version, uint16_t packet_id,
                      std::span<const SubscribeEntry> entries);
void encode_unsubscribe(Bytes& out, uint8_t version, uint16_t packet_id,
                        std::span<const std::string_view> filters);
void encode_pingreq(Bytes& out);
/// Normal disconnection, the will is dropped.
void encode_disconnect(Bytes& out, uint8_t version);

struct Connack {
  bool session_present = false;
  Reason reason = Reason::kSuccess;  ///< of 3.1.1's return codes: the reason that says the same
  Properties properties;
};
struct Suback {
  uint16_t packet_id = 0;
  std::vector<Reason> reasons;
};
/// kSuccess, or why the packet is no such thing.
Reason decode_connack(const Frame& frame, uint8_t version, Connack& out);
/// SUBACK, and UNSUBACK, which in 3.1.1 has no reasons.
Reason decode_suback(const Frame& frame, uint8_t version, Suback& out);

/// One sentence for people: "the user name or password is wrong".
std::string_view connack_sentence(Reason reason);

}  // namespace penstock::interop::mqtt
