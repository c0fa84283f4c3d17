// Any bytes as a device's telemetry, against a model with an element of every kind: never a crash;
// every sample lies inside its model and limits; the general part alone decides the same.

#include <cstring>

#include "base/check.h"
#include "stream/telemetry.h"

using namespace penstock;
using namespace penstock::stream;

namespace {

twin::DeviceConfig machine() {
  twin::DeviceConfig device;
  uint32_t series = 0;
  const auto add = [&](const char* key, ValueKind kind) -> twin::ElementConfig& {
    twin::ElementConfig element;
    element.key = key;
    element.series = SeriesId(++series);
    element.kind = kind;
    return device.elements.emplace_back(std::move(element));
  };
  add("temperature", ValueKind::kDouble).minimum = -40;
  device.elements.back().maximum = 150;
  add("count", ValueKind::kInteger);
  add("running", ValueKind::kBoolean);
  add("mode", ValueKind::kText).enum_values = {"auto", "manual"};
  add("label", ValueKind::kText);
  add("position", ValueKind::kObject);
  add("motor.current", ValueKind::kDouble).scale = 0.1;
  return device;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const twin::DeviceConfig device = machine();
  static TelemetryDecoder decoder({64, Duration::hours(24)});
  static TelemetryDecoder general({64, Duration::hours(24), false});
  const std::string_view payload(reinterpret_cast<const char*>(data), size);
  const Timestamp now = Timestamp::from_seconds(1'767'225'600);
  SampleBuffer out;
  const DecodeOutcome outcome = decoder.decode(payload, device, now, out);
  CHECK(out.samples.size() == outcome.accepted);
  CHECK(out.samples.size() <= 64);
  CHECK((outcome.rejected > 0) == (outcome.first_reject != Reject::kNone));
  CHECK(outcome.accepted > 0 || outcome.rejected > 0);
  for (const Sample& sample : out.samples) {
    CHECK(sample.series.value >= 1 && sample.series.value <= device.elements.size());
    const twin::ElementConfig& element = device.elements[sample.series.value - 1];
    CHECK(sample.kind == element.kind);
    CHECK(sample.received_time == now && sample.source_time <= now + Duration::hours(24));
    if (sample.kind == ValueKind::kText || sample.kind == ValueKind::kObject)
      CHECK(uint64_t{sample.text.offset} + sample.text.length <= out.text.size());
    if (element.minimum) CHECK(sample.number >= *element.minimum);
    if (element.maximum) CHECK(sample.number <= *element.maximum);
  }
  SampleBuffer again;
  const DecodeOutcome second = general.decode(payload, device, now, again);
  CHECK(second.accepted == outcome.accepted && second.rejected == outcome.rejected);
  CHECK(second.first_reject == outcome.first_reject && again.text == out.text);
  CHECK(out.samples.empty() || std::memcmp(again.samples.data(), out.samples.data(),
                                           out.samples.size() * sizeof(Sample)) == 0);
  return 0;
}
