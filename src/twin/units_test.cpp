#include "twin/units.h"

#include <cmath>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "twin/dtdl/metamodel.h"

namespace penstock::twin {
namespace {

double convert(double value, std::string_view from, std::string_view to) {
  const auto made = conversion(from, to);
  EXPECT_TRUE(made) << made.error().text();
  return made ? made->apply(value) : std::nan("");
}

std::string read(std::string_view text, std::string_view quantity = {},
                 Notation notation = Notation::kField) {
  const auto unit = parse_unit(text, quantity, notation);
  return unit ? std::string((*unit)->name) : unit.error().text();
}

// Every unit that a model may name, by the parser's own table.
TEST(Units, KnowsEveryUnitOfTheMetamodel) {
  int seen = 0;
  for (const int version : {1, 2, 3})
    for (const UnitInfo& unit : units()) {
      const std::string id = "dtmi:dtdl:extension:quantitativeTypes:v" + std::to_string(version) +
                             ":unit:" + std::string(unit.name);
      const bool there = dtdl::find_element(id) != nullptr;
      EXPECT_EQ(there, (unit.versions & (2u << (version - 1))) != 0) << id;
      seen += there;
    }
  EXPECT_GT(seen, 600);
  for (const UnitInfo& unit : units())
    EXPECT_EQ(dtdl::find_element("dtmi:standard:unit:" + std::string(unit.name) + ";2") != nullptr,
              (unit.versions & 1) != 0)
        << unit.name;
}

TEST(Units, EverySemanticTypeHasUnitsAndEveryUnitATypeAndAnIdentity) {
  for (const UnitInfo& unit : units()) {
    EXPECT_FALSE(semantic_types_of(unit.name).empty()) << unit.name;
    for (const std::string_view type : semantic_types_of(unit.name))
      EXPECT_FALSE(units_of(type).empty()) << type;
    const auto self = conversion(unit.name, unit.name);
    ASSERT_TRUE(self) << self.error().text();
    EXPECT_TRUE(self->identity() && self->exact);
    // Its own symbol is read back, given what it measures.
    if (!unit.symbol.empty()) {
      const auto again = conversion(unit.symbol, unit.name);
      ASSERT_TRUE(again) << unit.name << ": " << again.error().text();
      EXPECT_TRUE(again->identity()) << unit.name << " by " << unit.symbol;
    }
  }
}

TEST(Units, ThereAndBackIsTheSameForEveryPair) {
  int pairs = 0;
  for (const UnitInfo& a : units())
    for (const UnitInfo& b : units()) {
      if (a.quantity != b.quantity) {
        EXPECT_FALSE(conversion(a.name, b.name));
        continue;
      }
      const auto there = conversion(a.name, b.name), back = conversion(b.name, a.name);
      ASSERT_TRUE(there && back);
      EXPECT_NEAR(back->apply(there->apply(300.15)), 300.15, 1e-9) << a.name << " " << b.name;
      EXPECT_NEAR(there->apply(7) / (7 * there->scale + there->offset), 1, 1e-9)
          << a.name << b.name;
      ++pairs;
    }
  EXPECT_GT(pairs, 2000);
}

TEST(Units, ExactWhereTheyAre) {
  EXPECT_EQ(convert(212, "degreeFahrenheit", "degreeCelsius"), 100);
  EXPECT_EQ(convert(-40, "°F", "°C"), -40);
  EXPECT_EQ(convert(20, "degC", "K"), 293.15);
  EXPECT_EQ(convert(300.15, "K", "°C"), 27);
  EXPECT_EQ(convert(491.67, "°R", "degreeCelsius"), 0);
  EXPECT_EQ(convert(101325, "Pa", "atm"), 1);
  EXPECT_EQ(convert(760, "Torr", "standardAtmosphere"), 1);
  EXPECT_EQ(convert(0.7, "MPa", "bar"), 7);
  EXPECT_EQ(convert(3, "m/s", "km/h"), 10.8);
  EXPECT_EQ(convert(3600, "l/h", "l/s"), 1);
  EXPECT_EQ(convert(60, "m³/h", "l/min"), 1000);
  EXPECT_EQ(convert(1, "kWh", "MJ"), 3.6);
  EXPECT_EQ(convert(90, "rpm", "degreePerSecond"), 540);
  EXPECT_EQ(convert(1, "mile", "kilometre"), 1.609344);
  EXPECT_EQ(convert(1, "GiB", "kibibyte"), 1048576);
  EXPECT_EQ(convert(1, "yobibyte", "bit"), std::ldexp(8.0, 80));
  EXPECT_EQ(convert(0.5, "unity", "%"), 50);
  EXPECT_EQ(convert(12000, "BTU/h", "tonOfRefrigeration"), 1);
  EXPECT_EQ(convert(1, "lbf", "newton"), 4.4482216152605);
  EXPECT_TRUE(conversion("°F", "°C")->exact);
}

// NIST SP 811, appendix B.8.
TEST(Units, AgreesWithPublishedFactors) {
  EXPECT_NEAR(convert(1, "psi", "pascal"), 6894.757, 5e-4);
  EXPECT_NEAR(convert(1, "hp", "watt"), 745.6999, 5e-5);
  EXPECT_NEAR(convert(1, "inHg", "pascal"), 3386.389, 5e-4);
  EXPECT_NEAR(convert(1, "inH2O", "pascal"), 249.0889, 5e-5);
  EXPECT_NEAR(convert(1, "mmHg", "pascal"), 133.3224, 5e-5);
  EXPECT_NEAR(convert(1, "gpm", "cubicMetrePerSecond"), 6.309020e-5, 5e-11);
  EXPECT_NEAR(convert(1, "cfm", "cubicMetrePerSecond"), 4.719474e-4, 5e-10);
  EXPECT_NEAR(convert(1, "slug", "kilogram"), 14.59390, 5e-6);
  EXPECT_NEAR(convert(1, "acre", "squareMetre"), 4046.856, 5e-2);
  EXPECT_NEAR(convert(1, "footcandle", "lux"), 10.76391, 5e-6);
  EXPECT_NEAR(convert(1, "fluidOunce", "millilitre"), 29.57353, 5e-6);
  EXPECT_NEAR(convert(180, "degreeOfArc", "radian"), M_PI, 1e-15);
  EXPECT_NEAR(convert(1, "rpm", "rad/s"), 0.1047198, 5e-8);
  EXPECT_FALSE(conversion("rpm", "rad/s")->exact);
}

TEST(Units, ReadsWhatTheFieldWrites) {
  for (const char* celsius : {"degreeCelsius", "°C", "degC", "Deg C", "℃", "Celsius", "C", "Cel"})
    EXPECT_EQ(read(celsius), "degreeCelsius") << celsius;
  EXPECT_EQ(read("C", "ElectricCharge"), "coulomb");
  EXPECT_EQ(read("C", "milliampereHour"), "coulomb");
  EXPECT_EQ(read("m"), "metre");
  EXPECT_EQ(read("m", "TimeSpan"), "minute");
  EXPECT_EQ(read("min-1", "AngularVelocity"), "revolutionPerMinute");
  EXPECT_EQ(read("M"), "nauticalMile");
  EXPECT_EQ(read("N*m"), "newtonMetre");
  EXPECT_EQ(read("m^3/h"), "cubicMetrePerHour");
  EXPECT_EQ(read("\u03bcS", "Time").starts_with("\"\u03bcS\" is no unit"), false);  // microsecond
  EXPECT_EQ(read("Mw", "Power").find("may be") != std::string::npos, true);
  EXPECT_EQ(read("mW"), "milliwatt");
  EXPECT_EQ(read("MW"), "megawatt");
  EXPECT_EQ(read("KWH"), "kilowattHour");
  EXPECT_EQ(read("L/Min"), "litrePerMinute");
  EXPECT_EQ(read("mm/s²"), "millimetrePerSecondSquared");
  EXPECT_EQ(read("litre per minute"), "litrePerMinute");
  EXPECT_EQ(read("lb"), "massPound");
  EXPECT_EQ(read("lb", "Force"), "pound");
  EXPECT_EQ(read("[degF]"), "degreeFahrenheit");
  EXPECT_NE(read("furlong").find("is no unit"), std::string::npos);
  EXPECT_NE(read(std::string(100'000, 'x')).find("is no unit"), std::string::npos);
  EXPECT_NE(read("").find("is no unit"), std::string::npos);
}

TEST(Units, ReadsCodes) {
  EXPECT_EQ(read("CEL", {}, Notation::kUnece), "degreeCelsius");
  EXPECT_EQ(read("2A", {}, Notation::kUnece), "radianPerSecond");
  EXPECT_NE(read("cel", {}, Notation::kUnece), "degreeCelsius");
  EXPECT_EQ(unit_of_opcua(4408652)->name, "degreeCelsius");  // "CEL"
  EXPECT_EQ(unit_of_opcua(4932940)->name, "kelvin");
  EXPECT_EQ(unit_of_opcua(20563)->name, "poundPerSquareInch");  // "PS"
  EXPECT_EQ(unit_of_opcua(-1), nullptr);
  EXPECT_EQ(unit_of_opcua(0), nullptr);
  EXPECT_EQ(read("%RH", {}, Notation::kSenml), "percent");
  EXPECT_EQ(read("C", {}, Notation::kSenml), "coulomb");
  EXPECT_EQ(read("C", {}, Notation::kUcum), "coulomb");
  EXPECT_EQ(read("mm[Hg]", {}, Notation::kUcum), "millimetresOfMercury");
  EXPECT_EQ(read("kPa", {}, Notation::kUcum), "kilopascal");
}

TEST(Units, AMismatchNamesBoth) {
  const auto wrong = conversion("bar", "degreeCelsius");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, ErrorCode::kInvalidArgument);
  for (const char* part : {"bar", "Pressure", "degreeCelsius", "Temperature"})
    EXPECT_NE(wrong.error().message.find(part), std::string::npos) << wrong.error().message;
  EXPECT_FALSE(conversion("gray", "sievert"));  // one enumeration in DTDL, two quantities
  EXPECT_FALSE(conversion("newtonMetre", "joule"));
  EXPECT_EQ(quantity_of("psi"), "Pressure");
  EXPECT_EQ(quantity_of("RelativeHumidity"), "Unitless");
  EXPECT_EQ(quantity_of("parsec"), "");
}

}  // namespace
}  // namespace penstock::twin
