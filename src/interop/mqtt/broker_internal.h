#pragma once
// Shared by the broker's files, and by nobody else.

#include "base/bytes.h"
#include "interop/mqtt/broker.h"

namespace penstock::interop::mqtt {

struct Broker::Connection {
  ConnectionId id;
  PeerInfo peer;
  enum class State : uint8_t { kNew, kAuthenticating, kOpen, kClosed } state = State::kNew;
  uint8_t version = 4;
  Session* session = nullptr;
  Bytes partial;                   ///< bytes of an unfinished packet
  std::unique_ptr<Bytes> connect;  ///< the CONNECT, until authentication has answered
  uint16_t keep_alive_s = 0;
  int64_t last_heard_us = 0;
  uint16_t open_publishes = 0;  ///< QoS 1 and 2 from the client, not acknowledged yet
  uint16_t receive_maximum = 65'535;
  uint32_t packet_size_max = 0;  ///< 0: no limit
  uint16_t alias_maximum = 0;    ///< towards the client
  bool problem_information = true;
  bool expiry_shortened = false, id_assigned = false, keep_alive_set = false;
  std::vector<std::string> aliases_in;
  std::map<std::string, uint16_t, std::less<>> aliases_out;
};

struct Broker::Counters {
  explicit Counters(Metrics& m);
  Counter &publishes_in, &publishes_out, &connects, &refused_auth, &refused_protocol, &malformed,
      &taken_over, &kept_alive_out, &dropped_slow, &dropped_full, &dropped_expired,
      &dropped_too_large, &dropped_no_session, &denied_publish, &denied_subscribe, &quota;
};

/// A subscriber that matched, with the options that count for it.
struct Broker::Target {
  std::shared_ptr<Subscriber> subscriber;
  uint8_t qos = 0;
  bool retain_as_published = false;
  std::vector<uint32_t> ids;
  std::string group;  ///< of a shared subscription
};

/// kMqtt journal records; numbers on disk. Each: u8 record, text client id, fields.
enum class Broker::Record : uint8_t {
  kSessionOpen = 1,  // u32 expiry, text owner
  kSessionGone = 2,  // i64 since: connection ended, session stays
  kSessionEnd = 3,   //
  kSubscribe = 4,    // text filter, options
  kUnsubscribe = 5,  // text filter
  kPublish =
      6,  // message, u32 n, n targets: text client id, u8 qos, u8 retain, u32 k, k ids, text group
  kAssigned = 7,  // u64 message id, u16 packet id (QoS 2)
  kReleased = 8,  // u16 packet id: PUBREC came
  kDone = 9,      // u64 message id: acknowledged
  kQos2In = 10,   // u16 packet id
  kQos2Out = 11,  // u16 packet id
  kRetain = 12,   // message (empty payload: cleared)
};

/// Between shards. Each: u8 kind, fields.
enum class Broker::Wire : uint8_t {
  kFacts = 1,        // text client, u32 shard, u8 persistent, u8 connected
  kSubscribe = 2,    // text client, u32 shard, u8 persistent, u8 connected, text filter, options
  kUnsubscribe = 3,  // text client, text filter
  kDeliver = 4,      // message, targets
  kRetain = 5,       // message
};

void write_message(Bytes& out, const Message& message);
MessagePtr read_message(ByteReader& in);
void write_options(Bytes& out, const SubscriptionOptions& options);
SubscriptionOptions read_options(ByteReader& in);

}  // namespace penstock::interop::mqtt
