#include "stream/records.h"

#include <array>
#include <cstring>

#include "base/varint.h"

namespace penstock::stream {

namespace {

// Times from outside may lie anywhere.
int64_t wrapping_sum(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
int64_t wrapping_difference(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}

// Collects bytes on the stack: a batch grows by what is in it, not by what might be.
class Packer {
 public:
  explicit Packer(Bytes& out) : out_(out) {}
  ~Packer() { flush(); }
  Packer(const Packer&) = delete;
  Packer& operator=(const Packer&) = delete;

  /// REQUIRED before at most so many bytes.
  void room(size_t bytes) {
    if (used_ + bytes > buffer_.size()) flush();
  }
  void byte(unsigned value) { buffer_[used_++] = static_cast<std::byte>(value); }
  void varint(uint64_t value) {
    write_varint(value, [this](uint8_t part) { byte(part); });
  }
  void eight(int64_t value) {
    std::memcpy(buffer_.data() + used_, &value, 8);
    used_ += 8;
  }

 private:
  void flush() {
    append_bytes(out_, ByteView(buffer_).first(used_));
    used_ = 0;
  }

  Bytes& out_;
  size_t used_ = 0;
  std::array<std::byte, 2048> buffer_;  // not set: only what was written is read
};

// Sticky failure, as ByteReader.
class Unpacker {
 public:
  explicit Unpacker(ByteView bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  unsigned byte() {
    if (at_ == end_) return fail();
    return static_cast<unsigned>(*at_++);
  }
  uint64_t varint() {
    const auto value = read_varint([this] { return byte(); });
    return value ? *value : fail();
  }
  int64_t eight() {
    if (end_ - at_ < 8) return static_cast<int64_t>(fail());
    const auto value = load_le<int64_t>(at_);
    at_ += 8;
    return value;
  }
  [[nodiscard]] size_t left() const { return static_cast<size_t>(end_ - at_); }
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  unsigned fail() {
    ok_ = false;
    at_ = end_;
    return 0;
  }

  const std::byte* at_;
  const std::byte* end_;
  bool ok_ = true;
};

constexpr size_t kRunHeaderMax = 3 * 10;   // three varints
constexpr size_t kSampleMax = 1 + 5 + 10;  // kind and quality, series, the widest value
constexpr size_t kSampleMin = 1 + 1 + 1;

bool same_times(const Sample& a, const Sample& b) {
  return a.source_time == b.source_time && a.received_time == b.received_time;
}

}  // namespace

// The values of a message share their times and have neighbouring series: half the bytes of the
// samples as they are in memory, for a few nanoseconds each.
void encode_samples(Bytes& out, const SampleView& view) {
  append_le<uint32_t>(out, static_cast<uint32_t>(view.samples.size()));
  append_le<uint32_t>(out, static_cast<uint32_t>(view.text.size()));
  append_bytes(out, as_bytes(view.text));
  Packer pack(out);
  int64_t time_before = 0;
  uint32_t series_before = 0;
  for (size_t i = 0; i < view.samples.size();) {
    const Sample& first = view.samples[i];
    size_t end = i + 1;
    while (end < view.samples.size() && same_times(first, view.samples[end])) ++end;
    pack.room(kRunHeaderMax);
    pack.varint(end - i);
    pack.varint(zigzag(wrapping_difference(first.source_time.us, time_before)));
    pack.varint(zigzag(wrapping_difference(first.received_time.us, first.source_time.us)));
    time_before = first.source_time.us;
    for (; i < end; ++i) {
      const Sample& sample = view.samples[i];
      pack.room(kSampleMax);
      pack.byte(static_cast<unsigned>(sample.kind) | static_cast<unsigned>(sample.quality) << 4);
      pack.varint(zigzag(static_cast<int32_t>(sample.series.value - series_before)));
      series_before = sample.series.value;
      switch (sample.kind) {
        case ValueKind::kBoolean:
          pack.byte(sample.boolean ? 1 : 0);
          break;
        case ValueKind::kText:
        case ValueKind::kObject:
          pack.varint(sample.text.offset);
          pack.varint(sample.text.length);
          break;
        default:
          pack.eight(sample.integer);
      }
    }
  }
}

std::optional<SampleView> decode_samples(ByteView body, std::vector<Sample>& into) {
  into.clear();
  if (body.size() < 8) return std::nullopt;
  const uint64_t count = load_le<uint32_t>(body.data());
  const uint64_t text_bytes = load_le<uint32_t>(body.data() + 4);
  if (body.size() - 8 < text_bytes) return std::nullopt;
  const std::string_view text = as_text(body.subspan(8, text_bytes));
  Unpacker in(body.subspan(8 + text_bytes));
  if (count > in.left() / kSampleMin) return std::nullopt;  // before any memory is taken for it
  into.resize(count);
  int64_t time = 0;
  uint32_t series = 0;
  for (size_t i = 0; i < count;) {
    const uint64_t run = in.varint();
    if (run == 0 || run > count - i) return std::nullopt;
    time = wrapping_sum(time, unzigzag(in.varint()));
    const int64_t received = wrapping_sum(time, unzigzag(in.varint()));
    for (const size_t end = i + run; i < end; ++i) {
      Sample& sample = into[i];
      const unsigned what = in.byte();
      sample.kind = static_cast<ValueKind>(what & 15);
      sample.quality = static_cast<Quality>(what >> 4);
      if (sample.kind > ValueKind::kObject || sample.quality > Quality::kBad) return std::nullopt;
      series += static_cast<uint32_t>(unzigzag(in.varint()));
      sample.series = SeriesId(series);
      sample.reserved = 0;
      sample.source_time.us = time;
      sample.received_time.us = received;
      switch (sample.kind) {
        case ValueKind::kBoolean:
          sample.integer = in.byte() != 0 ? 1 : 0;  // writes all eight bytes
          break;
        case ValueKind::kText:
        case ValueKind::kObject: {
          const uint64_t offset = in.varint(), length = in.varint();
          if (offset > text_bytes || length > text_bytes - offset) return std::nullopt;
          sample.text = {static_cast<uint32_t>(offset), static_cast<uint32_t>(length)};
          break;
        }
        default:
          sample.integer = in.eight();
      }
    }
    if (!in.ok()) return std::nullopt;
  }
  if (in.left() != 0) return std::nullopt;
  return SampleView{into, text};
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
