// What people and programs ask: from any thread, answered on the server's.

#include <algorithm>

#include <fmt/format.h>
#include <sodium.h>

#include "interop/lwm2m/dtdl.h"
#include "interop/lwm2m/server_impl.h"

namespace penstock::interop::lwm2m {

namespace {

tl::unexpected<Error> no_client(std::string_view endpoint) {
  return fail(ErrorCode::kNotFound, "no device of that endpoint name is registered by LwM2M",
              std::string(endpoint));
}

std::string_view word(Observation::State state) {
  switch (state) {
    case Observation::State::kWanted:
      return "waiting";
    case Observation::State::kAsked:
      return "asked";
    case Observation::State::kActive:
      return "active";
    case Observation::State::kRefused:
      break;
  }
  return "refused";
}

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

Json observations_json(const Client& client) {
  Json out = Json::array();
  for (const Observation& one : client.observations) {
    Json paths = Json::array();
    for (const Path& path : one.paths) paths.push_back(path.text());
    Json attributes = Json::array();
    for (const auto& query : one.attributes.queries()) attributes.push_back(query);
    out.push_back({{"paths", std::move(paths)},
                   {"state", word(one.state)},
                   {"by_binding", one.automatic},
                   {"attributes", std::move(attributes)},
                   {"notifications", one.notifications},
                   {"out_of_order", one.stale},
                   {"detail", text_or_null(one.refusal)}});
  }
  return out;
}

}  // namespace

Json Server::Impl::client_json(const Client& client, bool whole) {
  const bool is_awake = awake(client);
  const auto left = std::max<int64_t>(0, (client.expires_us - now_us) / 1'000'000);
  Json out{{"endpoint", client.endpoint},
           {"device", client.device},
           {"known", client.known},
           {"version", client.version},
           {"transport", name(client.transport)},
           {"address", client.address},
           {"identity", text_or_null(client.identity)},
           {"binding", client.binding},
           {"queue", client.queue},
           {"awake", is_awake},
           {"lifetime_s", client.lifetime_s},
           {"expires_in_s", left},
           {"registered_at", to_rfc3339(client.registered_at)},
           {"updated_at", to_rfc3339(client.updated_at)},
           {"last_seen", client.seen_at.us == 0 ? Json() : Json(to_rfc3339(client.seen_at))},
           {"registrations", client.registrations},
           {"address_changes", client.address_changes},
           {"notifications", client.notifications},
           {"sends", client.sends},
           {"waiting", std::ranges::count_if(client.operations, [](const OperationPtr& one) {
              return one->status == Operation::Status::kWaiting;
            })}};
  if (!whole) return out;
  Json instances = Json::array();
  for (const Path& path : client.objects.instances) {
    const auto version = client.objects.versions.find(path.object());
    const auto* object = table->object(path.object());
    instances.push_back(
        {{"path", path.text()},
         {"name", object != nullptr ? Json(object->name) : Json()},
         {"version", version == client.objects.versions.end() ? Json() : Json(version->second)}});
  }
  out["objects"] = std::move(instances);
  out["observations"] = observations_json(client);
  Json operations = Json::array();
  for (auto one = client.operations.rbegin(); one != client.operations.rend(); ++one)
    operations.push_back(operation_json(**one));
  out["operations"] = std::move(operations);
  const auto said = bootstrap_outcome.find(client.endpoint);
  out["bootstrap"] = said == bootstrap_outcome.end() ? Json() : Json(said->second);
  out["firmware"] = client.firmware ? firmware_json(*client.firmware) : Json();
  return out;
}

Result<Json> Server::clients(OrganisationId organisation, std::string_view after, size_t limit) {
  return impl_->ask(
      [impl = impl_.get(), organisation, from = std::string(after), limit]() -> Result<Json> {
        Json items = Json::array();
        std::string next;
        for (auto at = impl->by_endpoint.upper_bound({organisation, from});
             at != impl->by_endpoint.end() && at->first.first == organisation; ++at) {
          if (items.size() == limit) {
            next = items.back().value("endpoint", "");
            break;
          }
          items.push_back(impl->client_json(*at->second, false));
        }
        return Json{{"items", std::move(items)}, {"next", text_or_null(next)}};
      });
}

Result<Json> Server::client(OrganisationId organisation, std::string_view endpoint) {
  return impl_->ask(
      [impl = impl_.get(), organisation, endpoint = std::string(endpoint)]() -> Result<Json> {
        const Client* client = impl->find(organisation, endpoint);
        if (client == nullptr) return no_client(endpoint);
        return impl->client_json(*client, true);
      });
}

Result<Json> Server::operate(OrganisationId organisation, std::string_view endpoint,
                             OperationRequest request, Duration wait) {
  if (request.paths.empty() || request.paths.size() > impl_->options.observations_max)
    return fail(ErrorCode::kInvalidArgument, "an operation names 1 to 64 paths");
  const auto waiting = std::make_shared<std::promise<Json>>();
  auto answered = waiting->get_future();
  auto begun = impl_->ask([impl = impl_.get(), organisation, endpoint = std::string(endpoint),
                           request = std::move(request), waiting]() mutable -> Result<Json> {
    Client* client = impl->find(organisation, endpoint);
    if (client == nullptr) return no_client(endpoint);
    const auto queued = std::ranges::count_if(client->operations, [](const OperationPtr& one) {
      return one->status == Operation::Status::kWaiting;
    });
    if (static_cast<size_t>(queued) >= impl->options.operations_waiting_max)
      return fail(ErrorCode::kResourceExhausted, "too many operations wait for the device to wake",
                  endpoint);
    const OperationPtr operation = impl->begin_operation(*client, std::move(request));
    if (operation->status >= Operation::Status::kDone)
      waiting->set_value(impl->operation_json(*operation));
    else
      operation->waiting = waiting;
    return impl->operation_json(*operation);
  });
  if (!begun || wait.us == 0) return begun;
  if (begun->value("status", "") == "waiting") return begun;  // it sleeps: nobody knows how long
  if (answered.wait_for(std::chrono::microseconds(wait.us)) != std::future_status::ready)
    return begun;
  return answered.get();
}

Result<Json> Server::operation(OrganisationId organisation, std::string_view endpoint,
                               std::string_view id) {
  return impl_->ask([impl = impl_.get(), organisation, endpoint = std::string(endpoint),
                     id = std::string(id)]() -> Result<Json> {
    const Client* client = impl->find(organisation, endpoint);
    if (client == nullptr) return no_client(endpoint);
    for (const auto& operation : client->operations)
      if (operation->id == id) return impl->operation_json(*operation);
    return fail(ErrorCode::kNotFound, "no such operation is remembered", id);
  });
}

// -- credentials

namespace {

Json credential_json(const Credential& credential) {
  return {{"identity", credential.identity},
          {"endpoint", credential.endpoint},
          {"bootstrap", credential.bootstrap},
          {"created_at", to_rfc3339(credential.created_at)}};
}

std::string hex_of(std::string_view bytes) {
  std::string out(bytes.size() * 2 + 1, '\0');
  sodium_bin2hex(out.data(), out.size(), reinterpret_cast<const unsigned char*>(bytes.data()),
                 bytes.size());
  out.pop_back();
  return out;
}

}  // namespace

Result<Json> Server::credentials(OrganisationId organisation, std::string_view endpoint) {
  Json items = Json::array();
  for (const auto& one : impl_->store.credentials(organisation, endpoint))
    items.push_back(credential_json(one));
  return Json{{"items", std::move(items)}, {"next", nullptr}};
}

Result<Json> Server::add_credential(OrganisationId organisation, const CredentialDraft& draft) {
  Credential made;
  made.organisation = organisation;
  made.endpoint = draft.endpoint;
  made.identity = draft.identity.empty() ? draft.endpoint : draft.identity;
  made.bootstrap = draft.bootstrap;
  if (made.endpoint.empty() || made.endpoint.size() > 128 || made.identity.size() > 128)
    return fail(ErrorCode::kInvalidArgument, "endpoint and identity have 1 to 128 characters");
  if (draft.key_hex.empty()) {
    made.key.resize(16);
    impl_->random.fill(std::as_writable_bytes(std::span(made.key)));
  } else {
    made.key.resize(draft.key_hex.size() / 2);
    size_t size = 0;
    if (sodium_hex2bin(reinterpret_cast<unsigned char*>(made.key.data()), made.key.size(),
                       draft.key_hex.data(), draft.key_hex.size(), nullptr, &size, nullptr) != 0 ||
        size < 8 || size > 64 || size * 2 != draft.key_hex.size())
      return fail(ErrorCode::kInvalidArgument, "a key is 8 to 64 bytes in hexadecimal");
  }
  TRY(impl_->store.save_credential(made));
  impl_->post([impl = impl_.get(), identity = made.identity] {
    impl->messenger->close_identity(identity);  // sessions of the old key
  });
  Json out = credential_json(made);
  out["created_at"] = to_rfc3339(impl_->clock.now());
  out["key_hex"] = hex_of(made.key);
  return out;
}

Status Server::remove_credential(OrganisationId organisation, std::string_view identity) {
  TRY(impl_->store.remove_credential(organisation, identity));
  impl_->post([impl = impl_.get(), identity = std::string(identity)] {
    impl->messenger->close_identity(identity);
  });
  return {};
}

// -- objects

Result<Json> Server::objects() {
  Json items = Json::array();
  for (const auto& [id, object] : impl_->objects.table()->all())
    items.push_back(object_json(object));
  return Json{{"items", std::move(items)}, {"next", nullptr}};
}

Result<Json> Server::upload_objects(std::string_view ddf) {
  TRY_ASSIGN(const auto added, impl_->objects.upload(ddf));
  impl_->post([impl = impl_.get()] { impl->table = impl->objects.table(); });
  Json items = Json::array();
  for (const auto& object : added) items.push_back(object_json(object));
  return Json{{"items", std::move(items)}, {"next", nullptr}};
}

Result<Json> Server::propose(OrganisationId organisation, std::string_view endpoint) {
  return impl_->ask(
      [impl = impl_.get(), organisation, endpoint = std::string(endpoint)]() -> Result<Json> {
        const Client* client = impl->find(organisation, endpoint);
        if (client == nullptr) return no_client(endpoint);
        return propose_device(client->device, client->objects.instances, *impl->table);
      });
}

// -- CommandSender

namespace {

Result<stream::CommandReceipt> receipt_of(const Result<Json>& operation) {
  if (!operation) return fail(operation.error());
  const std::string status = operation->value("status", "");
  if (status == "failed")
    return fail(ErrorCode::kUnavailable,
                "the device refused it: " + operation->value("detail", std::string()));
  return stream::CommandReceipt{operation->value("id", ""), status == "waiting"
                                                                ? stream::CommandStatus::kQueued
                                                                : stream::CommandStatus::kSent};
}

}  // namespace

Result<stream::CommandReceipt> Server::send_command(std::string_view device,
                                                    std::string_view command,
                                                    std::string_view payload,
                                                    std::string_view who) {
  const auto record = impl_->twins.device(device);
  if (!record) return fail(ErrorCode::kNotFound, "no such device is known", std::string(device));
  const auto where =
      impl_->ask([impl = impl_.get(), device = std::string(device),
                  command = std::string(command)]() -> Result<std::pair<std::string, Path>> {
        const Client* client = impl->find_device(device);
        if (client == nullptr) return no_client(device);
        TRY_ASSIGN(const Path path, command_path(command, client->objects.instances, *impl->table));
        return std::pair(client->endpoint, path);
      });
  if (!where) return fail(where.error());
  OperationRequest request;
  request.kind = OperationKind::kExecute;
  request.paths = {where->second};
  request.who = who;
  if (!payload.empty()) {
    TRY_ASSIGN(const Json json, parse_json(payload));
    if (json.is_string())
      request.arguments = json.get<std::string>();
    else if (!json.is_null())
      request.arguments = json.dump();
  }
  return receipt_of(
      operate(record->organisation, where->first, std::move(request), Duration::seconds(5)));
}

Result<stream::CommandReceipt> Server::write_property(std::string_view device,
                                                      std::string_view element,
                                                      std::string_view value,
                                                      std::string_view who) {
  const auto record = impl_->twins.device(device);
  if (!record || !record->config || !record->config->source)
    return fail(ErrorCode::kInvalidArgument, "the device has no binding that says where to write",
                std::string(device));
  TRY_ASSIGN(const Json json, parse_json(value));
  TRY_ASSIGN(OperationRequest request, property_write(*record->config, element, json));
  request.who = who;
  const auto endpoint =
      impl_->ask([impl = impl_.get(), device = std::string(device)]() -> Result<std::string> {
        const Client* client = impl->find_device(device);
        if (client == nullptr) return no_client(device);
        return client->endpoint;
      });
  if (!endpoint) return fail(endpoint.error());
  return receipt_of(
      operate(record->organisation, *endpoint, std::move(request), Duration::seconds(5)));
}

}  // namespace penstock::interop::lwm2m
