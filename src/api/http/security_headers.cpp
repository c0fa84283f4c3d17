#include "api/http/security_headers.h"

namespace penstock::api {

void add_security_headers(Response& response, bool tls) {
  // default-src 'none': whatever is not named here does not load, inline script and style included.
  static constexpr std::string_view kPolicy =
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
      "connect-src 'self'; font-src 'self'; manifest-src 'self'; worker-src 'self'; "
      "frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
  const auto add = [&](std::string_view field, std::string_view value) {
    if (response.header(field).empty()) response.headers.emplace_back(field, value);
  };
  add("content-security-policy", kPolicy);
  add("x-content-type-options", "nosniff");
  add("x-frame-options", "DENY");
  add("referrer-policy", "no-referrer");
  add("permissions-policy", "camera=(), geolocation=(), microphone=()");
  add("cross-origin-opener-policy", "same-origin");
  add("cross-origin-resource-policy", "same-origin");
  add("cache-control", "no-store");
  if (tls) add("strict-transport-security", "max-age=31536000");
}

}  // namespace penstock::api
