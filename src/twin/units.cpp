#include "twin/units.h"

#include <algorithm>
#include <map>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace penstock::twin {
namespace {

__extension__ using Wide = __int128;

struct Words {
  uint64_t high, low;
  [[nodiscard]] constexpr Wide value() const { return static_cast<Wide>(high) << 64 | low; }
};
struct UnitFact {
  std::string_view name, symbol, quantity;
  unsigned versions;
  Words numerator, denominator;  // times this: the coherent unit of the quantity
  int64_t shift_numerator, shift_denominator;
  bool exact;
};
struct SemanticFact {
  std::string_view type, quantity;
};
struct NotationFact {
  std::string_view text, unit;
};

#include "twin/units_tables.inc"

// -- fractions of whole numbers that fit 127 bits

struct Fraction {
  Wide numerator = 0, denominator = 1;
};

Wide gcd(Wide a, Wide b) {
  if (a < 0) a = -a;
  while (b != 0) {
    const Wide rest = a % b;
    a = b;
    b = rest;
  }
  return a == 0 ? 1 : a;
}

Fraction reduced(Wide numerator, Wide denominator) {
  const Wide divisor = gcd(numerator, denominator);
  return {numerator / divisor, denominator / divisor};
}

std::optional<Wide> product(Wide a, Wide b) {
  Wide result = 0;
  if (__builtin_mul_overflow(a, b, &result)) return std::nullopt;
  return result;
}

std::optional<Fraction> quotient(Fraction a, Fraction b) {
  const Wide tops = gcd(a.numerator, b.numerator), bottoms = gcd(a.denominator, b.denominator);
  const auto numerator = product(a.numerator / tops, b.denominator / bottoms);
  const auto denominator = product(a.denominator / bottoms, b.numerator / tops);
  if (!numerator || !denominator) return std::nullopt;
  return reduced(*numerator, *denominator);
}

std::optional<Fraction> difference(Fraction a, Fraction b) {
  const auto left = product(a.numerator, b.denominator);
  const auto right = product(b.numerator, a.denominator);
  const auto bottom = product(a.denominator, b.denominator);
  Wide top = 0;
  if (!left || !right || !bottom || __builtin_sub_overflow(*left, *right, &top))
    return std::nullopt;
  return reduced(top, *bottom);
}

long double ratio(Fraction fraction) {
  return static_cast<long double>(fraction.numerator) /
         static_cast<long double>(fraction.denominator);
}

// -- notations

// One form for what people write in many: "N·m", "N*m", "N m"; "m³", "m^3", "m3"; "µ", "μ", "u".
std::string canonical(std::string_view text) {
  constexpr std::pair<std::string_view, std::string_view> kForms[] = {
      {"²", "2"},   {"³", "3"},   {"⁴", "4"},   {"¹", "1"},    {"⁻", "-"},     {"µ", "u"},
      {"μ", "u"},   {"°", "deg"}, {"º", "deg"}, {"℃", "degC"}, {"℉", "degF"},  {"Ω", "ohm"},
      {"Ω", "ohm"}, {"·", ""},    {"⋅", ""},    {"×", ""},     {"^", ""},      {"*", ""},
      {".", ""},    {" ", ""},    {"_", ""},    {"\t", ""},    {"\u00a0", ""}, {"Å", "A"}};
  std::string out;
  while (!text.empty()) {
    const auto* form = std::find_if(std::begin(kForms), std::end(kForms),
                                    [&](const auto& one) { return text.starts_with(one.first); });
    if (form != std::end(kForms)) {
      out += form->second;
      text.remove_prefix(form->first.size());
    } else {
      out += text.front();
      text.remove_prefix(1);
    }
  }
  return out;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

using Candidates = std::vector<const UnitInfo*>;

struct Index {
  std::vector<UnitInfo> all;                                // by name, as kUnits
  std::map<std::string, Candidates, std::less<>> exact;     // canonical form
  std::map<std::string, Candidates, std::less<>> any_case;  // the same in lower case

  const UnitInfo* find(std::string_view name) const {
    const auto at =
        std::lower_bound(all.begin(), all.end(), name,
                         [](const UnitInfo& a, std::string_view b) { return a.name < b; });
    return at != all.end() && at->name == name ? &*at : nullptr;
  }
};

void add(Candidates& candidates, const UnitInfo* unit) {
  if (std::find(candidates.begin(), candidates.end(), unit) == candidates.end())
    candidates.push_back(unit);
}

const Index& index() {
  static const Index kIndex = [] {
    Index made;
    for (const UnitFact& fact : kUnits)
      made.all.push_back({fact.name, fact.symbol, fact.quantity, fact.versions});
    for (const auto& [text, name] : kField) {
      const UnitInfo* unit = made.find(name);
      add(made.exact[canonical(text)], unit);
      add(made.any_case[lower(canonical(text))], unit);
    }
    for (const UnitInfo& unit : made.all) {
      add(made.exact[std::string(unit.name)], &unit);
      add(made.any_case[lower(unit.name)], &unit);
    }
    return made;
  }();
  return kIndex;
}

const UnitFact& fact_of(const UnitInfo& unit) { return kUnits[&unit - index().all.data()]; }

std::string_view quantity_of_type(std::string_view type) {
  for (const SemanticFact& fact : kSemanticTypes)
    if (fact.type == type) return fact.quantity;
  return {};
}

// Two quantities of which one is a kind of the other: a dose.
bool same_enumeration(std::string_view wanted, const UnitInfo& unit) {
  return unit.quantity == wanted ||
         (wanted == "IonizingRadiationDose" && unit.quantity.ends_with(" dose"));
}

std::string_view wanted_quantity(std::string_view quantity) {
  if (quantity.empty()) return {};
  if (const auto of_type = quantity_of_type(quantity); !of_type.empty()) return of_type;
  if (const UnitInfo* unit = find_unit(quantity)) return unit->quantity;
  return quantity;
}

Result<const UnitInfo*> choose(std::string_view text, const Candidates& candidates, bool ordered,
                               std::string_view wanted) {
  Candidates fitting;
  for (const UnitInfo* unit : candidates)
    if (!wanted.empty() && same_enumeration(wanted, *unit)) fitting.push_back(unit);
  if (fitting.empty()) fitting = candidates;
  if (fitting.size() == 1 || ordered) return fitting.front();
  std::vector<std::string_view> names;
  names.reserve(fitting.size());
  for (const UnitInfo* unit : fitting) names.push_back(unit->name);
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("\"{}\" may be {}: write the unit with its DTDL name", text,
                          fmt::join(names, " or ")),
              std::string(text));
}

const UnitInfo* look_up(std::span<const NotationFact> table, std::string_view text) {
  const auto at = std::find_if(table.begin(), table.end(),
                               [&](const NotationFact& fact) { return fact.text == text; });
  return at == table.end() ? nullptr : find_unit(at->unit);
}

std::string with_article(const UnitInfo& unit) {
  return unit.symbol.empty() ? std::string(unit.name)
                             : fmt::format("{} ({})", unit.name, unit.symbol);
}

}  // namespace

