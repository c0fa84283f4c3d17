#include "interop/sparkplug/text.h"

#include <bit>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

#include "base/quoted.h"
#include "base/time.h"

namespace penstock::interop::sparkplug {
namespace {

constexpr uint64_t kYear9999Ms = 253'402'300'799'999;
constexpr size_t kDepthMax = 16;

template <class Number>
void append_number(std::string& out, Number number) {
  fmt::format_to(std::back_inserter(out), "{}", number);
}

// JSON has no word for the infinite.
void append_real(std::string& out, double number) {
  if (std::isfinite(number))
    append_number(out, number);
  else
    fmt::format_to(std::back_inserter(out), "\"{}\"", number);
}

template <class Number>
bool append_packed(std::string& out, ByteView packed, size_t bytes_max) {
  if (packed.size() % sizeof(Number) != 0) return false;
  for (size_t at = 0; at < packed.size(); at += sizeof(Number)) {
    if (at > 0) out.push_back(',');
    const auto number = load_le<Number>(packed.data() + at);
    if constexpr (std::is_same_v<Number, float>)
      std::isfinite(number) ? append_number(out, number) : append_real(out, number);
    else if constexpr (std::is_floating_point_v<Number>)
      append_real(out, number);
    else
      append_number(out, number);
    if (out.size() > bytes_max) return false;
  }
  return true;
}

// 6.4.17: a count of four bytes, then eight truths a byte, the first in the highest bit.
bool append_booleans(std::string& out, ByteView packed, size_t bytes_max) {
  if (packed.size() < 4) return false;
  const auto count = load_le<uint32_t>(packed.data());
  const ByteView bits = packed.subspan(4);
  if (bits.size() != (static_cast<size_t>(count) + 7) / 8) return false;
  for (size_t i = 0; i < count; ++i) {
    if (i > 0) out.push_back(',');
    const auto byte = static_cast<unsigned>(bits[i / 8]);
    out.append((byte >> (7 - i % 8) & 1U) != 0 ? "true" : "false");
    if (out.size() > bytes_max) return false;
  }
  return true;
}

bool append_strings(std::string& out, ByteView packed, size_t bytes_max) {
  std::string_view rest = as_text(packed);
  for (bool first = true; !rest.empty(); first = false) {
    const size_t end = rest.find('\0');
    if (end == std::string_view::npos) return false;
    if (!first) out.push_back(',');
    if (!append_quoted(out, rest.substr(0, end)) || out.size() > bytes_max) return false;
    rest.remove_prefix(end + 1);
  }
  return true;
}

bool append_dates(std::string& out, ByteView packed, size_t bytes_max) {
  if (packed.size() % 8 != 0) return false;
  for (size_t at = 0; at < packed.size(); at += 8) {
    out.append(at > 0 ? ",\"" : "\"");
    if (!append_date(out, load_le<uint64_t>(packed.data() + at))) return false;
    out.push_back('"');
    if (out.size() > bytes_max) return false;
  }
  return true;
}

bool append_elements(std::string& out, DataType type, ByteView packed, size_t bytes_max) {
  switch (type) {
    case DataType::kInt8Array:
      return append_packed<int8_t>(out, packed, bytes_max);
    case DataType::kInt16Array:
      return append_packed<int16_t>(out, packed, bytes_max);
    case DataType::kInt32Array:
      return append_packed<int32_t>(out, packed, bytes_max);
    case DataType::kInt64Array:
      return append_packed<int64_t>(out, packed, bytes_max);
    case DataType::kUInt8Array:
      return append_packed<uint8_t>(out, packed, bytes_max);
    case DataType::kUInt16Array:
      return append_packed<uint16_t>(out, packed, bytes_max);
    case DataType::kUInt32Array:
      return append_packed<uint32_t>(out, packed, bytes_max);
    case DataType::kUInt64Array:
      return append_packed<uint64_t>(out, packed, bytes_max);
    case DataType::kFloatArray:
      return append_packed<float>(out, packed, bytes_max);
    case DataType::kDoubleArray:
      return append_packed<double>(out, packed, bytes_max);
    case DataType::kBooleanArray:
      return append_booleans(out, packed, bytes_max);
    case DataType::kStringArray:
      return append_strings(out, packed, bytes_max);
    case DataType::kDateTimeArray:
      return append_dates(out, packed, bytes_max);
    default:
      return false;
  }
}

bool append_integer(std::string& out, DataType type, uint64_t bits) {
  switch (type) {
    case DataType::kInt8:
      append_number(out, static_cast<int>(static_cast<int8_t>(bits)));
      return true;
    case DataType::kInt16:
      append_number(out, static_cast<int16_t>(bits));
      return true;
    case DataType::kInt32:
      append_number(out, static_cast<int32_t>(bits));
      return true;
    case DataType::kInt64:
      append_number(out, static_cast<int64_t>(bits));
      return true;
    case DataType::kBoolean:
      out.append(bits != 0 ? "true" : "false");
      return true;
    case DataType::kDateTime:
      out.push_back('"');
      if (!append_date(out, bits)) return false;
      out.push_back('"');
      return true;
    default:
      append_number(out, bits);
      return true;
  }
}

// A value that is not nested.
bool append_plain(std::string& out, DataType type, const WireScalar& value) {
  switch (value.form) {
    case ValueForm::kNone:
      out.append("null");
      return true;
    case ValueForm::kInt:
    case ValueForm::kLong:
      return append_integer(out, type, value.bits);
    case ValueForm::kBoolean:
      out.append(value.bits != 0 ? "true" : "false");
      return true;
    case ValueForm::kFloat: {
      const auto number = std::bit_cast<float>(static_cast<uint32_t>(value.bits));
      std::isfinite(number) ? append_number(out, number)
                            : append_real(out, static_cast<double>(number));
      return true;
    }
    case ValueForm::kDouble:
      append_real(out, value.as_double());
      return true;
    case ValueForm::kString:
      return append_quoted(out, as_text(value.bytes));
    case ValueForm::kBytes:
      if (type >= DataType::kInt8Array) return append_array(out, type, value.bytes, SIZE_MAX);
      [[fallthrough]];
    default:
      out.push_back('"');
      append_base64(out, value.bytes);
      out.push_back('"');
      return true;
  }
}

// -- whole payloads

bool append_metric(std::string& out, const Metric& metric, size_t depth);

bool append_properties(std::string& out, ByteView set, size_t depth);

bool append_property_value(std::string& out, const Property& property, size_t depth) {
  if (property.null || (property.value.form != ValueForm::kPropertySet &&
                        property.value.form != ValueForm::kPropertySets))
    return property.null ? (out.append("null"), true)
                         : append_plain(out, property.type, property.value);
  if (property.value.form == ValueForm::kPropertySet)
    return append_properties(out, property.value.bytes, depth);
  PropertySetListReader list(property.value.bytes);
  ByteView set;
  out.push_back('[');
  for (bool first = true; list.next(set); first = false) {
    if (!first) out.push_back(',');
    if (!append_properties(out, set, depth)) return false;
  }
  out.push_back(']');
  return list.ok();
}

bool append_properties(std::string& out, ByteView set, size_t depth) {
  if (depth > kDepthMax) return false;
  PropertyReader reader(set);
  Property property;
  out.push_back('{');
  for (bool first = true; reader.next(property); first = false) {
    if (!first) out.push_back(',');
    if (!append_quoted(out, property.key)) return false;
    out.append(":{\"type\":\"").append(name(property.type)).append("\",\"value\":");
    if (!append_property_value(out, property, depth + 1)) return false;
    out.push_back('}');
  }
  out.push_back('}');
  return reader.ok();
}

bool append_member(std::string& out, std::string_view key, std::string_view text) {
  if (text.empty()) return true;
  if (out.back() != '{') out.push_back(',');
  out.append("\"").append(key).append("\":");
  return append_quoted(out, text);
}

bool append_metadata(std::string& out, ByteView message) {
  MetaData data;
  if (!read_metadata(message, data)) return false;
  out.push_back('{');
  bool good = append_member(out, "content_type", data.content_type) &&
              append_member(out, "file_name", data.file_name) &&
              append_member(out, "file_type", data.file_type) &&
              append_member(out, "md5", data.md5) &&
              append_member(out, "description", data.description);
  const auto number = [&](std::string_view key, uint64_t value) {
    if (value == 0) return;
    fmt::format_to(std::back_inserter(out), "{}\"{}\":{}", out.back() == '{' ? "" : ",", key,
                   value);
  };
  number("size", data.size);
  number("seq", data.seq);
  if (data.multi_part) out.append(out.back() == '{' ? "" : ",").append("\"is_multi_part\":true");
  out.push_back('}');
  return good;
}

bool append_template(std::string& out, ByteView message, size_t depth) {
  TemplateInfo info;
  if (depth > kDepthMax || !read_template(message, info)) return false;
  out.push_back('{');
  if (!append_member(out, "version", info.version) || !append_member(out, "template_ref", info.ref))
    return false;
  out.append(out.back() == '{' ? "" : ",")
      .append(info.is_definition ? "\"is_definition\":true" : "\"is_definition\":false")
      .append(",\"metrics\":[");
  MetricReader members(message);
  Metric member;
  for (bool first = true; members.next(member); first = false) {
    if (!first) out.push_back(',');
    if (!append_metric(out, member, depth + 1)) return false;
  }
  out.append("],\"parameters\":[");
  ParameterReader parameters(message);
  Parameter parameter;
  for (bool first = true; parameters.next(parameter); first = false) {
    out.append(first ? "{" : ",{");
    if (!append_member(out, "name", parameter.name)) return false;
    out.append(out.back() == '{' ? "" : ",")
        .append("\"type\":\"")
        .append(name(parameter.type))
        .append("\",\"value\":");
    if (!append_plain(out, parameter.type, parameter.value)) return false;
    out.push_back('}');
  }
  out.append("]}");
  return members.ok() && parameters.ok();
}

bool append_metric(std::string& out, const Metric& m, size_t depth) {
  out.push_back('{');
  if (m.has_name) {
    out.append("\"name\":");
    if (!append_quoted(out, m.name)) return false;
  }
  const auto put = [&](std::string_view text) {
    if (out.back() != '{') out.push_back(',');
    out.append(text);
  };
  if (m.has_alias) put(fmt::format("\"alias\":{}", m.alias));
  if (m.has_timestamp) put(fmt::format("\"timestamp\":{}", m.timestamp_ms));
  if (m.type != DataType::kUnknown) put(fmt::format("\"type\":\"{}\"", name(m.type)));
  if (m.historical) put("\"is_historical\":true");
  if (m.transient) put("\"is_transient\":true");
  if (m.null) put("\"is_null\":true");
  if (!m.metadata.empty()) {
    put("\"metadata\":");
    if (!append_metadata(out, m.metadata)) return false;
  }
  if (!m.properties.empty()) {
    put("\"properties\":");
    if (!append_properties(out, m.properties, depth)) return false;
  }
  put("\"value\":");
  bool good = true;
  if (m.null)
    out.append("null");
  else if (m.value.form == ValueForm::kDataSet)
    good = append_dataset(out, m.value.bytes, SIZE_MAX);
  else if (m.value.form == ValueForm::kTemplate)
    good = append_template(out, m.value.bytes, depth);
  else
    good = append_plain(out, m.type, m.value);
  out.push_back('}');
  return good;
}

}  // namespace

bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<uint8_t>(text[i]);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || i + length > text.size()) return false;
    uint32_t point = lead & (0xFFU >> (length + 1));
    for (size_t k = 1; k < length; ++k) {
      const auto next = static_cast<uint8_t>(text[i + k]);
      if ((next & 0xC0) != 0x80) return false;
      point = point << 6 | (next & 0x3F);
    }
    constexpr uint32_t kShortest[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < kShortest[length] || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF))
      return false;
    i += length;
  }
  return true;
}

