#pragma once
// History: every sample of every series, with rollups of 1 min, 1 h and 1 day, in DuckDB. It tails
// the journal; what is not yet in DuckDB is in memory and seen by queries all the same.
// docs/history.md has the layout, ADR 030 the reasons.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/io.h"
#include "base/metrics.h"
#include "base/result.h"
#include "base/timezone.h"
#include "stream/journal.h"
#include "stream/sample.h"

namespace penstock::stream {

/// How long the samples of a series are kept. 0: for ever.
struct Retention {
  Duration raw;
  Duration rollups;  ///< at least `raw`, where both are limited
};

/// What history must know of a series: its site's zone and what its organisation or site keeps.
struct SeriesPolicy {
  const TimeZone* zone = nullptr;  ///< null: UTC
  Retention retention;
};
/// Any thread, quick; unknown series get the defaults.
using SeriesPolicies = std::function<SeriesPolicy(SeriesId)>;

struct HistoryOptions {
  std::string directory;
  uint64_t memory_bytes_max = 512ULL << 20;  ///< DuckDB's own
  uint32_t threads = 1;                      ///< DuckDB's own; queries run on their caller's thread
  size_t tail_samples_max = 1'000'000;       ///< in memory, then they go to DuckDB
  Duration tail_age_max = Duration::seconds(20);
  size_t hot_rows_max = 16'384;  ///< small blocks before they are compacted
  Duration query_time_max = Duration::seconds(30);
  size_t query_points_max = 20'000'000;  ///< points in memory for one query
};

enum class HistoryFunction : uint8_t { kAvg, kMin, kMax, kFirst, kLast, kCount };

/// What to read. Without `bucket` and `points`: the samples as they are.
struct HistoryQuery {
  std::vector<SeriesId> series;
  Timestamp from, to;              ///< from inclusive, to exclusive
  std::optional<Duration> bucket;  ///< whole buckets of the site's time (TimeZone::bucket_start);
                                   ///< the first and last are read whole
  size_t points = 0;               ///< thin to so many a series (LTTB); not with `bucket`
  std::vector<HistoryFunction> functions;  ///< with `bucket`; empty: all
  Duration expected_interval;              ///< for gaps; 0: estimated as the median
  size_t limit =
      1'000'000;  ///< rows a series at most; where it was cut, `next` says where to go on
  const std::atomic<bool>* cancelled = nullptr;
};

/// Columns of equal length; those not asked for are empty.
struct HistorySeries {
  struct Gap {
    Timestamp from, to;  ///< last sample before, first sample after
  };
  SeriesId series;
  std::vector<Timestamp> time;
  std::vector<double> number;                      ///< samples; NaN for texts
  std::vector<std::string> text;                   ///< samples, only where the series has texts
  std::vector<ValueKind> kind;                     ///< samples
  std::vector<double> avg, min, max, first, last;  ///< buckets; NaN: no usable number
  std::vector<uint64_t> count;                     ///< buckets: usable samples (good, uncertain)
  std::vector<uint64_t> bad;                       ///< buckets: samples of bad quality
  std::vector<Quality> quality;  ///< buckets: bad where none is usable, good where all are good
  std::vector<Gap> gaps;
  std::optional<Timestamp> next;  ///< cut at `limit`: ask again with from = next
};

struct HistoryAnswer {
  std::optional<Duration> bucket;
  std::vector<HistorySeries> series;  ///< as asked
};

/// One sample, with its text.
struct HistoryValue {
  Timestamp time;
  ValueKind kind = ValueKind::kDouble;
  Quality quality = Quality::kGood;
  double number = 0;
  std::string text;
};

enum class HistoryState : uint8_t {
  kWell,
  kBehind,  ///< DuckDB or the journal refuses; it tries again, nothing is lost
};

struct HistoryStatus {
  HistoryState state = HistoryState::kWell;
  std::string detail;           ///< a sentence for people
  JournalOffset committed = 0;  ///< in DuckDB, durably
  JournalOffset read = 0;       ///< in DuckDB or in memory: what queries see
  uint64_t tail_samples = 0;    ///< in memory only
  uint64_t hot_rows = 0;        ///< small blocks not yet compacted
};

/// Names for exports, where people and tools read them.
struct SeriesName {
  std::string site, twin, element, unit;
};
using SeriesNames = std::function<SeriesName(SeriesId)>;
enum class ExportFormat : uint8_t { kParquet, kCsv };

/// The stored history. Queries: any thread. The rest: the writer's thread only.
class HistoryStore {
 public:
  /// Opens DIR/history.duckdb, or makes it. kCorrupt where it is damaged: the sentence says what to
  /// do. REQUIRES: one process has it open (DuckDB's lock sees to that).
  static Result<std::unique_ptr<HistoryStore>> open(HistoryOptions options, SeriesPolicies policies,
                                                    Clock& clock, Metrics& metrics);
  virtual ~HistoryStore() = default;

