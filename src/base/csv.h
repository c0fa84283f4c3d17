#pragma once
// CSV as people's tools write it (RFC 4180, and with ';' or tabs): one record at a time, in
// constant memory.

#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace penstock {

/// The separator of a header line: the one of ; , tab | that stands there most often; ',' where
/// none does.
char csv_separator(std::string_view header);

/// Appends the fields of one record to `fields`, quotes taken off. False: a quote is left open.
bool split_csv(std::string_view record, char separator, std::vector<std::string>& fields);

/// Reads a file with a header. One thread.
class CsvReader {
 public:
  /// `separator` 0: found from the header. A byte order mark is skipped. Errors name file and line.
  static Result<CsvReader> open(const std::string& path, char separator = 0);

  [[nodiscard]] const std::vector<std::string>& header() const { return header_; }
  /// The next record, as many fields as the header has; nothing at the end. kInvalidArgument: a
  /// record of another length or an open quote; the next call goes on behind it.
  Result<std::optional<std::vector<std::string>>> next();
  [[nodiscard]] uint64_t line() const { return line_; }  ///< of the last record, from 1
  [[nodiscard]] uint64_t bytes_read() const { return bytes_; }
  [[nodiscard]] uint64_t bytes_total() const { return total_; }

 private:
  CsvReader() = default;
  std::optional<std::string> next_record();
  std::string path_;
  std::ifstream file_;
  char separator_ = ',';
  std::vector<std::string> header_;
  uint64_t line_ = 0, lines_read_ = 0, bytes_ = 0, total_ = 0;
};

}  // namespace penstock
