#include "base/csv.h"

#include <algorithm>
#include <filesystem>

namespace penstock {
namespace {

constexpr size_t kRecordBytesMax = 1 << 20;

// An odd number of quotes: the record goes on in the next line.
bool quote_is_open(std::string_view text) { return std::count(text.begin(), text.end(), '"') % 2; }

}  // namespace

char csv_separator(std::string_view header) {
  char best = ',';
  ptrdiff_t most = 0;
  for (const char one : {';', ',', '\t', '|'}) {
    const ptrdiff_t count = std::count(header.begin(), header.end(), one);
    if (count <= most) continue;
    most = count;
    best = one;
  }
  return best;
}

bool split_csv(std::string_view record, char separator, std::vector<std::string>& fields) {
  size_t at = 0;
  while (true) {
    std::string field;
    if (at < record.size() && record[at] == '"') {
      for (++at; at < record.size(); ++at) {
        if (record[at] != '"') {
          field += record[at];
        } else if (at + 1 < record.size() && record[at + 1] == '"') {
          field += record[at++];
        } else {
          break;
        }
      }
      if (at == record.size()) return false;
      ++at;
    }
    const size_t end = std::min(record.find(separator, at), record.size());
    field += record.substr(at, end - at);
    fields.push_back(std::move(field));
    if (end == record.size()) return true;
    at = end + 1;
  }
}

Result<CsvReader> CsvReader::open(const std::string& path, char separator) {
  CsvReader out;
  out.path_ = path;
  std::error_code error;
  out.total_ = std::filesystem::file_size(path, error);
  out.file_.open(path);
  if (error || !out.file_)
    return fail(ErrorCode::kNotFound, "this file cannot be read: look at its name and rights",
                path);
  auto header = out.next_record();
  if (!header || header->empty())
    return fail(ErrorCode::kInvalidArgument, "the file is empty: its first line must name columns",
                path);
  if (header->starts_with("\xEF\xBB\xBF")) header->erase(0, 3);
  out.separator_ = separator ? separator : csv_separator(*header);
  if (!split_csv(*header, out.separator_, out.header_))
    return fail(ErrorCode::kInvalidArgument, "a quote in the first line is never closed", path);
  return out;
}

std::optional<std::string> CsvReader::next_record() {
  std::string record, line;
  while (std::getline(file_, line)) {
    bytes_ += line.size() + 1;
    ++lines_read_;
    if (record.empty()) line_ = lines_read_;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    record += line;
    if (record.empty()) continue;
    if (!quote_is_open(record) || record.size() > kRecordBytesMax) return record;
    record += '\n';
  }
  if (record.empty()) return std::nullopt;
  return record;
}

Result<std::optional<std::vector<std::string>>> CsvReader::next() {
  const auto record = next_record();
  if (!record) return std::optional<std::vector<std::string>>();
  const auto wrong = [&](const std::string& what) {
    return fail(ErrorCode::kInvalidArgument, what, path_ + ":" + std::to_string(line_));
  };
  std::vector<std::string> fields;
  if (!split_csv(*record, separator_, fields)) return wrong("a quote is never closed");
  if (fields.size() != header_.size())
    return wrong("this line has " + std::to_string(fields.size()) + " fields, the header " +
                 std::to_string(header_.size()));
  return std::optional(std::move(fields));
}

}  // namespace penstock
