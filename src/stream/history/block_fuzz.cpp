// Any bytes as a stored block: never a crash, and what is decoded is bounded by the block's limit.

#include "base/check.h"
#include "stream/history/block.h"

using namespace penstock::stream::history;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view block(reinterpret_cast<const char*>(data), size);
  PointSet points;
  if (decode_points(block, INT64_MIN, INT64_MAX, points))
    CHECK(points.points.size() <= kBlockPointsMax);
  for (const BucketParts parts : {BucketParts::kAll, BucketParts::kSums, BucketParts::kExtremes}) {
    std::vector<Bucket> buckets;
    if (decode_buckets(block, INT64_MIN, INT64_MAX, parts, buckets))
      CHECK(buckets.size() <= kBlockPointsMax);
  }
  return 0;
}
