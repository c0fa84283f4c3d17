// SenML (RFC 8428) as LwM2M uses it: core technical specification 1.1.1, clauses 7.4.4 and 7.4.6.

#include <cmath>
#include <cstring>

#include <nlohmann/json.hpp>

#include "codec.h"

namespace lwm2m_peer {
namespace {

using Json = nlohmann::json;

// Labels of the CBOR form: RFC 8428, table 4.
enum Label {
  kBaseTime = -3,
  kBaseName = -2,
  kBaseVersion = -1,
  kName = 0,
  kUnit = 1,
  kNumber = 2,
  kString = 3,
  kBoolean = 4,
  kTime = 6,
  kData = 8
};

// What both forms say, with base fields not yet applied.
struct Entry {
  std::optional<std::string> base_name, name;
  std::optional<double> base_time, base_value, time;
  Value value;
};

std::vector<Record> resolve(const std::vector<Entry>& entries) {
  std::string base;
  double base_time = 0, base_value = 0;
  std::vector<Record> out;
  for (const Entry& entry : entries) {
    if (entry.base_name) base = *entry.base_name;
    if (entry.base_time) base_time = *entry.base_time;
    if (entry.base_value) base_value = *entry.base_value;
    const std::string full = base + entry.name.value_or("");
    if (full.empty() && entry.value.type == Type::kNone) continue;
    Record record{Path::parse(full), entry.value, {}};
    if (record.value.type == Type::kFloat) record.value.number += base_value;
    const double time = base_time + entry.time.value_or(0);
    if (entry.time || base_time != 0) record.time = time;
    out.push_back(std::move(record));
  }
  return out;
}

Value json_value(const Json& entry) {
  if (entry.contains("v")) {
    const Json& v = entry["v"];
    if (v.is_number_integer()) return Value::of_integer(v.get<int64_t>());
    if (v.is_number()) return Value::of_float(v.get<double>());
    throw FormatError("SenML: \"v\" is a number");
  }
  if (entry.contains("vs")) return Value::of_string(entry["vs"].get<std::string>());
  if (entry.contains("vb")) return Value::of_boolean(entry["vb"].get<bool>());
  if (entry.contains("vd"))
    return Value::of_opaque(base64url_decode(entry["vd"].get<std::string>()));
  if (entry.contains("vlo")) return Value::of_link(entry["vlo"].get<std::string>());
  return {};
}

// The name within the base: "/3303/0/" + "5700", or the whole in the base with an empty name.
std::string name_in(const Path& base, const Path& path) {
  std::string name;
  for (size_t i = base.ids.size(); i < path.ids.size(); ++i)
    name += (i > base.ids.size() ? "/" : "") + std::to_string(path.ids[i]);
  return name;
}
std::string base_name(const Path& base, bool has_children) {
  const std::string text = base.text();
  return has_children && text != "/" ? text + "/" : text;
}

}  // namespace

std::string senml_json_encode(const Path& base, const std::vector<Record>& records) {
  Json pack = Json::array();
  bool first = true;
  for (const Record& record : records) {
    Json entry = Json::object();
    if (first) entry["bn"] = base_name(base, record.path.ids.size() > base.ids.size());
    first = false;
    if (record.path.ids.size() > base.ids.size()) entry["n"] = name_in(base, record.path);
    if (record.time) entry["t"] = *record.time;
    switch (record.value.type) {
      case Type::kString:
        entry["vs"] = record.value.text;
        break;
      case Type::kOpaque:
        entry["vd"] = base64url(record.value.text);
        break;
      case Type::kObjectLink:
        entry["vlo"] = record.value.text;
        break;
      case Type::kBoolean:
        entry["vb"] = record.value.boolean;
        break;
      case Type::kFloat:
        entry["v"] = record.value.number;
        break;
      case Type::kInteger:
      case Type::kTime:
        entry["v"] = record.value.integer;
        break;
      case Type::kNone:
        break;
    }
    pack.push_back(std::move(entry));
  }
  return pack.dump();
}

std::vector<Record> senml_json_decode(std::string_view text) {
  std::vector<Entry> entries;
  try {
    const Json pack = Json::parse(text);
    if (!pack.is_array()) throw FormatError("SenML: a pack is an array");
    for (const Json& one : pack) {
      Entry entry;
      if (one.contains("bn")) entry.base_name = one["bn"].get<std::string>();
      if (one.contains("n")) entry.name = one["n"].get<std::string>();
      if (one.contains("bt")) entry.base_time = one["bt"].get<double>();
      if (one.contains("bv")) entry.base_value = one["bv"].get<double>();
      if (one.contains("t")) entry.time = one["t"].get<double>();
      entry.value = json_value(one);
      entries.push_back(std::move(entry));
    }
  } catch (const Json::exception& error) {
    throw FormatError(std::string("SenML JSON: ") + error.what());
  }
  return resolve(entries);
}

// CBOR: RFC 8949, as much as SenML needs.

namespace {

void cbor_head(std::string& out, int major, uint64_t value) {
  const int bytes = value < 24            ? 0
                    : value < 256         ? 1
                    : value < 65536       ? 2
                    : value <= UINT32_MAX ? 4
                                          : 8;
  const int detail = bytes == 0   ? static_cast<int>(value)
                     : bytes == 1 ? 24
                     : bytes == 2 ? 25
                     : bytes == 4 ? 26
                                  : 27;
  out += static_cast<char>(major << 5 | detail);
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i) & 255);
}
void cbor_integer(std::string& out, int64_t value) {
  if (value >= 0) return cbor_head(out, 0, static_cast<uint64_t>(value));
  cbor_head(out, 1, static_cast<uint64_t>(-(value + 1)));
}
void cbor_text(std::string& out, int major, std::string_view text) {
  cbor_head(out, major, text.size());
  out += text;
}
void cbor_double(std::string& out, double value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, 8);
  out += static_cast<char>(0xfb);
  for (int i = 7; i >= 0; --i) out += static_cast<char>(bits >> (8 * i) & 255);
}

