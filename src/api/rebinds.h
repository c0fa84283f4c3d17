#pragma once
// A re-binding job as the contract shows it.

#include "base/json.h"
#include "stream/rebind.h"

namespace penstock::api {

Json rebind_json(const stream::RebindJob& job);

}  // namespace penstock::api
