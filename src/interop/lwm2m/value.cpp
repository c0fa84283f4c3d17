#include "interop/lwm2m/value.h"

#include <charconv>

#include <fmt/format.h>

namespace penstock::interop::lwm2m {

Result<Path> Path::parse(std::string_view text) {
  const std::string_view whole = text;
  const auto wrong = [&] {
    return fail(ErrorCode::kInvalidArgument,
                "a path is up to four numbers from 0 to 65534, as in /3303/0/5700",
                std::string(whole.substr(0, 100)));
  };
  Path path;
  if (text.starts_with('/')) text.remove_prefix(1);
  if (text == "/") return wrong();
  if (text.ends_with('/')) text.remove_suffix(1);
  while (!text.empty()) {
    if (path.depth == 4) return wrong();
    uint16_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc() || id == 65535) return wrong();
    path.ids[path.depth++] = id;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    if (text.empty()) break;
    if (text.front() != '/' || text.size() == 1) return wrong();
    text.remove_prefix(1);
  }
  return path;
}

void Path::append_to(std::string& out) const {
  if (depth == 0) {
    out.push_back('/');
    return;
  }
  char digits[8];
  for (uint8_t i = 0; i < depth; ++i) {
    out.push_back('/');
    const auto written = std::to_chars(digits, digits + sizeof digits, ids[i]);
    out.append(digits, written.ptr);
  }
}

std::string Path::text() const {
  std::string out;
  append_to(out);
  return out;
}

Path Path::child(uint16_t id) const {
  Path out = *this;
  out.ids[out.depth++] = id;
  return out;
}

Path Path::first(uint8_t parts) const {
  Path out;
  for (uint8_t i = 0; i < parts && i < depth; ++i) out.ids[out.depth++] = ids[i];
  return out;
}

bool Path::within(const Path& other) const {
  return depth >= other.depth && first(other.depth) == other;
}

namespace {

struct TypeName {
  DataType type;
  std::string_view text;
};
constexpr TypeName kTypeNames[] = {
    {DataType::kNone, "none"},       {DataType::kString, "string"},
    {DataType::kInteger, "integer"}, {DataType::kUnsigned, "unsigned"},
    {DataType::kFloat, "float"},     {DataType::kBoolean, "boolean"},
    {DataType::kOpaque, "opaque"},   {DataType::kTime, "time"},
    {DataType::kObjlnk, "objlnk"},   {DataType::kCorelnk, "corelnk"},
};

struct FormatName {
  Format format;
  std::string_view text;
};
constexpr FormatName kFormatNames[] = {
    {Format::kText, "text"},
    {Format::kLink, "link"},
    {Format::kOpaque, "opaque"},
    {Format::kCbor, "cbor"},
    {Format::kSenmlJson, "senml-json"},
    {Format::kSenmlCbor, "senml-cbor"},
    {Format::kTlv, "tlv"},
    {Format::kJson, "json"},
};

}  // namespace

std::string_view name(DataType type) {
  for (const auto& entry : kTypeNames)
    if (entry.type == type) return entry.text;
  return "none";
}

DataType parse_data_type(std::string_view text) {
  std::string lower(text.substr(0, 32));
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (lower == "unsigned integer") return DataType::kUnsigned;
  for (const auto& entry : kTypeNames)
    if (entry.text == lower) return entry.type;
  return DataType::kNone;
}

std::string_view name(Format format) {
  for (const auto& entry : kFormatNames)
    if (entry.format == format) return entry.text;
  return "unknown";
}

Format parse_format(std::string_view text) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool numeric = error == std::errc() && end == text.data() + text.size();
  for (const auto& entry : kFormatNames)
    if (entry.text == text || (numeric && static_cast<unsigned>(entry.format) == number))
      return entry.format;
  return Format::kNone;
}

Value Value::of_text(std::string text, DataType type) {
  Value value;
  value.type = type;
  value.text = std::move(text);
  return value;
}
Value Value::of_integer(int64_t integer, DataType type) {
  Value value;
  value.type = type;
  value.integer = integer;
  return value;
}
Value Value::of_float(double number) {
  Value value;
  value.type = DataType::kFloat;
  value.number = number;
  return value;
}
Value Value::of_boolean(bool boolean) { return of_integer(boolean ? 1 : 0, DataType::kBoolean); }

double Value::as_double() const {
  if (type == DataType::kFloat) return number;
  if (type == DataType::kUnsigned) return static_cast<double>(static_cast<uint64_t>(integer));
  return static_cast<double>(integer);
}

}  // namespace penstock::interop::lwm2m
