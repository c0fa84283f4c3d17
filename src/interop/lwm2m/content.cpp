#include "interop/lwm2m/content.h"

#include <charconv>

#include <fmt/format.h>
#include <sodium.h>

#include "interop/lwm2m/senml.h"
#include "interop/lwm2m/tlv.h"

namespace penstock::interop::lwm2m {
namespace {

template <class Number>
Result<Number> number_of(std::string_view text, DataType type) {
  Number number{};
  std::string_view digits = text;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size())
    return fail(ErrorCode::kInvalidArgument, fmt::format("the text is no {}", name(type)),
                std::string(text.substr(0, 100)));
  return number;
}

Result<std::string> bytes_of_base64(std::string_view text) {
  std::string bytes(text.size(), '\0');
  size_t size = 0;
  if (sodium_base642bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), text.data(),
                        text.size(), "\r\n", &size, nullptr, sodium_base64_VARIANT_ORIGINAL) != 0)
    return fail(ErrorCode::kInvalidArgument, "opaque data as text is base64");
  bytes.resize(size);
  return bytes;
}

}  // namespace

Result<Value> read_text(std::string_view text, DataType type) {
  switch (type) {
    case DataType::kInteger:
    case DataType::kTime: {
      TRY_ASSIGN(const auto number, number_of<int64_t>(text, type));
      return Value::of_integer(number, type);
    }
    case DataType::kUnsigned: {
      TRY_ASSIGN(const auto number, number_of<uint64_t>(text, type));
      return Value::of_integer(static_cast<int64_t>(number), type);
    }
    case DataType::kFloat: {
      TRY_ASSIGN(const double number, number_of<double>(text, type));
      return Value::of_float(number);
    }
    case DataType::kBoolean:
      if (text != "0" && text != "1" && text != "true" && text != "false")
        return fail(ErrorCode::kInvalidArgument, "a boolean is 0 or 1",
                    std::string(text.substr(0, 100)));
      return Value::of_boolean(text == "1" || text == "true");
    case DataType::kOpaque: {
      TRY_ASSIGN(auto bytes, bytes_of_base64(text));
      return Value::of_text(std::move(bytes), type);
    }
    case DataType::kNone:
    case DataType::kString:
    case DataType::kObjlnk:
    case DataType::kCorelnk:
      break;
  }
  return Value::of_text(std::string(text), type == DataType::kNone ? DataType::kString : type);
}

void append_text(std::string& out, const Value& value) {
  switch (value.type) {
    case DataType::kFloat:
      fmt::format_to(std::back_inserter(out), "{}", value.number);
      return;
    case DataType::kUnsigned:
      fmt::format_to(std::back_inserter(out), "{}", static_cast<uint64_t>(value.integer));
      return;
    case DataType::kInteger:
    case DataType::kTime:
    case DataType::kBoolean:
      fmt::format_to(std::back_inserter(out), "{}", value.integer);
      return;
    case DataType::kOpaque: {
      const auto variant = sodium_base64_VARIANT_ORIGINAL;
      std::string encoded(sodium_base64_encoded_len(value.text.size(), variant), '\0');
      sodium_bin2base64(encoded.data(), encoded.size(),
                        reinterpret_cast<const unsigned char*>(value.text.data()),
                        value.text.size(), variant);
      encoded.resize(encoded.size() - 1);
      out.append(encoded);
      return;
    }
    case DataType::kNone:
    case DataType::kString:
    case DataType::kObjlnk:
    case DataType::kCorelnk:
      out.append(value.text);
      return;
  }
}

Status decode_content(Format format, ByteView payload, const Path& base, const TypeSource& types,
                      const ContentLimits& limits, std::vector<Entry>& out) {
  const auto single = [&](Value value) -> Status {
    if (base.depth < 3)
      return fail(
          ErrorCode::kInvalidArgument,
          fmt::format("content format {} carries one resource, asked was for more", name(format)),
          base.text());
    out.push_back({base, std::move(value), 0});
    return {};
  };
  switch (format) {
    case Format::kText: {
      TRY_ASSIGN(auto value,
                 read_text(as_text(payload), base.depth < 3
                                                 ? DataType::kNone
                                                 : types.type_of(base.object(), base.resource())));
      return single(std::move(value));
    }
    case Format::kOpaque:
      return single(Value::of_text(std::string(as_text(payload)), DataType::kOpaque));
    case Format::kCbor:
      return decode_cbor(payload, base, types, out);
    case Format::kSenmlJson:
      return decode_senml_json(as_text(payload), base, types, limits, out);
    case Format::kSenmlCbor:
      return decode_senml_cbor(payload, base, types, limits, out);
    case Format::kTlv:
      return decode_tlv(payload, base, types, limits, out);
    case Format::kJson:
      return decode_old_json(as_text(payload), base, types, limits, out);
    case Format::kLink:
    case Format::kNone:
      break;
  }
  return fail(ErrorCode::kUnsupported,
              fmt::format("content format {} is not read here", static_cast<unsigned>(format)));
}

Result<Bytes> encode_content(Format format, std::span<const Entry> entries, const Path& base) {
  Bytes out;
  std::string text;
  switch (format) {
    case Format::kText:
    case Format::kOpaque:
      if (entries.size() != 1)
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("content format {} carries one value", name(format)));
      if (format == Format::kText)
        append_text(text, entries.front().value);
      else
        text = entries.front().value.text;
      break;
    case Format::kSenmlJson:
      encode_senml_json(entries, text);
      break;
    case Format::kSenmlCbor:
      encode_senml_cbor(entries, out);
      return out;
    case Format::kTlv:
      TRY(encode_tlv(entries, base, out));
      return out;
    case Format::kCbor:
    case Format::kLink:
    case Format::kJson:
    case Format::kNone:
      return fail(ErrorCode::kUnsupported, "writes are text, opaque, TLV or SenML");
  }
  append_bytes(out, as_bytes(text));
  return out;
}

}  // namespace penstock::interop::lwm2m
