// Files for other tools: the answer of a query, or sealed days, as Parquet or CSV.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "stream/history/store.h"

namespace penstock::stream::history {
namespace {

constexpr size_t kRowsAtOnce = 100'000;  // of one series in memory

std::string_view quality_text(Quality quality) {
  switch (quality) {
    case Quality::kGood:
      return "good";
    case Quality::kUncertain:
      return "uncertain";
    case Quality::kBad:
      break;
  }
  return "bad";
}

std::string day_name(int64_t day) {
  const std::time_t seconds = day * 86'400;
  return fmt::format("{:%Y-%m-%d}", fmt::gmtime(seconds));
}

}  // namespace

// Series by series, each in pages, so that an export of any length needs little memory.
class Store::ExportRows final : public RowSource {
 public:
  ExportRows(const Store& store, const HistoryQuery& query, const SeriesNames& names)
      : store_(store), query_(query), names_(names), buckets_(query.bucket.has_value()) {
    page_.series = {};
    page_ = query;
  }

  [[nodiscard]] std::vector<Column> columns() const override {
    std::vector<Column> out{{"time", ColumnType::kTimestamp},
                            {"site", ColumnType::kText},
                            {"twin", ColumnType::kText},
                            {"element", ColumnType::kText},
                            {"unit", ColumnType::kText}};
    if (buckets_) {
      for (const char* name : {"avg", "min", "max", "first", "last"})
        out.push_back({name, ColumnType::kDouble});
      out.push_back({"count", ColumnType::kUnsigned});
    } else {
      out.push_back({"value", ColumnType::kDouble});
      out.push_back({"text", ColumnType::kText});
    }
    out.push_back({"quality", ColumnType::kText});
    return out;
  }

  Result<size_t> next(Sink& sink, size_t rows_max) override {
    size_t rows = 0;
    while (rows < rows_max) {
      if (row_ == rows_.time.size()) {
        TRY_ASSIGN(const bool more, read_page());
        if (!more) break;
        continue;
      }
      put(sink, rows++);
      ++row_;
    }
    return rows;
  }

 private:
  Result<bool> read_page() {
    const std::optional<Timestamp> next = rows_.next;
    rows_ = {};
    row_ = 0;
    const bool goes_on = next.has_value() && left_ > 0;
    if (!goes_on) {
      if (series_ == query_.series.size()) return false;
      page_.from = query_.from;
      left_ = query_.limit;
      page_.series = {query_.series[series_]};
      name_ = names_(query_.series[series_++]);
    } else {
      page_.from = *next;
    }
    page_.limit = std::min(left_, kRowsAtOnce);
    TRY_ASSIGN(HistoryAnswer answer, store_.answer(page_));
    rows_ = std::move(answer.series.front());
    left_ -= rows_.time.size();
    return true;
  }

  void put(Sink& sink, size_t row) const {
    sink.put_timestamp(0, row, rows_.time[row_].us);
    sink.put_text(1, row, name_.site);
    sink.put_text(2, row, name_.twin);
    sink.put_text(3, row, name_.element);
    sink.put_text(4, row, name_.unit);
    if (buckets_) {
      put_number(sink, 5, row, rows_.avg);
      put_number(sink, 6, row, rows_.min);
      put_number(sink, 7, row, rows_.max);
      put_number(sink, 8, row, rows_.first);
      put_number(sink, 9, row, rows_.last);
      if (rows_.count.empty())
        sink.put_null(10, row);
      else
        sink.put_unsigned(10, row, rows_.count[row_]);
      sink.put_text(11, row, quality_text(rows_.quality[row_]));
      return;
    }
    put_number(sink, 5, row, rows_.number);
    const bool text =
        rows_.kind[row_] == ValueKind::kText || rows_.kind[row_] == ValueKind::kObject;
    if (text)
      sink.put_text(6, row, rows_.text[row_]);
    else
      sink.put_null(6, row);
    sink.put_text(7, row, quality_text(rows_.quality[row_]));
  }

  void put_number(Sink& sink, size_t column, size_t row, const std::vector<double>& from) const {
    if (from.empty() || std::isnan(from[row_]))
      sink.put_null(column, row);
    else
      sink.put_double(column, row, from[row_]);
  }

