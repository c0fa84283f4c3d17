// Blocks: making them, reading them back, merging small ones into large ones, deleting old ones.

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "stream/history/store.h"

namespace penstock::stream::history {
namespace {

constexpr uint64_t kMergePointsMax = 1'000'000;  // of one transaction

tl::unexpected<Error> damaged(const BlockRow& row) {
  return fail(
      ErrorCode::kCorrupt,
      fmt::format("a stored block of series {} cannot be read; restore the history file from "
                  "a backup, or move it away so that it is rebuilt from the journal",
                  row.series),
      "history");
}

bool before(const BlockRow& a, const BlockRow& b) {
  return std::tie(a.series, a.level, a.generation, a.from_us) <
         std::tie(b.series, b.level, b.generation, b.from_us);
}

template <class Entry, class Key>
size_t run_length(std::span<const Entry> entries, Level level, Key key) {
  const int64_t window = floor_to(key(entries.front()), window_us(level));
  const size_t most = std::min(entries.size(), kBlockPointsMax);
  size_t n = 1;
  while (n < most && key(entries[n]) < window + window_us(level)) ++n;
  return n;
}

}  // namespace

void LoadedBlocks::sort() { std::sort(rows.begin(), rows.end(), before); }

std::span<const BlockRow> LoadedBlocks::of(uint32_t series, Level level) const {
  const auto key = [](const BlockRow& row) { return std::tie(row.series, row.level); };
  const auto from =
      std::lower_bound(rows.begin(), rows.end(), std::tie(series, level),
                       [&](const BlockRow& row, const auto& k) { return key(row) < k; });
  const auto to =
      std::upper_bound(from, rows.end(), std::tie(series, level),
                       [&](const auto& k, const BlockRow& row) { return k < key(row); });
  return {from, to};
}

Status LoadedBlocks::points(uint32_t series, int64_t from_us, int64_t to_us, PointSet& out) const {
  for (const BlockRow& row : of(series, Level::kRaw)) {
    if (row.to_us < from_us || row.from_us >= to_us) continue;
    if (!decode_points(row.bytes, from_us, to_us, out)) return damaged(row);
  }
  sort_points(out.points);
  return {};
}

Status LoadedBlocks::buckets(uint32_t series, Level level, int64_t from_us, int64_t to_us,
                             std::vector<Bucket>& out, BucketParts parts) const {
  uint64_t count = out.size();
  for (const BlockRow& row : of(series, level)) count += row.points;
  out.reserve(count);
  for (const BlockRow& row : of(series, level)) {
    if (row.to_us < from_us || row.from_us >= to_us) continue;
    if (!decode_buckets(row.bytes, from_us, to_us, parts, out)) return damaged(row);
  }
  sort_buckets(out);
  return {};
}

void add_point_blocks(uint32_t series, uint64_t generation, std::span<const Point> points,
                      std::string_view text, std::vector<BlockRow>& rows) {
  while (!points.empty()) {
    size_t n = run_length(points, Level::kRaw, [](const Point& p) { return p.time_us; });
    for (size_t i = 1; i < n; ++i)
      if (points[i].kind != points[0].kind) n = i;
    const auto part = points.first(n);
    rows.push_back({Level::kRaw,
                    series,
                    part.front().time_us,
                    part.back().time_us,
                    generation,
                    static_cast<uint32_t>(n),
                    {}});
    encode_points(part, text, rows.back().bytes);
    points = points.subspan(n);
  }
}

void add_bucket_blocks(uint32_t series, Level level, uint64_t generation,
                       std::span<const Bucket> buckets, std::vector<BlockRow>& rows) {
  while (!buckets.empty()) {
    const size_t n = run_length(buckets, level, [](const Bucket& b) { return b.start_us; });
    const auto part = buckets.first(n);
    rows.push_back({level,
                    series,
                    part.front().start_us,
                    part.back().start_us,
                    generation,
                    static_cast<uint32_t>(n),
                    {}});
    encode_buckets(part, rows.back().bytes);
    buckets = buckets.subspan(n);
  }
}

Status Store::count_hot() {
  return session_->select("SELECT count(*) FROM history.hot", {},
                          [&](const Chunk& chunk) -> Status {
                            hot_rows_ = static_cast<uint64_t>(chunk.column<int64_t>(0)[0]);
                            hot_gauge_.set(static_cast<double>(hot_rows_.load()));
                            return {};
                          });
}

// One step takes some series, all of their small blocks. A round over all series starts when small
// blocks are many, and then goes on step by step.
Result<bool> Store::compact_some(bool all) {
  if (!session_)
    return fail(ErrorCode::kUnavailable, "the history database is not open", "history");
  const uint64_t many = std::max<uint64_t>(options_.hot_rows_max, 32 * series_known_);
  if (!compacting_) {
    if (hot_rows_.load() == 0 || (!all && hot_rows_.load() < many)) return false;
    compacting_ = true;
    compact_next_ = 0;
  }
  uint32_t last = 0;
  uint64_t points = 0;
  TRY(session_->select(
      fmt::format(
          "SELECT series, sum(points)::UBIGINT FROM history.hot WHERE series >= {} GROUP BY "
          "series ORDER BY series",
          compact_next_),
      {}, [&](const Chunk& chunk) -> Status {
        for (size_t i = 0; i < chunk.rows() && points < kMergePointsMax; ++i) {
          last = chunk.column<uint32_t>(0)[i];
          points += chunk.column<uint64_t>(1)[i] + 4096;  // and the block it joins
        }
        return {};
      }));
  if (points == 0) {
    compacting_ = false;
    TRY(count_hot());
    return true;
  }
  TRY(merge_blocks(compact_next_, last));
  compact_next_ = last + 1;
  return true;
}

// Merges the small blocks of series first..last with those large ones they touch: such as overlap
// them, and such as are not full and lie in the same window. One transaction: a crash leaves the
// old or the new.
Status Store::merge_blocks(uint32_t first, uint32_t last) {
  struct Stored {
    BlockRow row;
    int64_t id = -1;  // row number in `blocks`; -1: of `hot`
  };
  std::map<std::pair<uint32_t, Level>, std::vector<Stored>> found;
  const auto take = [&](const Chunk& chunk) -> Status {
    for (size_t i = 0; i < chunk.rows(); ++i) {
      BlockRow row{static_cast<Level>(chunk.column<uint8_t>(0)[i]),
                   chunk.column<uint32_t>(1)[i],
                   chunk.column<int64_t>(2)[i],
                   chunk.column<int64_t>(3)[i],
                   chunk.column<uint64_t>(4)[i],
                   chunk.column<uint32_t>(5)[i],
                   std::string(chunk.bytes(6, i))};
      auto& rows = found[{row.series, row.level}];
      rows.push_back({std::move(row), chunk.column<int64_t>(7)[i]});
    }
    return {};
  };
  const std::string columns = "level, series, from_us, to_us, generation, points, bytes";
  TRY(session_->select(
      fmt::format("SELECT {}, -1::BIGINT FROM history.hot WHERE series BETWEEN {} AND {}", columns,
                  first, last),
      {}, take));
  TRY(session_->select(
      fmt::format(
          "WITH w AS (SELECT series, level, min(from_us) AS a, max(to_us) AS b, CASE level WHEN 2 "
          "THEN {} "
          "WHEN 3 THEN {} ELSE {} END AS span FROM history.hot WHERE series BETWEEN {} AND {} "
          "GROUP BY "
          "series, level), ids AS (SELECT k.rowid AS id FROM history.blocks k JOIN w ON k.series = "
          "w.series "
          "AND k.level = w.level AND k.to_us >= w.a - w.span AND k.from_us < w.b + w.span AND "
          "(k.points < {} OR (k.to_us >= w.a AND k.from_us <= w.b)) WHERE k.series BETWEEN {} AND "
          "{}) "
          "SELECT {}, rowid FROM history.blocks WHERE rowid IN (SELECT id FROM ids)",
          window_us(Level::kHour), window_us(Level::kDay), kDayUs, first, last, kBlockPointsMax,
          first, last, columns),
      {}, take));
  std::vector<BlockRow> merged;
  std::string replaced;
  for (auto& [key, rows] : found) {
    const auto [series, level] = key;
    LoadedBlocks loaded;
    uint64_t generation = 0;
    for (Stored& stored : rows) {
      generation = std::max(generation, stored.row.generation);
      if (stored.id >= 0) replaced += fmt::format("{}{}", replaced.empty() ? "" : ",", stored.id);
      merged_points_.add(stored.row.points);
      loaded.rows.push_back(std::move(stored.row));
    }
    loaded.sort();
    if (level == Level::kRaw) {
      PointSet set;
      TRY(loaded.points(series, INT64_MIN, INT64_MAX, set));
      add_point_blocks(series, generation, set.points, set.text, merged);
    } else {
      std::vector<Bucket> buckets;
      TRY(loaded.buckets(series, level, INT64_MIN, INT64_MAX, buckets));
      add_bucket_blocks(series, level, generation, buckets, merged);
    }
  }
  TRY(session_->execute("BEGIN TRANSACTION"));
  Status status = session_->execute(
      fmt::format("DELETE FROM history.hot WHERE series BETWEEN {} AND {}", first, last));
  if (status && !replaced.empty())
    status =
        session_->execute(fmt::format("DELETE FROM history.blocks WHERE rowid IN ({})", replaced));
  if (status) status = session_->append("blocks", merged);
  if (status) status = session_->execute("COMMIT");
  if (!status) (void)session_->execute("ROLLBACK");  // the first error is the one to tell
  return status;
}

// By series only where their policies differ; whole blocks, so that up to a block more is kept.
Status Store::trim() {
  if (!session_)
    return fail(ErrorCode::kUnavailable, "the history database is not open", "history");
  std::set<uint32_t> series;
  TRY(session_->select(
      "SELECT DISTINCT series FROM history.blocks UNION SELECT DISTINCT series FROM "
      "history.hot",
      {}, [&](const Chunk& chunk) -> Status {
        series.insert(chunk.column<uint32_t>(0), chunk.column<uint32_t>(0) + chunk.rows());
        return {};
      }));
  std::map<std::pair<int64_t, int64_t>, std::vector<uint32_t>> by_policy;
  for (const uint32_t one : series) {
    const Retention keep = policy(one).retention;
    if (keep.raw.us > 0 || keep.rollups.us > 0)
      by_policy[{keep.raw.us, keep.rollups.us}].push_back(one);
  }
  for (const auto& [keep, members] : by_policy) {
    const std::string who = members.size() == series.size()
                                ? std::string("true")
                                : fmt::format("series IN ({})", fmt::join(members, ","));
    const auto [raw, rollups] = keep;
    for (const char* table : {"hot", "blocks"}) {
      if (raw > 0)
        TRY(session_->execute(
            fmt::format("DELETE FROM history.{} WHERE level = 0 AND to_us < {} AND {}", table,
                        clock_.now().us - raw, who)));
      if (rollups > 0)
        TRY(session_->execute(
            fmt::format("DELETE FROM history.{} WHERE level > 0 AND to_us < {} AND {}", table,
                        clock_.now().us - std::max(rollups, raw), who)));
    }
  }
  return count_hot();
}

Status Store::checkpoint() {
  if (!session_)
    return fail(ErrorCode::kUnavailable, "the history database is not open", "history");
  return session_->execute("CHECKPOINT history");
}

}  // namespace penstock::stream::history
