#include "twin/dtdl/parser.h"

#include <algorithm>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "base/io.h"
#include "twin/dtdl/json_tree.h"

namespace penstock::twin::dtdl {
namespace {

ParseResult parse_one(const std::string& document, const ParseOptions& options = {}) {
  const std::string_view text = document;
  return parse(std::span(&text, 1), options);
}

std::string interface(const std::string& contents, const std::string& version = "4",
                      const std::string& more = "") {
  return fmt::format(
      R"({{"@context":["dtmi:dtdl:context;{}","dtmi:dtdl:extension:quantitativeTypes;{}"{}],
"@id":"dtmi:test:A;1","@type":"Interface","contents":[{}]}})",
      version, version == "3" ? 1 : 3, more, contents);
}

std::string rule_of(const ParseResult& result) {
  if (result.errors.empty()) return result.unresolved.empty() ? "" : "unresolved";
  return result.errors.front().validation.substr(result.errors.front().validation.rfind(':') + 1);
}

TEST(DtdlParser, ReadsElementsWithTheirTypesUnitsAndTexts) {
  const auto result = parse_one(interface(
      R"({"@type":["Telemetry","Pressure"],"name":"p","schema":"double","unit":"bar",
          "displayName":{"en":"Pressure","de":"Druck"}})"));
  ASSERT_TRUE(result.valid()) << result.errors.front().text();
  const Element* pressure = result.model.find("dtmi:test:A:_contents:__p;1");
  ASSERT_NE(pressure, nullptr);
  EXPECT_EQ(pressure->type, "Telemetry");
  EXPECT_EQ(pressure->home, "dtmi:test:A;1");
  EXPECT_TRUE(pressure->is("dtmi:dtdl:extension:quantitativeTypes:v3:class:Pressure"));
  EXPECT_EQ(pressure->literals.at("displayName").at(1).language, "de");
  EXPECT_EQ(result.model.type_of(pressure->objects.at("schema").front().id), "Double");
}

TEST(DtdlParser, AnErrorSaysWhereAndHow) {
  const auto result = parse_one(
      "{\"@context\": \"dtmi:dtdl:context;3\",\n  \"@id\": \"dtmi:a:B;1\",\n"
      "  \"@type\": \"Interface\",\n  \"contents\": [\n"
      "    {\"@type\": \"Telemetry\", \"name\": \"a b\", \"schema\": \"double\"}]}");
  ASSERT_EQ(result.errors.size(), 1u);
  const ParseError& error = result.errors.front();
  EXPECT_EQ(error.validation, "dtmi:dtdl:parsingError:stringInvalid");
  EXPECT_EQ(error.property, "name");
  EXPECT_EQ(error.value, "a b");
  EXPECT_EQ(error.line, 5u);
  EXPECT_EQ(error.column, 36u);
  EXPECT_FALSE(error.remedy.empty());
}

TEST(DtdlParser, TellsTheVersionsApart) {
  const std::string decimal = R"({"@type":"Telemetry","name":"x","schema":"decimal"})";
  EXPECT_TRUE(parse_one(interface(decimal)).valid());
  EXPECT_FALSE(parse_one(interface(decimal, "3")).valid());  // new in v4
  const std::string array =
      R"({"@type":"Property","name":"x","schema":{"@type":"Array","elementSchema":"double"}})";
  EXPECT_TRUE(parse_one(interface(array, "3")).valid());
  EXPECT_EQ(
      rule_of(parse_one(R"({"@context":"dtmi:dtdl:context;2","@id":"dtmi:a:B;1","@type":"Interface",
      "contents":[)" + array +
                        "]}")),
      "excludedType");
}

