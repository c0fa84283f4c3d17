#pragma once
// JSON and JSON Lines as an ingest body. No I/O.

#include "base/result.h"
#include "interop/http/rows.h"

namespace penstock::interop::http {

/// One document: telemetry as over MQTT, which is one row of whoever sends it; or objects with a
/// member "device" (alone or in an array), a row each: {"device":"pump-1","ts":…,"values":{…}} or
/// {"device":"pump-1","temperature":21.5}. kInvalidArgument: no JSON.
Status parse_json_rows(std::string_view body, const RowLimits& limits, Rows& out);

/// The same, a document a line. A line that is no JSON object is refused, its neighbours stay.
void parse_json_lines(std::string_view body, const RowLimits& limits, Rows& out);

}  // namespace penstock::interop::http
