#include "twin/exchange/terms.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "twin/dtdl/metamodel.h"
#include "twin/units.h"

namespace penstock::twin {

std::string_view name(ModelFormat format) {
  switch (format) {
    case ModelFormat::kDtdl:
      return "dtdl";
    case ModelFormat::kWot:
      return "wot";
    case ModelFormat::kAas:
      return "aas";
  }
  return "dtdl";
}

Result<ModelFormat> parse_model_format(std::string_view text) {
  for (const auto format : {ModelFormat::kDtdl, ModelFormat::kWot, ModelFormat::kAas})
    if (name(format) == text) return format;
  return fail(ErrorCode::kInvalidArgument, "The format is dtdl, wot or aas", std::string(text));
}

Json Imported::documents() const {
  Json out = Json::array();
  for (const InterfaceShape& shape : interfaces) out.push_back(write_dtdl(shape));
  return out;
}

namespace exchange {

void Notes::rest(const Json& object, std::string_view handled, const std::string& at) {
  if (!object.is_object()) return;
  for (const auto& [member, value] : object.items())
    if (!dtdl::has_word(handled, member))
      add(at.empty() ? member : at + "." + member, "This has no place in DTDL and is left out");
}

namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

struct QudtUnit {
  std::string_view code, unit;
};
// Codes of QUDT's unit vocabulary that Thing Descriptions use most.
constexpr auto kQudt = std::to_array<QudtUnit>({
    {"A", "ampere"},
    {"BAR", "bar"},
    {"DEG", "degreeOfArc"},
    {"DEG_C", "degreeCelsius"},
    {"DEG_F", "degreeFahrenheit"},
    {"GM", "gram"},
    {"HR", "hour"},
    {"HZ", "hertz"},
    {"J", "joule"},
    {"K", "kelvin"},
    {"KiloGM", "kilogram"},
    {"KiloPA", "kilopascal"},
    {"KiloW", "kilowatt"},
    {"KiloW-HR", "kilowattHour"},
    {"L", "litre"},
    {"L-PER-MIN", "litrePerMinute"},
    {"LUX", "lux"},
    {"M", "metre"},
    {"M-PER-SEC", "metrePerSecond"},
    {"M3", "cubicMetre"},
    {"M3-PER-HR", "cubicMetrePerHour"},
    {"M3-PER-SEC", "cubicMetrePerSecond"},
    {"MIN", "minute"},
    {"MilliM", "millimetre"},
    {"MilliM-PER-SEC", "millimetrePerSecond"},
    {"MilliSEC", "millisecond"},
    {"N", "newton"},
    {"N-M", "newtonMetre"},
    {"OHM", "ohm"},
    {"PA", "pascal"},
    {"PERCENT", "percent"},
    {"PPM", "partsPerMillion"},
    {"RAD", "radian"},
    {"REV-PER-MIN", "revolutionPerMinute"},
    {"SEC", "second"},
    {"UNITLESS", "unity"},
    {"V", "volt"},
    {"W", "watt"},
    {"W-HR", "wattHour"},
});

// "om2:degree_Celsius" and ".../unit/DEG_C" to what follows the last of these.
std::string_view local_part(std::string_view text) {
  if (text.starts_with("http://") || text.starts_with("https://")) {
    const size_t at = text.find_last_of("/#");
    return text.substr(at + 1);
  }
  const size_t colon = text.find(':');
  return colon == text.npos ? text : text.substr(colon + 1);
}

const UnitInfo* unit_by_name(std::string_view text) {
  std::string plain;
  for (const char c : text)
    if (c != '_' && c != ' ' && c != '-')
      plain += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  for (const UnitInfo& unit : units()) {
    std::string lower;
    for (const char c : unit.name)
      lower += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    if (lower == plain) return &unit;
  }
  return nullptr;
}

const UnitInfo* any_unit(std::string_view text, std::string_view quantity) {
  const std::string_view local = local_part(text);
  if (const UnitInfo* unit = find_unit(local)) return unit;
  const bool qudt = local != text;
  const auto found = std::find_if(kQudt.begin(), kQudt.end(),
                                  [&](const QudtUnit& one) { return one.code == local; });
  if (qudt && found != kQudt.end()) return find_unit(found->unit);
  for (const Notation notation :
       {Notation::kField, Notation::kUcum, Notation::kSenml, Notation::kUnece})
    if (const auto unit = parse_unit(local, quantity, notation)) return *unit;
  if (found != kQudt.end()) return find_unit(found->unit);
  return unit_by_name(local);
}

}  // namespace

bool is_dtdl_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && is_letter(text.front()) && text.back() != '_' &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_letter(c) || is_digit(c) || c == '_'; });
}

