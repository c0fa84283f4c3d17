// penstock serve: the platform in one process.

#include <chrono>
#include <thread>

#include <fmt/format.h>
#include <signal.h>

#include "app/cli/cli.h"
#include "app/server.h"
#include "base/json.h"
#include "base/log.h"

namespace penstock::app::cli {
namespace {

struct ServeOptions {
  ServerOptions server;
  std::string http = "127.0.0.1:8080";
  std::string mqtt = "127.0.0.1:1883", mqtts, ws = "127.0.0.1:8083", wss;
  std::string coap, coaps, coap_tcp, coaps_tcp;
  std::string reorder_timeout, keep_samples, keep_rollups;
  std::string log = "info";
};

Status read_address(const std::string& text, const char* option, std::optional<NetAddress>& out) {
  if (text.empty() || text == "off") return {};
  auto address = NetAddress::parse(text);
  if (!address)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} needs an address such as 127.0.0.1:1883, or off", option), text);
  out = std::move(*address);
  return {};
}

Json ready_line(const Server& server) {
  const ServerAddresses& at = server.addresses();
  Json out{{"ready", true}, {"http", at.http.text()}};
  const auto add = [&](const char* key, const std::optional<NetAddress>& address) {
    if (address) out[key] = address->text();
  };
  add("mqtt", at.mqtt);
  add("mqtts", at.mqtts);
  add("ws", at.ws);
  add("wss", at.wss);
  add("coap", at.coap);
  add("coaps", at.coaps);
  add("coap_tcp", at.coap_tcp);
  add("coaps_tcp", at.coaps_tcp);
  if (!server.welcome_link().empty()) out["welcome"] = server.welcome_link();
  out["recovered_records"] = server.recovery().records;
  out["recovery_ms"] = server.recovery().took_us / 1000;
  return out;
}

Result<LogLevel> parse_level(const std::string& text) {
  if (text == "debug") return LogLevel::kDebug;
  if (text == "info") return LogLevel::kInfo;
  if (text == "warning") return LogLevel::kWarning;
  if (text == "error") return LogLevel::kError;
  return fail(ErrorCode::kInvalidArgument, "--log is debug, info, warning or error", text);
}

volatile sig_atomic_t reload_wanted = 0;

Status run(ServeOptions& o) {
  TRY_ASSIGN(const LogLevel level, parse_level(o.log));
  set_log_level(level);
  std::optional<NetAddress> http;
  TRY(read_address(o.http, "--http", http));
  if (!http)
    return fail(ErrorCode::kInvalidArgument, "--http cannot be off: page and API live there");
  o.server.http = *http;
  TRY(read_address(o.mqtt, "--mqtt", o.server.mqtt));
  TRY(read_address(o.mqtts, "--mqtts", o.server.mqtts));
  TRY(read_address(o.ws, "--ws", o.server.ws));
  TRY(read_address(o.wss, "--wss", o.server.wss));
  TRY(read_address(o.coap, "--coap", o.server.coap));
  TRY(read_address(o.coaps, "--coaps", o.server.coaps));
  TRY(read_address(o.coap_tcp, "--coap-tcp", o.server.coap_tcp));
  TRY(read_address(o.coaps_tcp, "--coaps-tcp", o.server.coaps_tcp));

  if (!o.keep_samples.empty()) {
    TRY_ASSIGN(o.server.keep_samples, parse_duration(o.keep_samples));
  }
  if (!o.keep_rollups.empty()) {
    TRY_ASSIGN(o.server.keep_rollups, parse_duration(o.keep_rollups));
  }

  if (!o.reorder_timeout.empty()) {
    TRY_ASSIGN(o.server.sparkplug.reorder_timeout, parse_duration(o.reorder_timeout));
  }

  watch_for_interrupt();
  struct sigaction reload{};
  reload.sa_handler = [](int) { reload_wanted = 1; };
  sigaction(SIGHUP, &reload, nullptr);
  signal(SIGPIPE, SIG_IGN);

  TRY_ASSIGN(const auto server, Server::start(o.server));
  fmt::print("{}\n", ready_line(*server).dump());
  std::fflush(stdout);
  while (!interrupted()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    if (!reload_wanted) continue;
    reload_wanted = 0;
    if (const Status done = server->reload_tls(); !done)
      log_warning("server", "certificates were not reloaded: {}", done.error().text());
  }
  log_info("server", "stopping");
  return {};
}

}  // namespace

