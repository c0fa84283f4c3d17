// /dead-letters.

#include "api/devices.h"
#include "api/http/arguments.h"
#include "api/render.h"
#include "api/routes.h"

namespace penstock::api {
namespace {

using access::Permission;

Result<Response> list_dead_letters(const Services& services, const Call& call) {
  TRY_ASSIGN(const Page page, Page::of(call.request));
  stream::DeadLetterView::Filter filter;
  filter.organisation = call.principal.organisation;
  filter.device = std::string(call.request.query_value("device").value_or(""));
  filter.reason = std::string(call.request.query_value("reason").value_or(""));
  if (!page.after.empty()) filter.before = numbered_id(page.after, "dl").value_or(1);
  Json items = Json::array();
  std::string next;
  // Letters of devices at sites the person does not see are passed over, page by page.
  for (bool more = true; more && items.size() < page.limit;) {
    TRY_ASSIGN(const auto letters,
               services.dead_letters.dead_letters(filter, page.limit - items.size()));
    more = letters.size() == page.limit - items.size();
    for (const auto& letter : letters) {
      filter.before = letter.id;
      const auto device = services.twins.device(letter.device);
      const auto twin = device && device->twin ? services.twins.twin(device->twin) : nullptr;
      if (twin ? !call.principal.sees(twin->site) : !call.principal.sites.empty()) continue;
      items.push_back({{"id", "dl_" + std::to_string(letter.id)},
                       {"time", to_rfc3339(letter.received)},
                       {"device", to_valid_utf8(letter.device)},
                       {"topic", to_valid_utf8(letter.topic)},
                       {"reason", to_valid_utf8(letter.reason)},
                       {"payload", to_valid_utf8(letter.payload)}});
    }
    next = more ? "dl_" + std::to_string(filter.before) : "";
  }
  return list_response(std::move(items), next);
}

}  // namespace

void add_dead_letter_routes(Router& router, const Services& services) {
  const auto bind = [&](Result<Response> (*handler)(const Services&, const Call&)) -> Handler {
    return [services, handler](const Call& call) { return handler(services, call); };
  };
  add_route(router, Method::kGet, "/dead-letters", Permission::kReadDevices,
            bind(list_dead_letters));
}

}  // namespace penstock::api
