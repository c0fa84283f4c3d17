#include "twin/proposal.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/json.h"
#include "base/time.h"
#include "twin/names.h"
#include "twin/units.h"

namespace penstock::twin {
namespace {

constexpr size_t kElementsMax = 500;  // of a device that sends a new name with each message
constexpr int kDepthMax = 6;

// Semantic types and units: DTDL v3 QuantitativeTypes extension, version 1.
struct Quantity {
  std::string_view word;  // of the name
  std::string_view semantic_type;
  std::string_view unit;  // the custom one
  std::optional<double> minimum, maximum;
};
constexpr unsigned kProposed = 2;  // UnitInfo::versions of that extension
constexpr double kAbsoluteZeroC = -273.15;
constexpr auto kNone = std::nullopt;
constexpr Quantity kQuantities[] = {
    {"temperature", "Temperature", "degreeCelsius", kAbsoluteZeroC, kNone},
    {"temp", "Temperature", "degreeCelsius", kAbsoluteZeroC, kNone},
    {"pressure", "Pressure", "bar", kNone, kNone},
    {"press", "Pressure", "bar", kNone, kNone},
    {"humidity", "RelativeHumidity", "percent", 0.0, 100.0},
    {"current", "Current", "ampere", kNone, kNone},
    {"voltage", "Voltage", "volt", kNone, kNone},
    {"power", "Power", "kilowatt", kNone, kNone},
    {"energy", "Energy", "kilowattHour", kNone, kNone},
    {"frequency", "Frequency", "hertz", 0.0, kNone},
    {"rpm", "AngularVelocity", "revolutionPerMinute", kNone, kNone},
    {"torque", "Torque", "newtonMetre", kNone, kNone},
    {"illuminance", "Illuminance", "lux", 0.0, kNone},
    {"acceleration", "Acceleration", "metrePerSecondSquared", kNone, kNone},
};

// One-letter units and the like mean something only behind their quantity: "sensor_a" is no
// current.
bool needs_quantity(std::string_view unit_words) { return unit_words.size() <= 2; }

constexpr std::string_view kCounting[] = {"count",  "counter", "cycles", "starts", "state",
                                          "status", "code",    "mode",   "errors", "faults",
                                          "alarms", "number",  "index",  "total"};

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "dischargePressure_bar" -> discharge, pressure, bar. Digits are words of their own.
std::vector<std::string> words_of(std::string_view name) {
  std::vector<std::string> words;
  bool open = false;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (!is_upper(c) && !is_lower(c) && !is_digit(c)) {
      open = false;
      continue;
    }
    const bool hump = is_upper(c) && i > 0 && is_lower(name[i - 1]);
    const bool turn = i > 0 && is_digit(c) != is_digit(name[i - 1]);
    if (!open || hump || turn) words.emplace_back();
    words.back() += is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
    open = true;
  }
  return words;
}

// DTDL v3 section "Name": begins with a letter, ends with a letter or digit, '_' between.
std::string dtdl_name(std::string_view wire_key) {
  std::string out;
  for (const char c : wire_key.substr(0, 64)) {
    const bool plain = is_upper(c) || is_lower(c) || is_digit(c);
    if (plain)
      out += c;
    else if (!out.empty() && out.back() != '_')
      out += '_';
  }
  while (!out.empty() && out.back() == '_') out.pop_back();
  if (out.empty() || is_digit(out[0])) out.insert(0, "v");
  return out;
}

std::string normal(std::string_view key) {
  std::string out;
  for (const char c : key) {
    if (is_upper(c))
      out += static_cast<char>(c - 'A' + 'a');
    else if (is_lower(c) || is_digit(c))
      out += c;
  }
  return out;
}

// What was seen of one member.
struct Seen {
  uint64_t numbers = 0, fractions = 0, booleans = 0, texts = 0, times = 0, arrays = 0, objects = 0;
  double minimum = 0, maximum = 0;

  void number(double value) {
    minimum = numbers == 0 ? value : std::min(minimum, value);
    maximum = numbers == 0 ? value : std::max(maximum, value);
    ++numbers;
    if (value != std::floor(value)) ++fractions;
  }
  [[nodiscard]] uint64_t all() const { return numbers + booleans + texts + arrays + objects; }
};

struct Observations {
  std::map<std::string, Seen> members;  // by wire key
  std::vector<std::string> order;

  Seen* member(const std::string& key) {
    const auto found = members.find(key);
    if (found != members.end()) return &found->second;
    if (members.size() >= kElementsMax || key.size() > 256) return nullptr;
    order.push_back(key);
    return &members[key];
  }

