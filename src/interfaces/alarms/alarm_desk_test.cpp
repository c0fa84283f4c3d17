#include "interfaces/alarms/alarm_desk.h"

#include <condition_variable>
#include <filesystem>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "interfaces/alarms/rule_store.h"

namespace penstock::interfaces {
namespace {

constexpr std::string_view kModel = R"({
  "@context":["dtmi:dtdl:context;3","dtmi:dtdl:extension:quantitativeTypes;1"],
  "@id":"dtmi:test:Pump;1","@type":"Interface","contents":[
  {"@type":["Telemetry","Pressure"],"name":"pressure","schema":"double","unit":"bar"},
  {"@type":"Telemetry","name":"state","schema":"string"}]})";

class AlarmDeskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/penstock_alarms_XXXXXX";
    directory_ = ::mkdtemp(name);
    reopen();
    ASSERT_TRUE(twins_->create_site(organisation(), {"north", "", "UTC", ""}));
    ASSERT_TRUE(twins_->add_models(organisation(), kModel));
    const auto twin =
        twins_->create_twin(organisation(), {"pump-1", "", "north", "dtmi:test:Pump;1", "", {}});
    ASSERT_TRUE(twin) << twin.error().text();
    twin_ = (*twin)->id;
    RuleItem rule;
    rule.scope.model = "dtmi:test:Pump;1";
    rule.element = "pressure";
    rule.limit = 9;
    rule.priority = Priority::kHigh;
    rule.message = "pressure too high";
    rule.action = "open the valve";
    const auto made = rules_->create_rule(organisation(), rule, "Ann");
    ASSERT_TRUE(made) << made.error().text();
    rule_ = made->id;
  }
  void TearDown() override {
    close();
    std::filesystem::remove_all(directory_);
  }
  void close() {
    desk_.reset();
    rules_.reset();
    twins_.reset();
    registry_.reset();
  }
  void reopen() {
    close();
    auto registry = store::Registry::open(directory_ + "/registry.db");
    ASSERT_TRUE(registry) << registry.error().text();
    registry_ = std::move(*registry);
    twins_ = std::move(*twin::TwinRegistry::open(*registry_));
    rules_ = std::move(*RuleStore::open(*registry_, *twins_, system_clock()));
    auto desk =
        AlarmDesk::open(*registry_, *twins_, system_clock(), metrics_,
                        [this](RuleId id, TwinId twin) { return rules_->source(id, twin); });
    ASSERT_TRUE(desk) << desk.error().text();
    desk_ = std::move(*desk);
    desk_->set_listener([this](const AlarmItem& alarm) {
      const std::lock_guard lock(mutex_);
      told_.push_back(alarm);
      changed_.notify_all();
    });
  }
  [[nodiscard]] OrganisationId organisation() const { return twins_->default_organisation(); }
  stream::Signal signal(bool active, int64_t second, double value = 10) const {
    stream::Signal out;
    out.twin = twin_;
    out.source = rule_;
    out.active = active;
    out.time = Timestamp::from_seconds(1'800'000'000 + second);
    out.value = value;
    out.limit = 9;
    out.detail = R"({"contributions":[{"element":"a","share":0.2},{"series":1,"share":0.8}]})";
    return out;
  }
  std::vector<AlarmItem> all() {
    AlarmFilter filter;
    filter.organisation = organisation();
    return *desk_->alarms(filter, 100);
  }
  std::vector<AlarmItem> open_ones() {
    AlarmFilter filter;
    filter.organisation = organisation();
    filter.open = true;
    return *desk_->alarms(filter, 100);
  }

  std::string directory_;
  Metrics metrics_;
  std::unique_ptr<store::Registry> registry_;
  std::unique_ptr<twin::TwinRegistry> twins_;
  std::unique_ptr<RuleStore> rules_;
  std::unique_ptr<AlarmDesk> desk_;
  TwinId twin_;
  RuleId rule_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<AlarmItem> told_;
};