bool append_date(std::string& out, uint64_t ms) {
  if (ms > kYear9999Ms) return false;
  out.append(to_rfc3339(Timestamp::from_millis(static_cast<int64_t>(ms))));
  return true;
}

bool append_quoted(std::string& out, std::string_view text) {
  penstock::append_quoted(out, text);
  return is_utf8(text);
}

void append_base64(std::string& out, ByteView bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const auto byte = [&](size_t i) {
      return at + i < bytes.size() ? static_cast<unsigned>(bytes[at + i]) : 0U;
    };
    const unsigned three = byte(0) << 16 | byte(1) << 8 | byte(2);
    out.push_back(kDigits[three >> 18]);
    out.push_back(kDigits[three >> 12 & 63]);
    out.push_back(at + 1 < bytes.size() ? kDigits[three >> 6 & 63] : '=');
    out.push_back(at + 2 < bytes.size() ? kDigits[three & 63] : '=');
  }
}

bool append_array(std::string& out, DataType type, ByteView packed, size_t bytes_max) {
  out.push_back('[');
  if (!append_elements(out, type, packed, bytes_max)) return false;
  out.push_back(']');
  return true;
}

bool append_dataset(std::string& out, ByteView message, size_t bytes_max) {
  DataSet set;
  if (!read_dataset(message, set)) return false;
  out.append("{\"columns\":[");
  for (uint32_t i = 0; i < set.columns; ++i) {
    if (i > 0) out.push_back(',');
    if (!append_quoted(out, set.column[i])) return false;
  }
  out.append("],\"types\":[");
  for (uint32_t i = 0; i < set.types; ++i)
    out.append(i > 0 ? ",\"" : "\"").append(name(set.type[i])).append("\"");
  out.append("],\"rows\":[");
  RowReader rows(message);
  for (bool first = true; rows.next_row(); first = false) {
    out.append(first ? "[" : ",[");
    WireScalar cell;
    uint32_t column = 0;
    for (; rows.next_cell(cell); ++column) {
      if (column >= set.columns) return false;
      if (column > 0) out.push_back(',');
      if (!append_plain(out, set.type[column], cell) || out.size() > bytes_max) return false;
    }
    if (column != set.columns) return false;
    out.push_back(']');
  }
  out.append("]}");
  return rows.ok();
}

bool append_payload(std::string& out, ByteView payload) {
  PayloadInfo info;
  if (!read_info(payload, info)) return false;
  out.push_back('{');
  const auto put = [&](std::string_view key, uint64_t number) {
    if (out.back() != '{') out.push_back(',');
    fmt::format_to(std::back_inserter(out), "\"{}\":{}", key, number);
  };
  if (info.has_timestamp) put("timestamp", info.timestamp_ms);
  if (info.has_seq) put("seq", info.seq);
  if (!append_member(out, "uuid", info.uuid)) return false;
  if (!info.body.empty()) {
    out.append(out.back() == '{' ? "\"body\":\"" : ",\"body\":\"");
    append_base64(out, info.body);
    out.push_back('"');
  }
  out.append(out.back() == '{' ? "\"metrics\":[" : ",\"metrics\":[");
  MetricReader metrics(payload);
  Metric metric;
  for (bool first = true; metrics.next(metric); first = false) {
    if (!first) out.push_back(',');
    if (!append_metric(out, metric, 0)) return false;
  }
  out.append("]}");
  return metrics.ok();
}

}  // namespace penstock::interop::sparkplug
