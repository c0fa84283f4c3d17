#include "app/cli/table.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace penstock::app::cli {
namespace {

// Characters, not bytes: UTF-8 continuation bytes have no width.
size_t width_of(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](unsigned char c) { return (c & 0xC0) != 0x80; }));
}

bool numeric(const std::string& text) {
  return text == "-" ||
         (!text.empty() && text.find_first_not_of("0123456789.+-eE%") == std::string::npos);
}

}  // namespace

std::string Table::text() const {
  std::vector<size_t> widths;
  std::vector<bool> right;
  for (size_t column = 0; column < header_.size(); ++column) {
    size_t width = width_of(header_[column]);
    bool numbers = !rows_.empty();
    for (const auto& row : rows_) {
      width = std::max(width, width_of(row[column]));
      numbers = numbers && numeric(row[column]);
    }
    widths.push_back(width);
    right.push_back(numbers);
  }
  std::string out;
  const auto put = [&](const std::vector<std::string>& row) {
    std::string line;
    for (size_t column = 0; column < row.size(); ++column) {
      const std::string fill(widths[column] - width_of(row[column]), ' ');
      line += right[column] ? fill + row[column] : row[column] + fill;
      line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  put(header_);
  for (const auto& row : rows_) put(row);
  return out;
}

std::string cell(const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_string()) return value.get<std::string>().empty() ? "-" : value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number_float()) return fmt::format("{:.6g}", value.get<double>());
  return value.dump();
}

std::string cell(const Json& object, const std::string& member) {
  const size_t dot = member.find('.');
  const std::string first = member.substr(0, dot);
  if (!object.is_object() || !object.contains(first)) return "-";
  return dot == std::string::npos ? cell(object.at(first))
                                  : cell(object.at(first), member.substr(dot + 1));
}

}  // namespace penstock::app::cli
