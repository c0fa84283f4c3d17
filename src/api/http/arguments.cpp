#include "api/http/arguments.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace penstock::api {
namespace {

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::optional<std::string> decode_cursor(std::string_view text) {
  std::string out;
  uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    const auto digit = kBase64.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = (bits << 6) | static_cast<uint32_t>(digit);
    held += 6;
    if (held >= 8) {
      held -= 8;
      out += static_cast<char>((bits >> held) & 0xFFu);
    }
  }
  if (!valid_utf8(out)) return std::nullopt;
  return out;
}

/// Shortens what is only shown.
std::string excerpt(std::string_view text) { return to_valid_utf8(text.substr(0, 80)); }

}  // namespace

Result<BodyReader> BodyReader::of(const Request& request, bool may_be_empty) {
  if (request.body.empty() && may_be_empty) return BodyReader(Json::object());
  TRY_ASSIGN(Json document, parse_json(request.body));
  if (!document.is_object())
    return fail(ErrorCode::kInvalidArgument, "the body must be a JSON object");
  return BodyReader(std::move(document));
}

BodyReader::BodyReader(Json object, std::string prefix)
    : object_(std::move(object)), prefix_(std::move(prefix)) {}

void BodyReader::complain(std::string_view member, std::string what) {
  if (!error_)
    error_ = Error{ErrorCode::kInvalidArgument, std::string(member) + " " + std::move(what),
                   prefix_ + std::string(member)};
}

const Json* BodyReader::take(std::string_view member) {
  taken_.emplace(member);
  const auto found = object_.find(member);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::string> BodyReader::maybe_text(std::string_view member, size_t length_max) {
  const Json* value = take(member);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) {
    complain(member, "must be a text");
    return std::nullopt;
  }
  const auto& text = value->get_ref<const std::string&>();
  if (text.size() > length_max) {
    complain(member, "may have at most " + std::to_string(length_max) + " bytes");
    return std::nullopt;
  }
  if (text.find('\0') != std::string::npos) {
    complain(member, "may not contain U+0000");
    return std::nullopt;
  }
  return text;
}

std::string BodyReader::text(std::string_view member, size_t length_max) {
  auto value = maybe_text(member, length_max);
  if (!value || value->empty()) {
    complain(member, "is required");
    return {};
  }
  return std::move(*value);
}

std::string BodyReader::optional_text(std::string_view member, size_t length_max) {
  return maybe_text(member, length_max).value_or(std::string());
}

std::optional<double> BodyReader::maybe_number(std::string_view member) {
  const Json* value = take(member);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number() || !std::isfinite(value->get<double>())) {
    complain(member, "must be a number");
    return std::nullopt;
  }
  return value->get<double>();
}

double BodyReader::number(std::string_view member) {
  const auto value = maybe_number(member);
  if (!value) complain(member, "is required");
  return value.value_or(0);
}

std::optional<int64_t> BodyReader::maybe_integer(std::string_view member, int64_t minimum,
                                                 int64_t maximum) {
  const Json* value = take(member);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_integer() || value->get<int64_t>() < minimum ||
      value->get<int64_t>() > maximum) {
    complain(member, "must be a whole number from " + std::to_string(minimum) + " to " +
                         std::to_string(maximum));
    return std::nullopt;
  }
  return value->get<int64_t>();
}

std::optional<bool> BodyReader::maybe_boolean(std::string_view member) {
  const Json* value = take(member);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) {
    complain(member, "must be true or false");
    return std::nullopt;
  }
  return value->get<bool>();
}

std::optional<std::vector<std::string>> BodyReader::maybe_texts(std::string_view member,
                                                                size_t count_max) {
  const Json* value = take(member);
  if (value == nullptr) return std::nullopt;
  const bool texts = value->is_array() && value->size() <= count_max &&
                     std::all_of(value->begin(), value->end(), [](const Json& item) {
                       return item.is_string() && item.get_ref<const std::string&>().size() <= 500;
                     });
  if (!texts) {
    complain(member, "must be a list of at most " + std::to_string(count_max) + " texts");
    return std::nullopt;
  }
  return value->get<std::vector<std::string>>();
}

const Json& BodyReader::any(std::string_view member) {
  static const Json kNull;
  const Json* value = take(member);
  return value == nullptr ? kNull : *value;
}

Status BodyReader::done() const {
  if (error_) return fail(*error_);
  for (const auto& [key, value] : object_.items())
    if (!taken_.contains(key))
      return fail(ErrorCode::kInvalidArgument, "there is no member " + excerpt(key) + " here",
                  prefix_ + excerpt(key));
  return {};
}

Result<Page> Page::of(const Request& request, size_t limit_default) {
  Page page;
  page.limit = limit_default;
  if (const auto text = request.query_value("limit")) {
    const auto [end, error] =
        std::from_chars(text->data(), text->data() + text->size(), page.limit);
    if (error != std::errc{} || end != text->data() + text->size() || page.limit < 1 ||
        page.limit > 1000)
      return fail(ErrorCode::kInvalidArgument, "limit must be from 1 to 1000", "limit");
  }
  if (const auto text = request.query_value("cursor")) {
    auto position = decode_cursor(*text);
    if (!position || text->size() > 2000)
      return fail(ErrorCode::kInvalidArgument, "the cursor is not one of ours; start again without",
                  "cursor");
    page.after = std::move(*position);
  }
  return page;
}

std::string encode_cursor(std::string_view position) {
  std::string out;
  uint32_t bits = 0;
  int held = 0;
  for (const char c : position) {
    bits = (bits << 8) | static_cast<unsigned char>(c);
    held += 8;
    while (held >= 6) {
      held -= 6;
      out += kBase64[(bits >> held) & 63u];
    }
  }
  if (held > 0) out += kBase64[(bits << (6 - held)) & 63u];
  return out;
}

Response list_response(Json items, std::string_view next) {
  Json body = {{"items", std::move(items)}};
  if (!next.empty()) body["next_cursor"] = encode_cursor(next);
  return Response::json(body);
}

Result<std::optional<bool>> query_boolean(const Request& request, std::string_view field) {
  const auto text = request.query_value(field);
  if (!text) return std::optional<bool>{};
  if (*text == "true") return std::optional(true);
  if (*text == "false") return std::optional(false);
  return fail(ErrorCode::kInvalidArgument, std::string(field) + " must be true or false",
              std::string(field));
}

Result<Timestamp> parse_time(std::string_view text, Timestamp now, Timestamp otherwise) {
  if (text.empty()) return otherwise;
  if (text == "now") return now;
  if (text.front() == '-') {
    TRY_ASSIGN(const Duration back, parse_duration(text.substr(1)));
    return now - back;
  }
  return parse_rfc3339(text);
}

std::optional<uint64_t> numbered_id(std::string_view text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return std::nullopt;
  text.remove_prefix(prefix.size());
  if (text.empty() || text.front() != '_') return std::nullopt;
  text.remove_prefix(1);
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number == 0) return std::nullopt;
  return number;
}

Json time_or_null(Timestamp time) { return time.us == 0 ? Json(nullptr) : Json(to_rfc3339(time)); }

}  // namespace penstock::api