TEST(DtdlParser, RefusesWithTheRuleThatIsBroken) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"@type":["Telemetry","Pressure"],"name":"x","schema":"double","unit":"metre"})",
       "wrongParent"},
      {R"({"@type":["Telemetry","Pressure"],"name":"x","schema":"double"})",
       "missingSupplementalObjectProperty"},
      {R"({"@type":["Telemetry","Pressure"],"name":"x","schema":"string","unit":"bar"})",
       "notRequiredType"},
      {R"({"@type":"Telemetry","name":"x","schema":"double","unti":"bar"})",
       "propertyUndefinedTerm"},
      {R"({"@type":"Telemetry","schema":"double"})", "missingDtmiSegPropertyValue"},
      {R"({"@type":"Command","name":"x","request":{"name":"r"}})", "missingObjectProperty"},
      {R"({"@type":"Telemetry","name":"x","schema":"dtmi:test:Nowhere;1"})", "unresolved"},
      {R"({"@type":"Telemetry","name":"x","schema":"double","schema":"float"})",
       "duplicatePropertyName"},
      {R"({"@type":"Telemetry","name":"x","schema":{"@type":"Enum","valueSchema":"integer",
           "enumValues":[{"name":"a","enumValue":"one"}]}})",
       "nonConformantDatatype"},
      {R"({"@type":"Telemetry","name":"x","schema":"double"},
          {"@type":"Property","name":"x","schema":"double"})",
       "nonUniquePropertyValue"},
      {R"({"@id":"dtmi:dtdl:x;1","@type":"Telemetry","name":"x","schema":"double"})", "reservedId"},
  };
  for (const auto& [contents, rule] : cases)
    EXPECT_EQ(rule_of(parse_one(interface(contents))), rule) << contents;
}

// Each limit where it is, and one further: what DTDLParser 1.1 says of the same documents.
TEST(DtdlParser, LimitsAreThoseOfTheTable) {
  const auto relationship = [](const char* multiplicity, const char* version) {
    return rule_of(parse_one(interface(
        fmt::format(R"({{"@type":"Relationship","name":"r",{}}})", multiplicity), version)));
  };
  EXPECT_EQ(relationship(R"("maxMultiplicity":500)", "2"), "");
  EXPECT_EQ(relationship(R"("maxMultiplicity":501)", "2"), "valueAboveRange");
  EXPECT_EQ(relationship(R"("maxMultiplicity":500)", "3"), "");
  EXPECT_EQ(relationship(R"("maxMultiplicity":501)", "4"), "");
  EXPECT_EQ(relationship(R"("maxMultiplicity":1e2)", "4"), "");
  EXPECT_EQ(relationship(R"("maxMultiplicity":0)", "4"), "valueBelowMin");
  EXPECT_EQ(relationship(R"("maxMultiplicity":1.5)", "4"), "integerNotInteger");
  EXPECT_EQ(relationship(R"("maxMultiplicity":3000000000)", "4"), "integerNotInteger");
  EXPECT_EQ(relationship(R"("minMultiplicity":1)", "4"), "valueNotExact");
  const auto named = [](size_t length) {
    return rule_of(parse_one(interface(fmt::format(
        R"({{"@type":"Telemetry","name":"{}","schema":"double"}})", std::string(length, 'a')))));
  };
  EXPECT_EQ(named(512), "");
  EXPECT_EQ(named(513), "stringTooLong");
  const auto identified = [](size_t length) {
    return rule_of(parse_one(
        fmt::format(R"({{"@context":"dtmi:dtdl:context;4","@id":"dtmi:{};1","@type":"Interface"}})",
                    std::string(length - 7, 'a'))));
  };
  EXPECT_EQ(identified(128), "");
  EXPECT_EQ(identified(129), "idTooLongForType");
  EXPECT_EQ(identified(2049), "idTooLong");
}

// A point is an object of arrays: what a standard element holds counts where it is used.
TEST(DtdlParser, StandardElementsHaveDepth) {
  const auto nested = [](int arrays, const std::string& leaf) {
    std::string schema = "\"" + leaf + "\"";
    for (int i = 0; i < arrays; ++i) schema = R"({"@type":"Array","elementSchema":)" + schema + "}";
    return rule_of(
        parse_one(interface(R"({"@type":"Telemetry","name":"x","schema":)" + schema + "}")));
  };
  EXPECT_EQ(nested(8, "double"), "");
  EXPECT_EQ(nested(9, "double"), "excessiveDepthWide");
  EXPECT_EQ(nested(6, "point"), "");
  EXPECT_EQ(nested(7, "point"), "excessiveDepthWide");
  EXPECT_EQ(rule_of(parse_one(
                R"({"@context":"dtmi:dtdl:context;2","@id":"dtmi:a:B;1","@type":"Interface",
      "contents":{"@type":"Property","name":"x","schema":"point"}})")),
            "excludedType");
}

