#include "base/time.h"

#include <array>
#include <charconv>
#include <cstdio>

namespace penstock {
namespace {

// Days from civil, and back: Howard Hinnant, "chrono-compatible low-level date algorithms".
constexpr int64_t days_from_civil(int64_t y, unsigned m, unsigned d) {
  y -= m <= 2;
  const int64_t era = (y >= 0 ? y : y - 399) / 400;
  const auto yoe = static_cast<unsigned>(y - era * 400);
  const unsigned doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
  const unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + static_cast<int64_t>(doe) - 719468;
}

struct Civil {
  int64_t year;
  unsigned month, day;
};
constexpr Civil civil_from_days(int64_t z) {
  z += 719468;
  const int64_t era = (z >= 0 ? z : z - 146096) / 146097;
  const auto doe = static_cast<unsigned>(z - era * 146097);
  const unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const unsigned mp = (5 * doy + 2) / 153;
  const unsigned month = mp < 10 ? mp + 3 : mp - 9;
  return {static_cast<int64_t>(yoe) + era * 400 + (month <= 2), month,
          doy - (153 * mp + 2) / 5 + 1};
}

constexpr int64_t kDayUs = 86'400'000'000;

bool digits(std::string_view text, size_t at, size_t count, int& value) {
  if (at + count > text.size()) return false;
  value = 0;
  for (size_t i = at; i < at + count; ++i) {
    if (text[i] < '0' || text[i] > '9') return false;
    value = value * 10 + (text[i] - '0');
  }
  return true;
}

unsigned days_in_month(int64_t y, int m) {
  constexpr std::array<unsigned, 12> kDays{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
  return m == 2 && leap ? 29 : kDays[static_cast<size_t>(m - 1)];
}

}  // namespace

std::string to_rfc3339(Timestamp time) {
  int64_t day = time.us / kDayUs;
  int64_t rest = time.us % kDayUs;
  if (rest < 0) {
    rest += kDayUs;
    --day;
  }
  const Civil c = civil_from_days(day);
  const int64_t second = rest / 1'000'000;
  const int64_t micro = rest % 1'000'000;
  std::array<char, 48> out{};
  int n = std::snprintf(
      out.data(), out.size(), "%04lld-%02u-%02uT%02lld:%02lld:%02lld",
      static_cast<long long>(c.year), c.month, c.day, static_cast<long long>(second / 3600),
      static_cast<long long>(second / 60 % 60), static_cast<long long>(second % 60));
  std::string text(out.data(), static_cast<size_t>(n));
  if (micro != 0) {
    const bool millis = micro % 1000 == 0;
    n = std::snprintf(out.data(), out.size(), millis ? ".%03lld" : ".%06lld",
                      static_cast<long long>(millis ? micro / 1000 : micro));
    text.append(out.data(), static_cast<size_t>(n));
  }
  return text + "Z";
}

Result<Timestamp> parse_rfc3339(std::string_view text) {
  const auto bad = [&] {
    return fail(ErrorCode::kInvalidArgument, "not an RFC 3339 time such as 2026-03-01T12:00:00Z",
                std::string(text.substr(0, 64)));
  };
  int y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0;
  if (text.size() < 20 || !digits(text, 0, 4, y) || text[4] != '-' || !digits(text, 5, 2, mo) ||
      text[7] != '-' || !digits(text, 8, 2, d) ||
      (text[10] != 'T' && text[10] != 't' && text[10] != ' ') || !digits(text, 11, 2, h) ||
      text[13] != ':' || !digits(text, 14, 2, mi) || text[16] != ':' || !digits(text, 17, 2, s))
    return bad();
  if (y < 1970 || y > 2261 || mo < 1 || mo > 12 || d < 1 ||
      static_cast<unsigned>(d) > days_in_month(y, mo) || h > 23 || mi > 59 || s > 60)
    return bad();
  size_t at = 19;
  int64_t micro = 0;
  if (text[at] == '.') {
    const size_t first = ++at;
    int64_t scale = 100'000;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9' && at - first < 9) {
      micro += (text[at] - '0') * scale;
      scale /= 10;
      ++at;
    }
    if (at == first) return bad();
  }
  int64_t offset_minutes = 0;
  if (at >= text.size()) return bad();
  if (text[at] == 'Z' || text[at] == 'z') {
    ++at;
  } else {
    int oh = 0, om = 0;
    if ((text[at] != '+' && text[at] != '-') || !digits(text, at + 1, 2, oh) ||
        at + 6 > text.size() || text[at + 3] != ':' || !digits(text, at + 4, 2, om) || oh > 23 ||
        om > 59)
      return bad();
    offset_minutes = (text[at] == '-' ? -1 : 1) * (oh * 60 + om);
    at += 6;
  }
  if (at != text.size()) return bad();
  const int64_t days = days_from_civil(y, static_cast<unsigned>(mo), static_cast<unsigned>(d));
  const int64_t seconds = days * 86'400 + h * 3600 + mi * 60 + s - offset_minutes * 60;
  return Timestamp{seconds * 1'000'000 + micro};
}

Result<Duration> parse_duration(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  double scale = 0;
  if (unit == "us") scale = 1;
  if (unit == "ms") scale = 1e3;
  if (unit == "s") scale = 1e6;
  if (unit == "m" || unit == "min") scale = 60e6;
  if (unit == "h") scale = 3600e6;
  if (unit == "d") scale = 86400e6;
  if (error != std::errc() || scale == 0 || !(number >= 0) || number * scale > 9e18)
    return fail(ErrorCode::kInvalidArgument, "not a duration such as 250ms, 5s, 10m, 2h or 7d",
                std::string(text.substr(0, 64)));
  return Duration{static_cast<int64_t>(number * scale)};
}

}  // namespace penstock
