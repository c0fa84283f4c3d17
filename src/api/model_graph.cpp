// /models/graph, /models/compare, /models/check, /models/{dtmi}/usage: how models hang together,
// and what a change does, before it is made.

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "api/http/arguments.h"
#include "api/model_impact.h"
#include "api/models.h"
#include "api/render.h"
#include "twin/dtdl/parser.h"
#include "twin/models.h"

namespace penstock::api {
namespace {

using access::Permission;

constexpr size_t kNodesMax = 2000;
constexpr size_t kDocumentBytesMax = 4U << 20;
constexpr size_t kErrorsShownMax = 200;

Json node_json(const Services& services, const access::Principal& principal,
               const twin::ModelGraph& graph, const std::string& id) {
  const auto model = graph.find(id);
  return {{"id", id},
          {"display_name", model ? model->display_name : id},
          {"known", model != nullptr},
          {"elements", model ? model->elements.size() : 0},
          {"twins", services.twins.twin_count(principal.organisation, id)}};
}

Result<size_t> depth_of(const Request& request) {
  const auto text = request.query_value("depth");
  if (!text) return 2;
  size_t depth = 0;
  const auto read = std::from_chars(text->data(), text->data() + text->size(), depth);
  if (read.ec != std::errc() || read.ptr != text->data() + text->size() || depth > 12)
    return fail(ErrorCode::kInvalidArgument, "depth is a whole number from 0 to 12", "depth");
  return depth;
}

Result<Response> get_graph(const Services& services, ModelGraphs& graphs, const Call& call) {
  const auto graph = graphs.of(services, call.principal.organisation);
  TRY_ASSIGN(const size_t depth, depth_of(call.request));
  std::set<std::string, std::less<>> wanted;
  if (const auto centre = call.request.query_value("model")) {
    if (!graph->find(*centre))
      return fail(ErrorCode::kNotFound, "No such model is known", std::string(*centre));
    wanted = graph->around(*centre, depth);
  } else {
    for (const auto& [id, model] : graph->models()) wanted.insert(id);
    for (const auto& edge : graph->edges()) wanted.insert(edge.to);
  }
  const bool truncated = wanted.size() > kNodesMax;
  while (wanted.size() > kNodesMax) wanted.erase(std::prev(wanted.end()));
  Json nodes = Json::array(), edges = Json::array();
  for (const std::string& id : wanted)
    nodes.push_back(node_json(services, call.principal, *graph, id));
  for (const auto& edge : graph->edges())
    if (wanted.contains(edge.from) && wanted.contains(edge.to))
      edges.push_back({{"from", edge.from},
                       {"to", edge.to},
                       {"kind", twin::name(edge.kind)},
                       {"name", text_or_null(edge.name)}});
  return Response::json(
      {{"nodes", std::move(nodes)}, {"edges", std::move(edges)}, {"truncated", truncated}});
}

Result<Response> get_usage(const Services& services, ModelGraphs& graphs, const Call& call) {
  TRY_ASSIGN(const auto model,
             services.twins.model(call.principal.organisation, call.parameter("dtmi")));
  const auto graph = graphs.of(services, call.principal.organisation);
  return Response::json(usage_json(services, call.principal, *graph, *model));
}

Result<Response> compare(const Services& services, ModelGraphs& graphs, const Call& call) {
  const std::string from(call.request.query_value("from").value_or(""));
  const std::string to(call.request.query_value("to").value_or(""));
  if (from.empty() || to.empty())
    return fail(ErrorCode::kInvalidArgument, "from and to are DTMIs of two models",
                from.empty() ? "from" : "to");
  const auto graph = graphs.of(services, call.principal.organisation);
  TRY_ASSIGN(Json out, comparison_json(services, call.principal, *graph, from, to));
  return Response::json(std::move(out));
}

// -- POST /models/check

// What is no JSON at all is told with its place in words: "… (line 2, column 10)".
std::pair<size_t, size_t> place_of(const twin::dtdl::ParseError& error) {
  const size_t at = error.value.rfind("(line ");
  size_t line = 0, column = 0;
  if (error.validation.ends_with(":notJson") && at != std::string::npos &&
      std::sscanf(error.value.c_str() + at, "(line %zu, column %zu)", &line, &column) == 2)
    return {line, column};
  return {error.line, error.column};
}

Json error_json(const twin::dtdl::ParseError& error) {
  const auto [line, column] = place_of(error);
  return {{"line", line},
          {"column", column},
          {"rule", error.validation},
          {"element", text_or_null(to_valid_utf8(error.element))},
          {"property", text_or_null(to_valid_utf8(error.property))},
          {"value", text_or_null(to_valid_utf8(error.value.substr(0, 200)))},
          {"cause", error.cause},
          {"remedy", error.remedy}};
}

Json plain_error(const std::string& rule, const std::string& cause, const std::string& remedy) {
  return {{"line", 1},           {"column", 1},      {"rule", rule},   {"element", nullptr},
          {"property", nullptr}, {"value", nullptr}, {"cause", cause}, {"remedy", remedy}};
}

// The interfaces of a document that has no mistakes: new or known, and what they change.
Result<Json> checked_models(const Services& services, const Call& call,
                            const std::vector<twin::ModelDocument>& parts,
                            const std::vector<twin::ModelPtr>& known) {
  std::vector<twin::ModelDocument> all = parts;
  for (const auto& model : known)
    if (std::none_of(parts.begin(), parts.end(),
                     [&](const auto& part) { return part.dtmi == model->id; }))
      all.push_back({model->id, model->document});
  TRY_ASSIGN(const auto compiled, twin::compile_models(all));
  std::vector<twin::ModelPtr> models;
  for (const auto& [id, model] : compiled) models.push_back(model);
  const twin::ModelGraph graph(models);
  Json out = Json::array();
  for (const twin::ModelDocument& part : parts) {
    const auto old = std::find_if(known.begin(), known.end(),
                                  [&](const auto& model) { return model->id == part.dtmi; });
    const bool is_known = old != known.end();
    const auto made = graph.find(part.dtmi);
    Json one{{"id", part.dtmi},
             {"display_name", made->display_name},
             {"elements", made->elements.size()},
             {"state", !is_known                       ? "new"
                       : (*old)->document == part.text ? "same"
                                                       : "conflict"},
             {"comparison", nullptr}};
    const std::string previous = graph.previous_version(part.dtmi);
    if (!previous.empty() && !is_known) {
      TRY_ASSIGN(one["comparison"],
                 comparison_json(services, call.principal, graph, previous, part.dtmi));
    }
    out.push_back(std::move(one));
  }
  return out;
}

Result<Response> check(const Services& services, const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const std::string text = body.text("text", kDocumentBytesMax);
  TRY(body.done());
  const auto known = all_models(services, call.principal.organisation);
  // A version that is given again is checked as it is given.
  std::set<std::string> given;
  const auto parts = twin::split_models(text, kDocumentBytesMax);
  if (parts)
    for (const auto& part : *parts) given.insert(part.dtmi);
  std::vector<std::string_view> texts{text};
  for (const auto& model : known)
    if (!given.contains(model->id)) texts.emplace_back(model->document);
  const auto result = twin::dtdl::parse(texts);
  Json errors = Json::array();
  size_t count = 0;
  for (const auto& error : result.errors)
    if (error.document == 0 && ++count <= kErrorsShownMax) errors.push_back(error_json(error));
  Json unresolved = result.unresolved;
  if (errors.empty() && !parts) {
    errors.push_back(plain_error("penstock:document", parts.error().message,
                                 "Give one interface, or an array of interfaces"));
    ++count;
  }
  Json models = Json::array();
  if (errors.empty() && unresolved.empty()) {
    auto checked = checked_models(services, call, *parts, known);
    if (checked) {
      models = *std::move(checked);
    } else {
      errors.push_back(plain_error("penstock:flatten", checked.error().text(),
                                   "Change the interface so that it can be used by a twin"));
      ++count;
    }
  }
  return Response::json({{"valid", errors.empty() && unresolved.empty()},
                         {"errors", std::move(errors)},
                         {"error_count", count},
                         {"unresolved", std::move(unresolved)},
                         {"models", std::move(models)}});
}

}  // namespace

void add_model_graph_routes(Router& router, const Services& services,
                            std::shared_ptr<ModelGraphs> graphs) {
  const auto bind =
      [&](Result<Response> (*handler)(const Services&, ModelGraphs&, const Call&)) -> Handler {
    return
        [services, graphs, handler](const Call& call) { return handler(services, *graphs, call); };
  };
  const RouteOptions slow{.lane = Lane::kSlow};
  add_route(router, Method::kGet, "/models/graph", Permission::kReadTwins, bind(get_graph), slow);
  add_route(router, Method::kGet, "/models/compare", Permission::kReadTwins, bind(compare), slow);
  add_route(router, Method::kGet, "/models/{dtmi}/usage", Permission::kReadTwins, bind(get_usage),
            slow);
  add_route(router, Method::kPost, "/models/check", Permission::kReadTwins,
            [services](const Call& call) { return check(services, call); },
            {.lane = Lane::kSlow, .body_bytes_max = 2 * kDocumentBytesMax});
}

}  // namespace penstock::api
