#pragma once
// A device as the contract shows it.

#include "api/http/message.h"
#include "api/services.h"
#include "twin/registry.h"

namespace penstock::api {

/// 201 of a device just registered: it, its credentials (shown once), where to connect and publish.
Response device_created_response(const Services& services, const ApiOptions& options,
                                 const twin::DeviceCreated& made);

}  // namespace penstock::api
