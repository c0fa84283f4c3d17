#pragma once
// One function a resource file: adds its routes. All are called once, by Api.

#include "api/http/router.h"
#include "api/services.h"

namespace penstock::api {

/// A route below /api/v1.
struct RouteOptions {
  Lane lane = Lane::kQuick;
  size_t body_bytes_max = 256 * 1024;
  bool any_content = false;  ///< else a body is JSON
};
void add_route(Router& router, Method method, std::string_view path,
               std::optional<access::Permission> permission, Handler handler,
               RouteOptions options = {});

/// The endpoints as the contract shows them.
Json endpoints_json(const std::vector<EndpointInfo>& all);

void add_system_routes(Router& router, const Services& services, const ApiOptions& options);
void add_session_routes(Router& router, const Services& services);
void add_user_routes(Router& router, const Services& services);
void add_site_routes(Router& router, const Services& services);
void add_twin_routes(Router& router, const Services& services);
void add_device_routes(Router& router, const Services& services, const ApiOptions& options);
void add_replacement_routes(Router& router, const Services& services, const ApiOptions& options);
void add_diagnosis_routes(Router& router, const Services& services);
void add_label_routes(Router& router, const Services& services);
void add_dead_letter_routes(Router& router, const Services& services);
void add_discovery_routes(Router& router, const Services& services, const ApiOptions& options);
void add_onboarding_routes(Router& router, const Services& services, const ApiOptions& options);
void add_rebind_routes(Router& router, const Services& services);
void add_binding_routes(Router& router, const Services& services);
void add_bridge_routes(Router& router, const Services& services);
void add_message_routes(Router& router, const Services& services);
void add_opcua_routes(Router& router, const Services& services);
void add_model_routes(Router& router, const Services& services);
void add_alarm_routes(Router& router, const Services& services);
void add_rule_routes(Router& router, const Services& services);
void add_ingest_routes(Router& router, const Services& services);
void add_history_routes(Router& router, const Services& services, const ApiOptions& options);

}  // namespace penstock::api
