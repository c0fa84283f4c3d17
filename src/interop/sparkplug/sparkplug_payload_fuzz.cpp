// Whatever bytes claim to be a Sparkplug payload: every reader ends within them, and what was read
// can be written and read again as the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "interop/sparkplug/text.h"
#include "interop/sparkplug/values.h"

using namespace penstock;
using namespace penstock::interop::sparkplug;

namespace {

void require(bool truth) {
  if (!truth) std::abort();
}

void check_again(const Metric& metric) {
  Bytes wire;
  write_metric(wire, metric);
  MetricReader reader(wire);
  Metric again;
  require(reader.next(again));
  require(again.name == metric.name && again.alias == metric.alias);
  require(again.has_alias == metric.has_alias && again.timestamp_ms == metric.timestamp_ms);
  require(again.type == metric.type && again.null == metric.null);
  require(again.value.form == metric.value.form && again.value.bits == metric.value.bits);
  require(as_text(again.value.bytes) == as_text(metric.value.bytes));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView payload(reinterpret_cast<const std::byte*>(data), size);
  PayloadInfo info;
  const bool whole = read_info(payload, info);
  MetricReader reader(payload);
  Metric metric;
  uint32_t metrics = 0;
  for (; reader.next(metric); ++metrics) check_again(metric);
  require(!whole || metrics <= info.metrics);

  MetricValues values(ValueLimits{1000, 64U << 10, 8});
  Dictionary known;
  (void)values.learn(payload, 1000, known);
  (void)values.add_all(payload, known, info.timestamp_ms);
  size_t bytes = 0;
  for (const auto& value : values.values()) bytes += value.address.size() + value.text.size();
  require(bytes < (64U << 20));
  std::string text;
  (void)append_payload(text, payload);
  return 0;
}
