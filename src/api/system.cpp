// GET /health, /openapi.json, /metrics, /endpoints.

#include <algorithm>

#include <fmt/format.h>

#include "api/http/static_files.h"
#include "api/openapi.h"
#include "api/routes.h"
#include "base/metrics.h"
#include "stream/views.h"

namespace penstock::api {
namespace {

std::string_view name_of(stream::HealthStatus status) {
  switch (status) {
    case stream::HealthStatus::kOk:
      return "ok";
    case stream::HealthStatus::kDegraded:
      return "degraded";
    case stream::HealthStatus::kFailing:
      break;
  }
  return "failing";
}

Response health(stream::HealthSource& source, const std::string& version, double uptime_s) {
  auto worst = stream::HealthStatus::kOk;
  Json checks = Json::array();
  for (const auto& check : source.health()) {
    worst = std::max(worst, check.status);
    checks.push_back(
        {{"name", check.name}, {"status", name_of(check.status)}, {"detail", check.detail}});
  }
  // The status first: probes that only look at the beginning see it.
  const std::string rest =
      Json{{"version", version}, {"uptime_s", uptime_s}, {"checks", std::move(checks)}}.dump();
  Response response =
      Response::text(fmt::format("{{\"status\":\"{}\",{}", name_of(worst), rest.substr(1)),
                     "application/json", worst == stream::HealthStatus::kFailing ? 503 : 200);
  response.set("cache-control", "no-store");
  return response;
}

Response endpoints(const std::vector<EndpointInfo>& all) {
  return Response::json({{"items", endpoints_json(all)}});
}

}  // namespace

Json endpoints_json(const std::vector<EndpointInfo>& all) {
  Json items = Json::array();
  for (const auto& endpoint : all) {
    Json item = {
        {"transport", endpoint.transport}, {"host", endpoint.host}, {"port", endpoint.port}};
    if (!endpoint.path.empty()) item["path"] = endpoint.path;
    items.push_back(std::move(item));
  }
  return items;
}

void add_system_routes(Router& router, const Services& services, const ApiOptions& options) {
  const int64_t started_us = services.clock.monotonic_us();
  add_route(router, Method::kGet, "/health", std::nullopt,
            [&source = services.health, &clock = services.clock, version = options.version,
             started_us](const Call&) -> Result<Response> {
              return health(source, version,
                            static_cast<double>(clock.monotonic_us() - started_us) / 1e6);
            });
  add_route(
      router, Method::kGet, "/openapi.json", std::nullopt, [](const Call&) -> Result<Response> {
        Response response = Response::text(std::string(openapi_document()), "application/json");
        response.set("cache-control", "no-cache");
        return response;
      });
  add_route(router, Method::kGet, "/endpoints", access::Permission::kReadTwins,
            [all = options.endpoints](const Call&) -> Result<Response> { return endpoints(all); });

  Route metrics;
  metrics.pattern = "/metrics";
  metrics.permission = access::Permission::kReadMetrics;
  metrics.handler = [&all = services.metrics](const Call&) -> Result<Response> {
    Response response = Response::text(all.render(), "text/plain; version=0.0.4; charset=utf-8");
    response.set("cache-control", "no-store");
    return response;
  };
  router.add(std::move(metrics));
}

}  // namespace penstock::api
