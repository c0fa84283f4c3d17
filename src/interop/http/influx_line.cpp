#include "interop/http/influx_line.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace penstock::interop::http {
namespace {

using stream::WireValue;

// One line, read from its start. The error is a sentence.
class Line {
 public:
  Line(std::string_view text, uint32_t number, const LineOptions& options, const RowLimits& limits,
       Rows& out)
      : text_(text), rest_(text), number_(number), options_(options), limits_(limits), out_(out) {}

  // False: refused, with nothing left behind.
  bool read() {
    const size_t before = out_.values.size();
    if (head() && fields() && time()) {
      Row row;
      row.number = number_;
      row.device = device_.empty() ? host_ : device_;
      row.device_is_guess = device_.empty();
      row.first = static_cast<uint32_t>(before);
      row.count = static_cast<uint32_t>(out_.values.size() - before);
      for (size_t i = before; i < out_.values.size(); ++i) out_.values[i].source_time = time_;
      out_.rows.push_back(row);
      return true;
    }
    out_.values.resize(before);
    out_.shorter.resize(before);
    out_.refuse(number_, why_, limits_, text_);
    return false;
  }

 private:
  bool refuse(std::string why) {
    why_ = std::move(why);
    return false;
  }

  // Up to one of `stops`, unescaped; a backslash takes the next character where that is special.
  std::string_view word(std::string_view stops) {
    size_t end = 0;
    bool escaped = false;
    while (end < rest_.size() && stops.find(rest_[end]) == std::string_view::npos) {
      if (rest_[end] == '\\' && end + 1 < rest_.size()) {
        escaped = true;
        ++end;
      }
      ++end;
    }
    const std::string_view raw = rest_.substr(0, end);
    rest_.remove_prefix(end);
    if (!escaped) return raw;
    std::string plain;
    for (size_t i = 0; i < raw.size(); ++i) {
      const bool special = raw[i] == '\\' && i + 1 < raw.size() &&
                           std::string_view(",= \\").find(raw[i + 1]) != std::string_view::npos;
      plain += raw[special ? ++i : i];
    }
    return out_.keep(std::move(plain));
  }
  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void spaces() {
    while (take(' ')) {
    }
  }

  bool head() {
    measurement_ = word(", ");
    if (measurement_.empty()) return refuse("a line begins with a measurement");
    if (measurement_.size() > limits_.name_bytes_max) return refuse("the measurement is too long");
    while (take(',')) {
      const std::string_view key = word("=, ");
      if (key.empty() || !take('=')) return refuse("a tag is written key=value");
      const std::string_view value = word(", ");
      if (value.empty()) return refuse(fmt::format("the tag {} has no value", key));
      if (key.size() > limits_.name_bytes_max || value.size() > limits_.name_bytes_max)
        return refuse("a tag is too long");
      if (key == options_.device_tag)
        device_ = value;
      else if (key == "host")
        host_ = value;
      else if (tags_.size() < 64)
        tags_.emplace_back(key, value);
      else
        return refuse("a line may have at most 64 tags");
    }
    if (!take(' ')) return refuse("fields are missing: measurement field=1");
    spaces();
    return true;
  }

  bool fields() {
    do {
      const std::string_view key = word("=, ");
      if (key.empty() || !take('=')) return refuse("a field is written key=value");
      if (key.size() > limits_.name_bytes_max) return refuse("a field's name is too long");
      if (out_.values.size() >= limits_.values_max) return refuse("too many values in one request");
      const std::string_view address =
          out_.keep(address_with(fmt::format("{}.{}", measurement_, key), tags_));
      WireValue value;
      if (!field_value(address, value)) return false;
      out_.values.push_back(value);
      out_.shorter.resize(out_.values.size() - 1);
      out_.shorter.push_back(tags_.empty() ? key : std::string_view());
    } while (take(','));
    return true;
  }

