#pragma once
// The payloads of LwM2M 1.1, as the peer writes and reads them: from the OMA specification (core
// technical specification 1.1.1, clause 7.4 and appendix C) and RFC 6690, 7049, 8428. Made apart
// from the server's codec, of which nothing is known here. Bytes in, structures out; no I/O.

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace lwm2m_peer {

enum class Type { kNone, kString, kInteger, kFloat, kBoolean, kOpaque, kTime, kObjectLink };

struct Value {
  Type type = Type::kNone;
  int64_t integer = 0;  ///< kInteger, kTime
  double number = 0;
  bool boolean = false;
  std::string text;  ///< kString, kOpaque (bytes), kObjectLink ("3303:0")

  static Value of_string(std::string text);
  static Value of_integer(int64_t value, Type type = Type::kInteger);
  static Value of_float(double value);
  static Value of_boolean(bool value);
  static Value of_opaque(std::string bytes);
  static Value of_link(std::string link);
  [[nodiscard]] double as_number() const;
  friend bool operator==(const Value&, const Value&) = default;
};

/// Object, instance, resource, resource instance; up to four.
struct Path {
  std::vector<int> ids;
  static Path parse(std::string_view text);  ///< "/3303/0/5700"; throws FormatError
  [[nodiscard]] std::string text() const;
  [[nodiscard]] bool covers(const Path& other) const;
  [[nodiscard]] Path then(int id) const;
  friend auto operator<=>(const Path&, const Path&) = default;
};

struct Record {
  Path path;
  Value value;
  std::optional<double> time;  ///< seconds since the epoch
};

/// What the other side sent cannot be read.
struct FormatError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

constexpr int kText = 0, kLink = 40, kOpaqueFormat = 42, kSenmlJson = 110, kSenmlCbor = 112,
              kTlv = 11542;

/// Which type a resource has; TLV cannot be read without.
using TypeOf = Type (*)(const Path& resource);

std::string tlv_encode(const Path& base, const std::vector<Record>& records,
                       bool (*multiple)(const Path&));
std::vector<Record> tlv_decode(const Path& base, std::string_view bytes, TypeOf type_of);
std::string senml_json_encode(const Path& base, const std::vector<Record>& records);
std::vector<Record> senml_json_decode(std::string_view text);
std::string senml_cbor_encode(const Path& base, const std::vector<Record>& records);
std::vector<Record> senml_cbor_decode(std::string_view bytes);
/// Paths only: of a composite read or observe (records without a value).
std::string text_encode(const Value& value);
Value text_decode(std::string_view text, Type type);
/// A value that SenML gave, as the type that the resource has; throws FormatError where it is not
/// one.
Value convert(const Value& value, Type type);

std::string base64url(std::string_view bytes);
std::string base64url_decode(std::string_view text);

}  // namespace lwm2m_peer
