#include "stream/bind.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "twin/binding.h"

namespace penstock::stream {

using twin::DeviceConfig;
using twin::ElementConfig;

namespace {

double as_number(const WireValue& value) {
  return value.kind == ValueKind::kInteger ? static_cast<double>(value.integer) : value.number;
}

Reject check_range(const ElementConfig& element, double stored) {
  if (!std::isfinite(stored) || (element.minimum && stored < *element.minimum) ||
      (element.maximum && stored > *element.maximum))
    return Reject::kOutOfRange;
  return Reject::kNone;
}

Reject put_number(const ElementConfig& element, const WireValue& value, Sample& sample) {
  if (value.kind != ValueKind::kInteger && value.kind != ValueKind::kDouble)
    return Reject::kWrongType;
  const bool as_it_is = element.scale == 1 && element.offset == 0;
  if (element.kind == ValueKind::kInteger && value.kind == ValueKind::kInteger && as_it_is) {
    sample.integer = value.integer;
    return check_range(element, static_cast<double>(value.integer));
  }
  const double stored = as_number(value) * element.scale + element.offset;
  if (element.kind == ValueKind::kInteger) {
    if (as_it_is && stored != std::floor(stored)) return Reject::kWrongType;
    if (!(std::fabs(stored) <= 9e15)) return Reject::kOutOfRange;
    sample.integer = std::llround(stored);
  } else {
    sample.number = stored;
  }
  return check_range(element, stored);
}

Reject put_text(const ElementConfig& element, const WireValue& value, Sample& sample,
                SampleBuffer& out) {
  if (value.kind != element.kind) return Reject::kWrongType;
  if (element.kind == ValueKind::kText && !element.enum_values.empty() &&
      std::find(element.enum_values.begin(), element.enum_values.end(), value.text) ==
          element.enum_values.end())
    return Reject::kNotInEnum;
  sample.text = {static_cast<uint32_t>(out.text.size()), static_cast<uint32_t>(value.text.size())};
  out.text.append(value.text);
  return Reject::kNone;
}

Reject put_value(const ElementConfig& element, const WireValue& value, Sample& sample,
                 SampleBuffer& out) {
  switch (element.kind) {
    case ValueKind::kDouble:
    case ValueKind::kInteger:
      return put_number(element, value, sample);
    case ValueKind::kBoolean:
      if (value.kind != ValueKind::kBoolean) return Reject::kWrongType;
      sample.integer = value.boolean ? 1 : 0;  // writes all eight bytes
      return Reject::kNone;
    case ValueKind::kText:
    case ValueKind::kObject:
      break;
  }
  return put_text(element, value, sample, out);
}

// -- by the rule of a binding: it says what is meant, so more is converted

std::optional<int64_t> as_integer(const WireValue& value) {
  if (value.kind == ValueKind::kInteger) return value.integer;
  if (value.kind == ValueKind::kBoolean) return value.boolean ? 1 : 0;
  if (value.kind == ValueKind::kDouble && value.number == std::floor(value.number) &&
      std::fabs(value.number) <= 9e15)
    return static_cast<int64_t>(value.number);
  return std::nullopt;
}

using Digits = std::array<char, 40>;

// A value as a binding's map writes it; `digits` holds what is made here.
std::string_view as_wire_text(const WireValue& value, Digits& digits) {
  if (value.kind == ValueKind::kText || value.kind == ValueKind::kObject) return value.text;
  if (value.kind == ValueKind::kBoolean) return value.boolean ? "true" : "false";
  const auto end = value.kind == ValueKind::kInteger
                       ? fmt::format_to_n(digits.data(), digits.size(), "{}", value.integer)
                       : fmt::format_to_n(digits.data(), digits.size(), "{}", value.number);
  return {digits.data(), std::min<size_t>(end.size, digits.size())};
}

WireValue boolean_value(bool truth) {
  WireValue out;
  out.kind = ValueKind::kBoolean;
  out.integer = 0;
  out.boolean = truth;
  return out;
}

// Text as the number or truth that it spells; as it is where it spells none.
WireValue spelled(std::string_view text, ValueKind wanted) {
  WireValue out;
  out.kind = ValueKind::kText;
  out.text = text;
  if (wanted == ValueKind::kText || wanted == ValueKind::kObject) return out;
  if (text == "true" || text == "false")
    return wanted == ValueKind::kBoolean ? boolean_value(text == "true") : out;
  const char* const end = text.data() + text.size();
  int64_t whole = 0;
  double number = 0;
  const auto as_whole = std::from_chars(text.data(), end, whole);
  const auto as_double = std::from_chars(text.data(), end, number);
  if (as_whole.ec == std::errc() && as_whole.ptr == end) {
    out.kind = ValueKind::kInteger;
    out.integer = whole;
  } else if (as_double.ec == std::errc() && as_double.ptr == end) {
    out.kind = ValueKind::kDouble;
    out.number = number;
  }
  return out;
}

// Bits, then the map: from what is on the wire to what it stands for.
Reject pick(const twin::WireRule& rule, ValueKind wanted, Digits& digits, WireValue& value) {
  if (rule.bits.count > 0) {
    const auto whole = as_integer(value);
    if (!whole) return Reject::kWrongType;
    const uint64_t mask = rule.bits.count == 64 ? ~0ULL : (1ULL << rule.bits.count) - 1;
    value.kind = ValueKind::kInteger;
    value.integer = static_cast<int64_t>(static_cast<uint64_t>(*whole) >> rule.bits.first & mask);
  }
  if (rule.values.empty()) return Reject::kNone;
  const std::string_view wire = as_wire_text(value, digits);
  const auto known =
      std::lower_bound(rule.values.begin(), rule.values.end(), wire,
                       [](const auto& entry, std::string_view text) { return entry.first < text; });
  if (known == rule.values.end() || known->first != wire) return Reject::kNotInEnum;
  value = spelled(known->second, wanted);
  return Reject::kNone;
}

Reject to_number(const twin::WireRule& rule, ValueKind wanted, WireValue& value) {
  if (value.kind == ValueKind::kText) value = spelled(value.text, wanted);
  if (value.kind == ValueKind::kBoolean) {
    const int64_t whole = value.boolean ? 1 : 0;
    value.kind = ValueKind::kInteger;
    value.integer = whole;
  }
  if (rule.scale == 1 && rule.offset == 0 && rule.divisor == 1) return Reject::kNone;
  if (value.kind != ValueKind::kInteger && value.kind != ValueKind::kDouble)
    return Reject::kWrongType;
  double stored = (as_number(value) * rule.scale + rule.offset) / rule.divisor;
  if (wanted == ValueKind::kInteger && std::isfinite(stored)) stored = std::round(stored);
  value.kind = ValueKind::kDouble;
  value.number = stored;
  return Reject::kNone;
}

Reject put_ruled(const twin::WireRule& rule, const ElementConfig& element, WireValue value,
                 Sample& sample, SampleBuffer& out) {
  Digits digits;
  if (const Reject why = pick(rule, element.kind, digits, value); why != Reject::kNone) return why;
  switch (element.kind) {
    case ValueKind::kDouble:
    case ValueKind::kInteger:
      if (const Reject why = to_number(rule, element.kind, value); why != Reject::kNone) return why;
      break;
    case ValueKind::kBoolean:
      if (value.kind == ValueKind::kText) value = spelled(value.text, element.kind);
      if (value.kind == ValueKind::kInteger || value.kind == ValueKind::kDouble)
        value = boolean_value(as_number(value) != 0);
      break;
    case ValueKind::kText:
      value.text = as_wire_text(value, digits);
      value.kind = ValueKind::kText;
      break;
    case ValueKind::kObject:
      break;
  }
  return put_value(element, value, sample, out);
}

bool within(const twin::Deadband& band, const LiveValue& last, const Sample& sample) {
  if (band.absolute == 0 && band.percent == 0) return false;
  const Sample& before = last.sample;
  if (before.source_time.us == 0 || before.quality != sample.quality ||
      sample.source_time < before.source_time)
    return false;
  if (band.heartbeat_us > 0 && (sample.source_time - before.source_time).us >= band.heartbeat_us)
    return false;
  const double change = std::fabs(sample.as_number() - before.as_number());
  const double limit = std::max(band.absolute, std::fabs(before.as_number()) * band.percent / 100);
  return change < limit;
}

// One message's conversion.
class Binder {
 public:
  Binder(const DeviceConfig& device, std::span<const LiveValue> live, Timestamp received,
         const DecodeLimits& limits, SampleBuffer& out)
      : device_(device), live_(live), received_(received), limits_(limits), out_(out) {}

