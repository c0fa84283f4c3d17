#pragma once
// What every response carries, whoever made it.

#include "api/http/message.h"

namespace penstock::api {

/// Strict content security policy, no sniffing, no framing, no referrer; HSTS over TLS. Sets
/// cache-control: no-store where the response says nothing about caching. A content-security-policy
/// already there stays.
void add_security_headers(Response& response, bool tls);

}  // namespace penstock::api
