#pragma once
// History made fit to look at: where buckets begin, which points make the same picture, where data
// is missing. Pure functions.

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "api/ports.h"
#include "base/time.h"

namespace penstock::api {

/// Bucket starts that cover [from, to), and the end of the last one. Multiples of 24 h are days of
/// `time_zone` (23 to 25 h long where clocks change); others are multiples of `width` since the
/// epoch. REQUIRES: width > 0. An unknown zone counts as UTC.
std::vector<Timestamp> bucket_boundaries(Timestamp from, Timestamp to, Duration width,
                                         std::string_view time_zone);

/// Largest-Triangle-Three-Buckets (S. Steinarsson, 2013): the indices, ascending, of about `points`
/// points that keep the picture; first and last are always among them. NaN counts as a break and is
/// kept out. REQUIRES: equal lengths.
std::vector<size_t> largest_triangles(std::span<const Timestamp> time,
                                      std::span<const double> value, size_t points);

/// Where single samples stay away for more than five times their usual distance (the median), and 2
/// s at least.
std::vector<SeriesAnswer::Gap> gaps_of_samples(std::span<const Timestamp> time);
/// Buckets without a sample between ones that usually hold two or more.
std::vector<SeriesAnswer::Gap> gaps_of_buckets(std::span<const Timestamp> boundaries,
                                               std::span<const Timestamp> filled,
                                               std::span<const uint64_t> count);

}  // namespace penstock::api
