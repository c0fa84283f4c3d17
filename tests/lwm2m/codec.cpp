#include "codec.h"

#include <charconv>
#include <cmath>
#include <cstring>

namespace lwm2m_peer {

Value Value::of_string(std::string text) {
  Value v;
  v.type = Type::kString;
  v.text = std::move(text);
  return v;
}
Value Value::of_integer(int64_t value, Type type) {
  Value v;
  v.type = type;
  v.integer = value;
  return v;
}
Value Value::of_float(double value) {
  Value v;
  v.type = Type::kFloat;
  v.number = value;
  return v;
}
Value Value::of_boolean(bool value) {
  Value v;
  v.type = Type::kBoolean;
  v.boolean = value;
  return v;
}
Value Value::of_opaque(std::string bytes) {
  Value v = of_string(std::move(bytes));
  v.type = Type::kOpaque;
  return v;
}
Value Value::of_link(std::string link) {
  Value v = of_string(std::move(link));
  v.type = Type::kObjectLink;
  return v;
}
double Value::as_number() const {
  if (type == Type::kFloat) return number;
  if (type == Type::kBoolean) return boolean ? 1 : 0;
  return static_cast<double>(integer);
}

namespace {

int read_id(std::string_view text) {
  int id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size() || id < 0 || id > 65535)
    throw FormatError("not an id: " + std::string(text));
  return id;
}

uint16_t link_half(std::string_view link, bool second) {
  const size_t colon = link.find(':');
  if (colon == std::string_view::npos)
    throw FormatError("not an object link: " + std::string(link));
  return static_cast<uint16_t>(read_id(second ? link.substr(colon + 1) : link.substr(0, colon)));
}

}  // namespace

Path Path::parse(std::string_view text) {
  Path path;
  while (!text.empty()) {
    if (text.front() != '/') throw FormatError("a path begins with '/'");
    text.remove_prefix(1);
    if (text.empty()) break;
    const size_t end = std::min(text.find('/'), text.size());
    path.ids.push_back(read_id(text.substr(0, end)));
    text.remove_prefix(end);
  }
  if (path.ids.size() > 4) throw FormatError("a path has four ids at most");
  return path;
}

std::string Path::text() const {
  std::string out;
  for (const int id : ids) out += "/" + std::to_string(id);
  return out.empty() ? "/" : out;
}

bool Path::covers(const Path& other) const {
  return other.ids.size() >= ids.size() && std::equal(ids.begin(), ids.end(), other.ids.begin());
}

Path Path::then(int id) const {
  Path out = *this;
  out.ids.push_back(id);
  return out;
}

// Text.

std::string text_encode(const Value& value) {
  switch (value.type) {
    case Type::kInteger:
    case Type::kTime:
      return std::to_string(value.integer);
    case Type::kFloat: {
      char buffer[32];
      const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value.number);
      return error == std::errc() ? std::string(buffer, end) : "0";
    }
    case Type::kBoolean:
      return value.boolean ? "1" : "0";
    case Type::kOpaque:
      return base64url(value.text);
    case Type::kString:
    case Type::kObjectLink:
      return value.text;
    case Type::kNone:
      break;
  }
  return {};
}

Value text_decode(std::string_view text, Type type) {
  const auto bad = [&] {
    return FormatError("not the text of such a resource: " + std::string(text.substr(0, 40)));
  };
  if (type == Type::kString) return Value::of_string(std::string(text));
  if (type == Type::kOpaque) return Value::of_opaque(base64url_decode(text));
  if (type == Type::kObjectLink) {
    link_half(text, false);
    link_half(text, true);
    return Value::of_link(std::string(text));
  }
  if (type == Type::kBoolean) {
    if (text != "0" && text != "1") throw bad();
    return Value::of_boolean(text == "1");
  }
  if (type == Type::kFloat) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) throw bad();
    return Value::of_float(number);
  }
  int64_t integer = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), integer);
  if (error != std::errc() || end != text.data() + text.size()) throw bad();
  return Value::of_integer(integer, type);
}

