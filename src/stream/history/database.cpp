#include "stream/history/database.h"

#include <algorithm>
#include <map>
#include <mutex>

#include <duckdb.h>
#include <fmt/format.h>

namespace penstock::stream::history {
namespace {

// 2048 rows of blocks are about ten MB: the grain in which DuckDB gives space back.
constexpr int kRowGroupRows = 2048;

ErrorCode code_of(duckdb_error_type type, std::string_view text) {
  const auto has = [&](std::string_view part) { return text.find(part) != std::string_view::npos; };
  if (type == DUCKDB_ERROR_INTERRUPT || has("INTERRUPT")) return ErrorCode::kCancelled;
  if (type == DUCKDB_ERROR_OUT_OF_MEMORY || has("Out of Memory"))
    return ErrorCode::kResourceExhausted;
  if (has("Could not set lock")) return ErrorCode::kUnavailable;
  if (has("not a valid DuckDB database") || has("orrupt") || has("checksum"))
    return ErrorCode::kCorrupt;
  if (type == DUCKDB_ERROR_IO || type == DUCKDB_ERROR_FATAL || has("IO Error") || has("FATAL"))
    return ErrorCode::kIo;
  return ErrorCode::kInternal;
}

tl::unexpected<Error> database_failure(const char* text,
                                       duckdb_error_type type = DUCKDB_ERROR_INVALID) {
  const std::string said = text == nullptr ? "unknown error" : text;
  return fail(code_of(type, said), "the history database refused: " + said, "history");
}

class ChunkView final : public Chunk {
 public:
  explicit ChunkView(duckdb_data_chunk chunk) : chunk_(chunk) {}
  [[nodiscard]] size_t rows() const override { return duckdb_data_chunk_get_size(chunk_); }
  [[nodiscard]] std::string_view bytes(size_t index, size_t row) const override {
    auto* texts = static_cast<duckdb_string_t*>(const_cast<void*>(data(index))) + row;
    return {duckdb_string_t_data(texts), duckdb_string_t_length(*texts)};
  }

 protected:
  [[nodiscard]] const void* data(size_t index) const override {
    return duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk_, index));
  }

 private:
  duckdb_data_chunk chunk_;
};

class VectorSink final : public RowSource::Sink {
 public:
  explicit VectorSink(duckdb_data_chunk chunk) : chunk_(chunk) {}
  void put_timestamp(size_t column, size_t row, int64_t us) override {
    at<int64_t>(column)[row] = us;
  }
  void put_double(size_t column, size_t row, double value) override {
    at<double>(column)[row] = value;
  }
  void put_unsigned(size_t column, size_t row, uint64_t value) override {
    at<uint64_t>(column)[row] = value;
  }
  void put_text(size_t column, size_t row, std::string_view text) override {
    duckdb_vector_assign_string_element_len(vector(column), row, text.data(), text.size());
  }
  void put_null(size_t column, size_t row) override {
    duckdb_vector_ensure_validity_writable(vector(column));
    duckdb_validity_set_row_invalid(duckdb_vector_get_validity(vector(column)), row);
  }

 private:
  duckdb_vector vector(size_t column) { return duckdb_data_chunk_get_vector(chunk_, column); }
  template <class T>
  T* at(size_t column) {
    return static_cast<T*>(duckdb_vector_get_data(vector(column)));
  }
  duckdb_data_chunk chunk_;
};

// The sources that a COPY is reading, by number: what the table function penstock_rows(n) gives
// out.
class Sources {
 public:
  int64_t add(RowSource& source, const QueryEnd& end) {
    const std::lock_guard lock(mutex_);
    sources_[++last_] = {&source, &end, {}};
    return last_;
  }
  Status remove(int64_t number) {
    const std::lock_guard lock(mutex_);
    Status status = std::move(sources_[number].status);
    sources_.erase(number);
    return status;
  }
  struct Entry {
    RowSource* source = nullptr;
    const QueryEnd* end = nullptr;
    Status status;
  };
  Entry* find(int64_t number) {
    const std::lock_guard lock(mutex_);
    const auto found = sources_.find(number);
    return found == sources_.end() ? nullptr : &found->second;
  }

