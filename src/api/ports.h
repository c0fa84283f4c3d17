#pragma once
// What the API asks of alarms, rules, detectors and history. The rooms that own them do not know
// the API; adapters (or tests) stand between. All of them: any thread; times in UTC; errors as
// Result.

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "interfaces/alarms/books.h"
#include "twin/registry.h"
#include "twin/value.h"

namespace penstock::api {

using interfaces::AlarmBook;
using interfaces::AlarmEvent;
using interfaces::AlarmFilter;
using interfaces::AlarmItem;
using interfaces::AlarmState;
using interfaces::DetectorBook;
using interfaces::DetectorItem;
using interfaces::name;
using interfaces::parse_priority;
using interfaces::Priority;
using interfaces::RuleBook;
using interfaces::RuleItem;
using interfaces::RuleKind;

// -- history

enum class HistoryFunction : uint8_t { kAvg, kMin, kMax, kFirst, kLast, kCount };
std::string_view name(HistoryFunction function);

struct HistoryQuestion {
  std::vector<SeriesId> series;
  Timestamp from, to;              ///< from inclusive, to exclusive
  std::optional<Duration> bucket;  ///< one day: the site's day
  size_t points = 0;               ///< thin to about so many a series; 0: no thinning
  std::vector<HistoryFunction> functions;
  size_t limit = 1'000'000;  ///< rows a series at most
};

/// Columns of equal length; those not asked for are empty.
struct SeriesAnswer {
  SeriesId series;
  std::vector<Timestamp> time;
  std::vector<double> number;     ///< single values of numeric kinds; NaN: none
  std::vector<std::string> text;  ///< single values of kText and kObject
  std::vector<double> avg, min, max, first, last;
  std::vector<uint64_t> count;
  std::vector<twin::Quality> quality;
  struct Gap {
    Timestamp from, to;
  };
  std::vector<Gap> gaps;
};

struct HistoryAnswer {
  std::optional<Duration> bucket;
  std::vector<SeriesAnswer> series;  ///< as asked
  bool truncated = false;
};

class HistoryBook {
 public:
  virtual ~HistoryBook() = default;
  /// `cancelled` may become true while it runs: then it stops with kCancelled.
  virtual Result<HistoryAnswer> query(const HistoryQuestion& question,
                                      const std::atomic<bool>& cancelled) = 0;
  /// The same rows (time, twin, element, …) as one Parquet file.
  virtual Status export_parquet(const HistoryQuestion& question, const std::string& path,
                                const std::atomic<bool>& cancelled) = 0;
};

}  // namespace penstock::api
