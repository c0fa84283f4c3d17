#include "twin/validate.h"

#include <limits>

#include <gtest/gtest.h>

namespace penstock::twin {
namespace {

TEST(Validate, EveryKindHasItsRule) {
  ElementConfig element;
  element.kind = ValueKind::kDouble;
  element.minimum = 0;
  element.maximum = 10;
  EXPECT_EQ(validate(element, 0.0), Refusal::kNone);
  EXPECT_EQ(validate(element, 10.0), Refusal::kNone);
  EXPECT_EQ(validate(element, 10.001), Refusal::kOutOfRange);
  EXPECT_EQ(validate(element, -0.5), Refusal::kOutOfRange);
  EXPECT_EQ(validate(element, std::numeric_limits<double>::quiet_NaN()), Refusal::kNotFinite);
  EXPECT_EQ(validate(element, std::numeric_limits<double>::infinity()), Refusal::kNotFinite);
  EXPECT_EQ(validate(element, true), Refusal::kWrongType);
  EXPECT_EQ(validate(element, std::string_view("5")), Refusal::kWrongType);
  element.kind = ValueKind::kInteger;
  EXPECT_EQ(validate(element, 5.0), Refusal::kNone);
  EXPECT_EQ(validate(element, 5.5), Refusal::kWrongType);
  EXPECT_EQ(validate(element, int64_t{11}), Refusal::kOutOfRange);
  element.kind = ValueKind::kBoolean;
  EXPECT_EQ(validate(element, false), Refusal::kNone);
  EXPECT_EQ(validate(element, 1.0), Refusal::kWrongType);
  element.kind = ValueKind::kText;
  EXPECT_EQ(validate(element, std::string_view("anything")), Refusal::kNone);
  element.enum_values = {"on", "off"};
  EXPECT_EQ(validate(element, std::string_view("on")), Refusal::kNone);
  EXPECT_EQ(validate(element, std::string_view("ON")), Refusal::kNotInEnum);
  EXPECT_EQ(name(Refusal::kNotInEnum), "not_in_enum");
}

}  // namespace
}  // namespace penstock::twin
