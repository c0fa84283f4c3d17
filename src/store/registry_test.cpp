#include "store/registry.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <limits>
#include <thread>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace penstock::store {
namespace {

constexpr Migration kThings[] = {
    {1, "things",
     "CREATE TABLE thing (id BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL UNIQUE, ratio DOUBLE "
     "PRECISION, note TEXT);\n-- a comment; with a semicolon\nCREATE TABLE part (id BIGINT NOT "
     "NULL "
     "PRIMARY KEY, thing_id BIGINT NOT NULL REFERENCES thing (id))"},
    {2, "colour", "ALTER TABLE thing ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey; plain'"},
};

class RegistryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/penstock-registry-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path() const { return folder_ + "/registry.db"; }
  std::unique_ptr<Registry> open(std::span<const Migration> migrations = kThings,
                                 RegistryOptions options = {}) {
    auto registry = Registry::open(path(), options);
    EXPECT_TRUE(registry) << registry.error().text();
    const Status migrated = (*registry)->migrate("things", migrations);
    EXPECT_TRUE(migrated) << migrated.error().text();
    return *std::move(registry);
  }
  static Status add(Session& session, int64_t id, std::string_view name) {
    TRY(session.run("INSERT INTO thing (id, name) VALUES (?, ?)", id, name));
    return {};
  }
  static int64_t count(Registry& registry) {
    const auto rows = registry.read(
        [](Session& session) { return session.query<int64_t>("SELECT COUNT(*) FROM thing"); });
    return rows ? std::get<0>(rows->front()) : -1;
  }
  std::string folder_;
};

TEST_F(RegistryTest, GivesBackEveryTypeUnchanged) {
  auto registry = open();
  const double ratio = 0.1 + 0.2;
  const int64_t big = std::numeric_limits<int64_t>::max() - 1;
  const std::string text = "Łódź 'quoted' ? \n☃";
  ASSERT_TRUE(registry->write([&](Session& session) {
    return session.run("INSERT INTO thing (id, name, ratio, note) VALUES (?, ?, ?, ?)", big, text,
                       ratio, std::nullopt);
  }));
  const auto row = registry->read([&](Session& session) {
    return session.query_one<int64_t, std::string, double, std::optional<std::string>, std::string>(
        "SELECT id, name, ratio, note, colour FROM thing WHERE name = ?", text);
  });
  ASSERT_TRUE(row && *row);
  EXPECT_EQ(**row, std::make_tuple(big, text, ratio, std::nullopt, "grey; plain"));
}

TEST_F(RegistryTest, TheSameStatementTakesNullAndValueInTurn) {
  auto registry = open();
  ASSERT_TRUE(registry->write([&](Session& session) -> Status {
    for (int i = 0; i < 6; ++i)
      TRY(session.run("INSERT INTO thing (id, name, ratio) VALUES (?, ?, ?)", i, std::to_string(i),
                      i % 2 ? std::optional<double>(i) : std::nullopt));
    return {};
  }));
  const auto rows = registry->read([](Session& session) {
    return session.query<std::optional<double>>("SELECT ratio FROM thing ORDER BY id");
  });
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->size(), 6u);
  for (int i = 0; i < 6; ++i)
    EXPECT_EQ(std::get<0>((*rows)[i]), i % 2 ? std::optional<double>(i) : std::nullopt);
}

