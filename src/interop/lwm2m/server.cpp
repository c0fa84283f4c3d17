#include "interop/lwm2m/server.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <pthread.h>

#include "base/log.h"
#include "interop/lwm2m/server_impl.h"
#include "twin/names.h"

namespace penstock::interop::lwm2m {

std::string device_name(std::string_view endpoint) {
  return twin::check_device_name(endpoint) ? std::string(endpoint) : stream::wire_name(endpoint);
}

bool Client::has_object(uint16_t object) const {
  return std::ranges::any_of(objects.instances,
                             [&](const Path& path) { return path.object() == object; });
}

bool Client::has_instance(const Path& path) const {
  return std::ranges::any_of(
      objects.instances, [&](const Path& one) { return path.within(one) || one == path.first(1); });
}

ServerMetrics::ServerMetrics(Metrics& m)
    : registrations(m.counter("penstock_lwm2m_registrations_total", "LwM2M registrations taken")),
      updates(m.counter("penstock_lwm2m_updates_total", "LwM2M registration updates")),
      deregistrations(m.counter("penstock_lwm2m_deregistrations_total", "LwM2M clients that left")),
      expirations(m.counter("penstock_lwm2m_expirations_total", "Registrations that ran out")),
      refused(m.counter("penstock_lwm2m_refused_total", "LwM2M requests refused")),
      address_changes(m.counter("penstock_lwm2m_address_changes_total",
                                "Clients that came from another address")),
      notifications(m.counter("penstock_lwm2m_notifications_total", "LwM2M notifications")),
      stale(m.counter("penstock_lwm2m_notifications_stale_total",
                      "Notifications older than one that came before (RFC 7641, 3.4)")),
      unknown(m.counter("penstock_lwm2m_notifications_unknown_total",
                        "Notifications that nobody asked for")),
      undecodable(m.counter("penstock_lwm2m_undecodable_total", "Payloads that cannot be read")),
      overloaded(m.counter("penstock_lwm2m_overloaded_total",
                           "Reports left to the device to repeat: too many wait")),
      sends(m.counter("penstock_lwm2m_sends_total", "Send operations")),
      clients(m.gauge("penstock_lwm2m_clients", "LwM2M clients that are registered")) {}

// -- start and stop

Server::Impl::Impl(ServerOptions o, ServerHooks h, twin::TwinRegistry& t, Objects& ob, Store& st,
                   Clock& c, Random& r, Metrics& m)
    : options(std::move(o)),
      hooks(std::move(h)),
      twins(t),
      objects(ob),
      store(st),
      clock(c),
      random(r),
      metrics(m),
      messenger(std::make_unique<Messenger>(options.messenger, *this, c, r, m)) {
  done->messenger = messenger.get();
}

Server::Impl::~Impl() {
  {
    const std::lock_guard guard(done->mutex);
    done->messenger = nullptr;
  }
  stopping = true;
  if (thread.joinable()) {
    messenger->wake();
    thread.join();
  }
  saves_wanted.notify_all();
  if (storing.joinable()) storing.join();
}

Status Server::Impl::listen() {
  SecureOptions secure;
  secure.certificate_file = options.certificate_file;
  secure.key_file = options.key_file;
  secure.client_ca_file = options.client_ca_file;
  secure.ticket_key = store.ticket_key();
  secure.key_of = [this](std::string_view identity) -> std::optional<std::string> {
    auto found = store.credential(identity);
    return found ? std::optional(std::move(found->key)) : std::nullopt;
  };
  if (options.coaps) {
    TRY_ASSIGN(dtls, SecureContext::create(secure));
  }
  secure.stream = true;
  if (options.coaps_tcp) {
    TRY_ASSIGN(tls, SecureContext::create(secure));
  }
  const auto one = [&](Transport transport, const std::optional<NetAddress>& wanted,
                       SecureContext* context, std::optional<NetAddress>& bound) -> Status {
    if (!wanted) return {};
    TRY_ASSIGN(bound, messenger->listen(transport, *wanted, context));
    return {};
  };
  TRY(one(Transport::kUdp, options.coap, nullptr, addresses.coap));
  TRY(one(Transport::kDtls, options.coaps, dtls.get(), addresses.coaps));
  TRY(one(Transport::kTcp, options.coap_tcp, nullptr, addresses.coap_tcp));
  return one(Transport::kTls, options.coaps_tcp, tls.get(), addresses.coaps_tcp);
}

Status Server::Impl::open() {
  table = objects.table();
  now_us = clock.monotonic_us();
  TRY(restore());
  TRY(listen());
  twins.subscribe([this, alive = std::weak_ptr(done)](const twin::DeviceChange& change) {
    if (alive.expired() || stopping) return;
    post([this, device = change.device] { on_device_change(device); });
  });
  storing = std::thread([this] { run_store(); });
  thread = std::thread([this] { run(); });
  return {};
}

void Server::Impl::run() {
  pthread_setname_np(pthread_self(), "lwm2m");
  while (!stopping) {
    messenger->poll(200);
    now_us = clock.monotonic_us();
    handle_done();
    std::vector<std::function<void()>> mail;
    {
      const std::lock_guard guard(tasks_mutex);
      mail.swap(tasks);
    }
    for (auto& task : mail) task();
    if (now_us >= next_second_us) tick();
    messenger->poll(0);
  }
}

void Server::Impl::post(std::function<void()> task) {
  bool first = false;
  {
    const std::lock_guard guard(tasks_mutex);
    first = tasks.empty();
    tasks.push_back(std::move(task));
  }
  if (first) messenger->wake();
}

// All that waits goes in one transaction: a storm of registrations costs few syncs.
void Server::Impl::run_store() {
  pthread_setname_np(pthread_self(), "lwm2m-store");
  for (;;) {
    std::vector<SaveTask> batch;
    {
      std::unique_lock guard(saves_mutex);
      saves_wanted.wait(guard, [&] { return stopping || !saves.empty(); });
      if (saves.empty()) return;
      batch.swap(saves);
    }
    std::vector<StoredRegistration> changed;
    std::vector<std::string> removed;
    for (const SaveTask& save : batch) {
      if (save.registration.document.empty())
        removed.push_back(save.registration.location);
      else
        changed.push_back(save.registration);
    }
    const Status saved = store.save(changed, removed);
    if (!saved) log_warning("lwm2m", "registrations were not stored: {}", saved.error().text());
    post([batch = std::move(batch), ok = saved.has_value()] {
      for (const SaveTask& save : batch)
        if (save.then) save.then(ok);
    });
  }
}

void Server::Impl::handle_done() {
  std::vector<DoneQueue::Done> batch;
  {
    const std::lock_guard guard(done->mutex);
    batch.swap(done->done);
  }
  reports_waiting -= std::min(reports_waiting, batch.size());
  for (const auto& one : batch) {
    if (one.respond)
      answer(one.exchange, one.durable ? coap::kChanged : coap::kUnavailable);
    else if (one.durable)
      messenger->acknowledge(one.exchange);
    // What could not be made durable is not acknowledged: the device sends it again.
  }
}

void Server::Impl::tick() {
  next_second_us = now_us + 1'000'000;
  table = objects.table();
  while (!expiries.empty() && expiries.begin()->first <= now_us) {
    const std::string location = expiries.begin()->second;
    expiries.erase(expiries.begin());
    const auto found = by_location.find(location);
    if (found == by_location.end()) continue;
    Client& client = *found->second;
    if (client.expires_us > now_us) {
      expiries.emplace(client.expires_us, location);
      continue;
    }
    metrics.expirations.add();
    forget(client, "its registration ran out", true);
  }
  metrics.clients.set(static_cast<double>(by_location.size()));
  for (auto& [location, client] : by_location)
    if (client->firmware && client->firmware->next_us <= now_us) drive_firmware(*client);
}

void Server::Impl::answer(const Exchange& exchange, uint8_t code, std::string_view words) {
  coap::Outgoing out;
  out.code = code;
  if (!coap::is_success(code)) metrics.refused.add();
  messenger->respond(exchange, std::move(out), words);
}

// -- who may register

Result<Server::Impl::Admitted> Server::Impl::admit(const IncomingRequest& request, bool bootstrap) {
  const auto denied = [](std::string why) {
    return fail(ErrorCode::kPermissionDenied, std::move(why));
  };
  const PeerInfo* peer = messenger->peer(request.exchange.peer);
  if (peer == nullptr) return fail(ErrorCode::kUnavailable, "the device is gone");
  const auto query = request.message.query("ep");
  Admitted out{twins.default_organisation(), std::string(query.value_or("")), {}};
  if (is_secure(peer->transport)) {
    const SecurePeer& secure = peer->secure;
    if (!secure.identity.empty()) {
      const auto credential = store.credential(secure.identity);
      // A session that was resumed by ticket outlives the key that it began with.
      if (!credential || credential->created_at.us / 1'000'000 > secure.session_made_s + 1)
        return denied("the credentials of the session no longer hold: shake hands anew");
      if (credential->bootstrap != bootstrap)
        return denied(bootstrap ? "the credential is not one for bootstrap"
                                : "the credential is one for bootstrap only");
      out.organisation = credential->organisation;
      out.identity = secure.identity;
      if (out.endpoint.empty()) out.endpoint = credential->endpoint;
      if (out.endpoint != credential->endpoint)
        return denied("the endpoint's name is not that of the credential");
    } else {
      if (secure.names.empty()) return denied("the certificate has no name");
      if (out.endpoint.empty()) out.endpoint = secure.names.front();
      if (std::ranges::find(secure.names, out.endpoint) == secure.names.end())
        return denied("the endpoint's name is none of the certificate's");
      out.identity = "x509:" + out.endpoint;
    }
  } else if (store.has_credential(out.endpoint)) {
    return denied("the device has credentials: it must come by coaps");
  }
  if (out.endpoint.empty() || out.endpoint.size() > 128 ||
      std::ranges::any_of(out.endpoint, [](char c) { return static_cast<unsigned char>(c) < 32; }))
    return fail(ErrorCode::kInvalidArgument, "ep has 1 to 128 characters");
  if (const auto device = twins.device(device_name(out.endpoint))) {
    if (!device->enabled) return denied("the device is switched off");
    if (device->protocol != "lwm2m") return denied("the device speaks " + device->protocol);
    const bool bound = !out.identity.empty() && !out.identity.starts_with("x509:");
    if (bound && out.organisation != device->organisation)
      return denied("the device belongs to another organisation");
    out.organisation = device->organisation;
  }
  return out;
}

namespace {

uint8_t code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kPermissionDenied:
      return coap::kForbidden;
    case ErrorCode::kUnavailable:
    case ErrorCode::kResourceExhausted:
      return coap::kUnavailable;
    case ErrorCode::kNotFound:
      return coap::kNotFound;
    case ErrorCode::kUnsupported:
      return coap::kUnsupportedFormat;
    default:
      return coap::kBadRequest;
  }
}

}  // namespace

