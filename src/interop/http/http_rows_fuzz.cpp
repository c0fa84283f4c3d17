// Any bytes as an ingest body of any format: never a crash, never a hang; every view lies in a row
// that is there. The first byte chooses the parser.

#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "interop/http/csv_rows.h"
#include "interop/http/influx_line.h"
#include "interop/http/json_rows.h"
#include "interop/http/otlp.h"

using namespace penstock;
using namespace penstock::interop::http;

namespace {

void parse(uint8_t which, std::string_view body, const RowLimits& limits, Rows& rows) {
  switch (which % 6) {
    case 0:
      return parse_influx_lines(body, {}, limits, rows);
    case 1:
      return (void)parse_csv_rows(body, limits, rows);
    case 2:
      return (void)parse_json_rows(body, limits, rows);
    case 3:
      return parse_json_lines(body, limits, rows);
    case 4:
      return (void)parse_otlp_protobuf(body, limits, rows);
    default:
      return (void)parse_otlp_json(body, limits, rows);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  RowLimits limits;
  limits.rows_max = 64;
  limits.values_max = 256;
  limits.errors_max = 8;
  Rows rows;
  parse(data[0], {reinterpret_cast<const char*>(data + 1), size - 1}, limits, rows);
  CHECK(rows.rows.size() <= limits.rows_max);
  CHECK(rows.values.size() <= limits.values_max);
  CHECK(rows.errors.size() <= limits.errors_max);
  CHECK(rows.shorter.empty() || rows.shorter.size() == rows.values.size());
  size_t bytes = 0;
  for (const Row& row : rows.rows) {
    CHECK(row.first + row.count <= rows.values.size());
    bytes += row.device.size() + row.payload.size();
    for (uint32_t i = row.first; i < row.first + row.count; ++i)
      bytes += rows.values[i].address.size() + rows.values[i].text.size();
  }
  CHECK(bytes < SIZE_MAX);
  return 0;
}
