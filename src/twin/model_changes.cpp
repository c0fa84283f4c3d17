#include "twin/model_changes.h"

#include <algorithm>
#include <array>
#include <map>

#include <fmt/format.h>

#include "twin/units.h"

namespace penstock::twin {

std::string_view name(Severity severity) {
  switch (severity) {
    case Severity::kCompatible:
      return "compatible";
    case Severity::kAttention:
      return "attention";
    case Severity::kBreaking:
      return "breaking";
  }
  return "breaking";
}

Severity worst_of(const std::vector<ModelChange>& changes) {
  Severity worst = Severity::kCompatible;
  for (const ModelChange& change : changes) worst = std::max(worst, change.severity);
  return worst;
}

namespace {

struct NumberRange {
  std::string_view schema;
  long double least, most;
  bool whole;
};
constexpr long double kTwo63 = 9223372036854775808.0L;
constexpr std::array<NumberRange, 11> kNumbers = {{
    {"byte", -128, 127, true},
    {"unsignedByte", 0, 255, true},
    {"short", -32768, 32767, true},
    {"unsignedShort", 0, 65535, true},
    {"integer", -2147483648.0L, 2147483647.0L, true},
    {"unsignedInteger", 0, 4294967295.0L, true},
    {"long", -kTwo63, kTwo63 - 1, true},
    {"unsignedLong", 0, 2 * kTwo63 - 1, true},
    {"float", -3.4e38L, 3.4e38L, false},
    {"double", -1.7e308L, 1.7e308L, false},
    {"decimal", -1.7e308L, 1.7e308L, false},
}};

const NumberRange* number_of(const SchemaShape& schema) {
  const auto found = std::find_if(kNumbers.begin(), kNumbers.end(),
                                  [&](const auto& one) { return one.schema == schema.primitive; });
  return schema.kind == SchemaShape::Kind::kPrimitive && found != kNumbers.end() ? &*found
                                                                                 : nullptr;
}

std::string number_text(std::optional<double> number) {
  return number ? fmt::format("{}", *number) : std::string();
}

class Comparison {
 public:
  Comparison(const InterfaceShape& from, const InterfaceShape& to,
             const std::function<bool(std::string_view, std::string_view)>& is_a)
      : from_(from), to_(to), is_a_(is_a) {}

  std::vector<ModelChange> run() {
    compare_bases();
    if (from_.display != to_.display || from_.description != to_.description)
      note("text_changed", Severity::kCompatible, std::string(english(from_.display)),
           std::string(english(to_.display)), "Names and descriptions are for people only");
    std::map<std::string_view, const ContentShape*> before, after;
    for (const ContentShape& content : from_.contents) before.emplace(content.name, &content);
    for (const ContentShape& content : to_.contents) after.emplace(content.name, &content);
    for (const auto& [key, content] : before) {
      at(*content);
      const auto found = after.find(key);
      if (found == after.end())
        removed(*content);
      else
        compare(*content, *found->second);
    }
    for (const auto& [key, content] : after)
      if (!before.contains(key)) {
        at(*content);
        added(*content);
      }
    std::stable_sort(changes_.begin(), changes_.end(), [](const auto& a, const auto& b) {
      return a.severity != b.severity ? a.severity > b.severity : a.element < b.element;
    });
    return std::move(changes_);
  }

 private:
  using Kind = ContentShape::Kind;

  void at(const ContentShape& content) {
    element_ = content.name;
    content_ = name(content.kind);
  }
  void note(std::string kind, Severity severity, std::string before, std::string after,
            std::string reason) {
    changes_.push_back({std::move(kind), severity, element_, content_, std::move(before),
                        std::move(after), std::move(reason)});
  }

  void compare_bases() {
    for (const std::string& base : from_.extends)
      if (std::find(to_.extends.begin(), to_.extends.end(), base) == to_.extends.end())
        note("extends_removed", Severity::kBreaking, base, "",
             "Rules, bindings and relationships for that interface no longer reach its twins");
    for (const std::string& base : to_.extends)
      if (std::find(from_.extends.begin(), from_.extends.end(), base) == from_.extends.end())
        note("extends_added", Severity::kCompatible, "", base,
             "Rules and bindings for that interface now reach its twins too");
  }