TEST_F(AlarmDeskTest, AnAlarmIsRaisedKnownClearedAndClosed) {
  ASSERT_TRUE(desk_->apply({signal(true, 1)}, 100));
  ASSERT_EQ(open_ones().size(), 1u);
  const AlarmItem raised = open_ones()[0];
  EXPECT_EQ(raised.state, AlarmState::kActive);
  EXPECT_EQ(raised.priority, Priority::kHigh);
  EXPECT_EQ(raised.message, "pressure too high");
  EXPECT_EQ(raised.element, "pressure");
  EXPECT_EQ(raised.value, 10);
  ASSERT_EQ(raised.contributions.size(), 2u);
  EXPECT_EQ(raised.contributions[0].element, "pressure") << "most first, by its name";
  const auto known = desk_->acknowledge(organisation(), raised.id, "Ann", "on my way");
  ASSERT_TRUE(known) << known.error().text();
  EXPECT_EQ(known->state, AlarmState::kAcknowledged);
  EXPECT_EQ(known->acknowledged_by, "Ann");
  EXPECT_EQ(desk_->acknowledge(organisation(), raised.id, "Bob", "")->acknowledged_by, "Ann")
      << "the first one counts";
  ASSERT_TRUE(desk_->add_note(organisation(), raised.id, "Ann", "valve was stuck"));
  ASSERT_TRUE(desk_->apply({signal(false, 9)}, 200));
  EXPECT_TRUE(open_ones().empty());
  const auto closed = desk_->alarm(organisation(), raised.id);
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->state, AlarmState::kClosed);
  std::string story;
  for (const auto& event : closed->history) story += event.who + " " + event.what + "; ";
  EXPECT_EQ(story, "system raised; Ann acknowledged; Ann note; system cleared; ");
  ASSERT_EQ(told_.size(), 4u) << "notes are told too";
  EXPECT_EQ(told_[3].state, AlarmState::kClosed);
}

TEST_F(AlarmDeskTest, ClearedBeforeAnybodySawItWaitsForSomebody) {
  ASSERT_TRUE(desk_->apply({signal(true, 1), signal(false, 2)}, 100));
  ASSERT_EQ(open_ones().size(), 1u);
  EXPECT_EQ(open_ones()[0].state, AlarmState::kCleared);
  // Chattering is one alarm, not a list.
  ASSERT_TRUE(desk_->apply({signal(true, 3, 11), signal(false, 4), signal(true, 5, 12)}, 200));
  ASSERT_EQ(all().size(), 1u);
  EXPECT_EQ(all()[0].state, AlarmState::kActive);
  EXPECT_EQ(all()[0].value, 12);
  ASSERT_TRUE(desk_->apply({signal(false, 6)}, 300));
  EXPECT_EQ(desk_->acknowledge(organisation(), all()[0].id, "Ann", "")->state, AlarmState::kClosed);
  EXPECT_TRUE(open_ones().empty());
  ASSERT_TRUE(desk_->apply({signal(true, 7)}, 400));
  EXPECT_EQ(all().size(), 2u) << "after it was closed it is a new one";
}

TEST_F(AlarmDeskTest, SurvivesARestart) {
  ASSERT_TRUE(desk_->apply({signal(true, 1)}, 100));
  reopen();
  EXPECT_EQ(desk_->offset(), 100u);
  ASSERT_EQ(open_ones().size(), 1u);
  ASSERT_TRUE(desk_->apply({signal(true, 2)}, 200));
  EXPECT_EQ(all().size(), 1u) << "the open one is remembered";
}

