#pragma once
// What a host keeps of one edge node.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/ids.h"
#include "interop/sparkplug/payload.h"
#include "interop/sparkplug/topic.h"
#include "interop/sparkplug/values.h"
#include "stream/edge_nodes.h"

namespace penstock::interop::sparkplug {

/// A message as the host works with it. Views; a held one owns them (Held).
struct Arrival {
  std::string_view link;
  OrganisationId organisation;
  std::string_view topic_text;
  Topic topic;  ///< parsed from topic_text
  ByteView payload;
  Timestamp received;
  PayloadInfo info;  ///< read from payload
  bool joining = false;
};

/// A message ahead of its turn.
struct Held {
  uint8_t seq = 0;
  std::string link, topic;
  Bytes payload;
  Timestamp received;
  bool joining = false;
};

/// What has births of its own: the node, or a device behind it.
struct Source {
  std::string id;      ///< of a device; empty: the node itself
  std::string device;  ///< canonical name
  Dictionary known;    ///< of its last birth
  stream::EdgeState state = stream::EdgeState::kUnborn;
  Timestamp born;             ///< received time of the last birth
  Timestamp died;             ///< by the node's clock: since when its values were uncertain
  int64_t confirm_by_us = 0;  ///< monotonic; 0: not unconfirmed
  bool present = false;       ///< as the connection view was told
};

/// Why a rebirth is asked for.
enum class Rebirth : uint8_t { kNoBirth, kGap, kUnknownMetric, kRestart, kLink, kAsked };
inline constexpr size_t kRebirths = 6;
std::string_view name(Rebirth reason);

struct Node {
  OrganisationId organisation;
  std::string group, node, link;
  Source self;
  std::map<std::string, Source, std::less<>> devices;
  std::optional<uint64_t> bdseq;
  Timestamp last_message;
  int64_t clock_offset_us = 0;  ///< payload's timestamp less the time of its arrival

  // -- order
  int expected = -1;  ///< next sequence number; -1: any
  std::optional<uint8_t> last_seq;
  std::vector<Held> held;  ///< not ordered
  size_t held_bytes = 0;
  int64_t gap_until_us = 0;  ///< monotonic; 0: nothing is missing
  uint32_t late_in_a_row = 0;
  bool from_before = false;  ///< restored, and no birth since

  // -- rebirth requests
  int64_t ask_after_us = 0;  ///< monotonic
  int64_t ask_interval_us = 0;
  bool asked = false;  ///< and not born since
  Rebirth reason = Rebirth::kNoBirth;
  std::optional<Rebirth> ask_later;  ///< too soon when there was reason to

  stream::EdgeNode counts;  ///< only its counts are kept here
};

struct NodeKey {
  OrganisationId organisation;
  std::string group, node;
};
struct NodeKeyView {
  OrganisationId organisation;
  std::string_view group, node;
};
struct NodeKeyLess {
  using is_transparent = void;
  template <class A, class B>
  bool operator()(const A& a, const B& b) const {
    return std::tuple(a.organisation.value, std::string_view(a.group), std::string_view(a.node)) <
           std::tuple(b.organisation.value, std::string_view(b.group), std::string_view(b.node));
  }
};

}  // namespace penstock::interop::sparkplug
