#pragma once
// The description of the HTTP API: src/api/openapi.json, embedded at build time.

#include <string_view>

namespace penstock::api {

/// OpenAPI 3.1 as JSON text; lives as long as the program.
std::string_view openapi_document();

}  // namespace penstock::api
