#include "twin/names.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include <date/tz.h>
#include <fmt/format.h>

namespace penstock::twin {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

template <class IdType>
std::optional<IdType> parse_id(std::string_view prefix, std::string_view text) {
  if (!text.starts_with(prefix)) return std::nullopt;
  text.remove_prefix(prefix.size());
  typename IdType::number_type number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number == 0) return std::nullopt;
  return IdType(number);
}

}  // namespace

Status check_slug(std::string_view what, std::string_view slug) {
  const bool shaped =
      !slug.empty() && slug.size() <= 63 && (is_lower(slug[0]) || is_digit(slug[0])) &&
      std::all_of(slug.begin(), slug.end(),
                  [](char c) { return is_lower(c) || is_digit(c) || c == '-' || c == '_'; });
  if (!shaped)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("The name of a {} is 1 to 63 of a-z, 0-9, '-' and '_', beginning with "
                            "a letter or digit",
                            what),
                std::string(slug.substr(0, 80)));
  if (parse_twin_id(slug) || parse_site_id(slug))
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("The name of a {} may not look like an id: choose another", what),
                std::string(slug));
  return {};
}

Status check_device_name(std::string_view name) {
  const bool shaped =
      !name.empty() && name.size() <= 128 && name[0] != '$' &&
      std::all_of(name.begin(), name.end(), [](char c) {
        return c > ' ' && c < 0x7F && c != '/' && c != '+' && c != '#' && c != '"' && c != '\\';
      });
  if (shaped) return {};
  return fail(ErrorCode::kInvalidArgument,
              "A device is named by 1 to 128 printable ASCII characters without spaces and none of "
              "/ + # \" \\, and does not begin with $",
              std::string(name.substr(0, 80)));
}

Status check_text(std::string_view what, std::string_view text, size_t length_max) {
  if (text.size() > length_max)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("The {} is longer than {} bytes: shorten it", what, length_max));
  if (std::any_of(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7F;
      }))
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("The {} holds a control character: remove it", what));
  return {};
}

Status check_time_zone(std::string_view name) {
  // Names of tzdata are paths: nothing that climbs out of its folder reaches the library.
  const bool shaped = !name.empty() && name.size() <= 64 && name[0] != '/' &&
                      name.find("..") == std::string_view::npos &&
                      std::all_of(name.begin(), name.end(), [](char c) {
                        return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z') || c == '/' ||
                               c == '_' || c == '-' || c == '+';
                      });
  if (shaped) {
    try {
      (void)date::locate_zone(name);
      return {};
    } catch (const std::runtime_error&) {  // its way to say that there is none: told below
    }
  }
  return fail(
      ErrorCode::kInvalidArgument,
      "That is no IANA time zone: give a name such as Europe/Berlin, America/Chicago or UTC",
      std::string(name.substr(0, 80)));
}

Status check_topic_filter(std::string_view filter) {
  const auto refuse = [&](std::string message) {
    return fail(ErrorCode::kInvalidArgument, std::move(message), std::string(filter.substr(0, 80)));
  };
  if (filter.empty() || filter.size() > 1024 || filter.find('\0') != std::string_view::npos)
    return refuse("A topic filter has 1 to 1024 bytes, none of them U+0000");
  size_t begin = 0;
  for (;;) {
    const size_t end = std::min(filter.find('/', begin), filter.size());
    const std::string_view level = filter.substr(begin, end - begin);
    if (level.find('#') != std::string_view::npos && (level.size() > 1 || end != filter.size()))
      return refuse("In a topic filter '#' stands alone and last");
    if (level.find('+') != std::string_view::npos && level.size() > 1)
      return refuse("In a topic filter '+' stands alone between the slashes");
    if (end == filter.size()) return {};
    begin = end + 1;
  }
}

std::string to_text(TwinId id) { return fmt::format("twn_{}", id.value); }
std::string to_text(SiteId id) { return fmt::format("site_{}", id.value); }
std::optional<TwinId> parse_twin_id(std::string_view text) {
  return parse_id<TwinId>("twn_", text);
}
std::optional<SiteId> parse_site_id(std::string_view text) {
  return parse_id<SiteId>("site_", text);
}

std::string slug_of(std::string_view text) {
  std::string slug;
  for (const char c : text.substr(0, 256)) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (is_lower(lower) || is_digit(lower) || lower == '_')
      slug += lower;
    else if (!slug.empty() && slug.back() != '-')
      slug += '-';
  }
  slug.erase(0, slug.find_first_not_of("_-"));
  slug.resize(std::min<size_t>(slug.size(), 63));
  while (!slug.empty() && slug.back() == '-') slug.pop_back();
  return slug;
}

// On a mismatch only the last '*' can take one character more: two positions to return to suffice.
bool matches_glob(std::string_view glob, std::string_view text) {
  size_t g = 0, t = 0, star = std::string_view::npos, star_text = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      star_text = t;
    } else if (g < glob.size() && (glob[g] == '?' || glob[g] == text[t])) {
      ++g;
      ++t;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

}  // namespace penstock::twin