  const Store& store_;
  const HistoryQuery& query_;
  const SeriesNames& names_;
  const bool buckets_;
  HistoryQuery page_;
  size_t series_ = 0;  // the next one
  SeriesName name_;
  HistorySeries rows_;
  size_t row_ = 0;
  size_t left_ = 0;
};

Status Store::export_query(const HistoryQuery& query, const SeriesNames& names,
                           const std::string& path, ExportFormat format) {
  const std::shared_lock lock(database_mutex_);
  if (!database_)
    return fail(ErrorCode::kUnavailable, "the history database is not open", "history");
  TRY_ASSIGN(const auto session, database_->connect());
  QueryEnd end;  // long work: it ends by cancelling, not by time
  end.cancelled = query.cancelled;
  ExportRows rows(*this, query, names);
  return session->copy(
      rows, path, format == ExportFormat::kParquet ? CopyFormat::kParquet : CopyFormat::kCsv, end);
}

// A day's file is out of date where a block of that day is of a later generation than the file.
Result<size_t> Store::export_days(Timestamp until, const SeriesNames& names,
                                  const std::atomic<bool>* cancelled) {
  const std::string folder = options_.directory + "/parquet";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return fail(ErrorCode::kIo, "cannot make the folder: " + error.message(), folder);
  struct Day {
    int64_t day;
    uint64_t generation;
  };
  std::vector<Day> wanted;
  {
    const std::shared_lock lock(database_mutex_);
    if (!database_)
      return fail(ErrorCode::kUnavailable, "the history database is not open", "history");
    TRY_ASSIGN(const auto session, database_->connect());
    TRY(session->select(
        fmt::format("SELECT (from_us // {0})::BIGINT AS day, max(generation)::UBIGINT FROM (SELECT "
                    "from_us, to_us, generation, level FROM history.hot UNION ALL SELECT from_us, "
                    "to_us, generation, level FROM history.blocks) WHERE level = 0 AND from_us "
                    "// {0} < {1} GROUP BY day ORDER BY day",
                    kDayUs, floor_to(until.us, kDayUs) / kDayUs),
        {cancelled, INT64_MAX, nullptr}, [&](const Chunk& chunk) -> Status {
          for (size_t i = 0; i < chunk.rows(); ++i)
            wanted.push_back({chunk.column<int64_t>(0)[i], chunk.column<uint64_t>(1)[i]});
          return {};
        }));
  }
  size_t written = 0;
  for (const Day& day : wanted) {
    // The name tells people the day, the mark tells us what the file knows.
    const std::string path = folder + "/" + day_name(day.day) + ".parquet";
    const std::string mark = path + ".generation";
    const auto known = read_file(system_files(), mark, 32);
    if (known && *known == std::to_string(day.generation)) continue;
    TRY(export_day(day.day, names, path, cancelled));
    TRY(write_file_atomically(system_files(), mark, std::to_string(day.generation)));
    ++written;
  }
  return written;
}

Status Store::export_day(int64_t day, const SeriesNames& names, const std::string& path,
                         const std::atomic<bool>* cancelled) {
  HistoryQuery query;
  query.from = {day * kDayUs};
  query.to = {(day + 1) * kDayUs};
  query.limit = SIZE_MAX;
  query.cancelled = cancelled;
  {
    const std::shared_lock lock(database_mutex_);
    if (!database_)
      return fail(ErrorCode::kUnavailable, "the history database is not open", "history");
    TRY_ASSIGN(const auto session, database_->connect());
    const std::string which = fmt::format("WHERE level = 0 AND from_us >= {} AND from_us < {}",
                                          query.from.us, query.to.us);
    TRY(session->select(fmt::format("SELECT DISTINCT series FROM (SELECT series FROM history.hot "
                                    "{0} UNION SELECT series FROM history.blocks {0}) ORDER BY "
                                    "series",
                                    which),
                        {cancelled, INT64_MAX, nullptr}, [&](const Chunk& chunk) -> Status {
                          for (size_t i = 0; i < chunk.rows(); ++i)
                            query.series.emplace_back(chunk.column<uint32_t>(0)[i]);
                          return {};
                        }));
  }
  const std::string unfinished = path + ".part";
  TRY(export_query(query, names, unfinished, ExportFormat::kParquet));
  return system_files().rename(unfinished, path);
}

}  // namespace penstock::stream::history
