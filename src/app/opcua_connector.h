#pragma once
// The OPC UA connector's process: started when there is a source, fed with its configuration,
// restarted with back-off, ended with the server. Its MQTT credentials are made anew at each start
// of the server and are good for its own topics only.

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "app/process.h"
#include "base/metrics.h"
#include "interop/mqtt/endpoint.h"
#include "interop/opcua/book.h"
#include "interop/opcua/handler.h"
#include "interop/opcua/link.h"
#include "interop/opcua/store.h"
#include "stream/pipeline.h"
#include "stream/views.h"
#include "twin/registry.h"

namespace penstock::app {

struct OpcuaConnectorOptions {
  std::string directory;  ///< queue, keys, certificates: data/opcua
  std::string script = "connectors/opcua/dist/connector.js";
  std::string node = "node";
  uint64_t queue_bytes_max = 1ULL << 30;
};

/// Lets the connector in; everybody else is asked of `devices`.
class ConnectorAuthenticator final : public interop::mqtt::Authenticator {
 public:
  static constexpr std::string_view kUser = "penstock-opcua";
  ConnectorAuthenticator(interop::mqtt::Authenticator& devices, OrganisationId organisation,
                         Random& random);
  void authenticate(const interop::mqtt::ConnectInfo& info,
                    std::function<void(Outcome)> done) override;
  [[nodiscard]] const std::string& secret() const { return secret_; }

 private:
  interop::mqtt::Authenticator& devices_;
  std::string secret_;
  std::shared_ptr<const interop::mqtt::Principal> principal_;  // shared with its sessions
};

class OpcuaConnector final : public interop::opcua::Book {
 public:
  OpcuaConnector(OpcuaConnectorOptions options, interop::opcua::SourceStore& sources,
                 stream::Pipeline& pipeline, std::vector<interop::mqtt::MqttEndpoint*> endpoints,
                 const ConnectorAuthenticator& credentials, Random& random, Metrics& metrics);
  ~OpcuaConnector() override;

  /// One for each shard; before the shards start. They end with this object.
  void attach_handlers(interop::opcua::OnCondition on_condition);
  /// `gateway`: a listener on loopback for the connector.
  Status start(const NetAddress& gateway);
  void stop();
  [[nodiscard]] stream::HealthCheck health();

  // -- Book
  std::vector<interop::opcua::SourcePtr> sources(OrganisationId organisation) override;
  Result<interop::opcua::SourcePtr> source(OrganisationId organisation,
                                           std::string_view name) override;
  Result<interop::opcua::SourcePtr> save(OrganisationId organisation, std::string_view name,
                                         const Json& document, const Json& secrets,
                                         std::string_view who) override;
  Status remove(OrganisationId organisation, std::string_view name) override;
  Result<interop::opcua::SourcePtr> add_assets(OrganisationId organisation, std::string_view name,
                                               std::vector<interop::opcua::Asset> assets,
                                               std::string_view who) override;
  Result<interop::opcua::SourcePtr> remove_asset(OrganisationId organisation, std::string_view name,
                                                 std::string_view device,
                                                 std::string_view who) override;
  Result<Json> ask(const interop::opcua::Source* source, std::string_view operation,
                   Json arguments) override;
  Json status(const interop::opcua::Source& source) override;
  Json connector() override;

 private:
  /// Writes the file and tells the connector.
  Status configure();
  Json configuration();
  void run();
  void tend();
  void begin();
  void ended();
  void forward_log();
  void send(std::string_view topic, std::string payload);
  [[nodiscard]] bool wanted() const;

  OpcuaConnectorOptions options_;
  interop::opcua::SourceStore& sources_;
  stream::Pipeline& pipeline_;
  std::vector<interop::mqtt::MqttEndpoint*> endpoints_;
  const ConnectorAuthenticator& credentials_;
  Metrics& metrics_;
  interop::opcua::Link link_;
  std::vector<std::unique_ptr<interop::opcua::Handler>> handlers_;
  NetAddress gateway_;
  Counter& restarts_;
  Gauge& queue_bytes_;
  Gauge& dropped_;

  std::mutex file_mutex_;
  uint64_t generation_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  bool running_ = false;
  int64_t asked_us_ = 0;  // monotonic: somebody wanted it although there is no source
  std::string detail_ = "not needed: there are no sources";
  std::optional<Process> process_;  // thread_ only
  int64_t started_us_ = 0, next_start_us_ = 0;
  int failures_ = 0;
  std::thread thread_;
};

/// Commands and writes to devices that an OPC UA server feeds.
class OpcuaCommands final : public stream::CommandSender {
 public:
  OpcuaCommands(interop::opcua::Book& book, const interop::opcua::SourceStore& sources,
                const twin::TwinRegistry& twins, Random& random)
      : book_(book), sources_(sources), twins_(twins), random_(random) {}
  Result<stream::CommandReceipt> send_command(std::string_view device, std::string_view name,
                                              std::string_view payload,
                                              std::string_view who) override;
  Result<stream::CommandReceipt> write_property(std::string_view device, std::string_view element,
                                                std::string_view value,
                                                std::string_view who) override;

 private:
  interop::opcua::Book& book_;
  const interop::opcua::SourceStore& sources_;
  const twin::TwinRegistry& twins_;
  Random& random_;
};

}  // namespace penstock::app