  void take(const std::string& key, const Json& value, int depth) {
    if (value.is_object() && depth < kDepthMax && !value.empty()) {
      for (const auto& [inner, content] : value.items())
        take(key + "." + inner, content, depth + 1);
      return;
    }
    if (value.is_null()) return;
    Seen* seen = member(key);
    if (!seen) return;
    if (value.is_number())
      seen->number(value.get<double>());
    else if (value.is_boolean())
      ++seen->booleans;
    else if (value.is_array())
      ++seen->arrays;
    else if (value.is_object())
      ++seen->objects;
    else {
      ++seen->texts;
      if (parse_rfc3339(value.get_ref<const std::string&>())) ++seen->times;
    }
  }

  // One of the three forms of telemetry. False: none.
  bool message(const Json& json) {
    if (json.is_array()) {
      bool any = false;
      for (const Json& entry : json)
        if (entry.is_object()) any = message(entry) || any;
      return any;
    }
    if (!json.is_object() || json.empty()) return false;
    const auto values = json.find("values");
    const bool wrapped = values != json.end() && values->is_object() &&
                         (json.size() == 1 || (json.size() == 2 && json.contains("ts")));
    for (const auto& [key, value] : (wrapped ? *values : json).items()) take(key, value, 0);
    return true;
  }
};

std::string schema_of(const Seen& seen, const std::vector<std::string>& words) {
  const uint64_t all = seen.all();
  if (seen.numbers == all) {
    const bool counts =
        seen.fractions == 0 && std::any_of(words.begin(), words.end(), [](const auto& word) {
          return std::find(std::begin(kCounting), std::end(kCounting), word) != std::end(kCounting);
        });
    return counts ? "long" : "double";
  }
  if (seen.booleans == all) return "boolean";
  if (seen.texts == all) return seen.times == all ? "dateTime" : "string";
  if (seen.arrays == all) return "Array";
  if (seen.objects == all) return "Object";
  return "";  // sometimes this, sometimes that: nothing to propose
}

const Quantity* quantity_named(const std::vector<std::string>& words) {
  for (size_t i = words.size(); i-- > 0;)
    for (const Quantity& quantity : kQuantities)
      if (words[i] == quantity.word) return &quantity;
  return nullptr;
}

// A unit as the end of a name: what follows the last separator as it is written, else the last
// word.
const UnitInfo* written_unit(const std::vector<std::string>& words, const ProposedElement& element,
                             std::string_view quantity) {
  const std::string_view key = element.wire_key;
  const size_t separator = key.find_last_of("_-. /");
  const std::string_view tail = separator == key.npos ? "" : key.substr(separator + 1);
  for (const std::string_view text : {tail, std::string_view(words.back())}) {
    if (text.empty() || is_digit(text.front())) continue;
    const auto unit = parse_unit(text, quantity);
    if (!unit || !((*unit)->versions & kProposed)) continue;
    const bool agrees = !quantity.empty() && quantity_of(quantity) == (*unit)->quantity;
    if (agrees || (quantity.empty() && !needs_quantity(text) && !semantic_type_of(text).empty()))
      return *unit;
  }
  return nullptr;
}

void guess_unit(const std::vector<std::string>& words, ProposedElement& element) {
  const Quantity* quantity = quantity_named(words);
  if (words.size() > 1)
    if (const UnitInfo* unit =
            written_unit(words, element, quantity ? quantity->semantic_type : "")) {
      element.semantic_type = quantity ? quantity->semantic_type : semantic_type_of(unit->name);
      element.unit = unit->name;
      // The custom unit's limits, in this one.
      const auto converted = quantity ? conversion(quantity->unit, unit->name)
                                      : Result<UnitConversion>(UnitConversion());
      if (quantity && converted && quantity->minimum)
        element.minimum = converted->apply(*quantity->minimum);
      if (quantity && converted && quantity->maximum)
        element.maximum = converted->apply(*quantity->maximum);
      element.unit_written = true;
      return;
    }
  if (!quantity) return;
  element.semantic_type = quantity->semantic_type;
  element.unit = quantity->unit;
  element.minimum = quantity->minimum;
  element.maximum = quantity->maximum;
  // The custom unit is wrong where its limits are broken already: kelvin or a fraction, perhaps.
  if ((element.minimum && element.seen_minimum < *element.minimum) ||
      (element.maximum && element.seen_maximum > *element.maximum)) {
    element.semantic_type.clear();
    element.unit.clear();
    element.minimum = element.maximum = std::nullopt;
  }
}

std::string title_of(std::string_view wire_key) {
  std::string title;
  for (const std::string& word : words_of(wire_key)) {
    if (!title.empty()) title += ' ';
    title += word;
  }
  if (!title.empty() && is_lower(title[0])) title[0] = static_cast<char>(title[0] - 'a' + 'A');
  return title.empty() ? std::string(wire_key) : title.substr(0, 64);
}

Json content_of(const ProposedElement& element) {
  Json content;
  if (element.semantic_type.empty())
    content["@type"] = "Telemetry";
  else
    content["@type"] = {"Telemetry", element.semantic_type};
  content["name"] = element.name;
  content["displayName"] = title_of(element.wire_key);
  if (element.schema == "Array")
    content["schema"] = {{"@type", "Array"}, {"elementSchema", "double"}};
  else if (element.schema == "Object")
    content["schema"] = {{"@type", "Map"},
                         {"mapKey", {{"name", "key"}, {"schema", "string"}}},
                         {"mapValue", {{"name", "value"}, {"schema", "string"}}}};
  else
    content["schema"] = element.schema;
  if (!element.unit.empty()) content["unit"] = element.unit;
  if (!element.unit.empty() && !element.unit_written)
    content["comment"] = "The unit is a guess from the name: check it.";
  return content;
}

}  // namespace

