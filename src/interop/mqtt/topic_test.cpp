#include "interop/mqtt/topic.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace penstock::interop::mqtt {
namespace {

TEST(Topic, NamesHaveNoWildcardsAndLimits) {
  EXPECT_TRUE(valid_topic("a/b"));
  EXPECT_TRUE(valid_topic("/"));
  EXPECT_TRUE(valid_topic("a//b"));
  EXPECT_FALSE(valid_topic(""));
  EXPECT_FALSE(valid_topic("a/+"));
  EXPECT_FALSE(valid_topic("a#"));
  EXPECT_FALSE(valid_topic(std::string(5000, 'a')));
  EXPECT_FALSE(valid_topic(std::string(100, '/')));
}

TEST(Topic, FiltersHaveWildcardsAsWholeLevels) {
  for (const char* good : {"#", "+", "a/#", "+/+", "/+", "+/a/#", "a/+/b", "/", "$SYS/#"})
    EXPECT_TRUE(valid_filter(good)) << good;
  for (const char* bad : {"", "a#", "#/a", "a/#/b", "a+", "+a", "a/b+/c", "##", "++"})
    EXPECT_FALSE(valid_filter(bad)) << bad;
}

// The examples of 4.7.1.2, 4.7.1.3 and 4.7.2.
TEST(Topic, MatchesAsTheStandardSays) {
  struct Case {
    const char *filter, *topic;
    bool match;
  };
  for (const Case& c : {Case{"sport/tennis/player1/#", "sport/tennis/player1", true},
                        {"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
                        {"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
                        {"sport/#", "sport", true},
                        {"#", "anything/at/all", true},
                        {"sport/tennis/+", "sport/tennis/player1", true},
                        {"sport/tennis/+", "sport/tennis/player1/ranking", false},
                        {"sport/+", "sport", false},
                        {"sport/+", "sport/", true},
                        {"+/+", "/finance", true},
                        {"/+", "/finance", true},
                        {"+", "/finance", false},
                        {"#", "$SYS/a", false},
                        {"+/monitor/Clients", "$SYS/monitor/Clients", false},
                        {"$SYS/#", "$SYS/a", true},
                        {"$SYS/monitor/+", "$SYS/monitor/Clients", true},
                        {"ACCOUNTS", "Accounts", false},
                        {"a//b", "a/b", false}})
    EXPECT_EQ(matches(c.filter, c.topic), c.match) << c.filter << " " << c.topic;
}

TEST(Topic, SharedFiltersHaveAGroupAndAFilter) {
  ASSERT_TRUE(parse_shared("$share/g/a/#"));
  EXPECT_EQ(parse_shared("$share/g/a/#")->group, "g");
  EXPECT_EQ(parse_shared("$share/g/a/#")->filter, "a/#");
  EXPECT_EQ(parse_shared("$share/g//")->filter, "/");
  EXPECT_FALSE(parse_shared("share/g/a"));
  EXPECT_TRUE(parse_shared("$share/g")->filter.empty());
}

TEST(Topic, ADeviceWritesOnlyItsOwn) {
  Principal device;
  device.device = "pump";
  EXPECT_TRUE(may_publish(device, "devices/pump/telemetry"));
  EXPECT_TRUE(may_publish(device, "devices/pump/responses/reset"));
  EXPECT_FALSE(may_publish(device, "devices/pump/commands/reset"));
  EXPECT_FALSE(may_publish(device, "devices/pump2/telemetry"));
  EXPECT_FALSE(may_publish(device, "devices/pum/telemetry"));
  EXPECT_FALSE(may_publish(device, "other"));
  EXPECT_FALSE(may_publish(device, "$SYS/broker/uptime"));
  EXPECT_TRUE(may_subscribe(device, "devices/pump/commands/+"));
  EXPECT_TRUE(may_subscribe(device, "devices/pump/#"));
  EXPECT_FALSE(may_subscribe(device, "devices/+/commands/#"));
  EXPECT_FALSE(may_subscribe(device, "#"));
  EXPECT_FALSE(may_subscribe(device, "devices/pump2/#"));
}

TEST(Topic, NobodyWritesWhatTheServerSays) {
  Principal anybody;
  anybody.unrestricted = true;
  EXPECT_FALSE(may_publish(anybody, "$SYS/broker/uptime"));
  EXPECT_FALSE(may_publish(anybody, "$share/g/a"));
  EXPECT_TRUE(may_publish(anybody, "$other"));
}

TEST(Topic, AProvisioningTokenWritesForAnyDevice) {
  Principal token;
  token.may_provision = true;
  EXPECT_TRUE(may_publish(token, "devices/new-one/telemetry"));
  EXPECT_FALSE(may_publish(token, "devices/new-one/commands/go"));
  EXPECT_FALSE(may_publish(token, "devices//telemetry"));
  EXPECT_FALSE(may_publish(token, "elsewhere"));
}

TEST(Topic, AProvisioningTokenSpeaksForEdgeNodes) {
  Principal token;
  token.may_provision = true;
  for (const char* topic : {"spBv1.0/G/NBIRTH/N", "spBv1.0/G/DDATA/N/D", "spBv1.0/G/NDEATH/N"})
    EXPECT_TRUE(may_publish(token, topic)) << topic;
  for (const char* topic : {"spBv1.0/G/NCMD/N", "spBv1.0/G/DCMD/N/D", "spBv1.0/STATE/penstock",
                            "spBv1.0/G", "spBv1.0/NBIRTH"})
    EXPECT_FALSE(may_publish(token, topic)) << topic;
  for (const char* filter : {"spBv1.0/G/NCMD/N", "spBv1.0/G/NCMD/N/#", "spBv1.0/STATE/penstock"})
    EXPECT_TRUE(may_subscribe(token, filter)) << filter;
  for (const char* filter : {"spBv1.0/#", "spBv1.0/+/NCMD/N", "spBv1.0/G/NCMD/#",
                             "spBv1.0/G/NCMD/+/#", "spBv1.0/G/NDATA/N", "spBv1.0/G/DCMD/N/#"})
    EXPECT_FALSE(may_subscribe(token, filter)) << filter;
}

std::string join(const std::vector<std::string>& levels) {
  std::string out;
  for (size_t i = 0; i < levels.size(); ++i) out += (i ? "/" : "") + levels[i];
  return out;
}
rc::Gen<std::string> any_filter() {
  return rc::gen::apply(
      [](std::vector<std::string> levels, bool rest) {
        if (rest || levels.empty()) levels.emplace_back("#");
        return join(levels);
      },
      rc::gen::resize(4, rc::gen::container<std::vector<std::string>>(
                             rc::gen::element<std::string>("a", "b", "", "+"))),
      rc::gen::arbitrary<bool>());
}
rc::Gen<std::string> any_topic() {
  return rc::gen::map(
      rc::gen::nonEmpty(rc::gen::resize(5, rc::gen::container<std::vector<std::string>>(
                                               rc::gen::element<std::string>("a", "b", "", "$a")))),
      join);
}

// What a grant covers it lets nothing through that it does not match itself.
RC_GTEST_PROP(TopicProperty, CoveredFiltersMatchNothingMore, ()) {
  const std::string grant = *any_filter(), filter = *any_filter(), topic = *any_topic();
  if (covers(grant, filter) && matches(filter, topic)) RC_ASSERT(matches(grant, topic));
}
RC_GTEST_PROP(TopicProperty, AFilterCoversItself, ()) {
  const std::string filter = *any_filter();
  RC_ASSERT(covers(filter, filter));
  RC_ASSERT(covers("#", filter));
}

}  // namespace
}  // namespace penstock::interop::mqtt
