// /alarms.

#include "api/alarms.h"

#include <algorithm>

#include <fmt/format.h>

#include "api/http/arguments.h"
#include "api/overview.h"
#include "api/render.h"
#include "api/routes.h"

namespace penstock::api {
namespace {

using access::Permission;

constexpr size_t kOpenMax =
    100'000;  ///< open alarms that are counted; a flood beyond it is a flood all the same

Result<AlarmItem> find_alarm(const Services& services, const Call& call, Permission permission) {
  const auto id = numbered_id(call.parameter("id"), "alm");
  if (!id) return fail(ErrorCode::kNotFound, "there is no such alarm", call.parameter("id"));
  TRY_ASSIGN(AlarmItem alarm, services.alarms.alarm(call.principal.organisation, AlarmId(*id)));
  TRY(access::authorize(call.principal, permission, alarm.site));
  return alarm;
}

Result<AlarmFilter> read_filter(const Services& services, const Call& call) {
  AlarmFilter filter;
  filter.organisation = call.principal.organisation;
  filter.sites = call.principal.sites;
  if (const auto state = call.request.query_value("state")) {
    filter.open = *state == "open";
    for (size_t i = 0; i < 4; ++i)
      if (name(static_cast<AlarmState>(i)) == *state) filter.state = static_cast<AlarmState>(i);
    if (!filter.open && !filter.state)
      return fail(ErrorCode::kInvalidArgument,
                  "state must be active, acknowledged, cleared, closed or open", "state");
  }
  if (const auto priority = call.request.query_value("priority")) {
    TRY_ASSIGN(filter.priority, parse_priority(*priority));
  }
  if (const auto site = call.request.query_value("site")) {
    TRY_ASSIGN(const auto known,
               find_site(services, call.principal, Permission::kReadAlarms, *site));
    filter.site = known->id;
  }
  if (const auto twin = call.request.query_value("twin")) {
    TRY_ASSIGN(const auto known,
               find_twin(services, call.principal, Permission::kReadAlarms, *twin));
    filter.twin = known->id;
  }
  return filter;
}

Result<Response> list_alarms(const Services& services, const Call& call) {
  TRY_ASSIGN(const Page page, Page::of(call.request));
  TRY_ASSIGN(AlarmFilter filter, read_filter(services, call));
  if (!page.after.empty()) filter.before = numbered_id(page.after, "alm").value_or(1);
  TRY_ASSIGN(const auto alarms, services.alarms.alarms(filter, page.limit));
  Json items = Json::array();
  for (const auto& alarm : alarms) items.push_back(alarm_json(services, alarm, false));
  return list_response(std::move(items), alarms.size() < page.limit
                                             ? ""
                                             : fmt::format("alm_{}", alarms.back().id.value));
}

Result<Response> acknowledge(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto alarm, find_alarm(services, call, Permission::kAcknowledgeAlarms));
  TRY_ASSIGN(auto body, BodyReader::of(call.request, true));
  const std::string note = body.optional_text("note");
  TRY(body.done());
  TRY_ASSIGN(const auto now, services.alarms.acknowledge(call.principal.organisation, alarm.id,
                                                         call.principal.name, note));
  return Response::json(alarm_json(services, now, true));
}

Result<Response> add_note(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto alarm, find_alarm(services, call, Permission::kAcknowledgeAlarms));
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const std::string text = body.text("text");
  TRY(body.done());
  TRY_ASSIGN(const auto now, services.alarms.add_note(call.principal.organisation, alarm.id,
                                                      call.principal.name, text));
  return Response::json(alarm_json(services, now, true), 201);
}

Result<std::vector<AlarmItem>> open_alarms(const Services& services, OrganisationId organisation,
                                           TwinId twin = {}) {
  AlarmFilter filter;
  filter.organisation = organisation;
  filter.open = true;
  filter.twin = twin;
  return services.alarms.alarms(filter, kOpenMax);
}

}  // namespace

