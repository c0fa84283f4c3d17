// /sparkplug/nodes: edge nodes and how they stand with the host.

#include <algorithm>

#include "api/http/arguments.h"
#include "api/protocols.h"
#include "api/render.h"
#include "api/routes.h"
#include "stream/report.h"
#include "twin/registry.h"

namespace penstock::api {
namespace {

using access::Permission;

// A registered one by its site; a stranger only by who sees all sites.
bool visible(const Services& services, const access::Principal& principal,
             std::string_view device) {
  const auto record = services.twins.device(device);
  const auto twin = record && record->twin ? services.twins.twin(record->twin) : nullptr;
  return twin ? principal.sees(twin->site) : principal.sites.empty();
}

Json device_json(const Services& services, const stream::EdgeDevice& device) {
  return {{"id", to_valid_utf8(device.id)},
          {"device", device.device},
          {"registered", services.twins.device(device.device) != nullptr},
          {"state", stream::name(device.state)},
          {"stale", device.state == stream::EdgeState::kOffline},
          {"last_birth", time_or_null(device.born)},
          {"last_death", time_or_null(device.died)},
          {"metrics", device.metrics}};
}

Json node_json(const Services& services, const access::Principal& principal,
               const stream::EdgeNode& node) {
  Json devices = Json::array();
  for (const auto& device : node.devices)
    if (visible(services, principal, device.device))
      devices.push_back(device_json(services, device));
  return {{"group", to_valid_utf8(node.group)},
          {"node", to_valid_utf8(node.node)},
          {"device", node.device},
          {"registered", services.twins.device(node.device) != nullptr},
          {"link", text_or_null(node.link)},
          {"state", stream::name(node.state)},
          {"stale", node.state == stream::EdgeState::kOffline},
          {"bdseq", node.bdseq ? Json(*node.bdseq) : Json()},
          {"seq", node.seq ? Json(*node.seq) : Json()},
          {"last_birth", time_or_null(node.born)},
          {"last_death", time_or_null(node.died)},
          {"last_message", time_or_null(node.last_message)},
          {"clock_offset_ms", node.clock_offset_ms},
          {"metrics", node.metrics},
          {"messages", node.messages},
          {"births", node.births},
          {"deaths", node.deaths},
          {"out_of_order", node.out_of_order},
          {"gaps", node.gaps},
          {"late", node.late},
          {"held", node.held},
          {"stale_deaths", node.stale_deaths},
          {"same_bdseq", node.same_bdseq},
          {"rejected_metrics", node.rejected_metrics},
          {"rebirths_asked", node.rebirths_asked},
          {"rebirth_reason", text_or_null(node.rebirth_reason)},
          {"devices", std::move(devices)}};
}

Result<Response> list_nodes(const Services& services, stream::EdgeNodes& nodes, const Call& call) {
  Json items = Json::array();
  for (const auto& node : nodes.edge_nodes(call.principal.organisation))
    if (visible(services, call.principal, node.device))
      items.push_back(node_json(services, call.principal, node));
  return list_response(std::move(items), "");
}

Result<Response> ask_rebirth(const Services& services, stream::EdgeNodes& nodes, const Call& call) {
  const std::string& group = call.parameter("group");
  const std::string& node = call.parameter("node");
  if (!visible(services, call.principal, stream::wire_name({group, node})))
    return fail(ErrorCode::kNotFound, "no edge node of that name has been heard of",
                group + "/" + node);
  TRY(nodes.ask_rebirth(call.principal.organisation, group, node, call.principal.name));
  return Response::no_content();
}

}  // namespace

void add_sparkplug_routes(Router& router, const Services& services, const Protocols& protocols) {
  stream::EdgeNodes* const nodes = protocols.edge_nodes;
  if (!nodes) return;
  add_route(router, Method::kGet, "/sparkplug/nodes", Permission::kReadDevices,
            [services, nodes](const Call& call) { return list_nodes(services, *nodes, call); });
  add_route(router, Method::kPost, "/sparkplug/nodes/{group}/{node}/rebirth",
            Permission::kSendCommands,
            [services, nodes](const Call& call) { return ask_rebirth(services, *nodes, call); });
}

}  // namespace penstock::api
