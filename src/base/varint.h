#pragma once
// LEB128 varints and zigzag: our own packed formats (the journal's samples, history's blocks).

#include <cstdint>
#include <optional>

namespace penstock {

/// Small numbers of either sign become small ones without.
inline uint64_t zigzag(int64_t n) {
  return static_cast<uint64_t>(n) << 1 ^ static_cast<uint64_t>(n >> 63);
}
inline int64_t unzigzag(uint64_t n) { return static_cast<int64_t>(n >> 1 ^ (0 - (n & 1))); }

/// Calls put(uint8_t) for each of the 1 to 10 bytes.
template <class Put>
void write_varint(uint64_t value, Put put) {
  for (; value >= 0x80; value >>= 7) put(static_cast<uint8_t>(value | 0x80));
  put(static_cast<uint8_t>(value));
}

/// Takes bytes from next() (anything that converts to uint8_t; 0 past the end) until the last one.
/// Nothing after ten bytes without a last one.
template <class Next>
std::optional<uint64_t> read_varint(Next next) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const auto part = static_cast<uint8_t>(next());
    value |= static_cast<uint64_t>(part & 0x7f) << shift;
    if (part < 0x80) return value;
  }
  return std::nullopt;
}

}  // namespace penstock
