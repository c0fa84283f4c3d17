#pragma once
// Holds responses against openapi.json: the statuses it declares and the shape of their bodies.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/http/message.h"
#include "base/json.h"

namespace penstock::api::testing {

struct Operation {
  std::string path;  ///< "/api/v1/twins/{id}"
  Method method = Method::kGet;
  bool open = false;
  std::string permission;
  const Json* document = nullptr;
};

/// The embedded description, parsed once.
const Json& contract();
std::vector<Operation> operations();
/// What is wrong with a response to `method` on a route of that pattern; empty: nothing.
std::string broken_contract(Method method, std::string_view pattern, const Response& response);
/// Where `value` is not as `schema` says; empty: it is. The subset of JSON Schema that openapi.json
/// uses.
std::string schema_mismatch(const Json& value, const Json& schema, const std::string& where);

}  // namespace penstock::api::testing
