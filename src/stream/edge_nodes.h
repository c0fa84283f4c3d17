#pragma once
// What people may ask about edge nodes (Sparkplug): how each stands with its host, and a new birth.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"

namespace penstock::stream {

enum class EdgeState : uint8_t {
  kUnborn,       ///< it sent data, but never a birth
  kOnline,       ///< born, and not dead since
  kUnconfirmed,  ///< known from before (a restart, the node's new birth); to be heard of soon
  kOffline,      ///< dead, or silent for too long: its values are uncertain
};
constexpr std::string_view name(EdgeState state) {
  switch (state) {
    case EdgeState::kUnborn:
      return "unborn";
    case EdgeState::kOnline:
      return "online";
    case EdgeState::kUnconfirmed:
      return "unconfirmed";
    case EdgeState::kOffline:
      break;
  }
  return "offline";
}

/// A device behind an edge node.
struct EdgeDevice {
  std::string id;      ///< in the topics
  std::string device;  ///< its canonical name here
  EdgeState state = EdgeState::kOffline;
  Timestamp born, died;  ///< the last ones; 0: never
  uint64_t metrics = 0;  ///< of its last birth
};

struct EdgeNode {
  std::string group, node;
  std::string device;  ///< its canonical name here
  std::string link;    ///< the bridge it comes through; empty: our own broker
  EdgeState state = EdgeState::kUnborn;
  Timestamp born, died, last_message;
  std::optional<uint64_t> bdseq;  ///< of the last birth
  std::optional<uint32_t> seq;    ///< of the last message in order
  uint64_t metrics = 0;           ///< the node's own, of its last birth
  int64_t clock_offset_ms = 0;    ///< its clock less ours, at its last message
  // Counts since the server's start.
  uint64_t births = 0, deaths = 0, messages = 0;
  uint64_t out_of_order = 0;  ///< messages ahead of their turn
  uint64_t gaps = 0;          ///< given up after the reorder time-out
  uint64_t late = 0;          ///< messages behind their turn: repeats
  uint64_t stale_deaths = 0;  ///< NDEATH of an older session, by its bdSeq
  uint64_t same_bdseq = 0;    ///< new sessions that did not move bdSeq
  uint64_t rejected_metrics = 0;
  uint64_t rebirths_asked = 0;
  std::string rebirth_reason;  ///< of the last one asked for
  uint64_t held = 0;           ///< messages that wait for their turn now
  std::vector<EdgeDevice> devices;
};

/// Any thread; milliseconds.
class EdgeNodes {
 public:
  virtual ~EdgeNodes() = default;
  /// By group and node.
  virtual std::vector<EdgeNode> edge_nodes(OrganisationId organisation) = 0;
  /// Asks the node for its births. kNotFound; kConflict: asked a moment ago.
  virtual Status ask_rebirth(OrganisationId organisation, std::string_view group,
                             std::string_view node, std::string_view who) = 0;
};

}  // namespace penstock::stream
