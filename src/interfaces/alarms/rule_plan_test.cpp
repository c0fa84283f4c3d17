#include "interfaces/alarms/rule_plan.h"

#include <algorithm>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

namespace penstock::interfaces {
namespace {

constexpr std::string_view kModels = R"([
 {"@context":"dtmi:dtdl:context;3","@id":"dtmi:test:Machine;1","@type":"Interface","contents":[
  {"@type":"Telemetry","name":"temperature","schema":"double"},
  {"@type":"Telemetry","name":"starts","schema":"integer"},
  {"@type":"Telemetry","name":"state","schema":"string"},
  {"@type":"Property","name":"setpoint","schema":"double"}]},
 {"@context":"dtmi:dtdl:context;3","@id":"dtmi:test:Pump;1","@type":"Interface",
  "extends":"dtmi:test:Machine;1","contents":[
  {"@type":"Telemetry","name":"flow","schema":"double"}]}])";

class RulePlan : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/penstock_plan_XXXXXX";
    directory_ = ::mkdtemp(name);
    registry_ = std::move(*store::Registry::open(directory_ + "/registry.db"));
    twins_ = std::move(*twin::TwinRegistry::open(*registry_));
    rules_ = std::move(*RuleStore::open(*registry_, *twins_, system_clock()));
    ASSERT_TRUE(twins_->create_site(organisation(), {"north", "", "UTC", ""}));
    ASSERT_TRUE(twins_->create_site(organisation(), {"south", "", "UTC", ""}));
    const auto models = twins_->add_models(organisation(), kModels);
    ASSERT_TRUE(models) << models.error().text();
    machine_ = make("machine-1", "north", "dtmi:test:Machine;1", true);
    pump_ = make("pump-1", "south", "dtmi:test:Pump;1", true);
    idle_ = make("pump-2", "south", "dtmi:test:Pump;1", false);
  }
  void TearDown() override {
    rules_.reset();
    twins_.reset();
    registry_.reset();
    std::filesystem::remove_all(directory_);
  }
  [[nodiscard]] OrganisationId organisation() const { return twins_->default_organisation(); }
  TwinId make(const char* name, const char* site, const char* model, bool device);
  RuleId rule(twin::Scope scope, const char* element, RuleKind kind = RuleKind::kThreshold) {
    RuleItem item;
    item.scope = std::move(scope);
    item.element = element;
    item.kind = kind;
    item.limit = 60;
    item.above = false;
    item.hysteresis = 2;
    item.on_delay = Duration::seconds(3);
    item.off_delay = Duration::seconds(4);
    const auto made = rules_->create_rule(organisation(), item, "Ann");
    EXPECT_TRUE(made) << made.error().text();
    return made->id;
  }
  /// "rule twin series" of all, sorted.
  std::vector<std::string> plan() {
    std::vector<std::string> out;
    for (const CompiledRule& one : plan_rules(*rules_, *twins_))
      out.push_back(std::to_string(one.id.value) + " " + twins_->twin(one.twin)->name + " " +
                    (one.series ? twins_->series(one.series)->element : "*"));
    std::sort(out.begin(), out.end());
    return out;
  }
  std::string directory_;
  std::unique_ptr<store::Registry> registry_;
  std::unique_ptr<twin::TwinRegistry> twins_;
  std::unique_ptr<RuleStore> rules_;
  TwinId machine_, pump_, idle_;
};

using Lines = std::vector<std::string>;

TwinId RulePlan::make(const char* name, const char* site, const char* model, bool device) {
  if (!device) {
    const auto made = twins_->create_twin(organisation(), {name, "", site, model, "", {}});
    EXPECT_TRUE(made) << made.error().text();
    return (*made)->id;
  }
  twin::DeviceDraft draft;
  draft.name = name;
  draft.site = site;
  draft.model = model;
  const auto made = twins_->create_device(organisation(), draft);
  EXPECT_TRUE(made) << made.error().text();
  return made->twin->id;
}

TEST_F(RulePlan, AScopeBecomesOneRuleForEachTwinThatHasTheElementAndADevice) {
  rule({"dtmi:test:Machine;1", "", ""}, "temperature");
  rule({"", "south", ""}, "flow");
  rule({"", "", "machine-1"}, "flow");  // it has none
  rule({"", "", "machine-1"}, "", RuleKind::kStale);
  EXPECT_EQ(plan(), (Lines{"1 machine-1 temperature", "1 pump-1 temperature", "2 pump-1 flow",
                           "4 machine-1 *"}));
  const auto all = plan_rules(*rules_, *twins_);
  EXPECT_EQ(all[0].limit, 60);
  EXPECT_FALSE(all[0].above);
  EXPECT_EQ(all[0].hysteresis, 2);
  EXPECT_EQ(all[0].on_delay, Duration::seconds(3));
  EXPECT_EQ(all[0].off_delay, Duration::seconds(4));
}

TEST_F(RulePlan, FollowsWhatPeopleChange) {
  rule({"", "", "pump-1"}, "flow");
  EXPECT_EQ(plan(), (Lines{"1 pump-1 flow"}));
  RuleItem item = rules_->all_rules()[0].item;
  item.enabled = false;
  ASSERT_TRUE(rules_->replace_rule(organisation(), item, "Ann"));
  EXPECT_TRUE(plan().empty());
  item.enabled = true;
  ASSERT_TRUE(rules_->replace_rule(organisation(), item, "Ann"));
  EXPECT_EQ(plan().size(), 1u);
  ASSERT_TRUE(twins_->delete_twin(organisation(), "pump-1"));
  EXPECT_TRUE(plan().empty()) << "the scope names what is gone";
}

TEST_F(RulePlan, ADetectorWatchesNumbersUnlessTold) {
  const auto names = [&](const DetectorItem& detector) {
    Lines out;
    for (const SeriesId id : watched_series(detector, *twins_->twin(pump_)))
      out.push_back(twins_->series(id)->element);
    std::sort(out.begin(), out.end());
    return out;
  };
  DetectorItem detector;
  EXPECT_EQ(names(detector), (Lines{"flow", "starts", "temperature"}));
  detector.elements = {"flow", "setpoint", "nothing"};
  EXPECT_EQ(names(detector), (Lines{"flow", "setpoint"}));
}

}  // namespace
}  // namespace penstock::interfaces
