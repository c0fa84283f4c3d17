#include <cmath>

#include <fmt/format.h>
#include <sodium.h>

#include "base/json.h"
#include "interop/lwm2m/senml.h"

namespace penstock::interop::lwm2m {
namespace {

tl::unexpected<Error> not_senml(std::string_view why) {
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("the SenML JSON payload is broken: {}", why));
}

Status read_text(const Json& from, std::string& out) {
  if (!from.is_string()) return not_senml("a name or text is not a string");
  out = from.get<std::string>();
  return {};
}

Status read_number(const Json& from, double& out) {
  if (!from.is_number()) return not_senml("a time or value is not a number");
  out = from.get<double>();
  return {};
}

// RFC 8428 4.3: base64url without padding; others pad, and write '+' and '/'.
Result<std::string> from_base64(std::string_view text, int variant) {
  std::string bytes(text.size(), '\0');
  size_t size = 0;
  if (sodium_base642bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), text.data(),
                        text.size(), nullptr, &size, nullptr, variant) != 0)
    return not_senml("data is not base64url");
  bytes.resize(size);
  return bytes;
}

Result<std::string> from_any_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  const bool plain = text.find_first_of("+/") != std::string_view::npos;
  return from_base64(text, plain ? sodium_base64_VARIANT_ORIGINAL_NO_PADDING
                                 : sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

Value number_value(const Json& from) {
  if (from.is_number_unsigned() && from.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
    return Value::of_integer(static_cast<int64_t>(from.get<uint64_t>()), DataType::kUnsigned);
  if (from.is_number_integer()) return Value::of_integer(from.get<int64_t>());
  return Value::of_float(from.get<double>());
}

Status read_member(const std::string& key, const Json& from, SenmlRecord& record) {
  if (key == "n") return read_text(from, record.name);
  if (key == "bn") {
    record.has_base_name = true;
    return read_text(from, record.base_name);
  }
  if (key == "t") return read_number(from, record.time);
  if (key == "bt") {
    record.has_base_time = true;
    return read_number(from, record.base_time);
  }
  if (key == "bv") {
    record.has_base_value = true;
    return read_number(from, record.base_value);
  }
  if (key == "v") {
    if (!from.is_number()) return not_senml("v is not a number");
    record.value = number_value(from);
  } else if (key == "vb") {
    if (!from.is_boolean()) return not_senml("vb is not a boolean");
    record.value = Value::of_boolean(from.get<bool>());
  } else if (key == "vs" || key == "vlo") {
    record.value.type = key == "vs" ? DataType::kString : DataType::kObjlnk;
    return read_text(from, record.value.text);
  } else if (key == "vd") {
    std::string text;
    TRY(read_text(from, text));
    record.value.type = DataType::kOpaque;
    TRY_ASSIGN(record.value.text, from_any_base64(text));
  } else if (key.ends_with('_')) {
    // RFC 8428, 4.4: what ends in '_' must be understood.
    return fail(ErrorCode::kUnsupported, "the payload has a member that must be understood", key);
  }
  return {};
}

Result<Json> read_json(std::string_view text) {
  auto read = parse_json(text, 8);
  if (!read) return not_senml(read.error().message);
  return read;
}

void append_number(std::string& out, double number) {
  if (std::isfinite(number))
    fmt::format_to(std::back_inserter(out), "{}", number);
  else
    out.append("0");  // SenML has no word for it (RFC 8428, 4.3)
}

void append_json_value(std::string& out, const Value& value) {
  switch (value.type) {
    case DataType::kNone:
      return;
    case DataType::kFloat:
      out.append(",\"v\":");
      return append_number(out, value.number);
    case DataType::kUnsigned:
      fmt::format_to(std::back_inserter(out), ",\"v\":{}", static_cast<uint64_t>(value.integer));
      return;
    case DataType::kInteger:
    case DataType::kTime:
      fmt::format_to(std::back_inserter(out), ",\"v\":{}", value.integer);
      return;
    case DataType::kBoolean:
      out.append(value.integer != 0 ? ",\"vb\":true" : ",\"vb\":false");
      return;
    case DataType::kObjlnk:
      out.append(",\"vlo\":")
          .append(Json(value.text).dump(-1, ' ', false, Json::error_handler_t::replace));
      return;
    case DataType::kOpaque: {
      const auto variant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
      std::string encoded(sodium_base64_encoded_len(value.text.size(), variant), '\0');
      sodium_bin2base64(encoded.data(), encoded.size(),
                        reinterpret_cast<const unsigned char*>(value.text.data()),
                        value.text.size(), variant);
      encoded.resize(encoded.size() - 1);
      out.append(",\"vd\":\"").append(encoded).append("\"");
      return;
    }
    case DataType::kString:
    case DataType::kCorelnk:
      out.append(",\"vs\":")
          .append(Json(value.text).dump(-1, ' ', false, Json::error_handler_t::replace));
      return;
  }
}

}  // namespace

Status decode_senml_json(std::string_view text, const Path& base, const TypeSource& types,
                         const ContentLimits& limits, std::vector<Entry>& out) {
  TRY_ASSIGN(const Json records, read_json(text));
  if (!records.is_array()) return not_senml("it is not an array");
  SenmlResolver resolver(base, types, limits, out);
  for (const Json& member : records) {
    if (!member.is_object()) return not_senml("a record is not an object");
    SenmlRecord record;
    for (const auto& [key, value] : member.items()) TRY(read_member(key, value, record));
    TRY(resolver.add(record));
  }
  return {};
}

Status decode_old_json(std::string_view text, const Path& base, const TypeSource& types,
                       const ContentLimits& limits, std::vector<Entry>& out) {
  TRY_ASSIGN(const Json whole, read_json(text));
  if (!whole.is_object() || !whole.contains("e") || !whole["e"].is_array())
    return not_senml("the JSON of LwM2M 1.0 is an object with the array \"e\"");
  SenmlResolver resolver(base, types, limits, out);
  bool first = true;
  for (const Json& member : whole["e"]) {
    if (!member.is_object()) return not_senml("a record is not an object");
    SenmlRecord record;
    if (first) {
      for (const char* key : {"bn", "bt"})
        if (whole.contains(key)) TRY(read_member(key, whole[key], record));
      if (!record.has_base_name && base.depth > 0) {
        record.has_base_name = true;
        record.base_name = base.text();
      }
    }
    first = false;
    for (const auto& [key, value] : member.items()) {
      if (key == "bv")
        TRY(read_member("vb", value, record));
      else if (key == "sv")
        TRY(read_member("vs", value, record));
      else if (key == "ov")
        TRY(read_member("vlo", value, record));
      else
        TRY(read_member(key, value, record));
    }
    // "bn":"/3/0" with "n":"1" and "bn":"/3/0/" mean the same.
    if (record.has_base_name && !record.base_name.ends_with('/') && !record.name.empty())
      record.base_name.push_back('/');
    TRY(resolver.add(record));
  }
  return {};
}

void encode_senml_json(std::span<const Entry> entries, std::string& out) {
  out.push_back('[');
  bool first = true;
  for (const Entry& entry : entries) {
    if (!first) out.push_back(',');
    first = false;
    out.append("{\"n\":\"");
    entry.path.append_to(out);
    out.push_back('"');
    if (entry.time != 0) {
      out.append(",\"t\":");
      append_number(out, entry.time);
    }
    append_json_value(out, entry.value);
    out.push_back('}');
  }
  out.push_back(']');
}

}  // namespace penstock::interop::lwm2m
