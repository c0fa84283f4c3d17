#pragma once
// What a bridge remembers of messages it has taken, so that one that the other broker delivers
// again is not taken twice, even over kill -9: it is journalled in the batch of the message's
// samples. docs/bridge.md says what holds when.

#include <bitset>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace penstock::interop::mqtt {

/// One a bridge; its shard's thread. 24 KiB.
class BridgeMemory {
 public:
  /// More than the other broker may have open towards us.
  static constexpr size_t kWindow = 2048;

  BridgeMemory() : recent_(kWindow) {}

  /// Whether a message that comes at QoS 1 or 2 has been taken before. At QoS 2 that is what the
  /// standard says (4.3.3). At QoS 1 it takes DUP, the packet id and the same content, and a broker
  /// that counts its ids up: one that uses them again at once may mean another message.
  [[nodiscard]] bool taken(uint16_t id, uint8_t qos, bool dup, uint32_t digest) const;
  void note(uint16_t id, uint8_t qos, bool dup, uint32_t digest);
  /// Could not be made durable: it is to be taken when it comes again.
  void remove(uint16_t id);
  /// PUBREL came: the id is free for another message.
  void release(uint16_t id) { open_[id] = false; }
  /// The other broker knows nothing of an earlier session.
  void forget();

  /// Filters that the other broker has acknowledged, with their QoS ("1 plant/#").
  std::vector<std::string> subscribed;

  /// Of topic and payload.
  static uint32_t digest(std::string_view topic, ByteView payload);

  // -- in the journal and in checkpoints: kMqtt records that begin with a byte from 100 on
  static bool is_record(ByteView body);
  /// Whose record it is.
  static std::string_view bridge_of(ByteView body);
  void taken_record(Bytes& out, std::string_view bridge, uint16_t id, uint8_t qos,
                    uint32_t digest) const;
  static void released_record(Bytes& out, std::string_view bridge, uint16_t id);
  static void forgotten_record(Bytes& out, std::string_view bridge);
  void subscribed_record(Bytes& out, std::string_view bridge) const;
  void replay(ByteView body);
  void snapshot(Bytes& out) const;
  /// False: no such bytes.
  bool restore(ByteReader& in);

 private:
  struct Entry {
    uint16_t id = 0;  // 0: none
    uint32_t digest = 0;
  };
  [[nodiscard]] const Entry* find(uint16_t id) const;

  std::vector<Entry> recent_;  // a ring, QoS 1
  size_t next_ = 0;
  std::bitset<65'536> known_;  // ids in the ring
  std::bitset<65'536> open_;   // QoS 2, between PUBLISH and PUBREL
  bool recycles_ = false;      // an id came again for another message within the window
};

}  // namespace penstock::interop::mqtt
