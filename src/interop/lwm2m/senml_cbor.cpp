#include <bit>
#include <cmath>

#include <fmt/format.h>

#include "interop/lwm2m/senml.h"

namespace penstock::interop::lwm2m {
namespace {

tl::unexpected<Error> not_cbor(std::string_view why) {
  return fail(ErrorCode::kInvalidArgument, fmt::format("the CBOR payload is broken: {}", why));
}

// RFC 8949, section 3.
enum Major : uint8_t {
  kUnsignedInt = 0,
  kNegativeInt = 1,
  kByteString = 2,
  kTextString = 3,
  kArray = 4,
  kMap = 5,
  kTag = 6,
  kSimple = 7
};

struct Head {
  Major major = kUnsignedInt;
  uint8_t info = 0;
  uint64_t argument = 0;
  [[nodiscard]] bool indefinite() const { return info == 31; }
  [[nodiscard]] bool is_break() const { return major == kSimple && info == 31; }
};

double half_to_double(uint16_t half) {
  const int exponent = half >> 10 & 0x1f;
  const int mantissa = half & 0x3ff;
  double value = 0;
  if (exponent == 0)
    value = std::ldexp(mantissa, -24);
  else if (exponent != 31)
    value = std::ldexp(mantissa + 1024, exponent - 25);
  else
    value = mantissa == 0 ? INFINITY : NAN;
  return (half & 0x8000) != 0 ? -value : value;
}

class Reader {
 public:
  explicit Reader(ByteView bytes) : rest_(bytes) {}
  [[nodiscard]] bool done() const { return rest_.empty(); }

  Result<Head> head() {
    if (rest_.empty()) return not_cbor("it ends too early");
    const auto first = static_cast<uint8_t>(rest_[0]);
    Head out{static_cast<Major>(first >> 5), static_cast<uint8_t>(first & 0x1f), 0};
    size_t bytes = 0;
    if (out.info < 24)
      out.argument = out.info;
    else if (out.info < 28)
      bytes = size_t{1} << (out.info - 24);
    else if (out.info != 31)
      return not_cbor("of a reserved form");
    if (rest_.size() < 1 + bytes) return not_cbor("it ends too early");
    for (size_t i = 0; i < bytes; ++i)
      out.argument = out.argument << 8 | static_cast<uint8_t>(rest_[1 + i]);
    rest_ = rest_.subspan(1 + bytes);
    return out;
  }

  [[nodiscard]] bool at_break() const {
    return !rest_.empty() && static_cast<uint8_t>(rest_[0]) == 0xff;
  }
  void skip_break() { rest_ = rest_.subspan(1); }

  // The bytes of a string whose head was read; chunks are joined.
  Status string(const Head& head, std::string& out) {
    out.clear();
    if (!head.indefinite()) return chunk(head.argument, out);
    while (!at_break()) {
      TRY_ASSIGN(const Head part, this->head());
      if (part.major != head.major || part.indefinite()) return not_cbor("a string's part is none");
      TRY(chunk(part.argument, out));
    }
    skip_break();
    return {};
  }

  // Past one item of any kind.
  Status skip(int depth = 0) {
    TRY_ASSIGN(const Head item, head());
    return skip_rest(item, depth);
  }

  Status skip_rest(const Head& item, int depth) {
    if (depth > 8) return not_cbor("it is nested too deeply");
    std::string unused;
    switch (item.major) {
      case kByteString:
      case kTextString:
        return string(item, unused);
      case kTag:
        return skip(depth + 1);
      case kArray:
      case kMap: {
        const uint64_t each = item.major == kMap ? 2 : 1;
        if (item.indefinite()) {
          while (!at_break()) TRY(skip(depth + 1));
          skip_break();
          return {};
        }
        if (item.argument > rest_.size()) return not_cbor("it ends too early");
        for (uint64_t i = 0; i < item.argument * each; ++i) TRY(skip(depth + 1));
        return {};
      }
      case kUnsignedInt:
      case kNegativeInt:
      case kSimple:
        break;
    }
    return item.is_break() ? Status(not_cbor("a break is out of place")) : Status();
  }

  // A number, text, bytes, boolean. Null and undefined are kNone.
  Status value(Value& out) {
    TRY_ASSIGN(const Head item, head());
    switch (item.major) {
      case kUnsignedInt:
        out = Value::of_integer(static_cast<int64_t>(item.argument),
                                item.argument > static_cast<uint64_t>(INT64_MAX)
                                    ? DataType::kUnsigned
                                    : DataType::kInteger);
        return item.indefinite() ? Status(not_cbor("a number has no end")) : Status();
      case kNegativeInt:
        if (item.indefinite() || item.argument > static_cast<uint64_t>(INT64_MAX))
          return not_cbor("a number is too large");
        out = Value::of_integer(-1 - static_cast<int64_t>(item.argument));
        return {};
      case kByteString:
      case kTextString:
        out.type = item.major == kTextString ? DataType::kString : DataType::kOpaque;
        return string(item, out.text);
      case kTag:
        if (item.argument == 4) return decimal_fraction(out);
        return value_within_tag(out);
      case kSimple:
        return simple(item, out);
      case kArray:
      case kMap:
        break;
    }
    return not_cbor("a value is neither number, text, bytes nor boolean");
  }