 private:
  std::mutex mutex_;
  std::map<int64_t, Entry> sources_;
  int64_t last_ = 0;
};

duckdb_type type_of(ColumnType type) {
  switch (type) {
    case ColumnType::kTimestamp:
      return DUCKDB_TYPE_TIMESTAMP_TZ;
    case ColumnType::kDouble:
      return DUCKDB_TYPE_DOUBLE;
    case ColumnType::kText:
      return DUCKDB_TYPE_VARCHAR;
    case ColumnType::kUnsigned:
      break;
  }
  return DUCKDB_TYPE_UBIGINT;
}

void bind_rows(duckdb_bind_info info) {
  auto* sources = static_cast<Sources*>(duckdb_bind_get_extra_info(info));
  duckdb_value number = duckdb_bind_get_parameter(info, 0);
  Sources::Entry* entry = sources->find(duckdb_get_int64(number));
  duckdb_destroy_value(&number);
  if (entry == nullptr) return duckdb_bind_set_error(info, "no such rows");
  for (const auto& column : entry->source->columns()) {
    duckdb_logical_type type = duckdb_create_logical_type(type_of(column.type));
    duckdb_bind_add_result_column(info, column.name.c_str(), type);
    duckdb_destroy_logical_type(&type);
  }
  duckdb_bind_set_bind_data(info, entry, nullptr);
}

void begin_rows(duckdb_init_info info) { duckdb_init_set_max_threads(info, 1); }

void next_rows(duckdb_function_info info, duckdb_data_chunk chunk) {
  auto* entry = static_cast<Sources::Entry*>(duckdb_function_get_bind_data(info));
  VectorSink sink(chunk);
  auto rows = [&]() -> Result<size_t> {
    TRY(entry->end->check());
    return entry->source->next(sink, duckdb_vector_size());
  }();
  if (!rows) {
    entry->status = tl::unexpected<Error>(rows.error());
    return duckdb_function_set_error(info, rows.error().message.c_str());
  }
  duckdb_data_chunk_set_size(chunk, *rows);
}

class DuckSession final : public Session {
 public:
  DuckSession(duckdb_connection connection, Sources& sources)
      : connection_(connection), sources_(sources) {}
  ~DuckSession() override { duckdb_disconnect(&connection_); }

  Status execute(const std::string& sql) override {
    duckdb_result result;
    const auto state = duckdb_query(connection_, sql.c_str(), &result);
    Status status;
    if (state != DuckDBSuccess)
      status = database_failure(duckdb_result_error(&result), duckdb_result_error_type(&result));
    duckdb_destroy_result(&result);
    return status;
  }

  Status select(const std::string& sql, const QueryEnd& end,
                const std::function<Status(const Chunk&)>& take) override {
    duckdb_prepared_statement statement = nullptr;
    Status status;
    if (duckdb_prepare(connection_, sql.c_str(), &statement) == DuckDBSuccess)
      status = run(statement, end, take);
    else
      status = database_failure(duckdb_prepare_error(statement));
    duckdb_destroy_prepare(&statement);
    return status;
  }

  Status append(const char* table, std::span<const BlockRow> rows) override {
    if (rows.empty()) return {};
    duckdb_appender appender = nullptr;
    if (duckdb_appender_create_ext(connection_, "history", "main", table, &appender) !=
        DuckDBSuccess) {
      auto failure = database_failure(duckdb_appender_error(appender));
      duckdb_appender_destroy(&appender);
      return failure;
    }
    Status status;
    const size_t step = duckdb_vector_size();
    duckdb_data_chunk chunk = make_chunk();
    for (size_t at = 0; at < rows.size() && status; at += step) {
      const auto part = rows.subspan(at, std::min(step, rows.size() - at));
      duckdb_data_chunk_reset(chunk);
      fill(chunk, part);
      if (duckdb_append_data_chunk(appender, chunk) != DuckDBSuccess)
        status = database_failure(duckdb_appender_error(appender));
    }
    duckdb_destroy_data_chunk(&chunk);
    if (status && duckdb_appender_close(appender) != DuckDBSuccess)
      status = database_failure(duckdb_appender_error(appender));
    duckdb_appender_destroy(&appender);
    return status;
  }

