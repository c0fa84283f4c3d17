#pragma once
// JSON away from the hot path. Include this where documents are built or read; the hot path uses
// simdjson in one .cpp.

#include <string_view>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace penstock {

using Json = nlohmann::json;

/// Parses one document. The error names the byte where it went wrong. `max_depth` guards the stack.
Result<Json> parse_json(std::string_view text, int max_depth = 64);

}  // namespace penstock
