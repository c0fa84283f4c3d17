#include "stream/unbind.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "twin/binding.h"

namespace penstock::stream {
namespace {

twin::DeviceConfig device() {
  twin::DeviceConfig config;
  for (const char* key : {"temp", "mode", "flag", "other"}) {
    twin::ElementConfig element;
    element.key = key;
    config.elements.push_back(element);
  }
  config.index();
  auto source = std::make_shared<twin::SourceConfig>();
  source->binding = "b";
  twin::WireRule temp, mode, flag;
  temp.address = "Tag/T";
  temp.scale = 0.1;
  temp.offset = -40;
  mode.address = "Tag/M";
  mode.element = 1;
  mode.values = {{"0", "off"}, {"1", "on"}, {"auto", "automatic"}};
  flag.address = "Tag/F";
  flag.element = 2;
  flag.bits = {3, 1};
  source->rules = {flag, mode, temp};
  config.source = source;
  return config;
}

TEST(Unbind, UndoesScaleAndMap) {
  const auto config = device();
  const auto temp = unbind_value(config, "temp", Json(21.5));
  ASSERT_TRUE(temp);
  EXPECT_EQ(temp->address, "Tag/T");
  EXPECT_EQ(temp->value, "615");
  EXPECT_EQ(unbind_value(config, "mode", Json("on"))->value, "1");
  EXPECT_EQ(unbind_value(config, "mode", Json("automatic"))->value, "\"auto\"");
}

TEST(Unbind, SaysWhyNot) {
  const auto config = device();
  for (const char* element : {"flag", "other", "none"})
    EXPECT_FALSE(unbind_value(config, element, Json(1))) << element;
  EXPECT_FALSE(unbind_value(config, "mode", Json("broken")));
}

TEST(Unbind, WithoutABindingTheNameIsTheAddress) {
  auto config = device();
  config.source = nullptr;
  config.elements[0].scale = 2;
  const auto write = unbind_value(config, "temp", Json(5));
  EXPECT_EQ(write->address, "temp");
  EXPECT_EQ(write->value, "2.5");
}

}  // namespace
}  // namespace penstock::stream
