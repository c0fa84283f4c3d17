#include "interop/mqtt/subscription_index.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "interop/mqtt/topic.h"

namespace penstock::interop::mqtt {
namespace {

SubscriptionIndex::Entry entry(const std::string& client, uint8_t qos = 0,
                               const std::string& group = {}) {
  auto subscriber = std::make_shared<Subscriber>();
  subscriber->client_id = client;
  SubscriptionOptions options;
  options.qos = qos;
  return {subscriber, group, options};
}
std::vector<std::string> who(const SubscriptionIndex& index, std::string_view topic) {
  std::vector<std::string> out;
  index.match(topic,
              [&](const SubscriptionIndex::Entry& e) { out.push_back(e.subscriber->client_id); });
  std::sort(out.begin(), out.end());
  return out;
}
using Names = std::vector<std::string>;

TEST(SubscriptionIndex, FindsExactAndWildcardFilters) {
  SubscriptionIndex index;
  index.add("a/b", entry("exact"));
  index.add("a/+", entry("plus"));
  index.add("a/#", entry("hash"));
  index.add("#", entry("all"));
  EXPECT_EQ(who(index, "a/b"), (Names{"all", "exact", "hash", "plus"}));
  EXPECT_EQ(who(index, "a"), (Names{"all", "hash"}));
  EXPECT_EQ(who(index, "$SYS/x"), Names{});
}

TEST(SubscriptionIndex, ASecondSubscriptionReplacesTheFirst) {
  SubscriptionIndex index;
  EXPECT_TRUE(index.add("a", entry("c", 0)));
  EXPECT_FALSE(index.add("a", entry("c", 2)));
  EXPECT_EQ(index.size(), 1U);
  int qos = -1;
  index.match("a", [&](const auto& e) { qos = e.options.qos; });
  EXPECT_EQ(qos, 2);
  // In a group it is another subscription.
  EXPECT_TRUE(index.add("a", entry("c", 1, "g")));
  EXPECT_TRUE(index.remove("a", "g", "c"));
  EXPECT_FALSE(index.remove("a", "g", "c"));
  EXPECT_TRUE(index.remove("a", "", "c"));
  EXPECT_TRUE(index.empty());
}

// Against the plain definition: every filter compared with the topic.
RC_GTEST_PROP(SubscriptionIndexProperty, AgreesWithComparingEveryFilter, ()) {
  const auto level = rc::gen::element<std::string>("a", "b", "", "+", "$x");
  const auto text = [&](bool filter) {
    auto levels = *rc::gen::nonEmpty(rc::gen::resize(4, rc::gen::container<Names>(level)));
    std::string out;
    for (size_t i = 0; i < levels.size(); ++i) {
      if (!filter && levels[i] == "+") levels[i] = "a";
      out += (i ? "/" : "") + levels[i];
    }
    if (filter && *rc::gen::arbitrary<bool>()) out += "/#";
    return out;
  };
  SubscriptionIndex index;
  std::map<std::pair<std::string, std::string>, bool> model;
  const auto steps = *rc::gen::inRange(1, 30);
  for (int i = 0; i < steps; ++i) {
    const std::string filter = text(true), client = *rc::gen::element<std::string>("x", "y", "z");
    if (*rc::gen::inRange(0, 3) > 0) {
      RC_ASSERT(index.add(filter, entry(client)) == model.insert({{filter, client}, true}).second);
    } else {
      RC_ASSERT(index.remove(filter, "", client) == (model.erase({filter, client}) > 0));
    }
  }
  RC_ASSERT(index.size() == model.size());
  for (int i = 0; i < 10; ++i) {
    const std::string topic = text(false);
    Names expected;
    for (const auto& [key, unused] : model)
      if (matches(key.first, topic)) expected.push_back(key.second);
    std::sort(expected.begin(), expected.end());
    RC_ASSERT(who(index, topic) == expected);
  }
}

}  // namespace
}  // namespace penstock::interop::mqtt
