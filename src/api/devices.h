#pragma once
// A device as the contract shows it.

#include "api/access/permissions.h"
#include "api/http/message.h"
#include "api/http/router.h"
#include "api/services.h"
#include "twin/registry.h"

namespace penstock::api {

Json device_created_json(const Services& services, const ApiOptions& options,
                         const twin::DeviceCreated& made);
/// 201 of a device just registered: it, its credentials (shown once), where to connect and publish.
Response device_created_response(const Services& services, const ApiOptions& options,
                                 const twin::DeviceCreated& made);

/// The device of the path's {id}, if the caller may do `permission` at its site.
Result<twin::DevicePtr> find_device(const Services& services, const Call& call,
                                    access::Permission permission);

}  // namespace penstock::api
