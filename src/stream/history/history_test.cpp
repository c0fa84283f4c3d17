// History against a plain model in memory: late, repeated and out-of-order samples, every kind of
// value, restarts, buckets in the site's time, pictures, gaps, files.

#include "stream/history.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "base/io_sim.h"
#include "stream/history/block.h"
#include "stream/history/database.h"
#include "stream/records.h"

namespace penstock::stream {
namespace {

constexpr Timestamp kStart{1'774'656'000'000'000};  // 2026-03-28T00:00:00Z
const TimeZone* berlin() { return *TimeZone::find("Europe/Berlin"); }

class Folder {
 public:
  Folder() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "penstock-history-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string path;
};

class HistoryTest : public testing::Test {
 protected:
  HistoryTest() { open(); }

  void open() {
    store_.reset();
    options_.directory = folder_.path;
    auto store = HistoryStore::open(
        options_, [this](SeriesId) { return SeriesPolicy{berlin(), retention_}; }, clock_,
        metrics_);
    ASSERT_TRUE(store) << store.error().text();
    store_ = std::move(*store);
  }

  static Sample number(uint32_t series, Timestamp time, double value,
                       Quality quality = Quality::kGood) {
    Sample sample;
    sample.series = SeriesId(series);
    sample.source_time = sample.received_time = time;
    sample.number = value;
    sample.quality = quality;
    return sample;
  }
  void take(std::vector<Sample> samples, std::string_view text = {}) {
    store_->take({samples, text}, ++offset_);
  }
  void flush() { ASSERT_TRUE(store_->flush()); }

  HistorySeries read(uint32_t series, Timestamp from, Timestamp to,
                     std::optional<Duration> bucket = {}, size_t points = 0,
                     size_t limit = 1'000'000) {
    HistoryQuery query;
    query.series = {SeriesId(series)};
    query.from = from;
    query.to = to;
    query.bucket = bucket;
    query.points = points;
    query.limit = limit;
    auto answer = store_->query(query);
    EXPECT_TRUE(answer) << answer.error().text();
    return answer ? answer->series.at(0) : HistorySeries{};
  }

  Folder folder_;
  SimClock clock_{kStart + Duration::days(3)};
  Metrics metrics_;
  HistoryOptions options_;
  Retention retention_;
  std::unique_ptr<HistoryStore> store_;
  JournalOffset offset_ = 0;
};

TEST_F(HistoryTest, IsSeenBeforeAndAfterItIsWrittenAndAfterARestart) {
  take({number(1, kStart, 1), number(2, kStart, 10), number(1, kStart + Duration::seconds(1), 2)});
  for (int stage = 0; stage < 4; ++stage) {
    const auto got = read(1, kStart, kStart + Duration::hours(1));
    EXPECT_EQ(got.number, (std::vector<double>{1, 2})) << "stage " << stage;
    EXPECT_EQ(read(2, kStart, kStart + Duration::hours(1)).number, std::vector<double>{10});
    if (stage == 0) flush();
    if (stage == 1) open();
    if (stage == 2)
      while (*store_->compact_some(true)) {
      }
  }
  EXPECT_EQ(store_->committed_offset(), 1U) << "the offset came with the samples";
}

TEST_F(HistoryTest, WhatWasNotWrittenIsTakenAgainFromTheJournal) {
  take({number(1, kStart, 1)});
  flush();
  take({number(1, kStart + Duration::seconds(1), 2)});
  open();  // as after kill -9: what was in memory is gone
  EXPECT_EQ(store_->committed_offset(), 1U);
  EXPECT_EQ(read(1, kStart, kStart + Duration::hours(1)).number, std::vector<double>{1});
  take({number(1, kStart + Duration::seconds(1), 2)});
  EXPECT_EQ(read(1, kStart, kStart + Duration::hours(1)).number, (std::vector<double>{1, 2}));
}

TEST_F(HistoryTest, KeepsEveryKindOfValue) {
  const std::string text = "on{\"a\":1}";
  Sample boolean = number(1, kStart, 0), integer = number(2, kStart, 0),
         word = number(3, kStart, 0), object = number(4, kStart, 0);
  boolean.kind = ValueKind::kBoolean;
  boolean.integer = 0;
  boolean.boolean = true;
  integer.kind = ValueKind::kInteger;
  integer.integer = -7;
  word.kind = ValueKind::kText;
  word.text = {0, 2};
  object.kind = ValueKind::kObject;
  object.text = {2, 7};
  take({boolean, integer, word, object}, text);
  for (int stage = 0; stage < 2; ++stage) {
    const Timestamp end = kStart + Duration::hours(1);
    EXPECT_EQ(read(1, kStart, end).number, std::vector<double>{1});
    EXPECT_EQ(read(1, kStart, end).kind, std::vector<ValueKind>{ValueKind::kBoolean});
    EXPECT_EQ(read(2, kStart, end).number, std::vector<double>{-7});
    EXPECT_EQ(read(3, kStart, end).text, std::vector<std::string>{"on"});
    EXPECT_EQ(read(4, kStart, end).text, std::vector<std::string>{"{\"a\":1}"});
    EXPECT_TRUE(std::isnan(read(4, kStart, end).number.at(0)));
    const auto last = store_->latest_before(SeriesId(3), end);
    ASSERT_TRUE(last && *last);
    EXPECT_EQ((*last)->text, "on");
    flush();
  }
}

TEST_F(HistoryTest, BadSamplesAreCountedAndDoNotEnterTheAverage) {
  const auto at = [](int second) { return kStart + Duration::seconds(second); };
  take({number(1, at(0), 10), number(1, at(1), 1e9, Quality::kBad),
        number(1, at(2), 20, Quality::kUncertain)});
  flush();
  const auto minute = read(1, kStart, at(60), Duration::minutes(1));
  ASSERT_EQ(minute.avg.size(), 1U);
  EXPECT_EQ(minute.avg[0], 15);
  EXPECT_EQ(minute.max[0], 20);
  EXPECT_EQ(minute.count[0], 2U);
  EXPECT_EQ(minute.bad[0], 1U);
  EXPECT_EQ(minute.quality[0], Quality::kUncertain);
}

TEST_F(HistoryTest, DaysAreTheSitesAndMayHave23Or25Hours) {
  for (const char* day : {"2026-03-29", "2026-10-25"}) {
    const bool spring = day[6] == '3';
    // Berlin's clocks change on that day: its 00:00 is 23:00 UTC (winter) or 22:00 UTC (summer).
    const Timestamp begin =
        *parse_rfc3339(spring ? "2026-03-28T23:00:00Z" : "2026-10-24T22:00:00Z");
    const int hours = spring ? 23 : 25;
    const uint32_t series = spring ? 1 : 2;
    std::vector<Sample> samples;
    for (int i = -60; i < (hours + 1) * 60; ++i)
      samples.push_back(number(series, begin + Duration::minutes(i), 1));
    take(samples);
    flush();
    const auto days = read(series, begin, begin + Duration::hours(hours), Duration::days(1));
    ASSERT_EQ(days.count.size(), 1U) << day;
    EXPECT_EQ(days.time[0], begin);
    EXPECT_EQ(days.count[0], static_cast<uint64_t>(hours) * 60);
    const auto by_hour = read(series, begin, begin + Duration::hours(hours), Duration::hours(1));
    EXPECT_EQ(by_hour.count.size(), static_cast<size_t>(hours)) << "an hour lived twice is two";
  }
}

TEST_F(HistoryTest, ShowsGapsAndGoesOnWhereItWasCut) {
  std::vector<Sample> samples;
  for (int i = 0; i < 100; ++i)
    if (i < 40 || i >= 60) samples.push_back(number(1, kStart + Duration::seconds(i), i));
  take(samples);
  flush();
  const auto all = read(1, kStart, kStart + Duration::hours(1));
  ASSERT_EQ(all.gaps.size(), 1U);
  EXPECT_EQ(all.gaps[0].from, kStart + Duration::seconds(39));
  EXPECT_EQ(all.gaps[0].to, kStart + Duration::seconds(60));
  std::vector<double> paged;
  for (Timestamp from = kStart;;) {
    const auto page = read(1, from, kStart + Duration::hours(1), {}, 0, 7);
    EXPECT_LE(page.number.size(), 7U);
    paged.insert(paged.end(), page.number.begin(), page.number.end());
    if (!page.next) break;
    from = *page.next;
  }
  EXPECT_EQ(paged, all.number);
}

TEST_F(HistoryTest, APictureKeepsThePeaks) {
  std::vector<Sample> samples;
  for (int i = 0; i < 20'000; ++i)
    samples.push_back(
        number(1, kStart + Duration::seconds(i), i == 12'345 ? 500 : std::sin(i * 0.01)));
  take(samples);
  flush();
  const auto picture = read(1, kStart, kStart + Duration::days(1), {}, 400);
  EXPECT_EQ(picture.number.size(), 400U);
  EXPECT_EQ(*std::max_element(picture.number.begin(), picture.number.end()), 500);
  EXPECT_TRUE(std::is_sorted(picture.time.begin(), picture.time.end()));
  EXPECT_EQ(picture.time.front(), kStart);
}

TEST_F(HistoryTest, ForgetsByRetentionAndKeepsTheRollups) {
  for (int day = 0; day < 3; ++day) take({number(1, kStart + Duration::days(day), day)});
  flush();
  while (*store_->compact_some(true)) {
  }
  retention_ = {Duration::days(2), Duration{}};
  ASSERT_TRUE(store_->trim());
  EXPECT_EQ(read(1, kStart, clock_.now()).number, (std::vector<double>{1, 2}));
  EXPECT_EQ(read(1, kStart, clock_.now(), Duration::hours(1)).avg, (std::vector<double>{0, 1, 2}));
}

TEST_F(HistoryTest, WritesFilesThatOthersRead) {
  take({number(1, kStart, 1.5), number(1, kStart + Duration::seconds(1), 2.5), number(2, kStart, 7),
        number(1, kStart + Duration::days(1), 3)});
  flush();
  const auto names = [](SeriesId id) {
    return SeriesName{"north", "pump", "element" + std::to_string(id.value), "bar"};
  };
  ASSERT_EQ(*store_->export_days(kStart + Duration::days(1), names, nullptr), 1U);
  EXPECT_EQ(*store_->export_days(kStart + Duration::days(1), names, nullptr), 0U) << "unchanged";
  take({number(1, kStart + Duration::seconds(2), 9)});
  flush();
  EXPECT_EQ(*store_->export_days(kStart + Duration::days(1), names, nullptr), 1U) << "late data";
  auto other = history::Database::open({folder_.path + "/other.duckdb", folder_.path, 64 << 20, 1});
  ASSERT_TRUE(other);
  auto session = (*other)->connect();
  std::vector<double> values;
  const Status read_back = (*session)->select(
      "SELECT value FROM read_parquet('" + folder_.path +
          "/parquet/2026-03-28.parquet') WHERE twin = 'pump' AND unit = 'bar' AND site = 'north'",
      {}, [&](const history::Chunk& chunk) -> Status {
        values.insert(values.end(), chunk.column<double>(0),
                      chunk.column<double>(0) + chunk.rows());
        return {};
      });
  ASSERT_TRUE(read_back) << read_back.error().text();
  EXPECT_EQ(values, (std::vector<double>{1.5, 2.5, 9, 7})) << "by series, then by time";
}

TEST_F(HistoryTest, AQueryCanBeCancelled) {
  take({number(1, kStart, 1)});
  flush();
  const std::atomic<bool> cancelled{true};
  HistoryQuery query;
  query.series = {SeriesId(1)};
  query.from = kStart;
  query.to = kStart + Duration::days(1);
  query.cancelled = &cancelled;
  EXPECT_EQ(store_->query(query).error().code, ErrorCode::kCancelled);
}

TEST_F(HistoryTest, ADamagedFileIsNamed) {
  store_.reset();
  ASSERT_TRUE(write_file_atomically(system_files(), folder_.path + "/history.duckdb",
                                    std::string(20'000, 'x')));
  const auto opened = HistoryStore::open(options_, {}, clock_, metrics_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt) << opened.error().text();
}

// The same operations on the store and on a map; every query must agree.
TEST(HistoryProperty, AgreesWithAPlainModel) {
  rc::check("history", [] {
    Folder folder;
    SimClock clock(kStart + Duration::days(40));
    Metrics metrics;
    HistoryOptions options;
    options.directory = folder.path;
    const auto open = [&] {
      return std::move(*HistoryStore::open(
          options, [](SeriesId) { return SeriesPolicy{berlin(), {}}; }, clock, metrics));
    };
    auto store = open();
    std::map<uint32_t, std::map<int64_t, Sample>> model;
    JournalOffset offset = 0;
    const int steps = *rc::gen::inRange(1, 12);
    for (int step = 0; step < steps; ++step) {
      const int action = *rc::gen::inRange(0, 6);
      if (action <= 2) {
        std::vector<Sample> samples;
        const int count = *rc::gen::inRange(1, 60);
        for (int i = 0; i < count; ++i) {
          Sample sample;
          sample.series = SeriesId(*rc::gen::inRange<uint32_t>(1, 4));
          sample.source_time = kStart + Duration::seconds(*rc::gen::inRange(0, 40) * 977 +
                                                          *rc::gen::inRange(0, 3) * 86'400);
          sample.received_time = sample.source_time;
          sample.number = *rc::gen::inRange(-50, 50) / 4.0;
          sample.quality = *rc::gen::element(Quality::kGood, Quality::kUncertain, Quality::kBad);
          model[sample.series.value][sample.source_time.us] = sample;
          samples.push_back(sample);
        }
        store->take({samples, {}}, ++offset);
      } else if (action == 3) {
        RC_ASSERT(bool(store->flush()));
      } else if (action == 4) {
        while (*store->compact_some(true)) {
        }
      } else {
        RC_ASSERT(bool(store->flush()));
        store = open();
      }
    }
    const int64_t from = (kStart + Duration::seconds(*rc::gen::inRange(0, 100'000))).us;
    const int64_t to = from + Duration::seconds(*rc::gen::inRange(1, 300'000)).us;
    const Duration bucket =
        *rc::gen::element(Duration::seconds(10), Duration::minutes(1), Duration::minutes(15),
                          Duration::hours(1), Duration::hours(6), Duration::days(1));
    HistoryQuery query;
    query.series = {SeriesId(1), SeriesId(2), SeriesId(3)};
    query.from = {from};
    query.to = {to};
    const auto raw = store->query(query);
    query.bucket = bucket;
    const auto buckets = store->query(query);
    RC_ASSERT(raw && buckets);
    for (uint32_t series = 1; series <= 3; ++series) {
      const auto& got = raw->series[series - 1];
      std::vector<int64_t> times;
      std::map<int64_t, std::vector<Sample>> parts;
      const int64_t first = berlin()->bucket_start({from}, bucket).us;
      const int64_t last = berlin()->bucket_end({to - 1}, bucket).us;
      for (const auto& [time, sample] : model[series]) {
        if (time >= from && time < to) times.push_back(time);
        if (time >= first && time < last)
          parts[berlin()->bucket_start({time}, bucket).us].push_back(sample);
      }
      RC_ASSERT(got.time.size() == times.size());
      for (size_t i = 0; i < times.size(); ++i) {
        RC_ASSERT(got.time[i].us == times[i]);
        RC_ASSERT(got.number[i] == model[series][times[i]].number);
        RC_ASSERT(got.quality[i] == model[series][times[i]].quality);
      }
      const auto& summed = buckets->series[series - 1];
      RC_ASSERT(summed.time.size() == parts.size());
      size_t n = 0;
      for (const auto& [start, samples] : parts) {
        double sum = 0, low = INFINITY, high = -INFINITY;
        uint64_t usable = 0, bad = 0;
        for (const Sample& sample : samples) {
          if (sample.quality == Quality::kBad) {
            ++bad;
            continue;
          }
          ++usable;
          sum += sample.number;
          low = std::min(low, sample.number);
          high = std::max(high, sample.number);
        }
        RC_ASSERT(summed.time[n].us == start);
        RC_ASSERT(summed.count[n] == usable);
        RC_ASSERT(summed.bad[n] == bad);
        if (usable > 0) {
          RC_ASSERT(std::fabs(summed.avg[n] - sum / static_cast<double>(usable)) < 1e-9);
          RC_ASSERT(summed.min[n] == low);
          RC_ASSERT(summed.max[n] == high);
        }
        ++n;
      }
    }
  });
}

TEST(HistoryBlock, GivesBackAnyPoints) {
  rc::check("blocks", [] {
    const auto kind = *rc::gen::element(ValueKind::kDouble, ValueKind::kInteger,
                                        ValueKind::kBoolean, ValueKind::kText);
    std::string text;
    std::vector<history::Point> points;
    int64_t time = *rc::gen::inRange<int64_t>(-1'000'000, 1'800'000'000'000'000);
    const int count = *rc::gen::inRange(1, 200);
    for (int i = 0; i < count; ++i) {
      time += *rc::gen::element<int64_t>(1, 1'000'000, 1'000'001, 60'000'000, 1LL << 40);
      history::Point point{time, 0, kind,
                           *rc::gen::element(Quality::kGood, Quality::kUncertain, Quality::kBad)};
      if (kind == ValueKind::kText)
        point.bits = history::add_text(text, *rc::gen::arbitrary<std::string>());
      else if (kind == ValueKind::kBoolean)
        point.bits = *rc::gen::inRange<uint64_t>(0, 2);
      else
        point.bits = *rc::gen::arbitrary<uint64_t>();
      points.push_back(point);
    }
    std::string bytes;
    history::encode_points(points, text, bytes);
    history::PointSet back;
    RC_ASSERT(history::decode_points(bytes, INT64_MIN, INT64_MAX, back));
    RC_ASSERT(back.points.size() == points.size());
    for (size_t i = 0; i < points.size(); ++i) {
      RC_ASSERT(back.points[i].time_us == points[i].time_us);
      RC_ASSERT(back.points[i].quality == points[i].quality);
      if (kind == ValueKind::kText)
        RC_ASSERT(back.points[i].text(back.text) == points[i].text(text));
      else
        RC_ASSERT(back.points[i].bits == points[i].bits);
    }
  });
}

}  // namespace
}  // namespace penstock::stream