 private:
  Status chunk(uint64_t size, std::string& out) {
    if (size > rest_.size()) return not_cbor("it ends within a string");
    out.append(as_text(rest_.first(size)));
    rest_ = rest_.subspan(size);
    return {};
  }

  // Tags nest; those around a plain value (1: time, 55799) do not change it.
  Status value_within_tag(Value& out) {
    if (++tags_ > 4) return not_cbor("it is nested too deeply");
    return value(out);
  }

  // RFC 8949, 3.4.4: [exponent, mantissa].
  Status decimal_fraction(Value& out) {
    TRY_ASSIGN(const Head pair, head());
    Value exponent, mantissa;
    if (pair.major != kArray || pair.indefinite() || pair.argument != 2 || ++tags_ > 4)
      return not_cbor("a decimal fraction is not a pair");
    TRY(value(exponent));
    TRY(value(mantissa));
    if (exponent.type != DataType::kInteger || mantissa.type != DataType::kInteger ||
        std::abs(exponent.integer) > 308)
      return not_cbor("a decimal fraction is not of whole numbers");
    // Division by a power of ten is exact to the last digit where multiplication by 0.1 is not.
    const auto e = static_cast<int>(exponent.integer);
    const double scale = std::pow(10.0, std::abs(e));
    const auto m = static_cast<double>(mantissa.integer);
    out = Value::of_float(e < 0 ? m / scale : m * scale);
    return {};
  }

  static Status simple(const Head& item, Value& out) {
    switch (item.info) {
      case 20:
      case 21:
        out = Value::of_boolean(item.info == 21);
        return {};
      case 22:
      case 23:
        out = {};
        return {};
      case 25:
        out = Value::of_float(half_to_double(static_cast<uint16_t>(item.argument)));
        return {};
      case 26:
        out = Value::of_float(std::bit_cast<float>(static_cast<uint32_t>(item.argument)));
        return {};
      case 27:
        out = Value::of_float(std::bit_cast<double>(item.argument));
        return {};
      default:
        return not_cbor("a simple value has no meaning here");
    }
  }