  void removed(const ContentShape& content) {
    switch (content.kind) {
      case Kind::kTelemetry:
      case Kind::kProperty:
        note("element_removed", Severity::kBreaking, summary(content), "",
             "Values of it are refused, rules on it fall silent, and its series ends");
        return;
      case Kind::kCommand:
        note("command_removed", Severity::kBreaking, summary(content), "",
             "Whoever sends it is refused");
        return;
      case Kind::kRelationship:
        note("relationship_removed", Severity::kBreaking, summary(content), "",
             "Twins cannot keep the relationships they have of that name");
        return;
      case Kind::kComponent:
        note("component_removed", Severity::kBreaking, summary(content), "",
             "Everything under that name is gone");
        return;
    }
  }

  void added(const ContentShape& content) {
    switch (content.kind) {
      case Kind::kTelemetry:
      case Kind::kProperty:
        note("element_added", Severity::kCompatible, "", summary(content),
             "Devices that do not send it stay as they are");
        return;
      case Kind::kCommand:
        note("command_added", Severity::kCompatible, "", summary(content),
             "Nobody relies on it yet; a device that does not know it will say so");
        return;
      case Kind::kRelationship:
        if (content.multiplicity_min.value_or(0) > 0)
          note("relationship_added", Severity::kAttention, "", summary(content),
               "Every twin should have at least one; those there are have none");
        else
          note("relationship_added", Severity::kCompatible, "", summary(content),
               "Twins need not have it");
        return;
      case Kind::kComponent:
        note("component_added", Severity::kCompatible, "", summary(content),
             "Devices that do not send it stay as they are");
        return;
    }
  }

  static std::string summary(const ContentShape& content) {
    if (content.kind == Kind::kRelationship || content.kind == Kind::kComponent)
      return content.target.empty() ? "any" : content.target;
    if (content.kind == Kind::kCommand)
      return content.request ? schema_text(content.request->schema) : "";
    return content.unit.empty() ? schema_text(content.schema)
                                : fmt::format("{}, {}", schema_text(content.schema), content.unit);
  }

  void compare(const ContentShape& before, const ContentShape& after) {
    const auto is_value = [](Kind kind) {
      return kind == Kind::kTelemetry || kind == Kind::kProperty;
    };
    if (before.kind != after.kind) {
      if (!is_value(before.kind) || !is_value(after.kind)) {
        note("kind_changed", Severity::kBreaking, std::string(name(before.kind)),
             std::string(name(after.kind)), "It is another kind of thing under the same name");
        return;
      }
      note("kind_changed", Severity::kAttention, std::string(name(before.kind)),
           std::string(name(after.kind)),
           "Devices report properties in another message than telemetry");
    }
    if (before.display != after.display || before.description != after.description ||
        before.comment != after.comment)
      note("text_changed", Severity::kCompatible, std::string(english(before.display)),
           std::string(english(after.display)), "Names and descriptions are for people only");
    if (is_value(before.kind)) {
      compare_value(before, after);
      compare_writable(before, after);
    } else if (before.kind == Kind::kCommand) {
      compare_command(before, after);
    } else if (before.kind == Kind::kRelationship) {
      compare_relationship(before, after);
    } else if (before.target != after.target) {
      note(
          "component_retyped", Severity::kAttention, before.target, after.target,
          "Its contents are compared one by one; rules for the old interface as such stay with it");
    }
  }

  void compare_value(const ValueShape& before, const ValueShape& after) {
    compare_schema(before.schema, after.schema);
    if (before.unit != after.unit) {
      if (before.unit.empty() || after.unit.empty()) {
        note(before.unit.empty() ? "unit_added" : "unit_removed", Severity::kAttention, before.unit,
             after.unit, "Values are stored as they come; history goes on as a new series");
      } else {
        const bool converts = conversion(before.unit, after.unit).has_value();
        note("unit_changed", Severity::kBreaking, before.unit, after.unit,
             converts ? "Limits of rules are read in the new unit, devices without a binding that "
                        "converts send the old one, and history goes on as a new series"
                      : "The two measure different things");
      }
    }
    if (before.semantic_type != after.semantic_type)
      note("semantic_type_changed", Severity::kAttention, before.semantic_type, after.semantic_type,
           "It says it means something else; values are taken as before");
    compare_limit(before.minimum, after.minimum, false);
    compare_limit(before.maximum, after.maximum, true);
  }