Value convert(const Value& value, Type type) {
  if (value.type == type || type == Type::kNone) return value;
  const bool numeric =
      value.type == Type::kFloat || value.type == Type::kInteger || value.type == Type::kTime;
  if (type == Type::kFloat && numeric) return Value::of_float(value.as_number());
  if ((type == Type::kInteger || type == Type::kTime) && numeric) {
    if (value.type != Type::kFloat) return Value::of_integer(value.integer, type);
    if (value.number != std::floor(value.number) || std::abs(value.number) > 9e15)
      throw FormatError("not an integer");
    return Value::of_integer(static_cast<int64_t>(value.number), type);
  }
  throw FormatError("a value of another type than the resource has");
}

// TLV: core technical specification, clause 7.4.5.

namespace {

enum Kind { kInstance = 0, kResourceInstance = 1, kMultiple = 2, kResource = 3 };

void tlv_put(std::string& out, Kind kind, int id, std::string_view value) {
  const size_t size = value.size();
  const int length_bytes = size < 8 ? 0 : size < 256 ? 1 : size < 65536 ? 2 : 3;
  int head = kind << 6 | (id > 255 ? 0x20 : 0) | length_bytes << 3;
  if (length_bytes == 0) head |= static_cast<int>(size);
  out += static_cast<char>(head);
  if (id > 255) out += static_cast<char>(id >> 8);
  out += static_cast<char>(id & 255);
  for (int i = length_bytes - 1; i >= 0; --i) out += static_cast<char>(size >> (8 * i) & 255);
  out += value;
}

std::string big_endian(uint64_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i) & 255);
  return out;
}

std::string tlv_value(const Value& v) {
  switch (v.type) {
    case Type::kInteger:
    case Type::kTime: {
      const int64_t n = v.integer;
      const int bytes = n >= -128 && n <= 127              ? 1
                        : n >= -32768 && n <= 32767        ? 2
                        : n >= INT32_MIN && n <= INT32_MAX ? 4
                                                           : 8;
      return big_endian(static_cast<uint64_t>(n), bytes);
    }
    case Type::kFloat: {
      uint64_t bits = 0;
      std::memcpy(&bits, &v.number, 8);
      return big_endian(bits, 8);
    }
    case Type::kBoolean:
      return std::string(1, v.boolean ? '\1' : '\0');
    case Type::kObjectLink:
      return big_endian(link_half(v.text, false), 2) + big_endian(link_half(v.text, true), 2);
    default:
      return v.text;
  }
}

uint64_t unsigned_of(std::string_view bytes) {
  uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<uint8_t>(c);
  return value;
}

Value tlv_typed(std::string_view bytes, Type type) {
  const size_t size = bytes.size();
  switch (type) {
    case Type::kInteger:
    case Type::kTime: {
      if (size != 1 && size != 2 && size != 4 && size != 8)
        throw FormatError("TLV: an integer of another length");
      const auto shift = static_cast<int>(64 - 8 * size);
      return Value::of_integer(static_cast<int64_t>(unsigned_of(bytes) << shift) >> shift, type);
    }
    case Type::kFloat: {
      if (size == 4) {
        const auto bits = static_cast<uint32_t>(unsigned_of(bytes));
        float value = 0;
        std::memcpy(&value, &bits, 4);
        return Value::of_float(static_cast<double>(value));
      }
      if (size != 8) throw FormatError("TLV: a float of another length");
      const uint64_t bits = unsigned_of(bytes);
      double value = 0;
      std::memcpy(&value, &bits, 8);
      return Value::of_float(value);
    }
    case Type::kBoolean:
      if (size != 1 || (bytes[0] != 0 && bytes[0] != 1)) throw FormatError("TLV: not a boolean");
      return Value::of_boolean(bytes[0] == 1);
    case Type::kObjectLink:
      if (size != 4) throw FormatError("TLV: an object link of another length");
      return Value::of_link(std::to_string(unsigned_of(bytes.substr(0, 2))) + ":" +
                            std::to_string(unsigned_of(bytes.substr(2))));
    case Type::kOpaque:
      return Value::of_opaque(std::string(bytes));
    default:
      return Value::of_string(std::string(bytes));
  }
}

struct Tlv {
  Kind kind;
  int id;
  std::string_view value;
};