void Server::Impl::on_request(const IncomingRequest& request) {
  const uint8_t method = request.message.code;
  const std::string_view path = request.path;
  if (path == "/rd" && method == coap::kPost) return on_register(request);
  if (path.starts_with("/rd/") && (method == coap::kPost || method == coap::kPut))
    return on_update(request);
  if (path.starts_with("/rd/") && method == coap::kDelete) return on_deregister(request);
  if (path == "/dp" && method == coap::kPost) return on_send(request);
  if (path == "/bs" && method == coap::kPost && options.bootstrap) return on_bootstrap(request);
  if (path == "/bspack" && method == coap::kGet && options.bootstrap)
    return on_bootstrap_pack(request);
  if (path.starts_with("/fw/") && method == coap::kGet) return serve_firmware(request);
  if (path == "/.well-known/core" && method == coap::kGet) {
    coap::Outgoing out;
    out.code = coap::kContent;
    out.add_number(coap::kContentFormat, static_cast<uint32_t>(Format::kLink));
    return messenger->respond(request.exchange, std::move(out),
                              options.bootstrap ? "</rd>;rt=\"core.rd\",</dp>,</bs>,</bspack>"
                                                : "</rd>;rt=\"core.rd\",</dp>");
  }
  const bool known = path == "/rd" || path == "/dp" || path.starts_with("/rd/");
  answer(request.exchange, known ? coap::kMethodNotAllowed : coap::kNotFound);
}

