// The bootstrap interface (Core 1.1.1, 6.1): what a factory-fresh device is told.

#include <algorithm>

#include <fmt/format.h>
#include <sodium.h>

#include "base/log.h"
#include "interop/lwm2m/server_impl.h"

namespace penstock::interop::lwm2m {
namespace {

// The document's members, so that a typing error is found when it is saved.
constexpr std::string_view kMembers[] = {"server_uri", "security", "short_server_id", "lifetime_s",
                                         "binding",    "identity", "erase",           "values"};

int64_t security_mode(const std::string& security) {
  if (security == "psk") return 0;
  if (security == "x509") return 2;
  return security == "none" ? 3 : -1;  // Core 1.1.1, appendix E.1
}

Status check_document(const Json& document) {
  const auto wrong = [](std::string why, std::string about) {
    return fail(ErrorCode::kInvalidArgument, std::move(why), std::move(about));
  };
  if (!document.is_object()) return wrong("the document is an object", "");
  for (const auto& [key, value] : document.items())
    if (std::ranges::find(kMembers, key) == std::end(kMembers)) return wrong("no such member", key);
  const Json uri = document.value("server_uri", Json());
  if (!uri.is_string() || (!uri.get<std::string>().starts_with("coap://") &&
                           !uri.get<std::string>().starts_with("coaps://") &&
                           !uri.get<std::string>().starts_with("coap+tcp://") &&
                           !uri.get<std::string>().starts_with("coaps+tcp://")))
    return wrong("server_uri is as in coaps://penstock.example:5684", "server_uri");
  const Json security = document.value("security", Json("psk"));
  if (!security.is_string() || security_mode(security.get<std::string>()) < 0)
    return wrong("security is psk, x509 or none", "security");
  for (const char* member : {"short_server_id", "lifetime_s"}) {
    const Json number = document.value(member, Json(1));
    if (!number.is_number_integer() || number < 1) return wrong("a positive number", member);
  }
  if (document.value("short_server_id", 1) > 65'534) return wrong("1 to 65534", "short_server_id");
  for (const char* member : {"binding", "identity"})
    if (!document.value(member, Json("")).is_string()) return wrong("a text", member);
  const Json erase = document.value("erase", Json::array());
  if (!erase.is_array()) return wrong("a list of paths", "erase");
  for (const Json& path : erase)
    if (!path.is_string() || !Path::parse(path.get<std::string>()))
      return wrong("a list of paths", "erase");
  const Json values = document.value("values", Json::object());
  if (!values.is_object()) return wrong("{\"/3/0/15\": \"UTC\"}", "values");
  for (const auto& [key, value] : values.items())
    if (const auto path = Path::parse(key); !path || path->depth < 3)
      return wrong("values are named by the path of a resource", key);
  return {};
}

}  // namespace

Result<Json> Server::bootstrap(OrganisationId organisation, std::string_view endpoint) {
  const auto found = impl_->store.bootstrap(organisation, endpoint);
  if (!found)
    return fail(ErrorCode::kNotFound, "the endpoint has no bootstrap document",
                std::string(endpoint));
  const auto outcome =
      impl_->ask([impl = impl_.get(), endpoint = std::string(endpoint)]() -> Result<std::string> {
        const auto said = impl->bootstrap_outcome.find(endpoint);
        return said == impl->bootstrap_outcome.end() ? std::string() : said->second;
      });
  return Json{{"endpoint", std::string(endpoint)},
              {"document", *found},
              {"outcome", outcome && !outcome->empty() ? Json(*outcome) : Json()}};
}

Result<Json> Server::set_bootstrap(OrganisationId organisation, std::string_view endpoint,
                                   const Json& document) {
  TRY(check_document(document));
  if (endpoint.empty() || endpoint.size() > 128)
    return fail(ErrorCode::kInvalidArgument, "an endpoint's name has 1 to 128 characters");
  TRY(impl_->store.save_bootstrap(organisation, endpoint, document));
  return bootstrap(organisation, endpoint);
}

Status Server::remove_bootstrap(OrganisationId organisation, std::string_view endpoint) {
  return impl_->store.remove_bootstrap(organisation, endpoint);
}

// The key that the device will register with is made anew at each bootstrap and kept sealed.
Result<Server::Impl::BootstrapPlan> Server::Impl::bootstrap_plan(OrganisationId organisation,
                                                                 const std::string& endpoint,
                                                                 bool keep_key) {
  const auto document = store.bootstrap(organisation, endpoint);
  if (!document)
    return fail(ErrorCode::kNotFound, "the endpoint has no bootstrap document", endpoint);
  BootstrapPlan plan;
  for (const Json& path : document->value("erase", Json::array({"/0", "/1"})))
    plan.erase.push_back(*Path::parse(path.get<std::string>()));
  const std::string security = document->value("security", "psk");
  const auto server_id = document->value("short_server_id", int64_t{1});
  const auto set = [&](Path path, Value value) {
    plan.entries.push_back({path, std::move(value), 0});
  };
  // Instance 0 is the bootstrap server's own, as most clients have it; ours is 1.
  set(Path{0, 1, 0}, Value::of_text(document->value("server_uri", "")));
  set(Path{0, 1, 1}, Value::of_boolean(false));
  set(Path{0, 1, 2}, Value::of_integer(security_mode(security)));
  if (security == "psk") {
    Credential credential;
    credential.organisation = organisation;
    credential.endpoint = endpoint;
    credential.identity = document->value("identity", "");
    if (credential.identity.empty()) credential.identity = endpoint;
    const auto known = store.credential(credential.identity);
    if (known && known->bootstrap) credential.identity += "-server";
    const auto present = store.credential(credential.identity);
    if (present && keep_key) {
      credential = *present;
    } else {
      credential.key.resize(16);
      random.fill(std::as_writable_bytes(std::span(credential.key)));
      TRY(store.save_credential(credential));
    }
    set(Path{0, 1, 3}, Value::of_text(credential.identity, DataType::kOpaque));
    set(Path{0, 1, 4}, Value::of_text("", DataType::kOpaque));
    set(Path{0, 1, 5}, Value::of_text(credential.key, DataType::kOpaque));
  }
  set(Path{0, 1, 10}, Value::of_integer(server_id));
  set(Path{1, 0, 0}, Value::of_integer(server_id));
  set(Path{1, 0, 1}, Value::of_integer(document->value("lifetime_s", int64_t{86'400})));
  set(Path{1, 0, 6}, Value::of_boolean(true));
  set(Path{1, 0, 7}, Value::of_text(document->value("binding", "U")));
  const Json values_wanted = document->value("values", Json::object());
  for (const auto& [key, value] : values_wanted.items()) {
    const Path path = *Path::parse(key);
    TRY_ASSIGN(auto read, value_of(value, table->type_of(path.object(), path.resource())));
    std::erase_if(plan.entries, [&](const Entry& entry) { return entry.path == path; });
    set(path, std::move(read));
  }
  std::ranges::stable_sort(plan.entries, {}, &Entry::path);
  return plan;
}

void Server::Impl::on_bootstrap(const IncomingRequest& request) {
  const Exchange exchange = request.exchange;
  const auto admitted = admit(request, true);
  if (!admitted) {
    log_info("lwm2m", "a bootstrap was refused: {}", admitted.error().text());
    return answer(exchange,
                  admitted.error().code == ErrorCode::kPermissionDenied ? coap::kForbidden
                                                                        : coap::kBadRequest,
                  admitted.error().message);
  }
  auto plan = bootstrap_plan(admitted->organisation, admitted->endpoint, false);
  if (!plan) return answer(exchange, coap::kBadRequest, plan.error().message);
  bootstrap_outcome[admitted->endpoint] = "begun at " + to_rfc3339(clock.now());
  answer(exchange, coap::kChanged);
  bootstrap_step(exchange.peer, std::make_shared<BootstrapPlan>(*std::move(plan)),
                 admitted->endpoint);
}

// One delete, write or finish; the next when it is answered.
void Server::Impl::bootstrap_step(PeerHandle peer, std::shared_ptr<BootstrapPlan> plan,
                                  std::string endpoint) {
  coap::Outgoing out;
  std::string what;
  if (!plan->erase.empty()) {
    out.code = coap::kDelete;
    const Path path = plan->erase.front();
    if (path.depth > 0) out.add_path(path.text());
    what = "delete " + path.text();
    plan->erase.erase(plan->erase.begin());
  } else if (!plan->entries.empty()) {
    const Path instance = plan->entries.front().path.first(2);
    const auto end = std::ranges::find_if(
        plan->entries, [&](const Entry& entry) { return entry.path.first(2) != instance; });
    const std::vector<Entry> written(plan->entries.begin(), end);
    plan->entries.erase(plan->entries.begin(), end);
    out.code = coap::kPut;
    out.add_path(instance.text());
    out.add_number(coap::kContentFormat, static_cast<uint32_t>(Format::kTlv));
    if (auto payload = encode_content(Format::kTlv, written, instance))
      out.payload = *std::move(payload);
    what = "write " + instance.text();
  } else {
    out.code = coap::kPost;
    out.add_path("/bs");
    what = "finish";
  }
  messenger->request(
      peer, std::move(out), [this, peer, plan, endpoint, what](Result<Response> outcome) {
        const bool good = outcome && coap::is_success(outcome->code);
        // What is not there need not be deleted.
        const bool skip = outcome && what.starts_with("delete");
        if (!good && !skip) {
          bootstrap_outcome[endpoint] =
              fmt::format("failed at \"{}\": {}", what,
                          outcome ? coap::code_words(outcome->code) : outcome.error().text());
          log_warning("lwm2m", "bootstrap of {} {}", endpoint, bootstrap_outcome[endpoint]);
          return;
        }
        if (what != "finish") return bootstrap_step(peer, plan, endpoint);
        bootstrap_outcome[endpoint] = "finished at " + to_rfc3339(clock.now());
      });
}

// Core 1.1.1, 6.1.7.5: all in one answer. It may be asked for block by block: the key stays.
void Server::Impl::on_bootstrap_pack(const IncomingRequest& request) {
  const Exchange exchange = request.exchange;
  const auto admitted = admit(request, true);
  if (!admitted) return answer(exchange, coap::kForbidden, admitted.error().message);
  const bool first = !exchange.block2 || exchange.block2->number == 0;
  auto plan = bootstrap_plan(admitted->organisation, admitted->endpoint, !first);
  if (!plan) return answer(exchange, coap::kBadRequest, plan.error().message);
  const auto accept = request.message.number(coap::kAccept);
  const Format format = accept ? static_cast<Format>(*accept) : Format::kSenmlCbor;
  if (format != Format::kSenmlCbor && format != Format::kSenmlJson)
    return answer(exchange, coap::kNotAcceptable);
  const auto payload = encode_content(format, plan->entries, Path());
  if (!payload) return answer(exchange, coap::kInternalError);
  bootstrap_outcome[admitted->endpoint] = "packed at " + to_rfc3339(clock.now());
  coap::Outgoing out;
  out.code = coap::kContent;
  out.add_number(coap::kContentFormat, static_cast<uint32_t>(format));
  messenger->respond(exchange, std::move(out), as_text(*payload));
}

}  // namespace penstock::interop::lwm2m
