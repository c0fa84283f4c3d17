#pragma once
// DuckDB, as much of it as history needs. The only place of history that knows its C API.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/io.h"
#include "base/result.h"
#include "base/time.h"
#include "stream/history/point.h"

namespace penstock::stream::history {

struct DatabaseOptions {
  std::string path;  ///< of the database file; made where missing
  std::string temporary_directory;
  uint64_t memory_bytes_max = 512ULL << 20;
  uint32_t threads = 1;
};

/// When a query must end.
struct QueryEnd {
  const std::atomic<bool>* cancelled = nullptr;
  int64_t deadline_monotonic_us = INT64_MAX;
  const Clock* clock = nullptr;
  [[nodiscard]] Status check() const;
};

/// A row of the tables `hot` and `blocks`.
struct BlockRow {
  Level level = Level::kRaw;
  uint32_t series = 0;
  int64_t from_us = 0;      ///< of its first point (bucket)
  int64_t to_us = 0;        ///< of its last
  uint64_t generation = 0;  ///< of two points with the same time, the one of the later wins
  uint32_t points = 0;
  std::string bytes;  ///< block.h
};

/// Some rows of an answer, by column. Valid during the callback.
class Chunk {
 public:
  virtual ~Chunk() = default;
  [[nodiscard]] virtual size_t rows() const = 0;
  template <class Number>
  [[nodiscard]] const Number* column(size_t index) const {
    return static_cast<const Number*>(data(index));
  }
  [[nodiscard]] virtual std::string_view bytes(size_t index, size_t row) const = 0;

 protected:
  [[nodiscard]] virtual const void* data(size_t index) const = 0;
};

enum class ColumnType : uint8_t { kTimestamp, kDouble, kText, kUnsigned };

/// What COPY TO writes out: rows that we make. One thread.
class RowSource {
 public:
  struct Column {
    std::string name;
    ColumnType type;
  };
  /// Where to put a row's values. A column that is not put is NULL.
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void put_timestamp(size_t column, size_t row, int64_t us) = 0;
    virtual void put_double(size_t column, size_t row, double value) = 0;
    virtual void put_unsigned(size_t column, size_t row, uint64_t value) = 0;
    virtual void put_text(size_t column, size_t row, std::string_view text) = 0;
    virtual void put_null(size_t column, size_t row) = 0;
  };
  virtual ~RowSource() = default;
  [[nodiscard]] virtual std::vector<Column> columns() const = 0;
  /// Puts up to `rows_max` rows; returns how many, 0 at the end.
  virtual Result<size_t> next(Sink& sink, size_t rows_max) = 0;
};

enum class CopyFormat : uint8_t { kParquet, kCsv };

class Database;

/// One conversation with the database: its own transaction. One thread at a time.
class Session {
 public:
  virtual ~Session() = default;
  virtual Status execute(const std::string& sql) = 0;
  virtual Status select(const std::string& sql, const QueryEnd& end,
                        const std::function<Status(const Chunk&)>& take) = 0;
  virtual Status append(const char* table, std::span<const BlockRow> rows) = 0;
  virtual Status copy(RowSource& source, const std::string& path, CopyFormat format,
                      const QueryEnd& end) = 0;
};

/// Any thread.
class Database {
 public:
  virtual ~Database() = default;
  /// Opens or makes the file and its tables. kCorrupt where it is no such file or damaged.
  static Result<std::unique_ptr<Database>> open(const DatabaseOptions& options);
  virtual Result<std::unique_ptr<Session>> connect() = 0;
};

/// 'text' as a SQL literal.
std::string quoted(std::string_view text);

}  // namespace penstock::stream::history
