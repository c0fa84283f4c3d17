#pragma once
// The registry: everything that people configure, in one SQL database. SQLite today; the SQL that
// rooms write is the part that PostgreSQL also understands (docs/registry.md lists what that
// means).
//
//   auto registry = Registry::open("data/registry.db");
//   (*registry)->migrate("rules", kRuleMigrations);
//   (*registry)->write([&](Session& session) -> Status {
//     TRY(session.run("INSERT INTO rule (organisation_id, id, name) VALUES (?, ?, ?)", org, id,
//     name)); return {};
//   });

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/io.h"
#include "base/result.h"
#include "store/sql_value.h"

namespace penstock::store {

/// One step of a room's schema. Once released, neither number nor text may change: the registry
/// keeps a checksum and refuses.
struct Migration {
  int version = 0;  ///< 1, 2, 3, … in order
  std::string_view name;
  std::string_view sql;  ///< statements divided by ';'
};

/// One database connection inside a transaction. Lives for the call it is handed to; one thread.
class Session {
 public:
  /// Runs a statement with `?` placeholders; gives the number of rows changed.
  /// kAlreadyExists: a UNIQUE or PRIMARY KEY is taken. kConflict: a FOREIGN KEY or CHECK is broken.
  template <class... Args>
  Result<int64_t> run(std::string_view sql, const Args&... args) {
    const Bind binds[sizeof...(Args) + 1] = {detail::to_bind(args)...};
    return run_bound(sql, std::span(binds, sizeof...(Args)));
  }

  /// Rows of typed columns: query<TwinId, std::string, std::optional<double>>("SELECT …", …).
  template <class... Columns, class... Args>
  Result<std::vector<std::tuple<Columns...>>> query(std::string_view sql, const Args&... args) {
    std::vector<std::tuple<Columns...>> rows;
    TRY(each<Columns...>([&](Columns... columns) { rows.emplace_back(std::move(columns)...); }, sql,
                         args...));
    return rows;
  }

  /// The first row, or nothing.
  template <class... Columns, class... Args>
  Result<std::optional<std::tuple<Columns...>>> query_one(std::string_view sql,
                                                          const Args&... args) {
    std::optional<std::tuple<Columns...>> first;
    TRY(each<Columns...>(
        [&](Columns... columns) {
          if (!first) first.emplace(std::move(columns)...);
        },
        sql, args...));
    return first;
  }

  /// Calls `take(Columns...)` for each row as it is read: no copy of the whole.
  template <class... Columns, class Take, class... Args>
  Status each(Take&& take, std::string_view sql, const Args&... args) {
    const Bind binds[sizeof...(Args) + 1] = {detail::to_bind(args)...};
    static constexpr CellKind kinds[] = {detail::cell_kind<Columns>()...};
    return query_bound(sql, std::span(binds, sizeof...(Args)), kinds, [&](std::span<Cell> cells) {
      call<Columns...>(take, cells, std::index_sequence_for<Columns...>());
    });
  }

  /// The same with binds and column kinds decided at run time (filters that people compose).
  Result<int64_t> run_bound(std::string_view sql, std::span<const Bind> binds);
  Status query_bound(std::string_view sql, std::span<const Bind> binds,
                     std::span<const CellKind> columns,
                     const std::function<void(std::span<Cell>)>& take);

  /// The next number of a named sequence, from 1. Never gives a number twice, whatever was deleted;
  /// a transaction that is rolled back gives its numbers back. Writers only.
  Result<int64_t> next_id(std::string_view sequence, int64_t count = 1);

 private:
  friend class Registry;
  struct Connection;
  explicit Session(Connection& connection) : connection_(connection) {}
  template <class... Columns, class Take, size_t... I>
  static void call(Take& take, std::span<Cell> cells, std::index_sequence<I...>) {
    take(detail::from_cell<Columns>(std::move(cells[I]))...);
  }
  Connection& connection_;
};

/// Limits of the registry.
struct RegistryOptions {
  size_t readers = 2;                            ///< connections that read beside the writer
  Duration busy_timeout = Duration::seconds(5);  ///< how long another process may hold the lock
  int attempts = 5;                              ///< of a write that met such a lock
  Clock* clock = nullptr;                        ///< for applied_at; null: the system's
};

/// Any thread. Writes are one at a time, readers see the last commit and do not wait for writers.
/// A commit is durable when write() returns (WAL, synchronous=FULL).
class Registry {
 public:
  /// `where`: a file path, or sqlite:PATH. The file is created, readable by its owner only.
  static Result<std::unique_ptr<Registry>> open(std::string_view where,
                                                RegistryOptions options = {});
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /// Brings the tables of `room` to the last of `migrations`, in one transaction: all or nothing.
  /// kUnsupported: the database is newer than this program. kCorrupt: a migration that has been
  /// applied reads differently now.
  Status migrate(std::string_view room, std::span<const Migration> migrations);

  /// Runs `work` in one write transaction; commits if it succeeds, else rolls back and gives its
  /// error. `work` may run again when another process held the database: it must not have effects
  /// elsewhere. Do not call write() from within: it would wait for itself.
  template <class Work>
  auto write(Work&& work) -> std::invoke_result_t<Work&, Session&> {
    return in_transaction(true, work);
  }

  /// Runs `work` on one consistent state; statements that write are refused.
  template <class Work>
  auto read(Work&& work) -> std::invoke_result_t<Work&, Session&> {
    return in_transaction(false, work);
  }

  /// Checks every page and foreign key (slow: reads all): what `penstock doctor` asks.
  Status verify();
  /// A consistent copy into a new file while others go on working.
  Status backup_to(const std::string& path);

  [[nodiscard]] const std::string& path() const;

 private:
  struct Impl;
  explicit Registry(std::unique_ptr<Impl> impl);

  template <class Work>
  auto in_transaction(bool writes, Work& work) -> std::invoke_result_t<Work&, Session&> {
    using Outcome = std::invoke_result_t<Work&, Session&>;
    std::optional<Outcome> outcome;
    const Status done = transact(writes, [&](Session& session) -> Status {
      outcome.emplace(work(session));
      if (!*outcome) return fail(outcome->error());
      return {};
    });
    if (!done) return fail(done.error());
    return *std::move(outcome);
  }
  Status transact(bool writes, const std::function<Status(Session&)>& work);

  std::unique_ptr<Impl> impl_;
};

/// Divides a script at the ';' outside of quotes and comments; drops empty statements.
std::vector<std::string> split_statements(std::string_view script);

}  // namespace penstock::store
