#pragma once
// What history is made of inside: points of one series in order of time, and buckets of them.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "twin/value.h"

namespace penstock::stream::history {

using twin::Quality;
using twin::ValueKind;

/// One sample of a series that is known from the context.
struct Point {
  int64_t time_us = 0;
  uint64_t bits = 0;  ///< double, integer or boolean by its bits; texts: offset << 32 | length
  ValueKind kind = ValueKind::kDouble;
  Quality quality = Quality::kGood;

  /// NaN for texts.
  [[nodiscard]] double number() const {
    switch (kind) {
      case ValueKind::kDouble: {
        double value;
        std::memcpy(&value, &bits, sizeof value);
        return value;
      }
      case ValueKind::kInteger:
        return static_cast<double>(static_cast<int64_t>(bits));
      case ValueKind::kBoolean:
        return bits != 0 ? 1 : 0;
      default:
        return std::numeric_limits<double>::quiet_NaN();
    }
  }
  [[nodiscard]] bool is_text() const {
    return kind == ValueKind::kText || kind == ValueKind::kObject;
  }
  [[nodiscard]] std::string_view text(std::string_view arena) const {
    return arena.substr(bits >> 32, bits & 0xffffffffU);
  }
};

/// Adds a text to an arena and gives the bits that refer to it.
inline uint64_t add_text(std::string& arena, std::string_view text) {
  const uint64_t bits = static_cast<uint64_t>(arena.size()) << 32 | text.size();
  arena.append(text);
  return bits;
}

struct PointSet {
  std::vector<Point> points;
  std::string text;  ///< what text points refer to
};

/// The samples of one span of time, summed up. Numbers are of usable samples: good or uncertain and
/// finite; bad ones are only counted (OPC UA Part 13, TreatUncertainAsBad = false).
struct Bucket {
  int64_t start_us = 0;
  uint32_t good = 0, uncertain = 0, bad = 0;
  double sum = 0;
  double min = 0, max = 0, first = 0, last = 0;  ///< NaN while no usable number came

  [[nodiscard]] uint64_t usable() const { return static_cast<uint64_t>(good) + uncertain; }
  [[nodiscard]] uint64_t samples() const { return usable() + bad; }
  [[nodiscard]] bool empty() const { return samples() == 0; }
  [[nodiscard]] double average() const {
    return std::isnan(first) ? first : sum / static_cast<double>(usable());
  }
  /// The worst that matters: bad only where nothing is usable.
  [[nodiscard]] Quality quality() const {
    if (usable() == 0) return Quality::kBad;
    return uncertain + bad > 0 ? Quality::kUncertain : Quality::kGood;
  }

  static Bucket at(int64_t start) {
    constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
    return {start, 0, 0, 0, 0, kNone, kNone, kNone, kNone};
  }
  /// REQUIRES: `point` is later than all that was added.
  void add(const Point& point) {
    const double value = point.number();
    if (point.quality == Quality::kBad || (!point.is_text() && !std::isfinite(value))) {
      ++bad;
      return;
    }
    ++(point.quality == Quality::kGood ? good : uncertain);
    if (point.is_text()) return;
    sum += value;
    if (std::isnan(first)) {
      min = max = first = last = value;
      return;
    }
    min = value < min ? value : min;
    max = value > max ? value : max;
    last = value;
  }
  /// REQUIRES: all of `later` is later than all that was added.
  void merge(const Bucket& later) {
    good += later.good;
    uncertain += later.uncertain;
    bad += later.bad;
    if (std::isnan(later.first)) return;
    sum += later.sum;
    if (std::isnan(first)) {
      min = later.min, max = later.max, first = later.first, last = later.last;
      return;
    }
    min = later.min < min ? later.min : min;
    max = later.max > max ? later.max : max;
    last = later.last;
  }
};

/// How fine. Numbers on disk.
enum class Level : uint8_t { kRaw = 0, kMinute = 1, kHour = 2, kDay = 3 };

}  // namespace penstock::stream::history
