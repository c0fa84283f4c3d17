#include "app/server.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "api/access/access_control.h"
#include "api/api_server.h"
#include "app/bound_topics.h"
#include "app/bridge_links.h"
#include "app/commands.h"
#include "app/device_authenticator.h"
#include "app/evaluators.h"
#include "app/health.h"
#include "app/history_book.h"
#include "app/lwm2m.h"
#include "app/model_repositories.h"
#include "app/opcua_connector.h"
#include "app/sparkplug.h"
#include "app/version.h"
#include "app/worker_pool.h"
#include "base/log.h"
#include "base/timezone.h"
#include "interfaces/alarms/alarm_desk.h"
#include "interfaces/alarms/rule_store.h"
#include "interop/http/ingest.h"
#include "interop/mqtt/endpoint.h"
#include "store/registry.h"
#include "stream/history.h"
#include "stream/journal.h"
#include "stream/rebind.h"
#include "twin/identity.h"
#include "twin/onboarding.h"
#include "twin/registry.h"

namespace penstock::app {

using interop::TlsContext;
using interop::mqtt::ListenerOptions;
using interop::mqtt::MqttEndpoint;

// Members in the order they need each other: the last is the first to go.
struct Server::Impl {
  explicit Impl(ServerOptions o) : options(std::move(o)) {}
  ~Impl() { stop(); }

  Status open_registry();
  Status open_stream();
  Status listen(const std::optional<NetAddress>& wanted, bool tls, bool websocket,
                std::optional<NetAddress>& bound);
  Status listen_all();
  Status open_opcua(const std::vector<MqttEndpoint*>& all);
  Status listen_opcua();
  Status start_reading();
  Status start_api();
  void on_device_change(const twin::DeviceChange& change);
  void run_maintenance();
  void maintain();
  void export_days();
  void stop();
  [[nodiscard]] stream::JournalOffset journal_needed_from() const;

  ServerOptions options;
  ServerAddresses addresses;
  stream::RecoveryReport recovery;
  std::string welcome;

  Clock& clock = system_clock();
  Random& random = system_random();
  FileSystem& files = system_files();
  Metrics metrics;
  std::unique_ptr<FileLock> lock;
  std::unique_ptr<TlsContext> tls;

  std::unique_ptr<store::Registry> registry;
  std::unique_ptr<twin::TwinRegistry> twins;
  std::unique_ptr<twin::Identities> identities;
  std::unique_ptr<api::access::AccessControl> access;
  std::unique_ptr<interfaces::RuleStore> rules;
  std::unique_ptr<interfaces::AlarmDesk> alarms;
  std::unique_ptr<interop::mqtt::BridgeStore> bridges;

  std::unique_ptr<stream::Journal> journal;
  std::unique_ptr<stream::HistoryStore> history;
  std::unique_ptr<WorkerPool> workers;
  std::unique_ptr<DeviceAuthenticator> authenticator;
  std::unique_ptr<ConnectorAuthenticator> admission;  // the authenticator of the endpoints
  std::unique_ptr<stream::Pipeline> pipeline;
  std::unique_ptr<Evaluators> evaluators;
  std::vector<std::unique_ptr<MqttEndpoint>> endpoints;
  std::unique_ptr<BoundTopics> bound_topics;
  std::unique_ptr<BridgeLinks> bridge_links;
  std::unique_ptr<Sparkplug> sparkplug;
  std::unique_ptr<stream::HistoryWriter> history_writer;

  std::unique_ptr<interop::http::IdempotencyKeys> ingest_keys;
  std::unique_ptr<interop::http::Ingest> ingest;
  std::unique_ptr<stream::Rebinder> rebinder;
  std::unique_ptr<twin::Onboarding> onboarding;
  std::unique_ptr<StoredHistory> history_book;
  std::unique_ptr<ConfiguredRepositories> repositories;
  std::unique_ptr<interop::opcua::SourceStore> opcua_sources;
  NetAddress opcua_gateway;
  std::unique_ptr<OpcuaConnector> opcua;
  std::unique_ptr<OpcuaCommands> opcua_commands;
  std::unique_ptr<MqttCommands> mqtt_commands;
  std::unique_ptr<CommandRouter> commands;
  std::unique_ptr<Lwm2m> lwm2m;
  std::unique_ptr<SystemHealth> health;
  std::unique_ptr<api::ApiServer> api;

