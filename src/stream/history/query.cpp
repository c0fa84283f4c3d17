// Reading: samples, buckets and thinned pictures, from the database and from memory as one.

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "stream/history/store.h"

namespace penstock::stream::history {
namespace {

constexpr size_t kThinRawMax = 500'000;  // samples a series that are thinned as they are
constexpr size_t kNeedsOfOneStatement = 1000;
constexpr double kGapFactorGiven = 1.5;  // longer than that many expected intervals is a gap
constexpr double kGapFactorEstimated = 3;

void append_points(PointSet& to, const PointSet& from) {
  const uint64_t shift = static_cast<uint64_t>(to.text.size()) << 32;
  to.text += from.text;
  to.points.reserve(to.points.size() + from.points.size());
  for (Point point : from.points) {
    if (point.is_text()) point.bits += shift;
    to.points.push_back(point);
  }
}

// What of the stored buckets the functions need.
BucketParts parts_for(const std::vector<HistoryFunction>& functions) {
  if (functions.empty()) return BucketParts::kAll;
  bool sums = false, extremes = false;
  for (const HistoryFunction one : functions) {
    if (one == HistoryFunction::kLast) return BucketParts::kAll;
    sums = sums || one == HistoryFunction::kAvg;
    extremes = extremes || one == HistoryFunction::kMin || one == HistoryFunction::kMax;
  }
  if (sums && extremes) return BucketParts::kAll;
  return extremes ? BucketParts::kExtremes : BucketParts::kSums;
}

// The finest rollup that the buckets are made of.
Level level_for(Duration bucket) {
  if (bucket.us % kDayUs == 0) return Level::kDay;
  if (bucket.us >= kHourUs && kDayUs % bucket.us == 0) return Level::kHour;
  return bucket.us % kMinuteUs == 0 ? Level::kMinute : Level::kRaw;
}

void find_gaps(std::span<const Timestamp> times, Duration expected,
               std::vector<HistorySeries::Gap>& out) {
  if (times.size() < 2) return;
  double longest = static_cast<double>(expected.us) * kGapFactorGiven;
  if (expected.us <= 0) {
    int64_t shortest = INT64_MAX, widest = 0;
    for (size_t i = 1; i < times.size(); ++i) {
      shortest = std::min(shortest, times[i].us - times[i - 1].us);
      widest = std::max(widest, times[i].us - times[i - 1].us);
    }
    // Evenly spaced, as nearly always: no median needed.
    if (static_cast<double>(widest) <= static_cast<double>(shortest) * kGapFactorEstimated) return;
    std::vector<int64_t> steps;
    steps.reserve(times.size());
    for (size_t i = 1; i < times.size(); ++i) steps.push_back(times[i].us - times[i - 1].us);
    const auto middle = steps.begin() + static_cast<ptrdiff_t>(steps.size() / 2);
    std::nth_element(steps.begin(), middle, steps.end());
    longest = static_cast<double>(*middle) * kGapFactorEstimated;
  }
  for (size_t i = 1; i < times.size(); ++i)
    if (static_cast<double>(times[i].us - times[i - 1].us) > longest)
      out.push_back({times[i - 1], times[i]});
}

void put_points(std::span<const Point> points, std::string_view text, HistorySeries& out) {
  const bool texts =
      std::any_of(points.begin(), points.end(), [](const Point& p) { return p.is_text(); });
  out.time.reserve(points.size());
  out.number.reserve(points.size());
  out.quality.reserve(points.size());
  out.kind.reserve(points.size());
  for (const Point& point : points) {
    out.time.push_back({point.time_us});
    out.number.push_back(point.number());
    out.quality.push_back(point.quality);
    out.kind.push_back(point.kind);
    if (texts) out.text.emplace_back(point.is_text() ? point.text(text) : std::string_view{});
  }
}

void put_buckets(std::span<const Bucket> buckets, const std::vector<HistoryFunction>& functions,
                 HistorySeries& out) {
  const auto wants = [&](HistoryFunction function) {
    return functions.empty() ||
           std::find(functions.begin(), functions.end(), function) != functions.end();
  };
  const auto fill = [&](HistoryFunction function, std::vector<double>& column, auto value) {
    if (!wants(function)) return;
    column.reserve(buckets.size());
    for (const Bucket& bucket : buckets) column.push_back(value(bucket));
  };
  fill(HistoryFunction::kAvg, out.avg, [](const Bucket& b) { return b.average(); });
  fill(HistoryFunction::kMin, out.min, [](const Bucket& b) { return b.min; });
  fill(HistoryFunction::kMax, out.max, [](const Bucket& b) { return b.max; });
  fill(HistoryFunction::kFirst, out.first, [](const Bucket& b) { return b.first; });
  fill(HistoryFunction::kLast, out.last, [](const Bucket& b) { return b.last; });
  const bool counts = wants(HistoryFunction::kCount);
  out.time.reserve(buckets.size());
  out.quality.reserve(buckets.size());
  for (const Bucket& bucket : buckets) {
    out.time.push_back({bucket.start_us});
    out.quality.push_back(bucket.quality());
    if (!counts) continue;
    out.count.push_back(bucket.usable());
    out.bad.push_back(bucket.bad);
  }
}

// Merges rollups into the buckets that were asked for.
void widen(const TimeZone& zone, Duration width, std::vector<Bucket>& buckets) {
  size_t kept = 0;
  int64_t end = INT64_MIN;
  for (const Bucket& part : buckets) {
    if (part.start_us >= end) {
      buckets[kept++] = part;  // kept <= index: nothing is overwritten that is still needed
      buckets[kept - 1].start_us = zone.bucket_start({part.start_us}, width).us;
      end = zone.bucket_end({part.start_us}, width).us;
    } else {
      buckets[kept - 1].merge(part);
    }
  }
  buckets.resize(kept);
}

void sum_up(const TimeZone& zone, Duration width, std::span<const Point> points,
            std::vector<Bucket>& out) {
  int64_t end = INT64_MIN;
  for (const Point& point : points) {
    if (point.time_us >= end) {
      out.push_back(Bucket::at(zone.bucket_start({point.time_us}, width).us));
      end = zone.bucket_end({point.time_us}, width).us;
    }
    out.back().add(point);
  }
}

// A bucket as the points of a picture: how it began, its extremes, how it ended.
void add_picture(const Bucket& bucket, int64_t width, std::vector<Point>& out) {
  if (std::isnan(bucket.first)) return;
  const auto add = [&](int64_t at, double value) {
    out.push_back({bucket.start_us + at, std::bit_cast<uint64_t>(value), ValueKind::kDouble,
                   bucket.quality()});
  };
  add(0, bucket.first);
  add(width / 3, bucket.min);
  add(2 * width / 3, bucket.max);
  add(width - 1, bucket.last);
}

}  // namespace

SeriesPolicy Store::policy(uint32_t series) const {
  SeriesPolicy rules = policies_ ? policies_(SeriesId(series)) : SeriesPolicy{};
  if (rules.zone == nullptr) rules.zone = &TimeZone::utc();
  return rules;
}

QueryEnd Store::query_end(const std::atomic<bool>* cancelled) const {
  return {cancelled, clock_.monotonic_us() + options_.query_time_max.us, &clock_};
}

void Store::tail_points(uint32_t series, int64_t from_us, int64_t to_us, PointSet& out) const {
  const std::lock_guard lock(tail_mutex_);
  for (const Tail* tail : {freezing_ ? frozen_.get() : nullptr, active_.get()}) {
    const std::vector<Point>* points = tail == nullptr ? nullptr : tail->points(series);
    if (points == nullptr) continue;
    for (Point point : *points) {
      if (point.time_us < from_us || point.time_us >= to_us) continue;
      if (point.is_text()) point.bits = add_text(out.text, point.text(tail->text()));
      out.points.push_back(point);
    }
  }
}

// Both tables in one statement: one snapshot, so that compaction cannot hide a block from us.
Status Store::load(Session& session, std::span<const Need> needs, std::string_view levels,
                   const QueryEnd& end, LoadedBlocks& out) const {
  uint64_t points = 0;
  for (size_t at = 0; at < needs.size(); at += kNeedsOfOneStatement) {
    const auto part = needs.subspan(at, std::min(kNeedsOfOneStatement, needs.size() - at));
    std::string series;
    int64_t from = INT64_MAX, to = INT64_MIN;
    uint32_t least = UINT32_MAX, most = 0;
    for (const Need& need : part) {
      series += fmt::format("{}{}", series.empty() ? "" : ",", need.series);
      from = std::min(from, need.from_us);
      to = std::max(to, need.to_us);
      least = std::min(least, need.series);
      most = std::max(most, need.series);
    }
    const std::string which = fmt::format(
        "WHERE series BETWEEN {} AND {} AND to_us >= {} AND from_us < {} AND level IN ({}) {}",
        least, most, from, to, levels,
        part.size() > 1 ? fmt::format("AND series IN ({})", series) : std::string());
    const std::string columns =
        "SELECT level, series, from_us, to_us, generation, points, bytes FROM history.";
    TRY(session.select(
        columns + "hot " + which + " UNION ALL " + columns + "blocks " + which, end,
        [&](const Chunk& chunk) -> Status {
          for (size_t i = 0; i < chunk.rows(); ++i) {
            const uint32_t id = chunk.column<uint32_t>(1)[i];
            const int64_t first = chunk.column<int64_t>(2)[i], last = chunk.column<int64_t>(3)[i];
            const bool wanted = std::any_of(part.begin(), part.end(), [&](const Need& need) {
              return need.series == id && last >= need.from_us && first < need.to_us;
            });
            if (!wanted) continue;
            points += chunk.column<uint32_t>(5)[i];
            if (end.clock != nullptr && points > options_.query_points_max)
              return fail(
                  ErrorCode::kResourceExhausted,
                  "the query touches too many samples; ask for a shorter time, fewer series "
                  "or a wider bucket");
            out.rows.push_back({static_cast<Level>(chunk.column<uint8_t>(0)[i]), id, first, last,
                                chunk.column<uint64_t>(4)[i], chunk.column<uint32_t>(5)[i],
                                std::string(chunk.bytes(6, i))});
          }
          return {};
        }));
  }
  out.sort();
  return {};
}

Result<HistoryAnswer> Store::query(const HistoryQuery& query) {
  const int64_t began = clock_.monotonic_us();
  if (query.to < query.from || (query.bucket && query.bucket->us <= 0) || query.limit == 0 ||
      (query.points > 0 && query.points < 3))
    return fail(
        ErrorCode::kInvalidArgument,
        "a history query needs from <= to, a positive bucket and limit, and 3 points or more");
  const std::shared_lock lock(database_mutex_);
  if (!database_)
    return fail(ErrorCode::kUnavailable, "the history database is not open", "history");
  TRY_ASSIGN(HistoryAnswer out, answer(query));
  query_time_.observe_us(static_cast<uint64_t>(clock_.monotonic_us() - began));
  return out;
}

Result<HistoryAnswer> Store::answer(const HistoryQuery& query) const {
  TRY_ASSIGN(const auto session, database_->connect());
  const QueryEnd end = query_end(query.cancelled);
  HistoryAnswer answer;
  answer.bucket = query.bucket;
  answer.series.resize(query.series.size());
  for (size_t i = 0; i < query.series.size(); ++i) answer.series[i].series = query.series[i];
  if (query.from == query.to || query.series.empty()) return answer;
  if (query.bucket)
    TRY(read_buckets(*session, query, *query.bucket, end, answer));
  else if (query.points > 0)
    TRY(thin(*session, query, end, answer));
  else
    TRY(read_points(*session, query, end, answer));
  return answer;
}

// Samples as they are. Reads ahead only about as far as the limit reaches.
Status Store::read_points(Session& session, const HistoryQuery& query, const QueryEnd& end,
                          HistoryAnswer& answer) const {
  for (size_t i = 0; i < query.series.size(); ++i) {
    const uint32_t series = query.series[i].value;
    PointSet tail;  // before the database: what is written meanwhile is in one of both
    tail_points(series, query.from.us, query.to.us, tail);
    std::vector<std::pair<int64_t, uint64_t>> blocks;  // from, points
    for (const char* table : {"hot", "blocks"})
      TRY(session.select(
          fmt::format(
              "SELECT from_us, points FROM history.{} WHERE series = {} AND level = 0 AND to_us "
              ">= {} AND from_us < {}",
              table, series, query.from.us, query.to.us),
          end, [&](const Chunk& chunk) -> Status {
            for (size_t row = 0; row < chunk.rows(); ++row)
              blocks.emplace_back(chunk.column<int64_t>(0)[row], chunk.column<uint32_t>(1)[row]);
            return {};
          }));
    std::sort(blocks.begin(), blocks.end());
    PointSet set;
    for (uint64_t enough = query.limit + 2 * kBlockPointsMax;; enough *= 4) {
      int64_t to = query.to.us;
      uint64_t points = 0;
      for (const auto& [from_us, count] : blocks) {
        if (points >= enough && from_us > query.from.us) {
          to = from_us;
          break;
        }
        points += count;
      }
      set = {};
      LoadedBlocks loaded;
      const Need need{series, query.from.us, to};
      TRY(load(session, {&need, 1}, "0", end, loaded));
      TRY(loaded.points(series, need.from_us, need.to_us, set));
      append_points(set, tail);
      std::erase_if(set.points, [&](const Point& p) { return p.time_us >= to; });
      sort_points(set.points);
      if (set.points.size() > query.limit || to == query.to.us) break;
    }
    HistorySeries& out = answer.series[i];
    std::span<const Point> points = set.points;
    if (points.size() > query.limit) {
      out.next = Timestamp{points[query.limit].time_us};
      points = points.first(query.limit);
    }
    put_points(points, set.text, out);
    find_gaps(out.time, query.expected_interval, out.gaps);
  }
  return {};
}

// Rollups of one series. Where memory holds samples that the rollups do not know yet, their minutes
// are computed from samples, and hours and days from minutes.
Status Store::rolled(Session& session, uint32_t series, const TimeZone& zone, Level level,
                     BucketParts parts_wanted, const Need& need, const LoadedBlocks& loaded,
                     const QueryEnd& end, std::vector<Bucket>& out) const {
  TRY(loaded.buckets(series, level, need.from_us, need.to_us, out, parts_wanted));
  PointSet tail;
  tail_points(series, need.from_us, need.to_us, tail);
  if (tail.points.empty()) return {};
  std::set<int64_t> minutes;
  for (const Point& point : tail.points) minutes.insert(floor_to(point.time_us, kMinuteUs));
  LoadedBlocks around;
  const Need wide{series, rollup_start(zone, level, *minutes.begin()),
                  rollup_end(zone, level, *minutes.rbegin())};
  const Need narrow{series, *minutes.begin(), *minutes.rbegin() + kMinuteUs};
  if (level > Level::kMinute) TRY(load(session, {&wide, 1}, "1", end, around));
  LoadedBlocks raw;
  TRY(load(session, {&narrow, 1}, "0", end, raw));
  PointSet set;
  TRY(raw.points(series, narrow.from_us, narrow.to_us, set));
  append_points(set, tail);
  sort_points(set.points);
  std::vector<Bucket> fresh;
  sum_up(zone, Duration::minutes(1), set.points, fresh);
  std::erase_if(fresh, [&](const Bucket& b) { return !minutes.contains(b.start_us); });
  if (level > Level::kMinute) {
    std::set<int64_t> touched;
    for (const int64_t minute : minutes) touched.insert(rollup_start(zone, level, minute));
    std::vector<Bucket> parts;
    TRY(around.buckets(series, Level::kMinute, wide.from_us, wide.to_us, parts));
    parts.insert(parts.end(), fresh.begin(), fresh.end());
    sort_buckets(parts);
    widen(zone, level == Level::kHour ? Duration::hours(1) : Duration::days(1), parts);
    std::erase_if(parts, [&](const Bucket& b) { return !touched.contains(b.start_us); });
    fresh = std::move(parts);
  }
  out.insert(out.end(), fresh.begin(), fresh.end());
  sort_buckets(out);
  return {};
}

Status Store::read_buckets(Session& session, const HistoryQuery& query, Duration bucket,
                           const QueryEnd& end, HistoryAnswer& answer) const {
  const Level level = level_for(bucket);
  std::vector<Need> needs;
  std::vector<PointSet> tails(query.series.size());
  for (size_t i = 0; i < query.series.size(); ++i) {
    const uint32_t series = query.series[i].value;
    const TimeZone& zone = *policy(series).zone;
    needs.push_back({series, zone.bucket_start(query.from, bucket).us,
                     zone.bucket_end(query.to - Duration::micros(1), bucket).us});
    if (level == Level::kRaw) tail_points(series, needs[i].from_us, needs[i].to_us, tails[i]);
  }
  LoadedBlocks loaded;
  TRY(load(session, needs, std::to_string(static_cast<int>(level)), end, loaded));
  const BucketParts parts = parts_for(query.functions);
  std::vector<Bucket> buckets;
  for (size_t i = 0; i < needs.size(); ++i) {
    TRY(end.check());
    const uint32_t series = needs[i].series;
    const TimeZone& zone = *policy(series).zone;
    buckets.clear();
    if (level == Level::kRaw) {
      PointSet set;
      TRY(loaded.points(series, needs[i].from_us, needs[i].to_us, set));
      append_points(set, tails[i]);
      sort_points(set.points);
      sum_up(zone, bucket, set.points, buckets);
    } else {
      TRY(rolled(session, series, zone, level, parts, needs[i], loaded, end, buckets));
      const bool as_stored = bucket.us == kMinuteUs || bucket.us == kHourUs || bucket.us == kDayUs;
      if (!as_stored) widen(zone, bucket, buckets);
    }
    HistorySeries& out = answer.series[i];
    if (buckets.size() > query.limit) {
      out.next = Timestamp{buckets[query.limit].start_us};
      buckets.resize(query.limit);
    }
    put_buckets(buckets, query.functions, out);
    find_gaps(out.time, query.expected_interval, out.gaps);
  }
  return {};
}

Result<uint64_t> Store::count_points(Session& session, const HistoryQuery& query,
                                     const QueryEnd& end) const {
  std::string series;
  for (const SeriesId id : query.series)
    series += fmt::format("{}{}", series.empty() ? "" : ",", id.value);
  uint64_t most = 0;
  const std::string which =
      fmt::format("WHERE series IN ({}) AND level = 0 AND to_us >= {} AND from_us < {}", series,
                  query.from.us, query.to.us);
  TRY(session.select(
      fmt::format(
          "SELECT coalesce(max(n), 0)::UBIGINT FROM (SELECT sum(points) AS n FROM (SELECT series, "
          "points FROM history.hot {0} UNION ALL SELECT series, points FROM history.blocks {0}) "
          "GROUP BY series)",
          which),
      end, [&](const Chunk& chunk) -> Status {
        most = chunk.column<uint64_t>(0)[0];
        return {};
      }));
  return most;
}

// Few samples are thinned as they are; of many, the extremes of their minutes, hours or days.
Status Store::thin(Session& session, const HistoryQuery& query, const QueryEnd& end,
                   HistoryAnswer& answer) const {
  TRY_ASSIGN(const uint64_t most, count_points(session, query, end));
  HistoryQuery all = query;
  all.points = 0;
  all.limit = options_.query_points_max;
  const bool raw = most <= kThinRawMax && most * query.series.size() <= options_.query_points_max;
  const int64_t span = (query.to - query.from).us;
  Duration width = Duration::minutes(1);
  if (span / kMinuteUs > static_cast<int64_t>(kThinRawMax)) width = Duration::hours(1);
  if (span / kHourUs > static_cast<int64_t>(kThinRawMax)) width = Duration::days(1);
  HistoryAnswer full = answer;
  if (raw)
    TRY(read_points(session, all, end, full));
  else
    TRY(read_buckets(session, all, width, end, full));
  for (size_t i = 0; i < full.series.size(); ++i) {
    HistorySeries& in = full.series[i];
    HistorySeries& out = answer.series[i];
    out.gaps = std::move(in.gaps);
    std::vector<Point> points;
    for (size_t n = 0; n < in.time.size(); ++n) {
      if (raw) {
        points.push_back({in.time[n].us, std::bit_cast<uint64_t>(in.number[n]), ValueKind::kDouble,
                          in.quality[n]});
        continue;
      }
      const Bucket bucket{in.time[n].us, 0, 0, 0, 0, in.min[n], in.max[n], in.first[n], in.last[n]};
      const size_t at = points.size();
      add_picture(bucket, width.us, points);
      for (size_t p = at; p < points.size(); ++p) points[p].quality = in.quality[n];
    }
    if (!raw)
      std::erase_if(points, [&](const Point& p) {
        return p.time_us < query.from.us || p.time_us >= query.to.us;
      });
    for (const size_t chosen : lttb(points, query.points)) {
      out.time.push_back({points[chosen].time_us});
      out.number.push_back(points[chosen].number());
      out.quality.push_back(points[chosen].quality);
      out.kind.push_back(raw ? in.kind[chosen] : ValueKind::kDouble);
      if (raw && !in.text.empty()) out.text.push_back(std::move(in.text[chosen]));
    }
  }
  return {};
}

// The newest block start before the time is a sample: the answer is there or later.
Result<std::optional<HistoryValue>> Store::latest_before(SeriesId series, Timestamp before) {
  const std::shared_lock lock(database_mutex_);
  if (!database_)
    return fail(ErrorCode::kUnavailable, "the history database is not open", "history");
  const QueryEnd end = query_end(nullptr);
  PointSet tail;
  tail_points(series.value, INT64_MIN, before.us, tail);
  TRY_ASSIGN(const auto session, database_->connect());
  int64_t from = INT64_MAX;
  TRY(session->select(
      fmt::format(
          "SELECT max(from_us) FROM (SELECT from_us FROM history.hot WHERE series = {0} AND level "
          "= "
          "0 AND from_us < {1} UNION ALL SELECT from_us FROM history.blocks WHERE series = {0} AND "
          "level = 0 AND from_us < {1}) HAVING count(*) > 0",
          series.value, before.us),
      end, [&](const Chunk& chunk) -> Status {
        from = chunk.column<int64_t>(0)[0];
        return {};
      }));
  PointSet set;
  if (from != INT64_MAX) {
    LoadedBlocks loaded;
    const Need need{series.value, from, before.us};
    TRY(load(*session, {&need, 1}, "0", end, loaded));
    TRY(loaded.points(series.value, from, before.us, set));
  }
  append_points(set, tail);
  sort_points(set.points);
  if (set.points.empty()) return std::optional<HistoryValue>();
  const Point& last = set.points.back();
  HistoryValue value{{last.time_us}, last.kind, last.quality, last.number(), {}};
  if (last.is_text()) value.text = last.text(set.text);
  return value;
}

std::vector<size_t> lttb(std::span<const Point> points, size_t count) {
  std::vector<size_t> chosen;
  if (points.size() <= count) {
    for (size_t i = 0; i < points.size(); ++i) chosen.push_back(i);
    return chosen;
  }
  const auto value = [&](size_t i) {
    const double number = points[i].number();
    return std::isnan(number) ? 0 : number;
  };
  const double every = static_cast<double>(points.size() - 2) / static_cast<double>(count - 2);
  const auto edge = [&](size_t i) {
    return std::min(points.size() - 1, static_cast<size_t>(static_cast<double>(i) * every) + 1);
  };
  const auto x = [&](size_t i) {
    return static_cast<double>(points[i].time_us - points[0].time_us);
  };
  chosen.push_back(0);
  for (size_t i = 0; i < count - 2; ++i) {
    const size_t next_from = edge(i + 1), next_to = i + 3 == count ? points.size() : edge(i + 2);
    double mean_x = 0, mean_y = 0;
    for (size_t n = next_from; n < next_to; ++n) {
      mean_x += x(n);
      mean_y += value(n);
    }
    const auto n = static_cast<double>(next_to - next_from);
    mean_x /= n;
    mean_y /= n;
    const double ax = x(chosen.back()), ay = value(chosen.back());
    double largest = -1;
    size_t best = edge(i);
    for (size_t at = edge(i); at < next_from; ++at) {
      const double area = std::abs((ax - mean_x) * (value(at) - ay) - (ax - x(at)) * (mean_y - ay));
      if (area > largest) {
        largest = area;
        best = at;
      }
    }
    chosen.push_back(best);
  }
  chosen.push_back(points.size() - 1);
  return chosen;
}

}  // namespace penstock::stream::history
