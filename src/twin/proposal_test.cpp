#include "twin/proposal.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "twin/models.h"

namespace penstock::twin {
namespace {

const ProposedElement* find(const Proposal& proposal, std::string_view wire_key) {
  for (const ProposedElement& element : proposal.elements)
    if (element.wire_key == wire_key) return &element;
  return nullptr;
}

TEST(Proposal, NamesKindsAndUnitsFromWhatWasSeen) {
  const std::vector<std::string> payloads = {
      R"({"temperature": 21, "Discharge-Pressure bar": 7.2, "motorCurrent_a": 31.5, "running": true,
          "state": 3, "firmware": "1.2", "sensor_a": 4.5, "last_start": "2026-03-01T12:00:00Z",
          "motor": {"speed_rpm": 2950, "oil": {"temp": 71.5}}, "spectrum": [1, 2, 3], "spare": null})",
      R"({"temperature": 21.5, "humidity": 40, "state": 4})", "not json"};
  const auto proposal = propose_interface("SN 00:17", payloads);
  ASSERT_TRUE(proposal) << proposal.error().text();
  EXPECT_EQ(proposal->messages_read, 2u);
  EXPECT_EQ(proposal->messages_skipped, 1u);
  const auto expect = [&](const char* key, const char* name, const char* schema, const char* type,
                          const char* unit) {
    const ProposedElement* element = find(*proposal, key);
    ASSERT_TRUE(element) << key;
    EXPECT_EQ(element->name, name);
    EXPECT_EQ(element->schema, schema) << key;
    EXPECT_EQ(element->semantic_type, type) << key;
    EXPECT_EQ(element->unit, unit) << key;
  };
  expect("temperature", "temperature", "double", "Temperature", "degreeCelsius");
  expect("Discharge-Pressure bar", "Discharge_Pressure_bar", "double", "Pressure", "bar");
  expect("motorCurrent_a", "motorCurrent_a", "double", "Current", "ampere");
  expect("running", "running", "boolean", "", "");
  expect("state", "state", "long", "", "");
  expect("firmware", "firmware", "string", "", "");
  expect("sensor_a", "sensor_a", "double", "", "");
  expect("last_start", "last_start", "dateTime", "", "");
  expect("motor.speed_rpm", "motor_speed_rpm", "double", "AngularVelocity", "revolutionPerMinute");
  expect("motor.oil.temp", "motor_oil_temp", "double", "Temperature", "degreeCelsius");
  expect("spectrum", "spectrum", "Array", "", "");
  expect("humidity", "humidity", "double", "RelativeHumidity", "percent");
  EXPECT_FALSE(find(*proposal, "spare"));
  EXPECT_EQ(proposal->dtmi, "dtmi:penstock:discovered:SN_00_17;1");
}

TEST(Proposal, TheInterfaceItProposesIsOneThatWeTake) {
  const std::vector<std::string> payloads = {
      R"([{"ts": 1700000000000, "values": {"1st temp °C": 20.5, "a.b": {"c": 1}, "x": [1], "e": {}}},
          {"ts": 1700000001000, "values": {"1st temp °C": 21.5}}])"};
  const auto proposal = propose_interface("17-A", payloads);
  ASSERT_TRUE(proposal) << proposal.error().text();
  const auto parts = split_models(proposal->document, 1 << 20);
  ASSERT_TRUE(parts) << parts.error().text();
  const auto models = compile_models(*parts);
  ASSERT_TRUE(models) << models.error().text();
  const ModelPtr model = models->find(proposal->dtmi)->second;
  EXPECT_EQ(model->elements.size(), proposal->elements.size());
  std::vector<std::string> wires;
  for (const ProposedElement& element : proposal->elements) {
    EXPECT_TRUE(model->element(element.name)) << element.name;
    wires.push_back(element.wire_key);
  }
  const auto bindings = match_bindings(*model, wires);
  const auto bound = [&](const std::string& element) {
    for (const BindingEntry& entry : bindings)
      if (entry.element == element) return entry.wire_key;
    return std::string();
  };
  EXPECT_EQ(bound("a_b_c"), "a.b.c");
  EXPECT_EQ(bound("v1st_temp_C"), "1st temp °C");
  EXPECT_EQ(bound("x"), "");  // the same name
  EXPECT_EQ(proposal->bindings(), bindings);
  EXPECT_EQ(model->element("x")->kind, ValueKind::kObject);
}

TEST(Proposal, DoesNotGuessAgainstTheEvidence) {
  const std::vector<std::string> payloads = {
      R"({"humidity": 0.4, "temperature": -300, "mixed": 1})", R"({"mixed": "one"})"};
  const auto proposal = propose_interface("d", payloads);
  ASSERT_TRUE(proposal);
  EXPECT_TRUE(find(*proposal, "temperature")->unit.empty());
  EXPECT_FALSE(find(*proposal, "mixed"));
}

TEST(Proposal, SaysWhenThereIsNothingToPropose) {
  for (const char* payload : {"", "1", "[]", "{}", "{\"a\":null}", "\"text\""})
    EXPECT_FALSE(propose_interface("d", std::vector<std::string>{payload})) << payload;
}

TEST(Proposal, BoundsWhatADeviceCanMakeUs) {
  std::vector<std::string> payloads;
  for (int i = 0; i < 2000; ++i) payloads.push_back("{\"k" + std::to_string(i) + "\":1}");
  payloads.push_back("{\"" + std::string(100'000, 'x') + "\":1}");
  std::string deep = "1";
  for (int i = 0; i < 30; ++i) deep = "{\"d\":" + deep + "}";
  payloads.push_back(deep);
  const auto proposal = propose_interface(std::string(100'000, 'n'), payloads);
  ASSERT_TRUE(proposal);
  EXPECT_LE(proposal->elements.size(), 500u);
  EXPECT_LT(proposal->document.size(), 200'000u);
}

TEST(Bindings, MatchNamesThatDifferInCaseAndPunctuation) {
  ModelInfo model;
  model.elements = {{"dischargePressure"}, {"oil_temp"}, {"motor.current"}, {"speed"}, {"flow"}};
  const std::vector<std::string> wires = {"Discharge-Pressure", "OilTemp", "Oil-Temp",
                                          "Motor_Current",      "speed",   "SPEED"};
  const auto bindings = match_bindings(model, wires);
  ASSERT_EQ(bindings.size(),
            2u);  // oil_temp could be either of two, speed needs none, flow is not there
  EXPECT_EQ(bindings[0], (BindingEntry{"dischargePressure", "Discharge-Pressure", 1, 0}));
  EXPECT_EQ(bindings[1], (BindingEntry{"motor.current", "Motor_Current", 1, 0}));
}

}  // namespace
}  // namespace penstock::twin
