#include "twin/model_graph.h"

#include <gtest/gtest.h>

#include "twin/models.h"

namespace penstock::twin {
namespace {

constexpr std::string_view kDocuments = R"([
 {"@context":"dtmi:dtdl:context;3","@id":"dtmi:t:Base;1","@type":"Interface","contents":[
   {"@type":"Property","name":"serial","schema":"string"}]},
 {"@context":"dtmi:dtdl:context;3","@id":"dtmi:t:Motor;1","@type":"Interface","contents":[
   {"@type":"Telemetry","name":"current","schema":"integer"}]},
 {"@context":["dtmi:dtdl:context;4","dtmi:dtdl:extension:quantitativeTypes;3","dtmi:iotoperations:context;4"],
  "@id":"dtmi:t:Pump;1","@type":"Interface","extends":"dtmi:t:Base;1","contents":[
   {"@type":["Telemetry","Temperature","Limited"],"name":"heat","schema":"double","unit":"degreeCelsius","minimum":0,"maximum":100},
   {"@type":"Telemetry","name":"mode","schema":{"@type":"Enum","valueSchema":"string","enumValues":[
     {"name":"on","enumValue":"on"},{"name":"off","enumValue":"off"}]}},
   {"@type":"Telemetry","name":"place","schema":{"@type":"Object","fields":[{"name":"x","schema":"double"},{"name":"y","schema":"double"}]}},
   {"@type":"Property","name":"target","schema":"double","writable":true},
   {"@type":"Command","name":"stop"},
   {"@type":"Command","name":"run","request":{"name":"speed","schema":"integer"}},
   {"@type":"Relationship","name":"feeds","target":"dtmi:t:Pump;1"},
   {"@type":"Component","name":"motor","schema":"dtmi:t:Motor;1"}]},
 {"@context":["dtmi:dtdl:context;4","dtmi:dtdl:extension:quantitativeTypes;3","dtmi:iotoperations:context;4"],
  "@id":"dtmi:t:Pump;2","@type":"Interface","contents":[
   {"@type":["Telemetry","Temperature","Limited"],"name":"heat","schema":"double","unit":"kelvin","minimum":-10,"maximum":90},
   {"@type":"Telemetry","name":"mode","schema":{"@type":"Enum","valueSchema":"string","enumValues":[
     {"name":"on","enumValue":"on"},{"name":"idle","enumValue":"idle"}]}},
   {"@type":"Telemetry","name":"place","schema":{"@type":"Object","fields":[{"name":"x","schema":"string"},{"name":"z","schema":"double"}]}},
   {"@type":"Property","name":"target","schema":"double"},
   {"@type":"Telemetry","name":"flow","schema":"double"},
   {"@type":"Command","name":"run","request":{"name":"speed","schema":"double"}},
   {"@type":"Relationship","name":"feeds","maxMultiplicity":1},
   {"@type":"Component","name":"motor","schema":"dtmi:t:Motor;1"}]}])";

std::vector<ModelPtr> models_of(std::string_view document) {
  const auto parts = split_models(document, 1 << 20);
  EXPECT_TRUE(parts);
  const Status fine = check_models(document, {});
  EXPECT_TRUE(fine) << fine.error().text();
  const auto compiled = compile_models(*parts);
  EXPECT_TRUE(compiled);
  std::vector<ModelPtr> models;
  for (const auto& [id, model] : *compiled) models.push_back(model);
  return models;
}

std::string said(const std::vector<ModelChange>& changes, std::string_view kind,
                 std::string_view element) {
  for (const ModelChange& change : changes)
    if (change.kind == kind && change.element == element)
      return std::string(name(change.severity)) + " " + change.before + " -> " + change.after;
  return "nothing";
}

TEST(ModelGraph, KnowsWhoNamesWhom) {
  const auto models = models_of(kDocuments);
  const ModelGraph graph(models);
  const auto users = graph.users_of("dtmi:t:Motor;1");
  ASSERT_EQ(users.size(), 2u);
  EXPECT_EQ(users[0].from, "dtmi:t:Pump;1");
  EXPECT_EQ(users[0].name, "motor");
  EXPECT_EQ(users[0].kind, ModelEdge::Kind::kComponent);
  EXPECT_EQ(graph.needs_of("dtmi:t:Pump;1").size(), 3u);
  EXPECT_EQ(graph.needs_of("dtmi:t:Pump;2").size(), 2u) << "what it points at is no part of it";
  EXPECT_EQ(graph.around("dtmi:t:Base;1", 1).size(), 2u);
  EXPECT_EQ(graph.around("dtmi:t:Base;1", 3).size(), 4u);
  EXPECT_TRUE(graph.is_a("dtmi:t:Pump;1", "dtmi:t:Base;1"));
  EXPECT_FALSE(graph.is_a("dtmi:t:Pump;2", "dtmi:t:Base;1"));
}