const UnitInfo* find_unit(std::string_view name) { return index().find(name); }

std::span<const UnitInfo> units() { return index().all; }

Result<const UnitInfo*> parse_unit(std::string_view text, std::string_view quantity,
                                   Notation notation) {
  const UnitInfo* unit = nullptr;
  switch (notation) {
    case Notation::kUnece:
      unit = look_up(kUnece, text);
      break;
    case Notation::kSenml:
      unit = look_up(kSenml, text);
      break;
    case Notation::kUcum:
      unit = look_up(kUcum, text);
      break;
    case Notation::kField:
      unit = find_unit(text);
      break;
  }
  if (unit) return unit;
  // What the tables of UCUM and SenML leave out is written there as in the field, case included.
  const bool field = notation != Notation::kUnece && !text.empty() && text.size() <= 64;
  const std::string form = field ? canonical(text) : std::string();
  const std::string_view wanted = wanted_quantity(quantity);
  if (field) {
    const Index& known = index();
    if (const auto at = known.exact.find(form); at != known.exact.end())
      return choose(text, at->second, true, wanted);
    if (const auto at = known.any_case.find(lower(form));
        notation == Notation::kField && at != known.any_case.end())
      return choose(text, at->second, false, wanted);
    if (notation == Notation::kField && (unit = look_up(kUcum, text))) return unit;
  }
  return fail(ErrorCode::kNotFound,
              fmt::format("\"{}\" is no unit that is known: use a DTDL unit name, such as "
                          "degreeCelsius, or convert with scale and offset",
                          text.substr(0, 64)),
              std::string(text.substr(0, 64)));
}

