// /overview, /sites, /search.

#include <algorithm>
#include <unordered_map>

#include "api/http/arguments.h"
#include "api/overview.h"
#include "api/render.h"
#include "api/routes.h"

namespace penstock::api {
namespace {

using access::Permission;

Json site_json(const Services& services, const twin::SiteRecord& site) {
  return {{"id", twin::to_text(site.id)},      {"name", site.name},
          {"display_name", site.display_name}, {"time_zone", site.time_zone},
          {"description", site.description},   {"twins", services.twins.twin_count(site.id)}};
}

Result<Response> list_sites(const Services& services, const Call& call) {
  TRY_ASSIGN(const Page page, Page::of(call.request));
  const std::string text(call.request.query_value("q").value_or(""));
  TRY_ASSIGN(const auto found,
             visible_page<twin::SitePtr>(
                 {page.after, page.limit},
                 [&](const twin::PageRequest& request) -> Result<twin::Page<twin::SitePtr>> {
                   return services.twins.sites(call.principal.organisation, text, request);
                 },
                 [&](const twin::SitePtr& site) { return call.principal.sees(site->id); }));
  Json items = Json::array();
  for (const auto& site : found.items) items.push_back(site_json(services, *site));
  return list_response(std::move(items), found.next_cursor);
}

Result<Response> create_site(const Services& services, const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  twin::SiteDraft draft;
  draft.name = body.text("name", 63);
  draft.display_name = body.optional_text("display_name", 200);
  draft.time_zone = body.maybe_text("time_zone", 64).value_or("UTC");
  draft.description = body.optional_text("description", 2000);
  TRY(body.done());
  if (!call.principal.sites.empty())
    return fail(ErrorCode::kPermissionDenied,
                "you are confined to your sites; ask an administrator");
  TRY_ASSIGN(const auto site, services.twins.create_site(call.principal.organisation, draft));
  return Response::json(site_json(services, *site), 201);
}

Result<Response> get_site(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto site,
             find_site(services, call.principal, Permission::kReadTwins, call.parameter("id")));
  return Response::json(site_json(services, *site));
}

Result<Response> update_site(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto before,
             find_site(services, call.principal, Permission::kWriteSites, call.parameter("id")));
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  twin::SitePatch patch;
  patch.display_name = body.maybe_text("display_name", 200);
  patch.time_zone = body.maybe_text("time_zone", 64);
  patch.description = body.maybe_text("description", 2000);
  TRY(body.done());
  TRY_ASSIGN(const auto site,
             services.twins.update_site(call.principal.organisation, before->name, patch));
  return Response::json(site_json(services, *site));
}

Result<Response> delete_site(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto site,
             find_site(services, call.principal, Permission::kWriteSites, call.parameter("id")));
  TRY(services.twins.delete_site(call.principal.organisation, site->name));
  return Response::no_content();
}

/// The page's own pages, so that the command palette finds them.
constexpr std::pair<std::string_view, std::string_view> kPages[] = {
    {"/", "Fleet overview"},
    {"/alarms", "Alarms"},
    {"/devices", "Devices"},
    {"/connect", "Connect a device"},
    {"/rules", "Rules"},
    {"/models", "Models"},
    {"/dead-letters", "Dead letters"},
    {"/discovery", "Discovered devices"},
    {"/settings", "Settings"},
};

Result<Response> search(const Services& services, const Call& call) {
  TRY_ASSIGN(const Page page, Page::of(call.request, 20));
  const auto text = call.request.query_value("q");
  if (!text || text->empty() || text->size() > 200)
    return fail(ErrorCode::kInvalidArgument, "say what to look for with ?q=", "q");
  const auto organisation = call.principal.organisation;
  Json items = Json::array();
  const auto add = [&](std::string_view kind, std::string_view id, std::string_view title,
                       std::string_view subtitle) {
    if (items.size() < page.limit)
      items.push_back({{"kind", kind}, {"id", id}, {"title", title}, {"subtitle", subtitle}});
  };
  twin::TwinFilter filter;
  filter.text = std::string(*text);
  TRY_ASSIGN(const auto twins,
             visible_page<twin::TwinPtr>(
                 {"", page.limit},
                 [&](const twin::PageRequest& request) {
                   return services.twins.twins(organisation, filter, request);
                 },
                 [&](const twin::TwinPtr& twin) { return call.principal.sees(twin->site); }));
  for (const auto& [path, title] : kPages)
    if (contains_text(title, *text)) add("page", path, title, "Page");
  for (const auto& site : services.twins.sites(organisation, *text, {"", page.limit}).items)
    if (call.principal.sees(site->id)) add("site", site->name, site->display_name, site->time_zone);
  for (const auto& twin : twins.items)
    add("twin", twin->name, twin->display_name,
        twin->site_name + " · " + twin->model->display_name);
  for (const auto& model : services.twins.models(organisation, *text, {"", page.limit}).items)
    add("model", model->id, model->display_name, model->id);
  for (auto& alarm : search_alarms(services, call.principal, *text, page.limit))
    add("alarm", alarm.id, alarm.title, alarm.subtitle);
  return list_response(std::move(items), "");
}

}  // namespace

