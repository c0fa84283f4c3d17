#pragma once
// A rule on one twin, ready for a shard.

#include "base/ids.h"
#include "base/time.h"
#include "interfaces/alarms/books.h"

namespace penstock::interfaces {

struct CompiledRule {
  RuleId id;
  TwinId twin;
  SeriesId series;  ///< none: kStale of the whole twin
  RuleKind kind = RuleKind::kThreshold;
  bool above = true;  ///< else below
  double limit = 0;   ///< unit of the element; kRate: per second; kStale: seconds
  double hysteresis = 0;
  Duration on_delay, off_delay;
  Duration window = Duration::minutes(1);  ///< of kRate
};

}  // namespace penstock::interfaces
