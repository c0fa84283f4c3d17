#include "stream/telemetry.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <simdjson.h>

#include "stream/device_state.h"
#include "stream/telemetry_plain.h"

namespace penstock::stream {

namespace od = simdjson::ondemand;
using twin::DeviceConfig;
using twin::ElementConfig;

std::string_view name(Reject reject) {
  switch (reject) {
    case Reject::kNone:
      return "none";
    case Reject::kNotJson:
      return "not_json";
    case Reject::kNotAnObject:
      return "not_an_object";
    case Reject::kUnknownElement:
      return "unknown_element";
    case Reject::kWrongType:
      return "wrong_type";
    case Reject::kOutOfRange:
      return "out_of_range";
    case Reject::kNotInEnum:
      return "not_in_enum";
    case Reject::kBadTime:
      return "bad_time";
    case Reject::kFutureTime:
      return "future_time";
    case Reject::kTooManyValues:
      return "too_many_values";
    case Reject::kEmpty:
      return "empty";
    case Reject::kBadQuality:
      return "bad_quality";
    case Reject::kNoValue:
      return "no_value";
    case Reject::kOtherBinding:
      return "other_binding";
    case Reject::kNeedsCredentials:
      return "needs_credentials";
  }
  return "none";
}

std::optional<Sample> repeated(const LiveValue& last, Quality quality, Timestamp source,
                               Timestamp received, SampleBuffer& out) {
  if (last.sample.source_time.us == 0) return std::nullopt;
  Sample sample = last.sample;
  sample.quality = quality;
  sample.source_time = source;
  sample.received_time = received;
  if (sample.kind == ValueKind::kText || sample.kind == ValueKind::kObject) {
    sample.text = {static_cast<uint32_t>(out.text.size()), static_cast<uint32_t>(last.text.size())};
    out.text.append(last.text);
  }
  return sample;
}

struct TelemetryDecoder::Impl {
  static constexpr int kDepthMax = 8;

  explicit Impl(DecodeLimits wanted) : limits(wanted) { about.reserve(256); }

  DecodeLimits limits;
  od::parser parser;
  std::string padded;  // the payload with simdjson's padding behind it
  std::string prefix;  // "motor." while inside a component
  std::string about;

  // of the message being decoded
  const DeviceConfig* device = nullptr;
  std::span<const LiveValue> live;
  Timestamp received;
  SampleBuffer* out = nullptr;
  std::vector<std::pair<SeriesId, Quality>> qualities;  // by member, of one message
  DecodeOutcome outcome;
  size_t next_element = 0;  // members tend to come in the model's order
  bool stopped = false;     // refused before its end was read

  void reject(Reject why, std::string_view member) {
    ++outcome.rejected;
    if (outcome.first_reject != Reject::kNone) return;
    outcome.first_reject = why;
    about.assign(prefix);
    about.append(member.substr(0, 128));
    outcome.first_about = about;
  }

  const ElementConfig* find(std::string_view key) {
    const auto& elements = device->elements;
    const auto matches = [&](const ElementConfig& e) {
      return e.key.size() == prefix.size() + key.size() && e.key.ends_with(key) &&
             e.key.starts_with(prefix);
    };
    if (next_element < elements.size() && matches(elements[next_element]))
      return &elements[next_element++];
    for (size_t i = 0; i < elements.size(); ++i) {
      if (!matches(elements[i])) continue;
      next_element = i + 1;
      return &elements[i];
    }
    return nullptr;
  }

  bool is_component(std::string_view key) const {
    const size_t length = prefix.size() + key.size();
    return std::any_of(
        device->elements.begin(), device->elements.end(), [&](const ElementConfig& e) {
          return e.key.size() > length && e.key[length] == '.' && e.key.starts_with(prefix) &&
                 std::string_view(e.key).substr(prefix.size(), key.size()) == key;
        });
  }