  void take(const WireValue& value) {
    if (!device_.source) {
      if (const ElementConfig* element = device_.find(value.address, hint_))
        put(value, *element, nullptr);
      else
        reject(Reject::kUnknownElement, value.address);
      return;
    }
    const auto rules = device_.source->rules_of(value.address);
    if (rules.empty()) ++outcome_.unbound;
    for (const twin::WireRule& rule : rules) put(value, device_.elements[rule.element], &rule);
  }
  BindOutcome finish(size_t given) {
    if (given == 0) reject(Reject::kEmpty, {});
    return outcome_;
  }

 private:
  void reject(Reject why, std::string_view about) {
    ++outcome_.rejected;
    if (outcome_.first_reject != Reject::kNone) return;
    outcome_.first_reject = why;
    outcome_.first_about = about.substr(0, 128);
  }

  Reject convert(const WireValue& value, const ElementConfig& element, const twin::WireRule* rule,
                 Sample& sample) {
    if (sample.source_time > received_ + limits_.future_max) return Reject::kFutureTime;
    if (!value.null)
      return rule ? put_ruled(*rule, element, value, sample, out_)
                  : put_value(element, value, sample, out_);
    const auto at = static_cast<size_t>(&element - device_.elements.data());
    if (at >= live_.size()) return Reject::kNoValue;
    const auto last = repeated(live_[at], Quality::kBad, sample.source_time, received_, out_);
    if (!last) return Reject::kNoValue;
    sample = *last;
    return Reject::kNone;
  }