TEST(DtdlParser, ContextsAreNamedByTheFirstRuleTheyBreak) {
  const auto context = [](const std::string& value) {
    return rule_of(
        parse_one(R"({"@context":)" + value + R"(,"@id":"dtmi:a:B;1","@type":"Interface"})"));
  };
  EXPECT_EQ(context(R"("dtmi:dtdl:context;4.1")"), "");
  EXPECT_EQ(context(R"(["dtmi:dtdl:context;4#limitless","dtmi:dtdl:limits:onvif;1"])"), "");
  EXPECT_EQ(context(R"(["dtmi:dtdl:context;4#limitless","dtmi:dtdl:context;3"])"),
            "missingLimitContext");
  EXPECT_EQ(context(R"("dtmi:dtdl:context;4#other")"), "invalidContextFragment");
  EXPECT_EQ(context(R"("dtmi:dtdl:context;3#limits")"), "disallowedContextFragment");
  EXPECT_EQ(context(R"(["dtmi:dtdl:context;4","dtmi:dtdl:extension:annotation;9"])"),
            "unresolvableContextVersion");
  EXPECT_EQ(context(R"(["dtmi:dtdl:context;4","dtmi:dtdl:limits:onvif;1"])"),
            "misplacedLimitContext");
  EXPECT_EQ(context(R"({"x":5})"), "termDefinitionNotStringOrObject");
  EXPECT_EQ(context(R"([[]])"), "invalidContext");
  EXPECT_EQ(context("[]"), "emptyContext");
}

TEST(DtdlParser, SaysWhereAnUnknownIdentifierIsReferredTo) {
  const auto result = parse_one(
      "{\"@context\":\"dtmi:dtdl:context;4\",\"@id\":\"dtmi:a:B;1\",\"@type\":\"Interface\",\n"
      " \"extends\":\"dtmi:a:Base;1\"}");
  ASSERT_EQ(result.references.size(), 1u);
  EXPECT_EQ(result.references.front().id, "dtmi:a:Base;1");
  EXPECT_EQ(result.references.front().property, "extends");
  EXPECT_EQ(result.references.front().line, 2u);
  EXPECT_EQ(result.references.front().column, 12u);
}

TEST(DtdlParser, FilesAsEditorsSaveThem) {
  const std::string good =
      R"({"@context":"dtmi:dtdl:context;4","@id":"dtmi:a:B;1","@type":"Interface"})";
  EXPECT_TRUE(parse_one("\xEF\xBB\xBF" + good + "\r\n").valid());
  const auto comma = parse_one("{\r\n  \"@id\": \"dtmi:a:B;1\",\r\n}");
  EXPECT_EQ(rule_of(comma), "notJson");
  EXPECT_EQ(comma.errors.front().line, 3u);
  EXPECT_EQ(comma.errors.front().column, 1u);
}

// One spoiled file of a set does not hide the mistakes of the others.
TEST(DtdlParser, EachDocumentHasItsSay) {
  const std::string broken = "{", wrong = interface(R"({"@type":"Telemetry","name":"x"})"),
                    late = R"({"@context":"dtmi:dtdl:context;4","@id":"dtmi:test:C;1",
      "@type":"Interface","extends":"dtmi:test:C;1"})";
  const std::string_view all[] = {broken, wrong, late};
  const auto result = parse(all);
  std::vector<size_t> documents;
  for (const ParseError& error : result.errors) documents.push_back(error.document);
  EXPECT_EQ(documents, (std::vector<size_t>{0, 1, 2}));
}

// None of these may take long, use much memory or end the program.
TEST(DtdlParser, HostileDocumentsEnd) {
  std::string wide = R"({"@context":"dtmi:dtdl:context;4","@id":"dtmi:a:B;1","@type":"Interface")";
  for (int i = 0; i < 20'000; ++i) wide += fmt::format(R"(,"p{}":1,"@k{}":1)", i, i);
  EXPECT_EQ(parse_one(wide + "}").errors.size(), 1u);  // the first keyword
  std::string same = R"({"@context":"dtmi:dtdl:context;2","@id":"dtmi:a:B;1","@type":"Interface")";
  for (int i = 0; i < 20'000; ++i) same += R"(,"@id":"dtmi:a:B;1","comment":"x")";
  EXPECT_FALSE(parse_one(same + "}").valid());
  std::string contexts = R"({"@context":["dtmi:dtdl:context;4")";
  for (int i = 0; i < 20'000; ++i) contexts += fmt::format(R"(,"dtmi:x{}:y;1")", i);
  ParseOptions allow;
  allow.undefined = Undefined::kAllow;
  EXPECT_TRUE(parse_one(contexts + R"(],"@id":"dtmi:a:B;1","@type":"Interface"})", allow).valid());
  const auto long_value = parse_one(R"({"@context":"dtmi:dtdl:context;4","@id":")" +
                                    std::string(10'000'000, 'x') + R"(","@type":"Interface"})");
  ASSERT_EQ(rule_of(long_value), "idTooLong");
  EXPECT_LT(long_value.errors.front().value.size(), 1000u);
}

TEST(DtdlParser, AsksForWhatIsMissing) {
  ParseOptions options;
  std::vector<std::string> asked;
  options.resolve = [&](const std::vector<std::string>& ids) {
    asked.insert(asked.end(), ids.begin(), ids.end());
    return std::vector<std::string>{
        R"({"@context":"dtmi:dtdl:context;4","@id":"dtmi:test:Base;1","@type":"Interface"})"};
  };
  const auto result = parse_one(R"({"@context":"dtmi:dtdl:context;4","@id":"dtmi:test:A;1",
      "@type":"Interface","extends":"dtmi:test:Base;1"})",
                                options);
  EXPECT_TRUE(result.valid());
  EXPECT_EQ(asked, std::vector<std::string>{"dtmi:test:Base;1"});
  ASSERT_EQ(result.model.lineage("dtmi:test:A;1").size(), 2u);
  EXPECT_EQ(result.model.lineage("dtmi:test:A;1")[1]->id, "dtmi:test:Base;1");
}

TEST(DtdlParser, CirclesAndChainsEnd) {
  const auto chain = [](int length, bool closed) {
    std::string all = "[";
    for (int i = 0; i < length; ++i) {
      const bool last = i + 1 == length;
      all += fmt::format(
          R"({}{{"@context":"dtmi:dtdl:context;4","@id":"dtmi:t:I{};1","@type":"Interface"{}}})",
          i == 0 ? "" : ",", i,
          last && !closed ? std::string()
                          : fmt::format(R"(,"extends":"dtmi:t:I{};1")", last ? 0 : i + 1));
    }
    return all + "]";
  };
  EXPECT_TRUE(parse_one(chain(13, false)).valid());
  EXPECT_EQ(rule_of(parse_one(chain(14, false))), "excessiveDepthNarrow");
  EXPECT_EQ(rule_of(parse_one(chain(3, true))), "recursiveStructureNarrow");
  EXPECT_FALSE(parse_one(chain(5000, true)).valid());
  EXPECT_FALSE(parse_one(std::string(100'000, '[')).valid());
}

TEST(DtdlParser, ThePackageIsCorrect) {
  const std::string folder = PENSTOCK_SOURCE_DIR "/packages/compressor-health/models/";
  const std::string base = *read_file(system_files(), folder + "rotating-machine.json");
  const std::string screw = *read_file(system_files(), folder + "screw-compressor.json");
  const std::string_view both[] = {base, screw};
  const auto result = parse(both);
  for (const ParseError& error : result.errors) ADD_FAILURE() << error.text();
  EXPECT_TRUE(result.valid());
}

RC_GTEST_PROP(DtdlJson, ReadsBackAnyString, (const std::string& bytes)) {
  std::string quoted = "\"";
  for (const char c : bytes) {
    if (static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\')
      quoted += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    else
      quoted += c;
  }
  const auto tree = parse_json_tree(quoted + "\"");
  RC_ASSERT(tree.has_value());
  RC_ASSERT(tree->text == bytes);
}

}  // namespace
}  // namespace penstock::twin::dtdl
