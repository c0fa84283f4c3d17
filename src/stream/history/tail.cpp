#include "stream/history/tail.h"

#include <algorithm>

namespace penstock::stream::history {
namespace {

template <class Entry, class Key>
void sort_last_wins(std::vector<Entry>& entries, Key key) {
  bool ordered = true, strictly = true;
  for (size_t i = 1; i < entries.size() && ordered; ++i) {
    ordered = key(entries[i - 1]) <= key(entries[i]);
    strictly = strictly && key(entries[i - 1]) < key(entries[i]);
  }
  if (ordered && strictly) return;
  if (!ordered)
    std::stable_sort(entries.begin(), entries.end(),
                     [&](const Entry& a, const Entry& b) { return key(a) < key(b); });
  size_t kept = 0;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (kept > 0 && key(entries[kept - 1]) == key(entries[i])) --kept;
    entries[kept++] = entries[i];
  }
  entries.resize(kept);
}

}  // namespace

void sort_points(std::vector<Point>& points) {
  sort_last_wins(points, [](const Point& p) { return p.time_us; });
}
void sort_buckets(std::vector<Bucket>& buckets) {
  sort_last_wins(buckets, [](const Bucket& b) { return b.start_us; });
}

}  // namespace penstock::stream::history