  // -- any thread
  virtual Result<HistoryAnswer> query(const HistoryQuery& query) = 0;
  /// The newest sample before `before`, whatever its quality.
  virtual Result<std::optional<HistoryValue>> latest_before(SeriesId series, Timestamp before) = 0;
  /// Writes the answer of a query to a file: time, site, twin, element, unit, value, text, quality
  /// (samples) or avg, min, max, first, last, count (buckets); sorted as asked, then by time.
  virtual Status export_query(const HistoryQuery& query, const SeriesNames& names,
                              const std::string& path, ExportFormat format) = 0;
  /// Writes each whole UTC day before `until` that has no file yet, or that changed since, to
  /// DIR/parquet/YYYY-MM-DD.parquet (zstd, sorted by series and time). Returns how many.
  virtual Result<size_t> export_days(Timestamp until, const SeriesNames& names,
                                     const std::atomic<bool>* cancelled) = 0;
  [[nodiscard]] virtual HistoryStatus status() const = 0;
  /// The journal before this is not needed by history any more.
  [[nodiscard]] virtual JournalOffset committed_offset() const = 0;

  // -- the writer's thread
  /// Takes samples in; `next` is where the journal goes on after them.
  virtual void take(const SampleView& samples, JournalOffset next) = 0;
  /// A record that is not for history was passed over.
  virtual void pass(JournalOffset next) = 0;
  /// Whether the tail is large or old enough to be written.
  [[nodiscard]] virtual bool due() const = 0;
  /// Writes the tail, its rollups and the offset in one transaction. On an error nothing changed.
  virtual Status flush() = 0;
  /// Merges some small blocks into large ones, in one transaction. False: nothing to do.
  /// `all`: even where there are few.
  virtual Result<bool> compact_some(bool all) = 0;
  /// Deletes what is older than its retention.
  virtual Status trim() = 0;
  /// Writes DuckDB's log into its file.
  virtual Status checkpoint() = 0;
  virtual void report(HistoryState state, std::string detail) = 0;
};

/// Tails the journal into the store, on its own thread.
class HistoryWriter {
 public:
  HistoryWriter(HistoryStore& store, Journal& journal, Clock& clock, Metrics& metrics);
  ~HistoryWriter();

  void start();
  /// Writes what is in memory and ends the thread.
  void stop();

  /// One turn without a thread, for tests: reads what there is (at most `records_max`), writes and
  /// compacts where due. True: there was something to do.
  Result<bool> step(size_t records_max);

 private:
  void run();
  Result<size_t> read_some(size_t records_max);
  void maintain();
  void show_lag();

  HistoryStore& store_;
  Journal& journal_;
  Clock& clock_;
  Gauge& lag_bytes_;
  Gauge& lag_seconds_;
  Gauge& state_gauge_;
  Counter& bad_records_;
  std::unique_ptr<Journal::Reader> reader_;
  std::vector<Sample> unpacked_;  // of the record being read
  std::mutex mutex_;              // of reader_ against stop(), and of stopping_
  std::condition_variable stop_wanted_;
  bool stopping_ = false;
  Timestamp newest_received_;
  int64_t trimmed_at_us_ = 0;
  int64_t compact_at_us_ = 0;
  Duration retry_wait_;
  std::thread thread_;
};

}  // namespace penstock::stream