// -- registration (Core 1.1.1, 6.2)

Status Server::Impl::read_registration(const IncomingRequest& request, Client& client,
                                       bool update) {
  const auto& message = request.message;
  if (const auto lifetime = message.query("lt")) {
    uint32_t seconds = 0;
    const auto [end, error] =
        std::from_chars(lifetime->data(), lifetime->data() + lifetime->size(), seconds);
    if (error != std::errc() || end != lifetime->data() + lifetime->size() || seconds == 0)
      return fail(ErrorCode::kInvalidArgument, "lt is a number of seconds");
    client.lifetime_s = seconds;
  }
  if (const auto version = message.query("lwm2m"); version && !update) {
    if (!version->starts_with("1.") || version->size() > 8)
      return fail(ErrorCode::kPermissionDenied, "this server speaks LwM2M 1.0, 1.1 and 1.2");
    client.version = *version;
  }
  if (const auto binding = message.query("b")) client.binding = binding->substr(0, 8);
  client.queue = message.query("Q").has_value() || client.binding.find('Q') != std::string::npos;
  if (update && request.body.empty()) return {};
  TRY_ASSIGN(client.objects, parse_registration(as_text(request.body)));
  client.links = as_text(request.body);
  return {};
}

void Server::Impl::on_register(const IncomingRequest& request) {
  const Exchange exchange = request.exchange;
  const auto refuse = [&](const Error& error) {
    log_info("lwm2m", "a registration was refused: {}", error.text());
    answer(exchange, code_of(error.code), error.message);
  };
  auto admitted = admit(request, false);
  if (!admitted) return refuse(admitted.error());
  const auto key = std::pair(admitted->organisation, admitted->endpoint);
  const auto before = by_endpoint.find(key);
  if (before == by_endpoint.end() && by_location.size() >= options.clients_max)
    return refuse({ErrorCode::kResourceExhausted, "the server has all clients it may have", {}});
  auto made = std::make_unique<Client>();
  Client& client = *made;
  client.organisation = admitted->organisation;
  client.endpoint = admitted->endpoint;
  client.device = device_name(client.endpoint);
  client.identity = admitted->identity;
  client.registered_at = client.updated_at = clock.now();
  if (const Status read = read_registration(request, client, false); !read)
    return refuse(read.error());
  client.location = random.hex(8);
  if (before != by_endpoint.end()) {
    // The same device again: what it was asked for goes on under the new registration.
    Client& old = *before->second;
    client.registrations = old.registrations;
    client.address_changes = old.address_changes;
    client.address = old.address;
    client.operations = std::move(old.operations);
    client.firmware = std::move(old.firmware);
    client.notifications = old.notifications;
    client.sends = old.sends;
    for (const Observation& observation : old.observations)
      if (!observation.automatic && observation.state != Observation::State::kRefused)
        client.observations.push_back(observation);
    for (auto& observation : client.observations) observation.state = Observation::State::kWanted;
    forget(old, "it registered anew", false);
  }
  ++client.registrations;
  client.expires_us = now_us + static_cast<int64_t>(client.lifetime_s) * 1'000'000;
  const std::string location = client.location;
  by_endpoint[key] = &client;
  by_device[client.device] = &client;
  if (!client.identity.empty()) by_identity[client.identity] = &client;
  for (const auto& observation : client.observations) by_token[observation.number] = &client;
  by_location.emplace(location, std::move(made));
  expiries.emplace(client.expires_us, location);
  contact(client, exchange.peer, false);
  save(client, [this, exchange, location](bool stored) {
    if (!stored) return answer(exchange, coap::kUnavailable);
    metrics.registrations.add();
    coap::Outgoing out;
    out.code = coap::kCreated;
    out.add_path("/rd/" + location, coap::kLocationPath);
    messenger->respond(exchange, std::move(out));
    const auto found = by_location.find(location);
    if (found == by_location.end()) return;
    found->second->stored = true;
    // May end the registration: a device that was switched off meanwhile.
    on_device_change(std::string(found->second->device));
    const auto still = by_location.find(location);
    if (still != by_location.end()) contact(*still->second, exchange.peer, true);
  });
}

