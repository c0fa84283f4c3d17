#pragma once
// The bytes of a block: some thousand points (or buckets) of one series, compressed. What DuckDB
// stores is rows of these. docs/history.md describes them byte by byte. No I/O here.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "stream/history/point.h"

namespace penstock::stream::history {

constexpr size_t kBlockPointsMax = 4096;

/// Appends one block to `out`. REQUIRES: 1 to kBlockPointsMax points, of one kind, times strictly
/// growing. `text` is what text points refer to.
void encode_points(std::span<const Point> points, std::string_view text, std::string& out);

/// Appends those points of a block with from_us <= time < to_us. False: these are no such bytes;
/// `out` may then hold some of it.
[[nodiscard]] bool decode_points(std::string_view block, int64_t from_us, int64_t to_us,
                                 PointSet& out);

/// The same for buckets, by their start.
void encode_buckets(std::span<const Bucket> buckets, std::string& out);
/// Which numbers of buckets are needed: counts and `first`, by which a bucket says whether it has
/// any, always come; unpacking the others only where they are asked for halves the time of
/// averages.
enum class BucketParts : uint8_t { kAll, kSums, kExtremes };
[[nodiscard]] bool decode_buckets(std::string_view block, int64_t from_us, int64_t to_us,
                                  BucketParts parts, std::vector<Bucket>& out);

}  // namespace penstock::stream::history
