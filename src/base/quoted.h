#pragma once
// A text as JSON has it, for those who write JSON by appending.

#include <string>
#include <string_view>

namespace penstock {

/// Appends `text` in quotes, with quote, backslash and control characters escaped (RFC 8259, 7).
/// REQUIRES: UTF-8 where the result is to be JSON; other bytes are passed on as they are.
void append_quoted(std::string& out, std::string_view text);

}  // namespace penstock