TEST(ModelGraph, OrdersVersionsAsNumbers) {
  EXPECT_TRUE(version_less("dtmi:t:Pump;9", "dtmi:t:Pump;10"));
  EXPECT_TRUE(version_less("dtmi:t:Pump;1.9", "dtmi:t:Pump;1.10"));
  EXPECT_TRUE(version_less("dtmi:t:Pump", "dtmi:t:Pump;1"));
  const auto models = models_of(kDocuments);
  const ModelGraph graph(models);
  EXPECT_EQ(graph.previous_version("dtmi:t:Pump;2"), "dtmi:t:Pump;1");
  EXPECT_EQ(graph.previous_version("dtmi:t:Pump;7"), "dtmi:t:Pump;2");
  EXPECT_EQ(graph.previous_version("dtmi:t:Pump;1"), "");
  EXPECT_EQ(graph.versions_of("dtmi:t:Pump;1").size(), 2u);
}

TEST(ModelChanges, EachDifferenceHasItsSeverity) {
  const auto models = models_of(kDocuments);
  const ModelGraph graph(models);
  const auto compared = compare_models(graph, "dtmi:t:Pump;1", "dtmi:t:Pump;2");
  ASSERT_TRUE(compared);
  const auto& c = *compared;
  EXPECT_EQ(said(c, "extends_removed", ""), "breaking dtmi:t:Base;1 -> ");
  EXPECT_EQ(said(c, "element_removed", "serial"), "breaking string -> ") << "it was inherited";
  EXPECT_EQ(said(c, "element_added", "flow"), "compatible  -> double");
  EXPECT_EQ(said(c, "unit_changed", "heat"), "breaking degreeCelsius -> kelvin");
  EXPECT_EQ(said(c, "minimum_loosened", "heat"), "compatible 0 -> -10");
  EXPECT_EQ(said(c, "maximum_tightened", "heat"), "breaking 100 -> 90");
  EXPECT_EQ(said(c, "enum_value_removed", "mode"), "breaking off -> ");
  EXPECT_EQ(said(c, "enum_value_added", "mode"), "attention  -> idle");
  EXPECT_EQ(said(c, "schema_changed", "place.x"), "breaking double -> string");
  EXPECT_EQ(said(c, "field_removed", "place.y"), "breaking double -> ");
  EXPECT_EQ(said(c, "field_added", "place.z"), "compatible  -> double");
  EXPECT_EQ(said(c, "writable_removed", "target"), "breaking writable -> read-only");
  EXPECT_EQ(said(c, "command_removed", "stop"), "breaking  -> ");
  EXPECT_EQ(said(c, "schema_widened", "run"), "attention integer -> double");
  EXPECT_EQ(said(c, "target_changed", "feeds"), "compatible dtmi:t:Pump;1 -> any");
  EXPECT_EQ(said(c, "multiplicity_tightened", "feeds"), "breaking any -> 1");
  EXPECT_EQ(said(c, "component_retyped", "motor"), "nothing");
  EXPECT_EQ(c.size(), 16u);
  EXPECT_EQ(worst_of(c), Severity::kBreaking);
  EXPECT_EQ(c.front().severity, Severity::kBreaking) << "the worst stand first";
}

TEST(ModelChanges, TheSameIsNoChangeAndBackIsTheOpposite) {
  const auto models = models_of(kDocuments);
  const ModelGraph graph(models);
  for (const auto& [id, model] : graph.models())
    EXPECT_TRUE(compare_models(graph, id, id)->empty());
  const auto back = compare_models(graph, "dtmi:t:Pump;2", "dtmi:t:Pump;1");
  EXPECT_EQ(said(*back, "schema_narrowed", "run"), "breaking double -> integer");
  EXPECT_EQ(said(*back, "maximum_loosened", "heat"), "compatible 90 -> 100");
  EXPECT_EQ(said(*back, "target_changed", "feeds"), "breaking any -> dtmi:t:Pump;1");
  EXPECT_FALSE(compare_models(graph, "dtmi:t:Pump;2", "dtmi:t:Pump;3"));
}

TEST(Shape, IsWrittenAsADocumentThatReadsTheSame) {
  const auto models = models_of(kDocuments);
  const ModelGraph graph(models);
  for (const auto& [id, model] : graph.models()) {
    std::vector<ConversionNote> notes;
    const auto shape = read_shape(graph.elements(), id, notes);
    ASSERT_TRUE(shape);
    EXPECT_TRUE(notes.empty()) << notes.front().at << ": " << notes.front().text;
    const std::string text = write_dtdl(*shape).dump();
    std::vector<std::string_view> all{text};
    for (const ModelPtr& other : models)
      if (other->id != id) all.emplace_back(other->document);
    const auto parsed = dtdl::parse(all);
    ASSERT_TRUE(parsed.valid()) << text << parsed.errors.front().text();
    EXPECT_EQ(*read_shape(parsed.model, id, notes), *shape) << text;
  }
}

}  // namespace
}  // namespace penstock::twin