TEST_F(AlarmDeskTest, SignalsOfWhatIsGoneRaiseNothing) {
  stream::Signal unknown = signal(true, 1);
  unknown.source = RuleId(99);
  stream::Signal nobody = signal(true, 1);
  nobody.twin = TwinId(99);
  ASSERT_TRUE(desk_->apply({unknown, nobody, signal(false, 1)}, 100));
  EXPECT_TRUE(all().empty());
  ASSERT_TRUE(desk_->apply({signal(true, 1)}, 200));
  ASSERT_TRUE(rules_->delete_rule(organisation(), rule_, "Ann"));
  ASSERT_TRUE(desk_->apply({signal(false, 2)}, 300));
  EXPECT_EQ(all()[0].state, AlarmState::kCleared) << "an alarm whose rule is gone can clear";
}

TEST_F(AlarmDeskTest, FiltersAndPages) {
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(desk_->apply({signal(true, 10 * i)}, 100 + static_cast<uint64_t>(i)));
    if (i == 5) break;
    ASSERT_TRUE(desk_->acknowledge(organisation(), all()[0].id, "Ann", ""));
    ASSERT_TRUE(desk_->apply({signal(false, 10 * i + 5)}, 100 + static_cast<uint64_t>(i)));
  }
  AlarmFilter filter;
  filter.organisation = organisation();
  EXPECT_EQ(desk_->alarms(filter, 4)->size(), 4u);
  filter.before = (*desk_->alarms(filter, 4))[3].id.value;
  EXPECT_EQ(desk_->alarms(filter, 4)->size(), 2u);
  filter.before = UINT64_MAX;
  filter.state = AlarmState::kClosed;
  EXPECT_EQ(desk_->alarms(filter, 100)->size(), 5u);
  filter.state.reset();
  filter.priority = Priority::kLow;
  EXPECT_EQ(desk_->alarms(filter, 100)->size(), 0u);
  filter.priority.reset();
  filter.sites = {SiteId(77), SiteId(78)};
  EXPECT_EQ(desk_->alarms(filter, 100)->size(), 0u);
  filter.sites = {SiteId(77), twins_->twin(twin_)->site};
  EXPECT_EQ(desk_->alarms(filter, 100)->size(), 6u);
  filter.organisation = OrganisationId(9);
  EXPECT_EQ(desk_->alarms(filter, 100)->size(), 0u);
  EXPECT_FALSE(desk_->alarm(OrganisationId(9), all()[0].id)) << "another tenant's";
}

TEST_F(AlarmDeskTest, ReadsTheJournalOnceAndOnlyOnce) {
  stream::JournalOptions options;
  options.directory = directory_ + "/journal";
  auto journal = stream::Journal::open(system_files(), system_clock(), options, metrics_);
  ASSERT_TRUE(journal) << journal.error().text();
  const auto append = [&](const stream::Signal& one) {
    auto batch = (*journal)->make_batch();
    batch->begin(stream::RecordType::kSignal);
    stream::encode_signal(batch->body(), one);
    batch->end();
    (*journal)->submit(std::move(batch),
                       [](const Status& status, auto, auto) { EXPECT_TRUE(status); });
  };
  const auto wait_for = [&](size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return told_.size() >= count; });
  };
  append(signal(true, 1));
  ASSERT_TRUE(desk_->start(**journal));
  ASSERT_TRUE(wait_for(1));
  append(signal(false, 2));
  ASSERT_TRUE(wait_for(2));
  desk_->stop();
  EXPECT_EQ(desk_->offset(), (*journal)->durable_offset());
  reopen();
  ASSERT_TRUE(desk_->start(**journal));
  append(signal(true, 3));
  ASSERT_TRUE(wait_for(3));
  desk_->stop();
  ASSERT_EQ(all().size(), 1u);
  EXPECT_EQ(desk_->alarm(organisation(), all()[0].id)->history.size(), 3u)
      << "raised, cleared, raised again: nothing twice";
}

