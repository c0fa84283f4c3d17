#pragma once
// OpenTelemetry metrics over HTTP (OTLP 1.x, opentelemetry-proto metrics/v1): gauges and sums, as
// protobuf or JSON. No I/O.

#include "base/result.h"
#include "interop/http/rows.h"

namespace penstock::interop::http {

/// One row a data point. The device is the resource's attribute "device", else service.instance.id,
/// host.name, service.name. An address is the metric's name, with the point's attributes as
/// "name[key=value,…]". Histograms and summaries are refused, each point counted.
/// kInvalidArgument: not an ExportMetricsServiceRequest.
Status parse_otlp_protobuf(std::string_view body, const RowLimits& limits, Rows& out);
Status parse_otlp_json(std::string_view body, const RowLimits& limits, Rows& out);

}  // namespace penstock::interop::http
