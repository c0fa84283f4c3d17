#pragma once
// What the server keeps of one client (4.1): subscriptions, what waits for it, and the state of its
// deliveries.

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "interop/mqtt/codec.h"
#include "interop/mqtt/host.h"
#include "interop/mqtt/subscription_index.h"

namespace penstock::interop::mqtt {

inline constexpr uint32_t kNeverExpires = 0xFFFFFFFF;  ///< session expiry interval (3.1.2.11.2)

/// A message on its way to subscribers. Shared by all of them; immutable.
struct Message {
  uint64_t id = 0;  ///< unique over restarts
  std::string topic;
  Bytes payload;
  Bytes properties;  ///< raw block of 5.0 as it came; topic alias and expiry are taken out when it
                     ///< is forwarded
  uint8_t qos = 0;
  bool retain = false;
  uint32_t expiry_s = 0;  ///< 0: none
  Timestamp received;
  std::string publisher;  ///< client id, for No Local

  [[nodiscard]] bool expired(Timestamp now) const {
    return expiry_s > 0 && now - received >= Duration::seconds(expiry_s);
  }
  [[nodiscard]] size_t weight() const {
    return sizeof *this + topic.size() + payload.size() + properties.size();
  }
};
using MessagePtr = std::shared_ptr<const Message>;

/// A message with how this client wants it.
struct Delivery {
  MessagePtr message;
  uint8_t qos = 0;
  bool retain = false;
  std::vector<uint32_t> subscription_ids;
  std::string group;  ///< of the shared subscription that it came by; else empty
};

struct Will {
  MessagePtr message;
  uint32_t delay_s = 0;
};

/// Deliveries and their states; made when the first message comes, so that an idle client costs
/// little.
struct Outbox {
  struct InFlight {
    Delivery delivery;
    enum class State : uint8_t { kWaitsForJournal, kSent, kReleased } state = State::kSent;
    bool to_resend = false;  ///< not sent on this connection yet
  };
  std::deque<Delivery> queue;
  size_t queue_bytes = 0;
  std::map<uint16_t, InFlight> in_flight;
  std::deque<uint16_t> order;  ///< packet ids in the order they were sent
  size_t to_resend = 0;        ///< of in_flight
  uint16_t next_id = 1;
};

struct Session {
  std::string client_id;
  std::string owner;  ///< whose it is; nobody else gets it. Empty: nobody's yet
  std::shared_ptr<Subscriber> subscriber;  ///< as the index knows it
  std::shared_ptr<const Principal> principal;
  ConnectionId connection;  ///< none while away
  uint32_t expiry_s = 0;
  Timestamp gone_since;  ///< while away; for the journal
  int64_t gone_us = 0;   ///< the same on this process's monotonic clock, which no setting moves
  std::map<std::string, SubscriptionOptions> subscriptions;
  std::unique_ptr<Outbox> outbox;
  std::set<uint16_t> received_qos2;  ///< packet ids between PUBLISH and PUBREL
  std::unique_ptr<Will> will;
  int64_t will_due_us = 0;  ///< monotonic; 0: not waiting

  [[nodiscard]] bool persistent() const { return expiry_s > 0; }
};

}  // namespace penstock::interop::mqtt
