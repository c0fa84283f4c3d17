#pragma once
// Little-endian and big-endian numbers in byte buffers. Our own formats are little-endian; MQTT's
// are big-endian.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace penstock {

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;

inline ByteView as_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

template <class Number>
Number load_le(const std::byte* from) {
  static_assert(std::is_trivially_copyable_v<Number>);
  Number number;
  std::memcpy(&number, from, sizeof number);
  return number;
}
template <class Number>
void append_le(Bytes& out, Number number) {
  static_assert(std::is_trivially_copyable_v<Number>);
  const auto at = out.size();
  out.resize(at + sizeof number);
  std::memcpy(out.data() + at, &number, sizeof number);
}
inline void append_bytes(Bytes& out, ByteView bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}
/// A u32 length, then the bytes.
inline void append_text(Bytes& out, std::string_view text) {
  append_le<uint32_t>(out, static_cast<uint32_t>(text.size()));
  append_bytes(out, as_bytes(text));
}

/// Reads what append_* wrote; sticky failure: after one bad read ok() is false and all reads give
/// zero.
class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) : rest_(bytes) {}

  template <class Number>
  Number le() {
    if (rest_.size() < sizeof(Number)) {
      failed_ = true;
      rest_ = {};
      return Number{};
    }
    const auto number = load_le<Number>(rest_.data());
    rest_ = rest_.subspan(sizeof(Number));
    return number;
  }
  ByteView bytes(size_t count) {
    if (rest_.size() < count) {
      failed_ = true;
      rest_ = {};
      return {};
    }
    const ByteView out = rest_.first(count);
    rest_ = rest_.subspan(count);
    return out;
  }
  std::string_view text() { return as_text(bytes(le<uint32_t>())); }

  [[nodiscard]] bool ok() const { return !failed_; }
  [[nodiscard]] bool done() const { return rest_.empty(); }
  [[nodiscard]] ByteView rest() const { return rest_; }

 private:
  ByteView rest_;
  bool failed_ = false;
};

}  // namespace penstock
