#pragma once
// What LwM2M talks about: paths, values, and the pairs of them that every content format carries.
// OMA-TS-LightweightM2M_Core 1.1.1, sections 7 and 7.4; appendix C for the data types.

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace penstock::interop::lwm2m {

/// "/", "/3303", "/3303/0", "/3303/0/5700", "/3/0/6/1": root, object, instance, resource, resource
/// instance.
struct Path {
  std::array<uint16_t, 4> ids{};
  uint8_t depth = 0;

  Path() = default;
  explicit Path(std::initializer_list<uint16_t> parts) {
    for (const uint16_t id : parts) ids[depth++] = id;
  }

  /// With or without the first '/'. Ids are 0 to 65534 (65535 is reserved, table 7.3-1).
  static Result<Path> parse(std::string_view text);
  [[nodiscard]] std::string text() const;
  void append_to(std::string& out) const;

  [[nodiscard]] bool has_object() const { return depth >= 1; }
  [[nodiscard]] uint16_t object() const { return ids[0]; }
  [[nodiscard]] uint16_t instance() const { return ids[1]; }
  [[nodiscard]] uint16_t resource() const { return ids[2]; }
  /// REQUIRES: depth < 4.
  [[nodiscard]] Path child(uint16_t id) const;
  [[nodiscard]] Path first(uint8_t parts) const;
  /// Whether it is `other` or lies below it.
  [[nodiscard]] bool within(const Path& other) const;

  friend bool operator==(const Path& a, const Path& b) {
    return a.depth == b.depth && a.ids == b.ids;
  }
  friend auto operator<=>(const Path& a, const Path& b) {
    if (const auto order = a.ids <=> b.ids; order != nullptr) return order;
    return a.depth <=> b.depth;
  }
};

/// Appendix C.
enum class DataType : uint8_t {
  kNone,  ///< executable, or not known
  kString,
  kInteger,
  kUnsigned,
  kFloat,
  kBoolean,
  kOpaque,
  kTime,     ///< seconds since 1970
  kObjlnk,   ///< "3303:0"
  kCorelnk,  ///< CoRE link-format text
};
std::string_view name(DataType type);
DataType parse_data_type(std::string_view text);

struct Value {
  DataType type = DataType::kNone;
  int64_t integer = 0;  ///< kInteger, kTime, kBoolean; kUnsigned as its bits
  double number = 0;    ///< kFloat
  std::string text;     ///< kString, kCorelnk, kObjlnk; bytes of kOpaque

  static Value of_text(std::string text, DataType type = DataType::kString);
  static Value of_integer(int64_t value, DataType type = DataType::kInteger);
  static Value of_float(double value);
  static Value of_boolean(bool value);
  /// The number that it stands for, of any numeric type.
  [[nodiscard]] double as_double() const;
  friend bool operator==(const Value&, const Value&) = default;
};

/// One resource (instance) of a message. `time` in seconds since 1970; 0: none; small values are
/// relative to now (RFC 8428, 4.5.3).
struct Entry {
  Path path;
  Value value;
  double time = 0;
};

/// Numbers of the CoAP Content-Format registry that LwM2M uses.
enum class Format : uint16_t {
  kText = 0,
  kLink = 40,
  kOpaque = 42,
  kCbor = 60,
  kSenmlJson = 110,
  kSenmlCbor = 112,
  kTlv = 11542,
  kJson = 11543,  ///< LwM2M 1.0
  kNone = 0xffff,
};
std::string_view name(Format format);
/// By name ("senml-cbor") or number ("112"); kNone: neither.
Format parse_format(std::string_view text);

/// Bounds of what a peer may make us build.
struct ContentLimits {
  size_t entries_max = 10'000;
  size_t text_bytes_max = 1 << 20;
};

/// Which data type a resource has: the object registry's answer to a codec. kNone: not known.
class TypeSource {
 public:
  virtual ~TypeSource() = default;
  [[nodiscard]] virtual DataType type_of(uint16_t object, uint16_t resource) const = 0;
  [[nodiscard]] virtual bool is_multiple(uint16_t object, uint16_t resource) const = 0;
};

}  // namespace penstock::interop::lwm2m