Client* Server::Impl::located(const IncomingRequest& request) {
  const auto found = by_location.find(std::string(request.path.substr(4)));
  if (found == by_location.end()) return nullptr;
  Client& client = *found->second;
  const PeerInfo* peer = messenger->peer(request.exchange.peer);
  if (peer == nullptr) return nullptr;
  // The location is known to its device alone; a session must be the device's too.
  if (is_secure(peer->transport) || !client.identity.empty()) {
    const SecurePeer& secure = peer->secure;
    const bool same =
        secure.identity.empty()
            ? client.identity.starts_with("x509:") &&
                  std::ranges::find(secure.names, client.identity.substr(5)) != secure.names.end()
            : secure.identity == client.identity;
    if (!same) return nullptr;
  }
  return &client;
}

void Server::Impl::on_update(const IncomingRequest& request) {
  const Exchange exchange = request.exchange;
  Client* client = located(request);
  if (client == nullptr) return answer(exchange, coap::kNotFound);
  const std::string links = client->links, binding = client->binding;
  const uint32_t lifetime = client->lifetime_s;
  const std::string address = client->address;
  if (const Status read = read_registration(request, *client, true); !read)
    return answer(exchange, code_of(read.error().code), read.error().message);
  metrics.updates.add();
  client->updated_at = clock.now();
  client->expires_us = now_us + static_cast<int64_t>(client->lifetime_s) * 1'000'000;
  expiries.emplace(client->expires_us, client->location);
  const bool objects_changed = client->links != links;
  contact(*client, exchange.peer, false);
  const bool changed = objects_changed || client->binding != binding ||
                       client->lifetime_s != lifetime || client->address != address;
  const auto finish = [this, exchange, location = client->location, objects_changed](bool stored) {
    answer(exchange, stored ? coap::kChanged : coap::kUnavailable);
    const auto found = by_location.find(location);
    if (found == by_location.end()) return;
    if (objects_changed) plan_observations(*found->second);
    contact(*found->second, exchange.peer, true);
  };
  // A mere sign of life changes nothing that is kept: a restart gives a whole lifetime anew.
  if (changed)
    save(*client, finish);
  else
    finish(true);
}

