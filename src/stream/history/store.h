#pragma once
// The store behind stream/history.h. flush.cpp writes, compact.cpp tidies, query.cpp and export.cpp
// read.

#include <array>
#include <shared_mutex>

#include "stream/history.h"
#include "stream/history/block.h"
#include "stream/history/database.h"
#include "stream/history/tail.h"

namespace penstock::stream::history {

constexpr int64_t kMinuteUs = 60'000'000;
constexpr int64_t kHourUs = 60 * kMinuteUs;
constexpr int64_t kDayUs = 24 * kHourUs;

/// floor(value / step) * step, also below zero.
constexpr int64_t floor_to(int64_t value, int64_t step) {
  const int64_t rest = value % step;
  return value - (rest < 0 ? rest + step : rest);
}

/// First instant of the rollup bucket that `at_us` lies in, and of the next one.
int64_t rollup_start(const TimeZone& zone, Level level, int64_t at_us);
int64_t rollup_end(const TimeZone& zone, Level level, int64_t at_us);

/// What of a series' blocks is wanted: from_us <= time < to_us.
struct Need {
  uint32_t series = 0;
  int64_t from_us = 0, to_us = 0;
};

/// Blocks from the database, by series, level and generation: later ones win.
class LoadedBlocks {
 public:
  std::vector<BlockRow> rows;
  void sort();
  [[nodiscard]] std::span<const BlockRow> of(uint32_t series, Level level) const;
  /// Points (buckets) of one series in a span of time, in order, one for each time.
  Status points(uint32_t series, int64_t from_us, int64_t to_us, PointSet& out) const;
  Status buckets(uint32_t series, Level level, int64_t from_us, int64_t to_us,
                 std::vector<Bucket>& out, BucketParts parts = BucketParts::kAll) const;
};

/// Appends the points in blocks to `rows`, cut where the kind changes, the UTC day ends or a block
/// is full.
void add_point_blocks(uint32_t series, uint64_t generation, std::span<const Point> points,
                      std::string_view text, std::vector<BlockRow>& rows);
void add_bucket_blocks(uint32_t series, Level level, uint64_t generation,
                       std::span<const Bucket> buckets, std::vector<BlockRow>& rows);
/// The span of time whose points or buckets of that level share blocks.
constexpr int64_t window_us(Level level) {
  return level == Level::kHour ? 32 * kDayUs : level == Level::kDay ? 1024 * kDayUs : kDayUs;
}

class Store final : public HistoryStore {
 public:
  Store(HistoryOptions options, SeriesPolicies policies, Clock& clock, Metrics& metrics);
  Status start();

  Result<HistoryAnswer> query(const HistoryQuery& query) override;
  Result<std::optional<HistoryValue>> latest_before(SeriesId series, Timestamp before) override;
  Status export_query(const HistoryQuery& query, const SeriesNames& names, const std::string& path,
                      ExportFormat format) override;
  Result<size_t> export_days(Timestamp until, const SeriesNames& names,
                             const std::atomic<bool>* cancelled) override;
  HistoryStatus status() const override;
  JournalOffset committed_offset() const override { return committed_.load(); }

  void take(const SampleView& samples, JournalOffset next) override;
  void pass(JournalOffset next) override { read_.store(next); }
  bool due() const override;
  Status flush() override;
  Result<bool> compact_some(bool all) override;
  Status trim() override;
  Status checkpoint() override;
  void report(HistoryState state, std::string detail) override;

 private:
  // -- flush.cpp
  /// What the writer knows of a series, so that samples in order need no reading.
  struct SeriesState {
    int64_t newest_us = INT64_MIN;  ///< of its samples in the database
    bool open_known = true;         ///< `open` is what the database has
    std::array<Bucket, 3> open;     ///< the minute, hour and day of `newest_us`
    std::array<int64_t, 3> open_end{INT64_MIN, INT64_MIN, INT64_MIN};
  };
  struct SeriesWork {
    uint32_t series = 0;
    std::span<const Point> points;  ///< in order, one for each time
    std::vector<Point> sorted;      ///< holds them where they did not come so
    SeriesState state;
    const TimeZone* zone = nullptr;
    int64_t raw_kept_from_us = INT64_MIN;
    std::array<std::vector<Bucket>, 3> changed;
  };
  Status open_database();
  Status load_states();
  bool freeze_tail();
  void prepare(std::vector<SeriesWork>& work, std::vector<Need>& needs);
  static Status recall_open_buckets(SeriesWork& work, const LoadedBlocks& loaded);
  static void add_in_order(SeriesWork& work);
  Status add_late(SeriesWork& work, const LoadedBlocks& loaded) const;
  Status write(const std::vector<SeriesWork>& work);
  Status reopen();