Result<Json> overview_json(const Services& services, const access::Principal& principal) {
  TRY_ASSIGN(const auto tally, AlarmTally::of_open(services, principal.organisation));
  struct SiteRow {
    uint32_t twins = 0, online = 0, stale = 0;
  };
  std::unordered_map<SiteId, SiteRow> rows;
  for (const auto& live : services.live.presence()) {
    const auto twin = services.twins.twin(live.twin);
    if (!twin || twin->organisation != principal.organisation) continue;
    rows[twin->site].online += live.online;
    rows[twin->site].stale += live.stale;
  }
  Json sites = Json::array();
  AlarmCounts all;
  uint64_t twins = 0, online = 0, stale = 0;
  twin::PageRequest request{"", 1000};
  do {
    const auto page = services.twins.sites(principal.organisation, "", request);
    for (const auto& site : page.items) {
      if (!principal.sees(site->id)) continue;
      const SiteRow& row = rows[site->id];
      const auto count = services.twins.twin_count(site->id);
      const AlarmCounts& alarms = tally.site(site->id);
      twins += count;
      online += row.online;
      stale += row.stale;
      for (size_t i = 0; i < 4; ++i) all.by_priority[i] += alarms.by_priority[i];
      all.unacknowledged += alarms.unacknowledged;
      sites.push_back({{"id", twin::to_text(site->id)},
                       {"name", site->name},
                       {"display_name", site->display_name},
                       {"time_zone", site->time_zone},
                       {"twins", count},
                       {"online", row.online},
                       {"alarms", alarms.json()},
                       {"worst_priority", alarms.worst()}});
    }
    request.cursor = page.next_cursor;
  } while (!request.cursor.empty());
  const auto rates = services.ingest.rates();
  return Json{{"totals",
               {{"twins", twins},
                {"online", online},
                {"offline", twins - std::min(twins, online)},
                {"stale", stale},
                {"alarms", all.json()}}},
              {"sites", std::move(sites)},
              {"ingest",
               {{"messages_per_s", rates.messages_per_s},
                {"samples_per_s", rates.samples_per_s},
                {"dead_letters", services.dead_letters.dead_letter_count(principal.organisation)},
                {"discovery", services.discovery.discovered_count(principal.organisation)}}}};
}

void add_site_routes(Router& router, const Services& services) {
  const auto bind = [&](Result<Response> (*handler)(const Services&, const Call&)) -> Handler {
    return [services, handler](const Call& call) { return handler(services, call); };
  };
  add_route(router, Method::kGet, "/overview", Permission::kReadTwins,
            [services](const Call& call) -> Result<Response> {
              TRY_ASSIGN(const Json overview, overview_json(services, call.principal));
              return Response::json(overview);
            });
  add_route(router, Method::kGet, "/sites", Permission::kReadTwins, bind(list_sites));
  add_route(router, Method::kPost, "/sites", Permission::kWriteSites, bind(create_site));
  add_route(router, Method::kGet, "/sites/{id}", Permission::kReadTwins, bind(get_site));
  add_route(router, Method::kPatch, "/sites/{id}", Permission::kWriteSites, bind(update_site));
  add_route(router, Method::kDelete, "/sites/{id}", Permission::kWriteSites, bind(delete_site));
  add_route(router, Method::kGet, "/search", Permission::kReadTwins, bind(search));
}

}  // namespace penstock::api
