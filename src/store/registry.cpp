#include "store/registry.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <unordered_map>

#include <fcntl.h>
#include <fmt/format.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>
#include <unistd.h>

#include "base/check.h"
#include "store/digest.h"

namespace penstock::store {
namespace {

constexpr int kSqliteBusy = 5, kSqliteLocked = 6, kSqliteReadOnly = 8, kSqliteIo = 10,
              kSqliteCorrupt = 11, kSqliteFull = 13, kSqliteCantOpen = 14, kSqliteNotADatabase = 26;

bool is_busy(const Error& error) { return error.code == ErrorCode::kUnavailable; }

// SOCI's what() repeats the bound values, and some of those are secrets: only its bare message goes
// on.
Error translate(const soci::soci_error& thrown, std::string_view sql) {
  std::string text = thrown.get_error_message();
  const auto* native = dynamic_cast<const soci::sqlite3_soci_error*>(&thrown);
  const int result = native ? native->result() & 0xFF : 0;
  const std::string about(sql.substr(0, 120));
  const auto says = [&](std::string_view part) { return text.find(part) != std::string::npos; };
  if (says("UNIQUE constraint failed"))
    return {ErrorCode::kAlreadyExists, "That name is taken: " + text, about};
  if (says("FOREIGN KEY constraint failed"))
    return {ErrorCode::kConflict, "Something else refers to it, or what it refers to is gone",
            about};
  if (says("constraint failed")) return {ErrorCode::kConflict, text, about};
  if (result == kSqliteBusy || result == kSqliteLocked || says("database is locked"))
    return {ErrorCode::kUnavailable,
            "Another process holds the registry: end it (penstock doctor names it) or try again",
            about};
  if (result == kSqliteFull || says("disk is full"))
    return {ErrorCode::kResourceExhausted, "No space is left for the registry: free some", about};
  if (result == kSqliteIo || result == kSqliteCantOpen || result == kSqliteReadOnly)
    return {ErrorCode::kIo, "The registry cannot be read or written: " + text, about};
  if (result == kSqliteCorrupt || result == kSqliteNotADatabase)
    return {ErrorCode::kCorrupt,
            "The registry is damaged or no database: restore a backup (" + text + ")", about};
  return {ErrorCode::kInternal, "The registry refused a statement: " + text, about};
}

// Room for one bound or read value. SOCI keeps its address, so slots live in a deque.
struct Slot {
  long long integer = 0;
  double real = 0;
  std::string text;
  soci::indicator indicator = soci::i_ok;
};

// `?` becomes :p1, :p2, …, which SOCI understands for every database.
std::string name_placeholders(std::string_view sql) {
  std::string out;
  out.reserve(sql.size() + 16);
  int count = 0;
  bool quoted = false;
  for (const char c : sql) {
    if (c == '\'') quoted = !quoted;
    if (c == '?' && !quoted)
      out += fmt::format(":p{}", ++count);
    else
      out += c;
  }
  return out;
}

CellKind kind_of(const Bind& bind) {
  if (std::holds_alternative<int64_t>(bind)) return CellKind::kInteger;
  if (std::holds_alternative<double>(bind)) return CellKind::kReal;
  return CellKind::kText;
}

// A statement that stays prepared, with the variables its inputs and outputs are bound to.
struct Prepared {
  Prepared(soci::session& session, std::string_view sql, std::span<const Bind> binds,
           std::span<const CellKind> columns)
      : inputs(binds.size()), outputs(columns.size()), statement(session) {
    statement.alloc();
    statement.prepare(name_placeholders(sql));
    for (size_t i = 0; i < columns.size(); ++i) {
      Slot& slot = outputs[i];
      if (columns[i] == CellKind::kInteger)
        statement.exchange(soci::into(slot.integer, slot.indicator));
      else if (columns[i] == CellKind::kReal)
        statement.exchange(soci::into(slot.real, slot.indicator));
      else
        statement.exchange(soci::into(slot.text, slot.indicator));
    }
    for (size_t i = 0; i < binds.size(); ++i) {
      Slot& slot = inputs[i];
      const CellKind kind = kind_of(binds[i]);
      if (kind == CellKind::kInteger)
        statement.exchange(soci::use(slot.integer, slot.indicator));
      else if (kind == CellKind::kReal)
        statement.exchange(soci::use(slot.real, slot.indicator));
      else
        statement.exchange(soci::use(slot.text, slot.indicator));
    }
    statement.define_and_bind();
  }