const UnitInfo* unit_of_opcua(int32_t unit_id) {
  std::string code;
  for (int shift = 24; shift >= 0; shift -= 8)
    if (const char c = static_cast<char>(unit_id >> shift & 0xff); c != 0) code += c;
  return look_up(kUnece, code);
}

std::string_view quantity_of(std::string_view unit_or_type) {
  if (const auto of_type = quantity_of_type(unit_or_type); !of_type.empty()) return of_type;
  const auto unit = parse_unit(unit_or_type);
  return unit ? (*unit)->quantity : std::string_view();
}

std::vector<std::string_view> semantic_types_of(std::string_view unit) {
  std::vector<std::string_view> types;
  const auto known = parse_unit(unit);
  if (!known) return types;
  for (const SemanticFact& fact : kSemanticTypes)
    if (same_enumeration(fact.quantity, **known)) types.push_back(fact.type);
  return types;
}

std::string_view semantic_type_of(std::string_view unit) {
  const auto types = semantic_types_of(unit);
  if (types.size() == 1) return types.front();
  const std::string_view quantity = quantity_of(unit);
  return std::find(types.begin(), types.end(), quantity) == types.end() ? std::string_view()
                                                                        : quantity;
}

std::vector<const UnitInfo*> units_of(std::string_view semantic_type) {
  std::vector<const UnitInfo*> fitting;
  const std::string_view quantity = quantity_of_type(semantic_type);
  if (quantity.empty()) return fitting;
  for (const UnitInfo& unit : units())
    if (unit.in_dtdl() && same_enumeration(quantity, unit)) fitting.push_back(&unit);
  return fitting;
}

Result<UnitConversion> conversion(std::string_view from, std::string_view to) {
  TRY_ASSIGN(const UnitInfo* target, parse_unit(to));
  TRY_ASSIGN(const UnitInfo* source, parse_unit(from, target->quantity));
  if (source->quantity != target->quantity)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} measures {}, {} measures {}: one cannot become the other",
                            with_article(*source), source->quantity, with_article(*target),
                            target->quantity),
                fmt::format("{} to {}", from, to));
  UnitConversion made;
  if (source == target) return made;
  const UnitFact &a = fact_of(*source), &b = fact_of(*target);
  made.exact = a.exact && b.exact;
  const Fraction of_a{a.numerator.value(), a.denominator.value()};
  const Fraction of_b{b.numerator.value(), b.denominator.value()};
  const Fraction shift_a{a.shift_numerator, a.shift_denominator};
  const Fraction shift_b{b.shift_numerator, b.shift_denominator};
  const auto scale = quotient(of_a, of_b);
  const auto shift = difference(shift_a, shift_b);
  const auto offset = shift ? quotient(*shift, of_b) : std::nullopt;
  made.scale = static_cast<double>(scale ? ratio(*scale) : ratio(of_a) / ratio(of_b));
  made.offset = static_cast<double>(offset ? ratio(*offset)
                                           : (ratio(shift_a) - ratio(shift_b)) / ratio(of_b));
  made.numerator = made.scale;
  made.shift = made.offset;
  if (!scale || !offset) return made;
  constexpr Wide kWhole = Wide{1} << 53;  // whole numbers that a double holds
  const Wide common = scale->denominator / gcd(scale->denominator, offset->denominator);
  const auto denominator = product(common, offset->denominator);
  const auto numerator =
      denominator ? product(scale->numerator, *denominator / scale->denominator) : std::nullopt;
  const auto moved =
      denominator ? product(offset->numerator, *denominator / offset->denominator) : std::nullopt;
  if (!numerator || !moved || *numerator > kWhole || *denominator > kWhole || *moved > kWhole ||
      -*moved > kWhole)
    return made;
  made.numerator = static_cast<double>(*numerator);
  made.denominator = static_cast<double>(*denominator);
  made.shift = static_cast<double>(*moved);
  return made;
}

}  // namespace penstock::twin
