#include "stream/bound_payload.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <deque>

#include <simdjson.h>

#include "stream/telemetry_plain.h"
#include "twin/binding.h"

namespace penstock::stream {

namespace dom = simdjson::dom;
using twin::ByteValue;
using twin::PayloadFormat;
using twin::SourceConfig;
using twin::TimeFormat;
using twin::WireRule;

namespace {

// Numbers since the epoch differ by factors of 1000: what would lie before 1990 is of the next
// smaller unit (s: below 1e11, ms: below 1e14, µs: below 1e17).
std::optional<Timestamp> time_of_number(double value, TimeFormat format) {
  double us = 0;
  switch (format) {
    case TimeFormat::kAuto:
      us = value < 1e11   ? value * 1e6
           : value < 1e14 ? value * 1e3
           : value < 1e17 ? value
                          : value / 1e3;
      break;
    case TimeFormat::kSeconds:
      us = value * 1e6;
      break;
    case TimeFormat::kMillis:
      us = value * 1e3;
      break;
    case TimeFormat::kMicros:
      us = value;
      break;
    case TimeFormat::kNanos:
      us = value / 1e3;
      break;
    case TimeFormat::kRfc3339:
      return std::nullopt;
  }
  if (!(us > 0) || us > 9.2e18) return std::nullopt;
  return Timestamp{std::llround(us)};
}

std::optional<Timestamp> time_of(dom::element element, TimeFormat format) {
  if (std::string_view text; !element.get_string().get(text)) {
    if (format == TimeFormat::kAuto || format == TimeFormat::kRfc3339)
      if (const auto time = parse_rfc3339(text)) return *time;
    double number = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
    return time_of_number(number, format);
  }
  // Nanoseconds do not fit into a double: whole numbers stay whole.
  if (int64_t whole = 0; !element.get_int64().get(whole)) {
    const bool nanos = format == TimeFormat::kNanos ||
                       (format == TimeFormat::kAuto && whole >= 100'000'000'000'000'000);
    if (nanos) return Timestamp{whole / 1000};
    return time_of_number(static_cast<double>(whole), format);
  }
  double number = 0;
  if (element.get_double().get(number)) return std::nullopt;
  return time_of_number(number, format);
}

}  // namespace

struct BoundPayloadReader::Impl {
  dom::parser parser;
  std::string padded;
  std::vector<WireValue> values;
  std::string about;
  std::deque<std::string> texts;  // what is not in the parser's memory: objects as JSON
  size_t texts_used = 0;

  const SourceConfig* source = nullptr;

  Reject refuse(Reject why, std::string_view what) {
    about.assign(what.substr(0, 128));
    return why;
  }
  void begin() {
    values.clear();
    about.clear();
    texts_used = 0;
  }
  std::string& next_text() {
    if (texts_used == texts.size()) texts.emplace_back();
    std::string& text = texts[texts_used++];
    text.clear();
    return text;
  }

