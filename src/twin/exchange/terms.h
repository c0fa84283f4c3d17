#pragma once
// What both languages need: names that DTDL takes, units, texts, notes. Inside of twin/exchange.

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "twin/exchange/exchange.h"

namespace penstock::twin::exchange {

/// Collects notes under a path.
class Notes {
 public:
  explicit Notes(std::vector<ConversionNote>& out) : out_(out) {}
  void add(const std::string& at, std::string text) {
    if (out_.size() < kNotesMax) out_.push_back({at, std::move(text)});
  }
  /// Notes each member of an object that `handled` (words) does not name.
  void rest(const Json& object, std::string_view handled, const std::string& at);

 private:
  static constexpr size_t kNotesMax = 2000;
  std::vector<ConversionNote>& out_;
};

/// Names within one interface or object: made to fit DTDL, each once.
class Names {
 public:
  explicit Names(Notes& notes) : notes_(notes) {}
  /// "target-temperature" to "target_temperature"; a change is noted at `at`.
  std::string take(const std::string& wanted, const std::string& at);

 private:
  Notes& notes_;
  std::set<std::string> taken_;
};

/// Letters, digits and underscores, beginning with a letter; "value" where nothing is left.
std::string dtdl_name(std::string_view text);
[[nodiscard]] bool is_dtdl_name(std::string_view text);
/// "dtmi:wot:RoomSensor;2"
std::string made_dtmi(std::string_view prefix, std::string_view title, std::string_view version);

/// The member's text; empty where it is absent or no text.
std::string text_of(const Json& object, const char* member);
/// The member if it is there and of that type; null otherwise.
const Json* object_at(const Json& object, const char* member);
const Json* array_at(const Json& object, const char* member);
std::optional<double> number_at(const Json& object, const char* member);
/// A finite number as JSON, whole ones without a fraction.
Json number_json(double value);

/// How a unit is written so that it is read back as the same: its symbol, else its DTDL name.
std::string unit_text(std::string_view unit, std::string_view semantic_type);
/// Reads a unit of any notation into `value`, with the semantic type that DTDL needs beside it;
/// what cannot be read is noted.
void read_unit(std::string_view text, ValueShape& value, Notes& notes, const std::string& at);

/// Makes limits fit the schema: for numbers only, whole ones for whole numbers, none that its range
/// has anyway. What changes is noted.
void settle_limits(ValueShape& value, Notes& notes, const std::string& at);

/// Cuts texts that are longer than DTDL takes, and notes it.
void settle_texts(InterfaceShape& shape, Notes& notes);

/// The semantic type that an IRI names ("dtmi:dtdl:extension:quantitativeTypes:v3:class:Pressure",
/// or with the prefix "dtdl:"); empty: none.
std::string semantic_type_of_iri(std::string_view iri);

/// DTDL terms of schemas that are no structure: "double", "dateTime", "point".
[[nodiscard]] bool is_primitive(std::string_view term);

inline constexpr std::string_view kQuantity = "extension:quantitativeTypes:v3:class:";

}  // namespace penstock::twin::exchange
