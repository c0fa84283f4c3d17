// /models: DTDL interfaces.

#include "api/models.h"

#include "api/http/arguments.h"
#include "api/model_impact.h"
#include "api/render.h"

namespace penstock::api {
namespace {

using access::Permission;

Json model_json(const Services& services, const access::Principal& principal,
                const twin::ModelInfo& model) {
  return {{"id", model.id},
          {"display_name", model.display_name.empty() ? model.id : model.display_name},
          {"description", model.description},
          {"extends", model.extends},
          {"elements", model.elements.size()},
          {"commands", model.commands.size()},
          {"twins", services.twins.twin_count(principal.organisation, model.id)}};
}

Json detail_json(const Services& services, const access::Principal& principal,
                 const twin::ModelInfo& model) {
  Json out = model_json(services, principal, model);
  Json& elements = out["elements"] = Json::array();
  for (const auto& element : model.elements) elements.push_back(element_json(element));
  Json& commands = out["commands"] = Json::array();
  for (const auto& command : model.commands) commands.push_back(command_json(command));
  Json& relationships = out["relationships"] = Json::array();
  for (const auto& relationship : model.relationships)
    relationships.push_back(
        {{"name", relationship.name}, {"target_model", text_or_null(relationship.target_model)}});
  Json& components = out["components"] = Json::array();
  for (const auto& component : model.components)
    components.push_back({{"name", component.name}, {"model", component.model}});
  auto document = parse_json(model.document, 128);
  out["document"] = document ? std::move(*document) : Json::object();
  return out;
}

Result<Response> list_models(const Services& services, const Call& call) {
  TRY_ASSIGN(const Page page, Page::of(call.request));
  const std::string text(call.request.query_value("q").value_or(""));
  const auto found =
      services.twins.models(call.principal.organisation, text, {page.after, page.limit});
  Json items = Json::array();
  for (const auto& model : found.items)
    items.push_back(model_json(services, call.principal, *model));
  return list_response(std::move(items), found.next_cursor);
}

Result<Response> create_models(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto models,
             services.twins.add_models(call.principal.organisation, call.request.body));
  Json items = Json::array();
  for (const auto& model : models) items.push_back(model_json(services, call.principal, *model));
  return Response::json({{"items", std::move(items)}}, 201);
}

Result<Response> get_model(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto model,
             services.twins.model(call.principal.organisation, call.parameter("dtmi")));
  return Response::json(detail_json(services, call.principal, *model));
}

Result<Response> delete_model(const Services& services, const Call& call) {
  TRY(services.twins.delete_model(call.principal.organisation, call.parameter("dtmi")));
  return Response::no_content();
}

}  // namespace

void add_model_routes(Router& router, const Services& services) {
  const auto bind = [&](Result<Response> (*handler)(const Services&, const Call&)) -> Handler {
    return [services, handler](const Call& call) { return handler(services, call); };
  };
  add_route(router, Method::kGet, "/models", Permission::kReadTwins, bind(list_models));
  add_route(router, Method::kPost, "/models", Permission::kWriteModels, bind(create_models),
            {.body_bytes_max = 4U << 20});
  add_route(router, Method::kGet, "/models/{dtmi}", Permission::kReadTwins, bind(get_model));
  add_route(router, Method::kDelete, "/models/{dtmi}", Permission::kWriteModels,
            bind(delete_model));
  const auto graphs = std::make_shared<ModelGraphs>();
  add_model_graph_routes(router, services, graphs);
  add_model_exchange_routes(router, services, graphs);
}

}  // namespace penstock::api
