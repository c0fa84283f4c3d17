#pragma once
// Penstock as a running thing: every room bound to the others, in the order they need each other.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/net.h"
#include "base/result.h"
#include "stream/pipeline.h"

namespace penstock::app {

struct ServerOptions {
  std::string data_directory = ".penstock/data";
  NetAddress http{"127.0.0.1", 8080};
  std::optional<NetAddress> mqtt, mqtts, ws, wss;  ///< MQTT: TCP, TLS, WebSocket, both
  std::string tls_certificate, tls_key;            ///< PEM; needed for mqtts, wss, http_tls
  std::string tls_client_ca;                       ///< PEM; devices may then use certificates
  bool tls_require_client_certificate = false;
  bool http_tls = false;
  bool allow_anonymous = false;  ///< on `mqtt` and `ws`: everybody may do everything
  bool open_metrics = false;     ///< /metrics without a token from anywhere
  uint32_t shards = 0;           ///< 0: one a core
  std::string web_directory = "web/dist";
  std::string opcua_connector = "connectors/opcua/dist/connector.js";
  uint64_t history_memory_bytes = 512ULL << 20;
  Duration keep_samples, keep_rollups;  ///< how long history keeps them; 0: for ever
  bool parquet_days = false;  ///< each whole UTC day as a file in history/parquet, an hour after it
  uint64_t packet_bytes_max = 1ULL << 20;
  uint16_t keep_alive_max_s = 3600;    ///< MQTT 5.0 clients that ask for more are told (3.2.2.3.14)
  uint32_t connections_max = 100'000;  ///< MQTT, each shard
  std::vector<std::string> model_repositories;  ///< NAME=LOCATION: the API reads from no others
  std::optional<NetAddress> coap, coaps, coap_tcp, coaps_tcp;  ///< LwM2M: UDP, DTLS, TCP, TLS
  bool coap_insecure = false;  ///< coap and coap_tcp may be elsewhere than on loopback
  bool lwm2m_bootstrap = false;
  std::string lwm2m_objects = ".deps/lwm2m";  ///< folder of object definitions
  Duration checkpoint_interval = Duration::seconds(30);
  /// So much of the journal is kept longer than the server needs it, where messages of unregistered
  /// devices or dead letters lie in it: what re-binding can reach.
  uint64_t rebind_bytes_max = 2ULL << 30;
  struct {
    std::string host_id = "penstock";
    Duration reorder_timeout = Duration::seconds(2);
  } sparkplug;
};

/// What came of the addresses, with their real ports.
struct ServerAddresses {
  NetAddress http;
  std::optional<NetAddress> mqtt, mqtts, ws, wss;
  std::optional<NetAddress> coap, coaps, coap_tcp, coaps_tcp;
};

class Server {
 public:
  /// Opens the data folder, recovers, listens. Answers when it returns.
  static Result<std::unique_ptr<Server>> start(const ServerOptions& options);
  /// Stops in order: sockets first, then what is submitted settles, then a checkpoint.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] const ServerAddresses& addresses() const;
  [[nodiscard]] const stream::RecoveryReport& recovery() const;
  /// The one-time link for the first administrator; empty once there is one.
  [[nodiscard]] const std::string& welcome_link() const;
  /// Certificates are read again where their files have changed; open connections keep theirs.
  Status reload_tls();

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock::app