  void set(std::span<const Bind> binds) {
    for (size_t i = 0; i < binds.size(); ++i) {
      Slot& slot = inputs[i];
      slot.indicator = std::holds_alternative<std::monostate>(binds[i]) ? soci::i_null : soci::i_ok;
      if (const auto* integer = std::get_if<int64_t>(&binds[i])) slot.integer = *integer;
      if (const auto* real = std::get_if<double>(&binds[i])) slot.real = *real;
      if (const auto* text = std::get_if<std::string_view>(&binds[i])) slot.text.assign(*text);
    }
  }

  std::deque<Slot> inputs, outputs;
  soci::statement statement;
};

Status check_binds(std::span<const Bind> binds) {
  for (const Bind& bind : binds)
    if (const auto* text = std::get_if<std::string_view>(&bind))
      if (text->find('\0') != std::string_view::npos)
        return fail(ErrorCode::kInvalidArgument, "Text may not hold the character U+0000");
  return {};
}

}  // namespace

struct Session::Connection {
  static constexpr size_t kStatementsMax = 256;

  soci::session session;
  std::unordered_map<std::string, std::unique_ptr<Prepared>> statements;

  Prepared& prepare(std::string_view sql, std::span<const Bind> binds,
                    std::span<const CellKind> columns, std::string& key) {
    key.reserve(sql.size() + binds.size() + columns.size() + 2);
    key.assign(sql);
    key += '\n';
    for (const Bind& bind : binds) key += static_cast<char>('0' + static_cast<int>(kind_of(bind)));
    key += '/';
    for (const CellKind kind : columns) key += static_cast<char>('0' + static_cast<int>(kind));
    if (const auto found = statements.find(key); found != statements.end()) return *found->second;
    if (statements.size() >= kStatementsMax) statements.clear();
    auto made = std::make_unique<Prepared>(session, sql, binds, columns);
    return *statements.emplace(key, std::move(made)).first->second;
  }

  // Without parameters and results: BEGIN, COMMIT, PRAGMA.
  Status plain(const std::string& sql) {
    try {
      session << sql;
      return {};
    } catch (const soci::soci_error& thrown) {
      return fail(translate(thrown, sql));
    }
  }
};

Result<int64_t> Session::run_bound(std::string_view sql, std::span<const Bind> binds) {
  TRY(check_binds(binds));
  std::string key;
  try {
    Prepared& prepared = connection_.prepare(sql, binds, {}, key);
    prepared.set(binds);
    prepared.statement.execute(true);
    return prepared.statement.get_affected_rows();
  } catch (const soci::soci_error& thrown) {
    connection_.statements.erase(key);  // a failed statement may hold a lock until it is gone
    return fail(translate(thrown, sql));
  }
}

Status Session::query_bound(std::string_view sql, std::span<const Bind> binds,
                            std::span<const CellKind> columns,
                            const std::function<void(std::span<Cell>)>& take) {
  TRY(check_binds(binds));
  std::string key;
  std::vector<Cell> cells(columns.size());
  try {
    Prepared& prepared = connection_.prepare(sql, binds, columns, key);
    prepared.set(binds);
    prepared.statement.execute(false);
    while (prepared.statement.fetch()) {
      for (size_t i = 0; i < columns.size(); ++i) {
        Slot& slot = prepared.outputs[i];
        if (slot.indicator == soci::i_null)
          cells[i] = std::monostate{};
        else if (columns[i] == CellKind::kInteger)
          cells[i] = static_cast<int64_t>(slot.integer);
        else if (columns[i] == CellKind::kReal)
          cells[i] = slot.real;
        else
          cells[i] = slot.text;
      }
      take(cells);
    }
    return {};
  } catch (const soci::soci_error& thrown) {
    connection_.statements.erase(key);
    return fail(translate(thrown, sql));
  }
}

Result<int64_t> Session::next_id(std::string_view sequence, int64_t count) {
  CHECK(count > 0);
  TRY_ASSIGN(const int64_t changed,
             run("UPDATE registry_sequence SET next = next + ? WHERE name = ?", count, sequence));
  if (changed == 0) {
    TRY(run("INSERT INTO registry_sequence (name, next) VALUES (?, ?)", sequence, count + 1));
    return 1;
  }
  TRY_ASSIGN(const auto row,
             query_one<int64_t>("SELECT next FROM registry_sequence WHERE name = ?", sequence));
  return std::get<0>(*row) - count;
}

struct Registry::Impl {
  std::string path;
  RegistryOptions options;
  Clock* clock = nullptr;