Json alarm_json(const Services& services, const AlarmItem& alarm, bool with_history) {
  const auto twin = services.twins.twin(alarm.twin);
  const auto site = services.twins.site(alarm.site);
  Json contributions = Json::array();
  for (const auto& one : alarm.contributions)
    contributions.push_back({{"element", one.element}, {"share", one.share}});
  Json out = {{"id", fmt::format("alm_{}", alarm.id.value)},
              {"twin", twin ? twin->name : twin::to_text(alarm.twin)},
              {"twin_display_name", twin ? twin->display_name : twin::to_text(alarm.twin)},
              {"site", site ? site->name : twin::to_text(alarm.site)},
              {"source",
               {{"kind", alarm.from_detector ? "detector" : "rule"},
                {"id", fmt::format("rule_{}", alarm.source.value)},
                {"name", alarm.source_name}}},
              {"priority", name(alarm.priority)},
              {"state", name(alarm.state)},
              {"raised_at", to_rfc3339(alarm.raised)},
              {"acknowledged_at", time_or_null(alarm.acknowledged)},
              {"acknowledged_by", text_or_null(alarm.acknowledged_by)},
              {"cleared_at", time_or_null(alarm.cleared)},
              {"value", number_or_null(alarm.value)},
              {"limit", number_or_null(alarm.limit)},
              {"unit", alarm.unit},
              {"element", alarm.element},
              {"message", alarm.message},
              {"cause", alarm.cause},
              {"consequence", alarm.consequence},
              {"action", alarm.action},
              {"contributions", std::move(contributions)}};
  if (!with_history) return out;
  Json& history = out["history"] = Json::array();
  for (const auto& event : alarm.history)
    history.push_back({{"at", to_rfc3339(event.at)},
                       {"who", event.who},
                       {"what", event.what},
                       {"note", event.note}});
  return out;
}

Result<Json> open_alarms_json(const Services& services, const access::Principal& principal,
                              TwinId twin) {
  Json out = Json::array();
  if (!access::allows(principal.role, Permission::kReadAlarms)) return out;
  TRY_ASSIGN(const auto alarms, open_alarms(services, principal.organisation, twin));
  for (const auto& alarm : alarms) out.push_back(alarm_json(services, alarm, false));
  return out;
}

Result<AlarmTally> AlarmTally::of_open(const Services& services, OrganisationId organisation) {
  TRY_ASSIGN(const auto alarms, open_alarms(services, organisation));
  AlarmTally tally;
  for (const auto& alarm : alarms) {
    const bool acknowledged = alarm.acknowledged.us != 0;
    tally.twins_[alarm.twin].add(static_cast<size_t>(alarm.priority), acknowledged);
    tally.sites_[alarm.site].add(static_cast<size_t>(alarm.priority), acknowledged);
  }
  return tally;
}

std::vector<FoundAlarm> search_alarms(const Services& services, const access::Principal& principal,
                                      std::string_view text, size_t limit) {
  std::vector<FoundAlarm> out;
  if (!access::allows(principal.role, Permission::kReadAlarms)) return out;
  const auto alarms = open_alarms(services, principal.organisation);
  if (!alarms) return out;
  for (const auto& alarm : *alarms) {
    if (out.size() >= limit) break;
    const auto twin = services.twins.twin(alarm.twin);
    if (!principal.sees(alarm.site)) continue;
    if (!contains_text(alarm.message, text) && !(twin && contains_text(twin->display_name, text)) &&
        !(twin && contains_text(twin->name, text)))
      continue;
    out.push_back({fmt::format("alm_{}", alarm.id.value), alarm.message,
                   fmt::format("{} · {}", name(alarm.priority), twin ? twin->display_name : "")});
  }
  return out;
}

void add_alarm_routes(Router& router, const Services& services) {
  const auto bind = [&](Result<Response> (*handler)(const Services&, const Call&)) -> Handler {
    return [services, handler](const Call& call) { return handler(services, call); };
  };
  add_route(router, Method::kGet, "/alarms", Permission::kReadAlarms, bind(list_alarms));
  add_route(router, Method::kGet, "/alarms/{id}", Permission::kReadAlarms,
            [services](const Call& call) -> Result<Response> {
              TRY_ASSIGN(const auto alarm, find_alarm(services, call, Permission::kReadAlarms));
              return Response::json(alarm_json(services, alarm, true));
            });
  add_route(router, Method::kPost, "/alarms/{id}/acknowledge", Permission::kAcknowledgeAlarms,
            bind(acknowledge));
  add_route(router, Method::kPost, "/alarms/{id}/notes", Permission::kAcknowledgeAlarms,
            bind(add_note));
}

}  // namespace penstock::api
