#include "base/crc32c.h"

#include <array>
#include <cstring>

#ifdef __SSE4_2__
#include <nmmintrin.h>
#endif

namespace penstock {

#ifdef __SSE4_2__

uint32_t crc32c(std::span<const std::byte> data, uint32_t seed) {
  uint64_t crc = ~seed;
  const std::byte* p = data.data();
  size_t left = data.size();
  for (; left >= 8; left -= 8, p += 8) {
    uint64_t word = 0;
    std::memcpy(&word, p, 8);
    crc = _mm_crc32_u64(crc, word);
  }
  auto small = static_cast<uint32_t>(crc);
  for (; left > 0; --left, ++p) small = _mm_crc32_u8(small, std::to_integer<uint8_t>(*p));
  return ~small;
}

#else

namespace {
constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int k = 0; k < 8; ++k) c = (c & 1) ? (c >> 1) ^ 0x82F63B78u : c >> 1;
    table[i] = c;
  }
  return table;
}
constexpr auto kTable = make_table();
}  // namespace

uint32_t crc32c(std::span<const std::byte> data, uint32_t seed) {
  uint32_t crc = ~seed;
  for (const std::byte b : data)
    crc = kTable[(crc ^ std::to_integer<uint32_t>(b)) & 255] ^ (crc >> 8);
  return ~crc;
}

#endif

}  // namespace penstock
