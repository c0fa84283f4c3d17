#pragma once
// MQTT 3.1.1 (OASIS 2014) and 5.0 (OASIS 2019) packets: bytes in, structures out, and back. No I/O,
// no state, no allocation on the path of a PUBLISH. 3.1 (protocol name MQIsdp) is understood
// as 3.1.1.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace penstock::interop::mqtt {

enum class PacketType : uint8_t {
  kReserved = 0,
  kConnect = 1,
  kConnack,
  kPublish,
  kPuback,
  kPubrec,
  kPubrel,
  kPubcomp,
  kSubscribe,
  kSuback,
  kUnsubscribe,
  kUnsuback,
  kPingreq,
  kPingresp,
  kDisconnect,
  kAuth,
};

/// 5.0 section 2.4. In 3.1.1 only CONNACK and SUBACK carry a code; see connack_code_3().
enum class Reason : uint8_t {
  kSuccess = 0x00,
  kGrantedQos1 = 0x01,
  kGrantedQos2 = 0x02,
  kDisconnectWithWill = 0x04,
  kNoMatchingSubscribers = 0x10,
  kNoSubscriptionExisted = 0x11,
  kContinueAuthentication = 0x18,
  kReAuthenticate = 0x19,
  kUnspecified = 0x80,
  kMalformedPacket = 0x81,
  kProtocolError = 0x82,
  kImplementationError = 0x83,
  kUnsupportedVersion = 0x84,
  kClientIdNotValid = 0x85,
  kBadUserNameOrPassword = 0x86,
  kNotAuthorized = 0x87,
  kServerUnavailable = 0x88,
  kServerBusy = 0x89,
  kBanned = 0x8A,
  kServerShuttingDown = 0x8B,
  kBadAuthenticationMethod = 0x8C,
  kKeepAliveTimeout = 0x8D,
  kSessionTakenOver = 0x8E,
  kTopicFilterInvalid = 0x8F,
  kTopicNameInvalid = 0x90,
  kPacketIdInUse = 0x91,
  kPacketIdNotFound = 0x92,
  kReceiveMaximumExceeded = 0x93,
  kTopicAliasInvalid = 0x94,
  kPacketTooLarge = 0x95,
  kMessageRateTooHigh = 0x96,
  kQuotaExceeded = 0x97,
  kAdministrativeAction = 0x98,
  kPayloadFormatInvalid = 0x99,
  kRetainNotSupported = 0x9A,
  kQosNotSupported = 0x9B,
  kUseAnotherServer = 0x9C,
  kServerMoved = 0x9D,
  kSharedSubscriptionsNotSupported = 0x9E,
  kConnectionRateExceeded = 0x9F,
  kMaximumConnectTime = 0xA0,
  kSubscriptionIdsNotSupported = 0xA1,
  kWildcardSubscriptionsNotSupported = 0xA2,
};

/// The fixed header of the first packet in `bytes`.
struct Frame {
  PacketType type = PacketType::kConnect;
  uint8_t flags = 0;
  ByteView body;
  size_t size = 0;  ///< of the whole packet
};
struct FrameResult {
  enum class Kind : uint8_t { kFrame, kNeedMore, kMalformed, kTooLarge } kind = Kind::kNeedMore;
  Frame frame;
};
/// `packet_size_max` includes the fixed header. Flags and type are checked against 2.1.2 and 2.1.3
/// by the decoders.
FrameResult read_frame(ByteView bytes, size_t packet_size_max);

using UserProperty = std::pair<std::string_view, std::string_view>;

/// All properties of 2.2.2.2 that any packet may carry. Views into the packet.
struct Properties {
  std::optional<uint8_t> payload_format, request_problem_information, request_response_information,
      maximum_qos, retain_available, wildcard_available, subscription_ids_available,
      shared_available;
  std::optional<uint16_t> server_keep_alive, receive_maximum, topic_alias_maximum, topic_alias;
  std::optional<uint32_t> message_expiry_s, session_expiry_s, will_delay_s, maximum_packet_size;
  std::optional<std::string_view> content_type, response_topic, assigned_client_id,
      authentication_method, response_information, server_reference, reason_string;
  std::optional<ByteView> correlation_data, authentication_data;
  std::vector<uint32_t> subscription_ids;
  std::vector<UserProperty> user;
};

struct Connect {
  uint8_t version = 4;  ///< 3, 4 or 5
  bool clean_start = false;
  uint16_t keep_alive_s = 0;
  Properties properties;
  std::string_view client_id;
  bool has_will = false;
  uint8_t will_qos = 0;
  bool will_retain = false;
  Properties will_properties;
  std::string_view will_topic;
  ByteView will_payload;
  bool has_username = false, has_password = false;
  std::string_view username;
  ByteView password;
};

