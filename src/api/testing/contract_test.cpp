#include "api/testing/contract.h"

#include <gtest/gtest.h>

#include "api/openapi.h"

namespace penstock::api::testing {
namespace {

const Json& resolve(const Json& schema) {
  const Json* at = &schema;
  while (at->contains("$ref")) {
    const auto reference = at->at("$ref").get<std::string>();
    at = &contract().at(Json::json_pointer(reference.substr(1)));
  }
  return *at;
}

bool has_type(const Json& value, const std::string& type) {
  if (type == "null") return value.is_null();
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "integer") return value.is_number_integer();
  return type == "number" && value.is_number();
}

std::string check_type(const Json& value, const Json& schema, const std::string& where) {
  if (!schema.contains("type")) return {};
  const Json& type = schema["type"];
  bool fits = type.is_string() && has_type(value, type);
  if (type.is_array())
    for (const Json& one : type) fits = fits || has_type(value, one);
  return fits ? "" : where + " is not " + type.dump() + ": " + value.dump().substr(0, 80);
}

std::string check_object(const Json& value, const Json& schema, const std::string& where) {
  for (const Json& name : schema.value("required", Json::array()))
    if (!value.contains(name.get<std::string>())) return where + " lacks " + name.dump();
  const Json properties = schema.value("properties", Json::object());
  for (const auto& [key, member] : value.items()) {
    std::string wrong;
    if (properties.contains(key))
      wrong = schema_mismatch(member, properties[key], where + "." + key);
    else if (schema.contains("additionalProperties") && schema["additionalProperties"].is_object())
      wrong = schema_mismatch(member, schema["additionalProperties"], where + "." + key);
    else if (!properties.empty())
      wrong = where + " has " + key + ", which the contract does not name";
    if (!wrong.empty()) return wrong;
  }
  return {};
}

std::string check_one_of(const Json& value, const Json& choices, const std::string& where) {
  std::string reasons;
  for (const Json& choice : choices) {
    const auto wrong = schema_mismatch(value, choice, where);
    if (wrong.empty()) return {};
    reasons += "\n  or " + wrong;
  }
  return where + " fits no choice:" + reasons;
}

const Json& operation_of(Method method, std::string_view pattern) {
  static const Json kNone;
  std::string key(pattern);
  if (key.starts_with("/api/v1")) key = key.substr(7);
  std::string verb(name(method));
  for (char& c : verb) c = static_cast<char>(std::tolower(c));
  const Json& paths = contract()["paths"];
  if (!paths.contains(key) || !paths[key].contains(verb)) return kNone;
  return paths[key][verb];
}

}  // namespace

const Json& contract() {
  static const Json kContract = Json::parse(openapi_document());
  return kContract;
}

std::vector<Operation> operations() {
  std::vector<Operation> out;
  for (const auto& [path, item] : contract()["paths"].items())
    for (const auto& [verb, operation] : item.items()) {
      std::string upper = verb;
      for (char& c : upper) c = static_cast<char>(std::toupper(c));
      const Method method = parse_method(upper);
      if (method == Method::kOther) continue;  // parameters, servers
      Operation one;
      one.path = (item.contains("servers") ? "" : "/api/v1") + path;
      one.method = method;
      one.open = operation.contains("security") && operation["security"].empty();
      one.permission = operation.value("x-permission", "");
      one.document = &operation;
      out.push_back(std::move(one));
    }
  return out;
}

std::string schema_mismatch(const Json& value, const Json& reference, const std::string& where) {
  const Json& schema = resolve(reference);
  if (schema.contains("const") && schema["const"] != value)
    return where + " is not " + schema["const"].dump();
  if (schema.contains("enum") &&
      std::find(schema["enum"].begin(), schema["enum"].end(), value) == schema["enum"].end())
    return where + " is not one of " + schema["enum"].dump() + ": " + value.dump();
  if (schema.contains("oneOf")) return check_one_of(value, schema["oneOf"], where);
  if (auto wrong = check_type(value, schema, where); !wrong.empty()) return wrong;
  if (value.is_object()) return check_object(value, schema, where);
  if (value.is_array() && schema.contains("items"))
    for (size_t i = 0; i < value.size(); ++i)
      if (auto wrong =
              schema_mismatch(value[i], schema["items"], where + "[" + std::to_string(i) + "]");
          !wrong.empty())
        return wrong;
  return {};
}

std::string broken_contract(Method method, std::string_view pattern, const Response& response) {
  const Json& operation = operation_of(method, pattern);
  if (operation.is_null()) return "the contract does not know " + std::string(pattern);
  const Json& responses = operation["responses"];
  const std::string status = std::to_string(response.status);
  if (response.status < 400 && !responses.contains(status))
    return "status " + status + " is not declared";
  const Json& declared =
      resolve(responses.contains(status) ? responses[status] : responses["default"]);
  if (!declared.contains("content"))
    return response.body.empty() ? "" : "a body where none is declared: " + response.body;
  std::string type(response.header("content-type"));
  type = type.substr(0, type.find(';'));
  if (!declared["content"].contains(type)) return "content type " + type + " is not declared";
  if (type.find("json") == std::string::npos) return {};
  const Json body = Json::parse(response.body, nullptr, false);
  if (body.is_discarded()) return "the body is no JSON: " + response.body.substr(0, 200);
  return schema_mismatch(body, declared["content"][type]["schema"], "body");
}

TEST(Contract, EveryReferenceLeadsSomewhere) {
  const std::function<void(const Json&)> walk = [&](const Json& node) {
    if (node.is_object() && node.contains("$ref")) {
      EXPECT_TRUE(
          contract().contains(Json::json_pointer(node["$ref"].get<std::string>().substr(1))))
          << node.dump();
    }
    if (node.is_structured())
      for (const Json& child : node) walk(child);
  };
  walk(contract());
  EXPECT_EQ(contract()["openapi"], "3.1.0");
}

TEST(Contract, TheCheckerSeesWhatIsWrong) {
  const Json schema = Json::parse(
      R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":["string","null"]},
          "c":{"type":"array","items":{"enum":["x","y"]}}},"required":["a"]})");
  EXPECT_EQ(schema_mismatch(Json::parse(R"({"a":1,"b":null,"c":["x"]})"), schema, "v"), "");
  EXPECT_NE(schema_mismatch(Json::parse(R"({"b":"t"})"), schema, "v"), "");
  EXPECT_NE(schema_mismatch(Json::parse(R"({"a":1.5})"), schema, "v"), "");
  EXPECT_NE(schema_mismatch(Json::parse(R"({"a":1,"c":["z"]})"), schema, "v"), "");
  EXPECT_NE(schema_mismatch(Json::parse(R"({"a":1,"d":2})"), schema, "v"), "");
  Response response = Response::json({{"status", "fine"}});
  EXPECT_NE(broken_contract(Method::kGet, "/api/v1/health", response), "");
}

}  // namespace penstock::api::testing
