#pragma once
// Shared by the parts of the host.

#include "interop/sparkplug/host.h"

namespace penstock::interop::sparkplug {

struct Host::Counters {
  explicit Counters(Metrics& metrics);
  Counter* messages[9];  // by MessageType
  Counter* rebirths[kRebirths];
  Counter& malformed;
  Counter& out_of_order;
  Counter& gaps;
  Counter& late;
  Counter& stale_deaths;
  Counter& rejected;
  Counter& transient;
  Counter& refused_limit;
  Counter& lost;
};

// Kinds of kSparkplug records; each begins with one byte. Numbers on disk: never reuse one.
//   birth, death, held: text link, u32 organisation, i64 received (µs), text topic, text payload.
//     A death of the empty payload is our own conclusion: nothing was heard for too long.
//   settled: u32 organisation, text group, text node, u32 count, then the sequence numbers (u8)
//     that wait no longer.
enum class Host::Record : uint8_t { kBirth = 1, kDeath = 2, kHeld = 3, kSettled = 4 };

/// Of an NBIRTH or NDEATH (tck-id-payloads-nbirth-bdseq, -ndeath-bdseq).
std::optional<uint64_t> read_bdseq(ByteView payload);
/// The payload's timestamp, where it has one that a calendar knows.
std::optional<Timestamp> sent_at(const PayloadInfo& info);
/// The sender's clock less ours.
int64_t clock_offset_us(const PayloadInfo& info, Timestamp received);

}  // namespace penstock::interop::sparkplug