  std::mutex stop_mutex;
  std::condition_variable stop_wanted;
  bool stopping = false;
  std::atomic<bool> cancelled{false};  // long work of the maintenance thread
  int64_t exported_at_us = 0;
  std::thread maintenance;
};

namespace {

// One connection is one file; the soft limit of most systems is far too low for a fleet.
void raise_file_limit() {
  struct rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Status check_options(const ServerOptions& o) {
  const bool needs_tls = o.mqtts || o.wss || o.http_tls;
  if (o.sparkplug.host_id.empty() || o.sparkplug.host_id.find_first_of("/+#") != std::string::npos)
    return fail(ErrorCode::kInvalidArgument,
                "--sparkplug-host-id is one level of a topic: without /, + and #");
  if (needs_tls && (o.tls_certificate.empty() || o.tls_key.empty()))
    return fail(ErrorCode::kInvalidArgument,
                "--mqtts, --wss and --http-tls need --tls-certificate and --tls-key");
  if (o.keep_rollups.us > 0 && (o.keep_samples.us == 0 || o.keep_rollups < o.keep_samples))
    return fail(ErrorCode::kInvalidArgument,
                "--keep-rollups must not be shorter than --keep-samples");
  if (o.allow_anonymous && !(o.mqtt || o.ws))
    return fail(ErrorCode::kInvalidArgument,
                "--allow-anonymous is for --mqtt and --ws, and neither listens");
  return {};
}

}  // namespace

// -- opening

Status Server::Impl::open_registry() {
  const std::string& data = options.data_directory;
  TRY(files.create_directories(data));
  ::chmod(data.c_str(), 0700);  // what devices sent is nobody else's business
  if (auto taken = files.lock(data + "/lock"); taken) {
    lock = std::move(*taken);
  } else {
    return fail(taken.error().code == ErrorCode::kConflict
                    ? Error{ErrorCode::kConflict,
                            "another Penstock has this data folder open: stop it, or give --data",
                            data}
                    : taken.error());
  }
  TRY_ASSIGN(registry, store::Registry::open(data + "/registry.db"));
  TRY_ASSIGN(twins, twin::TwinRegistry::open(*registry));
  identities = std::make_unique<twin::Identities>(*twins, clock, random);
  api::access::AccessOptions people;
  people.organisation = twins->default_organisation();
  people.data_directory = data;
  TRY_ASSIGN(access, api::access::AccessControl::open(*registry, clock, random, people));
  TRY_ASSIGN(rules, interfaces::RuleStore::open(*registry, *twins, clock));
  TRY_ASSIGN(alarms, interfaces::AlarmDesk::open(
                         *registry, *twins, clock, metrics,
                         [this](RuleId id, TwinId twin) { return rules->source(id, twin); }));
  TRY_ASSIGN(bridges, interop::mqtt::BridgeStore::open(*registry, files, clock, random,
                                                       data + "/bridge.key"));
  return {};
}

void Server::Impl::on_device_change(const twin::DeviceChange& change) {
  if (change.config)
    pipeline->configure(change.config);
  else
    pipeline->forget(change.device);
  if (!change.disconnect) return;
  for (const auto& endpoint : endpoints)
    pipeline->shard(endpoint->shard()).post([e = endpoint.get(), device = change.device] {
      e->broker().disconnect_device(device);
    });
}

Status Server::Impl::open_stream() {
  const std::string& data = options.data_directory;
  stream::JournalOptions journal_options;
  journal_options.directory = data + "/journal";
  TRY_ASSIGN(journal, stream::Journal::open(files, clock, journal_options, metrics));

  stream::HistoryOptions history_options;
  history_options.directory = data + "/history";
  history_options.memory_bytes_max = options.history_memory_bytes;
  const auto policies = [this](SeriesId id) -> stream::SeriesPolicy {
    const twin::SeriesPtr series = twins->series(id);
    const auto zone = TimeZone::find(series ? series->time_zone : "UTC");
    return {zone ? *zone : nullptr, {options.keep_samples, options.keep_rollups}};
  };
  TRY_ASSIGN(history, stream::HistoryStore::open(history_options, policies, clock, metrics));

  stream::PipelineOptions pipeline_options;
  pipeline_options.shards =
      options.shards > 0 ? options.shards : std::max(1U, std::thread::hardware_concurrency());
  pipeline_options.checkpoint_directory = data + "/checkpoints";
  pipeline_options.checkpoint_interval = options.checkpoint_interval;
  pipeline = std::make_unique<stream::Pipeline>(pipeline_options, *journal, files, clock,
                                                system_net(), metrics);
  workers = std::make_unique<WorkerPool>(2, 1000);
  evaluators = std::make_unique<Evaluators>(*pipeline, *twins, *rules, *history, clock, *workers);
  rules->set_progress([this](RuleId id) { return evaluators->progress(id); });

  authenticator =
      std::make_unique<DeviceAuthenticator>(*identities, twins->default_organisation(), *workers);
  admission = std::make_unique<ConnectorAuthenticator>(*authenticator,
                                                       twins->default_organisation(), random);
  interop::mqtt::EndpointLimits limits;
  limits.connections_max = options.connections_max;
  interop::mqtt::BrokerLimits broker_limits;
  broker_limits.packet_size_max = options.packet_bytes_max;
  broker_limits.keep_alive_max_s = options.keep_alive_max_s;
  std::vector<MqttEndpoint*> all;
  for (uint32_t i = 0; i < pipeline->shards(); ++i) {
    endpoints.push_back(std::make_unique<MqttEndpoint>(pipeline->shard(i), *admission, metrics,
                                                       random, limits, broker_limits));
    all.push_back(endpoints.back().get());
    all.back()->attach();
  }
  for (MqttEndpoint* endpoint : all) endpoint->set_siblings(all);
  bound_topics = std::make_unique<BoundTopics>(*twins, *pipeline, all, clock);
  bridge_links =
      std::make_unique<BridgeLinks>(*bridges, *twins, *pipeline, all, *workers, random, metrics);
  interop::sparkplug::HostOptions host;
  host.host_id = options.sparkplug.host_id;
  host.reorder_timeout = options.sparkplug.reorder_timeout;
  sparkplug = std::make_unique<Sparkplug>(*pipeline, all, *twins, random, metrics, host);
  sparkplug->set_bridges(bridge_links->senders());
  TRY(open_opcua(all));

  twins->subscribe([this](const twin::DeviceChange& change) { on_device_change(change); });
  evaluators->apply();
  TRY_ASSIGN(recovery, pipeline->recover());
  if (recovery.records > 0)
    log_info("server", "recovered {} records in {} ms", recovery.records, recovery.took_us / 1000);
  return {};
}

Status Server::Impl::open_opcua(const std::vector<MqttEndpoint*>& all) {
  TRY_ASSIGN(opcua_sources, interop::opcua::SourceStore::open(*registry, clock));
  OpcuaConnectorOptions connector;
  connector.directory = options.data_directory + "/opcua";
  connector.script = options.opcua_connector;
  opcua = std::make_unique<OpcuaConnector>(connector, *opcua_sources, *pipeline, all, *admission,
                                           random, metrics);
  opcua->attach_handlers([](const interop::opcua::SourcePtr&, const Json&) {});
  return {};
}

// The connector's own listener: loopback, whatever the others are, and never anonymous.
Status Server::Impl::listen_opcua() {
  ListenerOptions listener;
  listener.address = {"127.0.0.1", 0};
  for (const auto& endpoint : endpoints) {
    TRY_ASSIGN(listener.address, endpoint->listen(listener));
  }
  opcua_gateway = listener.address;
  return {};
}

Status Server::Impl::listen(const std::optional<NetAddress>& wanted, bool with_tls, bool websocket,
                            std::optional<NetAddress>& bound) {
  if (!wanted) return {};
  ListenerOptions listener;
  listener.address = *wanted;
  listener.tls = with_tls ? tls.get() : nullptr;
  listener.websocket = websocket;
  listener.allow_anonymous = options.allow_anonymous && !with_tls;
  for (const auto& endpoint : endpoints) {
    TRY_ASSIGN(const NetAddress real, endpoint->listen(listener));
    listener.address.port = real.port;  // port 0: the first one found a free one for all
    bound = real;
  }
  return {};
}

Status Server::Impl::listen_all() {
  if (options.mqtts || options.wss) {
    interop::TlsOptions tls_options{options.tls_certificate, options.tls_key, options.tls_client_ca,
                                    options.tls_require_client_certificate};
    TRY_ASSIGN(tls, TlsContext::create(tls_options));
  }
  TRY(listen(options.mqtt, false, false, addresses.mqtt));
  TRY(listen(options.mqtts, true, false, addresses.mqtts));
  TRY(listen(options.ws, false, true, addresses.ws));
  TRY(listen(options.wss, true, true, addresses.wss));
  return listen_opcua();
}

Status Server::Impl::start_reading() {
  evaluators->set_running();
  sparkplug->say_online();
  pipeline->start();
  bridge_links->start();
  history_writer = std::make_unique<stream::HistoryWriter>(*history, *journal, clock, metrics);
  history_writer->start();
  history_book = std::make_unique<StoredHistory>(*history, *twins);
  TRY_ASSIGN(ingest_keys, interop::http::IdempotencyKeys::open(*registry, clock));
  ingest = std::make_unique<interop::http::Ingest>(
      [this](std::vector<stream::Intake> intakes, auto then) {
        pipeline->submit(std::move(intakes), std::move(then));
      },
      *twins, *ingest_keys, clock, metrics);
  TRY_ASSIGN(rebinder, stream::Rebinder::open(*registry, *pipeline, clock, metrics, {}));
  rebinder->start();
  TRY_ASSIGN(onboarding, twin::Onboarding::open(*registry, *twins, clock, random));
  std::vector<MqttEndpoint*> all;
  for (const auto& endpoint : endpoints) all.push_back(endpoint.get());
  mqtt_commands = std::make_unique<MqttCommands>(*pipeline, all, random);
  commands = std::make_unique<CommandRouter>(*twins);
  commands->add("mqtt", *mqtt_commands);
  commands->add("sparkplug", *sparkplug);
  TRY_ASSIGN(lwm2m,
             Lwm2m::start(options, *registry, *twins, *pipeline, files, clock, random, metrics));
  if (lwm2m) {
    commands->add("lwm2m", lwm2m->server());
    addresses.coap = lwm2m->addresses().coap;
    addresses.coaps = lwm2m->addresses().coaps;
    addresses.coap_tcp = lwm2m->addresses().coap_tcp;
    addresses.coaps_tcp = lwm2m->addresses().coaps_tcp;
  }
  opcua_commands = std::make_unique<OpcuaCommands>(*opcua, *opcua_sources, *twins, random);
  commands->add("opcua", *opcua_commands);
  TRY(opcua->start(opcua_gateway));
  health = std::make_unique<SystemHealth>(*pipeline, *history, bridge_links->board(), files,
                                          options.data_directory);
  health->also([this] { return opcua->health(); });
  return {};
}

namespace {

std::vector<api::EndpointInfo> describe(const ServerAddresses& addresses) {
  std::vector<api::EndpointInfo> out;
  const auto add = [&](const std::optional<NetAddress>& address, const char* transport,
                       const char* path) {
    if (address) out.push_back({transport, address->host, address->port, path});
  };
  add(addresses.mqtt, "tcp", "");
  add(addresses.mqtts, "tls", "");
  add(addresses.ws, "websocket", "/mqtt");
  add(addresses.wss, "websocket_tls", "/mqtt");
  add(addresses.coap, "coap", "");
  add(addresses.coaps, "coaps", "");
  add(addresses.coap_tcp, "coap+tcp", "");
  add(addresses.coaps_tcp, "coaps+tcp", "");
  return out;
}

}  // namespace

Status Server::Impl::start_api() {
  const std::string exports = options.data_directory + "/exports";
  TRY(files.create_directories(exports));
  api::ApiServerOptions server;
  server.http.address = options.http.host;
  server.http.port = options.http.port;
  if (options.http_tls) server.http.tls = api::TlsOptions{options.tls_certificate, options.tls_key};
  server.api = {kVersion, options.web_directory, exports, describe(addresses),
                options.open_metrics};
  TRY_ASSIGN(repositories, ConfiguredRepositories::create(options.model_repositories, clock));
  const api::Services services{.clock = clock,
                               .metrics = metrics,
                               .access = *access,
                               .twins = *twins,
                               .live = *pipeline,
                               .connections = *pipeline,
                               .ingest = *pipeline,
                               .dead_letters = pipeline->raw_views(),
                               .discovery = pipeline->raw_views(),
                               .commands = *commands,
                               .health = *health,
                               .configuration = *evaluators,
                               .alarms = *alarms,
                               .rules = *rules,
                               .detectors = *rules,
                               .history = *history_book,
                               .knocks = identities->knocks(),
                               .repositories = *repositories,
                               .identities = *identities,
                               .ingest_http = *ingest,
                               .rebinds = *rebinder,
                               .onboarding = *onboarding,
                               .taps = bound_topics->tap(),
                               .bridges = *bridges,
                               .opcua = *opcua};
  server.protocols = {
      sparkplug.get(), {{"sparkplug", read_sparkplug}}, lwm2m ? &lwm2m->server() : nullptr};
  TRY_ASSIGN(api, api::ApiServer::start(services, *journal, server));
  addresses.http = {options.http.host, api->port()};
  alarms->set_listener(
      [this](const interfaces::AlarmItem& alarm) { api->live().alarm_changed(alarm); });
  TRY(alarms->start(*journal));
  TRY_ASSIGN(const auto link, access->make_setup_link());
  if (link)
    welcome = fmt::format("{}://{}/#/welcome/{}", options.http_tls ? "https" : "http",
                          addresses.http.text(), *link);
  maintenance = std::thread([this] { run_maintenance(); });
  return {};
}

// -- running

// Everybody who reads the journal has what lies before: recovery, history, alarms, re-binding. What
// a person may still want re-bound is kept beyond that, within its budget and while there is disk.
stream::JournalOffset Server::Impl::journal_needed_from() const {
  const auto needed = std::min({pipeline->checkpointed_offset(), history->committed_offset(),
                                alarms->offset(), rebinder->needed_from()});
  if (journal->state() != stream::JournalState::kWriting) return needed;
  const auto end = journal->durable_offset();
  const auto reach = end > options.rebind_bytes_max ? end - options.rebind_bytes_max : 0;
  return std::min(needed, std::max(pipeline->raw_views().first_offset(), reach));
}

// Late samples make a day's file anew, so an hour is soon enough.
void Server::Impl::export_days() {
  const int64_t now_us = clock.monotonic_us();
  if (exported_at_us != 0 && now_us - exported_at_us < Duration::hours(1).us) return;
  exported_at_us = now_us;
  const auto written = history->export_days(
      clock.now() - Duration::hours(1), [this](SeriesId id) { return series_name(*twins, id); },
      &cancelled);
  if (!written)
    log_warning("history", "days were not exported: {}", written.error().text());
  else if (*written > 0)
    log_info("history", "{} days written as Parquet", *written);
}

void Server::Impl::maintain() {
  bound_topics->maintain();
  if (options.parquet_days) export_days();
  if (const Status trimmed = journal->trim(journal_needed_from()); !trimmed)
    log_warning("server", "the journal was not trimmed: {}", trimmed.error().text());
  if (!tls) return;
  if (const auto changed = tls->reload_if_changed(); !changed)
    log_warning("server", "the TLS certificate was not reloaded: {}", changed.error().text());
  else if (*changed)
    log_info("server", "the TLS certificate was reloaded");
}

void Server::Impl::run_maintenance() {
  pthread_setname_np(pthread_self(), "maintenance");
  std::unique_lock guard(stop_mutex);
  while (!stop_wanted.wait_for(guard, std::chrono::seconds(10), [&] { return stopping; })) {
    guard.unlock();
    maintain();
    guard.lock();
  }
}

void Server::Impl::stop() {
  {
    const std::lock_guard guard(stop_mutex);
    stopping = true;
    cancelled = true;
  }
  stop_wanted.notify_all();
  if (maintenance.joinable()) maintenance.join();
  if (ingest) ingest->stop();
  if (rebinder) rebinder->stop();
  if (history_writer) sparkplug->say_offline();  // the shards run
  if (opcua) opcua->stop();
  if (pipeline) pipeline->stop();
  if (alarms) alarms->stop();
  api.reset();
  lwm2m.reset();
  if (history_writer) history_writer->stop();
  // The workers may still answer to an endpoint's shard.
  workers.reset();
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::start(const ServerOptions& options) {
  TRY(check_options(options));
  raise_file_limit();
  auto impl = std::make_unique<Impl>(options);
  TRY(impl->open_registry());
  TRY(impl->open_stream());
  TRY(impl->listen_all());
  TRY(impl->start_reading());
  TRY(impl->start_api());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

const ServerAddresses& Server::addresses() const { return impl_->addresses; }
const stream::RecoveryReport& Server::recovery() const { return impl_->recovery; }
const std::string& Server::welcome_link() const { return impl_->welcome; }

Status Server::reload_tls() {
  if (impl_->tls) TRY(impl_->tls->reload_if_changed());
  if (impl_->options.http_tls) return impl_->api->reload_tls();
  return {};
}

}  // namespace penstock::app
