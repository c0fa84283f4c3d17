#include "app/wall_time.h"

#include <charconv>
#include <cmath>
#include <optional>
#include <string>

namespace penstock::app {
namespace {

std::optional<double> number_of(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Above 10^11 seconds would be the year 5138: then it is a finer unit.
Timestamp since_epoch(double value) {
  const double size = std::fabs(value);
  const double per_us = size < 1e11 ? 1e6 : size < 1e14 ? 1e3 : size < 1e17 ? 1 : 1e-3;
  return {std::llround(value * per_us)};
}

}  // namespace

Result<WallTime> WallTime::in_zone(std::string_view name) {
  TRY_ASSIGN(const TimeZone* zone, TimeZone::find(name));
  return WallTime(zone);
}

Result<Timestamp> WallTime::parse(std::string_view text) const {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  if (const auto number = number_of(text)) return since_epoch(*number);
  std::string iso(text);
  if (iso.size() == 10) iso += "T00:00:00";
  if (iso.size() > 10 && iso[10] == ' ') iso[10] = 'T';
  if (iso.size() == 16) iso += ":00";
  if (const auto with_offset = parse_rfc3339(iso)) return *with_offset;
  const auto local = parse_rfc3339(iso + "Z");
  if (!local)
    return fail(ErrorCode::kInvalidArgument,
                "this is no time: write it as 2020-03-09T10:34:33Z, 2020-03-09 10:34:33 or a "
                "number since 1970",
                std::string(text));
  // The offset before and after a change of clocks: the earlier instant whose local time this is.
  for (const Duration guess :
       {zone_->offset({local->us - Duration::hours(26).us}), zone_->offset(*local)}) {
    const Timestamp at = *local - guess;
    if (zone_->offset(at) == guess) return at;
  }
  return *local - zone_->offset(*local - zone_->offset(*local));
}

}  // namespace penstock::app
