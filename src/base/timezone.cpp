#include "base/timezone.h"

#include <map>
#include <memory>
#include <mutex>

#include <date/tz.h>

#include "base/check.h"

namespace penstock {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

constexpr int64_t kHourUs = 3'600'000'000;
constexpr int64_t kDayUs = 24 * kHourUs;

int64_t floor_to(int64_t value, int64_t step) {
  const int64_t rest = value % step;
  return value - (rest < 0 ? rest + step : rest);
}

date::sys_seconds to_sys(Timestamp at) {
  return date::sys_seconds(seconds(floor_to(at.us, 1'000'000) / 1'000'000));
}

int64_t us_of(date::sys_seconds at) { return at.time_since_epoch().count() * 1'000'000; }

bool counts_local_clock(Duration bucket) { return bucket.us >= kHourUs && kDayUs % bucket.us == 0; }

}  // namespace

Result<const TimeZone*> TimeZone::find(std::string_view name) {
  static std::mutex mutex;
  static std::map<std::string, std::unique_ptr<TimeZone>, std::less<>> zones;
  const std::lock_guard lock(mutex);
  if (const auto found = zones.find(name); found != zones.end()) return found->second.get();
  try {  // the library throws for unknown names and for a missing tzdata
    const date::time_zone* zone = date::locate_zone(std::string(name));
    auto made = std::make_unique<TimeZone>(std::string(name), zone);
    return zones.emplace(std::string(name), std::move(made)).first->second.get();
  } catch (const std::exception& e) {
    return fail(ErrorCode::kInvalidArgument,
                "no such time zone; give an IANA name such as Europe/Berlin, and see that tzdata "
                "is installed",
                std::string(name));
  }
}

const TimeZone& TimeZone::utc() {
  static const TimeZone* const zone = [] {
    const auto found = find("Etc/UTC");
    CHECK(found);  // without tzdata nothing about days is right
    return *found;
  }();
  return *zone;
}

Duration TimeZone::offset(Timestamp at) const {
  return Duration::seconds(zone_->get_info(to_sys(at)).offset.count());
}

int64_t TimeZone::local_day(Timestamp at) const {
  return floor_to(at.us + offset(at).us, kDayUs) / kDayUs;
}

// The first instant at which the local clock shows `local_us` or, where it never does, the first
// instant after the jump.
Timestamp TimeZone::from_local(int64_t local_us) const {
  const date::local_seconds local(seconds(floor_to(local_us, 1'000'000) / 1'000'000));
  const auto info = zone_->get_info(local);
  if (info.result == date::local_info::nonexistent) return {us_of(info.first.end)};
  return {local_us - info.first.offset.count() * 1'000'000};
}

Timestamp TimeZone::day_start(Timestamp at) const { return from_local(local_day(at) * kDayUs); }
Timestamp TimeZone::day_end(Timestamp at) const { return from_local((local_day(at) + 1) * kDayUs); }

Timestamp TimeZone::bucket_start(Timestamp at, Duration bucket) const {
  CHECK(bucket.us > 0);
  if (bucket.us % kDayUs == 0) return from_local(floor_to(local_day(at) * kDayUs, bucket.us));
  if (!counts_local_clock(bucket)) return {floor_to(at.us, bucket.us)};
  const auto info = zone_->get_info(to_sys(at));
  const int64_t offset_us = info.offset.count() * 1'000'000;
  const int64_t local_start = floor_to(at.us + offset_us, bucket.us);  // divides the day
  const int64_t start = local_start - offset_us;
  if (start >= us_of(info.begin)) return {start};
  return from_local(local_start);  // the clock changed since the bucket began
}

Timestamp TimeZone::bucket_end(Timestamp at, Duration bucket) const {
  CHECK(bucket.us > 0);
  if (bucket.us % kDayUs == 0)
    return from_local(floor_to(local_day(at) * kDayUs, bucket.us) + bucket.us);
  if (!counts_local_clock(bucket)) return {floor_to(at.us, bucket.us) + bucket.us};
  const Timestamp start = bucket_start(at, bucket);
  const auto info = zone_->get_info(to_sys(at));
  const int64_t offset_us = info.offset.count() * 1'000'000;
  const int64_t end = floor_to(at.us + offset_us, bucket.us) + bucket.us - offset_us;
  if (end < us_of(info.end)) return {end};
  // The clock changes before the bucket is full: the change ends it, or it goes on after it.
  const Timestamp change{us_of(info.end)};
  const Timestamp after = bucket_start(change, bucket);
  return after > start ? after : bucket_end(change, bucket);
}

}  // namespace penstock
