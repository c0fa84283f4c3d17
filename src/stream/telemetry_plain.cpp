#include "stream/telemetry_plain.h"

#include <array>
#include <cmath>
#include <cstring>

namespace penstock::stream {
namespace {

using twin::DeviceConfig;
using twin::ElementConfig;

// Exact as doubles, so that digits / power is rounded once, as it should be (Clinger 1990): true
// for up to 15 digits.
constexpr std::array<double, 16> kPowers{1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                         1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
constexpr int kDigitsMax = 15;

class PlainReader {
 public:
  PlainReader(std::string_view payload, const DeviceConfig& device, Timestamp received,
              const DecodeLimits& limits, SampleBuffer& out)
      : at_(payload.data()),
        end_(payload.data() + payload.size()),
        device_(device),
        received_(received),
        limits_(limits),
        out_(out),
        samples_max_(out.samples.size() + limits.values_per_message_max) {}

  bool payload() {
    skip_space();
    if (at_ == end_) return false;
    if (*at_ == '{') {
      if (!message()) return false;
    } else {
      if (!take('[')) return false;
      do {
        if (!message()) return false;
      } while (take(','));
      if (!take(']')) return false;
    }
    skip_space();
    return at_ == end_;
  }

 private:
  struct Number {
    double value;
    int64_t integer;
    bool whole;  // written without a fraction
  };

  void skip_space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
  }
  // The next token, where it is this one.
  bool take(char wanted) {
    skip_space();
    if (at_ == end_ || *at_ != wanted) return false;
    ++at_;
    return true;
  }
  // The rest of a key behind its opening quote, with the closing one.
  bool take_key(std::string_view key) {
    if (static_cast<size_t>(end_ - at_) <= key.size() || at_[key.size()] != '"' ||
        std::memcmp(at_, key.data(), key.size()) != 0)
      return false;
    at_ += key.size() + 1;
    return true;
  }
  bool take_word(std::string_view word) {
    if (static_cast<size_t>(end_ - at_) < word.size() ||
        std::memcmp(at_, word.data(), word.size()) != 0)
      return false;
    at_ += word.size();
    return true;
  }

  const ElementConfig* take_element() {
    const auto& elements = device_.elements;
    if (next_element_ < elements.size() && take_key(elements[next_element_].key))
      return &elements[next_element_++];
    for (size_t i = 0; i < elements.size(); ++i)
      if (take_key(elements[i].key)) {
        next_element_ = i + 1;
        return &elements[i];
      }
    return nullptr;
  }

  std::optional<Number> number() {
    skip_space();
    const bool negative = at_ != end_ && *at_ == '-';
    if (negative) ++at_;
    const char* const begin = at_;
    int64_t digits = 0;
    while (at_ != end_ && *at_ >= '0' && *at_ <= '9' && at_ - begin < kDigitsMax)
      digits = digits * 10 + (*at_++ - '0');
    const auto before = at_ - begin;
    if (before == 0 || (before > 1 && *begin == '0')) return std::nullopt;
    std::ptrdiff_t after = 0;
    if (at_ != end_ && *at_ == '.') {
      const char* const fraction = ++at_;
      while (at_ != end_ && *at_ >= '0' && *at_ <= '9' && before + (at_ - fraction) < kDigitsMax)
        digits = digits * 10 + (*at_++ - '0');
      after = at_ - fraction;
      if (after == 0) return std::nullopt;
    }
    // What may follow a number here; a longer one, or one with an exponent, is not plain.
    if (at_ == end_ ||
        (*at_ != ',' && *at_ != '}' && *at_ != ' ' && *at_ != '\n' && *at_ != '\r' && *at_ != '\t'))
      return std::nullopt;
    if (digits == 0 && negative) return std::nullopt;  // -0
    if (negative) digits = -digits;
    return Number{static_cast<double>(digits) / kPowers[static_cast<size_t>(after)], digits,
                  after == 0};
  }

  bool value(const ElementConfig& element) {
    if (out_.samples.size() >= samples_max_) return false;
    Sample sample;
    sample.series = element.series;
    sample.kind = element.kind;
    sample.source_time = time_;
    sample.received_time = received_;
    if (element.kind == ValueKind::kBoolean) {
      skip_space();
      if (take_word("true"))
        sample.integer = 1;  // writes all eight bytes
      else if (take_word("false"))
        sample.integer = 0;
      else
        return false;
    } else {
      if (element.kind != ValueKind::kDouble && element.kind != ValueKind::kInteger) return false;
      const auto read = number();
      if (!read) return false;
      double stored = read->value;
      if (element.kind == ValueKind::kInteger) {
        if (!read->whole || element.scale != 1 || element.offset != 0) return false;
        sample.integer = read->integer;
      } else {
        stored = stored * element.scale + element.offset;
        sample.number = stored;
      }
      if (!std::isfinite(stored) || (element.minimum && stored < *element.minimum) ||
          (element.maximum && stored > *element.maximum))
        return false;
    }
    out_.samples.push_back(sample);
    return true;
  }

  bool time() {
    std::optional<Timestamp> read;
    if (take('"')) {
      const auto* const close =
          static_cast<const char*>(std::memchr(at_, '"', static_cast<size_t>(end_ - at_)));
      if (!close) return false;
      const auto parsed = parse_rfc3339({at_, static_cast<size_t>(close - at_)});
      if (!parsed) return false;
      read = *parsed;
      at_ = close + 1;
    } else if (const auto millis = number()) {
      read = time_from_millis(millis->value);
    }
    if (!read || *read > received_ + limits_.future_max) return false;
    time_ = *read;
    for (size_t i = first_; i < out_.samples.size(); ++i) out_.samples[i].source_time = time_;
    return true;
  }

  bool values() {
    if (!take('{')) return false;
    do {
      if (!take('"')) return false;
      const ElementConfig* element = take_element();
      if (!element || !take(':') || !value(*element)) return false;
    } while (take(','));
    return take('}');
  }

  bool message() {
    first_ = out_.samples.size();
    time_ = received_;
    next_element_ = 0;
    if (!take('{')) return false;
    do {
      if (!take('"')) return false;
      if (const ElementConfig* element = take_element()) {
        if (!take(':') || !value(*element)) return false;
      } else if (take_key("ts")) {
        if (!take(':') || !time()) return false;
      } else if (take_key("values")) {
        if (!take(':') || !values()) return false;
      } else {
        return false;
      }
    } while (take(','));
    return take('}');
  }

  const char* at_;
  const char* const end_;
  const DeviceConfig& device_;
  const Timestamp received_;
  const DecodeLimits& limits_;
  SampleBuffer& out_;
  const size_t samples_max_;
  Timestamp time_;           // of the message being read
  size_t first_ = 0;         // its first sample
  size_t next_element_ = 0;  // members tend to come in the model's order
};

}  // namespace

bool decode_plain(std::string_view payload, const DeviceConfig& device, Timestamp received,
                  const DecodeLimits& limits, SampleBuffer& out) {
  const size_t before = out.samples.size();
  if (PlainReader(payload, device, received, limits, out).payload() && out.samples.size() > before)
    return true;
  out.samples.resize(before);
  return false;
}

std::optional<Timestamp> time_from_millis(double millis) {
  if (!(millis >= 31'536'000'000.0) || millis > 9.2e15) return std::nullopt;
  return Timestamp{static_cast<int64_t>(std::llround(millis * 1000.0))};
}

}  // namespace penstock::stream