void Server::Impl::on_deregister(const IncomingRequest& request) {
  const Exchange exchange = request.exchange;
  Client* client = located(request);
  if (client == nullptr) return answer(exchange, coap::kNotFound);
  metrics.deregistrations.add();
  forget(*client, "the device left", true);
  answer(exchange, coap::kDeleted);
}

// -- what is kept

void Server::Impl::save(Client& client, std::function<void(bool)> then) {
  Json observed = Json::array();
  for (const Observation& observation : client.observations) {
    if (observation.automatic) continue;
    Json paths = Json::array();
    for (const Path& path : observation.paths) paths.push_back(path.text());
    observed.push_back(std::move(paths));
  }
  const Json document{{"version", client.version},
                      {"binding", client.binding},
                      {"queue", client.queue},
                      {"lifetime_s", client.lifetime_s},
                      {"links", client.links},
                      {"identity", client.identity},
                      {"address", client.address},
                      {"transport", name(client.transport)},
                      {"registered_at", client.registered_at.us},
                      {"updated_at", client.updated_at.us},
                      {"registrations", client.registrations},
                      {"address_changes", client.address_changes},
                      {"observed", std::move(observed)}};
  {
    const std::lock_guard guard(saves_mutex);
    saves.push_back({{client.location, client.organisation, client.endpoint,
                      document.dump(-1, ' ', false, Json::error_handler_t::replace)},
                     std::move(then)});
  }
  saves_wanted.notify_one();
}