  // Empty for JSON that is broken from here on.
  simdjson::error_code members(od::object object, Timestamp time, int depth);
  simdjson::error_code member(std::string_view key, od::value value, Timestamp time, int depth);
  Reject store(const ElementConfig& element, od::value value, Timestamp time);
  Reject store_number(const ElementConfig& element, od::value value, Sample& sample);
  Reject store_text(const ElementConfig& element, od::value value, Sample& sample);
  Reject read_time(od::value value, Timestamp& time) const;
  bool read_quality(od::value value, Quality& quality) const;
  simdjson::error_code message_quality(od::value value, std::optional<Quality>& whole);
  void apply_quality(size_t first, std::optional<Quality> whole);
  simdjson::error_code message(od::object object);
  simdjson::error_code messages(od::array array);
};

Reject TelemetryDecoder::Impl::read_time(od::value value, Timestamp& time) const {
  od::json_type type{};
  if (value.type().get(type)) return Reject::kBadTime;
  if (type == od::json_type::string) {
    std::string_view text;
    if (value.get_string().get(text)) return Reject::kBadTime;
    const auto parsed = parse_rfc3339(text);
    if (!parsed) return Reject::kBadTime;
    time = *parsed;
  } else {
    double millis = 0;
    if (type != od::json_type::number || value.get_double().get(millis)) return Reject::kBadTime;
    const auto read = time_from_millis(millis);
    if (!read) return Reject::kBadTime;
    time = *read;
  }
  return time > received + limits.future_max ? Reject::kFutureTime : Reject::kNone;
}

bool TelemetryDecoder::Impl::read_quality(od::value value, Quality& quality) const {
  od::json_type type{};
  if (value.type().get(type)) return false;
  if (type == od::json_type::number) {
    uint64_t code = 0;
    if (value.get_uint64().get(code) || code > UINT32_MAX) return false;
    quality = quality_of_status(static_cast<uint32_t>(code));
    return true;
  }
  std::string_view text;
  if (type != od::json_type::string || value.get_string().get(text)) return false;
  for (const Quality each : {Quality::kGood, Quality::kUncertain, Quality::kBad})
    if (text == twin::name(each)) {
      quality = each;
      return true;
    }
  return false;
}

// "quality": of all values of the message, or an object that names some.
simdjson::error_code TelemetryDecoder::Impl::message_quality(od::value value,
                                                             std::optional<Quality>& whole) {
  od::json_type type{};
  if (auto error = value.type().get(type)) return error;
  Quality quality = Quality::kGood;
  if (type != od::json_type::object) {
    if (read_quality(value, quality))
      whole = quality;
    else
      reject(Reject::kBadQuality, "quality");
    return simdjson::SUCCESS;
  }
  od::object members;
  if (auto error = value.get_object().get(members)) return error;
  for (auto field : members) {
    std::string_view key;
    if (auto error = field.unescaped_key().get(key)) return error;
    od::value each;
    if (auto error = field.value().get(each)) return error;
    const ElementConfig* element = find(key);
    if (!element || !read_quality(each, quality))
      reject(element ? Reject::kBadQuality : Reject::kUnknownElement, key);
    else
      qualities.emplace_back(element->series, quality);
  }
  return simdjson::SUCCESS;
}

void TelemetryDecoder::Impl::apply_quality(size_t first, std::optional<Quality> whole) {
  for (size_t i = first; i < out->samples.size(); ++i) {
    Sample& sample = out->samples[i];
    // A repeated value is bad whatever its neighbours are.
    if (whole && sample.quality == Quality::kGood) sample.quality = *whole;
    for (const auto& [series, quality] : qualities)
      if (series == sample.series && sample.quality != Quality::kBad) sample.quality = quality;
  }
  qualities.clear();
}

Reject TelemetryDecoder::Impl::store_number(const ElementConfig& element, od::value value,
                                            Sample& sample) {
  double number = 0;
  if (element.kind == ValueKind::kInteger && element.scale == 1 && element.offset == 0) {
    int64_t integer = 0;
    if (value.get_int64().get(integer)) {
      // 5.0 is an integer to JSON's authors, and to many devices
      if (value.get_double().get(number) || number != std::floor(number) ||
          std::fabs(number) > 9e15)
        return Reject::kWrongType;
      integer = static_cast<int64_t>(number);
    }
    sample.integer = integer;
    number = static_cast<double>(integer);
  } else {
    if (value.get_double().get(number)) return Reject::kWrongType;
    number = number * element.scale + element.offset;
    if (element.kind == ValueKind::kInteger) {
      if (std::fabs(number) > 9e15) return Reject::kOutOfRange;
      sample.integer = std::llround(number);
    } else {
      sample.number = number;
    }
  }
  if (!std::isfinite(number) || (element.minimum && number < *element.minimum) ||
      (element.maximum && number > *element.maximum))
    return Reject::kOutOfRange;
  return Reject::kNone;
}

Reject TelemetryDecoder::Impl::store_text(const ElementConfig& element, od::value value,
                                          Sample& sample) {
  std::string_view text;
  if (element.kind == ValueKind::kObject) {
    od::json_type type{};
    if (value.type().get(type) || (type != od::json_type::object && type != od::json_type::array))
      return Reject::kWrongType;
    od::object object;
    od::array array;
    if (type == od::json_type::object
            ? (value.get_object().get(object) || object.raw_json().get(text))
            : (value.get_array().get(array) || array.raw_json().get(text)))
      return Reject::kNotJson;
  } else {
    if (value.get_string().get(text)) return Reject::kWrongType;
    if (!element.enum_values.empty() &&
        std::find(element.enum_values.begin(), element.enum_values.end(), text) ==
            element.enum_values.end())
      return Reject::kNotInEnum;
  }
  sample.text = {static_cast<uint32_t>(out->text.size()), static_cast<uint32_t>(text.size())};
  out->text.append(text);
  return Reject::kNone;
}

Reject TelemetryDecoder::Impl::store(const ElementConfig& element, od::value value,
                                     Timestamp time) {
  if (outcome.accepted >= limits.values_per_message_max) return Reject::kTooManyValues;
  Sample sample;
  sample.series = element.series;
  sample.kind = element.kind;
  sample.source_time = time;
  sample.received_time = received;
  if (bool null = false; !value.is_null().get(null) && null) {
    const auto at = static_cast<size_t>(&element - device->elements.data());
    if (at >= live.size()) return Reject::kNoValue;
    const auto last = repeated(live[at], Quality::kBad, time, received, *out);
    if (!last) return Reject::kNoValue;
    out->samples.push_back(*last);
    ++outcome.accepted;
    return Reject::kNone;
  }
  Reject why = Reject::kNone;
  switch (element.kind) {
    case ValueKind::kDouble:
    case ValueKind::kInteger:
      why = store_number(element, value, sample);
      break;
    case ValueKind::kBoolean: {
      bool truth = false;
      if (value.get_bool().get(truth)) return Reject::kWrongType;
      sample.integer = truth ? 1 : 0;  // writes all eight bytes
      break;
    }
    case ValueKind::kText:
    case ValueKind::kObject:
      why = store_text(element, value, sample);
      break;
  }
  if (why != Reject::kNone) return why;
  out->samples.push_back(sample);
  ++outcome.accepted;
  return Reject::kNone;
}

simdjson::error_code TelemetryDecoder::Impl::member(std::string_view key, od::value value,
                                                    Timestamp time, int depth) {
  if (const ElementConfig* element = find(key)) {
    const Reject why = store(*element, value, time);
    if (why != Reject::kNone) reject(why, key);
    return simdjson::SUCCESS;
  }
  od::json_type type{};
  if (auto error = value.type().get(type)) return error;
  if (type == od::json_type::object && depth < kDepthMax && is_component(key)) {
    od::object inner;
    if (auto error = value.get_object().get(inner)) return error;
    const size_t length = prefix.size();
    prefix.append(key).append(1, '.');
    const auto error = members(inner, time, depth + 1);
    prefix.resize(length);
    return error;
  }
  reject(Reject::kUnknownElement, key);
  return simdjson::SUCCESS;
}

simdjson::error_code TelemetryDecoder::Impl::members(od::object object, Timestamp time, int depth) {
  for (auto field : object) {
    od::raw_json_string raw;
    if (auto error = field.key().get(raw)) return error;
    // Keys with escapes are legal; the model's names have none, so unescaping matters only for the
    // report.
    std::string_view key = field.unescaped_key().value_unsafe();
    od::value value;
    if (auto error = field.value().get(value)) return error;
    if (auto error = member(key, value, time, depth)) return error;
  }
  return simdjson::SUCCESS;
}

// One {"a":1,…} or {"ts":T,"values":{…}}. A member "ts" that the model does not know is the time,
// before or after the values.
simdjson::error_code TelemetryDecoder::Impl::message(od::object object) {
  const size_t first = out->samples.size();
  Timestamp time = received;
  std::optional<Quality> quality;
  prefix.clear();
  qualities.clear();
  next_element = 0;
  for (auto field : object) {
    std::string_view key;
    if (auto error = field.unescaped_key().get(key)) return error;
    od::value value;
    if (auto error = field.value().get(value)) return error;
    if (key == "ts" && find(key) == nullptr) {
      const Reject why = read_time(value, time);
      if (why != Reject::kNone) {
        // Without its time no value of the message can be placed.
        outcome.accepted -= static_cast<uint32_t>(out->samples.size() - first);
        out->samples.resize(first);
        reject(why, key);
        stopped = true;
        return simdjson::SUCCESS;
      }
      for (size_t i = first; i < out->samples.size(); ++i) out->samples[i].source_time = time;
      continue;
    }
    od::json_type type{};
    if (key == "values" && !value.type().get(type) && type == od::json_type::object &&
        find(key) == nullptr) {
      od::object inner;
      if (auto error = value.get_object().get(inner)) return error;
      if (auto error = members(inner, time, 1)) return error;
      continue;
    }
    if (key == "quality" && find(key) == nullptr) {
      if (auto error = message_quality(value, quality)) return error;
      continue;
    }
    if (auto error = member(key, value, time, 1)) return error;
  }
  if (quality || !qualities.empty()) apply_quality(first, quality);
  return simdjson::SUCCESS;
}

simdjson::error_code TelemetryDecoder::Impl::messages(od::array array) {
  for (auto entry : array) {
    od::object object;
    const auto error = entry.get_object().get(object);
    if (error == simdjson::INCORRECT_TYPE) {
      stopped = true;
      reject(Reject::kNotAnObject, "array entry");
      return simdjson::SUCCESS;
    }
    if (error) return error;
    if (const auto inner = message(object); inner || stopped) return inner;
  }
  return simdjson::SUCCESS;
}

TelemetryDecoder::TelemetryDecoder(DecodeLimits limits) : impl_(std::make_unique<Impl>(limits)) {}
TelemetryDecoder::~TelemetryDecoder() = default;

DecodeOutcome TelemetryDecoder::decode(std::string_view payload, const DeviceConfig& device,
                                       Timestamp received, SampleBuffer& out,
                                       std::span<const LiveValue> live) {
  Impl& d = *impl_;
  const size_t samples_before = out.samples.size();
  if (d.limits.plain_first && decode_plain(payload, device, received, d.limits, out)) {
    DecodeOutcome outcome;
    outcome.accepted = static_cast<uint32_t>(out.samples.size() - samples_before);
    return outcome;
  }
  const size_t text_before = out.text.size();
  d.device = &device;
  d.live = live;
  d.received = received;
  d.out = &out;
  d.outcome = {};
  d.next_element = 0;
  d.stopped = false;
  d.prefix.clear();
  if (d.padded.size() < payload.size() + simdjson::SIMDJSON_PADDING)
    d.padded.resize(payload.size() * 2 + simdjson::SIMDJSON_PADDING);
  std::memcpy(d.padded.data(), payload.data(), payload.size());
  std::memset(d.padded.data() + payload.size(), ' ', simdjson::SIMDJSON_PADDING);

  od::document document;
  od::json_type type{};
  auto error = d.parser.iterate(d.padded.data(), payload.size(), d.padded.size()).get(document);
  if (!error) error = document.type().get(type);
  if (!error && type == od::json_type::object) {
    od::object object;
    error = document.get_object().get(object);
    if (!error) error = d.message(object);
  } else if (!error && type == od::json_type::array) {
    od::array array;
    error = document.get_array().get(array);
    if (!error) error = d.messages(array);
  } else if (!error) {
    d.stopped = true;
    d.reject(Reject::kNotAnObject, {});
  }
  if (!error && !d.stopped && document.current_location().error() != simdjson::OUT_OF_BOUNDS)
    error = simdjson::TRAILING_CONTENT;
  if (error) {  // half a message is no message
    out.samples.resize(samples_before);
    out.text.resize(text_before);
    d.outcome = {};
    d.prefix.clear();
    d.reject(Reject::kNotJson, {});
  } else if (d.outcome.accepted == 0 && d.outcome.rejected == 0) {
    d.reject(Reject::kEmpty, {});
  }
  return d.outcome;
}

}  // namespace penstock::stream