void cbor_value(std::string& out, const Value& value) {
  switch (value.type) {
    case Type::kString:
      cbor_integer(out, kString);
      return cbor_text(out, 3, value.text);
    case Type::kOpaque:
      cbor_integer(out, kData);
      return cbor_text(out, 2, value.text);
    case Type::kObjectLink:
      cbor_text(out, 3, "vlo");
      return cbor_text(out, 3, value.text);
    case Type::kBoolean:
      cbor_integer(out, kBoolean);
      out += static_cast<char>(value.boolean ? 0xf5 : 0xf4);
      return;
    case Type::kFloat:
      cbor_integer(out, kNumber);
      return cbor_double(out, value.number);
    case Type::kInteger:
    case Type::kTime:
      cbor_integer(out, kNumber);
      return cbor_integer(out, value.integer);
    case Type::kNone:
      break;
  }
}

struct Reader {
  std::string_view bytes;

  std::string_view take(uint64_t n) {
    if (bytes.size() < n) throw FormatError("CBOR: cut short");
    const std::string_view out = bytes.substr(0, n);
    bytes.remove_prefix(n);
    return out;
  }
  uint64_t number(size_t n) {
    uint64_t value = 0;
    for (const char c : take(n)) value = value << 8 | static_cast<uint8_t>(c);
    return value;
  }
  // Major type, argument, and whether the length is indefinite.
  struct Head {
    int major, detail;
    uint64_t argument;
    bool indefinite;
  };
  Head head() {
    const auto first = static_cast<uint8_t>(take(1)[0]);
    const int major = first >> 5, detail = first & 31;
    if (detail < 24) return {major, detail, static_cast<uint64_t>(detail), false};
    if (detail <= 27) return {major, detail, number(size_t{1} << (detail - 24)), false};
    if (detail == 31 && major >= 2) return {major, detail, 0, true};
    throw FormatError("CBOR: reserved");
  }
  bool at_break() {
    if (bytes.empty() || static_cast<uint8_t>(bytes[0]) != 0xff) return false;
    bytes.remove_prefix(1);
    return true;
  }
  std::string string_of(const Head& h) {
    if (!h.indefinite) return std::string(take(h.argument));
    std::string out;
    while (!at_break()) out += string_of(head());
    return out;
  }
  static double half(uint64_t bits) {
    const auto exponent = static_cast<int>(bits >> 10 & 31),
               mantissa = static_cast<int>(bits & 1023);
    const double value = exponent == 0    ? std::ldexp(mantissa, -24)
                         : exponent == 31 ? (mantissa ? NAN : INFINITY)
                                          : std::ldexp(mantissa + 1024, exponent - 25);
    return bits & 0x8000 ? -value : value;
  }
  Value value(int depth = 0) {
    if (depth > 8) throw FormatError("CBOR: too deep");
    const Head h = head();
    switch (h.major) {
      case 0:
        return Value::of_integer(static_cast<int64_t>(h.argument));
      case 1:
        return Value::of_integer(-1 - static_cast<int64_t>(h.argument));
      case 2:
        return Value::of_opaque(string_of(h));
      case 3:
        return Value::of_string(string_of(h));
      case 6:
        return h.argument == 4 ? decimal(depth) : value(depth + 1);
      case 7:
        return simple(h);
      default:
        throw FormatError("CBOR: an array or a map where SenML has a value");
    }
  }
  Value decimal(int depth) {
    const Head h = head();
    if (h.major != 4 || h.argument != 2) throw FormatError("CBOR: not a decimal fraction");
    const double exponent = value(depth + 1).as_number();
    return Value::of_float(value(depth + 1).as_number() * std::pow(10, exponent));
  }
  static Value simple(const Head& h) {
    if (h.detail == 20 || h.detail == 21) return Value::of_boolean(h.detail == 21);
    if (h.detail == 25) return Value::of_float(half(h.argument));
    if (h.detail == 26) {
      const auto bits = static_cast<uint32_t>(h.argument);
      float value = 0;
      std::memcpy(&value, &bits, 4);
      return Value::of_float(static_cast<double>(value));
    }
    if (h.detail == 27) {
      double value = 0;
      std::memcpy(&value, &h.argument, 8);
      return Value::of_float(value);
    }
    throw FormatError("CBOR: a simple value that SenML does not know");
  }
};