Status Server::Impl::restore() {
  TRY_ASSIGN(const auto stored, store.registrations());
  for (const StoredRegistration& one : stored) {
    const auto document = parse_json(one.document);
    if (!document || !document->is_object()) continue;
    auto made = std::make_unique<Client>();
    Client& client = *made;
    client.organisation = one.organisation;
    client.endpoint = one.endpoint;
    client.device = device_name(one.endpoint);
    client.location = one.location;
    client.version = document->value("version", "1.0");
    client.binding = document->value("binding", "U");
    client.queue = document->value("queue", false);
    client.lifetime_s = document->value("lifetime_s", 86'400U);
    client.links = document->value("links", "");
    client.identity = document->value("identity", "");
    client.address = document->value("address", "");
    client.registered_at.us = document->value("registered_at", int64_t{0});
    client.updated_at.us = document->value("updated_at", int64_t{0});
    client.registrations = document->value("registrations", 1U);
    client.address_changes = document->value("address_changes", 0U);
    client.restored = client.stored = true;
    if (auto objects_read = parse_registration(client.links))
      client.objects = *std::move(objects_read);
    client.expires_us = now_us + static_cast<int64_t>(client.lifetime_s) * 1'000'000;
    expiries.emplace(client.expires_us, client.location);
    by_endpoint[{client.organisation, client.endpoint}] = &client;
    by_device[client.device] = &client;
    if (client.identity.empty())
      by_address[client.address] = &client;
    else
      by_identity[client.identity] = &client;
    by_location.emplace(client.location, std::move(made));
    for (const Json& paths : document->value("observed", Json::array())) {
      std::vector<Path> read;
      for (const Json& path : paths)
        if (path.is_string())
          if (const auto parsed = Path::parse(path.get<std::string>())) read.push_back(*parsed);
      if (!read.empty()) make_observation(client, std::move(read), false);
    }
    plan_observations(client);
  }
  if (!stored.empty()) log_info("lwm2m", "{} registered clients restored", stored.size());
  return {};
}

void Server::Impl::forget(Client& client, std::string_view why, bool lost) {
  const std::string location = client.location;
  if (lost) {
    if (hooks.presence) hooks.presence(client.device, false, client.endpoint, why);
    if (hooks.lost) hooks.lost(client.organisation, client.device, clock.now());
    for (const auto& operation : client.operations) {
      if (operation->status != Operation::Status::kWaiting) continue;
      operation->status = Operation::Status::kFailed;
      operation->detail = fmt::format("the device is no longer registered: {}", why);
      finish_operation(*operation);
    }
    if (client.firmware && !client.firmware->token.empty()) packages.erase(client.firmware->token);
  }
  for (const Observation& observation : client.observations) {
    const auto at = by_token.find(observation.number);
    if (at != by_token.end() && at->second == &client) by_token.erase(at);
  }
  const auto drop = [&](auto& index, const auto& key) {
    const auto at = index.find(key);
    if (at != index.end() && at->second == &client) index.erase(at);
  };
  drop(by_endpoint, std::pair(client.organisation, client.endpoint));
  drop(by_peer, client.peer);
  drop(by_identity, client.identity);
  drop(by_address, client.address);
  drop(by_device, client.device);
  messenger->hold(client.peer, false);
  {
    const std::lock_guard guard(saves_mutex);
    saves.push_back({{location, {}, {}, {}}, nullptr});
  }
  saves_wanted.notify_one();
  by_location.erase(location);
}

// -- where clients are

Client* Server::Impl::find(OrganisationId organisation, std::string_view endpoint) {
  const auto found = by_endpoint.find(std::pair(organisation, std::string(endpoint)));
  return found == by_endpoint.end() ? nullptr : found->second;
}

Client* Server::Impl::find_device(std::string_view device) {
  const auto found = by_device.find(std::string(device));
  return found == by_device.end() ? nullptr : found->second;
}

bool Server::Impl::awake(const Client& client) const {
  return client.peer != 0 && (!client.queue || now_us < client.awake_until_us);
}

// By the session where there is one: a device that comes back by ticket is who it was.
Client* Server::Impl::client_of(PeerHandle handle) {
  if (const auto found = by_peer.find(handle); found != by_peer.end()) return found->second;
  const PeerInfo* peer = messenger->peer(handle);
  if (peer == nullptr) return nullptr;
  const auto look = [](const auto& index, const std::string& key) -> Client* {
    const auto found = index.find(key);
    return found == index.end() ? nullptr : found->second;
  };
  if (peer->transport == Transport::kUdp) {
    Client* client = look(by_address, peer->address);
    return client != nullptr && client->identity.empty() ? client : nullptr;
  }
  if (!is_secure(peer->transport)) return nullptr;
  if (!peer->secure.identity.empty()) return look(by_identity, peer->secure.identity);
  for (const auto& name : peer->secure.names)
    if (Client* client = look(by_identity, "x509:" + name)) return client;
  return nullptr;
}

void Server::Impl::contact(Client& client, PeerHandle handle, bool observe_too) {
  const PeerInfo* peer = messenger->peer(handle);
  if (peer == nullptr) return;
  if (client.peer != handle) {
    const auto old = by_peer.find(client.peer);
    if (old != by_peer.end() && old->second == &client) by_peer.erase(old);
    messenger->hold(client.peer, false);
    messenger->hold(handle, true);
    by_peer[handle] = &client;
    client.peer = handle;
    client.transport = peer->transport;
    client.reobserve = true;
    if (client.address != peer->address) {
      if (!client.address.empty()) {
        ++client.address_changes;
        metrics.address_changes.add();
      }
      const auto at = by_address.find(client.address);
      if (at != by_address.end() && at->second == &client) by_address.erase(at);
      client.address = peer->address;
    }
    if (peer->transport == Transport::kUdp) by_address[client.address] = &client;
    if (hooks.presence)
      hooks.presence(client.device, true, client.endpoint,
                     fmt::format("{} {}", name(client.transport), client.address));
  }
  client.seen_at = clock.now();
  client.awake_until_us = now_us + options.awake.us;
  if (!observe_too) return;
  if (client.reobserve) observe_all(client);
  perform_waiting(client);
  if (client.firmware) client.firmware->next_us = std::min(client.firmware->next_us, now_us);
}

void Server::Impl::on_peer_gone(PeerHandle handle, std::string_view why) {
  const auto found = by_peer.find(handle);
  if (found == by_peer.end()) return;
  Client& client = *found->second;
  by_peer.erase(found);
  client.peer = 0;
  client.reobserve = true;
  // A session may go and come back within the registration's lifetime; a stream that closes says
  // that the device is away.
  if (is_stream(client.transport) && hooks.presence)
    hooks.presence(client.device, false, client.endpoint, why);
}

void Server::Impl::on_device_change(const std::string& device) {
  Client* client = find_device(device);
  if (client == nullptr) return;
  const auto record = twins.device(device);
  if (record && (!record->enabled || record->protocol != "lwm2m" ||
                 record->organisation != client->organisation)) {
    const PeerHandle peer = client->peer;
    forget(*client, "the device was switched off or changed", true);
    messenger->close(peer, "the device was switched off or changed");
    return;
  }
  client->known = record != nullptr;
  plan_observations(*client);
  client->reobserve = true;
  if (awake(*client) && client->stored) observe_all(*client);
}

// -- the server

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::start(ServerOptions options, ServerHooks hooks,
                                              twin::TwinRegistry& twins, Objects& objects,
                                              Store& store, Clock& clock, Random& random,
                                              Metrics& metrics) {
  if (options.coap || options.coap_tcp || options.coaps || options.coaps_tcp) {
    auto impl = std::make_unique<Impl>(std::move(options), std::move(hooks), twins, objects, store,
                                       clock, random, metrics);
    TRY(impl->open());
    return std::unique_ptr<Server>(new Server(std::move(impl)));
  }
  return fail(ErrorCode::kInvalidArgument, "the LwM2M server needs an address to listen on");
}

const ServerAddresses& Server::addresses() const { return impl_->addresses; }

}  // namespace penstock::interop::lwm2m
