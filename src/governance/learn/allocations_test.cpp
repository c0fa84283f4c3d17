#include "governance/learn/allocations.h"

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>

#include <gtest/gtest.h>

namespace {
std::atomic<uint64_t> allocations{0};

void* count_and_allocate(size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(bytes)) return memory;
  std::abort();
}
}  // namespace

void* operator new(size_t bytes) { return count_and_allocate(bytes); }
void* operator new[](size_t bytes) { return count_and_allocate(bytes); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }

namespace penstock::governance {

uint64_t testing_allocations() { return allocations.load(std::memory_order_relaxed); }

namespace {
TEST(Allocations, AreSeen) {
  const uint64_t before = testing_allocations();
  const auto number = std::make_unique<int>(1);
  EXPECT_GT(testing_allocations(), before);
  EXPECT_EQ(*number, 1);
}
}  // namespace

}  // namespace penstock::governance