std::string dtdl_name(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 256)) {
    if (is_letter(c) || (is_digit(c) && !out.empty()))
      out += c;
    else if (is_digit(c))
      out += std::string("n") + c;
    else if (!out.empty() && out.back() != '_')
      out += '_';
  }
  out.resize(std::min<size_t>(out.size(), 60));
  while (!out.empty() && out.back() == '_') out.pop_back();
  return out.empty() ? "value" : out;
}

std::string Names::take(const std::string& wanted, const std::string& at) {
  std::string name = is_dtdl_name(wanted) ? wanted : dtdl_name(wanted);
  for (int i = 2; !taken_.insert(name).second; ++i) {
    const std::string stem = is_dtdl_name(wanted) ? wanted : dtdl_name(wanted);
    name = fmt::format("{}{}", stem.substr(0, 58), i);
  }
  if (name != wanted)
    notes_.add(at, fmt::format("Renamed to {}: a binding maps the name on the wire", name));
  return name;
}

std::string made_dtmi(std::string_view prefix, std::string_view title, std::string_view version) {
  std::string camel;
  bool up = true;
  for (const char c : title.substr(0, 100)) {
    if (!is_letter(c) && !is_digit(c)) {
      up = true;
      continue;
    }
    camel += up && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    up = false;
  }
  if (camel.empty() || !is_letter(camel.front())) camel.insert(0, "Thing");
  uint32_t number = 1;
  std::from_chars(version.data(), version.data() + version.size(), number);
  if (number < 1 || number > 999'999'999) number = 1;
  return fmt::format("dtmi:{}:{};{}", prefix, camel, number);
}

std::string text_of(const Json& object, const char* member) {
  if (!object.is_object()) return {};
  const auto found = object.find(member);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

const Json* object_at(const Json& object, const char* member) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(member);
  return found != object.end() && found->is_object() ? &*found : nullptr;
}

const Json* array_at(const Json& object, const char* member) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(member);
  return found != object.end() && found->is_array() ? &*found : nullptr;
}

