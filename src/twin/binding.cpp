#include "twin/binding.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "base/json.h"
#include "twin/names.h"
#include "twin/units.h"

namespace penstock::twin {
namespace {

constexpr size_t kEntriesMax = 10'000;

// Reads members of an object and remembers the first thing that is wrong, with its path.
class Reader {
 public:
  Reader(const Json& object, std::string path, std::optional<Error>& error)
      : object_(object), path_(std::move(path)), error_(error) {
    if (!object.is_object()) complain("", "is not an object");
  }
  ~Reader() {
    if (error_ || !object_.is_object()) return;
    for (const auto& [key, value] : object_.items())
      if (!taken_.contains(key)) complain(key, "is no member of a binding: check its spelling");
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  [[nodiscard]] std::string path(std::string_view member) const {
    return path_.empty() ? std::string(member) : fmt::format("{}.{}", path_, member);
  }
  void complain(std::string_view member, std::string_view what) {
    if (error_) return;
    error_ = Error{ErrorCode::kInvalidArgument,
                   fmt::format("{} {}", member.empty() ? "this" : member, what),
                   member.empty() ? path_ : path(member)};
  }
  const Json* any(const char* member) {
    taken_.insert(member);
    if (!object_.is_object()) return nullptr;
    const auto at = object_.find(member);
    return at == object_.end() || at->is_null() ? nullptr : &*at;
  }
  std::string text(const char* member, size_t length_max, bool required = false) {
    const Json* value = any(member);
    if (!value) {
      if (required) complain(member, "is missing");
      return {};
    }
    if (!value->is_string() || value->get_ref<const std::string&>().size() > length_max) {
      complain(member, fmt::format("is a text of at most {} bytes", length_max));
      return {};
    }
    if (const Status fine = check_text(member, value->get_ref<const std::string&>(), length_max);
        !fine)
      complain(member, "has a control character");
    return value->get<std::string>();
  }
  double number(const char* member, double otherwise) {
    const Json* value = any(member);
    if (!value) return otherwise;
    if (!value->is_number() || !std::isfinite(value->get<double>())) {
      complain(member, "is a finite number");
      return otherwise;
    }
    return value->get<double>();
  }
  uint32_t natural(const char* member, uint32_t maximum, uint32_t otherwise) {
    const double read = number(member, otherwise);
    if (read < 0 || read > maximum || read != std::floor(read)) {
      complain(member, fmt::format("is a whole number from 0 to {}", maximum));
      return otherwise;
    }
    return static_cast<uint32_t>(read);
  }
  std::string pointer(const char* member) {
    std::string read = text(member, 512);
    if (!read.empty() && read.front() != '/')
      complain(member, "is a JSON Pointer: it begins with '/' (RFC 6901)");
    return read;
  }

 private:
  const Json& object_;
  std::string path_;
  std::optional<Error>& error_;
  std::set<std::string, std::less<>> taken_;
};

// What a map's key stands for on the wire, and a scalar as it would be written there.
std::string scalar_text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::optional<Quality> quality_of(std::string_view text) {
  for (const Quality each : {Quality::kGood, Quality::kUncertain, Quality::kBad})
    if (name(each) == text) return each;
  return std::nullopt;
}

void read_payload(const Json& object, PayloadRule& rule, std::optional<Error>& error) {
  Reader in(object, "payload", error);
  const std::string format = in.text("format", 16);
  if (format == "scalar")
    rule.format = PayloadFormat::kScalar;
  else if (format == "bytes")
    rule.format = PayloadFormat::kBytes;
  else if (!format.empty() && format != "json")
    in.complain("format", "is json, scalar or bytes");
  rule.messages = in.pointer("messages");
  rule.value = in.pointer("value");
  rule.time = in.pointer("time");
  rule.quality = in.pointer("quality");
  const std::string time_format = in.text("time_format", 16);
  const std::pair<std::string_view, TimeFormat> formats[] = {
      {"", TimeFormat::kAuto},     {"auto", TimeFormat::kAuto}, {"rfc3339", TimeFormat::kRfc3339},
      {"s", TimeFormat::kSeconds}, {"ms", TimeFormat::kMillis}, {"us", TimeFormat::kMicros},
      {"ns", TimeFormat::kNanos}};
  const auto* known = std::find_if(std::begin(formats), std::end(formats),
                                   [&](const auto& f) { return f.first == time_format; });
  if (known == std::end(formats))
    in.complain("time_format", "is auto, rfc3339, s, ms, us or ns");
  else
    rule.time_format = known->second;
  if (const Json* map = in.any("qualities")) {
    if (!map->is_object()) in.complain("qualities", "maps wire values to good, uncertain or bad");
    for (const auto& [wire, stored] : map->items()) {
      const auto quality = quality_of(scalar_text(stored));
      if (!quality) in.complain("qualities", "maps wire values to good, uncertain or bad");
      rule.qualities.emplace_back(wire, quality.value_or(Quality::kBad));
    }
  }
  if (const Json* list = in.any("list")) {
    Reader l(*list, "payload.list", error);
    rule.list = {l.pointer("at"), l.pointer("name"), l.pointer("value"), l.pointer("time"),
                 l.pointer("quality")};
    if (rule.list.name.empty() || rule.list.value.empty())
      l.complain("name", "and value are JSON Pointers within an entry of the list");
  }
}

void read_deadband(const Json& object, const std::string& path, Deadband& out,
                   std::optional<Error>& error) {
  Reader in(object, path, error);
  out.absolute = in.number("absolute", 0);
  out.percent = in.number("percent", 0);
  const double heartbeat_s = in.number("heartbeat_s", 0);
  if (out.absolute < 0 || out.percent < 0 || out.percent > 100 || heartbeat_s < 0 ||
      heartbeat_s > 86'400 * 366.0)
    in.complain("absolute", "and percent (to 100) and heartbeat_s (to a year) are not negative");
  out.heartbeat_us = std::llround(heartbeat_s * 1e6);
}

BindingElement read_element(const Json& object, const std::string& path,
                            std::optional<Error>& error) {
  BindingElement out;
  Reader in(object, path, error);
  out.element = in.text("element", 512, true);
  out.from = in.text("from", 512);
  out.unit = in.text("unit", 64);
  out.scale = in.number("scale", 1);
  out.offset = in.number("offset", 0);
  if (out.scale == 0) in.complain("scale", "is not 0");
  if (const Json* bits = in.any("bits")) {
    Reader b(*bits, path + ".bits", error);
    const uint32_t first = b.natural("first", 63, 0);
    const uint32_t count = b.natural("count", 64, 1);
    if (count == 0 || first + count > 64) b.complain("count", "ends within 64 bits");
    out.bits = BitRange{static_cast<uint8_t>(first), static_cast<uint8_t>(count)};
  }
  if (const Json* values = in.any("values")) {
    if (!values->is_object() || values->size() > 1000)
      in.complain("values", "maps at most 1000 wire values to stored ones");
    else
      for (const auto& [wire, stored] : values->items())
        out.values.emplace_back(wire, scalar_text(stored));
  }
  if (const Json* bytes = in.any("bytes")) {
    Reader b(*bytes, path + ".bytes", error);
    const uint32_t offset = b.natural("offset", 65'535, 0);
    const auto field = parse_byte_field(offset, b.text("type", 16, true), b.text("order", 16));
    if (field)
      out.bytes = *field;
    else if (!error)
      error = Error{field.error().code, field.error().message, b.path("type")};
  }
  if (const Json* deadband = in.any("deadband"))
    read_deadband(*deadband, path + ".deadband", out.deadband, error);
  return out;
}

void read_elements(Reader& in, BindingDocument& out, std::optional<Error>& error) {
  const Json* list = in.any("elements");
  if (!list) return;
  if (!list->is_array() || list->size() > kEntriesMax) {
    in.complain("elements", "is an array of at most 10,000 entries");
    return;
  }
  std::set<std::string> bound;
  for (size_t i = 0; i < list->size() && !error; ++i) {
    const std::string path = fmt::format("elements[{}]", i);
    out.elements.push_back(read_element((*list)[i], path, error));
    const BindingElement& made = out.elements.back();
    if (error) return;
    if (!bound.insert(made.element).second)
      error = Error{ErrorCode::kInvalidArgument,
                    fmt::format("Two sources would write {}: keep one", made.element),
                    path + ".element"};
    if (made.bytes.has_value() != (out.payload.format == PayloadFormat::kBytes) && !error)
      error = Error{ErrorCode::kInvalidArgument,
                    "Entries have bytes when the payload's format is bytes, and only then",
                    path + ".bytes"};
  }
}

void read_topic(Reader& in, BindingDocument& out, std::optional<Error>& error) {
  const std::string topic = in.text("topic", 1024);
  out.device_text = in.text("device", 256);
  if (topic.empty()) {
    if (!out.device_text.empty())
      in.complain("device", "is made of a topic's captures: give topic");
    return;
  }
  if (out.protocol != "mqtt") in.complain("topic", "is for the protocol mqtt");
  auto pattern = TopicPattern::parse(topic);
  if (!pattern) {
    if (!error) error = Error{pattern.error().code, pattern.error().message, "topic"};
    return;
  }
  out.topic = *std::move(pattern);
  if (out.device_text.empty()) out.device_text = "{device}";
  auto device = NameTemplate::parse(out.device_text, out.topic);
  if (device)
    out.device = *std::move(device);
  else if (!error)
    error = Error{device.error().code, device.error().message, "device"};
}

}  // namespace

Result<BindingDocument> parse_binding(const Json& document) {
  BindingDocument out;
  std::optional<Error> error;
  {
    Reader in(document, "", error);
    out.name = in.text("name", 63, true);
    if (const Status fine = check_slug("binding", out.name); !fine && !error)
      error = Error{fine.error().code, fine.error().message, "name"};
    out.description = in.text("description", 2000);
    out.model = in.text("model", 2048, true);
    if (std::string protocol = in.text("protocol", 16); !protocol.empty())
      out.protocol = std::move(protocol);
    const std::set<std::string_view> known{"mqtt", "sparkplug", "lwm2m", "opcua", "http"};
    if (!known.contains(out.protocol))
      in.complain("protocol", "is mqtt, sparkplug, lwm2m, opcua or http");
    read_topic(in, out, error);
    if (const Json* payload = in.any("payload")) {
      if (out.protocol != "mqtt" && out.protocol != "http")
        in.complain("payload", "is for mqtt and http; other protocols say themselves what is what");
      read_payload(*payload, out.payload, error);
    }
    const std::string others = in.text("others", 16);
    if (others != "by_name" && others != "ignore" && !others.empty())
      in.complain("others", "is by_name or ignore");
    out.by_name = others == "by_name";
    read_elements(in, out, error);
    if (out.elements.empty() && !out.by_name)
      in.complain("elements", "is empty: nothing would be stored");
    if (out.payload.format == PayloadFormat::kScalar &&
        out.topic.index_of("element") == out.topic.names().size() && out.elements.size() != 1)
      in.complain("topic", "needs a capture {element}, since the payload is one value");
  }
  if (error) return fail(*std::move(error));
  return out;
}

// -- for one model

std::span<const WireRule> SourceConfig::rules_of(std::string_view address) const {
  const auto first = std::lower_bound(
      rules.begin(), rules.end(), address,
      [](const WireRule& rule, std::string_view wanted) { return rule.address < wanted; });
  auto last = first;
  while (last != rules.end() && last->address == address) ++last;
  return {first, last};
}

std::span<const WireRule> SourceConfig::rules_below(std::string_view element) const {
  const auto first = std::lower_bound(
      rules.begin(), rules.end(), element,
      [](const WireRule& rule, std::string_view wanted) { return rule.address < wanted; });
  auto last = first;
  while (last != rules.end() && last->address.starts_with(element)) ++last;
  return {first, last};
}

namespace {

bool is_numeric(const ElementInfo& element) {
  return element.kind == ValueKind::kDouble || element.kind == ValueKind::kInteger;
}

Status check_values(const BindingElement& entry, const ElementInfo& element) {
  for (const auto& [wire, stored] : entry.values) {
    char* end = nullptr;
    const bool numeric = !stored.empty() && (std::strtod(stored.c_str(), &end), *end == '\0');
    bool fits = true;
    if (is_numeric(element)) fits = numeric;
    if (element.kind == ValueKind::kBoolean) fits = stored == "true" || stored == "false";
    if (element.kind == ValueKind::kText && !element.enum_values.empty())
      fits = std::find(element.enum_values.begin(), element.enum_values.end(), stored) !=
             element.enum_values.end();
    if (element.kind == ValueKind::kObject) fits = false;
    if (!fits)
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("{} cannot be {}: the model says {}", element.key, stored,
                              element.enum_values.empty()
                                  ? std::string(name(element.kind))
                                  : fmt::format("one of {}", fmt::join(element.enum_values, ", "))),
                  fmt::format("values.{}", wire));
  }
  return {};
}

// wire -> entry.unit -> element's unit, as one scale and offset.
Status convert_unit(const BindingElement& entry, const ElementInfo& element, WireRule& rule) {
  rule.scale = entry.scale;
  rule.offset = entry.offset;
  if (entry.unit.empty() || entry.unit == element.unit) return {};
  if (element.unit.empty())
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("The model gives {} no unit to convert to: remove the unit here, or add "
                    "one to the model",
                    element.key),
        entry.unit);
  TRY_ASSIGN(const UnitConversion unit, conversion(entry.unit, element.unit));
  rule.scale = entry.scale * unit.numerator;
  rule.offset = entry.offset * unit.numerator + unit.shift;
  rule.divisor = unit.denominator;
  return {};
}

Result<WireRule> compile_entry(const BindingElement& entry, const ModelInfo& model) {
  const ElementInfo* element = model.element(entry.element);
  if (!element)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} has no element of that name", model.id), entry.element);
  WireRule rule;
  rule.element = static_cast<uint32_t>(element - model.elements.data());
  rule.address = entry.from.empty() ? entry.element : entry.from;
  if (entry.bytes) rule.address = fmt::format("bytes@{}", entry.element);
  rule.bytes = entry.bytes;
  rule.bits = entry.bits.value_or(BitRange{});
  rule.values = entry.values;
  rule.deadband = entry.deadband;
  std::sort(rule.values.begin(), rule.values.end());
  TRY(check_values(entry, *element));
  const bool converts = !entry.unit.empty() || entry.scale != 1 || entry.offset != 0;
  if (converts && !is_numeric(*element))
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} is no number: unit, scale and offset do not apply", element->key),
                entry.element);
  if (entry.deadband != Deadband{} && !is_numeric(*element))
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} is no number: a deadband does not apply", element->key),
                entry.element);
  if (is_numeric(*element)) TRY(convert_unit(entry, *element, rule));
  return rule;
}

}  // namespace