  void compare_limit(std::optional<double> before, std::optional<double> after, bool upper) {
    if (before == after) return;
    const bool tighter = after && (!before || (upper ? *after < *before : *after > *before));
    note(fmt::format("{}_{}", upper ? "maximum" : "minimum", tighter ? "tightened" : "loosened"),
         tighter ? Severity::kBreaking : Severity::kCompatible, number_text(before),
         number_text(after),
         tighter ? fmt::format("Values {} {} were accepted and are refused now",
                               upper ? "above" : "below", number_text(after))
                 : "Every value that was accepted still is");
  }

  void compare_writable(const ContentShape& before, const ContentShape& after) {
    if (before.writable == after.writable || after.kind != Kind::kProperty) return;
    if (before.writable)
      note("writable_removed", Severity::kBreaking, "writable", "read-only",
           "Whoever writes it is refused");
    else
      note("writable_added", Severity::kCompatible, "read-only", "writable",
           "Reading stays as it is");
  }

  void compare_command(const ContentShape& before, const ContentShape& after) {
    if (before.request && after.request) {
      compare_schema(before.request->schema, after.request->schema);
      if (before.request->nullable && !after.request->nullable)
        note("request_required", Severity::kBreaking, "may be null", "required",
             "Whoever sends nothing is refused");
    } else if (after.request) {
      note("request_added", after.request->nullable ? Severity::kAttention : Severity::kBreaking,
           "", schema_text(after.request->schema),
           "Whoever sends the command without a payload leaves out what it now takes");
    } else if (before.request) {
      note("request_removed", Severity::kAttention, schema_text(before.request->schema), "",
           "What is sent with it is no longer used");
    }
    const std::string was = before.response ? schema_text(before.response->schema) : "";
    const std::string is = after.response ? schema_text(after.response->schema) : "";
    if (was == is) return;
    note("response_changed", was.empty() ? Severity::kCompatible : Severity::kAttention, was, is,
         was.empty() ? "Nobody relies on it yet" : "Whoever reads the answer gets another one");
  }

  void compare_relationship(const ContentShape& before, const ContentShape& after) {
    if (before.target != after.target) {
      const bool wider =
          after.target.empty() || (!before.target.empty() && is_a_(before.target, after.target));
      note("target_changed", wider ? Severity::kCompatible : Severity::kBreaking,
           before.target.empty() ? "any" : before.target,
           after.target.empty() ? "any" : after.target,
           wider ? "Every target that was allowed still is"
                 : "Twins may be related to targets that are no longer allowed");
    }
    const int64_t most_before = before.multiplicity_max.value_or(INT64_MAX);
    const int64_t most_after = after.multiplicity_max.value_or(INT64_MAX);
    const auto text = [](int64_t count) {
      return count == INT64_MAX ? "any" : fmt::format("{}", count);
    };
    if (most_before != most_after)
      note(most_after < most_before ? "multiplicity_tightened" : "multiplicity_loosened",
           most_after < most_before ? Severity::kBreaking : Severity::kCompatible,
           text(most_before), text(most_after),
           most_after < most_before ? "A twin may have more targets than are allowed now"
                                    : "Every number of targets that was allowed still is");
    const int64_t least_before = before.multiplicity_min.value_or(0);
    const int64_t least_after = after.multiplicity_min.value_or(0);
    if (least_before != least_after)
      note(least_after > least_before ? "multiplicity_tightened" : "multiplicity_loosened",
           least_after > least_before ? Severity::kAttention : Severity::kCompatible,
           text(least_before), text(least_after),
           least_after > least_before ? "A twin may have fewer targets than it should now"
                                      : "Every number of targets that was allowed still is");
  }