struct Publish {
  bool dup = false, retain = false;
  uint8_t qos = 0;
  std::string_view topic;  ///< may be empty with a topic alias
  uint16_t packet_id = 0;
  Properties properties;
  ByteView raw_properties;  ///< as they came, without the length; empty in 3.1.1
  ByteView payload;
};

/// PUBACK, PUBREC, PUBREL, PUBCOMP, and DISCONNECT and AUTH without a packet id.
struct Ack {
  uint16_t packet_id = 0;
  Reason reason = Reason::kSuccess;
  Properties properties;
};

struct SubscribeEntry {
  std::string_view filter;
  uint8_t qos = 0;
  bool no_local = false, retain_as_published = false;
  uint8_t retain_handling = 0;
};
struct Subscribe {
  uint16_t packet_id = 0;
  Properties properties;
  std::vector<SubscribeEntry> entries;
};
struct Unsubscribe {
  uint16_t packet_id = 0;
  Properties properties;
  std::vector<std::string_view> filters;
};

/// kSuccess, or why the packet is refused: kMalformedPacket, kProtocolError, … (what a 5.0 server
/// says in DISCONNECT).
Reason decode_connect(const Frame& frame, Connect& out);
Reason decode_publish(const Frame& frame, uint8_t version, Publish& out);
Reason decode_ack(const Frame& frame, uint8_t version, Ack& out);
/// The raw property block of a PUBLISH that was decoded before.
Reason decode_publish_properties(ByteView block, Properties& out);
Reason decode_subscribe(const Frame& frame, uint8_t version, Subscribe& out);
Reason decode_unsubscribe(const Frame& frame, uint8_t version, Unsubscribe& out);
Reason decode_disconnect(const Frame& frame, uint8_t version, Ack& out);
Reason decode_auth(const Frame& frame, Ack& out);
Reason decode_ping(const Frame& frame);

/// The property block (length and all) at the front of `rest`, which loses it; of a packet of type
/// `where`.
Reason read_property_block(ByteView& rest, PacketType where, Properties& out);

/// 1.5.4: well-formed UTF-8 without U+0000 and surrogates; control characters and non-characters,
/// which a server may refuse, are refused too.
bool valid_utf8(std::string_view text);

// -- encoding; all append to `out`

void append_properties(Bytes& out, const Properties& properties);
void encode_connack_3(Bytes& out, bool session_present, uint8_t code);
void encode_connack_5(Bytes& out, bool session_present, Reason reason,
                      const Properties& properties);
/// A PUBLISH; `packet_id` is used above QoS 0. In 5.0 the property block is raw (`raw_properties`,
/// forwarded ones) plus what `extra` has.
struct PublishHeader {
  uint8_t version = 4;
  bool dup = false, retain = false;
  uint8_t qos = 0;
  uint16_t packet_id = 0;
  std::string_view topic;
};
void encode_publish(Bytes& out, const PublishHeader& header, const Properties& properties,
                    ByteView payload);
/// Size of what encode_publish appends.
size_t publish_size(const PublishHeader& header, const Properties& properties, ByteView payload);
/// PUBACK, PUBREC, PUBREL, PUBCOMP: two bytes where `reason` is kSuccess or the version is 3.1.1.
/// `why` is for people, and only for 5.0.
void encode_ack(Bytes& out, PacketType type, uint8_t version, uint16_t packet_id, Reason reason,
                std::string_view why = {});
void encode_suback(Bytes& out, uint8_t version, uint16_t packet_id,
                   std::span<const Reason> reasons);
void encode_unsuback(Bytes& out, uint8_t version, uint16_t packet_id,
                     std::span<const Reason> reasons);
void encode_disconnect_5(Bytes& out, Reason reason, std::string_view reason_string = {});
void encode_pingresp(Bytes& out);

/// One sentence for the person at the client; empty where the code says it all.
std::string_view explain(Reason reason);

/// CONNACK return code of 3.1.1 table 3.1 for a reason.
uint8_t connack_code_3(Reason reason);

/// What a server must know before it can place a connection: only CONNECT's client id. Cheap;
/// validates no more.
struct ConnectPeek {
  enum class Kind : uint8_t { kNeedMore, kConnect, kOther } kind = Kind::kNeedMore;
  std::string_view client_id;  ///< into the bytes given
};
ConnectPeek peek_connect(ByteView bytes, size_t packet_size_max = 1 << 20);

}  // namespace penstock::interop::mqtt
