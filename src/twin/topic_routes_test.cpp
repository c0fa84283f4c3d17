#include "twin/topic_routes.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/testing/allocations.h"

namespace penstock::twin {
namespace {

BindingPtr binding(const char* name, const char* topic, const char* device = "{device}",
                   OrganisationId organisation = OrganisationId(1)) {
  const Json json{{"name", name},
                  {"model", "dtmi:x:Y;1"},
                  {"topic", topic},
                  {"device", device},
                  {"others", "by_name"}};
  auto document = parse_binding(json);
  EXPECT_TRUE(document) << document.error().text();
  BindingRecord record;
  record.organisation = organisation;
  record.name = name;
  record.active_version = 1;
  record.active = std::make_shared<const BindingDocument>(*std::move(document));
  return std::make_shared<const BindingRecord>(std::move(record));
}

class TopicRoutesTest : public ::testing::Test {
 protected:
  std::string find(std::string_view topic, OrganisationId organisation = OrganisationId(1)) {
    const BindingDocument* found = routes.find(organisation, topic, device);
    return found ? found->name + " " + device : "";
  }
  TopicRoutes routes;
  std::string device;
};

TEST_F(TopicRoutesTest, ATopicFindsItsBindingAndDevice) {
  const std::vector<BindingPtr> all{
      binding("plant", "plant/{site}/{line}/{device}/data"),
      binding("fixed", "plant/{site}/hall/{device}/state", "{site}-{device}"),
      binding("shelly", "shellies/{device}/{element#}"),
      binding("mixed", "meter-{device}/+/out"),
      binding("other", "plant/{site}/{line}/{device}/data", "other-{device}", OrganisationId(2)),
      binding("plain", "{device}/SENSOR"),
  };
  routes = TopicRoutes(all);
  EXPECT_EQ(routes.size(), 6u);
  EXPECT_EQ(find("plant/north/l1/p1/data"), "plant p1");
  // The literal "hall" is tried first, and given up when what follows does not fit.
  EXPECT_EQ(find("plant/north/hall/p1/data"), "plant p1");
  EXPECT_EQ(find("plant/north/hall/p1/state"), "fixed north-p1");
  EXPECT_EQ(find("shellies/s1/relay/0/power"), "shelly s1");
  EXPECT_EQ(find("shellies/s1"), "") << "{element#} is at least one level";
  EXPECT_EQ(find("meter-7//out"), "mixed 7");
  EXPECT_EQ(find("meter-/x/out"), "");
  EXPECT_EQ(find("tasmota 1/SENSOR"), "plain tasmota%201");
  EXPECT_EQ(find("plant/north/l1/p1/data", OrganisationId(2)), "other other-p1");
  EXPECT_EQ(find("plant/north/l1/p1/data", OrganisationId(3)), "");
  EXPECT_EQ(find("$SYS/SENSOR"), "");
  EXPECT_EQ(find("plant/north/l1/p1/data/more"), "");
  EXPECT_EQ(find("plant/north/l1/p1"), "");
  EXPECT_EQ(find(""), "");
}

TEST_F(TopicRoutesTest, AmongHundredsItAllocatesNothing) {
  std::vector<BindingPtr> all;
  for (int i = 0; i < 400; ++i)
    all.push_back(binding(("b" + std::to_string(i)).c_str(),
                          ("area" + std::to_string(i) + "/{site}/{device}/data").c_str()));
  routes = TopicRoutes(all);
  EXPECT_EQ(find("area399/north/pump-with-a-rather-long-name/data"),
            "b399 pump-with-a-rather-long-name");
  const uint64_t before = testing_allocations();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(routes.find(OrganisationId(1), "area17/north/pump-with-a-long-name/data", device));
    ASSERT_FALSE(routes.find(OrganisationId(1), "nobody/knows/this", device));
  }
  EXPECT_EQ(testing_allocations() - before, 0u);
}

std::string common(const char* a, const char* b) {
  const auto one = TopicPattern::parse(a), other = TopicPattern::parse(b);
  EXPECT_TRUE(one && other) << a << ' ' << b;
  const auto topic = one->overlap(*other);
  EXPECT_EQ(topic.has_value(), other->overlap(*one).has_value()) << a << ' ' << b;
  TopicPattern::Captures captures;
  if (topic) {
    EXPECT_TRUE(one->match(*topic, captures)) << *topic << ' ' << a;
    EXPECT_TRUE(other->match(*topic, captures)) << *topic << ' ' << b;
  }
  return topic.value_or("none");
}

TEST(TopicPatternTest, PatternsThatOverlapShareATopic) {
  EXPECT_EQ(common("a/{device}/x", "a/{device}/y"), "none");
  EXPECT_EQ(common("a/{device}/x", "a/b/{kind}"), "a/b/x");
  EXPECT_EQ(common("a/{device}", "a/{device}/b"), "none");
  EXPECT_EQ(common("a/{device}/#", "a/{device}"), "a/x");
  EXPECT_EQ(common("a/{device#}", "a"), "none");
  EXPECT_EQ(common("a/{device#}", "a/b/c"), "a/b/c");
  EXPECT_EQ(common("a/#", "{device}/b/{c}"), "a/b/x");
  EXPECT_EQ(common("a/#", "a/{rest#}"), "a/x");
  EXPECT_EQ(common("m-{device}/d", "m-a{device}/d"), "m-ax/d");
  EXPECT_EQ(common("m-{device}/d", "n-{device}/d"), "none");
  EXPECT_EQ(common("{device}-t/d", "x-{device}/d"), "x-x-t/d");
  EXPECT_EQ(common("{device}/+/d", "a/{b}/d"), "a/x/d");
  EXPECT_EQ(common("m-{device}", "m-"), "none");
}

TEST(TopicPatternTest, TheRestIsCapturedOnlyAtTheEnd) {
  EXPECT_FALSE(TopicPattern::parse("a/{b#}/c"));
  EXPECT_FALSE(TopicPattern::parse("a/x{b#}"));
  EXPECT_FALSE(TopicPattern::parse("a/{#}"));
  EXPECT_EQ(TopicPattern::parse("a/{b#}")->filter(), "a/#");
}

}  // namespace
}  // namespace penstock::twin