TEST_F(AlarmDeskTest, RulesAreKeptWithTheirVersions) {
  RuleItem rule = rules_->all_rules()[0].item;
  rule.limit = 8;
  rule.on_delay = Duration::seconds(3);
  rule.above = false;
  rule.kind = RuleKind::kRate;
  ASSERT_TRUE(rules_->replace_rule(organisation(), rule, "Bob"));
  reopen();
  ASSERT_EQ(rules_->all_rules().size(), 1u);
  const RuleItem kept = rules_->all_rules()[0].item;
  EXPECT_EQ(kept.limit, 8);
  EXPECT_EQ(kept.on_delay, Duration::seconds(3));
  EXPECT_FALSE(kept.above);
  EXPECT_EQ(kept.kind, RuleKind::kRate);
  EXPECT_EQ(kept.scope.model, "dtmi:test:Pump;1");
  const auto versions = registry_->read([](store::Session& session) {
    return session.query<std::string>("SELECT changed_by FROM rule_version ORDER BY number");
  });
  ASSERT_TRUE(versions);
  ASSERT_EQ(versions->size(), 2u);
  EXPECT_EQ(std::get<0>((*versions)[1]), "Bob");
  EXPECT_FALSE(rules_->replace_rule(OrganisationId(9), rule, "Eve"));
  int changes = 0;
  rules_->set_listener([&] { ++changes; });
  ASSERT_TRUE(rules_->delete_rule(organisation(), rule.id, "Bob"));
  EXPECT_EQ(changes, 1);
  EXPECT_TRUE(rules_->all_rules().empty());
  const auto next = rules_->create_rule(organisation(), rule, "Bob");
  EXPECT_GT(next->id, rule.id) << "numbers are never used twice";
}

TEST_F(AlarmDeskTest, ValueAndLimitCarryTheUnitOfWhatIsCompared) {
  EXPECT_EQ(rules_->source(rule_, twin_)->unit, "bar");
  RuleItem rule;
  rule.scope.model = "dtmi:test:Pump;1";
  rule.element = "pressure";
  rule.limit = 60;
  rule.message = "no data";
  for (const auto& [kind, unit] :
       {std::pair(RuleKind::kStale, "second"), std::pair(RuleKind::kRate, "bar/s")}) {
    rule.kind = kind;
    const auto made = rules_->create_rule(organisation(), rule, "Ann");
    ASSERT_TRUE(made) << made.error().text();
    EXPECT_EQ(rules_->source(made->id, twin_)->unit, unit);
  }
}

TEST_F(AlarmDeskTest, DetectorsWatchAllNumbersUnlessTold) {
  DetectorItem wanted;
  wanted.twin = twin_;
  wanted.priority = Priority::kCritical;
  const auto made = rules_->create_detector(organisation(), wanted);
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_EQ(made->elements, std::vector<std::string>{"pressure"});
  EXPECT_EQ(made->state, "learning");
  EXPECT_NE(made->id, rule_) << "rules and detectors share their numbers: signals name either";
  ASSERT_TRUE(rules_->learn(organisation(), made->id, Timestamp::from_seconds(1),
                            Timestamp::from_seconds(2)));
  reopen();
  ASSERT_EQ(rules_->all_detectors().size(), 1u);
  EXPECT_EQ(rules_->all_detectors()[0].version, 2u);
  EXPECT_EQ(rules_->all_detectors()[0].item.healthy_to, Timestamp::from_seconds(2));
  rules_->set_progress([](RuleId) -> std::optional<DetectorProgress> {
    return DetectorProgress{"active", "watches", Timestamp::from_seconds(5), 600};
  });
  EXPECT_EQ((*rules_->detectors(organisation()))[0].state, "active");
  EXPECT_TRUE(rules_->source(made->id, twin_)->from_detector);
  EXPECT_FALSE(rules_->delete_rule(organisation(), made->id, "Ann")) << "it is no rule";
  ASSERT_TRUE(rules_->delete_detector(organisation(), made->id));
  EXPECT_TRUE(rules_->all_detectors().empty());
}

