#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace penstock {

/// CRC-32C (Castagnoli, RFC 3720 section 12.1) of `data`, continuing from `seed` (0 to start).
/// Uses the SSE4.2 instruction where the target has it.
uint32_t crc32c(std::span<const std::byte> data, uint32_t seed = 0);

}  // namespace penstock