TEST_F(RegistryTest, AFailedTransactionLeavesNothing) {
  auto registry = open();
  const Status done = registry->write([&](Session& session) -> Status {
    TRY(add(session, 1, "a"));
    TRY(add(session, 2, "a"));
    return {};
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(count(*registry), 0);
  EXPECT_TRUE(registry->write([&](Session& session) { return add(session, 1, "a"); }));
  EXPECT_EQ(count(*registry), 1);
}

TEST_F(RegistryTest, NamesWhatWasBroken) {
  auto registry = open();
  const auto orphan = registry->write([](Session& session) {
    return session.run("INSERT INTO part (id, thing_id) VALUES (1, 99)");
  });
  EXPECT_EQ(orphan.error().code, ErrorCode::kConflict);
  const auto written =
      registry->read([](Session& session) { return session.run("DELETE FROM thing"); });
  EXPECT_FALSE(written);
  const auto nul = registry->write([](Session& session) {
    return session.run("INSERT INTO thing (id, name) VALUES (1, ?)", std::string("a\0b", 3));
  });
  EXPECT_EQ(nul.error().code, ErrorCode::kInvalidArgument);
  const auto secret = registry->write([](Session& session) {
    return session.run("INSERT INTO nowhere (id) VALUES (?)", std::string("hunter2"));
  });
  EXPECT_EQ(secret.error().text().find("hunter2"), std::string::npos);
}

TEST_F(RegistryTest, MigratesOnceAndOnlyForward) {
  {
    auto registry = open(std::span(kThings, 1));
  }
  {
    auto registry = open(kThings);
  }
  {
    auto registry = open(kThings);
  }
  auto registry = Registry::open(path());
  ASSERT_TRUE(registry);
  const Status older = (*registry)->migrate("things", std::span(kThings, 1));
  ASSERT_FALSE(older);
  EXPECT_EQ(older.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(older.error().message.find("newer Penstock"), std::string::npos);
  const Migration changed[] = {kThings[0], {2, "colour", "ALTER TABLE thing ADD COLUMN x TEXT"}};
  EXPECT_EQ((*registry)->migrate("things", changed).error().code, ErrorCode::kCorrupt);
}

TEST_F(RegistryTest, ABrokenMigrationChangesNothing) {
  auto registry = Registry::open(path());
  ASSERT_TRUE(registry);
  const Migration broken[] = {{1, "half", "CREATE TABLE whole (id BIGINT); CREATE TABL"}};
  EXPECT_FALSE((*registry)->migrate("half", broken));
  const Migration repaired[] = {{1, "half", "CREATE TABLE whole (id BIGINT)"}};
  const Status done = (*registry)->migrate("half", repaired);
  EXPECT_TRUE(done) << done.error().text();
}

TEST_F(RegistryTest, SequencesNeverRepeatWhateverIsDeleted) {
  auto registry = open();
  int runs = 0;
  EXPECT_TRUE(rc::check([&] {
    int64_t last = 0;
    const std::string name = std::to_string(++runs);
    for (const int count : *rc::gen::container<std::vector<int>>(rc::gen::inRange(1, 50))) {
      const auto first =
          registry->write([&](Session& session) { return session.next_id(name, count); });
      RC_ASSERT(first && *first == last + 1);
      last = *first + count - 1;
    }
  }));
}

TEST_F(RegistryTest, ReadersSeeOneStateWhileAWriterWorks) {
  RegistryOptions options;
  options.readers = 3;
  auto registry = open(kThings, options);
  std::atomic<bool> stop{false};
  std::atomic<int> torn{0}, reads{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i)
    readers.emplace_back([&] {
      while (!stop) {
        const auto seen = registry->read([](Session& session) -> Result<int64_t> {
          TRY_ASSIGN(const auto first, session.query<int64_t>("SELECT COUNT(*) FROM thing"));
          TRY_ASSIGN(const auto second, session.query<int64_t>("SELECT COUNT(*) FROM thing"));
          if (first != second) return fail(ErrorCode::kInternal, "moved");
          return std::get<0>(first[0]);
        });
        if (!seen || *seen % 2 != 0) ++torn;
        ++reads;
      }
    });
  std::vector<std::thread> writers;
  std::atomic<int> failed{0};
  for (int w = 0; w < 2; ++w)
    writers.emplace_back([&, w] {
      for (int i = 0; i < 20; ++i)
        if (!registry->write([&](Session& session) -> Status {
              const int64_t id = w * 1000 + i * 2;
              TRY(add(session, id, std::to_string(id)));
              return add(session, id + 1, std::to_string(id + 1));
            }))
          ++failed;
    });
  for (auto& writer : writers) writer.join();
  stop = true;
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(torn, 0);
  EXPECT_GT(reads, 0);
  EXPECT_EQ(count(*registry), 80);
}

TEST_F(RegistryTest, TwoProgramsTakeTurns) {
  auto one = open();
  auto two = open();
  std::atomic<int> failed{0};
  const auto work = [&](Registry& registry, int64_t base) {
    for (int64_t i = 0; i < 20; ++i)
      if (!registry.write(
              [&](Session& session) { return add(session, base + i, std::to_string(base + i)); }))
        ++failed;
  };
  std::thread other([&] { work(*two, 1000); });
  work(*one, 0);
  other.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(count(*one), 40);
}

TEST_F(RegistryTest, SaysWhoIsInTheWayAfterTheTimeout) {
  RegistryOptions impatient;
  impatient.busy_timeout = Duration::millis(20);
  impatient.attempts = 2;
  auto one = open();
  auto two = open(kThings, impatient);
  Status blocked;
  ASSERT_TRUE(one->write([&](Session& session) -> Status {
    TRY(add(session, 1, "held"));
    blocked = two->write([](Session& other) { return add(other, 2, "late"); });
    return {};
  }));
  ASSERT_FALSE(blocked);
  EXPECT_EQ(blocked.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(two->write([](Session& session) { return add(session, 2, "late"); }));
}

// A process that dies in the middle of a transaction: what it committed stays, what it did not is
// gone, and the next start needs no help.
TEST_F(RegistryTest, SurvivesAKillInTheMiddle) {
  {
    auto registry = open();
  }
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto registry = Registry::open(path());
    if (!registry) ::_exit(1);
    for (int64_t i = 0; i < 5; ++i)
      if (!(*registry)->write([&](Session& s) { return add(s, i, std::to_string(i)); })) ::_exit(2);
    (void)(*registry)->write([&](Session& session) -> Status {
      (void)add(session, 100, "never committed");
      ::kill(::getpid(), SIGKILL);
      return {};
    });
    ::_exit(3);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
  auto registry = open();
  EXPECT_EQ(count(*registry), 5);
  EXPECT_TRUE(registry->verify());
}

TEST_F(RegistryTest, IsPrivateToItsOwner) {
  auto registry = open();
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    struct stat info{};
    ASSERT_EQ(::stat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 077, 0u) << entry.path();
  }
}

TEST_F(RegistryTest, RefusesWhatIsNoRegistry) {
  std::ofstream(path()) << std::string(5000, 'x');
  EXPECT_EQ(Registry::open(path()).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(Registry::open("postgresql://db/penstock").error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(Registry::open(folder_ + "/missing/registry.db").error().code, ErrorCode::kIo);
}

TEST_F(RegistryTest, CopiesItselfWhileInUse) {
  auto registry = open();
  ASSERT_TRUE(registry->write([](Session& session) { return add(session, 1, "a"); }));
  ASSERT_TRUE(registry->backup_to(folder_ + "/copy.db"));
  auto copy = Registry::open(folder_ + "/copy.db");
  ASSERT_TRUE(copy);
  EXPECT_EQ(count(**copy), 1);
}

}  // namespace
}  // namespace penstock::store