  bool field_value(std::string_view address, WireValue& value) {
    if (take('"')) return quoted(address, value);
    size_t end = 0;
    while (end < rest_.size() && rest_[end] != ',' && rest_[end] != ' ') ++end;
    const std::string_view text = rest_.substr(0, end);
    rest_.remove_prefix(end);
    if (text == "t" || text == "T" || text == "true" || text == "True" || text == "TRUE") {
      value = WireValue::of(address, true);
      return true;
    }
    if (text == "f" || text == "F" || text == "false" || text == "False" || text == "FALSE") {
      value = WireValue::of(address, false);
      return true;
    }
    const bool whole = text.ends_with('i') || text.ends_with('u');
    const char* const last = text.data() + text.size() - (whole ? 1 : 0);
    double number = 0;
    int64_t integer = 0;
    const auto read = whole ? std::from_chars(text.data(), last, integer)
                            : std::from_chars(text.data(), last, number);
    if (text.empty() || read.ec != std::errc() || read.ptr != last || !std::isfinite(number))
      return refuse(
          fmt::format("{} is no field value: write 1.5, 2i, true or \"text\"", text.substr(0, 40)));
    value = whole ? WireValue::of(address, integer) : WireValue::of(address, number);
    return true;
  }

  bool quoted(std::string_view address, WireValue& value) {
    std::string text;
    size_t at = 0;
    for (; at < rest_.size() && rest_[at] != '"'; ++at) {
      const bool escape = rest_[at] == '\\' && at + 1 < rest_.size() &&
                          (rest_[at + 1] == '"' || rest_[at + 1] == '\\');
      text += rest_[escape ? ++at : at];
    }
    if (at >= rest_.size()) return refuse("a text has no closing quote");
    rest_.remove_prefix(at + 1);
    value = WireValue::of(address, out_.keep(std::move(text)));
    return true;
  }

  bool time() {
    spaces();
    if (rest_.empty()) return true;
    int64_t number = 0;
    const char* const end = rest_.data() + rest_.size();
    const auto read = std::from_chars(rest_.data(), end, number);
    const std::string_view left(read.ptr, static_cast<size_t>(end - read.ptr));
    if (read.ec != std::errc() || left.find_first_not_of(' ') != std::string_view::npos)
      return refuse("the timestamp is a whole number");
    if (options_.precision_ns >= 1000) {
      if (__builtin_mul_overflow(number, options_.precision_ns / 1000, &time_.us))
        return refuse("the timestamp is out of range: does the precision fit?");
    } else {
      time_.us = number / 1000;
    }
    return time_.us > 0 || refuse("the timestamp is before 1970");
  }

  std::string_view text_, rest_;
  uint32_t number_;
  const LineOptions& options_;
  const RowLimits& limits_;
  Rows& out_;
  std::string_view measurement_, device_, host_;
  std::vector<std::pair<std::string_view, std::string_view>> tags_;
  Timestamp time_;
  std::string why_;
};

// A line ends at a newline that is not inside a quoted field value.
size_t line_end(std::string_view body) {
  bool quoted = false;
  for (size_t i = 0; i < body.size(); ++i) {
    if (body[i] == '\\') {
      ++i;
    } else if (body[i] == '"' && (quoted || (i > 0 && body[i - 1] == '='))) {
      quoted = !quoted;
    } else if (body[i] == '\n' && !quoted) {
      return i;
    }
  }
  // An open quote would swallow all that follows: then a line is a line.
  const size_t plain = body.find('\n');
  return quoted && plain != std::string_view::npos ? plain : body.size();
}

}  // namespace

std::optional<int64_t> nanos_of_precision(std::string_view precision) {
  if (precision.empty() || precision == "n" || precision == "ns") return 1;
  if (precision == "u" || precision == "us" || precision == "µ") return 1000;
  if (precision == "ms") return 1'000'000;
  if (precision == "s") return 1'000'000'000;
  if (precision == "m") return 60'000'000'000;
  if (precision == "h") return 3'600'000'000'000;
  return std::nullopt;
}

void parse_influx_lines(std::string_view body, const LineOptions& options, const RowLimits& limits,
                        Rows& out) {
  size_t open_quotes = 0;
  for (uint32_t number = 1; !body.empty(); ++number) {
    // A body of open quotes would be searched to its end for each line.
    const size_t end = open_quotes > 16 ? std::min(body.find('\n'), body.size()) : line_end(body);
    std::string_view line = body.substr(0, end);
    if (end == body.find('\n') && line.find('"') != std::string_view::npos &&
        std::count(line.begin(), line.end(), '"') % 2 == 1)
      ++open_quotes;
    body.remove_prefix(std::min(end + 1, body.size()));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
    if (line.empty() || line.front() == '#') continue;
    if (out.rows.size() >= limits.rows_max) {
      out.refuse(number, "too many lines in one request", limits, line);
      continue;
    }
    Line(line, number, options, limits, out).read();
  }
  out.shorter.resize(out.values.size());
}

}  // namespace penstock::interop::http
