#pragma once
// Counts what the test program allocates, for the claim "allocates nothing when warm". Tests only.

#include <cstdint>

namespace penstock::governance {

/// Calls of operator new so far, all threads.
uint64_t testing_allocations();

}  // namespace penstock::governance