Tlv tlv_take(std::string_view& bytes) {
  const auto take = [&](size_t n) {
    if (bytes.size() < n) throw FormatError("TLV: cut short");
    const std::string_view out = bytes.substr(0, n);
    bytes.remove_prefix(n);
    return out;
  };
  const auto head = static_cast<uint8_t>(take(1)[0]);
  const auto id = static_cast<int>(unsigned_of(take(head & 0x20 ? 2 : 1)));
  const int length_bytes = head >> 3 & 3;
  const size_t size =
      length_bytes == 0 ? head & 7u : unsigned_of(take(static_cast<size_t>(length_bytes)));
  return {static_cast<Kind>(head >> 6), id, take(size)};
}

void tlv_read(const Path& base, std::string_view bytes, TypeOf type_of, std::vector<Record>& out) {
  while (!bytes.empty()) {
    const Tlv tlv = tlv_take(bytes);
    const size_t depth = base.ids.size();
    // Of an instance the resources may come bare, or within an instance TLV (clause 7.4.5.1).
    if (tlv.kind == kInstance) {
      if (depth > 2) throw FormatError("TLV: an instance within a resource");
      const Path object{{base.ids.begin(), base.ids.begin() + 1}};
      tlv_read(object.then(tlv.id), tlv.value, type_of, out);
      continue;
    }
    // Read of a resource: its own TLV names it again.
    const Path instance = depth >= 2 ? Path{{base.ids[0], base.ids[1]}} : base.then(0);
    if (tlv.kind == kMultiple) {
      tlv_read(instance.then(tlv.id), tlv.value, type_of, out);
    } else if (tlv.kind == kResourceInstance) {
      if (depth < 3) throw FormatError("TLV: a resource instance outside of a resource");
      const Path resource{{base.ids.begin(), base.ids.begin() + 3}};
      out.push_back({resource.then(tlv.id), tlv_typed(tlv.value, type_of(resource)), {}});
    } else {
      const Path resource = instance.then(tlv.id);
      out.push_back({resource, tlv_typed(tlv.value, type_of(resource)), {}});
    }
  }
}

}  // namespace

std::vector<Record> tlv_decode(const Path& base, std::string_view bytes, TypeOf type_of) {
  if (base.ids.empty()) throw FormatError("TLV: of an object at least");
  std::vector<Record> out;
  tlv_read(base, bytes, type_of, out);
  return out;
}

// Records are in the order of their paths: those of one resource, then of one instance, are
// together.
std::string tlv_encode(const Path& base, const std::vector<Record>& records,
                       bool (*multiple)(const Path&)) {
  std::string out;
  for (size_t i = 0; i < records.size();) {
    const auto& ids = records[i].path.ids;
    std::string instance;
    size_t k = i;
    while (k < records.size() && records[k].path.ids[1] == ids[1]) {
      const Path resource{{ids[0], ids[1], records[k].path.ids[2]}};
      if (!multiple(resource)) {
        tlv_put(instance, kResource, resource.ids[2], tlv_value(records[k++].value));
        continue;
      }
      std::string several;
      for (; k < records.size() && resource.covers(records[k].path); ++k)
        tlv_put(several, kResourceInstance,
                records[k].path.ids.size() > 3 ? records[k].path.ids[3] : 0,
                tlv_value(records[k].value));
      tlv_put(instance, kMultiple, resource.ids[2], several);
    }
    if (base.ids.size() < 2)
      tlv_put(out, kInstance, ids[1], instance);
    else
      out += instance;
    i = k;
  }
  return out;
}

// Base 64 with the letters of URLs, without padding: RFC 4648, clause 5; RFC 8428, clause 5.

namespace {
constexpr std::string_view kLetters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
}

std::string base64url(std::string_view bytes) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : bytes) {
    bits = bits << 8 | static_cast<uint8_t>(c);
    count += 8;
    while (count >= 6) out += kLetters[bits >> (count -= 6) & 63];
  }
  if (count > 0) out += kLetters[bits << (6 - count) & 63];
  return out;
}

std::string base64url_decode(std::string_view text) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (char c : text) {
    if (c == '=') break;
    if (c == '+') c = '-';
    if (c == '/') c = '_';
    const size_t at = kLetters.find(c);
    if (at == std::string_view::npos) throw FormatError("not base64");
    bits = bits << 6 | static_cast<uint32_t>(at);
    if ((count += 6) >= 8) out += static_cast<char>(bits >> (count -= 8) & 255);
  }
  return out;
}

}  // namespace lwm2m_peer