  Status copy(RowSource& source, const std::string& path, CopyFormat format,
              const QueryEnd& end) override {
    const int64_t number = sources_.add(source, end);
    Status done = execute(fmt::format(
        "COPY (SELECT * FROM penstock_rows({})) TO {} {}", number, quoted(path),
        format == CopyFormat::kParquet ? "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
                                       : "(FORMAT csv, HEADER true)"));
    Status of_source = sources_.remove(number);
    if (!of_source) return of_source;  // ours says more than DuckDB's wrapping of it
    return done;
  }

 private:
  Status run(duckdb_prepared_statement statement, const QueryEnd& end,
             const std::function<Status(const Chunk&)>& take) {
    duckdb_pending_result pending = nullptr;
    if (duckdb_pending_prepared_streaming(statement, &pending) != DuckDBSuccess) {
      auto failure = database_failure(duckdb_pending_error(pending));
      duckdb_destroy_pending(&pending);
      return failure;
    }
    Status status;
    for (;;) {  // this thread does the work, task by task, and looks up in between
      if (status = end.check(); !status) break;
      const auto state = duckdb_pending_execute_task(pending);
      if (state == DUCKDB_PENDING_ERROR) status = database_failure(duckdb_pending_error(pending));
      if (!status || duckdb_pending_execution_is_finished(state)) break;
    }
    if (status) {
      duckdb_result result;
      if (duckdb_execute_pending(pending, &result) == DuckDBSuccess)
        status = fetch(result, end, take);
      else
        status = database_failure(duckdb_result_error(&result), duckdb_result_error_type(&result));
      duckdb_destroy_result(&result);
    }
    duckdb_destroy_pending(&pending);
    return status;
  }

  static Status fetch(duckdb_result& result, const QueryEnd& end,
                      const std::function<Status(const Chunk&)>& take) {
    while (duckdb_data_chunk chunk = duckdb_fetch_chunk(result)) {
      Status status = end.check();
      if (status && duckdb_data_chunk_get_size(chunk) > 0) status = take(ChunkView(chunk));
      duckdb_destroy_data_chunk(&chunk);
      if (!status) return status;
    }
    if (const char* error = duckdb_result_error(&result); error != nullptr && *error != '\0')
      return database_failure(error, duckdb_result_error_type(&result));
    return {};
  }

  static duckdb_data_chunk make_chunk() {
    constexpr duckdb_type kTypes[]{DUCKDB_TYPE_UTINYINT, DUCKDB_TYPE_UINTEGER, DUCKDB_TYPE_BIGINT,
                                   DUCKDB_TYPE_BIGINT,   DUCKDB_TYPE_UBIGINT,  DUCKDB_TYPE_UINTEGER,
                                   DUCKDB_TYPE_BLOB};
    duckdb_logical_type types[7];
    for (size_t i = 0; i < 7; ++i) types[i] = duckdb_create_logical_type(kTypes[i]);
    duckdb_data_chunk chunk = duckdb_create_data_chunk(types, 7);
    for (auto& type : types) duckdb_destroy_logical_type(&type);
    return chunk;
  }

  static void fill(duckdb_data_chunk chunk, std::span<const BlockRow> rows) {
    const auto data = [&](idx_t i) {
      return duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, i));
    };
    for (size_t i = 0; i < rows.size(); ++i) {
      static_cast<uint8_t*>(data(0))[i] = static_cast<uint8_t>(rows[i].level);
      static_cast<uint32_t*>(data(1))[i] = rows[i].series;
      static_cast<int64_t*>(data(2))[i] = rows[i].from_us;
      static_cast<int64_t*>(data(3))[i] = rows[i].to_us;
      static_cast<uint64_t*>(data(4))[i] = rows[i].generation;
      static_cast<uint32_t*>(data(5))[i] = rows[i].points;
      duckdb_vector_assign_string_element_len(duckdb_data_chunk_get_vector(chunk, 6), i,
                                              rows[i].bytes.data(), rows[i].bytes.size());
    }
    duckdb_data_chunk_set_size(chunk, rows.size());
  }

  duckdb_connection connection_;
  Sources& sources_;
};

class DuckDatabase final : public Database {
 public:
  ~DuckDatabase() override { duckdb_close(&database_); }