Result<Proposal> propose_interface(std::string_view device, std::span<const std::string> payloads) {
  Proposal proposal;
  Observations observations;
  for (const std::string& payload : payloads) {
    const auto json = parse_json(payload);
    if (json && observations.message(*json))
      ++proposal.messages_read;
    else
      ++proposal.messages_skipped;
  }
  std::set<std::string> names;
  for (const std::string& key : observations.order) {
    const Seen& seen = observations.members[key];
    const std::vector<std::string> words = words_of(key);
    ProposedElement element;
    element.wire_key = key;
    element.schema = schema_of(seen, words);
    if (element.schema.empty()) continue;
    element.name = dtdl_name(key);
    for (int n = 2; !names.insert(element.name).second; ++n)
      element.name = fmt::format("{}_{}", dtdl_name(key), n);
    element.seen = seen.all();
    element.seen_minimum = seen.minimum;
    element.seen_maximum = seen.maximum;
    if (element.schema == "double") guess_unit(words, element);
    proposal.elements.push_back(std::move(element));
  }
  if (proposal.elements.empty())
    return fail(ErrorCode::kInvalidArgument,
                "None of the messages carries a value that a model can describe: JSON objects are "
                "expected, {\"temperature\": 21.5}",
                std::string(device));

  const std::string name = dtdl_name(device);
  proposal.dtmi = fmt::format("dtmi:penstock:discovered:{};1", name);
  Json document;
  document["@context"] = {"dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"};
  document["@id"] = proposal.dtmi;
  document["@type"] = "Interface";
  document["displayName"] = std::string(device.substr(0, 64));
  document["contents"] = Json::array();
  for (const ProposedElement& element : proposal.elements)
    document["contents"].push_back(content_of(element));
  proposal.document = document.dump(-1, ' ', false, Json::error_handler_t::replace);
  return proposal;
}

std::vector<BindingEntry> Proposal::bindings() const {
  std::vector<BindingEntry> bindings;
  for (const ProposedElement& element : elements)
    if (element.name != element.wire_key)
      bindings.push_back({element.name, element.wire_key, 1, 0});
  return bindings;
}

std::vector<BindingEntry> match_bindings(const ModelInfo& model,
                                         std::span<const std::string> wire_keys) {
  std::set<std::string_view> wires(wire_keys.begin(), wire_keys.end());
  std::map<std::string, std::vector<std::string_view>> by_normal;
  // Also as propose_interface() would name it: "1st" became v1st.
  for (const std::string& key : wire_keys)
    for (const std::string& form : std::set<std::string>{normal(key), normal(dtdl_name(key))})
      by_normal[form].push_back(key);
  std::vector<BindingEntry> bindings;
  for (const ElementInfo& element : model.elements) {
    if (wires.contains(element.key)) continue;
    const auto found = by_normal.find(normal(element.key));
    // Two members that look alike: no guess.
    if (found == by_normal.end() || found->second.size() != 1 || found->first.empty()) continue;
    if (model.element(found->second.front())) continue;
    bindings.push_back({element.key, std::string(found->second.front()), 1, 0});
  }
  return bindings;
}

}  // namespace penstock::twin
