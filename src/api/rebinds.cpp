// /rebind-jobs and /devices/{id}/rebind: what the journal holds of a device, read again.

#include "api/rebinds.h"

#include <fmt/format.h>

#include "api/http/arguments.h"
#include "api/render.h"
#include "api/routes.h"
#include "twin/registry.h"

namespace penstock::api {
namespace {

using access::Permission;
using stream::RebindJob;
using stream::RebindKind;

/// A job is for whoever sees its device.
bool sees(const Services& services, const Call& call, const std::string& device) {
  if (call.principal.sites.empty()) return true;
  const auto record = services.twins.device(device);
  const auto twin = record ? services.twins.twin(record->twin) : nullptr;
  return twin && call.principal.sees(twin->site);
}

Result<RebindJob> find_job(const Services& services, const Call& call) {
  const auto id = numbered_id(call.parameter("id"), "rbd");
  if (!id) return fail(ErrorCode::kNotFound, "there is no such job", call.parameter("id"));
  TRY_ASSIGN(RebindJob job, services.rebinds.rebind_job(call.principal.organisation, *id));
  if (!sees(services, call, job.device))
    return fail(ErrorCode::kNotFound, "there is no such job", call.parameter("id"));
  return job;
}

Result<Response> list_jobs(const Services& services, const Call& call) {
  TRY_ASSIGN(const Page page, Page::of(call.request));
  const auto before = page.after.empty() ? UINT64_MAX : numbered_id(page.after, "rbd").value_or(0);
  const std::string device(call.request.query_value("device").value_or(""));
  Json items = Json::array();
  std::string next;
  for (const RebindJob& job : services.rebinds.rebind_jobs(call.principal.organisation, device)) {
    if (job.id >= before || !sees(services, call, job.device)) continue;
    if (items.size() == page.limit) {
      next = items.back()["id"].get<std::string>();
      break;
    }
    items.push_back(rebind_json(job));
  }
  return list_response(std::move(items), next);
}

Result<Response> start(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto device,
             services.twins.device(call.principal.organisation, call.parameter("id")));
  if (!device->twin || !sees(services, call, device->name))
    return fail(ErrorCode::kNotFound, "there is no such device", call.parameter("id"));
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const std::string kind = body.text("kind", 32);
  if (kind != "discovery" && kind != "dead_letters")
    body.complain("kind", "is discovery or dead_letters");
  TRY(body.done());
  TRY_ASSIGN(const auto job,
             services.rebinds.start_rebind(
                 call.principal.organisation, device->name,
                 kind == "discovery" ? RebindKind::kDiscovery : RebindKind::kDeadLetters, 0,
                 call.principal.name));
  return Response::json(rebind_json(job), 202);
}

Result<Response> cancel(const Services& services, const Call& call) {
  TRY_ASSIGN(const RebindJob job, find_job(services, call));
  TRY(services.rebinds.cancel_rebind(call.principal.organisation, job.id));
  return Response::no_content();
}

}  // namespace

Json rebind_json(const RebindJob& job) {
  const auto all = static_cast<double>(job.to > job.from ? job.to - job.from : 0);
  const double progress = job.state == stream::RebindState::kDone ? 1
                          : all == 0                              ? 0
                                     : static_cast<double>(job.next - job.from) / all;
  return {{"id", fmt::format("rbd_{}", job.id)},
          {"device", job.device},
          {"kind", stream::name(job.kind)},
          {"state", stream::name(job.state)},
          {"progress", progress},
          {"messages", job.messages},
          {"samples", job.samples},
          {"refused", job.refused},
          {"reason", text_or_null(to_valid_utf8(job.reason))},
          {"oldest", time_or_null(job.oldest)},
          {"created_at", to_rfc3339(job.created_at)},
          {"finished_at", time_or_null(job.finished_at)},
          {"by", job.by}};
}

void add_rebind_routes(Router& router, const Services& services) {
  const auto bind = [&](Result<Response> (*handler)(const Services&, const Call&)) -> Handler {
    return [services, handler](const Call& call) { return handler(services, call); };
  };
  add_route(router, Method::kGet, "/rebind-jobs", Permission::kReadDevices, bind(list_jobs));
  add_route(router, Method::kGet, "/rebind-jobs/{id}", Permission::kReadDevices,
            [services](const Call& call) -> Result<Response> {
              TRY_ASSIGN(const RebindJob job, find_job(services, call));
              return Response::json(rebind_json(job));
            });
  add_route(router, Method::kDelete, "/rebind-jobs/{id}", Permission::kWriteDevices, bind(cancel));
  add_route(router, Method::kPost, "/devices/{id}/rebind", Permission::kWriteDevices, bind(start));
}

}  // namespace penstock::api
