#pragma once
// CSV as an ingest body: a header, then a row a moment. No I/O.

#include "base/result.h"
#include "interop/http/rows.h"

namespace penstock::interop::http {

/// Columns `device` and `time` (or `timestamp`, `ts`) say whose and when; each other column is a
/// value whose address is the header. With the columns `element` and `value` each row is one value
/// (long form). Empty fields give no value. The separator is found from the header; RFC 4180
/// quotes. kInvalidArgument: no header that names a value.
Status parse_csv_rows(std::string_view body, const RowLimits& limits, Rows& out);

}  // namespace penstock::interop::http
