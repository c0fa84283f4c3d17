#pragma once
// What both the resources and the live socket show.

#include <string>
#include <vector>

#include "api/access/permissions.h"
#include "api/services.h"
#include "base/json.h"
#include "base/result.h"

namespace penstock::api {

/// The fleet in one picture, as far as the principal sees it.
Result<Json> overview_json(const Services& services, const access::Principal& principal);

struct FoundAlarm {
  std::string id, title, subtitle;
};
/// Open alarms whose message or twin contains `text`.
std::vector<FoundAlarm> search_alarms(const Services& services, const access::Principal& principal,
                                      std::string_view text, size_t limit);

}  // namespace penstock::api
