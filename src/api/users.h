#pragma once
// A user as the contract shows it.

#include "api/access/access_control.h"
#include "api/services.h"
#include "base/json.h"

namespace penstock::api {

Json user_json(const Services& services, const access::User& user);

}  // namespace penstock::api