void add_serve(CLI::App& root) {
  auto* command = root.add_subcommand("serve", "Run Penstock; prints one JSON line when ready");
  auto o = std::make_shared<ServeOptions>();
  command->set_config("--config", "", "TOML file with these options by their long names");
  command->add_option("--data", o->server.data_directory, "Data folder; made where missing")
      ->envname("PENSTOCK_DATA")
      ->capture_default_str();
  command->add_option("--http", o->http, "Page and API; port 0: any free one")
      ->capture_default_str();
  command->add_option("--mqtt", o->mqtt, "MQTT over TCP, or off")->capture_default_str();
  command->add_option("--mqtts", o->mqtts, "MQTT over TLS");
  command->add_option("--ws", o->ws, "MQTT over WebSocket, or off")->capture_default_str();
  command->add_option("--wss", o->wss, "MQTT over WebSocket and TLS");
  command->add_option("--coap", o->coap, "LwM2M over UDP without security: loopback only");
  command->add_option("--coaps", o->coaps, "LwM2M over DTLS: pre-shared keys, certificates");
  command->add_option("--coap-tcp", o->coap_tcp, "LwM2M over TCP without security: loopback only");
  command->add_option("--coaps-tcp", o->coaps_tcp, "LwM2M over TLS");
  command->add_flag("--coap-insecure", o->server.coap_insecure,
                    "--coap and --coap-tcp may listen elsewhere: anybody there is any device");
  command->add_flag("--lwm2m-bootstrap", o->server.lwm2m_bootstrap,
                    "Answer bootstrap requests on the same ports");
  command->add_option("--lwm2m-objects", o->server.lwm2m_objects,
                      "Folder of object definitions (JSON tables, DDF files)");
  command->add_option("--tls-certificate", o->server.tls_certificate, "PEM file with the chain");
  command->add_option("--tls-key", o->server.tls_key, "PEM file");
  command->add_option("--tls-client-ca", o->server.tls_client_ca,
                      "PEM file: devices may show a certificate of this authority, CN their name");
  command->add_flag("--tls-require-client-certificate", o->server.tls_require_client_certificate,
                    "Refuse devices without one");
  command->add_flag("--http-tls", o->server.http_tls, "HTTPS with the same certificate");
  command->add_flag("--allow-anonymous", o->server.allow_anonymous,
                    "Clients without credentials may do everything on --mqtt and --ws: for tests");
  command->add_flag("--open-metrics", o->server.open_metrics, "/metrics without a token");
  command->add_option("--shards", o->server.shards, "Threads of the data path; 0: one a core")
      ->check(CLI::Range(0, 256))
      ->capture_default_str();
  command->add_option("--web", o->server.web_directory, "Folder of the built page")
      ->capture_default_str();
  command
      ->add_option("--opcua-connector", o->server.opcua_connector,
                   "The built OPC UA connector; started when there is an OPC UA source")
      ->capture_default_str();
  command->add_option("--packet-bytes-max", o->server.packet_bytes_max, "Largest MQTT packet")
      ->capture_default_str();
  command
      ->add_option("--keep-alive-max", o->server.keep_alive_max_s,
                   "Longest MQTT keep alive, seconds; clients that ask for more are told")
      ->check(CLI::Range(1, 65'535))
      ->capture_default_str();
  command
      ->add_option("--connections-max", o->server.connections_max, "MQTT connections a shard takes")
      ->capture_default_str();
  command->add_option("--history-memory-bytes", o->server.history_memory_bytes, "DuckDB's memory")
      ->capture_default_str();
  command->add_option("--keep-samples", o->keep_samples,
                      "How long history keeps samples, such as 400d; for ever where not given");
  command->add_option("--keep-rollups", o->keep_rollups, "And minutes, hours and days of them");
  command->add_flag("--parquet-days", o->server.parquet_days,
                    "Also write each whole day as Parquet, in DATA/history/parquet");
  command->add_option("--model-repository", o->server.model_repositories,
                      "NAME=URL or NAME=FOLDER from which models may be imported over the API; "
                      "may be given several times. None where not given");
  command
      ->add_option("--sparkplug-host-id", o->server.sparkplug.host_id,
                   "This Sparkplug host's name in spBv1.0/STATE/…")
      ->capture_default_str();
  command->add_option("--sparkplug-reorder-timeout", o->reorder_timeout,
                      "How long a missing sequence number is waited for, as 2s; 0s: not at all");
  command->add_option("--log", o->log, "debug, info, warning or error")->capture_default_str();
  on_run(command, [o] { return run(*o); });
}

}  // namespace penstock::app::cli
