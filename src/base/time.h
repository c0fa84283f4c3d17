#pragma once
// Time inside Penstock: UTC microseconds since 1970-01-01. Zones exist only at the edges
// (timezone.h).

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace penstock {

/// A span of time in µs.
struct Duration {
  int64_t us = 0;

  static constexpr Duration micros(int64_t n) { return {n}; }
  static constexpr Duration millis(int64_t n) { return {n * 1000}; }
  static constexpr Duration seconds(int64_t n) { return {n * 1'000'000}; }
  static constexpr Duration minutes(int64_t n) { return {n * 60'000'000}; }
  static constexpr Duration hours(int64_t n) { return {n * 3'600'000'000}; }
  static constexpr Duration days(int64_t n) { return {n * 86'400'000'000}; }
  [[nodiscard]] constexpr double as_seconds() const { return static_cast<double>(us) / 1e6; }
  friend constexpr auto operator<=>(Duration, Duration) = default;
  friend constexpr Duration operator+(Duration a, Duration b) { return {a.us + b.us}; }
  friend constexpr Duration operator-(Duration a, Duration b) { return {a.us - b.us}; }
  friend constexpr Duration operator*(Duration a, int64_t n) { return {a.us * n}; }
};

/// An instant: UTC µs since the epoch. 0 stands for "never".
struct Timestamp {
  int64_t us = 0;

  static constexpr Timestamp from_micros(int64_t n) { return {n}; }
  static constexpr Timestamp from_millis(int64_t n) { return {n * 1000}; }
  static constexpr Timestamp from_seconds(int64_t n) { return {n * 1'000'000}; }
  friend constexpr auto operator<=>(Timestamp, Timestamp) = default;
  friend constexpr Timestamp operator+(Timestamp t, Duration d) { return {t.us + d.us}; }
  friend constexpr Timestamp operator-(Timestamp t, Duration d) { return {t.us - d.us}; }
  friend constexpr Duration operator-(Timestamp a, Timestamp b) { return {a.us - b.us}; }
};

/// RFC 3339 in UTC with as many fractional digits as needed (0, 3 or 6):
/// "2026-03-01T12:00:00.250Z".
std::string to_rfc3339(Timestamp time);

/// Reads RFC 3339 (any offset, up to 9 fractional digits, truncated to µs). Years 1970 to 2261.
Result<Timestamp> parse_rfc3339(std::string_view text);

/// Reads "250ms", "5s", "10m", "2h", "7d", "90us"; a bare number is refused: units are part of a
/// duration.
Result<Duration> parse_duration(std::string_view text);

}  // namespace penstock