  // -- compact.cpp
  Status merge_blocks(uint32_t first, uint32_t last);
  Status count_hot();

  // -- export.cpp
  class ExportRows;
  Status export_day(int64_t day, const SeriesNames& names, const std::string& path,
                    const std::atomic<bool>* cancelled);

  // -- query.cpp
  /// query() for who holds database_mutex_.
  Result<HistoryAnswer> answer(const HistoryQuery& query) const;
  QueryEnd query_end(const std::atomic<bool>* cancelled) const;
  Status load(Session& session, std::span<const Need> needs, std::string_view levels,
              const QueryEnd& end, LoadedBlocks& out) const;
  void tail_points(uint32_t series, int64_t from_us, int64_t to_us, PointSet& out) const;
  SeriesPolicy policy(uint32_t series) const;
  Status read_points(Session& session, const HistoryQuery& query, const QueryEnd& end,
                     HistoryAnswer& answer) const;
  Status read_series_points(const HistoryQuery& query, SeriesId series, const LoadedBlocks& loaded,
                            PointSet& out) const;
  Status read_buckets(Session& session, const HistoryQuery& query, Duration bucket,
                      const QueryEnd& end, HistoryAnswer& answer) const;
  Status rolled(Session& session, uint32_t series, const TimeZone& zone, Level level,
                BucketParts parts, const Need& need, const LoadedBlocks& loaded,
                const QueryEnd& end, std::vector<Bucket>& out) const;
  Status thin(Session& session, const HistoryQuery& query, const QueryEnd& end,
              HistoryAnswer& answer) const;
  Result<uint64_t> count_points(Session& session, const HistoryQuery& query,
                                const QueryEnd& end) const;

  HistoryOptions options_;
  SeriesPolicies policies_;
  Clock& clock_;
  Counter& samples_;
  Counter& committed_samples_;
  Counter& late_samples_;
  Counter& merged_points_;
  Gauge& tail_gauge_;
  Gauge& hot_gauge_;
  Histogram& flush_time_;
  Histogram& query_time_;

  mutable std::shared_mutex database_mutex_;  // exclusive only while the file is opened again
  std::unique_ptr<Database> database_;
  std::unique_ptr<Session> session_;  // the writer's

  mutable std::mutex tail_mutex_;  // of the tails: the writer adds, queries look
  std::unique_ptr<Tail> active_ = std::make_unique<Tail>();
  std::unique_ptr<Tail> frozen_ = std::make_unique<Tail>();  // being written
  bool freezing_ = false;                                    // frozen_ holds samples
  JournalOffset frozen_next_ = 0;
  int64_t tail_since_us_ = 0;
  std::atomic<JournalOffset> read_{0}, committed_{0};

  // The writer's own.
  Paged<SeriesState> states_;
  uint64_t series_known_ = 0;
  uint64_t generation_ = 0;
  uint32_t compact_next_ = 0;
  bool compacting_ = false;
  std::atomic<uint64_t> hot_rows_{0};

  mutable std::mutex status_mutex_;
  HistoryState state_ = HistoryState::kWell;
  std::string detail_ = "history is up to date";
};

/// LTTB: thins to `count` points that keep the picture (Sveinn Steinarsson, "Downsampling Time
/// Series for Visual Representation", 2013). Returns which; first and last always. REQUIRES: count
/// >= 3.
std::vector<size_t> lttb(std::span<const Point> points, size_t count);

}  // namespace penstock::stream::history
