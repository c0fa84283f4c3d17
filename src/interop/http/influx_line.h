#pragma once
// InfluxDB line protocol (docs.influxdata.com, "Line protocol"), as Telegraf and most loggers write
// it: measurement,tag=value field=1.5,other=2i 1700000000000000000. No I/O.

#include "interop/http/rows.h"

namespace penstock::interop::http {

/// Of a timestamp; from the query's `precision` (v1: n, u, ms, s, m, h; v2: ns, us, ms, s).
std::optional<int64_t> nanos_of_precision(std::string_view precision);

struct LineOptions {
  int64_t precision_ns = 1;
  std::string_view device_tag = "device";
};

/// One row a line. Its device is the tag `device_tag`, else the tag `host` (a guess), else empty.
/// An address is "measurement.field", and where further tags tell series apart
/// "measurement.field[cpu=cpu0]"; without such tags the field alone is offered as the shorter one.
/// A line that is wrong is refused, its neighbours stay. Times become µs.
void parse_influx_lines(std::string_view body, const LineOptions& options, const RowLimits& limits,
                        Rows& out);

}  // namespace penstock::interop::http
