#pragma once
// The journal's bytes, as docs/journal-format.md describes them. Shared by writer, recovery, reader
// and inspection.

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/crc32c.h"

namespace penstock::stream::journal_format {

inline constexpr uint64_t kSegmentMagic = 0x314e524a4b545350;  // "PSTKJRN1"
inline constexpr uint32_t kFrameMagic = 0x4d415246;            // "FRAM"
inline constexpr uint32_t kVersion = 2;                        // 1: samples as in memory
inline constexpr size_t kSegmentHeader = 32;
inline constexpr size_t kFrameHeader = 32;
inline constexpr size_t kRecordHeader = 8;

struct SegmentHeader {
  uint64_t magic = kSegmentMagic;
  uint32_t version = kVersion;
  uint32_t reserved = 0;
  uint64_t first_offset = 0;
  uint32_t reserved2 = 0;
  uint32_t crc = 0;  // of the 28 bytes before it
};
static_assert(sizeof(SegmentHeader) == kSegmentHeader);

struct FrameHeader {
  uint32_t magic = kFrameMagic;
  uint32_t body_bytes = 0;  // a multiple of 8
  uint64_t offset = 0;      // of this frame in the journal
  uint32_t records = 0;
  uint32_t body_crc = 0;
  uint32_t group_back = 0;  // bytes since its commit group began: all before that was durable
  uint32_t crc = 0;         // of the 28 bytes before it
};
static_assert(sizeof(FrameHeader) == kFrameHeader);

template <class Header>
uint32_t header_crc(const Header& header) {
  return crc32c({reinterpret_cast<const std::byte*>(&header), sizeof header - 4});
}
template <class Header>
ByteView header_bytes(const Header& header) {
  return {reinterpret_cast<const std::byte*>(&header), sizeof header};
}

inline size_t padded(size_t n) { return (n + 7) & ~size_t{7}; }

}  // namespace penstock::stream::journal_format
