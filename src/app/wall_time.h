#pragma once
// Times as files write them: RFC 3339, "2020-03-09 10:34:33" in some zone, or numbers since 1970.

#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "base/timezone.h"

namespace penstock::app {

class WallTime {
 public:
  /// By IANA name: the zone of times that name none.
  static Result<WallTime> in_zone(std::string_view zone);

  /// Numbers are seconds, milliseconds, microseconds or nanoseconds by their size. A local time
  /// that is lived twice is the first one.
  [[nodiscard]] Result<Timestamp> parse(std::string_view text) const;

 private:
  explicit WallTime(const TimeZone* zone) : zone_(zone) {}
  const TimeZone* zone_;
};

}  // namespace penstock::app
