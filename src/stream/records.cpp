#include "stream/records.h"

#include <cstring>

namespace penstock::stream {

void encode_samples(Bytes& out, const SampleView& view) {
  append_le<uint32_t>(out, static_cast<uint32_t>(view.samples.size()));
  append_le<uint32_t>(out, static_cast<uint32_t>(view.text.size()));
  append_bytes(out, std::as_bytes(view.samples));
  append_bytes(out, as_bytes(view.text));
}

std::optional<SampleView> decode_samples(ByteView body) {
  if (body.size() < 8) return std::nullopt;
  const uint64_t count = load_le<uint32_t>(body.data());
  const uint64_t text = load_le<uint32_t>(body.data() + 4);
  if (8 + count * sizeof(Sample) + text != body.size()) return std::nullopt;
  if (reinterpret_cast<uintptr_t>(body.data()) % alignof(Sample) != 0) return std::nullopt;
  const auto* samples = reinterpret_cast<const Sample*>(body.data() + 8);
  SampleView view{{samples, count}, as_text(body.subspan(8 + count * sizeof(Sample)))};
  for (const Sample& s : view.samples) {
    if (s.kind > ValueKind::kObject || s.quality > Quality::kBad) return std::nullopt;
    const bool is_text = s.kind == ValueKind::kText || s.kind == ValueKind::kObject;
    if (is_text && static_cast<uint64_t>(s.text.offset) + s.text.length > text) return std::nullopt;
  }
  return view;
}

void encode_raw(Bytes& out, const RawMessage& message) {
  append_le<int64_t>(out, message.received.us);
  append_le<uint32_t>(out, message.organisation.value);
  append_text(out, message.device);
  append_text(out, message.topic);
  append_text(out, message.payload);
  append_text(out, message.reason);
}

std::optional<RawMessage> decode_raw(ByteView body) {
  ByteReader in(body);
  RawMessage m;
  m.received.us = in.le<int64_t>();
  m.organisation = OrganisationId(in.le<uint32_t>());
  m.device = in.text();
  m.topic = in.text();
  m.payload = in.text();
  m.reason = in.text();
  if (!in.ok() || !in.done()) return std::nullopt;
  return m;
}

void encode_signal(Bytes& out, const Signal& signal) {
  append_le<uint32_t>(out, signal.twin.value);
  append_le<uint32_t>(out, signal.source.value);
  append_le<uint8_t>(out, signal.active ? 1 : 0);
  append_le<int64_t>(out, signal.time.us);
  append_le<double>(out, signal.value);
  append_le<double>(out, signal.limit);
  append_text(out, signal.detail);
}

std::optional<Signal> decode_signal(ByteView body) {
  ByteReader in(body);
  Signal s;
  s.twin = TwinId(in.le<uint32_t>());
  s.source = RuleId(in.le<uint32_t>());
  s.active = in.le<uint8_t>() != 0;
  s.time.us = in.le<int64_t>();
  s.value = in.le<double>();
  s.limit = in.le<double>();
  s.detail = in.text();
  if (!in.ok() || !in.done()) return std::nullopt;
  return s;
}

}  // namespace penstock::stream