  void put(const WireValue& value, const ElementConfig& element, const twin::WireRule* rule) {
    if (outcome_.accepted >= limits_.values_per_message_max) {
      reject(Reject::kTooManyValues, value.address);
      return;
    }
    Sample sample;
    sample.series = element.series;
    sample.kind = element.kind;
    sample.quality = value.quality;
    sample.source_time = value.source_time.us != 0 ? value.source_time : received_;
    sample.received_time = received_;
    if (const Reject why = convert(value, element, rule, sample); why != Reject::kNone) {
      reject(why, value.address);
      return;
    }
    const auto at = static_cast<size_t>(&element - device_.elements.data());
    if (rule && at < live_.size() && within(rule->deadband, live_[at], sample)) {
      ++outcome_.suppressed;
      return;
    }
    out_.samples.push_back(sample);
    ++outcome_.accepted;
  }

  const DeviceConfig& device_;
  std::span<const LiveValue> live_;
  Timestamp received_;
  const DecodeLimits& limits_;
  SampleBuffer& out_;
  size_t hint_ = 0;
  BindOutcome outcome_;
};

}  // namespace

BindOutcome bind_values(std::span<const WireValue> values, const DeviceConfig& device,
                        std::span<const LiveValue> live, Timestamp received,
                        const DecodeLimits& limits, SampleBuffer& out) {
  Binder binder(device, live, received, limits, out);
  for (const WireValue& value : values) binder.take(value);
  return binder.finish(values.size());
}

}  // namespace penstock::stream