  ByteView rest_;
  int tags_ = 0;
};

// Labels of RFC 8428, table 4.
enum Label : int64_t {
  kBaseValue = -5,
  kBaseTime = -3,
  kBaseName = -2,
  kName = 0,
  kValue = 2,
  kStringValue = 3,
  kBooleanValue = 4,
  kTime = 6,
  kDataValue = 8
};

Status read_number(Reader& in, double& out) {
  Value value;
  TRY(in.value(value));
  if (value.type != DataType::kInteger && value.type != DataType::kUnsigned &&
      value.type != DataType::kFloat)
    return not_cbor("a time or base value is not a number");
  out = value.as_double();
  return {};
}

Status read_text(Reader& in, std::string& out) {
  TRY_ASSIGN(const Head item, in.head());
  if (item.major != kTextString) return not_cbor("a name is not text");
  return in.string(item, out);
}

Status read_value(Reader& in, Value& out, DataType wanted) {
  TRY(in.value(out));
  const bool number = out.type == DataType::kInteger || out.type == DataType::kUnsigned ||
                      out.type == DataType::kFloat;
  if (wanted == DataType::kFloat ? !number : out.type != wanted)
    return not_cbor("a value is not what its label says");
  return {};
}

Status read_labelled(Reader& in, int64_t label, SenmlRecord& record) {
  switch (label) {
    case kBaseName:
      record.has_base_name = true;
      return read_text(in, record.base_name);
    case kName:
      return read_text(in, record.name);
    case kBaseTime:
      record.has_base_time = true;
      return read_number(in, record.base_time);
    case kTime:
      return read_number(in, record.time);
    case kBaseValue:
      record.has_base_value = true;
      return read_number(in, record.base_value);
    case kValue:
      return read_value(in, record.value, DataType::kFloat);
    case kStringValue:
      return read_value(in, record.value, DataType::kString);
    case kBooleanValue:
      return read_value(in, record.value, DataType::kBoolean);
    case kDataValue:
      return read_value(in, record.value, DataType::kOpaque);
    default:
      return in.skip();
  }
}

Status read_member(Reader& in, SenmlRecord& record) {
  TRY_ASSIGN(const Head key, in.head());
  if (key.major == kTextString) {
    std::string text;
    TRY(in.string(key, text));
    if (text == "vlo") {
      record.value.type = DataType::kObjlnk;
      return read_text(in, record.value.text);
    }
    if (text.ends_with('_'))
      return fail(ErrorCode::kUnsupported, "the payload has a member that must be understood",
                  text);
    return in.skip();
  }
  if (key.indefinite() || key.argument > 100 ||
      (key.major != kUnsignedInt && key.major != kNegativeInt))
    return not_cbor("a label is none of SenML's");
  const auto argument = static_cast<int64_t>(key.argument);
  return read_labelled(in, key.major == kUnsignedInt ? argument : -1 - argument, record);
}

// -- writing

void put_head(Bytes& out, Major major, uint64_t argument) {
  const auto top = static_cast<unsigned>(major) << 5;
  size_t bytes = 0;
  unsigned info = static_cast<unsigned>(argument);
  if (argument >= 24) {
    const unsigned power = argument < 256             ? 0
                           : argument < 65'536        ? 1
                           : argument <= 0xffff'ffffU ? 2
                                                      : 3;
    info = 24 + power;
    bytes = size_t{1} << power;
  }
  out.push_back(static_cast<std::byte>(top | info));
  for (size_t i = bytes; i > 0; --i) out.push_back(static_cast<std::byte>(argument >> 8 * (i - 1)));
}

void put_int(Bytes& out, int64_t number) {
  if (number >= 0)
    put_head(out, kUnsignedInt, static_cast<uint64_t>(number));
  else
    put_head(out, kNegativeInt, static_cast<uint64_t>(-1 - number));
}

void put_float(Bytes& out, double number) {
  const auto small = static_cast<float>(number);
  const bool fits = static_cast<double>(small) == number;
  const uint64_t bits = fits ? std::bit_cast<uint32_t>(small) : std::bit_cast<uint64_t>(number);
  out.push_back(static_cast<std::byte>(fits ? 0xfa : 0xfb));
  for (size_t i = fits ? 4 : 8; i > 0; --i)
    out.push_back(static_cast<std::byte>(bits >> 8 * (i - 1)));
}

void put_string(Bytes& out, Major major, std::string_view text) {
  put_head(out, major, text.size());
  append_bytes(out, as_bytes(text));
}

void put_value(Bytes& out, const Value& value) {
  switch (value.type) {
    case DataType::kNone:
      return;
    case DataType::kFloat:
      put_int(out, kValue);
      return put_float(out, value.number);
    case DataType::kUnsigned:
      put_int(out, kValue);
      return put_head(out, kUnsignedInt, static_cast<uint64_t>(value.integer));
    case DataType::kInteger:
    case DataType::kTime:
      put_int(out, kValue);
      return put_int(out, value.integer);
    case DataType::kBoolean:
      put_int(out, kBooleanValue);
      out.push_back(static_cast<std::byte>(value.integer != 0 ? 0xf5 : 0xf4));
      return;
    case DataType::kObjlnk:
      put_string(out, kTextString, "vlo");
      return put_string(out, kTextString, value.text);
    case DataType::kOpaque:
      put_int(out, kDataValue);
      return put_string(out, kByteString, value.text);
    case DataType::kString:
    case DataType::kCorelnk:
      put_int(out, kStringValue);
      return put_string(out, kTextString, value.text);
  }
}

}  // namespace

Status decode_senml_cbor(ByteView bytes, const Path& base, const TypeSource& types,
                         const ContentLimits& limits, std::vector<Entry>& out) {
  Reader in(bytes);
  TRY_ASSIGN(const Head array, in.head());
  if (array.major != kArray) return not_cbor("SenML is an array");
  SenmlResolver resolver(base, types, limits, out);
  SenmlRecord record;
  for (uint64_t i = 0; array.indefinite() ? !in.at_break() : i < array.argument; ++i) {
    TRY_ASSIGN(const Head map, in.head());
    if (map.major != kMap) return not_cbor("a record is not a map");
    record = {};
    for (uint64_t k = 0; map.indefinite() ? !in.at_break() : k < map.argument; ++k)
      TRY(read_member(in, record));
    if (map.indefinite()) in.skip_break();
    TRY(resolver.add(record));
  }
  return {};
}

Status decode_cbor(ByteView bytes, const Path& resource, const TypeSource& types,
                   std::vector<Entry>& out) {
  if (resource.depth < 3)
    return fail(ErrorCode::kInvalidArgument, "a bare value belongs to a resource", resource.text());
  Reader in(bytes);
  Entry entry{resource, {}, 0};
  TRY(in.value(entry.value));
  TRY(fit_value(entry.value, types.type_of(resource.object(), resource.resource()), resource));
  out.push_back(std::move(entry));
  return {};
}

void encode_senml_cbor(std::span<const Entry> entries, Bytes& out) {
  put_head(out, kArray, entries.size());
  std::string name;
  for (const Entry& entry : entries) {
    const uint64_t members =
        1ULL + (entry.time != 0 ? 1 : 0) + (entry.value.type != DataType::kNone ? 1 : 0);
    put_head(out, kMap, members);
    name.clear();
    entry.path.append_to(name);
    put_int(out, kName);
    put_string(out, kTextString, name);
    if (entry.time != 0) {
      put_int(out, kTime);
      if (entry.time == std::trunc(entry.time) && std::abs(entry.time) < 9e15)
        put_int(out, static_cast<int64_t>(entry.time));
      else
        put_float(out, entry.time);
    }
    put_value(out, entry.value);
  }
}

}  // namespace penstock::interop::lwm2m