  Reject parse(std::string_view payload, dom::element& root);
  // False: nothing is there.
  bool find(dom::element in, std::string_view address, dom::element& out);
  void put(std::string_view address, dom::element element, Timestamp time, Quality quality);
  std::optional<Quality> quality_of(dom::element element) const;
  Reject time_and_quality(dom::element message, std::string_view time_at,
                          std::string_view quality_at, Timestamp& time, Quality& quality);
  Reject message(dom::element message, std::string_view element_name);
  Reject list(dom::element message, Timestamp time, Quality quality);
  bool wants(std::string_view element_name);
  void below(dom::element message, std::string_view element_name, Timestamp time, Quality quality);
  Reject json(std::string_view payload, std::string_view element_name);
  Reject scalar(std::string_view payload, std::string_view element_name);
  Reject bytes(std::string_view payload);
  Reject report_message(dom::element message);
};

Reject BoundPayloadReader::Impl::parse(std::string_view payload, dom::element& root) {
  if (padded.size() < payload.size() + simdjson::SIMDJSON_PADDING)
    padded.resize(payload.size() * 2 + simdjson::SIMDJSON_PADDING);
  std::memcpy(padded.data(), payload.data(), payload.size());
  std::memset(padded.data() + payload.size(), ' ', simdjson::SIMDJSON_PADDING);
  if (parser.parse(padded.data(), payload.size(), false).get(root))
    return refuse(Reject::kNotJson, {});
  return Reject::kNone;
}

// A pointer, a member of that very name, or a path of members: "motor.current".
bool BoundPayloadReader::Impl::find(dom::element in, std::string_view address, dom::element& out) {
  if (address.empty()) {
    out = in;
    return true;
  }
  if (address.front() == '/') return !in.at_pointer(address).get(out);
  dom::object object;
  if (in.get_object().get(object)) return false;
  if (!object.at_key(address).get(out)) return true;
  for (size_t dot = address.find('.'); dot != std::string_view::npos; dot = address.find('.')) {
    if (object.at_key(address.substr(0, dot)).get(out) || out.get_object().get(object))
      return false;
    address.remove_prefix(dot + 1);
  }
  return !object.at_key(address).get(out);
}

void BoundPayloadReader::Impl::put(std::string_view address, dom::element element, Timestamp time,
                                   Quality quality) {
  WireValue value;
  value.address = address;
  value.source_time = time;
  value.quality = quality;
  switch (element.type()) {
    case dom::element_type::INT64:
      value.kind = ValueKind::kInteger;
      value.integer = element.get_int64().value_unsafe();
      break;
    case dom::element_type::UINT64:
    case dom::element_type::DOUBLE:
      value.number = element.get_double().value_unsafe();
      break;
    case dom::element_type::BOOL:
      value.kind = ValueKind::kBoolean;
      value.integer = 0;
      value.boolean = element.get_bool().value_unsafe();
      break;
    case dom::element_type::STRING:
      value.kind = ValueKind::kText;
      value.text = element.get_string().value_unsafe();
      break;
    case dom::element_type::NULL_VALUE:
      value.null = true;
      break;
    case dom::element_type::ARRAY:
    case dom::element_type::OBJECT: {
      std::string& text = next_text();
      text = simdjson::minify(element);
      value.kind = ValueKind::kObject;
      value.text = text;
      break;
    }
  }
  values.push_back(value);
}

std::optional<Quality> BoundPayloadReader::Impl::quality_of(dom::element element) const {
  const auto mapped = [&](std::string_view text) -> std::optional<Quality> {
    for (const auto& [wire, quality] : source->payload.qualities)
      if (wire == text) return quality;
    for (const Quality each : {Quality::kGood, Quality::kUncertain, Quality::kBad})
      if (twin::name(each) == text) return each;
    return std::nullopt;
  };
  if (std::string_view text; !element.get_string().get(text)) return mapped(text);
  if (bool truth = false; !element.get_bool().get(truth)) {
    if (const auto known = mapped(truth ? "true" : "false")) return known;
    return truth ? Quality::kGood : Quality::kBad;
  }
  int64_t number = 0;
  if (element.get_int64().get(number)) return std::nullopt;
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  if (const auto known = mapped({digits, static_cast<size_t>(end - digits)})) return known;
  if (number < 0 || number > UINT32_MAX) return std::nullopt;
  // OPC DA's byte (192 good, 64 uncertain, 0 bad) where it is one, else an OPC UA StatusCode.
  if (number > 0 && number < 256)
    return number >= 192 ? Quality::kGood : number >= 64 ? Quality::kUncertain : Quality::kBad;
  return quality_of_status(static_cast<uint32_t>(number));
}

Reject BoundPayloadReader::Impl::time_and_quality(dom::element in, std::string_view time_at,
                                                  std::string_view quality_at, Timestamp& time,
                                                  Quality& quality) {
  dom::element found;
  if (!time_at.empty() && find(in, time_at, found)) {
    const auto read = time_of(found, source->payload.time_format);
    if (!read) return refuse(Reject::kBadTime, time_at);
    time = *read;
  }
  if (!quality_at.empty() && find(in, quality_at, found)) {
    const auto read = quality_of(found);
    if (!read) return refuse(Reject::kBadQuality, quality_at);
    quality = *read;
  }
  return Reject::kNone;
}

Reject BoundPayloadReader::Impl::list(dom::element message, Timestamp time, Quality quality) {
  const twin::ListRule& rule = source->payload.list;
  dom::element at;
  dom::array entries;
  if (!find(message, rule.at, at) || at.get_array().get(entries))
    return refuse(Reject::kNotAnObject, rule.at.empty() ? "list" : rule.at);
  for (const dom::element entry : entries) {
    dom::element name, value;
    std::string_view address;
    if (!find(entry, rule.name, name) || name.get_string().get(address) ||
        !find(entry, rule.value, value))
      continue;  // an entry of another kind
    Timestamp entry_time = time;
    Quality entry_quality = quality;
    const Reject why = time_and_quality(entry, rule.time, rule.quality, entry_time, entry_quality);
    if (why != Reject::kNone) return why;
    put(address, value, entry_time, entry_quality);
  }
  return Reject::kNone;
}

Reject BoundPayloadReader::Impl::message(dom::element message, std::string_view element_name) {
  const twin::PayloadRule& rule = source->payload;
  Timestamp time;
  Quality quality = Quality::kGood;
  const Reject why = time_and_quality(message, rule.time, rule.quality, time, quality);
  if (why != Reject::kNone) return why;
  if (!rule.list.name.empty()) return list(message, time, quality);
  dom::element found;
  if (rule.format == PayloadFormat::kScalar) {
    if (find(message, rule.value, found)) put(element_name, found, time, quality);
    return Reject::kNone;
  }
  if (source->element_capture != SIZE_MAX) {
    below(message, element_name, time, quality);
    return Reject::kNone;
  }
  std::string_view before;
  for (const WireRule& each : source->rules) {
    if (each.address == before) continue;  // several elements of one value
    before = each.address;
    if (find(message, each.address, found)) put(each.address, found, time, quality);
  }
  return Reject::kNone;
}

// Whether any address begins with that text of the capture {element}. If not, the message is of a
// kind that the binding leaves out: its payload need not even be JSON ("Online").
bool BoundPayloadReader::Impl::wants(std::string_view element_name) {
  for (const WireRule& rule : source->rules_below(element_name))
    if (rule.address.size() == element_name.size() || rule.address[element_name.size()] == '/')
      return true;
  values.push_back(WireValue::of(element_name, std::string_view()));  // unbound, and counted so
  return false;
}

void BoundPayloadReader::Impl::below(dom::element message, std::string_view element_name,
                                     Timestamp time, Quality quality) {
  dom::element found;
  std::string_view before;
  for (const WireRule& rule : source->rules_below(element_name)) {
    if (rule.address == before) continue;
    before = rule.address;
    const std::string_view pointer = before.substr(element_name.size());
    if (!pointer.empty() && pointer.front() != '/') continue;
    if (find(message, pointer, found)) put(before, found, time, quality);
  }
}

Reject BoundPayloadReader::Impl::json(std::string_view payload, std::string_view element_name) {
  dom::element root;
  if (const Reject why = parse(payload, root); why != Reject::kNone) return why;
  dom::element at = root;
  const std::string& messages = source->payload.messages;
  if (!messages.empty() && root.at_pointer(messages).get(at))
    return refuse(Reject::kNotAnObject, messages);
  dom::array many;
  // A list at the root is the list itself, not an array of messages.
  const bool list_here = !source->payload.list.name.empty() && source->payload.list.at.empty();
  if (list_here || at.get_array().get(many)) {
    if (!messages.empty()) return refuse(Reject::kNotAnObject, messages);
    return message(at, element_name);
  }
  for (const dom::element each : many)
    if (const Reject why = message(each, element_name); why != Reject::kNone) return why;
  return Reject::kNone;
}

Reject BoundPayloadReader::Impl::scalar(std::string_view payload, std::string_view element_name) {
  if (!source->payload.value.empty()) return json(payload, element_name);
  while (!payload.empty() && static_cast<uint8_t>(payload.back()) <= ' ') payload.remove_suffix(1);
  while (!payload.empty() && static_cast<uint8_t>(payload.front()) <= ' ') payload.remove_prefix(1);
  WireValue value;
  value.address = element_name;
  int64_t whole = 0;
  double number = 0;
  const char* const end = payload.data() + payload.size();
  const auto as_whole = std::from_chars(payload.data(), end, whole);
  const auto as_number = std::from_chars(payload.data(), end, number);
  if (payload.empty()) return refuse(Reject::kEmpty, {});
  if (as_whole.ec == std::errc() && as_whole.ptr == end) {
    value.kind = ValueKind::kInteger;
    value.integer = whole;
  } else if (as_number.ec == std::errc() && as_number.ptr == end && std::isfinite(number)) {
    value.number = number;
  } else if (payload == "true" || payload == "false") {
    value.kind = ValueKind::kBoolean;
    value.integer = 0;
    value.boolean = payload == "true";
  } else {
    if (payload.size() >= 2 && payload.front() == '"' && payload.back() == '"')
      payload = payload.substr(1, payload.size() - 2);
    std::string& text = next_text();
    text.assign(payload);
    value.kind = ValueKind::kText;
    value.text = text;
  }
  values.push_back(value);
  return Reject::kNone;
}

Reject BoundPayloadReader::Impl::bytes(std::string_view payload) {
  const ByteView view = std::as_bytes(std::span(payload));
  for (const WireRule& rule : source->rules) {
    if (!rule.bytes) continue;
    const auto read = twin::read_field(*rule.bytes, view);
    if (!read) return refuse(Reject::kWrongType, rule.address);
    if (const auto* whole = std::get_if<int64_t>(&*read))
      values.push_back(WireValue::of(rule.address, *whole));
    else if (const auto* number = std::get_if<double>(&*read))
      values.push_back(WireValue::of(rule.address, *number));
    else
      values.push_back(WireValue::of(rule.address, std::get<std::string_view>(*read)));
  }
  return Reject::kNone;
}

Reject BoundPayloadReader::Impl::report_message(dom::element message) {
  dom::object object, members;
  dom::element found;
  if (message.get_object().get(object)) return refuse(Reject::kNotAnObject, {});
  Timestamp time;
  if (!object.at_key("ts").get(found)) {
    const auto read = time_of(found, TimeFormat::kAuto);
    if (!read) return refuse(Reject::kBadTime, "ts");
    time = *read;
  }
  const bool flat = object.at_key("values").get(found) || found.get_object().get(members);
  if (flat) members = object;
  dom::object qualities;
  const bool has_qualities =
      !object.at_key("quality").get(found) && !found.get_object().get(qualities);
  for (const auto& [key, value] : members) {
    if (flat && (key == "ts" || key == "quality")) continue;
    Quality quality = Quality::kGood;
    if (std::string_view text;
        has_qualities && !qualities.at_key(key).get(found) && !found.get_string().get(text))
      quality = text == "bad"    ? Quality::kBad
                : text == "good" ? Quality::kGood
                                 : Quality::kUncertain;
    put(key, value, time, quality);
  }
  return Reject::kNone;
}

BoundPayloadReader::BoundPayloadReader() : impl_(std::make_unique<Impl>()) {}
BoundPayloadReader::~BoundPayloadReader() = default;

Reject BoundPayloadReader::read(std::string_view payload, std::string_view topic,
                                const SourceConfig& source) {
  Impl& r = *impl_;
  r.begin();
  r.source = &source;
  std::string_view element_name =
      source.rules.empty() ? "" : std::string_view(source.rules.front().address);
  if (source.element_capture != SIZE_MAX) {
    twin::TopicPattern::Captures captures;
    if (!source.topic.match(topic, captures)) return r.refuse(Reject::kUnknownElement, topic);
    element_name = captures.values[source.element_capture];
  }
  switch (source.payload.format) {
    case PayloadFormat::kJson:
      if (source.element_capture != SIZE_MAX && source.payload.list.name.empty() &&
          !r.wants(element_name))
        return Reject::kNone;
      return r.json(payload, element_name);
    case PayloadFormat::kScalar:
      return r.scalar(payload, element_name);
    case PayloadFormat::kBytes:
      break;
  }
  return r.bytes(payload);
}

Reject BoundPayloadReader::read_report(std::string_view payload) {
  Impl& r = *impl_;
  r.begin();
  dom::element root;
  if (const Reject why = r.parse(payload, root); why != Reject::kNone) return why;
  dom::array many;
  if (root.get_array().get(many)) return r.report_message(root);
  for (const dom::element each : many)
    if (const Reject why = r.report_message(each); why != Reject::kNone) return why;
  return Reject::kNone;
}

std::span<const WireValue> BoundPayloadReader::values() const { return impl_->values; }
std::string_view BoundPayloadReader::about() const { return impl_->about; }

}  // namespace penstock::stream
