#pragma once
// Counts what the test program allocates, for the claim "allocates nothing when warm". Linked by
// tests only (penstock_allocations).

#include <cstdint>

namespace penstock {

/// Calls of operator new so far, on this thread.
uint64_t testing_allocations();

}  // namespace penstock