  Status start(const DatabaseOptions& options) {
    duckdb_config config = nullptr;
    duckdb_create_config(&config);
    const auto set = [&](const char* key, const std::string& value) {
      duckdb_set_config(config, key, value.c_str());
    };
    set("threads", std::to_string(options.threads));
    set("memory_limit", fmt::format("{}B", options.memory_bytes_max));
    set("temp_directory", options.temporary_directory);
    // What is in its log is in memory as well, uncompressed: 16 MB of log (the default) are 100.
    set("wal_autocheckpoint", "4MB");
    set("autoinstall_known_extensions", "false");  // nothing is fetched behind people's backs
    set("preserve_insertion_order", "true");
    char* error = nullptr;
    const auto state = duckdb_open_ext(":memory:", &database_, config, &error);
    duckdb_destroy_config(&config);
    if (state != DuckDBSuccess) {
      auto failure = database_failure(error);
      duckdb_free(error);
      return failure;
    }
    TRY(register_rows());
    TRY_ASSIGN(auto session, connect());
    TRY(session->execute(fmt::format("ATTACH {} AS history (ROW_GROUP_SIZE {})",
                                     quoted(options.path), kRowGroupRows)));
    return make_tables(*session);
  }

  Result<std::unique_ptr<Session>> connect() override {
    duckdb_connection connection = nullptr;
    if (duckdb_connect(database_, &connection) != DuckDBSuccess)
      return fail(ErrorCode::kUnavailable, "the history database takes no more connections",
                  "history");
    return std::make_unique<DuckSession>(connection, sources_);
  }

 private:
  static Status make_tables(Session& session) {
    for (const char* table : {"hot", "blocks"})
      TRY(session.execute(fmt::format(
          "CREATE TABLE IF NOT EXISTS history.{} (level UTINYINT NOT NULL, series UINTEGER NOT "
          "NULL, "
          "from_us BIGINT NOT NULL, to_us BIGINT NOT NULL, generation UBIGINT NOT NULL, "
          "points UINTEGER NOT NULL, bytes BLOB NOT NULL)",
          table)));
    TRY(session.execute(
        "CREATE TABLE IF NOT EXISTS history.meta (format UINTEGER, journal_offset UBIGINT, "
        "generation UBIGINT)"));
    return session.execute(
        "INSERT INTO history.meta SELECT 1, 0, 0 WHERE NOT EXISTS (SELECT 1 FROM history.meta)");
  }

  Status register_rows() {
    duckdb_connection connection = nullptr;
    if (duckdb_connect(database_, &connection) != DuckDBSuccess) return database_failure("connect");
    duckdb_table_function function = duckdb_create_table_function();
    duckdb_table_function_set_name(function, "penstock_rows");
    duckdb_logical_type number = duckdb_create_logical_type(DUCKDB_TYPE_BIGINT);
    duckdb_table_function_add_parameter(function, number);
    duckdb_destroy_logical_type(&number);
    duckdb_table_function_set_extra_info(function, &sources_, nullptr);
    duckdb_table_function_set_bind(function, bind_rows);
    duckdb_table_function_set_init(function, begin_rows);
    duckdb_table_function_set_function(function, next_rows);
    const auto state = duckdb_register_table_function(connection, function);
    duckdb_destroy_table_function(&function);
    duckdb_disconnect(&connection);
    return state == DuckDBSuccess ? Status{} : Status(database_failure("penstock_rows"));
  }

  Sources sources_;
  duckdb_database database_ = nullptr;
};

}  // namespace

Status QueryEnd::check() const {
  if (cancelled != nullptr && cancelled->load(std::memory_order_relaxed))
    return fail(ErrorCode::kCancelled, "the query was cancelled");
  if (clock != nullptr && clock->monotonic_us() > deadline_monotonic_us)
    return fail(ErrorCode::kTimeout,
                "the query took too long; ask for a shorter time or a wider bucket");
  return {};
}

std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') out += '\'';
    out += c;
  }
  return out + "'";
}

Result<std::unique_ptr<Database>> Database::open(const DatabaseOptions& options) {
  auto database = std::make_unique<DuckDatabase>();
  TRY(database->start(options));
  return database;
}

}  // namespace penstock::stream::history
