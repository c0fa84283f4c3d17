#pragma once
// The LwM2M server (Core 1.1.1): registration, device management, reporting, bootstrap, firmware.
// One thread of its own has the sockets and all clients; reports go to the shard that owns the
// device, and what a device is told is accepted is durable.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/io.h"
#include "base/metrics.h"
#include "base/net.h"
#include "interop/lwm2m/book.h"
#include "interop/lwm2m/messenger.h"
#include "interop/lwm2m/objects.h"
#include "interop/lwm2m/store.h"
#include "stream/report.h"
#include "stream/views.h"
#include "twin/registry.h"

namespace penstock::interop::lwm2m {

struct ServerOptions {
  std::optional<NetAddress> coap, coaps, coap_tcp, coaps_tcp;
  bool bootstrap = false;  ///< answer /bs and /bspack too
  std::string certificate_file, key_file, client_ca_file;
  MessengerOptions messenger;
  size_t clients_max = 100'000;
  size_t reports_waiting_max = 100'000;  ///< given to the journal and not durable yet
  size_t operations_waiting_max = 32;    ///< of one client that sleeps
  size_t operations_kept = 20;           ///< of one client, done ones included
  size_t observations_max = 64;          ///< of one client
  size_t firmware_bytes_max = 32U << 20;
  Duration awake = Duration::seconds(93);  ///< MAX_TRANSMIT_WAIT: queue mode's default (6.5)
  ContentLimits content;
};

struct ServerAddresses {
  std::optional<NetAddress> coap, coaps, coap_tcp, coaps_tcp;
};

/// How the server reaches the data path; app binds it to the pipeline. Called on the server's
/// thread.
struct ServerHooks {
  std::function<void(stream::OwnedReport, std::function<void(bool durable)>)> submit;
  std::function<void(std::string_view device, bool connected, std::string_view client_id,
                     std::string_view detail)>
      presence;
  std::function<void(OrganisationId, std::string_view device, Timestamp when)> lost;
};

class Server final : public ClientBook, public stream::CommandSender {
 public:
  /// All references must outlive it. Restores what was registered, listens, starts its thread.
  static Result<std::unique_ptr<Server>> start(ServerOptions options, ServerHooks hooks,
                                               twin::TwinRegistry& twins, Objects& objects,
                                               Store& store, Clock& clock, Random& random,
                                               Metrics& metrics);
  ~Server() override;
  [[nodiscard]] const ServerAddresses& addresses() const;

  // -- ClientBook
  Result<Json> clients(OrganisationId organisation, std::string_view after, size_t limit) override;
  Result<Json> client(OrganisationId organisation, std::string_view endpoint) override;
  Result<Json> operate(OrganisationId organisation, std::string_view endpoint,
                       OperationRequest request, Duration wait) override;
  Result<Json> operation(OrganisationId organisation, std::string_view endpoint,
                         std::string_view id) override;
  Result<Json> credentials(OrganisationId organisation, std::string_view endpoint) override;
  Result<Json> add_credential(OrganisationId organisation, const CredentialDraft& draft) override;
  Status remove_credential(OrganisationId organisation, std::string_view identity) override;
  Result<Json> bootstrap(OrganisationId organisation, std::string_view endpoint) override;
  Result<Json> set_bootstrap(OrganisationId organisation, std::string_view endpoint,
                             const Json& document) override;
  Status remove_bootstrap(OrganisationId organisation, std::string_view endpoint) override;
  Result<Json> start_firmware(OrganisationId organisation, std::string_view endpoint,
                              FirmwareRequest request) override;
  Result<Json> firmware(OrganisationId organisation, std::string_view endpoint) override;
  Result<Json> objects() override;
  Result<Json> upload_objects(std::string_view ddf) override;
  Result<Json> propose(OrganisationId organisation, std::string_view endpoint) override;

  // -- stream::CommandSender
  Result<stream::CommandReceipt> send_command(std::string_view device, std::string_view name,
                                              std::string_view payload,
                                              std::string_view who) override;
  Result<stream::CommandReceipt> write_property(std::string_view device, std::string_view element,
                                                std::string_view value,
                                                std::string_view who) override;

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// A device's name for an endpoint's: itself where it may be one.
std::string device_name(std::string_view endpoint);

}  // namespace penstock::interop::lwm2m
