#include "stream/try_binding.h"

#include "stream/bind.h"
#include "stream/bound_payload.h"
#include "stream/report.h"
#include "twin/state.h"

namespace penstock::stream {
namespace {

using twin::DeviceConfig;

// A device of that model that exists only here.
DeviceConfig imagined(const twin::ModelInfo& model) {
  twin::TwinRecord record;
  record.model = std::make_shared<const twin::ModelInfo>(model);
  for (uint32_t i = 0; i < model.elements.size(); ++i) record.series.emplace_back(i + 1);
  return *twin::make_config(twin::DeviceRecord{}, record, nullptr);
}

std::string value_json(const WireValue& value) {
  std::string out;
  append_value(out, value);
  return out;
}

std::string sample_json(const Sample& sample, std::string_view text) {
  WireValue value;
  value.kind = sample.kind;
  value.integer = sample.integer;  // all eight bytes, whatever the kind
  value.text = text;
  return value_json(value);
}

TriedValue one(const WireValue& value, const DeviceConfig& device, const twin::WireRule* rule,
               Timestamp received, const twin::SourceConfig& source) {
  TriedValue tried;
  tried.address = value.address;
  tried.wire = value_json(value);
  tried.quality = value.quality;
  tried.time = value.source_time;
  if (!rule) return tried;
  tried.element = device.elements[rule->element].key;
  tried.unit = device.elements[rule->element].unit;
  DeviceConfig alone = device;
  auto only = std::make_shared<twin::SourceConfig>(source);
  only->rules = {*rule};
  alone.source = std::move(only);
  SampleBuffer out;
  const BindOutcome outcome = bind_values({&value, 1}, alone, {}, received, {}, out);
  if (outcome.rejected > 0) {
    tried.reason = name(outcome.first_reject);
    return tried;
  }
  const Sample& sample = out.samples.front();
  const bool is_text = sample.kind == ValueKind::kText || sample.kind == ValueKind::kObject;
  tried.stored =
      sample_json(sample, is_text ? SampleView{out.samples, out.text}.text_of(sample) : "");
  return tried;
}

struct Message {
  std::string_view topic, payload;
};

// The payload as wire values, by the binding, by a reader of its protocol, or as the JSON that
// discovery keeps (which no reader's payload begins like). A refusal goes into `tried`.
Result<std::span<const WireValue>> read_values(const Message& message,
                                               const twin::SourceConfig& source,
                                               const ReportReaders& readers,
                                               BoundPayloadReader& reader, OwnedReport& report,
                                               TriedPayload& tried) {
  const auto own = readers.find(source.protocol);
  const bool is_json = message.payload.starts_with('{') || message.payload.starts_with('[');
  if (own != readers.end() && !is_json) {
    TRY_ASSIGN(report, own->second(message.topic, message.payload));
    tried.device = report.device();
    return report.view().values;
  }
  const bool describes_payload = source.protocol == "mqtt" || source.protocol == "http";
  const Reject why = describes_payload ? reader.read(message.payload, message.topic, source)
                                       : reader.read_report(message.payload);
  if (why == Reject::kNone) return reader.values();
  tried.reason = name(why);
  tried.about = reader.about();
  return std::span<const WireValue>();
}

}  // namespace

Result<TriedPayload> try_binding(const twin::BindingDocument& document,
                                 const twin::ModelInfo& model, std::string_view topic,
                                 std::string_view payload, Timestamp received,
                                 const ReportReaders& readers) {
  TRY_ASSIGN(const auto source, twin::compile_binding(document, 0, model));
  TriedPayload tried;
  twin::TopicPattern::Captures captures;
  if (!source->topic.empty()) {
    if (!source->topic.match(topic, captures)) {
      tried.reason = "the topic does not match " + source->topic.text();
      return tried;
    }
    document.device.expand(captures, tried.device);
  }
  BoundPayloadReader reader;
  OwnedReport report;
  TRY_ASSIGN(const auto values,
             read_values({topic, payload}, *source, readers, reader, report, tried));
  const DeviceConfig device = imagined(model);
  for (const WireValue& value : values) {
    const auto rules = source->rules_of(value.address);
    if (rules.empty()) tried.values.push_back(one(value, device, nullptr, received, *source));
    for (const twin::WireRule& rule : rules)
      tried.values.push_back(one(value, device, &rule, received, *source));
  }
  return tried;
}

}  // namespace penstock::stream
