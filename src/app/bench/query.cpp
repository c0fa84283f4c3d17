#include "app/bench/query.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <thread>

#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>

#include "app/bench/bench_server.h"
#include "app/bench/load.h"
#include "base/io.h"
#include "base/metrics.h"
#include "sim/compressor.h"
#include "stream/history.h"
#include "stream/history/database.h"

namespace penstock::app {
namespace {

using stream::Sample;
using stream::history::Chunk;
using stream::history::Database;

constexpr int kMachines = 12, kElements = 11;
constexpr int kMonthSeries = 100, kMonthDays = 30;
constexpr int64_t kMonthStepUs = 10'000'000;
constexpr uint32_t kMonthFirstSeries = 1000;
constexpr Timestamp kStart{1'767'225'600'000'000};  // 2026-01-01
constexpr Timestamp kDayEnd = kStart + Duration::days(1);
constexpr int kRepeats = 7;

void say(const QueryBenchOptions& o, const std::string& line) {
  if (o.quiet) return;
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

// The median of several runs, in ms; the first, which finds everything cold, is not among them.
Result<double> median_ms(const std::function<Status()>& work) {
  std::vector<double> times;
  for (int i = 0; i <= kRepeats; ++i) {
    const int64_t begin = system_clock().monotonic_us();
    TRY(work());
    if (i > 0) times.push_back(static_cast<double>(system_clock().monotonic_us() - begin) / 1000);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// As the demo publishes them: with the sensors' resolution.
std::array<double, kElements> values_of(const sim::CompressorReadings& r) {
  const auto to = [](double value, double steps) { return std::round(value * steps) / steps; };
  return {to(r.discharge_pressure_bar, 100),
          to(r.oil_temperature_c, 10),
          to(r.discharge_temperature_c, 10),
          to(r.ambient_temperature_c, 10),
          to(r.motor_current_a, 10),
          to(r.motor_speed_rpm, 1),
          to(r.vibration_velocity_mm_s, 100),
          to(r.flow_m3_min, 100),
          to(r.power_active_kw, 10),
          r.load_state ? 1.0 : 0.0,
          to(r.run_hours, 10)};
}

class Filler {
 public:
  explicit Filler(stream::HistoryStore& store) : store_(store) {}
  Status add(uint32_t series, Timestamp time, double value) {
    Sample sample;
    sample.series = SeriesId(series);
    sample.source_time = sample.received_time = time;
    sample.number = value;
    samples_.push_back(sample);
    ++count_;
    return samples_.size() < 4096 ? Status{} : hand_over();
  }
  Status finish() {
    TRY(hand_over());
    TRY(store_.flush());
    while (true) {
      TRY_ASSIGN(const bool more, store_.compact_some(true));
      if (!more) break;
    }
    return store_.checkpoint();
  }
  [[nodiscard]] uint64_t count() const { return count_; }

 private:
  Status hand_over() {
    store_.take({samples_, {}}, ++offset_);
    samples_.clear();
    return store_.due() ? store_.flush() : Status{};
  }
  stream::HistoryStore& store_;
  std::vector<Sample> samples_;
  stream::JournalOffset offset_ = 0;
  uint64_t count_ = 0;
};

Status fill_day(Filler& filler) {
  for (int machine = 0; machine < kMachines; ++machine) {
    sim::Compressor compressor({}, static_cast<uint64_t>(machine) + 1, kStart);
    while (compressor.now() < kDayEnd) {
      const Timestamp at = compressor.now();
      const auto values = values_of(compressor.advance(Duration::seconds(1)));
      for (int i = 0; i < kElements; ++i)
        TRY(filler.add(static_cast<uint32_t>(1 + machine * kElements + i), at,
                       values[static_cast<size_t>(i)]));
    }
  }
  return {};
}

double month_value(int series, int64_t step) {
  return std::round(500 + 100 * std::sin(static_cast<double>(step) / 360 + series) +
                    static_cast<double>((step * 7919 + series * 31) % 101) / 10) /
         10;
}

Status fill_month(Filler& filler) {
  for (int64_t step = 0; step < Duration::days(kMonthDays).us / kMonthStepUs; ++step)
    for (int series = 0; series < kMonthSeries; ++series)
      TRY(filler.add(kMonthFirstSeries + static_cast<uint32_t>(series),
                     kStart + Duration::micros(step * kMonthStepUs), month_value(series, step)));
  return {};
}

Result<std::unique_ptr<stream::HistoryStore>> open_history(const std::string& folder,
                                                           Metrics& metrics) {
  stream::HistoryOptions options;
  options.directory = folder;
  return stream::HistoryStore::open(options, {}, system_clock(), metrics);
}

// One day of the compressors, alone in its file: that is what a sample costs.
Result<double> measure_size(const QueryBenchOptions& o, const std::string& folder) {
  Metrics metrics;
  uint64_t count = 0;
  {
    TRY_ASSIGN(const auto store, open_history(folder, metrics));
    Filler filler(*store);
    TRY(fill_day(filler));
    TRY(filler.finish());
    count = filler.count();
  }
  const auto bytes = std::filesystem::file_size(folder + "/history.duckdb");
  say(o,
      fmt::format("stored            {} samples of {} compressors in {:.1f} MB, rollups included",
                  count, kMachines, static_cast<double>(bytes) / 1e6));
  return static_cast<double>(bytes) / static_cast<double>(count);
}

struct Times {
  double day_ms = 0, month_ms = 0;
};

Result<Times> measure_queries(const std::string& folder) {
  Metrics metrics;
  TRY_ASSIGN(const auto store, open_history(folder, metrics));
  Filler filler(*store);
  TRY(fill_month(filler));
  TRY(filler.finish());
  Times out;
  stream::HistoryQuery day;
  day.series = {SeriesId(1)};
  day.from = kStart;
  day.to = kDayEnd;
  TRY_ASSIGN(out.day_ms, median_ms([&]() -> Status {
               TRY_ASSIGN(const auto answer, store->query(day));
               if (answer.series[0].time.size() == 86'400) return {};
               return fail(ErrorCode::kInternal, "history did not give back the whole day");
             }));
  stream::HistoryQuery month;
  for (uint32_t i = 0; i < kMonthSeries; ++i) month.series.emplace_back(kMonthFirstSeries + i);
  month.from = kStart;
  month.to = kStart + Duration::days(kMonthDays);
  month.bucket = Duration::minutes(1);
  month.functions = {stream::HistoryFunction::kAvg};
  TRY_ASSIGN(out.month_ms, median_ms([&]() -> Status {
               TRY_ASSIGN(const auto answer, store->query(month));
               if (answer.series[99].avg.size() == kMonthDays * 1440) return {};
               return fail(ErrorCode::kInternal, "history did not give back the whole month");
             }));
  return out;
}

// The same rows in plain DuckDB tables, sorted by series and time, as one would do without us.
Result<Times> measure_plain(const std::string& folder) {
  TRY_ASSIGN(const auto database,
             Database::open({folder + "/plain.duckdb", folder, 1ULL << 30, 1}));
  TRY_ASSIGN(const auto session, database->connect());
  TRY(session->execute(
      "CREATE TABLE history.day AS SELECT s::UINTEGER AS series, make_timestamp(1767225600000000 + "
      "t * 1000000) AS time, round(500 + 100 * sin(t / 360.0 + s), 1) / 10 AS value FROM "
      "range(132) "
      "a(s), range(86400) b(t) ORDER BY series, time"));
  TRY(session->execute(
      "CREATE TABLE history.month AS SELECT s::UINTEGER AS series, make_timestamp(1767225600000000 "
      "+ t * 10000000) AS time, round(500 + 100 * sin(t / 360.0 + s), 1) / 10 AS value FROM "
      "range(100) a(s), range(259200) b(t) ORDER BY series, time"));
  TRY(session->execute("CHECKPOINT history"));
  const auto read = [&](const std::string& sql) -> Status {
    uint64_t rows = 0;
    TRY(session->select(sql, {}, [&](const Chunk& chunk) -> Status {
      rows += chunk.rows();
      return {};
    }));
    return rows > 0 ? Status{} : fail(ErrorCode::kInternal, "the plain table is empty");
  };
  Times out;
  TRY_ASSIGN(out.day_ms, median_ms([&] {
               return read("SELECT time, value FROM history.day WHERE series = 5 ORDER BY time");
             }));
  TRY_ASSIGN(out.month_ms, median_ms([&] {
               return read(
                   "SELECT series, time_bucket(INTERVAL 1 MINUTE, time) AS bucket, "
                   "avg(value) FROM history.month GROUP BY ALL ORDER BY ALL");
             }));
  return out;
}

Status load_samples(const BenchServer& server, double samples) {
  LoadOptions load;
  load.broker = server.mqtt;
  load.tokens = server.tokens;
  load.warm_up_s = 0;
  for (double sent = 0; sent < samples;) {
    load.seconds = 2;
    TRY_ASSIGN(const LoadReport report, run_load(load));
    sent += static_cast<double>(report.acknowledged_in_all) * 4;
    load.first_time_ms += static_cast<int64_t>(report.acknowledged_in_all);
    if (report.acknowledged_in_all == 0)
      return fail(ErrorCode::kInternal, "the server acknowledged nothing");
  }
  return {};
}

Result<double> measure_restart(const QueryBenchOptions& o, const std::string& folder) {
  {
    TRY_ASSIGN(auto server, BenchServer::start({o.program, folder, {}, 50, true, true, {}}));
    TRY(load_samples(server, o.samples));
    server.process.signal(SIGKILL);
    TRY(server.process.wait(10'000));
  }
  TRY_ASSIGN(const auto again, BenchServer::start({o.program, folder, {}, 0, false, false, {}}));
  return static_cast<double>(again.ready_us) / 1e6;
}

void allow_files(int count) {
  struct rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, static_cast<rlim_t>(count) + 200);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// As a client sees it: connected, and silent from then on.
Result<double> measure_idle(const QueryBenchOptions& o, const std::string& folder) {
  allow_files(o.connections);
  TRY_ASSIGN(auto server,
             BenchServer::start({o.program, folder, {}, 0, false, false, {"--allow-anonymous"}}));
  TRY(server.metric("penstock_mqtt_connections_accepted_total"));
  const uint64_t before = server.process.resident_bytes();
  TRY_ASSIGN(const IdleConnections open, IdleConnections::open(server.mqtt, o.connections));
  const uint64_t after = server.process.resident_bytes();
  return static_cast<double>(after - before) / o.connections;
}

}  // namespace

Result<Json> bench_query(const QueryBenchOptions& o) {
  TRY_ASSIGN(const TemporaryFolder folder, TemporaryFolder::create());
  const std::string history = folder.path() + "/history";
  std::filesystem::create_directories(history);
  TRY_ASSIGN(const double bytes_per_sample, measure_size(o, history));
  TRY_ASSIGN(const Times ours, measure_queries(history));
  say(o, fmt::format("one day at 1 Hz   {:8.1f} ms\n100 series, month {:8.1f} ms", ours.day_ms,
                     ours.month_ms));
  TRY_ASSIGN(const Times plain, measure_plain(folder.path()));
  say(o, fmt::format("plain table       {:8.1f} ms\nplain table       {:8.1f} ms", plain.day_ms,
                     plain.month_ms));
  TRY_ASSIGN(const double restart_s, measure_restart(o, folder.path() + "/restart"));
  say(o, fmt::format("restart           {:8.2f} s after {:.0f} million samples", restart_s,
                     o.samples / 1e6));
  TRY_ASSIGN(const double idle, measure_idle(o, folder.path() + "/idle"));
  say(o, fmt::format("idle connection   {:8.0f} bytes resident, {} open", idle, o.connections));
  return Json{{"series_day_ms", ours.day_ms},
              {"rollup_month_ms", ours.month_ms},
              {"bytes_per_sample", bytes_per_sample},
              {"restart_s", restart_s},
              {"bytes_per_idle_connection", idle},
              {"plain_series_day_ms", plain.day_ms},
              {"plain_rollup_month_ms", plain.month_ms},
              {"series_day_ratio", plain.day_ms / ours.day_ms},
              {"rollup_month_ratio", plain.month_ms / ours.month_ms}};
}

}  // namespace penstock::app
