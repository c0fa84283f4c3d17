#pragma once
// A number inside bytes, described without code: where it lies, how long it is, how its bytes are
// ordered. What Modbus gateways, LoRaWAN sensors and PLC bridges send.

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "base/bytes.h"
#include "base/result.h"

namespace penstock::twin {

enum class ByteType : uint8_t {
  kUnsigned,  ///< 1 to 8 bytes
  kSigned,    ///< two's complement, 1 to 8 bytes
  kFloat,     ///< IEEE 754 of 2, 4 or 8 bytes
  kBcd,       ///< two decimal digits a byte, 1 to 8 bytes
  kText,      ///< UTF-8, ends at the first NUL; 1 to 256 bytes
};

/// Of four bytes ABCD as they arrive (the names that Modbus people use).
enum class ByteOrder : uint8_t {
  kBig,            ///< ABCD
  kLittle,         ///< DCBA
  kBigSwapped,     ///< CDAB: words little end first, bytes of a word big end first
  kLittleSwapped,  ///< BADC
};

struct ByteField {
  uint32_t offset = 0;  ///< of its first byte
  uint32_t size = 1;    ///< bytes
  ByteType type = ByteType::kUnsigned;
  ByteOrder order = ByteOrder::kBig;
  friend bool operator==(const ByteField&, const ByteField&) = default;
};

/// "uint16", "int24", "float32", "bcd32", "text8" (bytes, not bits) and an order: "big", "little",
/// "big_swapped", "little_swapped".
Result<ByteField> parse_byte_field(uint32_t offset, std::string_view type, std::string_view order);

/// The value; nothing where the payload is too short or digits are not decimal. Text is a view into
/// `payload`.
using ByteValue = std::variant<int64_t, double, std::string_view>;
std::optional<ByteValue> read_field(const ByteField& field, ByteView payload);

}  // namespace penstock::twin