/// All that people can see of all alarms.
std::string story_of(AlarmDesk& desk, OrganisationId organisation) {
  AlarmFilter filter;
  filter.organisation = organisation;
  std::string out;
  const auto all = desk.alarms(filter, 1000);
  for (const AlarmItem& alarm : *all) {
    out += "source " + std::to_string(alarm.source.value) + " " + std::string(name(alarm.state));
    const auto whole = desk.alarm(organisation, alarm.id);
    for (const auto& event : whole->history)
      out += ", " + event.what + " " + std::to_string(event.at.us / 1'000'000 - 1'800'000'000);
    out += "\n";
  }
  return out;
}

TEST_F(AlarmDeskTest, AnyRestartsBetweenTransactionsChangeNothing) {
  std::vector<RuleId> sources{rule_};
  for (int i = 0; i < 3; ++i) {
    RuleItem rule;
    rule.scope.twin = "pump-1";
    rule.element = "pressure";
    sources.push_back(rules_->create_rule(organisation(), rule, "Ann")->id);
  }
  std::mt19937 random(7);
  std::vector<stream::Signal> signals;
  for (int i = 0; i < 200; ++i) {
    signals.push_back(signal(random() % 2 == 0, i));
    signals.back().source = sources[random() % sources.size()];
  }
  std::string expected;
  for (const bool interrupted : {false, true}) {
    // The offset of a signal is its number: what the journal gives after a restart is what lies
    // behind the stored offset, however often it was read before.
    for (size_t read = desk_->offset(); read < signals.size(); read = desk_->offset()) {
      const size_t count = interrupted ? 1 + random() % 20 : signals.size();
      const size_t end = std::min(signals.size(), read + count);
      ASSERT_TRUE(desk_->apply({signals.begin() + static_cast<std::ptrdiff_t>(read),
                                signals.begin() + static_cast<std::ptrdiff_t>(end)},
                               end));
      if (interrupted && random() % 3 == 0) reopen();
    }
    if (interrupted) break;
    expected = story_of(*desk_, organisation());
    ASSERT_TRUE(registry_->write([](store::Session& session) -> Status {
      TRY(session.run("DELETE FROM alarm"));
      TRY(session.run("DELETE FROM alarm_event"));
      TRY(session.run("DELETE FROM alarm_cursor"));
      return {};
    }));
    reopen();
    ASSERT_EQ(desk_->offset(), 0u);
  }
  EXPECT_EQ(story_of(*desk_, organisation()), expected);
  EXPECT_NE(expected.find("raised again"), std::string::npos);
}

TEST_F(AlarmDeskTest, WhatCouldNotBeStoredDidNotHappen) {
  const auto rename = [&](const char* sql) {
    return registry_->write([&](store::Session& session) -> Status {
      TRY(session.run(sql));
      return {};
    });
  };
  ASSERT_TRUE(desk_->apply({signal(true, 1)}, 100));
  ASSERT_TRUE(rename("ALTER TABLE alarm_event RENAME TO alarm_event_gone"));
  EXPECT_FALSE(desk_->apply({signal(false, 2)}, 200));
  EXPECT_EQ(desk_->offset(), 100u);
  EXPECT_EQ(told_.size(), 1u);
  ASSERT_TRUE(rename("ALTER TABLE alarm_event_gone RENAME TO alarm_event"));
  EXPECT_EQ(all()[0].state, AlarmState::kActive);
  ASSERT_TRUE(desk_->apply({signal(false, 2)}, 200));
  EXPECT_EQ(story_of(*desk_, organisation()), "source 1 cleared, raised 1, cleared 2\n");
}

TEST_F(AlarmDeskTest, AnAlarmThatComesAndGoesForWeeksDoesNotGrowForEver) {
  std::vector<stream::Signal> signals;
  for (int i = 0; i < 3000; ++i) signals.push_back(signal(i % 2 == 0, i));
  ASSERT_TRUE(desk_->apply(signals, 1));
  ASSERT_EQ(all().size(), 1u);
  EXPECT_EQ(all()[0].state, AlarmState::kCleared) << "its state goes on";
  const auto before = desk_->alarm(organisation(), all()[0].id);
  EXPECT_EQ(before->history.size(), 1000u);
  EXPECT_NE(before->history.back().note.find("not listed"), std::string::npos);
  ASSERT_TRUE(desk_->acknowledge(organisation(), all()[0].id, "Ann", "a loose wire"));
  const auto after = desk_->alarm(organisation(), all()[0].id);
  EXPECT_EQ(after->history.back().note, "a loose wire") << "people are always heard";
  EXPECT_EQ(after->state, AlarmState::kClosed);
}

TEST_F(AlarmDeskTest, AClockThatGoesBackEndsNoAlarmBeforeItsBeginning) {
  ASSERT_TRUE(desk_->apply({signal(true, 1000), signal(false, 5)}, 100));
  EXPECT_EQ(all()[0].cleared, all()[0].raised);
  EXPECT_EQ(all()[0].state, AlarmState::kCleared);
}

TEST_F(AlarmDeskTest, AlarmsOfWhatWasRemovedBeforeACrashAreOverAtTheNextStart) {
  RuleItem off = rules_->all_rules()[0].item;
  const auto removed = rules_->create_rule(organisation(), off, "Ann");
  stream::Signal other = signal(true, 2);
  other.source = removed->id;
  ASSERT_TRUE(desk_->apply({signal(true, 1), other}, 0));
  off.enabled = false;
  ASSERT_TRUE(rules_->replace_rule(organisation(), off, "Ann"));
  ASSERT_TRUE(rules_->delete_rule(organisation(), removed->id, "Ann"));
  reopen();
  stream::JournalOptions options;
  options.directory = directory_ + "/journal";
  auto journal = stream::Journal::open(system_files(), system_clock(), options, metrics_);
  ASSERT_TRUE(journal) << journal.error().text();
  EXPECT_EQ(all()[0].state, AlarmState::kActive);
  ASSERT_TRUE(desk_->start(**journal));
  desk_->stop();
  for (const AlarmItem& alarm : all()) EXPECT_EQ(alarm.state, AlarmState::kCleared);
}

TEST_F(AlarmDeskTest, ADisabledRuleRaisesNothing) {
  RuleItem rule = rules_->all_rules()[0].item;
  rule.enabled = false;
  ASSERT_TRUE(rules_->replace_rule(organisation(), rule, "Ann"));
  ASSERT_TRUE(desk_->apply({signal(true, 1)}, 100));
  EXPECT_TRUE(all().empty());
}

TEST_F(AlarmDeskTest, SharesOfSensorsComeAsSeriesAndAreShownAsElements) {
  const SeriesId series = *twins_->twin(twin_)->series_of("pressure");
  stream::Signal with = signal(true, 1);
  const std::string detail = R"({"contributions":[{"series":4000000,"share":0.4},{"series":)" +
                             std::to_string(series.value) + R"(,"share":0.6},7,{"share":"x"}]})";
  with.detail = detail;
  ASSERT_TRUE(desk_->apply({with}, 100));
  ASSERT_EQ(all()[0].contributions.size(), 1u) << "a series that nobody knows is left out";
  EXPECT_EQ(all()[0].contributions[0].element, "pressure");
  EXPECT_EQ(all()[0].contributions[0].share, 0.6);
}

TEST_F(AlarmDeskTest, AStormIsStoredWhole) {
  // Everything at once, as when a network comes back: each alarm once, in one transaction.
  std::vector<TwinId> many;
  for (int i = 0; i < 60; ++i) {
    const std::string one = "storm-" + std::to_string(i);
    many.push_back(
        (*twins_->create_twin(organisation(), {one, "", "north", "dtmi:test:Pump;1", "", {}}))->id);
  }
  desk_ = std::move(*AlarmDesk::open(*registry_, *twins_, system_clock(), metrics_,
                                     [](RuleId, TwinId) { return AlarmSource(); }));
  std::vector<stream::Signal> signals;
  for (const TwinId twin : many)
    for (uint32_t source = 1; source <= 50; ++source) {
      signals.push_back(signal(true, source));
      signals.back().twin = twin;
      signals.back().source = RuleId(source);
    }
  ASSERT_TRUE(desk_->apply(signals, 1));
  AlarmFilter filter;
  filter.organisation = organisation();
  filter.open = true;
  EXPECT_EQ(desk_->alarms(filter, 10'000)->size(), 3000u);
  for (auto& one : signals) one.active = false;
  ASSERT_TRUE(desk_->apply(signals, 2));
  filter.state = AlarmState::kCleared;
  EXPECT_EQ(desk_->alarms(filter, 10'000)->size(), 3000u);
}

TEST_F(AlarmDeskTest, NotesAreTold) {
  ASSERT_TRUE(desk_->apply({signal(true, 1)}, 100));
  ASSERT_TRUE(desk_->add_note(organisation(), all()[0].id, "Ann", "seen from the yard"));
  ASSERT_EQ(told_.size(), 2u);
  EXPECT_EQ(told_[1].history.back().note, "seen from the yard");
  EXPECT_FALSE(desk_->add_note(OrganisationId(9), all()[0].id, "Eve", "hello"));
  EXPECT_FALSE(desk_->acknowledge(OrganisationId(9), all()[0].id, "Eve", ""));
  EXPECT_FALSE(desk_->acknowledge(organisation(), AlarmId(99), "Ann", ""));
}

TEST_F(AlarmDeskTest, OnlyRealRaisesAreCounted) {
  ASSERT_TRUE(
      desk_->apply({signal(true, 1), signal(true, 2), signal(false, 3), signal(true, 4)}, 1));
  EXPECT_EQ(metrics_.counter("penstock_alarms_raised_total", "").value(), 2u);
  ASSERT_TRUE(desk_->acknowledge(organisation(), all()[0].id, "Ann", ""));
  EXPECT_EQ(metrics_.gauge("penstock_alarms_open", "").value(), 1);
  ASSERT_TRUE(desk_->apply({signal(false, 5)}, 2));
  EXPECT_EQ(metrics_.gauge("penstock_alarms_open", "").value(), 0);
}

TEST_F(AlarmDeskTest, TwoWhoChangeARuleAtOnceMakeTwoVersions) {
  const RuleItem rule = rules_->all_rules()[0].item;
  const auto change = [&](double first) {
    for (int i = 0; i < 20; ++i) {
      RuleItem mine = rule;
      mine.limit = first + i;
      EXPECT_TRUE(rules_->replace_rule(organisation(), mine, "Ann"));
    }
  };
  std::thread other([&] { change(100); });
  change(200);
  other.join();
  const double in_memory = rules_->all_rules()[0].item.limit;
  reopen();
  EXPECT_EQ(rules_->all_rules()[0].item.limit, in_memory);
  const auto versions = registry_->read([](store::Session& session) {
    return session.query_one<int64_t>("SELECT COUNT(*) FROM rule_version");
  });
  ASSERT_TRUE(versions);
  EXPECT_EQ(std::get<0>(**versions), 41);
}

TEST_F(AlarmDeskTest, RulesThatNobodyHasCannotBeChanged) {
  RuleItem rule = rules_->all_rules()[0].item;
  ASSERT_TRUE(rules_->delete_rule(organisation(), rule.id, "Ann"));
  EXPECT_EQ(rules_->replace_rule(organisation(), rule, "Ann").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(rules_->delete_rule(organisation(), rule.id, "Ann").error().code, ErrorCode::kNotFound);
  DetectorItem nobody;
  nobody.twin = TwinId(77);
  EXPECT_EQ(rules_->create_detector(organisation(), nobody).error().code, ErrorCode::kNotFound);
  nobody.twin = twin_;
  EXPECT_EQ(rules_->create_detector(OrganisationId(9), nobody).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace penstock::interfaces