  std::mutex writing;
  Session::Connection writer;

  std::mutex reading;
  std::condition_variable returned;
  std::deque<Session::Connection> readers;
  std::vector<Session::Connection*> idle;  ///< guarded by `reading`

  Status connect(Session::Connection& connection, bool reader) {
    try {
      connection.session.open(soci::sqlite3,
                              fmt::format("db=\"{}\" timeout={}", path,
                                          (options.busy_timeout.us + 999'999) / 1'000'000));
    } catch (const soci::soci_error& thrown) {
      return fail(translate(thrown, path));
    }
    TRY(connection.plain(fmt::format("PRAGMA busy_timeout = {}", options.busy_timeout.us / 1000)));
    try {
      std::string mode;
      connection.session << "PRAGMA journal_mode = WAL", soci::into(mode);
      if (mode != "wal")
        return fail(ErrorCode::kIo,
                    "The registry's file system cannot share memory (WAL): put the data folder on "
                    "a local disk",
                    path);
    } catch (const soci::soci_error& thrown) {
      return fail(translate(thrown, path));
    }
    TRY(connection.plain("PRAGMA synchronous = FULL"));
    TRY(connection.plain("PRAGMA foreign_keys = ON"));
    if (reader) TRY(connection.plain("PRAGMA query_only = ON"));
    return {};
  }

  Status once(Session::Connection& connection, const char* begin,
              const std::function<Status(Session&)>& work) {
    TRY(connection.plain(begin));
    Session session(connection);
    Status done = work(session);
    if (done) done = connection.plain("COMMIT");
    // Some failures (disk full) have rolled back by themselves: this one may then fail, rightly.
    if (!done) (void)connection.plain("ROLLBACK");
    return done;
  }

  Session::Connection& take_reader() {
    std::unique_lock lock(reading);
    returned.wait(lock, [this] { return !idle.empty(); });
    Session::Connection* connection = idle.back();
    idle.pop_back();
    return *connection;
  }

  void give_back(Session::Connection& connection) {
    {
      const std::lock_guard lock(reading);
      idle.push_back(&connection);
    }
    returned.notify_one();
  }
};

namespace {

// What the registry itself needs. Kept by the same rule as every room's tables.
constexpr Migration kOwnMigrations[] = {
    {1, "sequences",
     "CREATE TABLE registry_sequence (name TEXT NOT NULL PRIMARY KEY, next BIGINT NOT NULL)"},
};

// Holds a password file's worth of hashes: made before SQLite makes it, for its owner only.
Status create_private(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail(ErrorCode::kIo,
                "The registry cannot be opened: does its folder exist, and may "
                "this user write there?",
                path);
  ::close(fd);
  return {};
}

}  // namespace

Registry::Registry(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Registry::~Registry() = default;
const std::string& Registry::path() const { return impl_->path; }

Result<std::unique_ptr<Registry>> Registry::open(std::string_view where, RegistryOptions options) {
  if (where.starts_with("sqlite:")) where.remove_prefix(7);
  if (where.find("://") != std::string_view::npos)
    return fail(ErrorCode::kUnsupported,
                "Only SQLite holds the registry in this version: give a file path",
                std::string(where.substr(0, where.find("://"))));
  if (where.empty() || where.find('"') != std::string_view::npos)
    return fail(ErrorCode::kInvalidArgument, "The registry needs a file path without quotes",
                std::string(where));
  auto impl = std::make_unique<Impl>();
  impl->path = where;
  impl->options = options;
  impl->clock = options.clock ? options.clock : &system_clock();
  TRY(create_private(impl->path));
  TRY(impl->connect(impl->writer, false));
  for (size_t i = 0; i < std::max<size_t>(1, options.readers); ++i) {
    TRY(impl->connect(impl->readers.emplace_back(), true));
    impl->idle.push_back(&impl->readers.back());
  }
  std::unique_ptr<Registry> registry(new Registry(std::move(impl)));
  const auto made = registry->write([](Session& session) {
    return session.run(
        "CREATE TABLE IF NOT EXISTS registry_migration (room TEXT NOT NULL, version INTEGER NOT "
        "NULL, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL, PRIMARY KEY "
        "(room, version))");
  });
  TRY(made);
  TRY(registry->migrate("store", kOwnMigrations));
  return registry;
}

Status Registry::migrate(std::string_view room, std::span<const Migration> migrations) {
  for (size_t i = 0; i < migrations.size(); ++i)
    CHECK(migrations[i].version == static_cast<int>(i) + 1);
  return write([&](Session& session) -> Status {
    TRY_ASSIGN(const auto applied,
               (session.query<int, std::string, std::string>(
                   "SELECT version, name, checksum FROM registry_migration WHERE room = ? ORDER BY "
                   "version",
                   room)));
    if (applied.size() > migrations.size())
      return fail(
          ErrorCode::kUnsupported,
          fmt::format("This registry was written by a newer Penstock (tables of {} at version {}, "
                      "this program knows {}): start that version, or restore an older backup",
                      room, std::get<0>(applied.back()), migrations.size()),
          impl_->path);
    for (size_t i = 0; i < migrations.size(); ++i) {
      const Migration& migration = migrations[i];
      const std::string checksum = sha256_hex(migration.sql);
      if (i < applied.size()) {
        if (std::get<2>(applied[i]) == checksum) continue;
        return fail(ErrorCode::kCorrupt,
                    fmt::format("Migration {} '{}' of {} is not the one that made these tables: "
                                "start the Penstock that wrote this registry",
                                migration.version, migration.name, room),
                    impl_->path);
      }
      for (const std::string& statement : split_statements(migration.sql))
        TRY(session.run(statement));
      TRY(
          session.run("INSERT INTO registry_migration (room, version, name, checksum, applied_at) "
                      "VALUES (?, ?, ?, ?, ?)",
                      room, migration.version, migration.name, checksum, impl_->clock->now()));
    }
    return {};
  });
}

Status Registry::transact(bool writes, const std::function<Status(Session&)>& work) {
  if (!writes) {
    Session::Connection& connection = impl_->take_reader();
    Status done = impl_->once(connection, "BEGIN", work);
    impl_->give_back(connection);
    return done;
  }
  const std::lock_guard lock(impl_->writing);
  Status done;
  for (int attempt = 0; attempt < std::max(1, impl_->options.attempts); ++attempt) {
    // IMMEDIATE takes the write lock at once, so that no transaction fails half-way for want of it.
    done = impl_->once(impl_->writer, "BEGIN IMMEDIATE", work);
    if (done || !is_busy(done.error())) break;
  }
  return done;
}

Status Registry::verify() {
  return read([this](Session& session) -> Status {
    TRY_ASSIGN(const auto pages, session.query<std::string>("PRAGMA integrity_check(10)"));
    for (const auto& [text] : pages)
      if (text != "ok")
        return fail(ErrorCode::kCorrupt, "The registry is damaged, restore a backup: " + text,
                    impl_->path);
    TRY_ASSIGN(const auto broken, session.query<std::string>("PRAGMA foreign_key_check"));
    if (!broken.empty())
      return fail(ErrorCode::kCorrupt,
                  fmt::format("{} rows refer to something that is gone", broken.size()),
                  std::get<0>(broken.front()));
    return {};
  });
}

Status Registry::backup_to(const std::string& path) {
  // VACUUM cannot run inside a transaction, so it takes the connection directly.
  const std::lock_guard lock(impl_->writing);
  Session session(impl_->writer);
  TRY(session.run("VACUUM INTO ?", path));
  return {};
}

std::vector<std::string> split_statements(std::string_view script) {
  std::vector<std::string> statements;
  std::string current;
  bool quoted = false;
  const auto finish = [&] {
    if (current.find_first_not_of(" \t\r\n") != std::string::npos)
      statements.push_back(std::move(current));
    current.clear();
  };
  for (size_t i = 0; i < script.size(); ++i) {
    const char c = script[i];
    if (!quoted && c == '-' && script.substr(i, 2) == "--") {
      while (i < script.size() && script[i] != '\n') ++i;
      current += '\n';
      continue;
    }
    if (c == '\'') quoted = !quoted;
    if (c == ';' && !quoted)
      finish();
    else
      current += c;
  }
  finish();
  return statements;
}

}  // namespace penstock::store
