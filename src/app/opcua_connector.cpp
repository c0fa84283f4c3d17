#include "app/opcua_connector.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

namespace penstock::app {

using interop::mqtt::Principal;
using interop::opcua::Asset;
using interop::opcua::Link;
using interop::opcua::Source;
using interop::opcua::SourcePtr;

namespace {

constexpr std::string_view kClientId = "penstock-opcua";
constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kAskedFor = 600 * kSecond;  // how long it stays for a question without a source

Json user_of(const Source& source) {
  Json out{{"kind", source.document.value("user_kind", "anonymous")},
           {"name", source.document.value("user_name", "")}};
  for (const char* secret : {"password", "certificate", "key"})
    if (source.secrets.is_object() && source.secrets.contains(secret))
      out[secret] = source.secrets[secret];
  return out;
}

Json source_json(const Source& source) {
  Json out = source.document;
  for (const char* ours : {"user_kind", "user_name", "display_name", "enabled"}) out.erase(ours);
  out["id"] = std::to_string(source.id);
  out["name"] = source.name;
  out["user"] = user_of(source);
  Json assets = Json::array();
  for (const Asset& asset : source.assets) {
    Json each = to_json(asset);
    each.erase("commands");
    assets.push_back(std::move(each));
  }
  out["assets"] = std::move(assets);
  return out;
}

// Of what the connector told; null where it has told nothing yet.
bool is_online(const Json& status) {
  return status.is_object() && status.value("state", "") == "online";
}

}  // namespace

// -- who it is

ConnectorAuthenticator::ConnectorAuthenticator(interop::mqtt::Authenticator& devices,
                                               OrganisationId organisation, Random& random)
    : devices_(devices), secret_(random.hex(32)) {
  auto principal = std::make_shared<Principal>();
  principal->organisation = organisation;
  principal->name = kUser;
  principal->publish_filters = {"connectors/opcua/#"};
  principal->subscribe_filters = {std::string(interop::opcua::kRequests),
                                  std::string(interop::opcua::kConfiguration)};
  principal_ = std::move(principal);
}

void ConnectorAuthenticator::authenticate(const interop::mqtt::ConnectInfo& info,
                                          std::function<void(Outcome)> done) {
  if (!info.has_username || info.username != kUser)
    return devices_.authenticate(info, std::move(done));
  const bool right = info.password.size() == secret_.size() &&
                     sodium_memcmp(info.password.data(), secret_.data(), secret_.size()) == 0;
  if (right) return done(principal_);
  done(tl::unexpected(interop::mqtt::AuthFailure::kBadCredentials));
}

// -- the process

OpcuaConnector::OpcuaConnector(OpcuaConnectorOptions options, interop::opcua::SourceStore& sources,
                               stream::Pipeline& pipeline,
                               std::vector<interop::mqtt::MqttEndpoint*> endpoints,
                               const ConnectorAuthenticator& credentials, Random& random,
                               Metrics& metrics)
    : options_(std::move(options)),
      sources_(sources),
      pipeline_(pipeline),
      endpoints_(std::move(endpoints)),
      credentials_(credentials),
      metrics_(metrics),
      link_(random),
      restarts_(metrics.counter("penstock_opcua_connector_restarts_total",
                                "Times that the OPC UA connector ended unasked")),
      queue_bytes_(metrics.gauge("penstock_opcua_queue_bytes",
                                 "Values on the OPC UA connector's disk, not acknowledged")),
      dropped_(metrics.gauge("penstock_opcua_dropped_values",
                             "Values that the OPC UA connector's queue had no room for")) {
  link_.set_send(
      [this](std::string_view topic, std::string payload) { send(topic, std::move(payload)); });
}

OpcuaConnector::~OpcuaConnector() { stop(); }

void OpcuaConnector::attach_handlers(interop::opcua::OnCondition on_condition) {
  for (auto* endpoint : endpoints_) {
    handlers_.push_back(std::make_unique<interop::opcua::Handler>(
        pipeline_.shard(endpoint->shard()), sources_, link_, metrics_, on_condition));
    endpoint->add_handler(handlers_.back().get());
  }
}

Status OpcuaConnector::start(const NetAddress& gateway) {
  gateway_ = gateway;
  TRY(system_files().create_directories(options_.directory));
  ::chmod(options_.directory.c_str(), 0700);
  TRY(configure());
  thread_ = std::thread([this] { run(); });
  return {};
}

void OpcuaConnector::stop() {
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool OpcuaConnector::wanted() const {
  if (asked_us_ != 0 && system_clock().monotonic_us() - asked_us_ < kAskedFor) return true;
  return std::ranges::any_of(sources_.all(), [](const SourcePtr& source) {
    return source->document.value("enabled", true);
  });
}

Json OpcuaConnector::configuration() {
  Json sources = Json::array();
  for (const SourcePtr& source : sources_.all())
    if (source->document.value("enabled", true)) sources.push_back(source_json(*source));
  return {{"generation", ++generation_},
          {"gateway",
           {{"host", gateway_.host},
            {"port", gateway_.port},
            {"username", ConnectorAuthenticator::kUser},
            {"password", credentials_.secret()}}},
          {"directory", options_.directory},
          {"queue_bytes_max", options_.queue_bytes_max},
          {"sources", std::move(sources)}};
}

Status OpcuaConnector::configure() {
  const std::string path = options_.directory + "/connector.json";
  {
    const std::lock_guard guard(file_mutex_);
    // The folder is 0700, so nobody reads it before it is 0600.
    TRY(write_file_atomically(system_files(), path, configuration().dump()));
    ::chmod(path.c_str(), 0600);
  }
  send(interop::opcua::kConfiguration, "{}");
  wake_.notify_all();
  return {};
}

void OpcuaConnector::send(std::string_view topic, std::string payload) {
  const uint32_t home = interop::mqtt::home_shard(kClientId, pipeline_.shards());
  pipeline_.shard(home).post(
      [endpoint = endpoints_[home], to = std::string(topic), text = std::move(payload)] {
        endpoint->publish(to, as_bytes(text), 0, false, [](bool) {});
      });
}

void OpcuaConnector::run() {
  pthread_setname_np(pthread_self(), "opcua");
  while (true) {
    {
      std::unique_lock guard(mutex_);
      if (!running_) wake_.wait_for(guard, std::chrono::milliseconds(200));
      if (stopping_) break;
    }
    tend();
  }
  if (process_) {
    process_->signal(SIGTERM);
    (void)process_->wait(8000);
    process_.reset();  // whatever is left ends here
  }
  link_.disconnect("the server is stopping");
}

void OpcuaConnector::tend() {
  const bool want = [&] {
    const std::lock_guard guard(mutex_);
    return wanted();
  }();
  const int64_t now = system_clock().monotonic_us();
  if (!process_) {
    if (want && now >= next_start_us_) begin();
    return;
  }
  if (!want) {
    process_.reset();
    link_.disconnect("there is no source any more");
    const std::lock_guard guard(mutex_);
    running_ = false;
    detail_ = "not needed: there are no sources";
    return;
  }
  forward_log();
  const Json overall = link_.overall();
  if (overall.is_object() && overall.contains("queue") && overall["queue"].is_object()) {
    queue_bytes_.set(overall["queue"].value("bytes", 0.0));
    dropped_.set(overall["queue"].value("dropped_values", 0.0));
  }
}

void OpcuaConnector::begin() {
  started_us_ = system_clock().monotonic_us();
  std::string problem;
  if (!system_files().exists(options_.script)) {
    problem = "the OPC UA connector is not built: run `make build` (" + options_.script + ")";
  } else {
    ProcessOptions process;
    process.arguments = {options_.node, "--max-old-space-size=768", options_.script,
                         options_.directory + "/connector.json"};
    process.capture_output = true;
    auto started = Process::start(process);
    if (started) {
      process_ = std::move(*started);
      log_info("opcua", "the connector was started, process {}", process_->id());
    } else {
      problem = started.error().text();
    }
  }
  if (!problem.empty()) next_start_us_ = started_us_ + 10 * kSecond;
  const std::lock_guard guard(mutex_);
  running_ = process_.has_value();
  detail_ = problem.empty() ? "running" : problem;
}

void OpcuaConnector::forward_log() {
  const auto line = process_->read_line(200);
  if (line) {
    if (!line->empty()) log_info("opcua", "connector: {}", *line);
  } else if (line.error().code == ErrorCode::kUnavailable) {
    ended();
  }
}

void OpcuaConnector::ended() {
  const auto code = process_->wait(2000);
  const std::string why = code ? fmt::format("the connector ended with code {}", *code)
                               : "the connector closed its output";
  process_.reset();
  restarts_.add();
  const int64_t now = system_clock().monotonic_us();
  failures_ = now - started_us_ > 60 * kSecond ? 0 : std::min(failures_ + 1, 6);
  next_start_us_ = now + (kSecond / 2 << std::max(0, failures_ - 1));
  log_warning("opcua", "{}; it is started again", why);
  for (const auto& lost : link_.disconnect(why + "; it is started again"))
    if (const SourcePtr source = sources_.by_id(lost.source)) {
      auto& shard = pipeline_.shard(0);
      shard.post([&shard, source, offset = lost.clock_offset] {
        interop::opcua::mark_lost(shard, *source, offset);
      });
    }
  const std::lock_guard guard(mutex_);
  running_ = false;
  detail_ = why + "; it is started again";
}

stream::HealthCheck OpcuaConnector::health() {
  stream::HealthCheck check{"opcua", stream::HealthStatus::kOk, {}};
  const std::lock_guard guard(mutex_);
  check.detail = detail_;
  if (wanted() && !running_) check.status = stream::HealthStatus::kDegraded;
  size_t silent = 0;
  const auto all = sources_.all();
  for (const SourcePtr& source : all)
    if (source->document.value("enabled", true) && !is_online(link_.status(source->id))) ++silent;
  if (silent > 0 && running_) {
    check.status = stream::HealthStatus::kDegraded;
    check.detail = fmt::format("{} of {} OPC UA sources are not connected", silent, all.size());
  }
  return check;
}

// -- Book

std::vector<SourcePtr> OpcuaConnector::sources(OrganisationId organisation) {
  return sources_.of(organisation);
}

Result<SourcePtr> OpcuaConnector::source(OrganisationId organisation, std::string_view name) {
  return sources_.find(organisation, name);
}

Result<SourcePtr> OpcuaConnector::save(OrganisationId organisation, std::string_view name,
                                       const Json& document, const Json& secrets,
                                       std::string_view who) {
  TRY_ASSIGN(auto saved, sources_.save(organisation, name, document, secrets, who));
  TRY(configure());
  return saved;
}

Status OpcuaConnector::remove(OrganisationId organisation, std::string_view name) {
  TRY(sources_.remove(organisation, name));
  return configure();
}

Result<SourcePtr> OpcuaConnector::add_assets(OrganisationId organisation, std::string_view name,
                                             std::vector<Asset> assets, std::string_view who) {
  TRY_ASSIGN(auto saved, sources_.put_assets(organisation, name, std::move(assets), who));
  TRY(configure());
  return saved;
}

Result<SourcePtr> OpcuaConnector::remove_asset(OrganisationId organisation, std::string_view name,
                                               std::string_view device, std::string_view who) {
  TRY_ASSIGN(auto saved, sources_.remove_asset(organisation, name, device, who));
  TRY(configure());
  return saved;
}

Result<Json> OpcuaConnector::ask(const Source* source, std::string_view operation, Json arguments) {
  {
    const std::lock_guard guard(mutex_);
    asked_us_ = system_clock().monotonic_us();
  }
  wake_.notify_all();
  if (!link_.wait_until_heard(Duration::seconds(15))) {
    const std::lock_guard guard(mutex_);
    return fail(ErrorCode::kUnavailable, "the OPC UA connector does not run: " + detail_);
  }
  return link_.ask(source ? std::to_string(source->id) : std::string(), operation, arguments,
                   Duration::seconds(30));
}

Json OpcuaConnector::status(const Source& source) {
  if (!source.document.value("enabled", true))
    return {{"state", "stopped"}, {"detail", "the source is switched off"}};
  return link_.status(source.id);
}

Json OpcuaConnector::connector() {
  Json out = link_.overall();
  if (!out.is_object()) out = Json::object();
  const std::lock_guard guard(mutex_);
  out["running"] = running_;
  out["detail"] = detail_;
  return out;
}

}  // namespace penstock::app
