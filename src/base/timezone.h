#pragma once
// Time zones, for the edges: where does the site's day begin, which hour is it there. Rules are the
// operating system's tzdata, read by Howard Hinnant's date library; DST changes make days of 23 and
// 25 hours, and these are right here.

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace date {
class time_zone;
}

namespace penstock {

/// One zone. Instances live for ever and are shared; any thread.
class TimeZone {
 public:
  /// By IANA name ("Europe/Berlin"). kInvalidArgument where tzdata has no such zone.
  static Result<const TimeZone*> find(std::string_view name);
  static const TimeZone& utc();

  [[nodiscard]] const std::string& name() const { return name_; }

  /// Local clock minus UTC at that instant.
  [[nodiscard]] Duration offset(Timestamp at) const;
  /// First instant of the local day that `at` lies in. Not always local 00:00: in some zones DST
  /// begins at midnight, and the day at 01:00.
  [[nodiscard]] Timestamp day_start(Timestamp at) const;
  /// First instant of the next local day: 23, 24 or 25 hours after the start of this one.
  [[nodiscard]] Timestamp day_end(Timestamp at) const;

  /// First instant of the bucket that `at` lies in. Buckets cover time without holes:
  ///  - whole days: local days, counted from 1970-01-01 of the local calendar;
  ///  - 1 h and more that divide a day: local clock time from local midnight (an hour that is lived
  ///    twice is two buckets);
  ///  - all others: multiples since the epoch, in UTC.
  /// REQUIRES: bucket.us > 0.
  [[nodiscard]] Timestamp bucket_start(Timestamp at, Duration bucket) const;
  /// Start of the bucket after the one that `at` lies in.
  [[nodiscard]] Timestamp bucket_end(Timestamp at, Duration bucket) const;

  /// Local calendar day of `at`, as days since 1970-01-01.
  [[nodiscard]] int64_t local_day(Timestamp at) const;

  TimeZone(std::string name, const date::time_zone* zone) : name_(std::move(name)), zone_(zone) {}

 private:
  [[nodiscard]] Timestamp from_local(int64_t local_us) const;

  std::string name_;
  const date::time_zone* zone_;
};

}  // namespace penstock
