// /models/convert, /models/import, /models/repositories, /models/{dtmi}/export: models from and to
// other languages, and from device-model repositories.

#include <fmt/format.h>

#include "api/http/arguments.h"
#include "api/model_impact.h"
#include "api/model_repositories.h"
#include "api/models.h"
#include "api/render.h"
#include "twin/exchange/exchange.h"

namespace penstock::api {
namespace {

using access::Permission;

constexpr size_t kDocumentBytesMax = 4U << 20;
constexpr size_t kIdsMax = 100;

Json notes_json(const std::vector<twin::ConversionNote>& notes) {
  Json out = Json::array();
  for (const auto& note : notes) out.push_back({{"at", note.at}, {"text", note.text}});
  return out;
}

Result<Response> convert(const Services&, const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const std::string format = body.text("format", 10);
  const Json document = body.any("document");
  twin::ImportOptions options;
  options.id = body.optional_text("id", 2048);
  if (document.is_null()) body.complain("document", "is required");
  TRY(body.done());
  TRY_ASSIGN(const auto from, twin::parse_model_format(format));
  if (from == twin::ModelFormat::kDtdl)
    return fail(ErrorCode::kInvalidArgument, "DTDL needs no conversion: format is wot or aas",
                "format");
  auto read = from == twin::ModelFormat::kWot ? twin::from_wot(document, options)
                                              : twin::from_aas(document, options);
  if (!read) return fail(read.error().code, read.error().message, "document");
  return Response::json({{"documents", read->documents()}, {"notes", notes_json(read->notes)}});
}

Result<Response> export_model(const Services& services, ModelGraphs& graphs, const Call& call) {
  const std::string wanted(call.request.query_value("format").value_or("dtdl"));
  TRY_ASSIGN(const auto format, twin::parse_model_format(wanted));
  const auto graph = graphs.of(services, call.principal.organisation);
  const auto model = graph->find(call.parameter("dtmi"));
  if (!model) return fail(ErrorCode::kNotFound, "No such model is known", call.parameter("dtmi"));
  twin::Exported out;
  if (format == twin::ModelFormat::kDtdl) {
    // With all that it needs to be understood elsewhere, itself first.
    out.document = Json::array();
    auto needed = graph->needs_of(model->id);
    needed.erase(model->id);
    TRY_ASSIGN(Json own, parse_json(model->document, 128));
    out.document.push_back(std::move(own));
    for (const std::string& id : needed) {
      TRY_ASSIGN(Json other, parse_json(graph->find(id)->document, 128));
      out.document.push_back(std::move(other));
    }
  } else {
    std::vector<twin::ConversionNote> unread;
    TRY_ASSIGN(const auto shape, twin::read_shape(graph->elements(), model->id, unread));
    out = format == twin::ModelFormat::kWot ? twin::to_wot(shape) : twin::to_aas(shape);
    out.notes.insert(out.notes.begin(), unread.begin(), unread.end());
  }
  return Response::json({{"id", model->id},
                         {"format", twin::name(format)},
                         {"document", std::move(out.document)},
                         {"notes", notes_json(out.notes)}});
}

Result<Response> list_repositories(const Services& services, const Call&) {
  Json items = Json::array();
  for (const auto& one : services.repositories.all())
    items.push_back({{"name", one.name}, {"location", one.location}});
  return Response::json({{"items", std::move(items)}});
}

Result<Response> import_models(const Services& services, const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const std::string repository = body.text("repository", 200);
  const auto ids = body.maybe_texts("ids", kIdsMax);
  const bool dry_run = body.maybe_boolean("dry_run").value_or(false);
  if (!ids || ids->empty())
    body.complain("ids", fmt::format("are from 1 to {} DTMIs with versions", kIdsMax));
  TRY(body.done());
  TRY_ASSIGN(const auto fetched, services.repositories.fetch(repository, *ids));
  Json documents = Json::array();
  for (const auto& document : fetched.documents) {
    TRY_ASSIGN(Json one, parse_json(document.text, 128));
    documents.push_back(std::move(one));
  }
  Json added = Json::array();
  if (!dry_run) {
    TRY_ASSIGN(const auto models,
               services.twins.add_models(call.principal.organisation, documents.dump()));
    for (const auto& model : models) added.push_back(model->id);
  }
  return Response::json(
      {{"documents", std::move(documents)}, {"files", fetched.files}, {"added", std::move(added)}},
      dry_run ? 200 : 201);
}

}  // namespace

void add_model_exchange_routes(Router& router, const Services& services,
                               std::shared_ptr<ModelGraphs> graphs) {
  const RouteOptions slow{.lane = Lane::kSlow};
  add_route(
      router, Method::kGet, "/models/{dtmi}/export", Permission::kReadTwins,
      [services, graphs](const Call& call) { return export_model(services, *graphs, call); }, slow);
  add_route(router, Method::kGet, "/models/repositories", Permission::kWriteModels,
            [services](const Call& call) { return list_repositories(services, call); });
  add_route(router, Method::kPost, "/models/convert", Permission::kWriteModels,
            [services](const Call& call) { return convert(services, call); },
            {.lane = Lane::kSlow, .body_bytes_max = kDocumentBytesMax});
  add_route(
      router, Method::kPost, "/models/import", Permission::kWriteModels,
      [services](const Call& call) { return import_models(services, call); }, slow);
}

}  // namespace penstock::api