void assign(Entry& entry, const Value& label, Value value) {
  if (label.type == Type::kString) {
    if (label.text == "vlo") entry.value = Value::of_link(value.text);
    return;  // others are for later versions
  }
  switch (label.integer) {
    case kBaseName:
      entry.base_name = value.text;
      break;
    case kName:
      entry.name = value.text;
      break;
    case kBaseTime:
      entry.base_time = value.as_number();
      break;
    case kTime:
      entry.time = value.as_number();
      break;
    case kNumber:
    case kString:
    case kBoolean:
    case kData:
      entry.value = std::move(value);
      break;
    default:
      break;
  }
}

}  // namespace

std::string senml_cbor_encode(const Path& base, const std::vector<Record>& records) {
  std::string out;
  cbor_head(out, 4, records.size());
  bool first = true;
  for (const Record& record : records) {
    const bool named = record.path.ids.size() > base.ids.size();
    cbor_head(out, 5,
              uint64_t{first} + uint64_t{named} + uint64_t{record.time.has_value()} +
                  uint64_t{record.value.type != Type::kNone});
    if (first) {
      cbor_integer(out, kBaseName);
      cbor_text(out, 3, base_name(base, named));
    }
    first = false;
    if (named) {
      cbor_integer(out, kName);
      cbor_text(out, 3, name_in(base, record.path));
    }
    if (record.time) {
      cbor_integer(out, kTime);
      cbor_double(out, *record.time);
    }
    cbor_value(out, record.value);
  }
  return out;
}

std::vector<Record> senml_cbor_decode(std::string_view bytes) {
  Reader reader{bytes};
  const auto pack = reader.head();
  if (pack.major != 4) throw FormatError("SenML: a pack is an array");
  std::vector<Entry> entries;
  for (uint64_t i = 0; pack.indefinite ? !reader.at_break() : i < pack.argument; ++i) {
    const auto map = reader.head();
    if (map.major != 5) throw FormatError("SenML: a record is a map");
    Entry entry;
    for (uint64_t k = 0; map.indefinite ? !reader.at_break() : k < map.argument; ++k) {
      const Value label = reader.value();
      assign(entry, label, reader.value());
    }
    entries.push_back(std::move(entry));
  }
  if (!reader.bytes.empty()) throw FormatError("SenML: bytes behind the pack");
  return resolve(entries);
}

}  // namespace lwm2m_peer