Result<std::shared_ptr<const SourceConfig>> compile_binding(const BindingDocument& document,
                                                            uint32_t version,
                                                            const ModelInfo& model) {
  if (!model.is_a(document.model))
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("The binding {} is for {}; {} neither is nor extends it", document.name,
                            document.model, model.id),
                document.name);
  auto made = std::make_shared<SourceConfig>();
  made->binding = document.name;
  made->version = version;
  made->protocol = document.protocol;
  made->topic = document.topic;
  made->payload = document.payload;
  const size_t capture = document.topic.index_of("element");
  if (capture < document.topic.names().size()) made->element_capture = capture;
  std::set<std::string_view> bound;
  for (const BindingElement& entry : document.elements) {
    auto rule = compile_entry(entry, model);
    if (!rule)
      return fail(rule.error().code, rule.error().message,
                  fmt::format("{}: {}", entry.element, rule.error().about));
    made->rules.push_back(*std::move(rule));
    bound.insert(entry.element);
  }
  for (const ElementInfo& element : model.elements) {
    if (!document.by_name || bound.contains(element.key)) continue;
    WireRule rule;
    rule.address = element.key;
    rule.element = static_cast<uint32_t>(&element - model.elements.data());
    made->rules.push_back(std::move(rule));
  }
  std::stable_sort(made->rules.begin(), made->rules.end(),
                   [](const WireRule& a, const WireRule& b) { return a.address < b.address; });
  return made;
}

}  // namespace penstock::twin
