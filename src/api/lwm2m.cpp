// /lwm2m: clients, what is asked of them, credentials, bootstrap, firmware, objects.

#include "api/lwm2m.h"

#include <sodium.h>

#include "api/http/arguments.h"
#include "api/render.h"
#include "api/routes.h"
#include "base/io.h"
#include "interop/lwm2m/book.h"
#include "twin/registry.h"

namespace penstock::api {
namespace {

using access::Permission;
using interop::lwm2m::ClientBook;

struct Desk : Services {
  ClientBook* lwm2m = nullptr;
};

Result<ClientBook*> book_of(const Desk& services) {
  if (services.lwm2m == nullptr)
    return fail(ErrorCode::kUnavailable,
                "this server speaks no LwM2M: start it with --coap, --coaps, --coap-tcp or "
                "--coaps-tcp");
  return services.lwm2m;
}

// A person of some sites only sees the devices that stand there.
bool sees(const Desk& services, const Call& call, const std::string& device_name) {
  if (call.principal.sites.empty()) return true;
  const auto device = services.twins.device(device_name);
  const auto twin = device ? services.twins.twin(device->twin) : nullptr;
  return twin && call.principal.sees(twin->site);
}

// The client that the path names, where the person may see it.
Result<Json> client_of(const Desk& services, const Call& call) {
  TRY_ASSIGN(ClientBook* const book, book_of(services));
  const std::string& endpoint = call.parameter("endpoint");
  TRY_ASSIGN(Json client, book->client(call.principal.organisation, endpoint));
  if (!sees(services, call, client.value("device", "")))
    return fail(ErrorCode::kNotFound, "no device of that endpoint name is registered by LwM2M",
                endpoint);
  return client;
}

// What concerns endpoints that need not be registered is for people of all sites.
Status needs_all_sites(const Call& call) {
  if (call.principal.sites.empty()) return {};
  return fail(ErrorCode::kPermissionDenied, "this is for people who see all sites");
}

Result<Response> list_clients(const Desk& services, const Call& call) {
  TRY_ASSIGN(ClientBook* const book, book_of(services));
  TRY_ASSIGN(const Page page, Page::of(call.request));
  TRY_ASSIGN(const Json found, book->clients(call.principal.organisation, page.after, page.limit));
  Json items = Json::array();
  for (const Json& client : found.at("items"))
    if (sees(services, call, client.value("device", ""))) items.push_back(client);
  const Json& next = found.at("next");
  return list_response(std::move(items), next.is_string() ? next.get<std::string>() : "");
}

Result<Response> get_client(const Desk& services, const Call& call) {
  TRY_ASSIGN(Json client, client_of(services, call));
  return Response::json(std::move(client));
}

Status read_attributes(const Json& from, BodyReader& body, interop::lwm2m::Attributes& out) {
  if (from.is_null()) return {};
  if (!from.is_object()) {
    body.complain("attributes", "is an object such as {\"pmin\": 10}");
    return {};
  }
  for (const auto& [name, value] : from.items())
    TRY(out.set(name, value.is_string() ? value.get<std::string>() : value.dump()));
  return out.check();
}

Result<Response> operate(const Desk& services, const Call& call) {
  TRY(client_of(services, call));
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  interop::lwm2m::OperationRequest request;
  const auto kind = interop::lwm2m::parse_operation(body.text("operation", 40));
  if (!kind)
    body.complain("operation",
                  "is read, write, create, delete, execute, discover, "
                  "write-attributes, observe or cancel-observe");
  const auto paths = body.maybe_texts("paths", 64);
  for (const auto& text : paths.value_or(std::vector<std::string>())) {
    TRY_ASSIGN(const auto path, interop::lwm2m::Path::parse(text));
    request.paths.push_back(path);
  }
  if (request.paths.empty()) body.complain("paths", "names one or more paths");
  request.value = body.any("value");
  request.arguments = body.optional_text("arguments", 1000);
  const Json attributes = body.any("attributes");
  const std::string format = body.optional_text("format", 20);
  if (!format.empty()) {
    request.format = interop::lwm2m::parse_format(format);
    if (request.format == interop::lwm2m::Format::kNone)
      body.complain("format", "is text, opaque, cbor, senml-json, senml-cbor or tlv");
  }
  request.replace = body.maybe_boolean("replace").value_or(true);
  const int64_t wait_s = body.maybe_integer("wait_s", 0, 60).value_or(10);
  TRY(body.done());
  TRY(read_attributes(attributes, body, request.attributes));
  TRY(body.done());
  request.kind = *kind;
  request.who = call.principal.name;
  TRY_ASSIGN(Json done,
             services.lwm2m->operate(call.principal.organisation, call.parameter("endpoint"),
                                     std::move(request), Duration::seconds(wait_s)));
  return Response::json(std::move(done));
}

Result<Response> get_operation(const Desk& services, const Call& call) {
  TRY(client_of(services, call));
  TRY_ASSIGN(Json found,
             services.lwm2m->operation(call.principal.organisation, call.parameter("endpoint"),
                                       call.parameter("id")));
  return Response::json(std::move(found));
}

Result<Response> get_proposal(const Desk& services, const Call& call) {
  TRY(client_of(services, call));
  TRY_ASSIGN(Json found,
             services.lwm2m->propose(call.principal.organisation, call.parameter("endpoint")));
  return Response::json(std::move(found));
}

// -- firmware

Result<Response> start_firmware(const Desk& services, const Call& call) {
  TRY(client_of(services, call));
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  interop::lwm2m::FirmwareRequest request;
  const std::string package = body.optional_text("package_base64", 48U << 20);
  request.uri = body.optional_text("uri", 255);
  const std::string method = body.optional_text("method", 10);
  request.apply = body.maybe_boolean("apply").value_or(true);
  using Method = interop::lwm2m::FirmwareRequest::Method;
  if (method == "push")
    request.method = Method::kPush;
  else if (method == "pull")
    request.method = Method::kPull;
  else if (!method.empty() && method != "auto")
    body.complain("method", "is auto, push or pull");
  TRY(body.done());
  request.package.resize(package.size());
  size_t size = 0;
  if (sodium_base642bin(reinterpret_cast<unsigned char*>(request.package.data()),
                        request.package.size(), package.data(), package.size(), "\r\n ", &size,
                        nullptr, sodium_base64_VARIANT_ORIGINAL) != 0)
    return fail(ErrorCode::kInvalidArgument, "the package is not base64", "package_base64");
  request.package.resize(size);
  request.who = call.principal.name;
  TRY_ASSIGN(Json started,
             services.lwm2m->start_firmware(call.principal.organisation, call.parameter("endpoint"),
                                            std::move(request)));
  return Response::json(std::move(started), 202);
}

Result<Response> get_firmware(const Desk& services, const Call& call) {
  TRY(client_of(services, call));
  TRY_ASSIGN(Json found,
             services.lwm2m->firmware(call.principal.organisation, call.parameter("endpoint")));
  return Response::json(std::move(found));
}

// -- credentials and bootstrap

Result<Response> list_credentials(const Desk& services, const Call& call) {
  TRY_ASSIGN(ClientBook* const book, book_of(services));
  TRY(needs_all_sites(call));
  const std::string endpoint(call.request.query_value("endpoint").value_or(""));
  TRY_ASSIGN(Json found, book->credentials(call.principal.organisation, endpoint));
  return list_response(std::move(found["items"]), "");
}

Result<Response> add_credential(const Desk& services, const Call& call) {
  TRY_ASSIGN(ClientBook* const book, book_of(services));
  TRY(needs_all_sites(call));
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  interop::lwm2m::CredentialDraft draft;
  draft.endpoint = body.text("endpoint", 128);
  draft.identity = body.optional_text("identity", 128);
  draft.key_hex = body.optional_text("key_hex", 128);
  draft.bootstrap = body.maybe_boolean("bootstrap").value_or(false);
  TRY(body.done());
  TRY_ASSIGN(Json made, book->add_credential(call.principal.organisation, draft));
  return Response::json(std::move(made), 201);
}

Result<Response> remove_credential(const Desk& services, const Call& call) {
  TRY_ASSIGN(ClientBook* const book, book_of(services));
  TRY(needs_all_sites(call));
  TRY(book->remove_credential(call.principal.organisation, call.parameter("identity")));
  return Response::no_content();
}

Result<Response> get_bootstrap(const Desk& services, const Call& call) {
  TRY_ASSIGN(ClientBook* const book, book_of(services));
  TRY(needs_all_sites(call));
  TRY_ASSIGN(Json found, book->bootstrap(call.principal.organisation, call.parameter("endpoint")));
  return Response::json(std::move(found));
}

Result<Response> set_bootstrap(const Desk& services, const Call& call) {
  TRY_ASSIGN(ClientBook* const book, book_of(services));
  TRY(needs_all_sites(call));
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const Json document = body.any("document");
  TRY(body.done());
  TRY_ASSIGN(Json saved, book->set_bootstrap(call.principal.organisation,
                                             call.parameter("endpoint"), document));
  return Response::json(std::move(saved));
}

Result<Response> remove_bootstrap(const Desk& services, const Call& call) {
  TRY_ASSIGN(ClientBook* const book, book_of(services));
  TRY(needs_all_sites(call));
  TRY(book->remove_bootstrap(call.principal.organisation, call.parameter("endpoint")));
  return Response::no_content();
}

// -- objects

Result<Response> list_objects(const Desk& services, const Call&) {
  TRY_ASSIGN(ClientBook* const book, book_of(services));
  TRY_ASSIGN(Json found, book->objects());
  return list_response(std::move(found["items"]), "");
}

Result<Response> upload_objects(const Desk& services, const Call& call) {
  TRY_ASSIGN(ClientBook* const book, book_of(services));
  TRY(needs_all_sites(call));
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const std::string ddf = body.text("ddf", 4U << 20);
  TRY(body.done());
  TRY_ASSIGN(Json added, book->upload_objects(ddf));
  return Response::json({{"items", std::move(added["items"])}, {"next_cursor", nullptr}}, 201);
}

}  // namespace

void add_lwm2m_routes(Router& router, const Services& services, interop::lwm2m::ClientBook* book) {
  const Desk desk{services, book};
  const auto bind = [&](Result<Response> (*handler)(const Desk&, const Call&)) -> Handler {
    return [desk, handler](const Call& call) { return handler(desk, call); };
  };
  const RouteOptions slow{.lane = Lane::kSlow};
  const std::string client = "/lwm2m/clients/{endpoint}";
  add_route(router, Method::kGet, "/lwm2m/clients", Permission::kReadDevices, bind(list_clients));
  add_route(router, Method::kGet, client, Permission::kReadDevices, bind(get_client));
  add_route(router, Method::kPost, client + "/operations", Permission::kSendCommands, bind(operate),
            slow);
  add_route(router, Method::kGet, client + "/operations/{id}", Permission::kReadDevices,
            bind(get_operation));
  add_route(router, Method::kGet, client + "/proposal", Permission::kReadDevices,
            bind(get_proposal));
  add_route(router, Method::kPost, client + "/firmware", Permission::kSendCommands,
            bind(start_firmware), {.lane = Lane::kSlow, .body_bytes_max = 48U << 20});
  add_route(router, Method::kGet, client + "/firmware", Permission::kReadDevices,
            bind(get_firmware));
  add_route(router, Method::kGet, "/lwm2m/credentials", Permission::kReadDevices,
            bind(list_credentials));
  add_route(router, Method::kPost, "/lwm2m/credentials", Permission::kWriteDevices,
            bind(add_credential));
  add_route(router, Method::kDelete, "/lwm2m/credentials/{identity}", Permission::kWriteDevices,
            bind(remove_credential));
  const std::string bootstrap = "/lwm2m/bootstrap/{endpoint}";
  add_route(router, Method::kGet, bootstrap, Permission::kReadDevices, bind(get_bootstrap));
  add_route(router, Method::kPut, bootstrap, Permission::kWriteDevices, bind(set_bootstrap));
  add_route(router, Method::kDelete, bootstrap, Permission::kWriteDevices, bind(remove_bootstrap));
  add_route(router, Method::kGet, "/lwm2m/objects", Permission::kReadDevices, bind(list_objects));
  add_route(router, Method::kPost, "/lwm2m/objects", Permission::kWriteDevices,
            bind(upload_objects), {.body_bytes_max = 8U << 20});
}

}  // namespace penstock::api
