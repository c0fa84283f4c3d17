#pragma once
// Metric values that have no form of their own in a twin, as JSON text: arrays, datasets, bytes;
// and whole payloads, for people and tests.

#include <string>
#include <string_view>

#include "interop/sparkplug/payload.h"

namespace penstock::interop::sparkplug {

/// As protobuf wants strings: well formed (RFC 3629), control characters and all. MQTT's own rule
/// for topics is stricter.
bool is_utf8(std::string_view text);

/// JSON, or what append_base64 writes. False: malformed, not UTF-8, or longer than `bytes_max`.
bool append_array(std::string& out, DataType type, ByteView packed, size_t bytes_max);
/// {"columns":[…],"types":[…],"rows":[[…],…]}.
bool append_dataset(std::string& out, ByteView message, size_t bytes_max);
void append_base64(std::string& out, ByteView bytes);
/// RFC 3339 of milliseconds since 1970; false: after the year 9999.
bool append_date(std::string& out, uint64_t ms);
/// Quoted and escaped; false: not UTF-8.
bool append_quoted(std::string& out, std::string_view text);

/// The whole payload as JSON, nested sets and templates included. False: it is none, or is nested
/// deeper than 16 levels.
bool append_payload(std::string& out, ByteView payload);

}  // namespace penstock::interop::sparkplug
