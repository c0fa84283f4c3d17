#pragma once
// Invariants. CHECK is always on: a broken invariant ends the process before it writes nonsense.
// Never for bytes that a peer sent; those get a Result.

namespace penstock {
[[noreturn]] void check_failed(const char* expression, const char* file, int line);
}  // namespace penstock

#define CHECK(condition)                             \
  (__builtin_expect(static_cast<bool>(condition), 1) \
       ? static_cast<void>(0)                        \
       : ::penstock::check_failed(#condition, __FILE__, __LINE__))
