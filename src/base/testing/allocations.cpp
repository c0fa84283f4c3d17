#include "base/testing/allocations.h"

#include <cstdint>
#include <cstdlib>
#include <new>

namespace {
thread_local uint64_t allocations = 0;

void* count_and_allocate(size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes)) return memory;
  std::abort();
}
}  // namespace

void* operator new(size_t bytes) { return count_and_allocate(bytes); }
void* operator new[](size_t bytes) { return count_and_allocate(bytes); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  return count_and_allocate(bytes);
}
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept {
  return count_and_allocate(bytes);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }

namespace penstock {

uint64_t testing_allocations() { return allocations; }

}  // namespace penstock