  void compare_schema(const SchemaShape& before, const SchemaShape& after) {
    if (before == after) return;
    using Schema = SchemaShape::Kind;
    if (before.kind == Schema::kEnum && after.kind == Schema::kEnum &&
        before.primitive == after.primitive) {
      compare_enum(before, after);
      return;
    }
    if (before.kind == after.kind && !before.children.empty() && !after.children.empty()) {
      compare_children(before, after);
      return;
    }
    const std::string was = schema_text(before), is = schema_text(after);
    if (was == is) return;
    const NumberRange *from = number_of(before), *to = number_of(after);
    if (from && to && to->least <= from->least && to->most >= from->most &&
        (from->whole || !to->whole)) {
      const bool series = from->whole != to->whole;
      note("schema_widened", series ? Severity::kAttention : Severity::kCompatible, was, is,
           series ? "Every value fits; history goes on as a new series"
                  : "Every value that was accepted still is");
    } else if (from && to) {
      note("schema_narrowed", Severity::kBreaking, was, is,
           "Values that were accepted are refused now");
    } else if (before.kind == Schema::kEnum && after.kind == Schema::kPrimitive &&
               before.primitive == after.primitive) {
      note("schema_widened", Severity::kCompatible, was, is,
           "Every value that was accepted still is");
    } else {
      note("schema_changed", Severity::kBreaking, was, is,
           "Values that were accepted are refused now, and history goes on as a new series");
    }
  }

  void compare_enum(const SchemaShape& before, const SchemaShape& after) {
    const auto has = [](const SchemaShape& schema, const EnumValueShape& value) {
      return std::any_of(schema.values.begin(), schema.values.end(),
                         [&](const EnumValueShape& one) { return one.value == value.value; });
    };
    for (const EnumValueShape& value : before.values)
      if (!has(after, value))
        note("enum_value_removed", Severity::kBreaking, value.value, "",
             "Devices that send it are refused");
    for (const EnumValueShape& value : after.values)
      if (!has(before, value))
        note("enum_value_added", Severity::kAttention, "", value.value,
             "Rules and programs that know the old values may meet it");
  }

  // Fields by name; an array's element and a map's value by their place.
  void compare_children(const SchemaShape& before, const SchemaShape& after) {
    const std::string outer = element_;
    const bool named = before.kind == SchemaShape::Kind::kObject;
    const auto inner = [&](const ValueShape& child, size_t i) {
      if (named) return outer + "." + child.name;
      return outer + (before.kind == SchemaShape::Kind::kArray ? "[]" : i == 0 ? "{key}" : "{}");
    };
    for (size_t i = 0; i < before.children.size(); ++i) {
      const ValueShape& child = before.children[i];
      element_ = inner(child, i);
      const auto same =
          std::find_if(after.children.begin(), after.children.end(),
                       [&](const ValueShape& one) { return named && one.name == child.name; });
      if (!named && i < after.children.size())
        compare_value(child, after.children[i]);
      else if (same != after.children.end())
        compare_value(child, *same);
      else
        note("field_removed", Severity::kBreaking, schema_text(child.schema), "",
             "Whoever reads it finds nothing");
    }
    for (const ValueShape& child : after.children) {
      if (!named || std::any_of(before.children.begin(), before.children.end(),
                                [&](const ValueShape& one) { return one.name == child.name; }))
        continue;
      element_ = outer + "." + child.name;
      note("field_added", Severity::kCompatible, "", schema_text(child.schema),
           "Nobody relies on it yet");
    }
    element_ = outer;
  }

  const InterfaceShape &from_, &to_;
  const std::function<bool(std::string_view, std::string_view)>& is_a_;
  std::string element_, content_;
  std::vector<ModelChange> changes_;
};

}  // namespace

std::vector<ModelChange> compare_shapes(
    const InterfaceShape& from, const InterfaceShape& to,
    const std::function<bool(std::string_view dtmi, std::string_view base)>& is_a) {
  return Comparison(from, to, is_a).run();
}

}  // namespace penstock::twin
