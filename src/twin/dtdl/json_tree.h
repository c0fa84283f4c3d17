#pragma once
// A JSON document that remembers where each value stands and keeps repeated members: what a
// checker needs to point at a mistake, and what a document model for use throws away.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace penstock::twin::dtdl {

struct JsonMember;

struct JsonNode {
  enum class Kind : uint8_t { kNull, kFalse, kTrue, kNumber, kString, kArray, kObject };
  Kind kind = Kind::kNull;
  size_t begin = 0, end = 0;  ///< bytes of the document
  std::string text;           ///< a string's content; a number as it was written
  std::vector<JsonNode> items;
  std::vector<JsonMember> members;  ///< in order, repeated names too

  [[nodiscard]] bool is_string() const { return kind == Kind::kString; }
  [[nodiscard]] bool is_number() const { return kind == Kind::kNumber; }
  [[nodiscard]] bool is_bool() const { return kind == Kind::kTrue || kind == Kind::kFalse; }
  [[nodiscard]] bool is_array() const { return kind == Kind::kArray; }
  [[nodiscard]] bool is_object() const { return kind == Kind::kObject; }
  [[nodiscard]] bool is_null() const { return kind == Kind::kNull; }
  [[nodiscard]] const JsonNode* find(std::string_view name) const;
};

struct JsonMember {
  std::string first;
  JsonNode second;
};

/// Lines and columns count from 1; a column is a byte.
struct Position {
  size_t line = 1, column = 1;
};
Position position_of(std::string_view document, size_t offset);

/// Parses one document (RFC 8259) of at most `depth_max` levels, after a byte order mark where
/// there is one. The error names line and column; `wrong_at` gets its byte.
Result<JsonNode> parse_json_tree(std::string_view document, int depth_max = 256,
                                 size_t* wrong_at = nullptr);

}  // namespace penstock::twin::dtdl
