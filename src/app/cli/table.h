#pragma once
// Tables for people: columns as wide as their content, numbers to the right, '-' for nothing.

#include <string>
#include <vector>

#include "base/json.h"

namespace penstock::app::cli {

class Table {
 public:
  explicit Table(std::vector<std::string> header) : header_(std::move(header)) {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] size_t rows() const { return rows_.size(); }
  /// A column whose cells are all numbers is set to the right.
  [[nodiscard]] std::string text() const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

/// A JSON value as a cell: null, "" and a missing member are "-".
std::string cell(const Json& value);
/// The same of a member; "a.b" looks into objects.
std::string cell(const Json& object, const std::string& member);

}  // namespace penstock::app::cli
