#include "twin/byte_field.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <string>

namespace penstock::twin {
namespace {

// The field's bytes, most significant first.
std::array<uint8_t, 8> in_order(const ByteField& field, ByteView bytes) {
  std::array<uint8_t, 8> out{};
  for (uint32_t i = 0; i < field.size; ++i) {
    uint32_t from = i;
    switch (field.order) {
      case ByteOrder::kBig:
        break;
      case ByteOrder::kLittle:
        from = field.size - 1 - i;
        break;
      case ByteOrder::kBigSwapped:  // the last word first, its bytes as they are
        from = (field.size / 2 - 1 - i / 2) * 2 + i % 2;
        break;
      case ByteOrder::kLittleSwapped:  // words as they are, their bytes exchanged
        from = i ^ 1U;
        break;
    }
    out[i] = static_cast<uint8_t>(bytes[from]);
  }
  return out;
}

// IEEE 754 binary16.
double half_to_double(uint16_t half) {
  const int exponent = half >> 10 & 0x1f;
  const double fraction = half & 0x3ff;
  const double sign = (half & 0x8000) != 0 ? -1 : 1;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  if (exponent == 31) return fraction != 0 ? __builtin_nan("") : sign * __builtin_inf();
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

std::optional<int64_t> read_bcd(std::span<const uint8_t> digits) {
  int64_t value = 0;
  for (const uint8_t byte : digits) {
    if (byte >> 4 > 9 || (byte & 15) > 9) return std::nullopt;
    value = value * 100 + (byte >> 4) * 10 + (byte & 15);
  }
  return value;
}

ByteValue read_float(uint32_t size, uint64_t bits) {
  if (size == 2) return half_to_double(static_cast<uint16_t>(bits));
  if (size == 4) return static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  return std::bit_cast<double>(bits);
}

}  // namespace

Result<ByteField> parse_byte_field(uint32_t offset, std::string_view type, std::string_view order) {
  ByteField field;
  field.offset = offset;
  const auto wrong = [&](const char* what) {
    return fail(ErrorCode::kInvalidArgument, what, std::string(type.substr(0, 64)));
  };
  const struct {
    std::string_view name;
    ByteType type;
    uint32_t bits;  // of one unit of the number behind the name
  } kinds[] = {{"uint", ByteType::kUnsigned, 8},
               {"int", ByteType::kSigned, 8},
               {"float", ByteType::kFloat, 8},
               {"bcd", ByteType::kBcd, 8},
               {"text", ByteType::kText, 1}};
  const auto* kind = std::find_if(std::begin(kinds), std::end(kinds),
                                  [&](const auto& k) { return type.starts_with(k.name); });
  uint32_t number = 0;
  if (kind != std::end(kinds)) {
    const std::string_view digits = type.substr(kind->name.size());
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (read.ec != std::errc() || read.ptr != digits.data() + digits.size()) number = 0;
  }
  if (number == 0 || number % kind->bits != 0)
    return wrong(
        "A field's type is uint8 to uint64, int8 to int64, float16, float32, float64, "
        "bcd8 to bcd64 or text1 to text256");
  field.type = kind->type;
  field.size = number / kind->bits;
  if (field.size > (field.type == ByteType::kText ? 256U : 8U))
    return wrong("The field is too long");
  if (field.type == ByteType::kFloat && field.size != 2 && field.size != 4 && field.size != 8)
    return wrong("IEEE 754 numbers have 16, 32 or 64 bits");
  if (offset > 65'535) return wrong("A field begins within the first 65,535 bytes");
  if (order.empty() || order == "big") return field;
  if (order == "little")
    field.order = ByteOrder::kLittle;
  else if (order == "big_swapped")
    field.order = ByteOrder::kBigSwapped;
  else if (order == "little_swapped")
    field.order = ByteOrder::kLittleSwapped;
  else
    return fail(ErrorCode::kInvalidArgument,
                "The byte order is big, little, big_swapped or little_swapped",
                std::string(order.substr(0, 64)));
  if (field.order != ByteOrder::kLittle && field.size % 2 != 0)
    return wrong("Words can only be swapped in a field of an even number of bytes");
  return field;
}

std::optional<ByteValue> read_field(const ByteField& field, ByteView payload) {
  if (payload.size() < field.offset || payload.size() - field.offset < field.size)
    return std::nullopt;
  const ByteView bytes = payload.subspan(field.offset, field.size);
  if (field.type == ByteType::kText) {
    const std::string_view text = as_text(bytes);
    return text.substr(0, text.find('\0'));
  }
  const auto ordered = in_order(field, bytes);
  if (field.type == ByteType::kBcd) {
    const auto value = read_bcd(std::span(ordered).first(field.size));
    if (!value) return std::nullopt;
    return *value;
  }
  uint64_t bits = 0;
  for (uint32_t i = 0; i < field.size; ++i) bits = bits << 8 | ordered[i];
  if (field.type == ByteType::kFloat) return read_float(field.size, bits);
  if (field.type == ByteType::kSigned) {
    const uint32_t shift = 64 - field.size * 8;
    return static_cast<int64_t>(bits << shift) >> shift;
  }
  // Beyond 2^63 the number is not an int64: near enough as a double.
  if (bits > static_cast<uint64_t>(INT64_MAX)) return static_cast<double>(bits);
  return static_cast<int64_t>(bits);
}

}  // namespace penstock::twin
