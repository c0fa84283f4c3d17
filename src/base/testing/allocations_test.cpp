#include "base/testing/allocations.h"

#include <memory>

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(Allocations, AreSeen) {
  const uint64_t before = testing_allocations();
  const auto number = std::make_unique<int>(1);
  EXPECT_GT(testing_allocations(), before);
  EXPECT_EQ(*number, 1);
}

}  // namespace
}  // namespace penstock
