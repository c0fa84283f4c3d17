#include "api/history_shape.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include <date/tz.h>

namespace penstock::api {
namespace {

constexpr int64_t kDayUs = 86'400'000'000;

const date::time_zone* zone_of(std::string_view name) {
  try {
    return date::locate_zone(std::string(name));
  } catch (const std::runtime_error&) {
    return nullptr;
  }
}

date::sys_time<std::chrono::microseconds> to_sys(Timestamp time) {
  return date::sys_time<std::chrono::microseconds>(std::chrono::microseconds(time.us));
}

/// The instant at which a local day begins: the first that exists, where clocks jump over midnight.
Timestamp start_of(const date::time_zone* zone, date::local_days day) {
  if (zone == nullptr)
    return {std::chrono::duration_cast<std::chrono::microseconds>(day.time_since_epoch()).count()};
  const auto instant = zone->to_sys(std::chrono::time_point_cast<std::chrono::microseconds>(day),
                                    date::choose::earliest);
  return {instant.time_since_epoch().count()};
}

std::vector<Timestamp> day_boundaries(Timestamp from, Timestamp to, int64_t days,
                                      std::string_view time_zone) {
  const date::time_zone* zone = zone_of(time_zone);
  const auto local =
      zone != nullptr
          ? zone->to_local(to_sys(from))
          : date::local_time<std::chrono::microseconds>(to_sys(from).time_since_epoch());
  auto day = date::floor<date::days>(local);
  // Several days together begin at a day whose number is a multiple, so that two queries agree.
  const auto number = day.time_since_epoch().count();
  day -= date::days(((number % days) + days) % days);
  std::vector<Timestamp> out;
  for (;; day += date::days(days)) {
    out.push_back(start_of(zone, day));
    if (out.back() >= to) return out;
  }
}

int64_t median(std::vector<int64_t> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

std::vector<Timestamp> bucket_boundaries(Timestamp from, Timestamp to, Duration width,
                                         std::string_view time_zone) {
  if (width.us % kDayUs == 0) return day_boundaries(from, to, width.us / kDayUs, time_zone);
  std::vector<Timestamp> out;
  const int64_t begin = from.us - ((from.us % width.us) + width.us) % width.us;
  for (int64_t at = begin;; at += width.us) {
    out.push_back({at});
    if (at >= to.us) return out;
  }
}

std::vector<size_t> largest_triangles(std::span<const Timestamp> time,
                                      std::span<const double> value, size_t points) {
  std::vector<size_t> usable;
  usable.reserve(time.size());
  for (size_t i = 0; i < time.size(); ++i)
    if (std::isfinite(value[i])) usable.push_back(i);
  if (points < 3 || usable.size() <= points) return usable;

  std::vector<size_t> out{usable.front()};
  const double step = static_cast<double>(usable.size() - 2) / static_cast<double>(points - 2);
  const auto bucket_begin = [&](size_t bucket) {
    return std::min(usable.size() - 1, static_cast<size_t>(static_cast<double>(bucket) * step) + 1);
  };
  const auto x = [&](size_t i) {
    return static_cast<double>(time[usable[i]].us - time[usable[0]].us);
  };
  size_t chosen = 0;
  for (size_t bucket = 0; bucket + 2 < points; ++bucket) {
    const size_t begin = bucket_begin(bucket), end = bucket_begin(bucket + 1);
    const size_t next_end = std::max(end + 1, bucket_begin(bucket + 2));
    double mean_x = 0, mean_y = 0;
    for (size_t i = end; i < next_end; ++i) {
      mean_x += x(i);
      mean_y += value[usable[i]];
    }
    mean_x /= static_cast<double>(next_end - end);
    mean_y /= static_cast<double>(next_end - end);
    double largest = -1;
    size_t best = begin;
    for (size_t i = begin; i < end; ++i) {
      const double area =
          std::fabs((x(chosen) - mean_x) * (value[usable[i]] - value[usable[chosen]]) -
                    (x(chosen) - x(i)) * (mean_y - value[usable[chosen]]));
      if (area > largest) {
        largest = area;
        best = i;
      }
    }
    if (best > chosen) out.push_back(usable[best]);
    chosen = std::max(chosen, best);
  }
  out.push_back(usable.back());
  return out;
}

std::vector<SeriesAnswer::Gap> gaps_of_samples(std::span<const Timestamp> time) {
  std::vector<SeriesAnswer::Gap> out;
  if (time.size() < 3) return out;  // no distance is usual yet
  std::vector<int64_t> distances;
  distances.reserve(time.size() - 1);
  for (size_t i = 1; i < time.size(); ++i) distances.push_back((time[i] - time[i - 1]).us);
  const int64_t longest = std::max<int64_t>(5 * median(distances), 2'000'000);
  for (size_t i = 1; i < time.size(); ++i)
    if ((time[i] - time[i - 1]).us > longest) out.push_back({time[i - 1], time[i]});
  return out;
}

std::vector<SeriesAnswer::Gap> gaps_of_buckets(std::span<const Timestamp> boundaries,
                                               std::span<const Timestamp> filled,
                                               std::span<const uint64_t> count) {
  std::vector<SeriesAnswer::Gap> out;
  if (filled.size() < 2 || count.size() != filled.size()) return out;
  if (median(std::vector<int64_t>(count.begin(), count.end())) < 2) return out;
  for (size_t i = 1; i < filled.size(); ++i) {
    const auto after = std::upper_bound(boundaries.begin(), boundaries.end(), filled[i - 1]);
    if (after != boundaries.end() && *after < filled[i]) out.push_back({*after, filled[i]});
  }
  return out;
}

}  // namespace penstock::api
