// Opening, and the writer's path: samples into memory, memory into one transaction.

#include <algorithm>
#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "base/check.h"
#include "base/log.h"
#include "stream/history/store.h"

namespace penstock::stream::history {
namespace {

constexpr std::array<Level, 3> kRollups{Level::kMinute, Level::kHour, Level::kDay};

size_t index_of(Level level) { return static_cast<size_t>(level) - 1; }

}  // namespace

int64_t rollup_start(const TimeZone& zone, Level level, int64_t at_us) {
  if (level == Level::kMinute) return floor_to(at_us, kMinuteUs);
  if (level == Level::kHour) return zone.bucket_start({at_us}, Duration::hours(1)).us;
  return zone.day_start({at_us}).us;
}

int64_t rollup_end(const TimeZone& zone, Level level, int64_t at_us) {
  if (level == Level::kMinute) return floor_to(at_us, kMinuteUs) + kMinuteUs;
  if (level == Level::kHour) return zone.bucket_end({at_us}, Duration::hours(1)).us;
  return zone.day_end({at_us}).us;
}

Store::Store(HistoryOptions options, SeriesPolicies policies, Clock& clock, Metrics& metrics)
    : options_(std::move(options)),
      policies_(std::move(policies)),
      clock_(clock),
      samples_(metrics.counter("penstock_history_samples_total",
                               "Samples taken into history: queries see them")),
      committed_samples_(metrics.counter("penstock_history_committed_samples_total",
                                         "Samples in the history database, durably")),
      late_samples_(metrics.counter("penstock_history_late_samples_total",
                                    "Samples not newer than what their series had")),
      merged_points_(metrics.counter("penstock_history_compacted_points_total",
                                     "Samples and rollups written again by compaction")),
      tail_gauge_(metrics.gauge("penstock_history_tail_samples",
                                "Samples in memory that are not yet in the database")),
      hot_gauge_(metrics.gauge("penstock_history_hot_rows", "Small blocks not yet compacted")),
      flush_time_(metrics.histogram("penstock_history_flush_seconds",
                                    "Time to write the tail to the database")),
      query_time_(metrics.histogram("penstock_history_query_seconds", "Time of history queries")) {}

Status Store::start() {
  std::error_code error;
  std::filesystem::create_directories(options_.directory + "/tmp", error);
  if (error)
    return fail(ErrorCode::kIo, "cannot make the history folder: " + error.message(),
                options_.directory);
  TRY(open_database());
  return load_states();
}

Status Store::open_database() {
  const std::string path = options_.directory + "/history.duckdb";
  auto opened = Database::open(
      {path, options_.directory + "/tmp", options_.memory_bytes_max, options_.threads});
  if (!opened) {
    Error error = opened.error();
    error.about = path;
    if (error.code == ErrorCode::kCorrupt || error.code == ErrorCode::kInternal) {
      error.code = ErrorCode::kCorrupt;
      error.message +=
          "; the file is damaged or not ours: move it away, then history is rebuilt from the "
          "journal as far back as it reaches, and older days are in parquet/ beside it";
    }
    return fail(std::move(error));
  }
  TRY_ASSIGN(auto session, (*opened)->connect());
  database_ = std::move(*opened);
  session_ = std::move(session);
  uint32_t format = 0;
  TRY(session_->select("SELECT format, journal_offset, generation FROM history.meta", {},
                       [&](const Chunk& chunk) -> Status {
                         format = chunk.column<uint32_t>(0)[0];
                         committed_.store(chunk.column<uint64_t>(1)[0]);
                         generation_ = chunk.column<uint64_t>(2)[0];
                         return {};
                       }));
  if (format != 1)
    return fail(ErrorCode::kUnsupported,
                fmt::format("the history database has format {}, this program reads 1; run the "
                            "program that wrote it",
                            format),
                path);
  return count_hot();
}

// For each series that the database has: its newest sample. Its open buckets are read when needed.
Status Store::load_states() {
  read_.store(committed_.load());
  return session_->select(
      "SELECT series, max(to_us) FROM (SELECT series, to_us FROM history.hot WHERE level < 2 "
      "UNION ALL SELECT series, to_us FROM history.blocks WHERE level < 2) GROUP BY series",
      {}, [&](const Chunk& chunk) -> Status {
        for (size_t i = 0; i < chunk.rows(); ++i) {
          SeriesState& state = states_.at(chunk.column<uint32_t>(0)[i]);
          state.newest_us = chunk.column<int64_t>(1)[i];
          state.open_known = false;
          ++series_known_;
        }
        return {};
      });
}

void Store::take(const SampleView& samples, JournalOffset next) {
  {
    const std::lock_guard lock(tail_mutex_);
    if (active_->samples() == 0) tail_since_us_ = clock_.monotonic_us();
    for (const Sample& sample : samples.samples) {
      const bool text = sample.kind == ValueKind::kText || sample.kind == ValueKind::kObject;
      active_->add(sample, text ? samples.text_of(sample) : std::string_view{});
    }
  }
  samples_.add(samples.samples.size());
  read_.store(next, std::memory_order_release);
}

// Also by the size of its texts, so that references into them stay short.
bool Store::due() const {
  if (freezing_) return true;
  if (active_->samples() >= options_.tail_samples_max || active_->text().size() > 64U << 20)
    return true;
  if (active_->samples() == 0) return false;
  return clock_.monotonic_us() - tail_since_us_ >= options_.tail_age_max.us;
}

bool Store::freeze_tail() {
  if (freezing_) return true;  // the last attempt failed: the same again
  const std::lock_guard lock(tail_mutex_);
  if (active_->samples() == 0) return false;
  std::swap(active_, frozen_);
  freezing_ = true;
  frozen_next_ = read_.load();
  auto& touched = frozen_->touched();
  std::sort(touched.begin(), touched.end());
  return true;
}

Status Store::flush() {
  if (!freeze_tail()) {
    if (read_.load() == committed_.load()) return {};
    const JournalOffset next = read_.load();  // nothing for us lay there
    TRY(session_->execute(fmt::format("UPDATE history.meta SET journal_offset = {}", next)));
    committed_.store(next);
    return {};
  }
  const int64_t began = clock_.monotonic_us();
  std::vector<SeriesWork> work;
  std::vector<Need> needs;
  prepare(work, needs);
  LoadedBlocks loaded;
  Status status = load(*session_, needs, "0,1,2,3", {}, loaded);
  for (SeriesWork& one : work) {
    if (status) status = recall_open_buckets(one, loaded);
    if (!status) break;
    add_in_order(one);
    status = add_late(one, loaded);
  }
  ++generation_;
  if (status) status = write(work);
  if (!status) {
    if (const Status again = reopen(); !again) log_error("history", "{}", again.error().text());
    if (committed_.load() < frozen_next_) return status;  // else the commit had reached the disk
  }
  for (SeriesWork& one : work) {
    SeriesState& state = states_.at(one.series);
    if (state.newest_us == INT64_MIN) ++series_known_;
    state = one.state;
  }
  committed_samples_.add(frozen_->samples());
  committed_.store(frozen_next_);
  {
    const std::lock_guard lock(tail_mutex_);
    frozen_->clear();
    freezing_ = false;
  }
  flush_time_.observe_us(static_cast<uint64_t>(clock_.monotonic_us() - began));
  return {};
}

// Orders the points of each series and finds what must be read: for late samples what lies around
// them, for a series met the first time since the start its open buckets.
void Store::prepare(std::vector<SeriesWork>& work, std::vector<Need>& needs) {
  work.resize(frozen_->touched().size());
  for (size_t i = 0; i < work.size(); ++i) {
    SeriesWork& one = work[i];
    one.series = frozen_->touched()[i];
    const std::vector<Point>& came = *frozen_->points(one.series);
    one.points = came;
    const auto unordered =
        std::adjacent_find(came.begin(), came.end(),
                           [](const Point& a, const Point& b) { return a.time_us >= b.time_us; });
    if (unordered != came.end()) {  // queries look at the frozen tail: order a copy
      one.sorted = came;
      sort_points(one.sorted);
      one.points = one.sorted;
    }
    const SeriesPolicy rules = policy(one.series);
    one.zone = rules.zone;
    if (rules.retention.raw.us > 0) one.raw_kept_from_us = clock_.now().us - rules.retention.raw.us;
    if (const SeriesState* known = states_.find(one.series)) one.state = *known;
    if (one.state.newest_us == INT64_MIN) continue;  // nothing of it in the database
    const int64_t oldest = one.points.front().time_us;
    const bool late = oldest <= one.state.newest_us;
    if (!late && one.state.open_known) continue;
    Need need{one.series, INT64_MAX, INT64_MIN};
    const auto widen = [&](int64_t at) {
      need.from_us = std::min(need.from_us, rollup_start(*one.zone, Level::kDay, at));
      need.to_us = std::max(need.to_us, rollup_end(*one.zone, Level::kDay, at));
    };
    widen(one.state.newest_us);
    if (late) widen(oldest);
    needs.push_back(need);
  }
}

Status Store::recall_open_buckets(SeriesWork& work, const LoadedBlocks& loaded) {
  SeriesState& state = work.state;
  if (state.newest_us == INT64_MIN || state.open_known) return {};
  for (const Level level : kRollups) {
    const int64_t start = rollup_start(*work.zone, level, state.newest_us);
    std::vector<Bucket> found;
    TRY(loaded.buckets(work.series, level, start, start + 1, found));
    if (found.empty()) continue;
    state.open[index_of(level)] = found.back();
    state.open_end[index_of(level)] = rollup_end(*work.zone, level, start);
  }
  state.open_known = true;
  return {};
}

// Samples newer than all that the series had: they only add to its open minute, hour and day.
void Store::add_in_order(SeriesWork& work) {
  SeriesState& state = work.state;
  const auto first =
      std::upper_bound(work.points.begin(), work.points.end(), state.newest_us,
                       [](int64_t newest, const Point& point) { return newest < point.time_us; });
  std::array<bool, 3> changed{};
  for (auto point = first; point != work.points.end();) {
    const int64_t minute = floor_to(point->time_us, kMinuteUs);
    Bucket part = Bucket::at(minute);
    for (; point != work.points.end() && point->time_us < minute + kMinuteUs; ++point)
      part.add(*point);
    for (size_t i = 0; i < 3; ++i) {
      if (minute >= state.open_end[i]) {
        if (changed[i]) work.changed[i].push_back(state.open[i]);
        state.open[i] = Bucket::at(rollup_start(*work.zone, kRollups[i], minute));
        state.open_end[i] = rollup_end(*work.zone, kRollups[i], minute);
      }
      state.open[i].merge(part);
      changed[i] = true;
    }
  }
  for (size_t i = 0; i < 3; ++i)
    if (changed[i]) work.changed[i].push_back(state.open[i]);
  state.newest_us = std::max(state.newest_us, work.points.back().time_us);
}

// Late and repeated samples: the buckets they lie in are computed again, minutes from samples,
// hours from minutes, days from hours.
Status Store::add_late(SeriesWork& work, const LoadedBlocks& loaded) const {
  const SeriesState* known = states_.find(work.series);
  const int64_t newest = known == nullptr ? INT64_MIN : known->newest_us;
  std::array<std::set<int64_t>, 3> touched;
  uint64_t late = 0;
  for (const Point& point : work.points) {
    if (point.time_us > newest) break;
    ++late;
    touched[0].insert(floor_to(point.time_us, kMinuteUs));
  }
  if (late == 0) return {};
  late_samples_.add(late);
  for (const int64_t minute : touched[0]) {
    PointSet set;
    const int64_t end = minute + kMinuteUs;
    TRY(loaded.points(work.series, minute, end, set));
    const auto by_time = [](const Point& p, int64_t t) { return p.time_us < t; };
    const auto from = std::lower_bound(work.points.begin(), work.points.end(), minute, by_time);
    const auto to = std::lower_bound(from, work.points.end(), end, by_time);
    Bucket bucket = Bucket::at(minute);
    std::vector<Bucket> before;
    if (minute < work.raw_kept_from_us)
      TRY(loaded.buckets(work.series, Level::kMinute, minute, end, before));
    if (set.points.empty() && !before.empty()) bucket = before.back();  // its samples are trimmed
    set.points.insert(set.points.end(), from, to);
    sort_points(set.points);
    for (const Point& point : set.points) bucket.add(point);
    work.changed[0].push_back(bucket);
    touched[1].insert(rollup_start(*work.zone, Level::kHour, minute));
    touched[2].insert(rollup_start(*work.zone, Level::kDay, minute));
  }
  sort_buckets(work.changed[0]);
  for (const size_t i : {1U, 2U}) {
    for (const int64_t start : touched[i]) {
      const int64_t end = rollup_end(*work.zone, kRollups[i], start);
      std::vector<Bucket> parts;
      TRY(loaded.buckets(work.series, kRollups[i - 1], start, end, parts));
      for (const Bucket& part : work.changed[i - 1])
        if (part.start_us >= start && part.start_us < end) parts.push_back(part);
      sort_buckets(parts);
      Bucket bucket = Bucket::at(start);
      for (const Bucket& part : parts) bucket.merge(part);
      work.changed[i].push_back(bucket);
    }
    sort_buckets(work.changed[i]);
  }
  for (size_t i = 0; i < 3; ++i)
    for (const Bucket& bucket : work.changed[i])
      if (bucket.start_us == work.state.open[i].start_us) work.state.open[i] = bucket;
  return {};
}

Status Store::write(const std::vector<SeriesWork>& work) {
  std::vector<BlockRow> hot, blocks;
  for (const SeriesWork& one : work) {
    const SeriesState* known = states_.find(one.series);
    const bool fresh = known == nullptr || one.points.front().time_us > known->newest_us;
    const size_t at = hot.size();
    add_point_blocks(one.series, generation_, one.points, frozen_->text(), hot);
    if (fresh) {  // what fills a block and overlaps nothing needs no compaction
      const auto small = std::stable_partition(
          hot.begin() + static_cast<ptrdiff_t>(at), hot.end(),
          [](const BlockRow& row) { return row.points < kBlockPointsMax / 2; });
      blocks.insert(blocks.end(), std::make_move_iterator(small),
                    std::make_move_iterator(hot.end()));
      hot.erase(small, hot.end());
    }
    for (size_t i = 0; i < 3; ++i)
      add_bucket_blocks(one.series, kRollups[i], generation_, one.changed[i], hot);
  }
  TRY(session_->execute("BEGIN TRANSACTION"));
  Status status = session_->append("hot", hot);
  if (status) status = session_->append("blocks", blocks);
  if (status)
    status = session_->execute(fmt::format(
        "UPDATE history.meta SET journal_offset = {}, generation = {}", frozen_next_, generation_));
  if (status) status = session_->execute("COMMIT");
  if (!status) {
    (void)session_->execute("ROLLBACK");  // the first error is the one to tell
    return status;
  }
  hot_rows_ += hot.size();
  hot_gauge_.set(static_cast<double>(hot_rows_.load()));
  return {};
}

// After an error DuckDB may refuse everything until its file is opened again. Waits for queries.
Status Store::reopen() {
  const std::unique_lock lock(database_mutex_);
  session_.reset();
  database_.reset();
  const uint64_t generation = generation_;
  TRY(open_database());
  generation_ = std::max(generation, generation_);
  return {};
}

HistoryStatus Store::status() const {
  HistoryStatus out;
  {
    const std::lock_guard lock(status_mutex_);
    out.state = state_;
    out.detail = detail_;
  }
  out.committed = committed_.load();
  out.read = read_.load();
  const std::lock_guard lock(tail_mutex_);
  out.tail_samples = active_->samples() + (freezing_ ? frozen_->samples() : 0);
  out.hot_rows = hot_rows_.load();
  return out;
}

void Store::report(HistoryState state, std::string detail) {
  const std::lock_guard lock(status_mutex_);
  state_ = state;
  detail_ = std::move(detail);
  tail_gauge_.set(static_cast<double>(active_->samples()));
}

}  // namespace penstock::stream::history

namespace penstock::stream {

Result<std::unique_ptr<HistoryStore>> HistoryStore::open(HistoryOptions options,
                                                         SeriesPolicies policies, Clock& clock,
                                                         Metrics& metrics) {
  auto store =
      std::make_unique<history::Store>(std::move(options), std::move(policies), clock, metrics);
  TRY(store->start());
  return store;
}

}  // namespace penstock::stream
