#include "interop/http/rows.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace penstock::interop::http {

using stream::WireValue;

Timestamp time_of_number(double number) {
  // 1e11 s is the year 5138, 1e11 ms is 1973: the sizes do not meet.
  const double size = std::abs(number);
  if (!(size < 9e18)) return {};
  if (size < 1e11) return {static_cast<int64_t>(number * 1e6)};
  if (size < 1e14) return {static_cast<int64_t>(number * 1e3)};
  if (size < 1e17) return {static_cast<int64_t>(number)};
  return {static_cast<int64_t>(number / 1e3)};
}

std::optional<Timestamp> parse_any_time(std::string_view text) {
  double number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec == std::errc() && read.ptr == text.data() + text.size()) {
    const Timestamp time = time_of_number(number);
    return time.us > 0 ? std::optional(time) : std::nullopt;
  }
  const auto time = parse_rfc3339(text);
  return time ? std::optional(*time) : std::nullopt;
}

WireValue value_of(std::string_view address, std::string_view text, Timestamp time) {
  const char* const end = text.data() + text.size();
  int64_t whole = 0;
  if (const auto read = std::from_chars(text.data(), end, whole);
      read.ec == std::errc() && read.ptr == end)
    return WireValue::of(address, whole, time);
  double number = 0;
  if (const auto read = std::from_chars(text.data(), end, number);
      read.ec == std::errc() && read.ptr == end && std::isfinite(number))
    return WireValue::of(address, number, time);
  if (text == "true" || text == "TRUE" || text == "True") return WireValue::of(address, true, time);
  if (text == "false" || text == "FALSE" || text == "False")
    return WireValue::of(address, false, time);
  return WireValue::of(address, text, time);
}

std::string address_with(std::string name,
                         std::vector<std::pair<std::string_view, std::string_view>> tags) {
  if (tags.empty()) return name;
  std::sort(tags.begin(), tags.end());
  name += '[';
  for (size_t i = 0; i < tags.size(); ++i) {
    if (i > 0) name += ',';
    name.append(tags[i].first).append("=").append(tags[i].second);
  }
  name += ']';
  return name;
}

}  // namespace penstock::interop::http
