#include "interop/http/csv_rows.h"

#include <algorithm>
#include <cctype>

#include "base/csv.h"

namespace penstock::interop::http {
namespace {

constexpr size_t kColumnsMax = 10'000;
constexpr size_t kNone = SIZE_MAX;

struct Columns {
  std::vector<std::string_view> names;
  size_t device = kNone, time = kNone, element = kNone, value = kNone;
};

// The next record: up to a newline outside of quotes.
std::string_view take_record(std::string_view& body) {
  bool quoted = false;
  size_t end = 0;
  for (; end < body.size() && (quoted || body[end] != '\n'); ++end)
    if (body[end] == '"') quoted = !quoted;
  std::string_view record = body.substr(0, end);
  body.remove_prefix(std::min(end + 1, body.size()));
  if (record.ends_with('\r')) record.remove_suffix(1);
  return record;
}

Result<Columns> read_header(std::string_view record, char separator, Rows& out) {
  std::vector<std::string> fields;
  if (!split_csv(record, separator, fields) || fields.size() > kColumnsMax)
    return fail(ErrorCode::kInvalidArgument, "the first line of the CSV is no header");
  Columns columns;
  for (std::string& field : fields) {
    std::string lower = field;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const size_t at = columns.names.size();
    if (lower == "device") columns.device = at;
    if (lower == "time" || lower == "timestamp" || lower == "ts") columns.time = at;
    if (lower == "element") columns.element = at;
    if (lower == "value") columns.value = at;
    columns.names.push_back(out.keep(std::move(field)));
  }
  if (columns.element == kNone || columns.value == kNone) columns.element = columns.value = kNone;
  const size_t others =
      columns.names.size() - (columns.device != kNone ? 1 : 0) - (columns.time != kNone ? 1 : 0);
  if (others == 0)
    return fail(ErrorCode::kInvalidArgument,
                "the CSV's header names no value: write device,time,temperature");
  return columns;
}

void read_row(const Columns& columns, std::vector<std::string>& fields, uint32_t number,
              std::string_view record, const RowLimits& limits, Rows& out) {
  if (fields.size() != columns.names.size())
    return out.refuse(number, "the row has another number of fields than the header", limits,
                      record);
  Timestamp time;
  if (columns.time != kNone && !fields[columns.time].empty()) {
    const auto read = parse_any_time(fields[columns.time]);
    if (!read)
      return out.refuse(number, "the time is neither RFC 3339 nor a number since 1970", limits,
                        record);
    time = *read;
  }
  Row row;
  row.number = number;
  row.first = static_cast<uint32_t>(out.values.size());
  if (columns.device != kNone) row.device = out.keep(std::move(fields[columns.device]));
  const auto put = [&](std::string_view address, std::string& text) {
    if (!text.empty()) out.values.push_back(value_of(address, out.keep(std::move(text)), time));
  };
  if (columns.element != kNone) {
    if (fields[columns.element].empty() || fields[columns.element].size() > limits.name_bytes_max)
      return out.refuse(number, "the row names no element", limits, record);
    put(out.keep(std::move(fields[columns.element])), fields[columns.value]);
  } else {
    for (size_t i = 0; i < fields.size(); ++i)
      if (i != columns.device && i != columns.time) put(columns.names[i], fields[i]);
  }
  row.count = static_cast<uint32_t>(out.values.size()) - row.first;
  if (row.count > 0) out.rows.push_back(row);  // a row of empty fields says nothing
}

}  // namespace

Status parse_csv_rows(std::string_view body, const RowLimits& limits, Rows& out) {
  if (body.starts_with("\xEF\xBB\xBF")) body.remove_prefix(3);
  const std::string_view first = take_record(body);
  const char separator = csv_separator(first);
  TRY_ASSIGN(const Columns columns, read_header(first, separator, out));
  std::vector<std::string> fields;
  for (uint32_t number = 2; !body.empty(); ++number) {
    const std::string_view record = take_record(body);
    if (record.empty()) continue;
    if (out.rows.size() >= limits.rows_max ||
        out.values.size() + columns.names.size() > limits.values_max) {
      out.refuse(number, "too many rows in one request", limits, record);
      continue;
    }
    fields.clear();
    if (!split_csv(record, separator, fields))
      out.refuse(number, "a quote is left open", limits, record);
    else
      read_row(columns, fields, number, record, limits, out);
  }
  return {};
}

}  // namespace penstock::interop::http
