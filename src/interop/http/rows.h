#pragma once
// What the body of an ingest request holds, whatever its format: rows, each the values of one
// device at one moment. The parsers fill it; none does I/O.

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stream/report.h"

namespace penstock::interop::http {

struct RowLimits {
  size_t rows_max = 100'000;
  size_t values_max = 1'000'000;  ///< of all rows
  size_t name_bytes_max = 256;    ///< of an address or a device's name
  size_t errors_max = 100;        ///< described; the others are only counted
};

/// One row. Its values are [first, first + count) of Rows::values, or its JSON is `payload`.
struct Row {
  uint32_t number = 0;      ///< line, or position in the body, from 1
  std::string_view device;  ///< as written; empty: whoever sends it
  uint32_t first = 0, count = 0;
  std::string_view payload;  ///< telemetry JSON; empty: the values
  /// `device` is taken from what tells where an agent runs (the tag host, service.name), which its
  /// writer need not have meant as a device.
  bool device_is_guess = false;
};

struct RowError {
  uint32_t number = 0;
  std::string reason;     ///< a sentence
  std::string_view text;  ///< the row as it came; empty where it is not to be had
};

/// Views point into the body, or into `texts`: both must outlive their use.
struct Rows {
  std::vector<Row> rows;
  std::vector<stream::WireValue> values;
  /// Parallel to `values` where a shorter address may do too (line protocol: the field alone);
  /// empty where not.
  std::vector<std::string_view> shorter;
  std::deque<std::string> texts;
  std::vector<RowError> errors;
  uint64_t refused = 0;  ///< rows; those in `errors` included

  /// A text that stays where it is.
  std::string_view keep(std::string text) { return texts.emplace_back(std::move(text)); }
  void refuse(uint32_t number, std::string reason, const RowLimits& limits,
              std::string_view text = {}) {
    ++refused;
    if (errors.size() < limits.errors_max) errors.push_back({number, std::move(reason), text});
  }
};

/// A number since the epoch, whose size says whether it is s, ms, µs or ns; RFC 3339 else. Nothing:
/// neither.
std::optional<Timestamp> parse_any_time(std::string_view text);
Timestamp time_of_number(double number);

/// A value as text formats write it: whole, fraction, true/false, else text.
stream::WireValue value_of(std::string_view address, std::string_view text, Timestamp time);

/// "name[key=value,…]", the keys in order; the name alone where there are none.
std::string address_with(std::string name,
                         std::vector<std::pair<std::string_view, std::string_view>> tags);

}  // namespace penstock::interop::http
