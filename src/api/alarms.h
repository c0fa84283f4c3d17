#pragma once
// Alarms as the contract shows them, for the resources and the live socket that show them too.

#include "api/access/permissions.h"
#include "api/ports.h"
#include "api/services.h"
#include "base/json.h"

namespace penstock::api {

/// One alarm; `with_history` adds who did what.
Json alarm_json(const Services& services, const AlarmItem& alarm, bool with_history);

/// The open alarms of a twin, newest first.
Result<Json> open_alarms_json(const Services& services, const access::Principal& principal,
                              TwinId twin);

}  // namespace penstock::api