std::optional<double> number_at(const Json& object, const char* member) {
  if (!object.is_object()) return std::nullopt;
  const auto found = object.find(member);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  const double value = found->get<double>();
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

Json number_json(double value) {
  if (value == std::floor(value) && std::abs(value) < 9e15) return static_cast<int64_t>(value);
  return value;
}

std::string unit_text(std::string_view unit, std::string_view semantic_type) {
  const UnitInfo* info = find_unit(unit);
  if (!info || info->symbol.empty()) return std::string(unit);
  ValueShape back;
  back.semantic_type = semantic_type;
  std::vector<ConversionNote> notes;
  Notes unused(notes);
  read_unit(info->symbol, back, unused, "");
  return std::string(back.unit == unit ? info->symbol : unit);
}

void read_unit(std::string_view text, ValueShape& value, Notes& notes, const std::string& at) {
  if (text.empty()) return;
  const UnitInfo* unit = any_unit(text, value.semantic_type);
  if (!unit || !unit->in_dtdl()) {
    notes.add(at, fmt::format("The unit {} is not one of DTDL's and is left out", text));
    return;
  }
  const auto types = semantic_types_of(unit->name);
  if (value.semantic_type.empty()) value.semantic_type = semantic_type_of(unit->name);
  if (value.semantic_type.empty() && !types.empty()) value.semantic_type = types.front();
  if (std::find(types.begin(), types.end(), value.semantic_type) == types.end()) {
    notes.add(at, fmt::format("The unit {} goes with no semantic type of DTDL here and is left out",
                              text));
    value.semantic_type.clear();
    return;
  }
  value.unit = unit->name;
}

namespace {

struct NumberRange {
  std::string_view schema;
  double least, most;
};
constexpr NumberRange kWhole[] = {
    {"byte", -128, 127},
    {"unsignedByte", 0, 255},
    {"short", -32768, 32767},
    {"unsignedShort", 0, 65535},
    {"integer", -2147483648.0, 2147483647.0},
    // DTDLParser reads a limit as an integer of 32 bits, whatever the schema holds: beyond them it
    // refuses the interface, and so do we.
    {"unsignedInteger", 0, 2147483647.0},
    {"long", -2147483648.0, 2147483647.0},
    {"unsignedLong", 0, 2147483647.0},
};

void settle_limit(std::optional<double>& limit, const NumberRange& range, bool upper, Notes& notes,
                  const std::string& at) {
  if (!limit) return;
  const double whole = upper ? std::floor(*limit) : std::ceil(*limit);
  if (whole != *limit)
    notes.add(at, fmt::format("The limit {} of a whole number is taken as {}", *limit, whole));
  limit = whole;
  if (whole >= range.least && whole <= range.most) return;
  notes.add(at, fmt::format("The limit {} is beyond what DTDL takes for {} and is left out", whole,
                            range.schema));
  limit.reset();
}

}  // namespace

void settle_limits(ValueShape& value, Notes& notes, const std::string& at) {
  if (!value.minimum && !value.maximum) return;
  if (value.schema.kind == SchemaShape::Kind::kPrimitive) {
    if (dtdl::has_word("double float decimal", value.schema.primitive)) return;
    for (const NumberRange& range : kWhole)
      if (range.schema == value.schema.primitive) {
        settle_limit(value.minimum, range, false, notes, at + ".minimum");
        settle_limit(value.maximum, range, true, notes, at + ".maximum");
        return;
      }
  }
  notes.add(at, "Limits are for numbers and are left out");
  value.minimum = value.maximum = std::nullopt;
}

namespace {

constexpr size_t kTextBytesMax = 512;  // of displayName, description and comment in DTDL v3

void cut(std::string& text, Notes& notes, const std::string& at) {
  if (text.size() <= kTextBytesMax) return;
  size_t end = kTextBytesMax - 3;  // "…" is three bytes
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  text.resize(end);
  text += "…";
  notes.add(at, fmt::format("The text is cut after {} bytes, which is what DTDL takes", end));
}

void settle_value(ValueShape& value, Notes& notes, const std::string& at);

void settle_schema(SchemaShape& schema, Notes& notes, const std::string& at) {
  for (auto* texts : {&schema.display, &schema.description})
    for (auto& [language, text] : *texts) cut(text, notes, at);
  for (EnumValueShape& value : schema.values)
    for (auto* texts : {&value.display, &value.description})
      for (auto& [language, text] : *texts) cut(text, notes, at + "." + value.name);
  for (ValueShape& child : schema.children) settle_value(child, notes, at + "." + child.name);
}

void settle_value(ValueShape& value, Notes& notes, const std::string& at) {
  for (auto* texts : {&value.display, &value.description})
    for (auto& [language, text] : *texts) cut(text, notes, at);
  cut(value.comment, notes, at + ".comment");
  settle_schema(value.schema, notes, at);
}

}  // namespace

void settle_texts(InterfaceShape& shape, Notes& notes) {
  for (auto* texts : {&shape.display, &shape.description})
    for (auto& [language, text] : *texts) cut(text, notes, "description");
  cut(shape.comment, notes, "comment");
  for (ContentShape& content : shape.contents) {
    settle_value(content, notes, content.name);
    if (content.request) settle_value(*content.request, notes, content.name + ".request");
    if (content.response) settle_value(*content.response, notes, content.name + ".response");
  }
}

std::string semantic_type_of_iri(std::string_view iri) {
  for (const std::string_view scheme : {"dtmi:dtdl:", "dtdl:"})
    if (iri.starts_with(scheme)) {
      iri.remove_prefix(scheme.size());
      break;
    }
  constexpr std::string_view kExtension = "extension:quantitativeTypes:";
  if (!iri.starts_with(kExtension) || iri.find(":class:") == iri.npos) return {};
  std::string type = term_of(iri);
  return units_of(type).empty() ? std::string() : type;
}

bool is_primitive(std::string_view term) {
  return dtdl::has_word(
      "boolean byte bytes date dateTime decimal double duration float integer long short string "
      "time unsignedByte unsignedInteger unsignedLong unsignedShort uuid point lineString "
      "multiLineString multiPoint multiPolygon polygon",
      term);
}

}  // namespace exchange
}  // namespace penstock::twin
